"""`make prove-package` says what it could not try, and does not end as if all had been proven."""

from __future__ import annotations

import pytest

from deb.libraries import CannotRun
from tests.package import __main__ as prover
from tests.package.__main__ import Outcome, told, worst


@pytest.mark.parametrize(
    ("error", "line", "outcome"),
    [
        (None, "", Outcome.HELD),
        (
            CannotRun("no systemd-nspawn: apt install x"),
            "skipped from here on: no systemd-nspawn: apt install x",
            2,
        ),
        (AssertionError("nothing was delivered"), "FAILED: nothing was delivered", 1),
        (ZeroDivisionError("by mistake"), "FAILED: ZeroDivisionError: by mistake", 1),
    ],
)
def test_what_held_before_is_told_and_what_ended_it(error, line, outcome):
    def steps(folder):
        assert folder.is_dir()
        yield "installed"
        if error:
            raise error

    lines, came = told(steps)
    assert lines == ["installed", *filter(None, [line])]
    assert came == outcome


def test_a_step_that_cannot_run_here_is_a_gap_and_the_others_are_told():
    lines, came = told(
        lambda _: iter(["booted: skipped: no ext4 can be mounted here", "booted: a dead card"])
    )
    assert len(lines) == 2
    assert came == Outcome.NOT_TRIED
    assert prover.gaps("trixie amd64", lines) == [
        "trixie amd64: booted: skipped: no ext4 can be mounted here"
    ]


@pytest.mark.parametrize(
    ("outcomes", "end"),
    [([], 0), ([0, 0], 0), ([0, 2, 0], 2), ([2, 1, 2], 1), ([1, 0], 1)],
)
def test_a_failure_comes_before_a_gap_and_a_gap_before_success(outcomes, end):
    assert worst(map(Outcome, outcomes)) == end


def test_a_part_that_cannot_be_tried_says_why_and_does_not_succeed(monkeypatch, capsys):
    def none(*_):
        raise CannotRun("run it as root")

    monkeypatch.setattr(prover, "packages", none)
    monkeypatch.setattr(prover, "own_architecture", lambda: "amd64")
    monkeypatch.setattr(prover.sys, "argv", ["prover", "trixie", "amd64"])
    assert prover.main() == 2
    assert capsys.readouterr().out == "skipped from here on: run it as root\n"


@pytest.mark.parametrize(("others", "end"), [(Outcome.HELD, 2), (Outcome.FAILED, 1)])
def test_the_whole_names_its_gaps_at_the_end_and_on_the_page(monkeypatch, capsys, others, end):
    pages = []

    def tried(part, _own):
        if part == ("trixie", "armhf"):
            return ["installed", "skipped from here on: qemu-arm-static is not installed"], Outcome.NOT_TRIED
        return ["installed"], others

    monkeypatch.setattr(prover, "tried", tried)
    monkeypatch.setattr(prover, "own_architecture", lambda: "amd64")
    monkeypatch.setattr(prover.proofs, "write", lambda *words: pages.append(words))
    monkeypatch.setattr(prover.sys, "argv", ["prover"])
    assert prover.main() == end
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [
        "Not proven here:", "trixie armhf: skipped from here on: qemu-arm-static is not installed"
    ]  # fmt: skip
    assert "- skipped from here on: qemu-arm-static is not installed" in pages[-1][2]
    assert "Not tried yet" not in pages[-1][2]
