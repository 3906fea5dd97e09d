"""Seeded chaos between forwarder and platform: lost, repeated and late messages in both directions, broken
lines, forged receipts.

Two promises, checked at every step: nothing is settled that the platform does not hold; in the end it holds
everything, once.
"""

import asyncio
import random
import time

import pytest
from uplink_parts import E1, Running, Store, config, outbox, row

from gateway.mqtt.double import MemoryLink
from gateway.mqtt.link import MAX_UNACKED
from gateway.uplink import Timing
from gateway.wire import Receipt, Topics, decode
from tests.waiting import until

pytestmark = pytest.mark.virtual_time
TOPICS = Topics("gw1")


class Chaos:
    """Plays broker and platform on every connection, badly."""

    def __init__(self, seed, link, consumers):
        self.random = random.Random(seed)
        self.link = link
        self.stores = {consumer: Store() for consumer in consumers}
        self.calm = False
        self.most = 0

    def lucky(self, chance):
        return self.calm or self.random.random() < chance

    async def run(self):
        while True:
            await asyncio.sleep(0.002)
            for connection in self.link.opened[-1:]:
                if not connection.closed:
                    self._turn(connection)

    def _turn(self, connection):
        self.most = max(self.most, len(connection.unacked))
        waiting = connection.unacked
        if not self.calm:
            self.random.shuffle(waiting)
        for message in waiting[: len(waiting) if self.calm else self.random.randint(0, 6)]:
            waiting.remove(message)
            if message.topic == TOPICS.data:
                self._arrive(message.payload)
            if not self.lucky(0.97):
                continue  # its PUBACK never comes
            connection.listener.acknowledged([(message.tag, 0)])
        for consumer, store in self.stores.items():
            if self.lucky(0.15):
                self._receipt(connection, consumer, store)
        if not self.lucky(0.985):
            connection.drop()

    def _arrive(self, payload):
        for store in self.stores.values():
            for _ in range(
                1 if self.calm else self.random.choice([0, 1, 1, 1, 1, 2])
            ):  # 0: the broker lost it after all
                store.take(payload)

    def _receipt(self, connection, consumer, store):
        receipt = store.receipt(E1).to_bytes()
        if not self.lucky(0.95):
            receipt = self.random.choice(
                [b"", receipt[:-3], b"{}", Receipt(epoch="f" * 16, upto=9999).to_bytes()]
            )
        connection.listener.received(TOPICS.receipt(consumer), receipt)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("gateway.uplink.delivery.window.GRACE", 0.05)
    monkeypatch.setattr("gateway.mqtt.reconnect.QUICK", (0.01, 0.02))
    monkeypatch.setattr("gateway.mqtt.reconnect.UNSTEADY", (0.01, 0.02))


async def test_the_control_that_trusts_pubacks_loses(quick):
    link, box = MemoryLink(), outbox(300)
    chaos = Chaos(1, link, ["city"])
    playing = asyncio.create_task(chaos.run())
    async with Running(config(spread="0s"), box, link=link, timing=Timing(patience=0.4, tick=0.02)) as run:
        await until(lambda: run.stats.delivered_batches == 300, 30)
    playing.cancel()
    assert len(chaos.stores["city"].held) < 300


@pytest.mark.parametrize("seed", range(8))
async def test_nothing_is_settled_that_is_not_held_and_in_the_end_all_is(seed, quick):
    consumers = ["city", "grid"][: 1 + seed % 2]
    link, box = MemoryLink(), outbox(150)
    chaos = Chaos(seed, link, consumers)
    settle = box.settle

    async def watched(uplink, epoch, ranges):
        for store in chaos.stores.values():
            held = {seq for _, e, seq in store.held if e == epoch}
            assert all(seq in held for first, last in ranges for seq in range(first, last + 1)), (
                "settled without being held"
            )
        await settle(uplink, epoch, ranges)

    box.settle = watched
    playing = asyncio.create_task(chaos.run())
    settings = config(receipts=consumers, spread="0s")
    async with Running(settings, box, link=link, timing=Timing(patience=0.4, tick=0.02)) as run:
        for seq in range(151, 301):
            await asyncio.sleep(0.004)
            run.commit(row(seq))
        await asyncio.sleep(1.0)
        chaos.calm = True
        end = time.monotonic() + 30
        while box.settled.get(("city", E1)) is None or box.settled["city", E1].count < 300:
            assert time.monotonic() < end, f"{box.settled} {run.stats}"
            await asyncio.sleep(0.02)
    playing.cancel()
    assert not playing.done() or playing.cancelled()
    assert 0 < chaos.most <= MAX_UNACKED
    for store in chaos.stores.values():
        assert sorted(seq for _, _, seq in store.held) == list(range(1, 301))
        assert not store.conflicts
    assert len(link.opened) > 1
    assert all(decode(r.body).seq == r.seq for r in box.rows)
