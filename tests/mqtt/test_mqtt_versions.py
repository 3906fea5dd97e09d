"""Which version of MQTT is spoken: one that the broker speaks today, and a hint names no other in vain."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.errors import LinkDown, LinkRefused
from gateway.mqtt import BrokerLink, Reconnect, ThreadLink
from gateway.mqtt.reasons import DAMAGED, NoConnack, OddConnack, WrongVersion, meaning, without_keys
from tests.fake_broker import CONNACK, DISCONNECT, SUBACK, Ear, FakeBroker, packet
from tests.mqtt.mqtt_parts import broker_at
from tests.waiting import until

KEYS = ("protocol:", "keepalive", "backlog_rate", "gateway id")


class Changing(FakeBroker):
    """Speaks every version but those of `no`: who comes with one of them is told its bytes and left."""

    def __init__(self, **no):
        super().__init__()
        self.no = {int(version.removeprefix("v")): told for version, told in no.items()}

    async def on_connect(self, writer):
        told = self.no.get(5 if writer.five else 4)
        if told is None:
            await super().on_connect(writer)
        else:
            writer.write(told)
            writer.close()


@asynccontextmanager
async def opened(link, *, topics=()):
    ear = Ear()
    made = await link.open(ear, will=None, topics=topics)
    yield made, ear
    await made.close()


REFUSALS = {
    "return code of 3.1.1": packet(CONNACK, b"\x00\x01"),
    "unsupported version": packet(CONNACK, b"\x00\x84\x00"),
    "malformed packet": packet(CONNACK, b"\x00\x81\x00"),
    "protocol error": packet(CONNACK, b"\x00\x82\x00"),
    "protocol error by DISCONNECT": packet(DISCONNECT, b"\x82\x00"),
    "malformed answer": packet(CONNACK, b"\x00\x00\x7f"),
}


@pytest.mark.parametrize("spoke_before", [False, True])
@pytest.mark.parametrize("told", REFUSALS.values(), ids=REFUSALS)
async def test_a_broker_that_does_not_take_mqtt_5_is_spoken_to_in_3_1_1_at_once(told, spoke_before):
    async with Changing() as broker:
        link = BrokerLink(broker_at(broker.port, "auto"))
        if spoke_before:
            async with opened(link) as (made, _):
                assert made.protocol == "5.0"
        broker.no = {5: told}
        for _ in range(2):
            async with opened(link) as (made, _):
                assert made.protocol == "3.1.1"


async def test_who_hangs_up_twice_may_have_been_replaced_by_one_of_3_1_1_and_once_means_nothing():
    async with Changing() as broker:
        link = BrokerLink(broker_at(broker.port, "auto"))
        async with opened(link):
            pass
        broker.no = {5: b""}
        with pytest.raises(NoConnack):
            await link.open(Ear(), will=None, topics=[])
        assert broker.versions == [5, 5]
        async with opened(link) as (made, _):
            assert made.protocol == "3.1.1"
        broker.no = {}
        once = BrokerLink(broker_at(broker.port, "auto"))
        async with opened(once):
            pass
        broker.no = {5: b"", 4: b""}
        with pytest.raises(NoConnack):
            await once.open(Ear(), will=None, topics=[])
        broker.no = {}
        async with opened(once) as (made, _):
            assert made.protocol == "5.0"


async def test_one_of_3_1_1_that_speaks_mqtt_5_alone_today_is_spoken_to_in_it():
    async with Changing(v5=REFUSALS["unsupported version"]) as broker:
        link = BrokerLink(broker_at(broker.port, "auto"))
        async with opened(link) as (made, _):
            assert made.protocol == "3.1.1"
        broker.no = {4: packet(CONNACK, b"\x00\x01")}
        async with opened(link) as (made, _):
            assert made.protocol == "5.0"


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
async def test_a_version_that_is_written_is_kept_to(protocol):
    async with Changing() as broker:
        link = BrokerLink(broker_at(broker.port, protocol))
        async with opened(link):
            pass
        broker.no = {5: REFUSALS["unsupported version"], 4: packet(CONNACK, b"\x00\x01")}
        with pytest.raises(WrongVersion):
            await link.open(Ear(), will=None, topics=[])
        assert set(broker.versions) == {5 if protocol == "5.0" else 4}


@pytest.mark.parametrize("told", [REFUSALS["malformed answer"], REFUSALS["protocol error"]])
@pytest.mark.parametrize(("protocol", "may_be_written"), [("5.0", True), ("auto", False)])
async def test_what_was_tried_in_vain_is_not_asked_for(told, protocol, may_be_written):
    async with Changing(v5=told, v4=b"") as broker:
        with pytest.raises((OddConnack, WrongVersion), match=r"malformed|against the protocol") as caught:
            await BrokerLink(broker_at(broker.port, protocol)).open(Ear(), will=None, topics=[])
    assert ("protocol: 3.1.1" in caught.value.hint) == may_be_written
    assert may_be_written or caught.value.hint == DAMAGED


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize(
    "last_words",
    [
        packet(15, b"\x00", 1),
        *(packet(DISCONNECT, bytes([code, 0])) for code in (0x81, 0x82, 0x84, 0x8D, 0x94, 0x96, 0x97)),
    ],
    ids=["breaks the protocol", "81", "82", "84", "8d", "94", "96", "97"],
)
async def test_a_command_is_asked_for_no_key_when_a_connection_that_stood_ends(last_words, configured):
    async with Changing() as broker:
        link = BrokerLink(replace(broker_at(broker.port, "auto"), configured=configured))
        async with opened(link) as (_, ear):
            broker.open[-1].write(last_words)
            await until(lambda: ear.errors)
    (error,) = ear.errors
    assert isinstance(error, LinkDown | LinkRefused)
    assert error.hint
    assert any(key in error.hint for key in KEYS) == configured


@pytest.mark.parametrize("code", [0x81, 0x82, 0x84, 0x94, 0x97])
async def test_nor_when_a_subscription_is_refused(code):
    class Refuses(FakeBroker):
        async def on_subscribe(self, writer, mid):
            writer.write(packet(SUBACK, mid + b"\x00" + bytes([code])))

    async with Refuses() as broker:
        account = replace(broker_at(broker.port, "5.0"), configured=False)
        reconnect = Reconnect(account)
        link = ThreadLink(BrokerLink(account), ["a"], reconnect)
        link.start(lambda *_: None)
        try:
            await until(lambda: reconnect.error is not None)
        finally:
            await asyncio.to_thread(link.stop)
    assert f"0x{code:02x}" in reconnect.error.message
    assert reconnect.error.hint == without_keys(meaning(code).mend)
    assert not any(key in reconnect.error.hint for key in KEYS)


@pytest.mark.parametrize("lived", [1.0, 30.0])
def test_nor_when_connections_end_again_and_again(lived):
    now = [0.0]
    hints = {}
    for configured in (True, False):
        account = replace(broker_at(1), configured=configured)
        reconnect = Reconnect(account, monotonic=lambda: now[0], chance=lambda: 1.0)
        for _ in range(4):
            reconnect.connected("5.0")
            now[0] += lived
            reconnect.lost(LinkDown("the connection was lost"))
        hints[configured] = reconnect.error.hint
    assert any(key in hints[True] for key in KEYS)
    assert "the broker's log" in hints[False]
    assert not any(key in hints[False] for key in KEYS)
