"""docs/proofs.md: a section for each proof, and a word when the code has gone on since."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import proofs
from tests.soak import __main__ as soak


@pytest.fixture
def page(tmp_path: Path, monkeypatch) -> Path:
    path = tmp_path / "proofs.md"
    monkeypatch.setattr(proofs, "PAGE", path)
    return path


def test_a_proof_takes_the_place_of_its_former_one_and_leaves_the_others(page: Path) -> None:
    proofs.write("mutants", "abcdef012345", "7 of 9")
    proofs.write("soak", "0123456789ab", "an hour")
    proofs.write("mutants", "aaaaaaaaaaaa", "8 of 9")
    found = proofs.sections(page.read_text())
    assert set(found) == {"mutants", "soak"}
    assert "commit aaaaaaaaaaaa" in found["mutants"]
    assert found["mutants"].endswith("8 of 9")
    assert "7 of 9" not in page.read_text()
    assert "commit 0123456789ab" in found["soak"]


@pytest.mark.parametrize(
    ("known", "later", "line"),
    [(True, "", ""), (True, "a1\nb2", "older than what it proves (2 commits"), (False, "a1", "")],
)
def test_a_proof_older_than_its_code_is_named_with_what_to_do(
    page: Path, monkeypatch, known: bool, later: str, line: str
) -> None:
    for name in proofs.PROOFS:
        proofs.write(name, "abcdef012345", "good")
    asked = []

    def git(*words: str) -> str:
        asked.append(words)
        return ("abcdef012345" if known else "") if words[0] == "rev-parse" else later

    monkeypatch.setattr(proofs, "git", git)
    said = proofs.stale(page.read_text())
    assert len(said) == (len(proofs.PROOFS) if line else 0)
    assert all(line in each for each in said)
    assert all(f"make {name}" in each for name, each in zip(proofs.PROOFS, said, strict=False))
    if known:
        assert ("log", "--format=%h", "abcdef012345..HEAD", "--", *proofs.PROOFS["mutants"].paths) in asked


def test_a_proof_that_was_never_made_is_named() -> None:
    assert len(proofs.stale("")) == len(proofs.PROOFS)


def test_what_proofs_prove_exists_and_the_page_is_written_by_them() -> None:
    for proof in proofs.PROOFS.values():
        for path in proof.paths:
            assert (proofs.ROOT / path).exists(), path
    known = proofs.sections((proofs.ROOT / "docs" / "proofs.md").read_text())
    assert set(known) <= set(proofs.PROOFS)
    for name, text in known.items():
        assert f"make {name}" in text
        assert "commit " in text


def test_a_soak_says_what_passed_failed_and_was_skipped_and_why(tmp_path: Path) -> None:
    report = tmp_path / "soak.xml"
    report.write_text(
        '<testsuites><testsuite name="pytest">'
        '<testcase classname="tests.soak.test_months" name="test_a_month" />'
        '<testcase classname="tests.soak.test_months" name="test_two"><failure message="assert 1 == '
        '2">…</failure></testcase>'
        '<testcase classname="tests.soak.test_x" name="test_y"><error message="setup">…</error></testcase>'
        '<testcase classname="tests.soak.test_x" name="test_z"><skipped message="needs root" /></testcase>'
        "</testsuite></testsuites>"
    )
    said = soak.result(report)
    assert said.splitlines() == [
        "1 passed, 2 failed, 1 skipped.",
        "- failed: tests/soak/test_months.py::test_two",
        "- failed: tests/soak/test_x.py::test_y",
        "- skipped (1): needs root",
    ]
