"""The second copy of the pulse registers: whole or not there, and what it opens it closes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gateway.daemon.register_copy import MENDED, NAME, WHOLE, RegisterCopy, merge

STATE = {"water": {"count": 5, "register": 12.5, "quantity": "volume", "base": 0.0, "per_unit": 1000}}


def handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    assert RegisterCopy(tmp_path).load() == {}, "and nothing before that"
    assert RegisterCopy(tmp_path).save(STATE)
    assert RegisterCopy(tmp_path).load() == {"exact": False, "pulses": STATE}
    assert RegisterCopy(tmp_path).save(STATE, exact=True)
    assert RegisterCopy(tmp_path).load()["exact"] is True


def test_a_day_of_copies_leaves_no_file_open(tmp_path: Path) -> None:
    copy = RegisterCopy(tmp_path)
    copy.save(STATE)
    before = handles()
    for count in range(50):
        assert copy.save({"water": {**STATE["water"], "count": count}})
    assert handles() == before


def test_nothing_new_is_not_written_again_and_a_removed_file_is(tmp_path: Path) -> None:
    copy = RegisterCopy(tmp_path)
    copy.save(STATE)
    stamp = copy.path.stat().st_mtime_ns
    assert copy.save(STATE)
    assert copy.path.stat().st_mtime_ns == stamp
    copy.path.unlink()
    assert copy.save(STATE)
    assert copy.load()["pulses"] == STATE


def test_room_for_the_next_copy_is_kept(tmp_path: Path) -> None:
    copy = RegisterCopy(tmp_path)
    copy.save(STATE)
    spare = tmp_path / f"{NAME}.new"
    assert spare.stat().st_size >= copy.path.stat().st_size
    assert spare.stat().st_blocks * 512 >= copy.path.stat().st_size
    assert spare.stat().st_mode & 0o077 == 0
    assert copy.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b"{",
        b"[]",
        b'{"crc": 1, "state": {"exact": true, "pulses": {}}}',
        b'{"crc": 0, "state": {"exact": true, "pulses": []}}',
        b'{"crc": 0}',
        b'{"crc": NaN, "state": {}}',
        b"\xff" * 100,
    ],
)
def test_what_is_not_whole_is_nothing(tmp_path: Path, caplog, spoilt) -> None:
    copy = RegisterCopy(tmp_path)
    copy.path.write_bytes(spoilt)
    assert copy.load() == {}
    assert "cannot be used" in caplog.text
    assert copy.save(STATE)
    assert copy.load()["pulses"] == STATE


@pytest.mark.parametrize(
    "put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
@pytest.mark.parametrize("name", [NAME, f"{NAME}.new"])
def test_what_stands_in_its_place_is_not_waited_for_nor_written_through(
    tmp_path: Path, name: str, put
) -> None:
    copy = RegisterCopy(tmp_path)
    put(tmp_path / name)
    assert copy.load() == {}
    assert copy.save(STATE)
    assert not copy.path.is_symlink()
    assert RegisterCopy(tmp_path).load()["pulses"] == STATE


def test_a_changed_digit_is_found(tmp_path: Path) -> None:
    copy = RegisterCopy(tmp_path)
    copy.save(STATE)
    copy.path.write_bytes(copy.path.read_bytes().replace(b'"count":5', b'"count":6'))
    assert copy.load() == {}


def test_a_disk_that_takes_nothing_is_told_once_until_it_takes_again(tmp_path: Path, caplog) -> None:
    folder = tmp_path / "state"
    copy = RegisterCopy(folder)
    assert not copy.save(STATE)
    assert caplog.text.count("cannot be written") == 1, "at once"
    assert not copy.save(STATE)
    assert caplog.text.count("cannot be written") == 1
    folder.mkdir()
    assert copy.save(STATE)
    assert json.loads(copy.path.read_bytes())["state"]["pulses"] == STATE


@pytest.mark.parametrize(
    ("carried", "exact", "count", "mark", "doubt"),
    [
        ({}, True, 5, WHOLE, None),
        ({}, False, 5, MENDED, MENDED),
        ({"pulses": {"water": {**STATE["water"], "count": 3}}}, True, 5, WHOLE, None),
        ({"pulses": {"water": {**STATE["water"], "count": 9}}}, True, 9, None, None),
        ({"pulses": "nonsense"}, False, 5, MENDED, MENDED),
    ],
    ids=["lost, clean stop", "lost, power cut", "older journal", "newer journal", "spoilt journal"],
)
def test_the_higher_count_wins_and_says_why(carried, exact, count, mark, doubt) -> None:
    found = merge({**carried, "other": 1}, {"exact": exact, "pulses": STATE})
    water = found["pulses"]["water"]
    assert (water["count"], water.get("mended"), water.get("doubt")) == (count, mark, doubt)
    assert found["other"] == 1


def test_without_a_copy_what_was_carried_stands() -> None:
    for carried in ({}, {"pulses": STATE}, {"other": 1}):
        assert merge(carried, {}) == carried
    broken = {"exact": True, "pulses": {"water": {"count": "five"}}}
    assert merge({}, broken) == {}
