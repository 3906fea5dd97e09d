"""Room on the disk: the budget that it allows, and the ballast."""

import os
import sys
from types import SimpleNamespace

import pytest

from gateway.journal import disk as disk_module
from gateway.journal.disk import LARGEST, SMALLEST, Disk


@pytest.fixture
def disk(monkeypatch):
    """A disk that has as many bytes free as `disk.free` says."""
    said = SimpleNamespace(free=0)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=said.free // 512, f_frsize=512))
    monkeypatch.setattr(disk_module, "_largest_file", lambda: sys.maxsize)
    return said


MB = 1 << 20


@pytest.mark.parametrize(
    ("free", "own", "budget"),
    [
        (100 * MB, 0, 50 * MB),  # half of what is free without us
        (100 * MB, 60 * MB, 80 * MB),
        (10_000 * MB, 0, 512 * MB),  # what is configured is enough
        (10 * MB, 300 * MB, 300 * MB),  # another program fills the disk: what we hold is not too much
        (4 * MB, 20 * MB, 512 * MB),  # a full disk is no reason to thin
    ],
)
def test_the_budget_is_half_of_what_is_free_and_never_less_than_what_is_held(
    tmp_path, disk, free, own, budget
):
    room = Disk(tmp_path, 512 * MB)
    disk.free = free
    room.measure(own)
    assert room.budget == budget
    assert room.free == free


def test_a_disk_that_was_full_is_tight_until_there_is_ample_room(tmp_path, disk):
    room = Disk(tmp_path, 512 * MB)
    room.tight = True
    disk.free = 4 * room.ballast - 512
    room.measure(0)
    assert room.tight
    disk.free = 4 * room.ballast
    room.measure(0)
    assert not room.tight
    disk.free = 0
    room.measure(0)
    assert not room.tight, "only a write that failed makes it tight"


def test_the_ballast_fits_the_budget_and_is_taken_while_there_is_room(tmp_path, disk):
    assert [Disk(tmp_path, limit).ballast for limit in (MB, 128 * MB, 100_000 * MB)] == [
        SMALLEST,
        2 * MB,
        LARGEST,
    ]
    room = Disk(tmp_path, 128 * MB)
    disk.free = 8 * MB
    assert not room.load()
    assert room.held() == 0
    disk.free = 9 * MB
    assert room.load()
    assert room.held() == 2 * MB
    disk.free = 0
    assert room.load(), "it is on board"
    room.drop()
    assert room.held() == 0
    room.reload()
    assert room.held() == 2 * MB
