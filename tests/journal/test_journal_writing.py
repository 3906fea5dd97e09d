"""What the writer does when a commit fails: makes room, opens the file anew, or keeps what waits."""

import asyncio
import sqlite3
import threading
from types import SimpleNamespace

import pytest
from journal_data import Building, HandClock, small, until

from gateway import wire
from gateway.errors import JournalBusy, JournalDamaged, JournalError, JournalFull, JournalTooNew
from gateway.journal import writer as writer_module
from gateway.journal.file.store import JournalStore
from gateway.journal.file.thinning import PART, MayDelete
from gateway.journal.lock import is_locked, read_mark
from gateway.journal.pending import PendingDraft
from gateway.journal.writer import REFLECT, RETRY, SPARE, TOGETHER, TRIES
from gateway.model import Draft, Event, Ranges


def error_of(name, text="words of SQLite"):
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = getattr(sqlite3, name)
    return error


class Refusal:
    """Every insertion is refused while `left` is above zero, and counted. The journal tries again by itself
    after an hour, or when it is `over`: nothing depends on how long a test takes.
    """

    def __init__(self, monkeypatch, name="SQLITE_FULL", retry=3600.0):
        monkeypatch.setattr(writer_module, "RETRY", retry)
        self.left = 0
        self.count = 0
        self.error = error_of(name)
        plain = JournalStore.insert

        def insert(store, rows, table="batch"):
            if self.left > 0:
                self.left -= 1
                self.count += 1
                raise self.error
            return plain(store, rows, table)

        monkeypatch.setattr(JournalStore, "insert", insert)

    def over(self, journal):
        self.left = 0
        journal._writer._retry_at = 0


async def settled_job(journal, job=lambda: None):
    """Wait for the journal's thread to have nothing more to do."""
    return await asyncio.wrap_future(journal._thread.call(job))


async def fill(journal, clock, count, meters=2, **more):
    rows = []
    building = Building(meters)
    for _ in range(count):
        clock.now += 10_000
        rows += await journal.commit(building.draft(clock.now), **more)
    await settled_job(journal)
    return rows


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
    refusal.left = 10**6
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
    refusal.left = 10**6
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
    refusal.left = 10**6

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
    refusal.left = 10**6
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
    refusal.left = 10**6
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


async def test_a_trouble_is_said_once_and_its_end_as_well(opened, clock, monkeypatch, caplog):
    journal = opened()
    await fill(journal, clock, 2)
    refusal = Refusal(monkeypatch)
    refusal.left = 10**6
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
    refusal.left = 10**6
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


# -- damage


async def test_damage_that_a_commit_meets_costs_it_nothing(opened, clock, monkeypatch, tmp_path):
    journal = opened()
    await fill(journal, clock, 3)
    refusal = Refusal(monkeypatch)
    refusal.error, refusal.left = JournalDamaged("spoilt"), 1
    [row] = await journal.commit(small())
    assert row.seq == 4
    assert [case.reason for case in journal.stats().damaged] == ["spoilt"]
    assert (tmp_path / "damaged" / "0001" / "journal.db").exists()
    assert journal.stats().state == "ok"


async def test_damage_that_cannot_be_moved_aside_is_not_tried_again_at_once(opened, clock, monkeypatch):
    journal = opened()
    await fill(journal, clock, 3)
    refusal, tried = Refusal(monkeypatch), []
    refusal.error, refusal.left = JournalDamaged("spoilt"), 10**6

    def replace(reason):
        tried.append(reason)
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(journal._writer.current, "replace", replace)
    with pytest.raises(JournalFull, match="Read-only file system"):
        await journal.commit(small())
    # As many attempts as there were jobs: the commit's own, and one before it that had not ended yet.
    await settled_job(journal)
    assert len(tried) <= 2
    assert journal.stats().waiting == 1


async def test_a_stop_looks_once_more_whether_the_file_can_be_found_again(opened, clock, tmp_path):
    journal = opened()
    rows = await fill(journal, clock, 3)
    (tmp_path / "journal.db").rename(tmp_path / "moved.db")
    (tmp_path / "journal.db-wal").unlink()
    await journal.close()
    journal = opened()
    assert await journal.find(rows[0].epoch, 1, 3, 9) == rows


async def test_the_lock_of_a_folder_that_was_left_is_let_go(opened, clock, tmp_path):
    journal = opened(tmp_path / "state")
    await fill(journal, clock, 3)
    (tmp_path / "state").rename(tmp_path / "before")
    await settled_job(journal, journal._writer.current.check_names)
    assert is_locked(tmp_path / "state")
    assert not is_locked(tmp_path / "before")


async def test_a_log_that_is_another_files_is_no_part_of_the_one_that_lost_its_name(opened, clock, tmp_path):
    journal = opened()
    await fill(journal, clock, 3)
    for name in ("journal.db", "journal.db-wal"):
        (tmp_path / name).unlink()
    (tmp_path / "journal.db-wal").write_bytes(b"somebody else's")
    await settled_job(journal, journal._writer.current.check_names)
    assert not (tmp_path / "damaged" / "0001" / "journal.db-wal").exists()
    assert [case.name for case in journal.stats().damaged] == ["0001", "0002"]


async def test_a_question_that_meets_damage_is_asked_once_more_of_the_new_file(opened, clock):
    journal = opened()
    await fill(journal, clock, 3)
    asked = []

    def question(file):
        asked.append(file)
        if len(asked) == 1:
            raise JournalDamaged("spoilt")
        return 7

    assert await journal._ask(question) == 7
    assert len(set(asked)) == 2
    asked.clear()

    def always(file):
        asked.append(file)
        raise JournalDamaged("spoilt again")

    with pytest.raises(JournalError, match="is not open"):
        await journal._ask(always)
    assert len(asked) == 2
    with pytest.raises(JournalError, match="cannot be read: words of SQLite"):
        await journal._ask(lambda _: (_ for _ in ()).throw(error_of("SQLITE_IOERR")))


# -- what a reload changes


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
