"""What is done between commits: how often, and what is left alone."""

import asyncio
import json
import sqlite3
import time
from types import SimpleNamespace

import pytest
from journal_data import small, until

from gateway import wire
from gateway.errors import JournalDamaged
from gateway.journal import housekeeping
from gateway.journal.housekeeping import CALM, DISK_CHECK, NOTE, PAUSE, REST, Housekeeping


class Site:
    """What housekeeping sees of the open file and of the disk: it counts what was done."""

    clock = None

    def __init__(self, directory):
        self.path = directory / "journal.db"
        self.measured = 0
        self.disk = SimpleNamespace(
            measure=self._measure, load=lambda: True, ballast_bytes=lambda: 0, budget=1000
        )
        self.cases = SimpleNamespace(prune=lambda _: None, all=[], pending=lambda: None)
        self.file = SimpleNamespace(store=SimpleNamespace(size=5), last=0)
        self.notes = 0

    def check_names(self):
        pass

    def note(self):
        self.notes += 1

    def _measure(self, _):
        self.measured += 1


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(housekeeping, "time", SimpleNamespace(monotonic=lambda: now[0]))
    site = Site(tmp_path)
    return Housekeeping(site, site.disk), site, now


class Verification:
    """Never done."""

    done = False
    part = 0.5
    steps = 0

    def step(self, _):
        self.steps += 1


def test_after_the_disk_has_refused_housekeeping_leaves_it_alone_for_a_while(at_work):
    work, site, now = at_work
    work._verification = walk = Verification()
    assert work.slice() == PAUSE
    assert (site.measured, walk.steps) == (1, 1)
    work.rest(OSError(5, "Input/output error"))
    for passed in (0.0, 10.0, REST - 0.1):
        now[0] = 1000.0 + passed
        assert work.slice() == CALM
    assert (site.measured, walk.steps) == (1, 1)
    now[0] = 1000.0 + REST
    assert work.slice() == PAUSE
    assert (site.measured, walk.steps) == (2, 2)


def test_the_disk_is_looked_at_now_and_then(at_work):
    work, site, now = at_work
    for second in range(31):
        now[0] = 1000.0 + second
        assert work.slice() == CALM
    assert site.measured == 1 + 30 // DISK_CHECK


def test_the_newest_batch_is_noted_once_there_is_one_and_then_seldom(at_work):
    work, site, now = at_work
    work.slice()
    assert site.notes == 0
    site.file.last = 7
    now[0] += DISK_CHECK
    work.slice()
    assert site.notes == 1
    while now[0] < 1000.0 + DISK_CHECK + NOTE - DISK_CHECK:
        now[0] += DISK_CHECK
        work.slice()
    assert site.notes == 1
    now[0] += DISK_CHECK
    work.slice()
    assert site.notes == 2


def test_a_file_that_was_replaced_by_the_look_is_left_alone(at_work):
    work, site, _ = at_work
    site.check_names = lambda: setattr(site, "file", None)
    assert work.slice() == PAUSE
    assert site.measured == 0


def test_without_an_open_file_nothing_is_done(at_work):
    work, site, _ = at_work
    site.file = None
    assert work.slice() == CALM
    assert site.measured == 0
    assert work.walked == 1.0


async def test_what_the_journal_takes_on_the_disk_is_the_sum_of_its_files(opened, clock, tmp_path):
    damaged = tmp_path / "damaged" / "0001"
    damaged.mkdir(parents=True)
    (damaged / "journal.db").write_bytes(b"x" * 70_000)
    (damaged / "report.json").write_text(json.dumps({"done": True, "memory": {}}))
    journal = opened(budget=64 << 20)
    for _ in range(5):
        clock.now += 10_000
        await journal.commit(small(uptime=clock.now))
    work = journal._writer.housekeeping

    def measure():
        work._measure_at = 0
        work.slice()
        names = ("journal.db", "journal.db-wal", "journal.ballast")
        return sum((tmp_path / name).stat().st_size for name in names)

    own = await asyncio.wrap_future(journal._thread.call(measure))
    report = (damaged / "report.json").stat().st_size
    assert own > 1 << 20, "with the ballast"
    assert journal.stats().bytes == own + 70_000 + report


async def test_finished_cases_never_take_more_than_the_budget(opened, clock, tmp_path):
    for number in (1, 2):
        folder = tmp_path / "damaged" / f"000{number}"
        folder.mkdir(parents=True)
        (folder / "journal.db").write_bytes(b"x" * 300_000)
        (folder / "report.json").write_text(
            json.dumps({"done": True, "memory": {}, "reason": "test", "boot": "b", "uptime": 1})
        )
    journal = opened(budget=500_000)
    work = journal._writer.housekeeping

    def measure():
        work._measure_at = 0
        work.slice()

    await asyncio.wrap_future(journal._thread.call(measure))
    assert [case.done for case in journal.stats().damaged] == [True, True]
    assert not (tmp_path / "damaged" / "0001" / "journal.db").exists()
    assert (tmp_path / "damaged" / "0002" / "journal.db").exists()


async def test_every_row_is_verified_soon_after_the_start(opened, clock):
    journal = opened()
    for _ in range(40):
        clock.now += 10_000
        await journal.commit(small(uptime=clock.now))
    await journal.close()
    journal = opened()
    await until(lambda: journal._writer.housekeeping._verification.done)
    await until(lambda: journal.stats().walked == 1.0)


async def test_what_fails_in_housekeeping_is_said_and_left_for_a_while(opened, clock, monkeypatch, caplog):
    journal = opened()
    writer = journal._writer

    def fail():
        raise IndexError("nobody thought of this")

    monkeypatch.setattr(writer.housekeeping, "slice", fail)
    await until(lambda: "housekeeping of the journal failed" in caplog.text)
    assert writer.housekeeping._rest_until > time.monotonic()
    monkeypatch.undo()
    error = sqlite3.OperationalError("disk I/O error")

    def refuse():
        raise error

    monkeypatch.setattr(writer.housekeeping, "slice", refuse)
    await until(lambda: "housekeeping of the journal waits: disk I/O error" in caplog.text)
    monkeypatch.undo()
    [row] = await journal.commit(small(uptime=clock.now))
    assert (row.seq, journal.stats().state) == (1, "ok")


async def test_damage_that_housekeeping_meets_is_dealt_with_like_any_other(opened, clock, monkeypatch):
    journal = opened()
    await journal.commit(small(uptime=clock.now))
    writer = journal._writer
    left = [1]
    plain = writer.housekeeping.slice

    def meet():
        if left[0]:
            left[0] = 0
            raise JournalDamaged("spoilt")
        return plain()

    monkeypatch.setattr(writer.housekeeping, "slice", meet)
    await until(lambda: journal.stats().damaged and journal.stats().damaged[0].done)
    assert journal.stats().damaged[0].reason == "spoilt"
    assert [row.seq for row in await journal.salvaged("city")] == [1]
    assert journal.stats().salvaged == {"city": 1}
    [row] = await journal.commit(small(uptime=clock.now))
    assert row.seq == 2
    events = [event for event in wire.decode(row.body).events if event.kind == "salvaged"]
    assert [event.fields for event in events] == [{"file": "0001", "rows": 1, "reason": "spoilt"}]
    [row] = await journal.commit(small(uptime=clock.now))
    assert wire.decode(row.body).events == []
