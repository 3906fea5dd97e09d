"""One contract, two links: what the real one does with a broker, its in-memory double does as well."""

from __future__ import annotations

import asyncio
import time

import pytest
from mqtt_parts import broker_at

from gateway.errors import LinkDown, LinkRefused
from gateway.mqtt import BrokerLink
from gateway.mqtt.double import MemoryLink
from gateway.mqtt.limits import UNLIMITED
from gateway.mqtt.link import MAX_UNACKED, Outgoing
from gateway.wire import Topics
from tests.fake_broker import PUBACK, Ear, FakeBroker, packet, publish
from tests.waiting import until

TOPICS = Topics("gw1")
WILL = Outgoing(TOPICS.state, b"{}", retain=True)


class InMemory:
    """The double, and the test as its broker."""

    def __init__(self):
        self.link = MemoryLink()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    def acknowledge(self, count):
        self.link.opened[-1].acknowledge(count=count)

    def send(self, topic, payload):
        self.link.opened[-1].deliver(topic, payload)

    def hang_up(self):
        self.link.opened[-1].drop()

    def refuse(self):
        self.link.refuse = lambda: LinkRefused("not authorized")

    @property
    def sent(self):
        return [(message.topic, message.payload) for message in self.link.opened[-1].sent]


class Waits(FakeBroker):
    """Acknowledges when it is told to."""

    refuses = False

    def __init__(self):
        super().__init__()
        self.mids = []

    async def on_connect(self, writer):
        if self.refuses:
            writer.write(packet(2, b"\x00\x87\x00"))
            writer.close()
        else:
            await super().on_connect(writer)

    async def on_publish(self, writer, mid):
        self.mids.append(mid)


class OverTcp:
    """The real one on a socket."""

    def __init__(self):
        self.broker = Waits()

    async def __aenter__(self):
        await self.broker.__aenter__()
        self.link = BrokerLink(broker_at(self.broker.port, "5.0"))
        return self

    async def __aexit__(self, *_):
        await self.broker.__aexit__()

    def acknowledge(self, count):
        for mid in self.broker.mids[:count]:
            self.broker.open[-1].write(packet(PUBACK, mid))
        del self.broker.mids[:count]

    def send(self, topic, payload):
        self.broker.open[-1].write(publish(topic, payload, five=True))

    def hang_up(self):
        self.broker.open[-1].transport.abort()

    def refuse(self):
        self.broker.refuses = True

    @property
    def sent(self):
        return self.broker.published


@pytest.fixture(params=[InMemory, OverTcp], ids=["double", "paho"])
async def side(request):
    async with request.param() as made:
        yield made


async def opened(side, topics=(TOPICS.replay,)):
    ear = Ear()
    return await side.link.open(ear, will=WILL, topics=topics), ear


def messages(count, first=0):
    return [Outgoing(TOPICS.data, b"%d" % number, tag=number) for number in range(first, first + count)]


async def test_a_new_connection_is_idle_alive_and_has_room(side):
    connection, ear = await opened(side)
    assert connection.protocol == "5.0"
    assert connection.room == MAX_UNACKED
    assert connection.idle
    assert not connection.refused_topics
    assert abs(time.monotonic() - connection.beat) < 30.0
    assert (ear.acks, ear.messages, ear.errors) == ([], [], [])
    await connection.close()


async def test_room_is_what_has_no_acknowledgement_yet_and_tags_come_back_in_order(side):
    connection, ear = await opened(side)
    connection.publish(messages(5))
    assert connection.room == MAX_UNACKED - 5
    assert not connection.idle
    await until(lambda: len(side.sent) == 5)
    assert [payload for _, payload in side.sent] == [b"0", b"1", b"2", b"3", b"4"]
    side.acknowledge(3)
    await until(lambda: len(ear.acks) == 3)
    assert ear.acks == [(0, 0), (1, 0), (2, 0)]
    assert connection.room == MAX_UNACKED - 2
    side.acknowledge(2)
    await until(lambda: connection.idle)
    assert connection.room == MAX_UNACKED
    assert ear.acks == [(number, 0) for number in range(5)]
    await connection.close()


async def test_as_many_as_there_is_room_for(side):
    connection, _ = await opened(side)
    connection.publish(messages(MAX_UNACKED))
    assert connection.room == 0
    await connection.close()


async def test_messages_arrive_in_order(side):
    connection, ear = await opened(side)
    for number in range(3):
        side.send(TOPICS.replay, b"%d" % number)
    await until(lambda: len(ear.messages) == 3)
    assert ear.messages == [(TOPICS.replay, b"0"), (TOPICS.replay, b"1"), (TOPICS.replay, b"2")]
    await connection.close()


async def test_a_second_subscription_costs_no_room_and_no_message(side):
    connection, ear = await opened(side)
    connection.publish(messages(2))
    connection.subscribe_again()
    assert connection.room == MAX_UNACKED - 2
    side.send(TOPICS.replay, b"after it")
    await until(lambda: ear.messages == [(TOPICS.replay, b"after it")])
    await until(lambda: len(side.sent) == 2)
    side.acknowledge(2)
    await until(lambda: connection.idle)
    assert not connection.refused_topics
    assert ear.errors == []
    await connection.close()
    connection.subscribe_again()  # too late, and no harm


async def test_a_broker_without_limits_has_none_and_no_words_of_its_own(side):
    connection, _ = await opened(side)
    assert connection.limits == UNLIMITED
    assert connection.words == ""
    assert side.link.skipped == 0
    await connection.close()


async def test_a_broken_line_is_said_once_and_leaves_no_room(side):
    connection, ear = await opened(side)
    connection.publish(messages(2))
    side.hang_up()
    await until(lambda: ear.errors)
    await asyncio.sleep(0.1)
    (error,) = ear.errors
    assert isinstance(error, LinkDown)
    assert connection.room == 0
    assert ear.acks == [], "what had no acknowledgement never gets one"
    await connection.close()
    assert len(ear.errors) == 1


async def test_after_it_is_closed_nobody_is_told_anything(side):
    connection, ear = await opened(side)
    connection.publish(messages(2))
    await until(lambda: len(side.sent) == 2)
    await connection.close()
    assert connection.room == 0
    side.acknowledge(2)
    side.send(TOPICS.replay, b"late")
    side.hang_up()
    await asyncio.sleep(0.1)
    assert (ear.acks, ear.messages, ear.errors) == ([], [], [])


async def test_a_refusal_is_an_error_of_its_own_and_the_next_attempt_is_free(side):
    side.refuse()
    with pytest.raises(LinkRefused):
        await opened(side)


async def test_every_connection_begins_anew(side):
    first, _ = await opened(side)
    first.publish(messages(4))
    await until(lambda: len(side.sent) == 4)
    await first.close()
    second, ear = await opened(side)
    assert second.idle
    assert second.room == MAX_UNACKED
    assert ear.acks == []
    await second.close()
