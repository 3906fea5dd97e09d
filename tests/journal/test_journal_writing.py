"""What the writer does when a commit fails: makes room, opens the file anew, or keeps what waits."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from journal_data import Building, small, until
from journal_rest import fill, settled_job

from gateway import wire
from gateway.errors import JournalFull, JournalTooNew
from gateway.journal import writer as writer_module
from gateway.journal.file.store import JournalStore
from gateway.journal.file.thinning import PART, MayDelete
from gateway.journal.pending import PendingDraft
from gateway.journal.writer import REFLECT, RETRY, SPARE, TOGETHER, TRIES
from gateway.model import Ranges
from tests.refusing_store import ALWAYS, Refusal, error_of


async def test_on_a_full_disk_what_was_delivered_makes_room_and_the_same_commit_succeeds(
    opened, clock, monkeypatch, tmp_path
):
    journal = opened(budget=64 << 20)
    rows = await fill(journal, clock, 60)
    await until((tmp_path / "journal.ballast").exists)
    await journal.settle("city", journal.epoch, Ranges([(1, 40)]))
    refusal, disk = Refusal(monkeypatch), journal._writer.disk
    given_up = []
    drop, checkpoint, order = disk.drop, JournalStore.checkpoint, []
    monkeypatch.setattr(
        disk, "drop", lambda: (given_up.append(disk.ballast_bytes()), order.append("ballast"), drop())
    )

    def counted(store, mode="PASSIVE"):
        order.append("checkpoint")
        checkpoint(store, mode)

    monkeypatch.setattr(JournalStore, "checkpoint", counted)
    refusal.left = 1
    assert not disk.tight
    [row] = await journal.commit(small())
    assert row.seq == 61
    assert (given_up, disk.tight) == ([1 << 20], True)
    assert order == ["ballast", "checkpoint", "checkpoint"], "before the rows are deleted and after it"
    assert disk.ballast_bytes() > 0, "it is taken back at once"
    stats = journal.stats()
    assert (stats.state, stats.waiting, stats.thinned) == ("ok", 0, 0)
    gone = await journal.explain(journal.epoch, 1, 61)
    assert [reason for *_, reason in gone] == ["delivered"]
    # A lot is a part of the budget, here more than all that was delivered.
    assert gone[0][:2] == (1, 40)
    assert (await journal.find(journal.epoch, 41, 60, 50)) == rows[40:]


async def test_on_a_full_disk_undelivered_batches_stay_and_readings_wait(opened, clock, monkeypatch):
    journal = opened()
    await fill(journal, clock, 20)
    refusal = Refusal(monkeypatch)
    refusal.left = ALWAYS
    with pytest.raises(JournalFull, match=r"disk of .* is full"):
        await journal.commit(small())
    stats = journal.stats()
    assert (stats.state, stats.room_days, stats.waiting, stats.batches) == ("full", 0.0, 1, 20)
    assert refusal.count == 1, "there is nothing to be done, so nothing is tried again"
    assert "make room on it" in stats.error
    refusal.over(journal)
    late = []
    journal.on_late = late.extend
    await until(lambda: late)
    assert [row.seq for row in late] == [21]
    assert (journal.stats().state, journal.stats().error) == ("ok", "")


async def test_when_memory_is_half_full_undelivered_batches_make_room(opened, clock, monkeypatch, caplog):
    journal = opened(budget=5_000_000)
    await fill(journal, clock, 60)
    writer, refusal = journal._writer, Refusal(monkeypatch)
    monkeypatch.setattr(type(writer.pending), "pressed", True)
    refusal.left = 1
    [row] = await journal.commit(small())
    assert row.seq == 61
    assert journal.stats().thinned > 0
    assert (await journal.explain(journal.epoch, 1, 3))[0][2] == "thinned"
    assert "the oldest batches make room undelivered" in caplog.text


async def test_a_disk_that_stays_full_is_not_emptied_for_one_commit(opened, clock, monkeypatch):
    journal = opened(budget=1_000_000)
    await fill(journal, clock, 300)
    await journal.settle("city", journal.epoch, Ranges([(1, 300)]))
    await settled_job(journal)
    refusal = Refusal(monkeypatch)
    refusal.left = ALWAYS
    with pytest.raises(JournalFull, match="is full"):
        await journal.commit(small())
    assert refusal.count in {TRIES + 1, 2 * (TRIES + 1)}
    assert journal.stats().batches > 100, "a lot at a time"


async def test_room_that_cannot_be_made_is_no_reason_to_try_on(opened, clock, monkeypatch, caplog):
    journal = opened()
    await fill(journal, clock, 20)
    await journal.settle("city", journal.epoch, Ranges([(1, 20)]))
    await settled_job(journal)
    refusal = Refusal(monkeypatch)
    refusal.left = ALWAYS

    def refuse(*_):
        raise error_of("SQLITE_FULL")

    monkeypatch.setattr(JournalStore, "checkpoint", refuse)
    with pytest.raises(JournalFull, match="is full"):
        await journal.commit(small())
    assert refusal.count == 1
    assert "no room could be made" in caplog.text
    assert journal.stats().batches == 20


async def test_while_the_disk_is_full_the_file_does_not_grow_as_long_as_something_may_go(opened, clock):
    journal = opened()
    await fill(journal, clock, 300)
    writer = journal._writer
    await journal.settle("city", journal.epoch, Ranges([(1, 290)]))
    writer.disk.tight = True
    file = writer.current.file
    free, page = await settled_job(journal, lambda: (file.store.free, file.store.page))
    assert free // page < SPARE
    assert writer._may_delete(file) is MayDelete.DELIVERED
    size = await settled_job(journal, lambda: file.store.size)
    await fill(journal, clock, 5)
    assert (await journal.explain(journal.epoch, 1, 1))[0][2] == "delivered"
    assert await settled_job(journal, lambda: file.store.size) <= size + page * 8
    # What was deleted left many free pages: no more goes until they are used.
    free = await settled_job(journal, lambda: file.store.free)
    assert free // page >= SPARE
    assert await settled_job(journal, lambda: writer._may_delete(file)) is MayDelete.NOTHING
    writer.disk.tight = False
    assert await settled_job(journal, lambda: writer._may_delete(file)) is MayDelete.NOTHING


async def test_a_lot_is_a_part_of_the_budget_or_what_is_above_it(opened):
    journal = opened(budget=1_000_000)
    writer = journal._writer
    writer.used = 900_000
    assert writer._lot() == 1_000_000 // PART
    writer.used = 1_300_000
    assert writer._lot() == 300_000
    file = writer.current.file
    writer.used = 1_000_000
    assert await settled_job(journal, lambda: writer._may_delete(file)) is MayDelete.NOTHING
    writer.used = 1_000_001
    assert await settled_job(journal, lambda: writer._may_delete(file)) is MayDelete.UNDELIVERED
    writer.used, writer.disk.tight = 0, True
    for pages, may in (
        (0, MayDelete.DELIVERED),
        (SPARE - 1, MayDelete.DELIVERED),
        (SPARE, MayDelete.NOTHING),
    ):
        store = SimpleNamespace(free=pages * 1024 + 1023, page=1024)
        assert writer._may_delete(SimpleNamespace(store=store)) is may


async def test_a_disk_that_refuses_is_given_one_more_attempt_with_the_file_opened_anew(
    opened, clock, monkeypatch
):
    journal = opened()
    await fill(journal, clock, 3)
    writer, refusal = journal._writer, Refusal(monkeypatch, "SQLITE_IOERR_WRITE")
    before = writer.current.file
    refusal.left = 1
    [row] = await journal.commit(small())
    assert (row.seq, refusal.count) == (4, 1)
    assert writer.current.file is not before
    refusal.left = ALWAYS
    await settled_job(journal)
    with pytest.raises(JournalFull, match="cannot be written"):
        await journal.commit(small())
    assert refusal.count - 1 in {2, 4}
    assert journal.stats().state == "failing"
    assert journal.stats().room_days is None


async def test_what_waits_is_tried_again_after_a_while_and_not_before(opened, clock, monkeypatch):
    journal = opened()
    await fill(journal, clock, 3)
    writer, refusal = journal._writer, Refusal(monkeypatch, retry=RETRY)
    now = [1000.0]
    monkeypatch.setattr(writer_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    refusal.left = ALWAYS
    with pytest.raises(JournalFull):
        await journal.commit(small())
    count = refusal.count
    refusal.left = 0

    def idle():
        writer.idle()
        return len(writer.pending)

    now[0] = 1000.0 + RETRY - 0.1
    assert await settled_job(journal, idle) == 1
    assert refusal.count == count
    now[0] = 1000.0 + RETRY
    assert await settled_job(journal, idle) == 0
    assert journal.stats().state == "ok"
    # What refuses while it is tried again is told, and left for a while, too.
    monkeypatch.setattr(
        writer, "_attach", lambda: (_ for _ in ()).throw(OSError(30, "Read-only file system"))
    )
    await settled_job(journal, lambda: (writer.pending.add(PendingDraft(small(), None)), writer.idle()))
    assert (journal.stats().state, writer._retry_at) == ("failing", now[0] + RETRY)
    # A file that only a person can change is asked more seldom.
    newer = JournalTooNew("newer", hint="install it")
    await settled_job(journal, lambda: writer._refuse(newer))
    assert (journal.stats().state, writer._retry_at) == ("newer", now[0] + REFLECT)
    await settled_job(journal, lambda: writer._refuse(OSError(5, "I/O")))
    assert (journal.stats().state, writer._retry_at) == ("failing", now[0] + RETRY)


async def test_what_has_waited_in_memory_and_comes_at_once_is_no_faster_pace(opened, clock, monkeypatch):
    journal = opened()
    refusal, building = Refusal(monkeypatch), Building(2)
    refusal.left = ALWAYS
    for _ in range(60):
        clock.now += 10_000
        with pytest.raises(JournalFull):
            await journal.commit(building.draft(clock.now))
    refusal.over(journal)
    late = []
    journal.on_late = late.extend
    await until(lambda: len(late) == 60)
    await fill(journal, clock, 3)
    pace = journal._writer._growth.per_day()
    assert pace == pytest.approx(8640, rel=0.05), "a batch in ten seconds, however late they came"


async def test_a_trouble_is_said_once_and_its_end_as_well(opened, clock, monkeypatch, caplog):
    journal = opened()
    await fill(journal, clock, 2)
    refusal = Refusal(monkeypatch)
    refusal.left = ALWAYS
    for _ in range(4):
        with pytest.raises(JournalFull):
            await journal.commit(small())
    said = [record for record in caplog.records if "takes no readings" in record.message]
    assert len(said) == 1
    assert said[0].exc_info is None
    refusal.over(journal)
    await until(lambda: journal.stats().state == "ok")
    assert sum("takes readings again" in record.message for record in caplog.records) == 1
    writer = journal._writer
    await settled_job(journal, lambda: writer._refuse(RuntimeError("nobody thought of this")))
    said = [record for record in caplog.records if "takes no readings" in record.message]
    assert (len(said), said[1].exc_info is not None) == (2, True)


async def test_drafts_that_came_together_are_committed_together_and_in_order(opened, clock, monkeypatch):
    journal = opened()
    await fill(journal, clock, 1)
    plain, sizes = JournalStore.insert, []
    monkeypatch.setattr(
        JournalStore,
        "insert",
        lambda store, rows, table="batch": sizes.append(len(rows)) or plain(store, rows, table),
    )
    gate = threading.Event()
    journal._thread.call(gate.wait)
    count = TOGETHER + 9
    tasks = [asyncio.create_task(journal.commit(small(value=float(n)), {"n": n})) for n in range(count)]
    await asyncio.sleep(0)
    gate.set()
    rows = [row for [row] in await asyncio.gather(*tasks)]
    assert [row.seq for row in rows] == list(range(2, count + 2))
    assert sizes == [TOGETHER, 9]
    values = [wire.decode(row.body).readings[0].values["active_energy_import"] for row in rows]
    assert values == [float(n) for n in range(count)]
    assert journal.carried == {"n": count - 1}


async def test_what_was_let_go_is_told_once_with_the_next_batch(opened, clock, monkeypatch):
    journal = opened()
    await fill(journal, clock, 1)
    writer, refusal = journal._writer, Refusal(monkeypatch)
    writer.pending._most = 1
    refusal.left = ALWAYS
    for _ in range(3):
        with pytest.raises(JournalFull):
            await journal.commit(Building(2).draft(clock.now))
    assert (journal.stats().dropped, journal.stats().waiting, writer.pending.untold) == (6, 0, 6)
    refusal.over(journal)
    [row] = await journal.commit(small())
    [next_row] = await journal.commit(small())
    events = [[(e.kind, e.fields) for e in wire.decode(each.body).events] for each in (row, next_row)]
    assert events == [[("not_taken", {"readings": 6})], []]
    assert (writer.pending.untold, journal.stats().dropped) == (0, 6)
