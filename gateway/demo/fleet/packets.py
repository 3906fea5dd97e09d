"""The packets of an MQTT client, 3.1.1 and 5.0, as far as a gateway uses them: bytes in, bytes out, no I/O.

Three thousand connections in one process: a client library with a thread or a buffer of its own for each is
too much. References: MQTT 3.1.1 (OASIS, 2014) and MQTT 5.0 (OASIS, 2019), chapters 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.mqtt import Limits, Outgoing

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 13, 14
PING = b"\xc0\x00"
GOODBYE = b"\xe0\x00"
LARGEST = 1 << 20
"""Bytes of one packet: nothing that a platform says to a gateway is larger."""
_QOS = 0x06
_BYTES, _TWO, _FOUR, _TEXT, _BINARY, _PAIR = range(6)
_KINDS = {
    17: _FOUR, 18: _TEXT, 19: _TWO, 21: _TEXT, 22: _BINARY, 26: _TEXT, 28: _TEXT, 31: _TEXT, 33: _TWO,
    34: _TWO, 36: _BYTES, 37: _BYTES, 38: _PAIR, 39: _FOUR, 40: _BYTES, 41: _BYTES, 42: _BYTES,
}  # fmt: skip
"""Of the properties that a CONNACK may have (5.0, 2.2.2.2): how their value is written."""
RECEIVE_MAXIMUM, RETAIN_AVAILABLE, LARGEST_PACKET = 33, 37, 39


class BadPacket(Exception):
    """What came is no packet of MQTT."""


def connect(
    five: bool,
    client_id: str,
    keepalive: int,
    will: Outgoing | None,
    login: tuple[str | None, str | None],
) -> bytes:
    """CONNECT with a clean start; a session ends with its connection. `login`: user name and password."""
    username, password = login
    flags = 0x02 | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    parts = [_text(client_id)]
    if will is not None:
        flags |= 0x0C | (0x20 if will.retain else 0)
        parts += [b"\x00" * five, _text(will.topic), _binary(will.payload)]
    parts += [_text(word) for word in (username, password) if word is not None]
    head = _text("MQTT") + bytes([5 if five else 4, flags]) + keepalive.to_bytes(2, "big") + b"\x00" * five
    return _packet(0x10, head + b"".join(parts))


def subscribe(five: bool, number: int, topics: Sequence[str]) -> bytes:
    """SUBSCRIBE at QoS 1; what is retained is not wanted."""
    options = b"\x21" if five else b"\x01"
    asked = b"".join(_text(topic) + options for topic in topics)
    return _packet(0x82, number.to_bytes(2, "big") + b"\x00" * five + asked)


def publish(five: bool, number: int, message: Outgoing) -> bytes:
    """PUBLISH at the QoS of the message; `number` is not used at 0."""
    head = _text(message.topic) + (number.to_bytes(2, "big") if message.qos else b"") + b"\x00" * five
    return _packet(0x30 | message.qos << 1 | bool(message.retain), head + message.payload)


def puback(number: int) -> bytes:
    """PUBACK of what was heard."""
    return b"\x40\x02" + number.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message that came: `number` is to be acknowledged, 0 when nothing is."""

    topic: str
    payload: bytes
    number: int
    retained: bool


@dataclass(frozen=True, slots=True)
class Welcomed:
    """A CONNACK: `code` 0 is a yes; how much may be on its way, and what the broker takes."""

    code: int
    unacked: int
    limits: Limits


def welcome(body: bytes, five: bool) -> Welcomed:
    """Out of the body of a CONNACK. Raises BadPacket."""
    if len(body) < 2:
        raise BadPacket("a CONNACK that is too short")
    known = dict(_properties(body, 2)) if five and len(body) > 2 else {}
    limits = Limits(packet=known.get(LARGEST_PACKET), retain=known.get(RETAIN_AVAILABLE, 1) != 0)
    return Welcomed(body[1], known.get(RECEIVE_MAXIMUM, 0xFFFF), limits)


def heard(flags: int, body: bytes, five: bool) -> Delivered:
    """Out of a PUBLISH. Raises BadPacket."""
    try:
        at = 2 + int.from_bytes(body[:2], "big")
        topic, number = body[2:at].decode(), 0
        if flags & _QOS:
            number, at = int.from_bytes(body[at : at + 2], "big"), at + 2
        if five:
            size, at = _varint(body, at)
            at += size
    except (UnicodeDecodeError, IndexError) as error:
        raise BadPacket("a PUBLISH that is cut short") from error
    return Delivered(topic, body[at:], number, bool(flags & 1))


def acknowledged(body: bytes) -> tuple[int, int]:
    """(number, reason code) out of a PUBACK."""
    return int.from_bytes(body[:2], "big"), body[2] if len(body) > 2 else 0


def granted(body: bytes, five: bool) -> bytes:
    """The reason codes of a SUBACK, one for each topic. Raises BadPacket."""
    if not five:
        return body[2:]
    size, at = _varint(body, 2)
    return body[at + size :]


class Packets:
    """Cuts what comes off the line into packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """(kind, flags, body) of each packet that is whole now. Raises BadPacket."""
        data = self._rest + data
        at = 0
        while len(data) - at >= 2:
            try:
                size, start = _varint(data, at + 1)
            except IndexError:
                break
            if size > LARGEST:
                raise BadPacket(f"a packet of {size} bytes")
            if start + size > len(data):
                break
            yield data[at] >> 4, data[at] & 15, data[start : start + size]
            at = start + size
        self._rest = data[at:]


def _properties(body: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Numbers among the properties, by what they are; of texts only their place is looked at."""
    try:
        size, at = _varint(body, at)
        end = at + size
        while at < end:
            what, kind = body[at], _KINDS[body[at]]
            at += 1
            if kind in {_BYTES, _TWO, _FOUR}:
                width = (1, 2, 4)[kind]
                yield what, int.from_bytes(body[at : at + width], "big")
                at += width
            for _ in range({_TEXT: 1, _BINARY: 1, _PAIR: 2}.get(kind, 0)):
                at += 2 + int.from_bytes(body[at : at + 2], "big")
    except (IndexError, KeyError) as error:
        raise BadPacket("properties that are not known") from error


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(number, where it ends). Raises IndexError when it is not whole, BadPacket when it is too long."""
    number = 0
    for place in range(4):
        byte = data[at + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise BadPacket("a length of five bytes")


def _packet(first: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        length.append(low | (0x80 if size else 0))
        if not size:
            return bytes([first]) + length + body


def _text(word: str) -> bytes:
    return _binary(word.encode())


def _binary(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data
