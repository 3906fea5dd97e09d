"""A broker that has lost the receiver's subscriptions while the connection goes on."""

import asyncio
import contextlib
import logging
import threading
from itertools import pairwise

import pytest
from receiver_feed import E1, batch, opening

from gateway.common.address import BrokerAddress
from gateway.common.troubles import Troubles
from gateway.mqtt import Broker
from gateway.receiver import Receiver, broker_link, silence
from gateway.receiver.ledger import GatewayLedger
from gateway.receiver.silence import Silence
from gateway.wire import State, Topics, compress, encode
from tests.fake_broker import FakeBroker, publish
from tests.waiting import until

P = Topics("gw-1")


def state(seq, *, online=True):
    return State(online=online, epoch=E1, seq=seq, backlog=0)


class Forgetful(FakeBroker):
    """Messages go to who has subscribed; `forget` loses that, of batches or of everything, and tells nobody.
    The newest state is retained.

    `half`: only the first subscription of a connection counts.
    """

    def __init__(self, *, half=False):
        super().__init__()
        self.half = half
        self.asked = []
        self.hears = {"data": set(), "state": set()}
        self.stated = state(1)
        self.receipts = 0

    async def on_subscribe(self, writer, mid):
        await super().on_subscribe(writer, mid)
        if not (self.half and writer in self.asked):
            for kind in self.hears.values():
                kind.add(writer)
            writer.write(publish(P.state, self.stated.to_bytes(), five=writer.five, retain=True))
        self.asked.append(writer)

    async def on_publish(self, writer, mid):
        await super().on_publish(writer, mid)
        self.receipts += self.published[-1][0] == P.receipt("city")

    def forget(self, *kinds):
        for kind in kinds:
            self.hears[kind].clear()

    def send(self, b):
        for writer in self.hears["data"]:
            writer.write(publish(P.data, compress(encode(b)), five=writer.five))

    def state(self, seq):
        self.stated = state(seq)
        for writer in self.hears["state"]:
            writer.write(publish(P.state, self.stated.to_bytes(), five=writer.five))

    async def taken(self, receiver, b, count):
        """Offer a batch again and again, as a gateway does, until the receiver has stored so many."""

        def stored():
            self.send(b)
            return receiver.counts.batches == count

        await until(stored, 60)

    @property
    def again(self):
        """Subscriptions on a connection that had one."""
        return len(self.asked) - len(set(self.asked))


@contextlib.asynccontextmanager
async def receiving(broker, tmp_path):
    account = Broker("receiver", BrokerAddress.of(f"mqtt://127.0.0.1:{broker.port}"), "rx")
    receiver = Receiver(tmp_path / "platform.db", broker_link(account, frozenset()), tick=0.05)
    thread = threading.Thread(target=receiver.run)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stop()
        await asyncio.to_thread(thread.join, 30)


@pytest.fixture
def brisk(monkeypatch):
    monkeypatch.setattr(silence, "STATED", 0.3)
    monkeypatch.setattr(silence, "QUIET", 0.6)


@pytest.mark.usefixtures("brisk")
@pytest.mark.parametrize("lost", [("data",), ("data", "state")], ids=["batches", "everything"])
async def test_what_is_lost_is_subscribed_to_again_and_said_once(lost, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    async with Forgetful() as broker, receiving(broker, tmp_path) as receiver:
        await broker.taken(receiver, opening(1), 1)
        broker.forget(*lost)
        broker.state(2)
        await broker.taken(receiver, batch(2), 2)
        assert broker.again >= 1
        await until(lambda: "batches come again" in caplog.text, 60)
    told = [line for line in caplog.messages if "subscribed again" in line or "come again" in line]
    assert "subscribed again" in told[0]
    assert "come again" in told[1], "once, however often it was tried"


@pytest.mark.usefixtures("brisk")
@pytest.mark.parametrize("lost", [("data",), ("data", "state")], ids=["batches", "everything"])
async def test_where_that_changes_nothing_the_connection_is_made_anew(lost, tmp_path):
    async with Forgetful(half=True) as broker, receiving(broker, tmp_path) as receiver:
        await broker.taken(receiver, opening(1), 1)
        broker.forget(*lost)
        broker.state(2)
        await broker.taken(receiver, batch(2), 2)
        assert broker.again >= 1, "first what costs little"
        assert broker.connects >= 2


async def test_control_who_waits_for_longer_hears_nothing(tmp_path):
    """With the bounds of a real receiver: what the others wait for does not come by itself."""
    async with Forgetful() as broker, receiving(broker, tmp_path) as receiver:
        await broker.taken(receiver, opening(1), 1)
        broker.forget("data")
        broker.state(2)
        for _ in range(20):
            broker.send(batch(2))
            await asyncio.sleep(0.05)
        assert receiver.counts.batches == 1
        assert len(broker.asked) == 1


class Link:
    """Counts what it is asked for."""

    connected = True

    def __init__(self):
        self.asked = []

    def subscribe_again(self):
        self.asked.append("subscribe")

    def connect_again(self):
        self.asked.append("connect")


def silent(link):
    ledger = GatewayLedger()
    ledger.epoch(E1).store(1, 10)
    return Silence(link, Troubles(logging.getLogger("test")), lambda _: ledger, 0.0)


@pytest.mark.parametrize(
    "states",
    [
        {},
        {"gw-1": state(10)},
        {"gw-1": state(11, online=False)},
        {"gw-1": State(online=True)},
    ],
    ids=["nobody", "all of it is stored", "offline", "no batch yet"],
)
def test_a_city_that_has_nothing_to_say_is_left_alone(states):
    link = Link()
    quiet = silent(link)
    for now in range(1, 7200):
        if now % 300 == 0:
            quiet.heard(P.state, float(now))
        quiet.tick(states, float(now))
    assert not link.asked


def test_what_does_not_help_is_done_ever_more_seldom():
    link, times = Link(), []
    quiet = silent(link)
    for now in range(1, 86_401):
        before = len(link.asked)
        quiet.heard(P.state, float(now))
        quiet.tick({"gw-1": state(11)}, float(now))
        times += [now] * (len(link.asked) - before)
    assert link.asked[:4] == ["subscribe", "connect", "subscribe", "connect"]
    assert times[:5] == [60, 120, 240, 480, 960]
    assert {later - earlier for earlier, later in pairwise(times[8:])} == {3600}


def test_nothing_is_tried_without_a_connection():
    link = Link()
    link.connected = False
    quiet = silent(link)
    for now in range(1, 2000):
        quiet.tick({"gw-1": state(11)}, float(now))
    assert not link.asked
