"""Bytes from a hostile world: what once broke something is tried again for ever, and more is tried each
time.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.fuzz import known
from tests.hostile.targets import TARGETS, seeds

ROOT = Path(__file__).parents[2]
CI_SECONDS = 2


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_do_no_harm(target: str) -> None:
    for data in seeds()[target]:
        TARGETS[target](data)


def scripts(count: int) -> Iterator[bytes]:
    """What a slave may do, by chance; the same each time."""
    chance = random.Random(1)
    for _ in range(count):
        yield chance.randbytes(chance.randrange(20, 90))


def test_scripts_by_chance_do_no_harm() -> None:
    for target in ("rtu", "tcp", "rtu_over_tcp"):
        throw(target, 150)


def throw(target: str, count: int) -> None:
    for data in scripts(count):
        TARGETS[target](data)


def test_a_port_that_does_not_check_is_found_out(monkeypatch) -> None:
    monkeypatch.setattr("gateway.field.port.transport.FramerRTU.check_CRC", lambda *_: True)
    with pytest.raises(AssertionError, match="is not what was said to this question"):
        throw("rtu", 3000)


def test_a_line_that_forgets_its_open_questions_is_found_out(monkeypatch) -> None:
    monkeypatch.setattr("gateway.field.bus.line.BusLine._doubt", lambda *_: None)
    with pytest.raises(AssertionError, match="is not what was said to this question"):
        throw("rtu", 3000)


FINDINGS = [
    pytest.param(target, path, id=f"{target}/{path.name[:20]}")
    for target in TARGETS
    for path in known(target)
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("target", "path"), FINDINGS)
def test_what_once_broke_it_does_not_any_more(target: str, path: Path) -> None:
    TARGETS[target](path.read_bytes())


def fuzz(target: str, seconds: float, findings: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.hostile.fuzz",
            target,
            "--seconds",
            str(int(seconds)),
            "--findings",
            str(findings),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + 900,  # a busy machine loads and traces everything slowly before it begins
        check=False,
    )
    found = [f"{path.name}: {path.read_bytes()!r}" for path in findings.iterdir()]
    assert done.returncode == 0, "\n".join([done.stdout[-2000:], done.stderr[-4000:], *found])
    assert not found


@pytest.mark.timeout(180)
@pytest.mark.parametrize("target", TARGETS)
def test_some_seconds_of_bytes(target: str, tmp_path: Path) -> None:
    fuzz(target, CI_SECONDS, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_many_minutes_of_bytes(target: str, tmp_path: Path) -> None:
    fuzz(target, 60 * float(os.environ.get("SOAK_MINUTES", "60")) / len(TARGETS), tmp_path)
