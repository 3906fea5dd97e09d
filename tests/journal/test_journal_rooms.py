"""Small rooms of the journal: drafts that wait, the budget that a disk allows, the rest that upkeep takes."""

import os
import sys
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from journal_data import Building, small

from gateway.errors import JournalDamaged, JournalFull
from gateway.journal import disk as disk_module
from gateway.journal import housekeeping
from gateway.journal.disk import LARGEST, SMALLEST, Disk
from gateway.journal.file.verify import Verification as Walked
from gateway.journal.housekeeping import CALM, LOOK, NOTE, PAUSE, REST, Housekeeping
from gateway.journal.pending import Pending, PendingDraft, settle
from gateway.model import Draft, Event

FULL = JournalFull("no room", hint="make some")


def entries(waiting, *drafts):
    made = [PendingDraft(draft, None) for draft in drafts]
    for entry in made:
        waiting.add(entry)
    return made


# -- drafts that wait


def packed_size():
    entry = PendingDraft(Building(1).draft(1000), None)
    entry.pack()
    return len(entry.packed)


def test_what_need_not_be_kept_is_let_go_first_and_the_oldest_of_it():
    waiting = Pending(most=int(3.5 * packed_size()))
    building = Building(1)
    drafts = [building.draft(1000 * number, keep=number in {0, 3}) for number in range(5)]
    made = entries(waiting, *drafts)
    waiting.refuse(FULL)
    assert waiting.head(10) == [made[0], made[3], made[4]]
    assert (waiting.dropped, waiting.untold, waiting.late) == (2, 2, 3)
    assert waiting.packed == sum(len(entry.packed) for entry in waiting.head(10)) <= 3.5 * packed_size()
    for entry in made:
        assert isinstance(entry.done.exception(0), JournalFull), "whoever waits is told"
    assert [entry.open().readings for entry in waiting.head(10)] == [
        drafts[number].readings for number in (0, 3, 4)
    ]


def test_with_nothing_else_left_the_oldest_that_was_to_be_kept_goes():
    waiting = Pending(most=int(2.5 * packed_size()))
    building = Building(1)
    made = entries(waiting, *(building.draft(1000 * number, keep=True) for number in range(4)))
    waiting.refuse(FULL)
    assert waiting.head(10) == made[2:]
    assert waiting.dropped == 2


def test_an_event_is_kept_as_if_it_had_been_asked_for():
    waiting = Pending()
    plain, event, asked = entries(
        waiting, small(), Draft([], [Event("clock_step", 5, {"by": 1})]), small(keep=True)
    )
    assert (plain.keep, event.keep, asked.keep) == (False, True, True)
    assert (plain.readings, event.readings) == (1, 0)


def test_what_is_committed_or_lost_is_counted_once():
    waiting = Pending()
    made = entries(waiting, small(), small(), small())
    waiting.refuse(FULL)
    waiting.refuse(FULL)
    assert (waiting.late, waiting.packed) == (3, sum(len(entry.packed) for entry in made))
    waiting.done(made[:1])
    waiting.done(made[:1])
    waiting.lose(made[1])
    assert (waiting.late, waiting.packed, len(waiting)) == (1, len(made[2].packed), 1)
    assert (waiting.dropped, waiting.untold) == (1, 1)
    assert waiting.head(0) == []


def test_it_is_pressed_when_more_than_half_is_used():
    size = packed_size()
    waiting = Pending(most=4 * size)
    building = Building(1)
    entries(waiting, building.draft(1000))
    waiting.refuse(FULL)
    assert not waiting.pressed
    entries(waiting, *(building.draft(1000 * number) for number in (2, 3)))
    waiting.refuse(FULL)
    assert waiting.pressed
    waiting.done(waiting.head(3))
    assert not waiting.pressed


def test_whoever_has_been_told_is_not_told_again():
    entry = PendingDraft(small(), None)
    assert settle(entry, sealed=[])
    assert not settle(entry, error=FULL)
    assert entry.done.result(0) == []
    refused = PendingDraft(small(), None, done=Future())
    assert settle(refused, error=FULL)
    assert refused.done.exception(0) is FULL


# -- room on the disk


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
    room.look(own)
    assert room.budget == budget
    assert room.free == free


def test_a_disk_that_was_full_is_tight_until_there_is_ample_room(tmp_path, disk):
    room = Disk(tmp_path, 512 * MB)
    room.tight = True
    disk.free = 4 * room.ballast - 512
    room.look(0)
    assert room.tight
    disk.free = 4 * room.ballast
    room.look(0)
    assert not room.tight
    disk.free = 0
    room.look(0)
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


