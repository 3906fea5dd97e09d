"""What a connection asks of its broker, as it is on the line."""

from __future__ import annotations

import pytest
from mqtt_parts import broker_at

from gateway.mqtt.connection import PahoConnection
from gateway.wire import Topics
from tests.fake_broker import CONNECT, SUBSCRIBE, Ear, FakeBroker

TOPICS = Topics("gw1")
WANTED = (TOPICS.receipt("city"), TOPICS.replay)
NO_SESSION = b"\x11\x00\x00\x00\x00"
"""Session Expiry Interval: 0 s."""


class Asked(FakeBroker):
    """Keeps what it was asked, byte by byte."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: dict[int, list[bytes]] = {CONNECT: [], SUBSCRIBE: []}

    async def _handle(self, kind, flags, body, writer):
        self.bodies.get(kind, []).append(body)
        await super()._handle(kind, flags, body, writer)

    @property
    def subscribed(self) -> dict[str, int]:
        """QoS by topic."""
        found = {}
        for body in self.bodies[SUBSCRIBE]:
            at = 2 + (1 if self.versions[-1] == 5 else 0)  # without properties they are one byte
            while at < len(body):
                size = int.from_bytes(body[at : at + 2], "big")
                found[body[at + 2 : at + 2 + size].decode()] = body[at + 2 + size] & 3
                at += 3 + size
        return found


async def opened(broker: Asked, version: str, *, skips: frozenset[str] = frozenset()) -> PahoConnection:
    settings = broker_at(broker.port)
    connection = PahoConnection(settings, version, Ear())
    connection.skips = skips
    await connection.open(None, WANTED)
    return connection


@pytest.mark.parametrize("version", ["5.0", "3.1.1"])
async def test_each_topic_is_subscribed_to_with_one_acknowledgement(version: str) -> None:
    async with Asked() as broker:
        connection = await opened(broker, version)
        assert broker.subscribed == dict.fromkeys(WANTED, 1)
        assert connection.refused_topics == {}
        await connection.close()


async def test_a_session_ends_with_its_connection() -> None:
    """Another one of the same name begins with nothing: the journal alone knows what is to be sent."""
    async with Asked() as broker:
        five = await opened(broker, "5.0")
        assert NO_SESSION in broker.bodies[CONNECT][-1]
        assert broker.bodies[CONNECT][-1][7] & 2, "clean start"
        await five.close()
        three = await opened(broker, "3.1.1")
        assert broker.bodies[CONNECT][-1][7] & 2, "clean session"
        await three.close()


async def test_a_topic_that_ended_the_connection_before_is_left_alone_and_counts_as_refused() -> None:
    async with Asked() as broker:
        connection = await opened(broker, "5.0", skips=frozenset({TOPICS.replay, "another"}))
        assert broker.subscribed == {TOPICS.receipt("city"): 1}
        assert connection.refused_topics == {TOPICS.replay: 0}
        await connection.close()
