"""What comes instead of the answer to CONNECT is said, with what to do; who hangs up is not accused of it."""

from __future__ import annotations

import socket

import pytest
from paho.mqtt.client import Client, convert_connack_rc_to_reason_code
from paho.mqtt.enums import ConnackCode

from gateway.errors import LinkDown, LinkRefused
from gateway.mqtt import connection
from gateway.mqtt.broker_link import BrokerLink
from gateway.mqtt.connack import first_bytes
from gateway.mqtt.reasons import (
    RETURN_CODES,
    NoConnack,
    OddConnack,
    Unwelcome,
    WrongVersion,
    odd_connack,
    refusal,
)
from tests.fake_broker import CONNACK, DISCONNECT, SUBACK, Ear, FakeBroker, packet
from tests.mqtt.mqtt_parts import broker_at

AUTH = 15
"""A packet that MQTT 3.1.1 does not have."""
MALFORMED = {
    "empty": b"",
    "flags alone": b"\x00",
    "no length of properties": b"\x00\x00",
    "properties longer than the packet": b"\x00\x00\x7f",
    "property that there is not": b"\x00\x00\x02\x7e\x00",
    "property of another packet": b"\x00\x00\x03\x23\x00\x01",
    "property twice": b"\x00\x00\x06\x21\x00\x05\x21\x00\x06",
    "Receive Maximum cut off": b"\x00\x00\x02\x21\x00",
    "text that is not UTF-8": b"\x00\x87\x05\x1f\x00\x02\xff\xfe",
    "text longer than the packet": b"\x00\x87\x05\x1f\x00\x50ab",
    "length without end": b"\x00\x00\xff\xff\xff\xff\xff",
}
OTHERS = {
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP, not MQTT", "ws://"),
    "alert of TLS": (b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS", "mqtts://"),
    "SSH": (b"SSH-2.0-OpenSSH_9\r\n", 'begins with "SSH-2.0-OpenSSH_9\\x0d\\x0a"', "check host and port"),
    "noise": (bytes(range(200, 256)), "does not speak MQTT", "check host and port"),
    "zeros": (bytes(40), "does not speak MQTT", "check host and port"),
    "Modbus TCP": (bytes.fromhex("000000000003018302"), "does not speak MQTT", "check host and port"),
    "terminal": (b"\x1b[2Jlogin: ", 'begins with "\\x1b[2Jlogin: "', "check host and port"),
    "Redis": (b"-ERR unknown command\r\n", 'begins with "-ERR', "check host and port"),
    "IMAP": (b"* OK IMAP4rev1 ready\r\n", 'begins with "* OK', "check host and port"),
    "POP3": (b"+OK POP3 ready\r\n", 'begins with "+OK', "check host and port"),
    "SUBACK": (packet(SUBACK, b"\x00\x01\x00\x01"), "does not speak MQTT", "check host and port"),
}


class Says(FakeBroker):
    """Sends `first` in answer to each CONNECT, to MQTT 3.1.1 `later` when there is one, and stays."""

    def __init__(self, first, later=None, *, hangs_up=False):
        super().__init__()
        self.first, self.later, self.hangs_up = first, later, hangs_up

    async def on_connect(self, writer):
        told = self.first if writer.five or self.later is None else self.later
        if told == b"ok":
            await super().on_connect(writer)
        elif told:
            writer.write(told)
        if self.hangs_up or not told:
            writer.close()


async def opened(broker, protocol):
    return await BrokerLink(broker_at(broker.port, protocol)).open(Ear(), will=None, topics=["a"])


@pytest.mark.parametrize("hangs_up", [False, True])
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_answer_is_said_to_be_one(body, hangs_up):
    async with Says(packet(CONNACK, body), hangs_up=hangs_up) as broker:
        with pytest.raises(
            OddConnack, match="answer to CONNECT is malformed: it is none of MQTT 5"
        ) as caught:
            await opened(broker, "5.0")
    assert caught.value.cause == "broke_protocol"
    assert "write protocol: 3.1.1" in caught.value.hint


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x00\x00\x00"])
async def test_one_of_3_1_1_too(body):
    async with Says(packet(CONNACK, body)) as broker:
        with pytest.raises(OddConnack, match=r"malformed: it is none of MQTT 3\.1\.1") as caught:
            await opened(broker, "3.1.1")
    assert "proxy" in caught.value.hint
    assert "protocol: 3.1.1" not in caught.value.hint


@pytest.mark.parametrize("protocol", ["auto", "5.0", "3.1.1"])
@pytest.mark.parametrize(("first", "what", "mend"), OTHERS.values(), ids=OTHERS)
async def test_who_speaks_something_else_is_said_at_once(first, what, mend, protocol):
    async with Says(first) as broker:
        with pytest.raises(OddConnack) as caught:
            await opened(broker, protocol)
    assert what in caught.value.message
    assert mend in caught.value.hint
    assert caught.value.cause == "no_answer"
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
async def test_a_version_that_3_1_1_refuses_is_a_refusal(protocol):
    async with Says(packet(CONNACK, b"\x00\x01"), hangs_up=True) as broker:
        with pytest.raises(WrongVersion, match=r"refuses the connection: .* this version of MQTT") as caught:
            await opened(broker, protocol)
        assert broker.versions == ([5, 4] if protocol == "auto" else [4])
    assert caught.value.cause == "version"
    assert "write protocol: auto; where that is written already, ask" in caught.value.hint


async def test_a_client_id_that_3_1_1_refuses_even_when_it_may_choose_is_a_refusal():
    async with Says(packet(CONNACK, b"\x00\x02"), hangs_up=True) as broker:
        with pytest.raises(Unwelcome, match="does not take our client id") as caught:
            await opened(broker, "3.1.1")
        assert broker.connects == 2
    assert caught.value.cause == "client_id"


async def test_a_refusal_that_cannot_be_seen_is_not_called_malformed_alone(monkeypatch):
    monkeypatch.setattr(connection, "first_bytes", lambda *_: None)  # as behind TLS
    async with Says(packet(CONNACK, b"\x00\x01"), hangs_up=True) as broker:
        with pytest.raises(OddConnack, match=r"refuses MQTT 3\.1\.1 or .* is malformed") as caught:
            await opened(broker, "3.1.1")
    assert caught.value.cause == "refused_or_broken"
    assert "write protocol: auto" in caught.value.hint


@pytest.mark.parametrize(
    ("begun", "unclear"),
    [
        *((packet(CONNACK, b"\x00\x01")[:size], True) for size in range(4)),
        *((packet(CONNACK, body), False) for body in (b"", b"\x00", b"\x01\x01", b"\x00\x00", b"\x00\x06")),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else None,
)
def test_only_what_was_cut_off_may_be_a_refusal(begun, unclear):
    assert odd_connack(begun, five=False).cause == ("refused_or_broken" if unclear else "broke_protocol")
    assert odd_connack(begun, five=True).cause == "broke_protocol"


@pytest.mark.parametrize("code", range(1, 6))
def test_each_return_code_of_3_1_1_is_told_as_its_reason_code(code):
    reason = convert_connack_rc_to_reason_code(ConnackCode(code)).value
    told = odd_connack(packet(CONNACK, bytes([0, code])), five=False)
    assert (told.message, told.cause) == (refusal(reason).message, refusal(reason).cause)
    assert RETURN_CODES[code] == reason


async def test_with_auto_one_that_answers_mqtt_5_oddly_is_spoken_to_in_3_1_1():
    async with Says(packet(CONNACK, b"\x00\x00\x7f"), b"ok") as broker:
        link = await opened(broker, "auto")
        assert link.protocol == "3.1.1"
        await link.close()
        assert broker.versions == [5, 4]


async def test_what_it_said_first_counts_for_more_than_that_it_hangs_up_then():
    async with Says(packet(CONNACK, b"\x00\x00\x7f"), b"") as broker:
        with pytest.raises(OddConnack, match="none of MQTT 5"):
            await opened(broker, "auto")
        assert set(broker.versions) == {5, 4}


async def test_who_hangs_up_without_a_word_is_not_called_malformed():
    async with Says(b"") as broker:
        with pytest.raises(NoConnack, match="closed the connection instead of answering"):
            await opened(broker, "5.0")


async def test_one_that_refuses_with_a_disconnect_is_understood():
    async with Says(packet(DISCONNECT, b"\x9c\x00"), hangs_up=True) as broker:
        with pytest.raises(LinkRefused, match="another server"):
            await opened(broker, "5.0")


async def test_a_protocol_that_is_broken_later_has_a_next_step():
    async with Says(packet(CONNACK, b"\x00\x42\x00")) as broker:
        with pytest.raises(LinkDown, match="broke the protocol") as caught:
            await opened(broker, "5.0")
    assert "write protocol: 3.1.1" in caught.value.hint


async def test_one_of_3_1_1_that_is_broken_later_is_not_told_to_write_3_1_1():
    async with Says(packet(CONNACK, b"\x00\x00") + packet(AUTH)) as broker:
        with pytest.raises(LinkDown, match="broke the protocol") as caught:
            await opened(broker, "3.1.1")
    assert "proxy" in caught.value.hint
    assert "protocol: 3.1.1" not in caught.value.hint


class Silent(FakeBroker):
    """Begins its answer to CONNECT with `begun`, and says no more."""

    def __init__(self, begun):
        super().__init__()
        self.begun = begun

    async def on_connect(self, writer):
        writer.write(self.begun)


@pytest.mark.parametrize("begun", [b"", packet(CONNACK, b"\x00\x00\x00")[:1]])
async def test_an_answer_that_does_not_come_is_waited_for_without_work(begun, monkeypatch):
    turns = 0
    loop = Client.loop

    def counted(client, *args):
        nonlocal turns
        turns += 1
        return loop(client, *args)

    monkeypatch.setattr(Client, "loop", counted)
    monkeypatch.setattr(connection, "OPEN_TIMEOUT", 2.0)
    async with Silent(begun) as broker:
        with pytest.raises(LinkDown):
            await opened(broker, "3.1.1")
    assert 0 < turns < 100


def test_a_connection_that_was_closed_meanwhile_begins_with_nothing():
    sock = socket.socket()
    sock.close()
    assert first_bytes(sock, 0.0) == b""
