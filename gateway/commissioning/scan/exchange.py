"""One request and what was heard of it: when to stop listening, which whole frames are among the bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.commissioning.scan.settings import LineSetting
from gateway.field import Difference, frames, has_right_crc

_ROOM: Final = 1024
"""Bytes that are listened to after one request; a line that never falls silent has shown what it is."""
_PAUSE: Final = 0.08
"""s more for the rest of an answer that has begun: a busy machine hands bytes on late."""
_READ_REPLY: Final = 5
"""Bytes of the answer to a read beside its registers."""
_REQUEST_BYTES: Final = 8
_READS: Final = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole frame that was heard: `took` s after the request; `request`: it is another master's; `late`: it
    began before the request, so that it answers an earlier one.
    """

    unit: int
    pdu: bytes
    took: float
    request: bool = False
    late: bool = False

    @property
    def exception(self) -> int | None:
        """The exception code of a refusal."""
        return self.pdu[1] if len(self.pdu) == 2 and self.pdu[0] & 0x80 else None


@dataclass(slots=True)
class Exchange:
    """Everything between one request and the next. `noise`: bytes that are no part of a frame; `echo`: the
    request itself came back. Of a Modbus TCP host, `framed`: whole frames came, be they nobody's; `odd`: in
    what the one that differs most from the standard does so, and still would be the answer.
    """

    answers: list[Answer] = field(default_factory=list)
    noise: int = 0
    echo: bool = False
    framed: bool = False
    odd: tuple[Difference, ...] = ()

    def of(self, unit: int, function: int) -> Answer | None:
        """The answer of that unit to this request, with that function."""
        return next(
            (
                answer
                for answer in self.answers
                if answer.unit == unit
                and not answer.request
                and not answer.late
                and answer.pdu[0] & 0x7F == function
            ),
            None,
        )


@dataclass(frozen=True, slots=True)
class RawExchange:
    """The bytes of one request as they came: `early` before it was sent, `data` after it; `took` s from its
    last bit to the first byte that is no echo, 0.0 when nothing came.
    """

    sent: bytes
    early: bytes
    data: bytes
    took: float


def listen(
    receive: Callable[[float], bytes],
    sent: bytes,
    until: float,
    *,
    linger: float,
    rest: Callable[[bytes], float],
) -> tuple[bytes, float]:
    """Bytes, and when the first that was no echo came: monotonic s, 0.0 for never.

    Listens to `until`, or until it is quiet for `linger` s behind the answer to `sent`. `receive` gives what
    comes within so many s, `rest` the s in which the rest of what has begun should be here.
    """
    data, first = bytearray(), 0.0
    while len(data) < _ROOM:
        # On a busy machine the time is over before this runs again: what has come meanwhile came in time.
        got = receive(max(0.0, until - time.monotonic()))
        if not got:
            break
        data += got
        begun = bytes(data.removeprefix(sent))
        if not begun:
            continue
        first = first or time.monotonic()
        if not sent:
            continue
        if not answered(begun, sent):
            until = max(until, time.monotonic() + rest(begun))
        elif linger:
            until = time.monotonic() + linger
        else:
            break
    return bytes(data), first


def dissect(early: bytes, data: bytes, sent: bytes, took: float) -> Exchange:
    """What was heard before a request (`early`) and after it; a late answer may lie on both sides of it."""
    heard = Exchange(echo=data.startswith(sent) and len(sent) > 0)
    every, known = early + data.removeprefix(sent), 0
    for at, frame in placed(every):
        known += len(frame)
        late = bool(sent) and at < len(early)
        heard.answers.append(Answer(frame[0], bytes(frame[1:-2]), took, asks(frame), late))
    heard.noise = len(every) - known
    return heard


def to_come(data: bytes, sent: bytes, setting: LineSetting) -> float:
    """Seconds in which the rest of an answer that has begun should be here; 0.0 when it has not."""
    if data[:2] != sent[: min(2, len(data))] or sent[1] not in _READS:
        return 0.0
    missing = _READ_REPLY + data[2] - len(data) if len(data) > 2 else _READ_REPLY
    return missing * setting.character + _PAUSE if missing > 0 else 0.0


def placed(data: bytes) -> Iterable[tuple[int, bytes]]:
    """The whole frames among these bytes, of whomever, with their places."""
    at = 0
    for frame in frames(data, has_right_crc):
        at = data.index(frame, at)
        yield at, frame
        at += len(frame)


def answered(data: bytes, sent: bytes) -> bool:
    """Whether the answer to a request is among these bytes. The first eight bytes of an answer can be a
    master's request by their checksum: its rest is still to come.
    """
    return any(
        frame[0] == sent[0] and frame[1] & 0x7F == sent[1] and not asks(frame)
        for frame in frames(data, has_right_crc)
    )


def asks(frame: bytes) -> bool:
    """Whether a frame is a master's read: no answer to one has its length."""
    return len(frame) == _REQUEST_BYTES and frame[1] in _READS
