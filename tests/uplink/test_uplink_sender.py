"""What goes out next, in which order and when, on virtual time."""

import asyncio
import json
import time

import pytest
from uplink_parts import E1, E2, FakeClock, Running, config, message_of, outbox, row

from gateway.mqtt import MemoryLink
from gateway.mqtt.limits import Limits, packet_size
from gateway.uplink import Timing
from gateway.uplink.delivery.receipts import LAG
from gateway.uplink.outgoing.queues import MAX_LIVE, STALLED, Queues
from gateway.uplink.outgoing.sender import MAX_BESIDE
from gateway.uplink.outgoing.set_aside import AGAIN
from gateway.wire import Receipt, Topics
from tests.waiting import until

pytestmark = pytest.mark.virtual_time
TOPICS = Topics("gw1")
CALM = Timing(patience=500.0, tick=0.05)


def seqs(connection):
    return [message_of(m.payload)["seq"] for m in connection.sent if m.topic == TOPICS.data]


def topics(connection):
    return [message.topic.rpartition("/")[2] for message in connection.sent]


async def opened(link, count=1):
    return await until(lambda: len(link.opened) >= count and link.opened[-1])


def says(connection, consumer, **fields):
    connection.listener.received(TOPICS.receipt(consumer), Receipt(epoch=E1, **fields).to_bytes())


def replay(connection, first, last):
    asked = {"id": "r", "epoch": E1, "from": first, "to": last}
    connection.listener.received(TOPICS.replay, json.dumps(asked).encode())


def replies(connection):
    return [json.loads(m.payload) for m in connection.sent if m.topic == TOPICS.reply]


async def test_after_a_long_outage_the_backlog_begins_at_a_moment_of_its_own():
    link, clock = MemoryLink(), FakeClock()
    box = outbox(3)  # the oldest is 10 000 s old: nothing went out for so long
    options = {"link": link, "clock": clock, "timing": CALM, "chance": lambda: 0.5}
    async with Running(config(spread="60s"), box, **options) as run:
        connection = await opened(link)
        run.commit(row(4))
        await asyncio.sleep(10.0)
        assert seqs(connection) == [4], "what is live does not wait for it"
        await asyncio.sleep(19.0)
        assert seqs(connection) == [4]
        await asyncio.sleep(2.0)
        assert seqs(connection) == [4, 1, 2, 3], "half of the spread, by chance"


async def test_after_a_short_outage_it_begins_at_once():
    link, box = MemoryLink(), outbox(3)
    clock = FakeClock(uptime=100_000)
    options = {"link": link, "clock": clock, "timing": CALM, "chance": lambda: 0.5}
    async with Running(config(spread="60s"), box, **options):
        connection = await opened(link)
        await asyncio.sleep(0.5)
        assert seqs(connection) == [1, 2, 3]


async def test_a_slow_consumer_gets_what_it_lacks_within_two_looks():
    link = MemoryLink()
    async with Running(config(receipts=["city", "mirror"]), outbox(4), link=link, timing=CALM):
        connection = await opened(link)
        await until(lambda: connection.acknowledge() or seqs(connection) == [1, 2, 3, 4])
        connection.acknowledge()
        says(connection, "city", upto=4)
        says(connection, "mirror", upto=2)
        await asyncio.sleep(2 * LAG + 1.0)
        assert 2 * LAG + 1.0 < STALLED
        assert seqs(connection) == [1, 2, 3, 4, 3, 4]
        connection.acknowledge()
        says(connection, "mirror", upto=4)
        await asyncio.sleep(5 * LAG)
        assert len(seqs(connection)) == 6, "nobody lacks anything"


async def test_state_and_meters_stand_in_front_of_no_reading():
    link = MemoryLink()
    async with Running(config(), outbox(60), link=link, timing=CALM):
        connection = await opened(link)
        await until(lambda: len(connection.unacked) == 20)
        assert topics(connection) == ["data"] * 20
        connection.acknowledge(count=1)
        await asyncio.sleep(0.01)
        assert topics(connection)[20:] == ["meters"], "one beside them for what was acknowledged"
        connection.acknowledge(count=2)
        await asyncio.sleep(0.01)
        assert topics(connection)[21:] == ["state", "data"]


async def test_nor_do_they_on_the_next_connection():
    link = MemoryLink()
    async with Running(config(), outbox(24), link=link, timing=CALM):
        first = await opened(link)
        await until(lambda: len(first.unacked) == 20)
        first.acknowledge()
        first.drop()
        second = await opened(link, 2)
        await asyncio.sleep(1.0)
        assert topics(second) == ["data"] * 4, "what was acknowledged there says nothing of this one"
        second.acknowledge(count=1)
        await asyncio.sleep(0.1)
        assert len(topics(second)) == 5


