"""Connections that are ended for being silent, by a proxy, a firewall or the broker itself: told as what they
are, and told from another client with the same id.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from mqtt_parts import broker_at

from gateway.errors import LinkDown
from gateway.mqtt import BrokerLink, Reconnect
from gateway.mqtt.broker_link import LEAST_SILENCE, RELEARN, ShortSilence
from tests.fake_broker import CONNECT, Ear, FakeBroker
from tests.waiting import until

BROKER = broker_at(1883)


class Way:
    """Connections whose only messages come in their first `busy` seconds each, one after the other."""

    def __init__(self, broker=BROKER):
        self.now = 1000.0
        self.silence = ShortSilence(broker, monotonic=lambda: self.now)
        self.reconnect = Reconnect(broker, monotonic=lambda: self.now, chance=lambda: 1.0)

    def connection(self, *, lived, silent):
        """One that lives and is then silent for so many seconds; its wait until the next."""
        self.reconnect.connected("3.1.1")
        self.now += lived
        self.reconnect.steady()
        error = self.silence.ended(LinkDown("the connection was lost", cause="ended"), silent)
        wait = self.reconnect.lost(error)
        self.now += wait
        return self.reconnect.error


@pytest.mark.parametrize(("silent", "ping"), [(3.5, 2.0), (5.0, 3.0), (9.7, 7.0), (15.2, 13.0)])
@pytest.mark.parametrize("busy", [0.1, 3.0])
def test_who_ends_silent_connections_is_told_as_that_when_a_ping_has_kept_one(silent, ping, busy, caplog):
    way = Way()
    for late in (0.0, 0.2, 0.1):
        error = way.connection(lived=busy + silent + late, silent=silent + late)
        assert "gateway id" not in str(error)
    assert error.cause == "short_silence"
    assert way.silence.keepalive == ping
    assert way.silence.proof == pytest.approx(3 * silent)
    assert "keepalive:" not in caplog.text, "it is not proved yet"
    way.silence.proved()
    way.silence.proved()
    told = [record.getMessage() for record in caplog.records if "keepalive:" in record.getMessage()]
    assert len(told) == 1
    assert f"write keepalive: {ping:g}s" in told[0]
    assert way.silence.keepalive == ping
    assert way.silence.proof is None


def test_where_a_ping_changes_nothing_it_is_another_client_that_comes_back_after_a_fixed_time(caplog):
    way = Way()
    errors = [way.connection(lived=5.0, silent=silent) for silent in (4.9,) * 3 + (2.0,) + (4.9,) * 3]
    assert errors[2].cause == "short_silence"
    assert errors[-1].cause == "taken_over_perhaps"
    assert way.silence.keepalive == BROKER.keepalive
    assert "keepalive:" not in caplog.text
    way.silence.proved()
    assert "keepalive:" not in caplog.text
    way.now += RELEARN
    assert [way.connection(lived=5.0, silent=4.9) for _ in range(3)][-1].cause == "short_silence"


@pytest.mark.parametrize("silences", [(4.0, 5.0, 7.0), (0.5, 0.5, 0.5), (LEAST_SILENCE - 0.1,) * 3])
def test_ends_after_other_silences_or_before_any_ping_are_not_it(silences):
    way = Way()
    for silent in silences:
        error = way.connection(lived=silent + 0.1, silent=silent)
    assert error.cause == "taken_over_perhaps"
    assert way.silence.keepalive == BROKER.keepalive


def test_ends_a_night_apart_are_not_it():
    """A broker that is started anew each night ends all connections after the same silence."""
    way = Way()
    for _ in range(5):
        assert way.connection(lived=86_400.0, silent=8.0).cause == "ended"
    assert way.silence.keepalive == BROKER.keepalive


def test_what_was_proved_stays_where_a_shorter_silence_is_none():
    way = Way()
    for _ in range(3):
        way.connection(lived=10.0, silent=9.7)
    way.silence.proved()
    assert way.silence.keepalive == 7.0
    for silent in (4.5, 4.5, 4.5, 2.0):
        way.connection(lived=5.0, silent=silent)
    assert way.silence.keepalive == 7.0


def test_an_end_that_the_broker_gives_a_reason_for_is_not_it():
    silence = ShortSilence(BROKER)
    for _ in range(5):
        error = LinkDown("the broker closed the connection: it is shutting down", cause="shutting_down")
        assert silence.ended(error, 5.0) is error
    assert silence.keepalive == BROKER.keepalive


def test_a_command_is_told_no_key_of_a_configuration(caplog):
    way = Way(replace(BROKER, configured=False))
    for _ in range(3):
        way.connection(lived=5.0, silent=4.9)
    way.silence.proved()
    assert "let silent connections live longer" in caplog.text
    assert "keepalive" not in caplog.text


class Proxied(FakeBroker):
    """Behind a proxy that ends connections in which nothing was said for 3.6 s."""

    def __init__(self):
        super().__init__()
        self.timers = {}
        self.keepalives = []

    async def _handle(self, kind, flags, body, writer):
        if writer in self.timers:
            self.timers[writer].cancel()
        self.timers[writer] = asyncio.get_running_loop().call_later(3.6, writer.transport.abort)
        if kind == CONNECT:
            self.keepalives.append(int.from_bytes(body[8:10], "big"))
        await super()._handle(kind, flags, body, writer)


async def test_the_fourth_connection_is_kept_by_pings_and_the_key_is_told(caplog):
    async with Proxied() as broker:
        link = BrokerLink(broker_at(broker.port, "3.1.1"))
        for _ in range(3):
            ear = Ear()
            connection = await link.open(ear, will=None, topics=["t"])
            await until(lambda ear=ear: ear.errors, 30)
            await connection.close()
        assert ear.errors[0].cause == "short_silence"
        ear = Ear()
        connection = await link.open(ear, will=None, topics=["t"])
        await until(lambda: "write keepalive: 2s" in caplog.text, 60)
        assert not ear.errors
        assert broker.keepalives == [20, 20, 20, 2]
        await connection.close()
