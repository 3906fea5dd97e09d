"""A journal that cannot answer for a moment, or leaves something out, costs time and never a batch."""

import asyncio
import time

import pytest
from test_uplink_journal import Feed, pump, values
from uplink_parts import FakeClock, Running, Store, config, outbox, row

from gateway.errors import JournalError
from gateway.journal import Journal
from gateway.model import Ranges
from gateway.mqtt.double import MemoryLink
from gateway.uplink.outgoing import queues
from gateway.uplink.outgoing.queues import CHUNK, STALLED, Queues

COUNT = 2 * CHUNK + 50


@pytest.mark.parametrize("seconds", [0.1, 1.5])
async def test_a_file_that_is_closed_amid_the_backlog_is_no_end_of_it(seconds, tmp_path, caplog):
    clock, store, link = FakeClock(), Store(), MemoryLink()
    journal = Journal.open(tmp_path, gateway="gw1", clock=clock, uplinks=["city"])
    feed = Feed(journal, clock)
    for _ in range(COUNT):
        await feed.commit()
    writer = journal._writer

    def close_it():
        writer._retry_at = time.monotonic() + seconds
        writer.current.let_go()

    try:
        async with Running(config(receipts=["city"]), journal, clock=clock, link=link) as run:
            await pump(link, store, lambda: len(values(store)) >= 100)
            assert len(values(store)) < COUNT
            await asyncio.wrap_future(journal._thread.call(close_it))
            assert journal.backlog("city").batches > 0, "closed for a moment is not empty"
            with pytest.raises(JournalError, match="is not open"):
                await journal.unsettled("city")
            await pump(link, store, lambda: len(values(store)) == COUNT)
            await pump(link, store, lambda: run.stats.backlog_batches == 0)
            await pump(link, store, lambda: run.stats.last_error == "")
            assert len(link.opened) == 1, "on the same connection"
    finally:
        await journal.close()
    assert values(store) == [float(n) for n in range(1, COUNT + 1)]
    assert caplog.text.count("the journal cannot be asked") <= 1


async def test_a_conflict_that_the_journal_could_not_follow_is_followed_later():
    box, store, link = outbox(3), Store(), MemoryLink()
    store.take(row(2, value=99).body)
    refusals = [JournalError("the disk sleeps", hint="wait")] * 3
    drawn = box.new_epoch

    async def new_epoch(reason):
        if refusals:
            raise refusals.pop()
        await drawn(reason)

    box.new_epoch = new_epoch
    async with Running(config(receipts=["city"]), box, link=link):
        await pump(link, store, lambda: box.reasons and len(values(store)) == 4)
    assert refusals == []
    assert box.reasons == ["conflict"]
    assert values(store) == [1.0, 2.0, 3.0, 99.0]


class Box:
    """An outbox whose next answers are written down."""

    newest = ("00000000000000a1", 9)

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def unsettled(self, _, *, after, limit):
        self.asked.append(after)
        assert limit == CHUNK
        return self.answers.pop(0) if self.answers else []

    async def salvaged(self, _, *, limit):
        assert limit == CHUNK
        return []


def drained(made, now):
    made.read_again(3, now)
    return made


async def test_what_an_answer_left_out_is_asked_for_again_after_a_while_and_ever_more_seldom():
    box = Box()
    made = Queues("city", box, lambda _: False)
    made.begin()
    await made.refill(0.0)
    assert not made.low
    assert not made.waiting
    assert not drained(made, 0.0).low
    assert not drained(made, STALLED - 1).low
    assert drained(made, STALLED).low
    # Nothing came of it: twice as long.
    await made.refill(STALLED)
    start = STALLED + 1
    drained(made, start)
    assert not drained(made, start + 2 * STALLED - 1).low
    assert drained(made, start + 2 * STALLED).low
    box.answers = [[row(3)]]
    await made.refill(0.0)
    assert made.next_waiting() == row(3)
    await made.refill(0.0)
    # Something came of it: patience is as it was.
    drained(made, 500.0)
    assert drained(made, 500.0 + STALLED).low


async def test_what_is_in_hand_or_settled_is_no_reason_to_ask_again():
    box = Box([row(1)])
    made = Queues("city", box, lambda _: False)
    made.begin()
    await made.refill(0.0)
    await made.refill(0.0)
    assert made.waiting
    drained(made, 0.0)
    drained(made, 10 * STALLED)
    assert made.waiting, "not read anew"
    made.next_waiting()
    for now in (0.0, 100 * STALLED, 200 * STALLED):
        made.read_again(0, now)
    assert not made.low


async def test_an_outbox_that_forgets_for_a_while_is_asked_until_all_is_there(monkeypatch):
    monkeypatch.setattr(queues, "STALLED", 0.2)
    box, store, link = outbox(20), Store(), MemoryLink()
    box.settled["city", row(1).epoch] = Ranges()
    real, lies = box.unsettled, [True, True]

    async def unsettled(uplink, /, *, after=0, limit=50):
        return [] if lies and lies.pop() else await real(uplink, after=after, limit=limit)

    box.unsettled = unsettled
    async with Running(config(receipts=["city"]), box, link=link):
        await pump(link, store, lambda: len(values(store)) == 20)
        assert len(link.opened) == 1
