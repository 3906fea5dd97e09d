"""The forwarder and its connection, on virtual time: what it loses, refusals, state and meters, the journal's
trouble, its end.
"""

import asyncio
import json
import time

import pytest
from forwarder_parts import TOPICS, connected, drained, receipt, said, seqs, settled
from uplink_parts import E1, FakeClock, Running, config, outbox

from gateway.errors import LinkDown, LinkRefused, LinkTakenOver
from gateway.mqtt import LinkState
from gateway.mqtt.double import MemoryLink
from gateway.uplink import Forwarder, Timing
from tests.waiting import until

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("brief", [1, 3])
async def test_a_connection_that_breaks_in_the_moment_it_is_open_is_replaced(brief):
    link = MemoryLink(prompt=True)
    link.brief = brief
    async with Running(config(spread="0s"), outbox(5), link=link) as run:
        await until(lambda: run.stats.delivered_batches == 5)
    assert len(link.opened) == brief + 1


async def test_a_lost_connection_costs_what_had_no_puback_and_nothing_else(kept):
    await kept.take(30)
    link = MemoryLink()
    async with Running(config(receipts=["city"], spread="0s"), kept, link=link):
        first = await connected(link)
        await until(lambda: len(first.unacked) == 20)
        done = len([m for m in first.unacked[:10] if m.topic == TOPICS.data])
        first.acknowledge(count=10)
        await until(lambda: len(first.unacked) == 20)
        first.drop()
        second = await connected(link, 2)
        await drained(second, 30 - done)
        assert [seq for seq in seqs(second) if seq != done] == list(range(done + 1, 31)), "and a probe"
        receipt(second, upto=30)
        await settled(kept, 30)


async def test_a_refused_batch_stops_the_flow_until_one_is_taken(kept):
    await kept.take(100)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        await until(lambda: len(connection.unacked) == 20)
        connection.acknowledge(0x87)
        await asyncio.sleep(0.2)
        assert [message for message in connection.unacked if message.topic == TOPICS.data] == []
        assert "refuses" in run.stats.last_error
        assert run.stats.cause == "not_authorized"
        assert await kept.settled() == []
        await until(lambda: [message for message in connection.unacked if message.topic == TOPICS.data])
        assert len([message for message in connection.unacked if message.topic == TOPICS.data]) == 1, (
            "one as a probe"
        )
        connection.acknowledge()
        await drained(connection, 120)  # twenty of them were refused
        await settled(kept, 100)
        assert "batches" not in run.stats.last_error
        assert run.stats.cause == "", "it takes them again"


async def test_custody_without_a_subscriber_is_no_delivery_without_receipts(kept):
    await kept.take(3)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        await until(lambda: len(seqs(connection)) == 3)
        connection.acknowledge(0x10)
        await asyncio.sleep(0.1)
        assert await kept.settled() == []
        assert "nobody subscribes" in run.stats.last_error
        await until(lambda: connection.acknowledge() or run.stats.delivered_batches == 3)
        await settled(kept, 3)


async def test_a_mute_broker_is_left_and_meets_one_batch_next_time(kept):
    await kept.take(100)
    link = MemoryLink()
    async with Running(config(), kept, link=link):
        first = await connected(link)
        await until(lambda: len(first.unacked) == 20)
        second = await connected(link, 2)
        await until(lambda: seqs(second))
        await asyncio.sleep(0.1)
        assert seqs(second) == [1]
        second.acknowledge()
        await until(lambda: len(seqs(second)) > 10)


async def test_a_connection_whose_thread_stands_still_is_left_and_one_at_work_is_not(kept):
    await kept.take(3)
    link = MemoryLink()
    async with Running(config(), kept, link=link, timing=Timing(patience=500.0, tick=0.05, stuck=5.0)) as run:
        first = await connected(link)
        await drained(first, 3)
        await asyncio.sleep(60.0)
        assert len(link.opened) == 1, "a quiet line is no dead one"
        first.stuck_at = time.monotonic()
        await asyncio.sleep(4.5)
        assert len(link.opened) == 1
        second = await connected(link, 2)
        assert first.closed
        await run.take()
        await drained(second, 1)
        assert seqs(second) == [4]


async def test_the_state_says_how_many_intervals_are_behind(kept, monkeypatch):
    monkeypatch.setattr(Forwarder, "intervals_behind", staticmethod(lambda: 7))
    link = MemoryLink()
    async with Running(config(receipts=["city"]), kept, link=link):
        connection = await connected(link)
        await until(lambda: said(connection, TOPICS.state))
        assert said(connection, TOPICS.state)[0]["intervals_behind"] == 7


