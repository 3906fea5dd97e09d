"""What the tests of the forwarder share: what was sent, and a broker in memory that is played."""

import asyncio
import json
import time

from uplink_parts import E1, message_of

from gateway.wire import Receipt, Topics
from tests.waiting import until

TOPICS = Topics("gw1")


def data(connection):
    return [message_of(m.payload) for m in connection.sent if m.topic == TOPICS.data]


def seqs(connection):
    return [message["seq"] for message in data(connection)]


def said(connection, topic):
    return [json.loads(m.payload) for m in connection.sent if m.topic == topic]


async def connected(link, count=1):
    return await until(lambda: len(link.opened) >= count and link.opened[-1])


async def drained(connection, count):
    """Play a good broker until `count` batches were sent."""
    await until(lambda: connection.acknowledge() or len(seqs(connection)) >= count)
    connection.acknowledge()


async def settled(kept, count):
    """Wait until as many batches count as delivered."""
    end = time.monotonic() + 60.0
    while sum(last - first + 1 for first, last in await kept.settled()) < count:
        assert time.monotonic() < end, "they do not count as delivered"
        await asyncio.sleep(0.01)


def receipt(connection, consumer="city", **fields):
    connection.listener.received(
        TOPICS.receipt(consumer), Receipt(**{"epoch": E1, "upto": 0, **fields}).to_bytes()
    )
