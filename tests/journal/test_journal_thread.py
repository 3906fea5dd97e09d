"""The journal's thread: one job after the other, a state that is there before its answer, and an end that
leaves nobody waiting.
"""

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest
from journal_data import small, until

from gateway.errors import JournalError
from gateway.journal.thread import JournalThread


class Log(list):
    """What happened, in order."""

    def thread(self, idle=lambda: 10.0):
        return JournalThread(idle, lambda: self.append("ended"))


def test_jobs_run_in_order_and_the_end_of_each_is_said_before_its_outcome():
    log = Log()
    thread = log.thread()
    gate = threading.Event()
    thread.call(gate.wait)
    first = thread.call(log.append, "first")
    second = thread.call(lambda: [*log])
    failing = thread.call(lambda: 1 / 0)
    log.clear()
    gate.set()
    assert second.result(10) == ["ended", "first", "ended"]
    assert first.result(10) is None
    with pytest.raises(ZeroDivisionError):
        failing.result(10)
    assert log[:5] == ["ended", "first", "ended", "ended", "ended"]
    thread.stop()


def test_whoever_waits_at_the_end_is_answered():
    log = Log()
    thread = log.thread()
    gate = threading.Event()
    thread.call(gate.wait)
    queued = [thread.call(log.append, number) for number in range(5)]
    stopping = threading.Thread(target=thread.stop)
    stopping.start()
    # What had been asked before the end is done; what comes behind it is not, and nobody waits for it in
    # vain.
    late = []
    while not late or not late[-1].cancelled():
        late.append(thread.call(log.append, "late"))
    gate.set()
    stopping.join(30)
    assert not stopping.is_alive()
    assert [each.result(0) for each in queued] == [None] * 5
    assert all(each.done() for each in late)
    assert log.count("late") == len(late) - 1
    with pytest.raises(CancelledError):
        thread.call(log.append, "after the end").result(0)


def test_a_thread_that_dies_leaves_nobody_waiting(monkeypatch):
    died = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    gate = threading.Event()

    def die(_):
        assert gate.wait(60)
        raise MemoryError

    monkeypatch.setattr(JournalThread, "_work", die)
    thread = JournalThread(lambda: 10.0, lambda: None)
    waiting = [thread.call(lambda: None) for _ in range(3)]
    gate.set()
    for each in waiting:
        with pytest.raises(CancelledError):
            each.result(30)
    thread.stop()
    assert died[0].exc_type is MemoryError
    assert thread.call(lambda: None).cancelled()


def test_what_fails_between_jobs_ends_nothing(caplog):
    gate = threading.Event()

    def fail():
        gate.set()
        raise ValueError("nobody thought of this")

    thread = JournalThread(fail, fail)
    assert gate.wait(30)
    assert thread.call(lambda: 7).result(30) == 7
    thread.stop()
    assert "failed in an unforeseen way" in caplog.text
    assert "could not be brought up to date" in caplog.text


async def test_questions_that_wait_when_the_journal_closes_are_answered(opened, clock):
    journal = opened()
    await journal.commit(small(uptime=clock.now))
    gate = threading.Event()
    # Its job may go on for a moment after the answer, and would take what comes meanwhile.
    await asyncio.wrap_future(journal._thread.call(lambda: None))
    journal._thread.call(gate.wait)
    asked = [asyncio.create_task(journal.unsettled("city")) for _ in range(3)]
    taken = asyncio.create_task(journal.commit(small(uptime=clock.now)))
    closing = asyncio.create_task(journal.close())
    await asyncio.sleep(0)
    behind = [asyncio.create_task(journal.find(journal.epoch, 1, 1)) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(60):
        await closing
        assert [len(rows) for rows in await asyncio.gather(*asked)] == [1, 1, 1]
        assert [row.seq for row in await taken] == [2]
        for question in behind:
            with pytest.raises(JournalError, match=r"is not open|is closed"):
                await question
        with pytest.raises(JournalError, match="is closed"):
            await journal.unsettled("city")


async def test_the_state_is_there_before_the_answer(opened, clock):
    journal = opened()
    epoch = journal.epoch
    assert (journal.newest, journal.stats().epochs) == (("", 0), ())
    for number in range(1, 200):
        [row] = await journal.commit(small(uptime=clock.now), carry={"n": number})
        stats = journal.stats()
        assert journal.newest == (row.epoch, row.seq) == (epoch, number)
        assert (stats.taken, stats.batches, journal.backlog("city").batches) == (
            number,
            number,
            min(number, 51),
        )
        assert (journal.epochs(), journal.carried) == ([(epoch, 1, number)], {"n": number})
        assert journal.synced == (row.t0, row.uptime, row.boot)
        await journal.settle("city", epoch, [(1, number - 50)] if number > 50 else [])
        assert journal.backlog("city").batches == min(number, 50)
    assert journal.known_uplinks() == ("city",)
    await journal.new_epoch("conflict")
    assert journal.epoch != epoch
    assert journal.newest == (epoch, 199)
    stats = journal.stats()
    assert stats is journal.stats(), "one value, replaced as a whole"
    [row] = await journal.commit(small(uptime=clock.now))
    assert stats.seq == 199
    assert journal.epochs() == [(epoch, 1, 199), (row.epoch, 200, 200)]


async def test_the_state_of_a_refusal_is_there_before_the_refusal(opened, clock, tmp_path, monkeypatch):
    journal = opened()
    await journal.commit(small(uptime=clock.now))
    writer = journal._writer

    def full(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(writer, "_attach", full)
    for number in range(1, 6):
        with pytest.raises(JournalError):
            await journal.commit(small(uptime=clock.now))
        stats = journal.stats()
        assert (stats.state, stats.waiting) == ("failing", number)
        assert "Read-only file system" in stats.error
    monkeypatch.undo()
    await until(lambda: journal.stats().state == "ok" and not journal.stats().waiting)
    assert journal.stats().seq == 6


async def test_what_the_api_says_is_json_without_what_is_the_daemons_own(opened, clock):
    journal = opened()
    [row] = await journal.commit(small(uptime=clock.now), carry={"pulses": {"su": 5}})
    said = journal.stats().to_json()
    assert said["epochs"] == [{"epoch": row.epoch, "first": 1, "last": 1}]
    assert (said["epoch"], said["seq"], said["state"]) == (row.epoch, 1, "ok")
    assert said["backlog"] == {"city": {"batches": 1, "readings": 1, "oldest_t0": row.t0}}
    assert not {"carried", "synced", "next_epoch", "known_uplinks"} & set(said)