async def test_state_and_meters_are_retained_and_the_will_says_offline(kept):
    await kept.take(5)
    link = MemoryLink()
    meters = [b'{"v":1}']
    async with Running(config(receipts=["city"]), kept, link=link, describe=lambda: meters[0]) as run:
        connection = await connected(link)
        assert connection.topics == (TOPICS.receipt("city"), TOPICS.replay)
        assert json.loads(connection.will.payload) == {"online": False}
        assert connection.will.retain
        await drained(connection, 5)
        first = said(connection, TOPICS.state)[0]
        assert first["online"] is True
        assert (first["epoch"], first["seq"]) == (E1, 5)
        assert first["backlog"] == 5
        assert "intervals_behind" not in first  # nobody computes any
        await until(lambda: connection.acknowledge() or said(connection, TOPICS.state)[-1]["backlog"] == 0)
        assert all(m.retain for m in connection.sent if m.topic in {TOPICS.state, TOPICS.meters})
        meters[0] = b'{"v":2}'
        run.forwarder.meters_changed()
        await until(lambda: connection.acknowledge() or said(connection, TOPICS.meters)[-1] == {"v": 2})
        states = len(said(connection, TOPICS.state))
        for _ in range(20):
            await run.take()
            await asyncio.sleep(0.01)
            connection.acknowledge()
        assert len(said(connection, TOPICS.state)) == states, "a live batch is no backlog"
    assert said(connection, TOPICS.state)[-1]["online"] is False
    assert connection.closed


async def test_a_journal_in_trouble_delays_and_never_ends_the_uplink(kept):
    await kept.take(5)
    link = MemoryLink()
    box = kept.box
    calls = {"settle": 0, "unsettled": 0}
    settle, unsettled = box.settle, box.unsettled

    async def bad_settle(*args):
        calls["settle"] += 1
        if calls["settle"] < 3:
            raise OSError(5, "Input/output error")
        await settle(*args)

    async def bad_unsettled(*args, **options):
        calls["unsettled"] += 1
        if calls["unsettled"] < 3:
            raise OSError(5, "Input/output error")
        return await unsettled(*args, **options)

    box.settle, box.unsettled = bad_settle, bad_unsettled
    async with Running(config(), kept, link=link):
        connection = await connected(link)
        await drained(connection, 5)
        await settled(kept, 5)
        assert seqs(connection) == [1, 2, 3, 4, 5]


async def test_a_broker_that_is_absent_or_refuses_is_told_in_plain_words(kept, caplog):
    await kept.take(2)
    link = MemoryLink()
    link.refuse = lambda: LinkDown("cannot be reached: Connection refused")
    async with Running(config(), kept, link=link) as run:
        await until(lambda: run.stats.state == LinkState.WAITING.value and link.attempts >= 2)
        assert run.stats.last_error == "cannot be reached: Connection refused"
        assert "2 readings wait" in run.stats.sentence
        link.refuse = lambda: LinkRefused(
            "the broker refuses the connection: Not authorized", hint="check username"
        )
        await until(lambda: run.stats.state == LinkState.REFUSED.value)
        assert "check username" in run.stats.last_error
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 2, "once per kind of trouble"


async def test_a_takeover_is_said_and_backed_off_from(kept, caplog):
    await kept.take(1)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        connection.drop(LinkTakenOver("another client with our id has taken over the session"))
        await until(lambda: run.stats.state == LinkState.TAKEN_OVER.value)
        await asyncio.sleep(0.3)
        assert len(link.opened) == 1
        assert any("taken over" in r.message for r in caplog.records)


async def test_stop_works_at_any_moment(kept):
    await kept.take()
    link = MemoryLink()
    run = Running(config(), kept, link=link)
    await asyncio.wait_for(run.forwarder.stop(), 1)
    async with Running(config(), kept, link=link):
        pass


async def test_stop_returns_when_the_good_bye_is_said(kept):
    await kept.take(1)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        await drained(connection, 1)
        stopping = asyncio.create_task(run.forwarder.stop())
        await until(lambda: connection.acknowledge() or stopping.done())
        assert connection.closed
        assert said(connection, TOPICS.state)[-1]["online"] is False
        assert run.stats.state == LinkState.STOPPED.value


async def test_since_when_is_told_in_the_walls_time(kept):
    link = MemoryLink()
    clock = FakeClock()
    async with Running(config(), kept, link=link, clock=clock) as run:
        await connected(link)
        await asyncio.sleep(5.0)
        since = run.stats.since
        assert clock.wall() - 6_000 < since < clock.wall() - 4_000
        await asyncio.sleep(5.0)
        clock.now += 5_000
        assert run.stats.since == since, "it does not wander"


async def test_a_changed_description_goes_out_at_once(kept):
    link = MemoryLink()
    meters = [b'{"v":1}']
    async with Running(config(), kept, link=link, describe=lambda: meters[0]) as run:
        connection = await connected(link)
        await until(lambda: connection.acknowledge() or said(connection, TOPICS.meters))
        await asyncio.sleep(1.0)
        meters[0] = b'{"v":2}'
        await asyncio.sleep(1.0)
        assert said(connection, TOPICS.meters) == [{"v": 1}], "nobody has said that it changed"
        run.forwarder.meters_changed()
        await asyncio.sleep(0.5)
        assert said(connection, TOPICS.meters) == [{"v": 1}, {"v": 2}]
