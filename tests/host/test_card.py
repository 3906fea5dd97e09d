"""card.remount: the file system of the journal commits once a minute, and gets back what it had."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.config import parse_config
from gateway.errors import ConfigError
from gateway.host import MachineFiles, card_state, put_back, remount

SAYS = "/dev/mmcblk0p2 / ext4 rw,noatime{} 0 0\ntmpfs /var/lib/submeter tmpfs rw 0 0\n"


@pytest.mark.parametrize(
    ("place", "options", "commit"),
    [("/etc", "", 5), ("/etc", ",commit=30", 30), ("/etc", ",commit=0", 5), ("/var/lib/submeter", "", None)],
)
def test_what_the_kernel_says_is_read(tmp_path, place, options, commit):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text(SAYS.format(options))
    state = card_state(Path(place), MachineFiles(tmp_path))
    assert (state.commit, state.point) == (commit, "/" if commit else place)


@contextmanager
def mounted(folder: Path, options: str, kind: str = "ext4"):
    if os.geteuid() != 0:
        pytest.skip("a file system is mounted by root alone")
    place = folder / "disk"
    place.mkdir()
    image = folder / "image"
    image.write_bytes(b"")
    os.truncate(image, 8 << 20)
    if kind == "ext4":
        subprocess.run(["mkfs.ext4", "-qF", image], check=True)
    source = ["-o", f"loop,{options}", image] if kind == "ext4" else ["-t", kind, kind]
    done = subprocess.run(["mount", *source, place], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize(
    ("options", "found", "during"),
    [("noatime", 5, 60), ("noatime,nosuid,commit=17", 17, 60), ("noatime,commit=120", 120, 120)],
)
def test_it_is_set_once_and_put_back_as_it_was_found(tmp_path, options, found, during):
    note = tmp_path / "note.json"
    with mounted(tmp_path, options) as place:
        before = card_state(place)
        assert remount(place / "state", note).commit == found
        now = card_state(place)
        assert now.commit == during
        remount(place / "state", note)  # a second start, or one after a crash
        assert [option for option in now.options if "commit" not in option] == [
            option for option in before.options if "commit" not in option
        ]
        put_back(note)
        assert card_state(place).commit == found
        assert not note.exists()
        assert put_back(note) is None
        assert card_state(place).options == before.options or found == 5


def cut(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("at", ["gateway.host.card._mount", "pathlib.Path.unlink"])
def test_a_kill_in_between_loses_nothing_of_what_was_found(tmp_path, monkeypatch, at):
    """The note is there before the mount changes, and goes after it."""
    note = tmp_path / "note.json"
    with mounted(tmp_path, "noatime,commit=17") as place:
        for act in (lambda: remount(place, note), lambda: put_back(note)):
            with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
                patch.setattr(at, cut)
                act()
            remount(place, note)  # as the next start of the unit does
            assert card_state(place).commit == 60
        put_back(note)
        assert card_state(place).commit == 17
        assert not note.exists()


def test_another_file_system_is_left_alone(tmp_path):
    with mounted(tmp_path, "", kind="tmpfs") as place:
        assert remount(place, tmp_path / "note.json").commit is None
        assert not (tmp_path / "note.json").exists()


def test_what_was_noted_of_a_file_system_that_is_gone_changes_nothing(tmp_path):
    note = tmp_path / "note.json"
    for text in ('{"point": "/nowhere/at/all", "commit": 5}', "no JSON", '{"point": 1}'):
        note.write_text(text)
        put_back(note)


@pytest.mark.parametrize(
    ("written", "on"), [("yes", True), ("no", False), ("true", True), ("false", False), (None, False)]
)
def test_yes_and_no_are_what_a_person_writes(written, on):
    section = f"card: {{remount: {written}}}\n" if written else ""
    assert parse_config(f"gateway: {{id: a}}\n{section}").card.remount is on


@pytest.mark.parametrize("written", ["maybe", "1", "[]", "'yes please'"])
def test_anything_else_is_a_mistake(written):
    with pytest.raises(ConfigError, match=r"card\.remount"):
        parse_config(f"gateway: {{id: a}}\ncard: {{remount: {written}}}\n")


def test_the_command_says_how_it_is(tmp_path):
    config = {"gateway": {"id": "a"}, "journal": {"directory": str(tmp_path / "state")}}
    (tmp_path / "gateway.yaml").write_text(json.dumps(config))
    done = CliRunner().invoke(cli, ["card", "-c", str(tmp_path / "gateway.yaml")])
    assert done.exit_code == 0, done.output
    assert "bookkeeping every" in done.output or "nothing can be changed" in done.output