# -- upkeep


class Ship:
    """What upkeep sees of the writer: it counts what was done."""

    def __init__(self, directory):
        self.directory = directory
        self.path = directory / "journal.db"
        self.looks = 0
        self.disk = SimpleNamespace(look=self._look, load=lambda: True, held=lambda: 0, budget=1000)
        self.cases = SimpleNamespace(prune=lambda _: None, all=[], pending=lambda: None)
        self.file = SimpleNamespace(store=SimpleNamespace(size=5), last=0)
        self.notes = 0

    def look(self):
        pass

    def note(self):
        self.notes += 1

    def _look(self, _):
        self.looks += 1


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(housekeeping, "time", SimpleNamespace(monotonic=lambda: now[0]))
    ship = Ship(tmp_path)
    return Housekeeping(ship), ship, now


class Verification:
    """Never done."""

    done = False
    part = 0.5
    steps = 0

    def step(self, _):
        self.steps += 1


def test_after_the_disk_has_refused_upkeep_leaves_it_alone_for_a_while(at_work):
    work, ship, now = at_work
    work._walk = walk = Verification()
    assert work.slice() == PAUSE
    assert (ship.looks, walk.steps) == (1, 1)
    work.rest(OSError(5, "Input/output error"))
    for passed in (0.0, 10.0, REST - 0.1):
        now[0] = 1000.0 + passed
        assert work.slice() == CALM
    assert (ship.looks, walk.steps) == (1, 1)
    now[0] = 1000.0 + REST
    assert work.slice() == PAUSE
    assert (ship.looks, walk.steps) == (2, 2)


def test_the_disk_is_looked_at_now_and_then(at_work):
    work, ship, now = at_work
    for second in range(31):
        now[0] = 1000.0 + second
        assert work.slice() == CALM
    assert ship.looks == 1 + 30 // LOOK


def test_the_newest_batch_is_noted_once_there_is_one_and_then_seldom(at_work):
    work, ship, now = at_work
    work.slice()
    assert ship.notes == 0
    ship.file.last = 7
    now[0] += LOOK
    work.slice()
    assert ship.notes == 1
    while now[0] < 1000.0 + LOOK + NOTE - LOOK:
        now[0] += LOOK
        work.slice()
    assert ship.notes == 1
    now[0] += LOOK
    work.slice()
    assert ship.notes == 2


def test_a_file_that_was_replaced_by_the_look_is_left_alone(at_work):
    work, ship, _ = at_work
    ship.look = lambda: setattr(ship, "file", None)
    assert work.slice() == PAUSE
    assert ship.looks == 0


def test_without_an_open_file_nothing_is_done(at_work):
    work, ship, _ = at_work
    ship.file = None
    assert work.slice() == CALM
    assert ship.looks == 0
    assert work.walked == 1.0


class Rows:
    """What the walk needs of a file: which rows it has, and which of them were read."""

    path = "journal.db"

    def __init__(self, **tables):
        self.tables = tables
        self.read = []

    def query(self, sql, arguments):
        table = "salvage" if "FROM salvage" in sql else "batch"
        return [(key,) for key in sorted(self.tables.get(table, ()), reverse=True) if key < arguments[0]][:3]

    def select(self, _, arguments, table):
        self.read += [(table, key) for key in self.tables[table] if arguments[0] <= key <= arguments[1]]


def test_the_walk_reads_every_row_once_the_newest_first_and_those_of_damaged_files_last():
    store = Rows(batch=range(1, 8), salvage=range(1, 5))
    walk = Walked(store, 7)
    assert (walk.part, walk.done) == (0.0, False)
    walk.step(10.0)
    assert walk.done
    assert walk.part == 1.0
    assert sorted(store.read) == [("batch", n) for n in range(1, 8)] + [("salvage", n) for n in range(1, 5)]
    assert store.read[:3] == [("batch", 5), ("batch", 6), ("batch", 7)]
    assert store.read[-1][0] == "salvage"


def test_an_empty_file_is_walked_at_once():
    walk = Walked(Rows(), 0)
    walk.step(10.0)
    assert walk.done


def test_rows_out_of_order_are_damage():
    store = Rows(batch=range(1, 8))
    store.query = lambda *_: [(5,), (6,), (4,)]
    with pytest.raises(JournalDamaged, match="out of order"):
        Walked(store, 7).step(10.0)
