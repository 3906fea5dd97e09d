"""Brokers that do not like a Last Will: it is left out, told once, and nothing else waits for it."""

from __future__ import annotations

import pytest
from mqtt_parts import broker_at

from gateway.errors import LinkDown, LinkRefused, UplinkError
from gateway.mqtt import BrokerLink, broker_link
from gateway.mqtt.link import Outgoing
from gateway.wire import Topics
from tests.fake_broker import Ear, RefusesAWill

WILL = Outgoing(Topics("gw1").state, b"{}", retain=True)


class RefusesAll(RefusesAWill):
    def refuses(self, writer) -> bool:
        return True


async def connections(link: BrokerLink, times: int) -> list[str | UplinkError]:
    """How each of so many attempts went: why it has no Last Will, or what was raised."""
    found: list[str | UplinkError] = []
    for _ in range(times):
        try:
            connection = await link.open(Ear(), will=WILL, topics=[])
        except UplinkError as error:
            found.append(error)
        else:
            found.append(connection.limits.without_will)
            await connection.close()
    return found


@pytest.mark.parametrize(
    ("protocol", "code", "said"),
    [
        ("5.0", 0x87, "we are not authorised (0x87)"),
        ("5.0", 0x90, "it does not allow a topic like this (0x90)"),
        ("5.0", 0x83, "it is against a rule of its own (0x83)"),
        ("5.0", 0x80, "it gives no reason (0x80)"),
        ("5.0", 0x99, "it does not allow what the message holds (0x99)"),
        ("3.1.1", 5, "we are not authorised (0x87)"),
        ("auto", 0x87, "we are not authorised (0x87)"),
    ],
)
async def test_a_refused_last_will_is_left_out_at_once_and_from_then_on(protocol, code, said):
    async with RefusesAWill(code) as broker:
        reasons = await connections(BrokerLink(broker_at(broker.port, protocol)), 3)
        assert reasons == [f"the broker refuses the connection: {said}"] * 3
        assert broker.wills == [True, False, True, False, False, False], "asked for one once more"


@pytest.mark.parametrize("code", [0x87, 0x80, None])
async def test_a_broker_that_comes_up_just_then_keeps_its_last_will(code):
    """Its own accounts were not there yet, say."""

    class ComesUp(RefusesAWill):
        def refuses(self, writer):
            return self.connects <= (1 if code else 3)

    async with ComesUp(code) as broker:
        *_, reason = await connections(
            BrokerLink(broker_at(broker.port, "3.1.1" if code is None else "5.0")), 3
        )
        assert reason == ""
        assert broker.wills[-1]


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1", "auto"])
async def test_a_broker_that_hangs_up_on_a_last_will_is_tried_without_one(protocol):
    async with RefusesAWill(None) as broker:
        first, *reasons = await connections(BrokerLink(broker_at(broker.port, protocol)), 3)
        assert isinstance(first, LinkDown), "who hangs up once may be on its way down"
        assert reasons == ["the broker closed the connection instead of answering"] * 2


async def test_a_refusal_that_is_none_of_the_last_will_is_told_as_it_is_and_asks_no_second_time():
    """A wrong password is no reason to knock twice each time."""
    async with RefusesAll(0x87) as broker:
        errors = await connections(BrokerLink(broker_at(broker.port, "5.0")), 3)
        assert all(isinstance(error, LinkRefused) and "not authorised" in error.message for error in errors)
        assert broker.wills == [True, False, True, True]


@pytest.mark.parametrize("code", [0x86, 0x88, 0x8A, 0x97, 0x9C])
async def test_what_cannot_lie_in_a_last_will_asks_once(code):
    async with RefusesAll(code) as broker:
        (error,) = await connections(BrokerLink(broker_at(broker.port, "5.0")), 1)
        assert isinstance(error, UplinkError)
        assert broker.wills == [True]


async def test_the_last_will_is_tried_again_after_an_hour(monkeypatch):
    async with RefusesAWill(0x87) as broker:
        link = BrokerLink(broker_at(broker.port, "5.0"))
        await connections(link, 2)
        monkeypatch.setattr(broker_link, "RELEARN", 0.0)
        monkeypatch.setattr(broker_link, "ASK_AGAIN", 0.0)
        broker.refuses = lambda writer: False
        assert await connections(link, 1) == [""]
        assert broker.wills[-1]
