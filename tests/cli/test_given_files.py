"""A file that a command is given: a device or a pipe in its place is refused with its name, never waited for
and never read without an end; what the shell hands over is read.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.options import given_bytes
from gateway.errors import GatewayError

COMMANDS = {
    "check": ["check", "FILE"],
    "report": ["report", "--verify", "FILE"],
    "restore": ["restore", "FILE"],
    "energy": ["energy", "--from", "FILE"],
    "wiring": ["wiring", "--from", "FILE"],
    "setup": ["setup", "--answers", "FILE"],
    "drivers check": ["drivers", "check", "FILE"],
    "salvage": ["journal", "salvage", "FILE"],
    "certify": ["sign", "certify", "gw", "FILE"],
    "judge": ["fleet", "--judge", "FILE", "--database", "/etc/hostname"],
}
MAIN = "from gateway.cli import main; main()"
PROFILE = """
import pathlib, zoneinfo
from gateway.cli.load_profile import read_profile
read_profile(pathlib.Path(sys.argv[1]), zoneinfo.ZoneInfo("UTC"))
"""
"""What `submeter bill` does with a file once it knows the meter."""
MEMORY = 1 << 30
"""Bytes that such a command may have: what is read without an end has more."""


def run(words: list[str], code: str = MAIN, **more: object) -> subprocess.CompletedProcess[bytes]:
    limit = f"import resource, sys; resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))"
    return subprocess.run(
        [sys.executable, "-c", f"{limit}\n{code}", *words],
        check=False, capture_output=True, timeout=60, **more,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["device", "pipe"])
@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_no_file_is_refused_with_its_name(name: str, kind: str, tmp_path: Path) -> None:
    place = Path("/dev/zero")
    if kind == "pipe":
        place = tmp_path / "pipe"
        os.mkfifo(place)
    words = [word.replace("FILE", str(place)) for word in COMMANDS[name]]
    done = run(words)
    said = " ".join((done.stdout + done.stderr).decode().split())
    assert done.returncode not in {0, -9}, said
    assert str(place) in said
    assert "→" in said or "Usage" in said, said
    assert "Traceback" not in said
    assert "MemoryError" not in said


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_a_load_profile_that_is_no_file_is_refused_with_its_name(kind: str, tmp_path: Path) -> None:
    place = Path("/dev/zero")
    if kind == "pipe":
        place = tmp_path / "pipe"
        os.mkfifo(place)
    said = run([str(place)], PROFILE).stderr.decode()
    assert f"GatewayError: {place} cannot be read: is not a regular file" in said


def test_what_the_shell_hands_over_is_read() -> None:
    done = run(["report", "--verify", "/dev/stdin"], input=b"<p>no report</p>")
    assert done.returncode == 1
    assert b"This is no report of a gateway" in done.stderr
    with Path("/dev/zero").open("rb") as endless:
        done = run(["report", "--verify", "/dev/stdin"], stdin=endless)
    assert done.returncode == 3
    assert b"is larger than" in done.stderr


def test_a_small_file_is_read_where_a_large_one_may_be_given(tmp_path):
    small = tmp_path / "ledger.json"
    small.write_text("{}")
    done = run(["--lang", "en", "fleet", "--judge", str(small), "--database", "/etc/hostname"])
    assert b"not a ledger of a fleet" in b" ".join(done.stderr.split())
    assert b"MemoryError" not in done.stderr


def test_of_a_file_that_is_too_large_nobody_is_sent_to_its_rights(tmp_path):
    large = tmp_path / "large"
    large.write_bytes(bytes(11))
    with pytest.raises(GatewayError) as told:
        given_bytes(large, 10)
    assert "larger than 10 bytes" in told.value.message
    assert told.value.hint == "look whether it is the file that is meant"
