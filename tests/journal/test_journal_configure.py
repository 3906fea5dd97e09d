"""What a reload changes of a journal, and what it says while its file is closed or cannot be written."""

import sqlite3

import pytest
from journal_data import HandClock, small, until
from journal_rest import fill, settled_job

from gateway import wire
from gateway.errors import JournalBusy, JournalDamaged, JournalError
from gateway.journal import writer as writer_module
from gateway.journal.lock import read_mark
from gateway.journal.writer import RETRY
from gateway.model import Draft, Event, Ranges
from tests.refusing_store import error_of


def waiting(journal):
    return {name: backlog.batches for name, backlog in journal.stats().backlog.items()}


async def test_a_reload_changes_what_is_named_and_nothing_else(opened, clock):
    journal = opened(budget=10_000_000)
    [first] = await fill(journal, clock, 1)
    assert wire.decode(first.body).gateway == "g-1"
    later = HandClock(now=5_000_000, synced=False, boot=clock.boot)
    await journal.configure(gateway="g-2", clock=later)
    [row] = await journal.commit(small(uptime=5_000_000))
    assert (wire.decode(row.body).gateway, row.clock) == ("g-2", "unsynced")
    assert set(journal.stats().backlog) == {"city"}
    await journal.configure(uplinks=["city", "second"])
    assert {name: backlog.batches for name, backlog in journal.stats().backlog.items()} == {
        "city": 2,
        "second": 2,
    }
    assert journal.stats().budget == 10_000_000
    await journal.configure(budget=400_000)
    assert journal.stats().budget == 400_000
    [row] = await journal.commit(small(uptime=5_000_000))
    assert wire.decode(row.body).gateway == "g-2"
    await journal.configure()
    assert set(journal.stats().backlog) == {"city", "second"}
    # A file that is opened later is counted for those who are configured by then.
    await settled_job(journal, journal._writer.current.let_go)
    await journal.configure(uplinks=["third"])
    [row] = await journal.commit(Draft(events=[Event("door", 5_000_000)]))
    assert waiting(journal) == {"third": 4}


async def test_a_journal_that_was_busy_can_be_opened_as_soon_as_it_is_not(opened, clock, tmp_path):
    journal = opened()
    await fill(journal, clock, 1)
    await journal.close()
    holder = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalBusy):
        opened()
    holder.close()
    journal = opened()
    [row] = await fill(journal, clock, 1)
    assert (row.seq, journal.stats().state) == (2, "ok")


async def test_the_newest_number_is_noted_beside_the_file_at_the_end(opened, clock, tmp_path):
    journal = opened()
    rows = await fill(journal, clock, 7)
    await journal.close()
    assert read_mark(tmp_path / "journal.lock") == (rows[0].epoch, 1, 7)


async def test_a_file_that_is_closed_for_a_moment_is_not_an_empty_one(opened, clock):
    journal = opened()
    rows = await fill(journal, clock, 5)
    await journal.settle("city", journal.epoch, Ranges([(1, 2)]))
    writer = journal._writer
    writer._retry_at = float("inf")
    await settled_job(journal, writer.current.let_go)
    assert journal.stats().batches == 0
    assert journal.epochs() == [(rows[0].epoch, 1, 5)]
    assert journal.known_uplinks() == ("city",)
    assert waiting(journal) == {"city": 3}
    assert (journal.newest, journal.epoch) == ((rows[0].epoch, 5), rows[0].epoch)
    writer._retry_at = 0
    await until(lambda: journal.stats().batches == 5)


async def test_why_nothing_can_be_written_is_said_when_it_is_known(opened, clock, monkeypatch):
    journal = opened()
    writer = journal._writer
    await settled_job(journal, lambda: writer._refuse(OSError(5, "I/O")))
    assert (journal.stats().state, journal.stats().cause) == ("failing", "")
    monkeypatch.setattr(writer_module, "blocked", lambda path: path.parent)
    await settled_job(journal, writer.publish)
    assert journal.stats().cause == "permission"
    await settled_job(journal, lambda: writer._refuse(error_of("SQLITE_FULL")))
    assert (journal.stats().state, journal.stats().cause) == ("full", "")


async def test_whatever_fails_between_jobs_is_tried_again_soon(opened, clock, monkeypatch):
    journal = opened()
    writer = journal._writer
    for error in (JournalDamaged("spoilt"), OSError(5, "I/O"), error_of("SQLITE_IOERR"), IndexError("x")):

        def fail(error=error):
            raise error

        monkeypatch.setattr(writer.housekeeping, "slice", fail)
        assert await settled_job(journal, writer.idle) == RETRY
    monkeypatch.undo()
    writer.housekeeping._rest_until = 0
    assert await settled_job(journal, writer.idle) != RETRY


async def test_a_closed_journal_says_so(opened, clock):
    journal = opened()
    await fill(journal, clock, 1)
    writer = journal._writer
    await journal.close()
    assert writer.idle() == RETRY
    with pytest.raises(JournalError, match="is closed"):
        writer.current.attach()
    assert journal.newest == (journal.stats().epoch, 1), "what was known is still known"
    assert journal.backlog("city").batches == 1