async def test_what_was_refused_for_its_content_goes_again_after_an_hour():
    """Not when the backlog happens to be read again: that is ever more seldom."""
    link = MemoryLink()
    timing = Timing(patience=10.0 * AGAIN, tick=1.0)
    async with Running(config(), outbox(1), link=link, timing=timing) as run:
        connection = await opened(link)
        refused = []
        while run.stats.set_aside == 0:
            data = [message for message in connection.unacked if message.topic == TOPICS.data]
            refused += [message.payload[:1] for message in data]
            connection.acknowledge(0x99)
            await asyncio.sleep(0.5)
        assert refused == [b"x", b"{"], "in both forms"
        await asyncio.sleep(AGAIN - 10.0)
        assert len(seqs(connection)) == 2
        await asyncio.sleep(20.0)
        assert len(seqs(connection)) == 3
        connection.acknowledge()
        await until(lambda: run.stats.delivered_batches == 1)


async def test_what_waits_for_the_clock_is_not_read_again_and_again():
    link, box, reads = MemoryLink(), outbox(3, clock="unsynced"), []
    unsettled = box.unsettled

    async def watched(*args, **options):
        reads.append(args)
        return await unsettled(*args, **options)

    box.unsettled = watched
    clock = FakeClock(synced=False, uptime=5_000)
    async with Running(config(), box, link=link, clock=clock, timing=CALM, hold=10 * STALLED) as run:
        await opened(link)
        await asyncio.sleep(1.0)
        before = len(reads)
        assert run.stats.held == 3
        await asyncio.sleep(4 * STALLED)
        assert len(reads) == before, "it is known what waits, and why"


async def test_it_is_looked_at_what_is_due_once_a_tick(monkeypatch):
    link = MemoryLink()
    async with Running(config(), outbox(0), link=link, timing=Timing(patience=500.0, tick=10.0)) as run:
        connection = await opened(link)
        await asyncio.sleep(0.5)
        ticks, tick = [], run.forwarder._tick
        monkeypatch.setattr(run.forwarder, "_tick", lambda now: (ticks.append(now), tick(now)))
        for seq in range(1, 31):
            run.commit(row(seq))
            await asyncio.sleep(1.0)
            connection.acknowledge()
        assert 2 <= len(ticks) <= 4, "every ten seconds, however often it wakes"


async def test_without_a_batch_to_send_all_that_is_to_be_said_goes_at_once():
    link = MemoryLink()
    async with Running(config(), outbox(0), link=link, timing=CALM):
        connection = await opened(link)
        await asyncio.sleep(0.2)
        assert sorted(topics(connection)) == ["meters", "state"]
        assert {m.retain for m in connection.sent} == {True}


async def test_replies_that_find_no_room_are_bounded_and_the_newest_stay():
    link = MemoryLink()
    async with Running(config(), outbox(0), link=link, timing=CALM) as run:
        connection = await opened(link)
        await asyncio.sleep(0.2)
        sender = run.forwarder._sender
        for number in range(MAX_BESIDE + 5):
            sender.say(TOPICS.reply, str(number).encode())
        sender.say(TOPICS.state, b"1", retain=True)
        sender.say(TOPICS.state, b"2", retain=True)
        waiting = [message.payload for message in sender._beside]
        assert len(waiting) == MAX_BESIDE
        assert waiting[0] == b"6"
        assert waiting[-1] == b"2"
        assert b"1" not in waiting, "an older state is no news any more"
        assert not connection.closed


async def test_replies_to_one_topic_go_one_after_the_other():
    link = MemoryLink()
    async with Running(config(), outbox(3), link=link, timing=CALM) as run:
        connection = await opened(link)
        await until(lambda: connection.acknowledge() or run.stats.delivered_batches == 3)
        await asyncio.sleep(0.1)
        connection.acknowledge()
        for _ in range(2):
            replay(connection, 9, 9)
        await asyncio.sleep(0.1)
        assert len(replies(connection)) == 1, "the second waits for the PUBACK of the first"
        connection.acknowledge()
        await asyncio.sleep(0.1)
        assert len(replies(connection)) == 2


async def test_replays_keep_to_the_rate_of_the_backlog():
    link = MemoryLink()
    async with Running(config(backlog_rate=10.0), outbox(40), link=link, timing=CALM) as run:
        connection = await opened(link)
        await until(lambda: connection.acknowledge() or run.stats.delivered_batches == 40)
        await asyncio.sleep(1.0)
        begin, before = time.monotonic(), len(seqs(connection))
        replay(connection, 1, 40)
        await until(lambda: connection.acknowledge() or len(seqs(connection)) == before + 40)
        assert 3.0 < time.monotonic() - begin < 5.0


