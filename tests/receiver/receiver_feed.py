"""A small gateway for the receiver's tests: it builds batches with gateway.wire and can hold out until
they are receipted.
"""

from __future__ import annotations

import threading
import time

import paho.mqtt.client as paho

from gateway.common.address import BrokerAddress
from gateway.errors import LinkDown
from gateway.model import Event, Ranges, Reading
from gateway.mqtt import Broker, MemoryLink, Reconnect, ThreadLink
from gateway.receiver.intake import mark, subscriptions
from gateway.receiver.store import Arrival
from gateway.wire import Batch, Receipt, State, Topics, compress, decode, encode, parse
from tests.waiting import wait_until

E1, E2, E3 = "00000000000000e1", "00000000000000e2", "00000000000000e3"
T0 = 1_795_278_300_000


def batch(seq=1, *, gateway="gw-1", epoch=E1, value=None, clock="synced", events=(), readings=None, t0=None):
    """A batch with two meters; uptime runs one second per seq. The first of an epoch is told by `opening`."""
    uptime = seq * 1000
    if readings is None:
        power = float(seq) if value is None else value
        readings = [
            Reading(
                "main",
                uptime,
                {"active_power": power, "frequency": 50.0},
                {"active_energy_import": "timeout"},
                "",
                ("frequency",),
            ),
            Reading("hvac", uptime + 210, missing="timeout"),
        ]
    return Batch(
        gateway, epoch, seq, T0 + uptime if t0 is None else t0, uptime, clock, list(readings), list(events)
    )


def opening(seq=1, *, previous=None, last=0, reason="new_file", **more):
    """The first batch of an epoch."""
    event = Event("epoch_started", seq * 1000, {"previous": previous, "last": last, "reason": reason})
    return batch(seq, events=[event, *more.pop("events", ())], **more)


def arrival(b, received=T0 + 5_000):
    """A batch as the intake hands it to the store."""
    plain = encode(b)
    return Arrival(decode(plain), mark(plain), compress(plain), received)


class MemoryBroker:
    """What a receiver hears and says, over the in-memory link."""

    def __init__(self):
        self.memory = MemoryLink(prompt=True)
        account = Broker("receiver", BrokerAddress.of("mqtt://127.0.0.1"), "rx")
        reconnect = Reconnect(account, longest=0.02)
        self.link = ThreadLink(self.memory, subscriptions(frozenset()), reconnect)

    def hear(self, topic, payload):
        self.memory.opened[-1].deliver(topic, payload)

    @property
    def sent(self):
        messages = [message for connection in self.memory.opened for message in connection.sent]
        return [(message.topic, message.payload) for message in messages]

    def drop(self):
        """The line breaks, and the broker is away until `back`."""
        self.memory.refuse = lambda: LinkDown("away")
        self.link._loop.call_soon_threadsafe(self.memory.opened[-1].drop)
        wait_until(lambda: not self.link.connected)

    def back(self):
        self.memory.refuse = None
        wait_until(lambda: self.link.connected)


class Feeder:
    """A gateway on a real broker: `send` publishes, `held` is what receipts named, `deliver` repeats until
    all are named.
    """

    def __init__(self, port, gateway="gw-1", consumer="city", protocol=paho.MQTTv5, user=None):
        self.topics = Topics(gateway)
        self.held = {}
        self.receipts = []
        self.arrived = []
        self.replays = []
        self.heard = []
        self.acks = threading.Semaphore(20)
        self.subscribed = threading.Event()
        self._receipt_topic = self.topics.receipt(consumer)
        client = self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=protocol)
        client.on_connect = lambda c, *_: c.subscribe([(self._receipt_topic, 1), (self.topics.replay, 1)])
        client.on_subscribe = lambda *_: self.subscribed.set()
        client.on_publish = lambda *_: self.acks.release()
        client.on_message = self._hear
        if user:
            client.username_pw_set(user, user)
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert self.subscribed.wait(10)

    def _hear(self, _client, _userdata, message):
        self.heard.append((message.topic, message.payload))
        if message.topic == self._receipt_topic:
            receipt = parse(Receipt, message.payload)
            self.held.setdefault(receipt.epoch, Ranges()).update(receipt.covers(1))
            self.receipts.append(receipt)
            self.arrived.append(time.monotonic())
        else:
            self.replays.append(message.payload)

    def send(self, b, *, plain=False):
        body = encode(b)
        self.raw(self.topics.data, body if plain else compress(body))

    def raw(self, topic, payload, *, retain=False):
        assert self.acks.acquire(timeout=60)
        self.client.publish(topic, payload, qos=1, retain=retain)

    def state(self, epoch, seq, backlog=0, *, online=True):
        self.raw(
            self.topics.state,
            State(online=online, epoch=epoch, seq=seq, backlog=backlog, version="1").to_bytes(),
            retain=True,
        )

    def missing(self, batches):
        return [b for b in batches if b.seq not in self.held.get(b.epoch, ())]

    def deliver(self, batches, seconds=80.0, window=200):
        """As a gateway does: a window without receipt, then again from what is not receipted."""
        end = time.monotonic() + seconds
        while left := self.missing(batches):
            assert time.monotonic() < end, f"{len(left)} batches were never receipted"
            for b in left[:window]:
                self.send(b)
            pause = time.monotonic() + 1.0
            while time.monotonic() < pause and self.missing(left[:window]):
                time.sleep(0.01)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()
