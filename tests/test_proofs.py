"""docs/proofs.md: a section for each proof, and a word when the code has gone on since."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import pages, proofs
from tests.city import __main__ as city
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


@pytest.mark.parametrize("words", [["--help"], ["steady", "stedy"]])
def test_what_is_no_part_of_the_city_is_said_before_anything_runs_or_is_written(
    page: Path, tmp_path: Path, monkeypatch, capsys, words: list[str]
) -> None:
    ran = []
    monkeypatch.setattr(city, "OUT", tmp_path / "build" / "city.json")
    monkeypatch.setattr(city, "PARTS", {name: lambda: ran.append(1) or [(True, "")] for name in city.PARTS})
    monkeypatch.setattr("sys.argv", ["city", *words])
    assert city.main() == 2
    said = capsys.readouterr().out
    assert words[-1] in said
    assert all(name in said.partition("there are: ")[2].strip().split(", ") for name in city.PARTS)
    assert not ran
    assert not page.exists()
    assert not city.OUT.exists()


def test_a_part_of_the_city_takes_the_place_of_its_former_result_and_what_is_no_part_goes(
    page: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(city, "OUT", tmp_path / "city.json")
    monkeypatch.setattr(logging.getLogger("gateway"), "setLevel", lambda _level: None)
    for told, held in (("first", False), ("second", True)):
        former = {"lines": ["holds: former"], "commit": "abcdef012345", "seconds": 1.0, "load": 0.0}
        city.OUT.write_text(json.dumps({"--help": former, "late": former}))
        monkeypatch.setitem(city.PARTS, "gone", lambda told=told, held=held: [(held, told)])
        monkeypatch.setattr("sys.argv", ["city", "gone"])
        assert city.main() == (0 if held else 1)
        assert set(json.loads(city.OUT.read_text())) == {"gone", "late"}
    section = proofs.sections(page.read_text())["prove-city"]
    assert "- holds: second [" in section
    assert "- holds: former [" in section
    assert "first" not in section
    assert "--help" not in section
    assert "- steady: not run" in section


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


@pytest.mark.parametrize(("program", "name"), [(soak, "soak"), (pages, "pages")])
@pytest.mark.parametrize("code", [0, 1, 2, 4, 5])
def test_a_run_that_was_stopped_or_chose_nothing_is_no_proof(
    page: Path, monkeypatch, program, name: str, code: int
) -> None:
    proofs.write(name, "abcdef012345", "former")

    def run(command: list[str], **_options) -> SimpleNamespace:
        [report] = [word.partition("=")[2] for word in command if word.startswith("--junit-xml=")]
        Path(report).write_text("<testsuites />")
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr(proofs, "git", lambda *_words: "0123456789ab")
    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr("sys.argv", [name, "-k", "nothing"])
    assert program.main() == code
    assert ("former" in page.read_text()) is (code > 1)
