"""Modbus TCP: frames in a stream, numbers for requests, and which reply belongs to which of them."""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass

from gateway.field.port.request import READING, Request

HEADER = 7
"""Bytes of the MBAP header: transaction number, protocol 0, length behind it, unit."""
REPLY = 9
"""Bytes in front of the registers of an answer: header, function, byte count."""
EXCEPTION = 9
"""Bytes of an exception, whatever its header says."""
STRIDE = 7735
"""From one number to the next: odd, so that all come round, and large, so that a gateway whose numbers are
off by a few, or one behind, never has the right one by accident.
"""
_SMALL, NUMBERS = 0x1000, 0x8000
"""Numbers of requests are below `NUMBERS`: some gateways keep them with a sign, or clear the highest bit."""
_SHORTEST, _LONGEST = 2, 254
"""What the length field may say: unit and function; or 253 bytes behind the unit."""
_BEHIND = 6
"""Bytes in front of what the length field counts."""
_REQUEST, _REPLY = struct.Struct(">HHHBBHH").pack, struct.Struct(">HHHBBB").pack


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame. `length` is what its header says, `pdu` what is there."""

    number: int
    unit: int
    pdu: bytes
    length: int
    protocol: int = 0

    @property
    def count(self) -> int:
        """The byte count of an answer."""
        return self.pdu[1]


def first_number() -> int:
    """Where a port begins. Gateways that do not repeat our numbers give 1 for ever, or count from 1: it is
    not near.
    """
    return _SMALL + secrets.randbelow(NUMBERS - _SMALL)


def next_number(number: int) -> int:
    """The number of the next request, with two bytes that differ: of any other nothing tells whether a reply
    has them swapped. So it is never 0, which stands for no number.
    """
    following = (number + STRIDE) % NUMBERS
    return following if following >> 8 != following & 0xFF else next_number(following)


def tcp_request(number: int, unit: int, function: int, address: int, count: int) -> bytes:
    """A read request as Modbus TCP has it."""
    return _REQUEST(number, 0, _BEHIND, unit, function, address, count)


def reply_head(number: int, unit: int, function: int, count: int, protocol: int = 0) -> bytes:
    """How the answer to a read begins that is as the standard has it, but for its protocol perhaps; its
    registers follow.
    """
    return _REPLY(number, protocol, 3 + 2 * count, unit, function, 2 * count & 0xFF)


def split(
    data: bytes, request: Request | None, protocol: int | None = 0
) -> tuple[list[Frame], int, int, bool]:
    """The whole frames, how many bytes are done with, how many of these were noise, and whether the last
    frame was cut short.

    `protocol` is taken for the standard's 0 as well; None: any is. A frame that was cut short would be filled
    up with the bytes of the next one: what follows a frame must be a frame, or no part of one.
    """
    found: list[Frame] = []
    at = noise = 0
    while at < len(data):
        size = _size(data, at, request, protocol)
        if size == 0:
            if found and request is not None and _straddled(data, at, protocol):
                return found[:-1], len(data), noise, True
            skip = _next_header(data, at + 1, request, protocol) - at
            noise += skip
            at += skip
            continue
        if size is None or at + size > len(data):
            break
        number, said, length, unit = struct.unpack_from(">HHHB", data, at)
        # what is padded is longer than its byte count says
        end = 2 + _registers(data[at : at + HEADER + 2], request)
        pdu = data[at + HEADER : at + size]
        if data[at + 7] not in READING or size < HEADER + end or _repeats(pdu, request):
            end = size - HEADER
        found.append(Frame(number, unit, pdu[:end], length, said))
        at += size
    return found, at, noise, False


def _size(data: bytes, at: int, request: Request | None, protocol: int | None) -> int | None:
    """Bytes of the frame that begins here; 0 when none does, None when that is not known yet."""
    here = data[at:]
    said = here[2:4]
    if protocol is not None and any(said) and said != protocol.to_bytes(2)[: len(said)]:
        fits = _fits_but_for_protocol(here, request)
        if not fits:
            return None if fits is None else 0
    if len(here) < HEADER + 2:
        return None
    length = int.from_bytes(here[4:6])
    sane = _SHORTEST < length <= _LONGEST
    unit, function, third = here[6], here[7], here[8]
    mine = request is not None and unit == request.unit and function & 0x7F == request.function
    if function & 0x80:
        return EXCEPTION if sane or mine else 0
    if length == _BEHIND and _repeats(here[HEADER : HEADER + 5], request):
        return HEADER + 5
    if function not in READING:
        return _BEHIND + length if sane else 0
    whole = HEADER + 2 + _registers(here, request)
    if _BEHIND + length == whole:
        return whole
    if not sane and not (mine and request is not None and third == 2 * request.count):
        return 0
    return _BEHIND + length if _BEHIND + length == len(here) and length > whole - _BEHIND else whole


def _repeats(pdu: bytes, request: Request | None) -> bool:
    """Whether it is the request itself that comes back, which has no byte count."""
    return request is not None and pdu == request.sent[HEADER:]


def _registers(here: bytes, request: Request | None) -> int:
    """Bytes of the registers in an answer: as many as its byte count says, or twice as many where that counts
    registers, by its length and by what was asked.
    """
    length, unit, function, third = int.from_bytes(here[4:6]), here[6], here[7], here[8]
    counts = (
        request is not None
        and (unit, function, third) == (request.unit, request.function, request.count)
        and _BEHIND + length == HEADER + 2 + 2 * third
    )
    return 2 * third if counts else third


def _fits_but_for_protocol(here: bytes, request: Request | None) -> bool | None:
    """Whether the reply to the request begins here, right in all but its protocol, and its unit perhaps: then
    it is no answer, but says what is odd. None: not known yet.
    """
    if request is None or request.reply != request.number or int.from_bytes(here[:2]) != request.number:
        return False
    if len(here) < HEADER + 2:
        return None
    length, function, third = int.from_bytes(here[4:6]), here[7], here[8]
    if function == request.function | 0x80:
        return length == EXCEPTION - _BEHIND
    return function == request.function and third == 2 * request.count and length == 3 + third


def _straddled(data: bytes, end: int, protocol: int | None) -> bool:
    """Whether the frame that ends here was filled up with the beginning of the next one, which ends with
    the data.
    """
    first = max(0, end - (HEADER + 2 + 250))
    for start in range(end - 1, first, -1):
        size = _size(data, start, None, protocol)
        if size and start + size == len(data) and data[start + 7] & 0x7F in READING:
            return True
    return False


def _next_header(data: bytes, at: int, request: Request | None, protocol: int | None) -> int:
    """Where the reply that is waited for begins, or may begin, behind what is no frame."""
    if request is None or request.reply is None:
        return len(data)
    mine = request.reply.to_bytes(2) + (b"" if protocol is None else protocol.to_bytes(2))
    found = data.find(mine, at)
    if found >= 0:
        return found
    for tail in range(len(mine) - 1, 0, -1):
        if len(data) - tail >= at and data.endswith(mine[:tail]):
            return len(data) - tail
    return len(data)
