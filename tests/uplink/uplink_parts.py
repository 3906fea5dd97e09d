"""What the uplink's tests share: rows, a clock, a platform, a wait that ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading

import paho.mqtt.client as paho

from gateway.config.schema import Uplink
from gateway.model import Ranges, Reading, Sealed
from gateway.mqtt import BrokerLink
from gateway.uplink import Forwarder, MemoryJournal, Timing, broker_of
from gateway.wire import Batch, Receipt, Topics, compress, decode, decompress, digest, encode

E1, E2 = "00000000000000a1", "00000000000000a2"
BOOT, EARLIER = "b" * 32, "e" * 32
T0 = 1_795_278_300_000
FAST = Timing(patience=0.5, tick=0.05)
PATIENT = Timing(patience=30.0, tick=0.05)
"""Where nothing may go a second time, also when this machine stands still for a while."""


def row(seq, *, epoch=E1, gateway="gw1", clock="synced", boot=BOOT, uptime=None, value=None, events=()):
    """A committed batch with one reading; T0 + uptime is its wall time."""
    uptime = seq * 1000 if uptime is None else uptime
    power = float(seq) if value is None else float(value)
    batch = Batch(
        gateway,
        epoch,
        seq,
        T0 + uptime,
        uptime,
        clock,
        [Reading("main", uptime, {"active_power": power})],
        list(events),
    )
    return Sealed(epoch, seq, boot, batch.t0, uptime, clock, 1, 1, False, compress(encode(batch)))


def outbox(count=0, **kind):
    box = MemoryJournal()
    for seq in range(1, count + 1):
        box.commit(row(seq, **kind))
    return box


class FakeClock:
    """A clock that the test sets: `offset` is wall minus uptime."""

    boot = BOOT

    def __init__(self, *, synced=True, uptime=10_000_000, offset=T0):
        self.synced = synced
        self.now = uptime
        self.offset = offset

    def wall(self):
        return self.now + self.offset

    def uptime(self):
        return self.now

    def moment(self):
        return self.wall(), self.uptime()


def config(**changes):
    return Uplink(
        **{"name": "city", "url": "mqtt://127.0.0.1:1883", "spread": "0s", "backlog_rate": 0.0, **changes}
    )


def link_to(settings, **options):
    """The link of an uplink with these settings."""
    return BrokerLink(broker_of(settings, "gw1"), **options)


class Running:
    """A forwarder at work, with what it emitted."""

    def __init__(
        self,
        settings,
        box,
        *,
        clock=None,
        gateway="gw1",
        describe=lambda: b'{"meters":[]}',
        timing=FAST,
        **options,
    ):
        self.events = []
        self.kept = box if hasattr(box, "take") else None
        self.box = self.kept.box if self.kept else box
        self.clock = clock or (self.kept.clock if self.kept else FakeClock())
        self.forwarder = Forwarder(
            settings, gateway, self.box, self.clock, describe, self.events.append, timing=timing, **options
        )

    async def __aenter__(self):
        self.task = asyncio.create_task(self.forwarder.run())
        return self

    async def __aexit__(self, *_):
        await asyncio.wait_for(self.forwarder.stop(), 10)
        await asyncio.wait_for(self.task, 5)

    def commit(self, *rows):
        for sealed in rows:
            self.box.commit(sealed)
        self.forwarder.committed(list(rows))

    async def take(self, count=1, **how):
        """The journal takes batches, and the forwarder hears of them."""
        taken = await self.kept.take(count, **how)
        self.forwarder.committed(taken)
        return taken

    @property
    def stats(self):
        return self.forwarder.stats()


def message_of(payload):
    return json.loads(decompress(payload))


class Store:
    """The platform's rule in a dozen lines: keys, digests, conflicts, receipts."""

    def __init__(self):
        self.held = {}
        self.bodies = {}
        self.duplicates = 0
        self.conflicts = {}

    def take(self, payload):
        plain = decompress(payload)
        batch, print_ = decode(payload), digest(plain)
        key = (batch.gateway, batch.epoch, batch.seq)
        if key not in self.held:
            self.held[key] = print_
            self.bodies[key] = batch
        elif self.held[key] == print_:
            self.duplicates += 1
        else:
            self.conflicts.setdefault(batch.epoch, set()).add(batch.seq)
        return batch

    def receipt(self, epoch, gateway="gw1"):
        have = Ranges((seq, seq) for g, e, seq in self.held if (g, e) == (gateway, epoch))
        conflicts = sorted(self.conflicts.get(epoch, ()))
        for seq in conflicts:
            have.discard(seq)
        return Receipt(
            epoch=epoch, upto=0, have=[list(pair) for pair in have][:1000], conflicts=conflicts or None
        )


class Platform:
    """A platform on a real broker: keeps what comes, answers with receipts when `consumer` is named."""

    def __init__(
        self,
        port,
        *,
        gateway="gw1",
        consumer=None,
        username=None,
        password=None,
        protocol=paho.MQTTv5,
        client_id="",
    ):
        self.topics = Topics(gateway)
        self.gateway = gateway
        self.consumer = consumer
        self.store = Store()
        self.log = []
        self.ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{self.topics.prefix}/#", qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self._on_message
        if username:
            self.client.username_pw_set(username, password)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(10)

    def _on_message(self, _client, _user, message):
        if message.topic == self.topics.data:
            batch = self.store.take(message.payload)
            self.log.append((message.topic, batch.seq))
            if self.consumer:
                self.say(
                    self.topics.receipt(self.consumer),
                    self.store.receipt(batch.epoch, self.gateway).to_bytes(),
                )
        else:
            self.log.append((message.topic, message.payload))

    def say(self, topic, payload, **options):
        return self.client.publish(topic, payload, qos=1, **options)

    def of(self, topic):
        return [payload for name, payload in list(self.log) if name == topic]

    @property
    def seqs(self):
        return sorted(seq for _, _, seq in list(self.store.held))

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.contextmanager
def platform(port, **options):
    here = Platform(port, **options)
    try:
        yield here
    finally:
        here.close()


def seeded(seed):
    return random.Random(seed)
