"""Where the next batch comes from: what is live, what is backlog, and what a new beginning must not lose."""

import asyncio

from uplink_parts import E1, E2, outbox, row

from gateway.model import Ranges
from gateway.uplink import MemoryJournal
from gateway.uplink.delivery.delivery import Delivery
from gateway.uplink.delivery.window import key_of
from gateway.uplink.outgoing.queues import CHUNK, MAX_LIVE, SALVAGE_EVERY, STALLED, Queues
from gateway.wire import Receipt
from tests.waiting import until


def sources(box, skip=lambda _: False):
    found = Queues("city", box, skip)
    found.begin()
    return found


async def taken(found, now=0.0):
    """Everything that can be had at a time."""
    seqs = []
    for _ in range(100):
        await found.refill(now)
        while (sealed := found.next_live(now) or found.next_waiting()) is not None:
            seqs.append(sealed.seq)
        if not found.low:
            break
    return seqs


async def test_more_live_batches_than_may_wait_are_backlog_and_none_is_lost():
    box = MemoryJournal()
    found = sources(box)
    for seq in range(1, MAX_LIVE + 51):
        box.commit(row(seq))
        found.committed(box.rows[-1], 10.0)
        assert found.live <= MAX_LIVE
    assert found.live < MAX_LIVE
    assert sorted(await taken(found, 10.0)) == list(range(1, MAX_LIVE + 51))


async def test_as_many_live_batches_as_may_wait_stay_live():
    box = MemoryJournal()
    found = sources(box)
    for seq in range(1, MAX_LIVE + 1):
        box.commit(row(seq))
        found.committed(box.rows[-1], 10.0)
    assert found.live == MAX_LIVE
    assert found.live_at == 10.0
    assert found.next_live(9.9) is None, "it is not due"
    assert await taken(found, 10.0) == list(range(1, MAX_LIVE + 1))


class Slow(MemoryJournal):
    """A journal that takes its time to answer."""

    def __init__(self):
        super().__init__()
        self.go = asyncio.Event()
        self.asked = 0

    async def unsettled(self, uplink, /, *, after=0, limit=50):
        self.asked += 1
        rows = await super().unsettled(uplink, after=after, limit=limit)
        await self.go.wait()
        return rows


async def test_a_new_beginning_while_the_journal_is_read_begins_at_the_beginning():
    box = Slow()
    for seq in range(1, 2 * CHUNK + 1):
        box.commit(row(seq))
    found = sources(box)
    box.go.set()
    await found.refill(0.0)
    assert [found.next_waiting().seq for _ in range(CHUNK)] == list(range(1, CHUNK + 1))
    box.go.clear()
    reading = asyncio.create_task(found.refill(0.0))
    await until(lambda: box.asked == 2)
    found.rewind()
    box.go.set()
    await reading
    assert not found.waiting, "what was asked before the beginning is no answer to it"
    assert await taken(found) == list(range(1, 2 * CHUNK + 1))


async def test_what_is_live_is_not_read_as_backlog_too():
    box = outbox(3)
    found = sources(box)
    box.commit(row(4))
    found.committed(box.rows[-1], 0.0)
    assert await taken(found) == [4, 1, 2, 3]
    assert found.live == 0


async def test_a_live_batch_that_is_backlog_already_waits_there():
    box = outbox(3)
    found = sources(box)
    found.committed(box.rows[2], 0.0)
    assert found.live == 0
    assert await taken(found) == [1, 2, 3]


async def test_another_epoch_begins_anew():
    box = outbox(2)
    found = sources(box)
    await taken(found)
    await box.settle("city", E1, Ranges([(1, 2)]))
    box.commit(row(3))
    found.committed(box.rows[-1], 5.0)
    assert found.live == 1
    box.commit(row(4, epoch=E2))
    found.committed(box.rows[-1], 5.0)
    assert found.live == 0
    assert await taken(found) == [3, 4]


async def test_a_backlog_that_is_counted_and_not_in_hand_is_read_again_ever_more_seldom():
    box = outbox(2)
    left = {1}

    def skip(sealed):
        return sealed.seq in left

    found = sources(box, skip)
    assert await taken(found) == [2]
    await box.settle("city", E1, Ranges([(2, 2)]))
    left.clear()
    waits, now = [], 0.0
    for _ in range(3):
        found.read_again(1, now)
        left.clear()
        begin = now
        while not found.low:
            now += 1.0
            found.read_again(1, now)
        waits.append(now - begin)
        left.add(1)
        assert await taken(found) == []
    assert waits == [STALLED, 2 * STALLED, 4 * STALLED]
    left.clear()
    found.rewind()
    assert await taken(found) == [1]
    assert found._patience.wait == STALLED, "something came: patience begins anew"


async def test_without_a_backlog_nothing_is_read_again():
    found = sources(outbox(0))
    found.read_again(0, 0.0)
    found.read_again(0, 10 * STALLED)
    assert not found.low
    found.read_again(1, 20 * STALLED)
    found.read_again(0, 21 * STALLED)
    found.read_again(1, 21 * STALLED + STALLED - 1.0)
    found.read_again(1, 22 * STALLED + 1.0)
    assert not found.low, "the wait begins when the backlog does"


async def test_rows_of_damaged_files_are_looked_for_seldom_while_there_are_none():
    box = outbox(0)
    found = sources(box)
    assert await taken(found, 100.0) == []
    box.rescued = [row(5, epoch=E2)]
    assert await taken(found, 100.0 + SALVAGE_EVERY - 0.1) == []
    assert await taken(found, 100.0 + SALVAGE_EVERY) == [5]


def delivery(count):
    found = Delivery(["city"], 30.0, 60.0)
    rows = [row(seq) for seq in range(1, count + 1)]
    for sealed in rows:
        found.sent(sealed, 0.0)
    found.acknowledged([(key_of(sealed), 0) for sealed in rows], 0.1)
    return found, rows


async def test_a_batch_in_conflict_leaves_the_window_and_may_be_sent_again():
    found, rows = delivery(3)
    assert found.skip(rows[1])
    found.receipt("city", Receipt(epoch=E1, upto=0, have=[[1, 1]], conflicts=[2]), 1.0)
    assert [key_of(entry.sealed) for entry in found._window] == [(E1, 3)]
    assert found.conflicts.reported == [(E1, 2)]
    assert not found.skip(rows[1])
    assert found.settled() == {E1: Ranges([(1, 1)])}


async def test_a_conflict_about_what_was_never_sent_is_nothing():
    found, _ = delivery(2)
    found.receipt("city", Receipt(epoch=E1, upto=0, conflicts=[7]), 1.0)
    found.receipt("city", Receipt(epoch=E2, upto=0, conflicts=[1]), 1.0)
    assert found.conflicts.reported == []
    assert len(found._window) == 2
