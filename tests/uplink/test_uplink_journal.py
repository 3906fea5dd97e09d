"""The forwarder on the real journal: drain, settle, restart, conflict, hold."""

import asyncio
import itertools
import time

import pytest
from uplink_parts import T0, FakeClock, Running, Store, config

from gateway.journal import Journal
from gateway.model import Draft, Reading
from gateway.mqtt.double import MemoryLink
from gateway.wire import Topics, compress, decode, encode
from tests.waiting import until

TOPICS = Topics("gw1")


def draft(number, clock):
    return Draft([Reading("main", clock.uptime(), {"active_power": float(number)})])


@pytest.fixture
async def journal(tmp_path):
    opened = []

    def open_(clock, uplinks=("city",)):
        opened.append(Journal.open(tmp_path, gateway="gw1", clock=clock, uplinks=list(uplinks)))
        return opened[-1]

    yield open_
    for each in opened:
        await each.close()


async def serve(connection, store, *, receipts=True):
    """A good broker and platform, for one turn."""
    done = 0
    while done < len(connection.sent):
        for message in connection.sent[done:]:
            if message.topic == TOPICS.data:
                batch = store.take(message.payload)
                if receipts:
                    connection.acknowledge()
                    connection.listener.received(
                        TOPICS.receipt("city"), store.receipt(batch.epoch).to_bytes()
                    )
            done += 1
        connection.acknowledge()
        await asyncio.sleep(0)


class Feed:
    def __init__(self, journal, clock, forwarder=None):
        self.journal, self.clock, self.forwarder = journal, clock, forwarder
        self.numbers = itertools.count(1)

    async def commit(self):
        self.clock.now += 1000
        sealed = await self.journal.commit(draft(next(self.numbers), self.clock))
        if self.forwarder:
            self.forwarder.committed(sealed)


def values(store):
    return sorted(
        batch.readings[0].values["active_power"] for batch in store.bodies.values() if batch.readings
    )


async def pump(link, store, condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        if link.opened and not link.opened[-1].closed:
            await serve(link.opened[-1], store)
        await asyncio.sleep(0.01)


async def test_backlog_and_live_arrive_once_over_restarts_and_lost_connections(journal):
    clock, store = FakeClock(), Store()
    opened = journal(clock)
    feed = Feed(opened, clock)
    for _ in range(30):
        await feed.commit()
    total = 30
    for _turn in range(3):
        link = MemoryLink()
        async with Running(config(receipts=["city"]), opened, clock=clock, link=link) as run:
            feed.forwarder = run.forwarder
            await pump(link, store, lambda link=link: link.opened and len(values(store)) >= 20)
            link.opened[-1].drop()
            for _ in range(10):
                await feed.commit()
                total += 1
            await pump(link, store, lambda total=total: len(values(store)) == total)
            await pump(link, store, lambda: run.stats.backlog_batches == 0)
        feed.forwarder = None
    assert values(store) == [float(n) for n in range(1, total + 1)]
    assert opened.backlog("city").batches == 0


async def test_a_restored_backup_conflicts_and_everything_arrives_all_the_same(journal):
    clock, store = FakeClock(), Store()
    opened = journal(clock)
    feed = Feed(opened, clock)
    for _ in range(5):
        await feed.commit()
    epoch, _ = opened.newest
    for sealed in await opened.find(epoch, 2, 3, 10):  # what the other card had under these numbers
        twin = decode(sealed.body)
        twin.readings[0].values["active_power"] = 99.0
        store.take(compress(encode(twin)))
    link = MemoryLink()
    async with Running(config(receipts=["city"]), opened, clock=clock, link=link) as run:
        feed.forwarder = run.forwarder
        await pump(link, store, lambda: run.stats.delivered_batches >= 5)
        await feed.commit()
        await pump(link, store, lambda: run.stats.delivered_batches >= 6 and run.stats.backlog_batches == 0)
        assert opened.epoch != epoch
    assert values(store) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 99.0, 99.0]


async def test_an_unsynced_boot_is_held_and_anchored(journal):
    clock, store, link = FakeClock(synced=False, offset=1_000), Store(), MemoryLink()
    opened = journal(clock)
    async with Running(config(receipts=["city"]), opened, clock=clock, link=link) as run:
        feed = Feed(opened, clock, run.forwarder)
        for _ in range(5):
            await feed.commit()
        await asyncio.sleep(0.2)
        assert values(store) == []
        assert run.stats.held == 5
        clock.synced, clock.offset = True, T0
        await pump(link, store, lambda: len(values(store)) == 5)
        assert {batch.clock for batch in store.bodies.values()} == {"anchored"}
        assert all(batch.t0 == T0 + batch.uptime for batch in store.bodies.values())


async def test_an_empty_journal_is_no_trouble(journal):
    clock, store, link = FakeClock(), Store(), MemoryLink()
    async with Running(config(receipts=["city"]), journal(clock), clock=clock, link=link) as run:
        await until(lambda: link.opened and [m for m in link.opened[-1].sent if m.topic == TOPICS.state])
        assert run.stats.last_error == ""
        await pump(link, store, lambda: True)
