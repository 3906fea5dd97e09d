"""A commit that fails in the middle: whether its batches are in the file decides, never what was tried before
it.
"""

import asyncio
import sqlite3

import pytest
from journal_data import small, until

from gateway import wire
from gateway.errors import JournalFull
from gateway.journal.file import epochs, missing
from gateway.journal.file.batch_table import Tally
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.recovered import Recovered
from gateway.journal.file.store import JournalStore
from gateway.journal.recovery.cases import Case
from gateway.model import Draft, Event


def io_error():
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error


def once(monkeypatch, owner, name, *, after=False, times=1):
    """The function fails so many times, before it has done its work or after it."""
    plain = getattr(owner, name)
    left = [times]

    def failing(*arguments, **more):
        left[0] -= 1
        if after and left[0] >= 0:
            plain(*arguments, **more)
        if left[0] >= 0:
            raise io_error()
        return plain(*arguments, **more)

    monkeypatch.setattr(owner, name, failing)
    return left


async def values(journal):
    rows = await journal.unsettled("city", limit=1000)
    return [
        reading.values["active_energy_import"] for row in rows for reading in wire.decode(row.body).readings
    ]


BEFORE = [
    pytest.param(missing, "untold", id="before anything was encoded"),
    pytest.param(epochs, "untold", id="before what is gone was asked for"),
    pytest.param(Recovered, "write_marks", id="within the transaction"),
    pytest.param(JournalStore, "insert", id="at the first row"),
]


@pytest.mark.parametrize(("owner", "name"), BEFORE)
async def test_a_commit_that_was_not_made_is_made_again_and_nothing_else_is_taken_for_it(
    opened, clock, monkeypatch, owner, name
):
    journal = opened()
    [first] = await journal.commit(small(value=1.0, keep=True))
    left = once(monkeypatch, owner, name)
    [second] = await journal.commit(small(value=2.0, keep=True))
    assert left[0] < 0
    assert (first.seq, second.seq) == (1, 2)
    assert second.body != first.body
    assert await values(journal) == [1.0, 2.0]
    assert journal.stats().taken == 2


AFTER = [
    pytest.param(Tally, "taken", id="before it was counted"),
    pytest.param(JournalFile, "_dropped", id="before what made room was noted"),
]


@pytest.mark.parametrize(("owner", "name"), AFTER)
async def test_a_commit_that_was_made_after_all_is_not_made_twice(opened, clock, monkeypatch, owner, name):
    journal = opened()
    await journal.commit(small(value=1.0))
    left = once(monkeypatch, owner, name)
    [second] = await journal.commit(small(value=2.0))
    assert left[0] == 0
    assert second.seq == 2
    [third] = await journal.commit(small(value=3.0))
    assert third.seq == 3
    assert await values(journal) == [1.0, 2.0, 3.0]
    assert journal.stats().taken == 3


async def test_a_doubt_is_resolved_when_nobody_waits_any_more(opened, clock, monkeypatch):
    """The disk refuses for a while, right behind a commit that was made: it is found, and told late."""
    journal = opened()
    late = []
    journal.on_late = late.extend
    await journal.commit(small(value=1.0))
    once(monkeypatch, Tally, "taken")
    current = journal._writer.current
    opens = once(monkeypatch, current, "_open", times=3)
    with pytest.raises(JournalFull):
        await journal.commit(small(value=2.0))
    assert journal.stats().state == "failing"
    await until(lambda: late)
    assert opens[0] < 0
    assert [(row.seq, row.readings) for row in late] == [(2, 1)]
    assert journal.stats().state == "ok"
    assert (journal.stats().waiting, journal.stats().dropped) == (0, 0)
    assert await values(journal) == [1.0, 2.0]


async def test_an_epoch_that_was_to_begin_begins_with_the_second_attempt(opened, clock, monkeypatch):
    journal = opened()
    [first] = await journal.commit(small(value=1.0))
    await journal.new_epoch("conflict")
    once(monkeypatch, JournalStore, "insert")
    [second] = await journal.commit(small(value=2.0))
    assert second.epoch != first.epoch
    [event] = [event for event in wire.decode(second.body).events if event.kind == "epoch_started"]
    assert event.fields == {"previous": first.epoch, "last": 1, "reason": "conflict"}
    [third] = await journal.commit(small(value=3.0))
    assert third.epoch == second.epoch
    assert journal.epochs() == [(first.epoch, 1, 1), (second.epoch, 2, 3)]


async def test_an_epoch_that_has_begun_after_all_does_not_begin_twice(opened, clock, monkeypatch):
    journal = opened()
    [first] = await journal.commit(small(value=1.0))
    await journal.new_epoch("conflict")
    once(monkeypatch, Tally, "taken")
    [second] = await journal.commit(small(value=2.0))
    [third] = await journal.commit(small(value=3.0))
    assert journal.epochs() == [(first.epoch, 1, 1), (second.epoch, 2, 3)]
    assert third.epoch == second.epoch


async def test_what_the_journal_has_to_say_is_said_with_the_attempt_that_succeeds(
    opened, clock, monkeypatch, tmp_path
):
    journal = opened()
    await journal.commit(small(value=1.0))
    notice = Event("salvaged", clock.now, {"file": "0001", "rows": 3})
    journal._writer.current.notices.append((notice, case := Case(tmp_path / "0001")))
    once(monkeypatch, JournalStore, "insert")
    [second] = await journal.commit(small(value=2.0))
    [third] = await journal.commit(Draft(events=[Event("door", clock.now)]))
    assert case.told
    said = [[event.kind for event in wire.decode(row.body).events] for row in (second, third)]
    assert said == [["salvaged"], ["door"]]


async def test_a_disk_that_goes_on_refusing_is_not_asked_for_ever(opened, clock, monkeypatch):
    journal = opened()
    await journal.commit(small(value=1.0))
    # Its job may go on for a moment after the answer, and would try what comes meanwhile.
    await asyncio.wrap_future(journal._thread.call(lambda: None))
    left = once(monkeypatch, JournalStore, "insert", times=1000)
    with pytest.raises(JournalFull, match="disk I/O error"):
        await journal.commit(small(value=2.0))
    assert 1000 - left[0] == 2, "one attempt more, in the file that was opened anew"
    monkeypatch.undo()
    await until(lambda: journal.stats().state == "ok" and not journal.stats().waiting)
    assert await values(journal) == [1.0, 2.0]


async def test_a_draft_that_cannot_be_encoded_does_not_hold_up_the_others(opened, clock):
    journal = opened()
    await journal.commit(small(value=1.0))
    spoilt = small(value=2.0)
    spoilt.readings[0].values["active_energy_import"] = object()
    commits = [journal.commit(draft) for draft in (small(value=3.0), spoilt, small(value=4.0))]
    first, second, third = await asyncio.gather(*commits, return_exceptions=True)
    assert isinstance(second, TypeError)
    assert [row.seq for row in (*first, *third)] == [2, 3]
    assert await values(journal) == [1.0, 3.0, 4.0]
    assert (journal.stats().dropped, journal.stats().not_taken) == (1, 1)
    # It is counted, and the platform is told.
    [row] = await journal.commit(small(value=5.0))
    events = [event for seq in range(2, row.seq + 1) for event in await events_of(journal, seq)]
    assert [event.fields for event in events if event.kind == "not_taken"] == [{"readings": 1}]


async def events_of(journal, seq):
    [row] = await journal.find(journal.epoch, seq, seq)
    return wire.decode(row.body).events