async def test_a_replay_of_what_is_too_large_names_it():
    link = MemoryLink()
    async with Running(config(), outbox(3), link=link, timing=CALM) as run:
        first = await opened(link)
        await until(lambda: first.acknowledge() or run.stats.delivered_batches == 3)
        body = len(run.box.rows[0].body)
        link.limits = Limits(packet=packet_size(TOPICS.data, body, five=True) - 1)
        first.drop()
        second = await opened(link, 2)
        replay(second, 1, 2)
        await until(lambda: second.acknowledge() or replies(second))
        assert replies(second)[0]["sent"] == 0
        assert sorted(replies(second)[0]["gone"]) == [[1, 1, "too_large"], [2, 2, "too_large"]]
        assert run.stats.set_aside == 2
        link.limits = Limits()
        second.drop()
        await opened(link, 3)
        await until(lambda: run.stats.set_aside == 0)


@pytest.mark.parametrize(("count", "words"), [(1, "1 batch is"), (2, "2 batches are")])
async def test_what_is_set_aside_for_its_size_is_said_and_its_end(count, words, caplog):
    link, box = MemoryLink(), outbox(count)
    size = packet_size(TOPICS.data, len(box.rows[-1].body), five=True)
    link.limits = Limits(packet=size - 1)
    async with Running(config(), box, link=link, timing=CALM) as run:
        first = await opened(link)
        await until(lambda: run.stats.set_aside == count)
        example = f"{E1}/{count} has {size} bytes, and the broker takes {size - 1}"
        told = f"{words} set aside, the others go on: {example}"
        await until(lambda: told in run.stats.last_error)
        link.limits = Limits()
        first.drop()
        second = await opened(link, 2)
        await until(lambda: second.acknowledge() or run.stats.delivered_batches == count)
        await until(lambda: run.stats.last_error == "")
    assert caplog.text.count("set aside") == 1


async def test_a_batch_of_exactly_the_limit_goes():
    link, box = MemoryLink(), outbox(1)
    link.limits = Limits(packet=packet_size(TOPICS.data, len(box.rows[0].body), five=True))
    async with Running(config(), box, link=link, timing=CALM) as run:
        connection = await opened(link)
        await until(lambda: connection.acknowledge() or run.stats.delivered_batches == 1)
        assert run.stats.set_aside == 0


async def test_a_limit_of_the_broker_is_one_of_new_batches_too():
    link = MemoryLink()
    link.limits = Limits(packet=5000)
    async with Running(config(), outbox(0), link=link, timing=CALM) as run:
        await opened(link)
        limit = await until(lambda: run.forwarder.batch_limit)
        assert packet_size(TOPICS.data, limit, five=True) <= 5000 - 40
        assert limit > 4800


async def test_what_was_live_on_a_lost_connection_is_backlog_on_the_next():
    made = Queues("city", outbox(3), lambda _: False)
    made.begin()
    made.committed(row(4), 10.0)
    assert (made.live, made.live_at) == (1, 10.0)
    made.begin()
    assert (made.live, made.live_at) == (0, None)
    assert made.next_live(20.0) is None


def test_more_live_batches_than_are_held_and_a_new_epoch_are_backlog():
    box = outbox(1)
    made = Queues("city", box, lambda _: False)
    made.begin()
    for seq in range(2, MAX_LIVE + 2):
        box.commit(row(seq))
        made.committed(row(seq), 0.0)
    assert made.live == MAX_LIVE
    box.commit(row(MAX_LIVE + 2))
    made.committed(row(MAX_LIVE + 2), 0.0)
    assert made.live == 0
    assert made.low, "they are read from the journal"
    box.commit(row(MAX_LIVE + 3, epoch=E2))
    made.committed(row(MAX_LIVE + 3, epoch=E2), 0.0)
    assert made.live == 0


async def test_a_wake_up_is_enough_for_a_live_batch():
    link = MemoryLink()
    async with Running(config(), outbox(0), link=link, timing=Timing(patience=500.0, tick=30.0)) as run:
        connection = await opened(link)
        await asyncio.sleep(1.0)
        connection.acknowledge()
        await asyncio.sleep(1.0)
        run.commit(row(1))
        await asyncio.sleep(0.1)
        assert seqs(connection) == [1], "long before the next tick"
        connection.acknowledge()
        await asyncio.sleep(0.1)
        assert run.stats.delivered_batches == 1


async def test_after_the_end_nothing_is_handed_to_the_old_connection():
    link = MemoryLink()
    async with Running(config(), outbox(30), link=link, timing=CALM) as run:
        first = await opened(link)
        await until(lambda: len(first.unacked) == 20)
        first.drop()
        await asyncio.sleep(0.01)
        assert run.forwarder._connection is None
        run.commit(row(31))
        run.forwarder.acknowledged([((E1, 1), 0)])
        second = await opened(link, 2)
        assert len(first.sent) == 20
        await until(lambda: second.acknowledge() or len(set(seqs(second))) == 31)
