"""Room on the disk: the budget that it allows, and the ballast."""

import errno
import os
import resource
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
    assert room.ballast_bytes() == 0
    disk.free = 9 * MB
    assert room.load()
    assert room.ballast_bytes() == 2 * MB
    disk.free = 0
    assert room.load(), "it is on board"
    room.drop()
    assert room.ballast_bytes() == 0
    room.reload()
    assert room.ballast_bytes() == 2 * MB


def test_what_a_process_may_write_into_one_file_bounds_the_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=1 << 40, f_frsize=512))
    for most, budget in ((4 * MB, 2 * MB), (3 * MB, 3 * MB // 2), (100 * MB, 98 * MB), (1 << 40, 512 * MB)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, most=most: (most, most))
        room = Disk(tmp_path, 512 * MB)
        room.measure(0)
        assert room.budget == budget, most
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    room = Disk(tmp_path, 512 * MB)
    room.measure(0)
    assert room.budget == 512 * MB


def test_a_folder_that_cannot_be_asked_changes_nothing(tmp_path):
    room = Disk(tmp_path / "absent", 512 * MB)
    room.tight = True
    room.measure(300 * MB)
    assert (room.budget, room.free, room.tight) == (512 * MB, 0, True)
    assert not room.load()
    assert room.ballast_bytes() == 0


def test_at_the_very_edge_the_budget_is_left_as_it_was(tmp_path, disk):
    room = Disk(tmp_path, 512 * MB)
    disk.free = room.ballast
    room.measure(0)
    assert room.budget == 512 * MB, "as little as the ballast is no measure"
    disk.free = room.ballast + 512
    room.measure(0)
    assert room.budget == (room.ballast + 512) // 2
    room.measure(100 * MB)
    assert room.budget == 100 * MB


def test_the_ballast_is_taken_on_board_when_four_of_it_are_free(tmp_path, disk):
    room = Disk(tmp_path, 64 * MB)
    assert room.ballast == MB
    disk.free = 4 * MB
    assert not room.load()
    disk.free = 4 * MB + 512
    assert room.load()
    # One of another size (the budget was changed) is replaced.
    room.limit = 128 * MB
    disk.free = 100 * MB
    assert room.load()
    assert (room.ballast_bytes(), (tmp_path / "journal.ballast").stat().st_size) == (2 * MB, 2 * MB)
    room.limit = 64 * MB
    assert room.load()
    assert room.ballast_bytes() == MB


def test_as_much_of_the_ballast_as_there_is_room_for_is_taken_back(tmp_path, disk, monkeypatch):
    room = Disk(tmp_path, 512 * MB)
    assert room.ballast == 8 * MB
    asked = []

    def allocate(_handle, _at, size):
        asked.append(size)
        if size > 2 * MB:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    room.reload()
    assert asked == [8 * MB, 4 * MB, 2 * MB]
    assert room.ballast_bytes() == 2 * MB
    asked.clear()
    room.drop()
    monkeypatch.setattr(os, "posix_fallocate", lambda *what: allocate(*what[:2], 9 * MB))
    room.reload()
    assert len(asked) == 4, "an eighth of it is the least"
    assert room.ballast_bytes() == 0
    assert not (tmp_path / "journal.ballast").exists()


def test_what_stands_in_the_place_of_the_ballast_is_none_and_is_moved(tmp_path, disk):
    (tmp_path / "journal.ballast").mkdir()
    room = Disk(tmp_path, 64 * MB)
    assert room.ballast_bytes() == 0
    disk.free = 100 * MB
    assert room.load()
    assert room.ballast_bytes() == MB
    assert (tmp_path / "journal.ballast.aside-1").is_dir()
