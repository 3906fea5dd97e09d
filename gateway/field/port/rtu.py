"""Frames among the bytes of a serial line: the answer, frames that are not it, and noise, which is everything
else.

Noise is harmless: fewer bytes than the shortest frame, or bytes that hold no frame with a right CRC, can
never be taken for an answer. It is what a transceiver leaves that releases the line, what a converter pads
with, an echo that was damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.errors import BadFrame, NoReply
from gateway.field.port.request import COPY, REFUSAL, Request, registers_short_of

_REQUEST = 8
"""Bytes of a request that reads or writes one thing, and of a reply to a write."""
_KEPT = 64
"""Answers that are known again."""
_LONGEST_UNIT = 247
_MOST_REGISTERS = 125
_MOST_BITS = 2000

Check = Callable[[bytes], bool]
"""Whether the CRC of a frame is right."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the bytes since a request hold.

    `answer` is its place; `foreign`: a frame of this unit that is not the answer is among them, `other`: one
    of another unit, and which; `damaged`: what should have been the answer is; `echo`: the request itself
    came back; `begun`: they may still become the answer.
    """

    answer: tuple[int, int] | None = None
    foreign: bool = False
    other: int | None = None
    damaged: bool = False
    echo: bool = False
    begun: bool = False


def hear(data: bytes, request: Request, check: Check) -> Heard:
    """Judge everything that came since the request."""
    at = data.find(request.sent)
    echo = at >= 0
    end = at + len(request.sent)
    before, rest = (data[:at], data[end:]) if echo else (b"", data)
    head = request.odd_head if request.counted else request.head
    begun = len(rest) < request.size and rest.startswith(head[: len(rest)])
    if begun and not before:  # the usual case, without a look at every byte
        return Heard(echo=echo, begun=True)
    found, damaged = _answer(rest, request, check)
    noise = [before, rest if found is None else rest[: found[0]]]
    # a request may come back more than once: no answer has its length
    units = {frame[0] for part in noise for frame in frames(part, check) if frame != request.sent}
    foreign = request.unit in units
    other = min(units - {request.unit}, default=None)
    if found is None or units:
        return Heard(None, foreign, other, damaged, echo, begun)
    shift = end if echo else 0
    return Heard((found[0] + shift, found[1] + shift), echo=echo)


def is_echo(data: bytes, request: Request) -> bool:
    """Whether nothing came but the request itself, once or more."""
    return bool(data) and not data.replace(request.sent, b"")


def no_answer(data: bytes, request: Request, check: Check, hint: str) -> BadFrame | NoReply:
    """What a request is of which these bytes are all that came in its time; `hint` is for silence."""
    unit, rest = request.unit, data.replace(request.sent, b"")
    begun = any(head in rest for head in (request.head[:2], request.refusal))
    if len(rest) >= REFUSAL and (begun or any(True for _ in frames(rest, check))):
        error = BadFrame(f"unit {unit}: {len(rest)} bytes came, but no whole answer")
        error.shorter = shorter(rest, request, check)
        return error
    if is_echo(data, request):
        return NoReply(f"unit {unit} did not answer; the adapter hears only itself", hint=hint)
    return NoReply(
        f"unit {unit} did not answer; {len(rest)} bytes came that are no frame", hint=hint, heard=len(rest)
    )


def shorter(data: bytes, request: Request, check: Check) -> int:
    """How many registers the one frame among these bytes has that is of this unit and function, where they
    are fewer than were asked for; else 0.
    """
    mine = [frame for frame in frames(data, check) if frame[:2] == request.head[:2]]
    return registers_short_of(request.count, mine[0][2], len(mine[0]) - REFUSAL) if len(mine) == 1 else 0


def has_answer(data: bytes, request: Request, check: Check) -> bool:
    """Whether a whole frame that would be the answer, or an exception, is among these bytes."""
    return _answer(data, request, check)[0] is not None


class Repeats:
    """What may come once more while the next answer is waited for: an answer of before, from a meter that
    answers twice or a converter that keeps one, and the request to the last one, from an adapter that hears
    itself late. None can be taken for the next answer, unless that has the same length.
    """

    def __init__(self) -> None:
        self.unit: int | None = None
        """Whose answer came once more."""
        self._answers: dict[bytes, float] = {}
        """The newest ones and when the request after each went out, the newest last."""
        self._request = b""

    def begin(self, answer: bytes, request: bytes, now: float) -> None:
        """Another request goes out `now`; `answer` is empty when the one before had none. What comes of that
        unit then may be its answer, late, and no copy.
        """
        answers = self._answers
        self.unit, self._request = None, request if answer else b""
        if answer:
            answers.pop(answer, None)
            answers[answer] = now
        else:
            for frame in [frame for frame in answers if frame[:1] == request[:1]]:
                del answers[frame]
        while answers and (len(answers) > _KEPT or now - next(iter(answers.values())) > COPY):
            del answers[next(iter(answers))]

    def heard(self, data: bytes, request: Request) -> int:
        """Bytes at the beginning that are one of these frames."""
        if self._request and data.startswith(self._request):
            return len(self._request)
        if len(data) < REFUSAL:
            return 0
        sizes = (0,) if data[1] & 0x80 else (data[2], 2 * data[2])
        frame = next((each for size in sizes if (each := data[: REFUSAL + size]) in self._answers), b"")
        pdu = frame[1:-2]
        if not frame or (frame[0] == request.unit and (request.answered_by(pdu) or request.refused_by(pdu))):
            return 0
        self.unit = frame[0]
        return len(frame)


def _answer(data: bytes, request: Request, check: Check) -> tuple[tuple[int, int] | None, bool]:
    """The place of the answer or exception, and whether a whole one was there with a wrong CRC."""
    damaged = False
    for head, size in (
        (request.head, request.size),
        (request.odd_head, request.size),
        (request.refusal, REFUSAL),
    ):
        start = data.find(head)
        while 0 <= start <= len(data) - size:
            # zeros behind a frame leave its CRC right: the plain reply to a read of half as many is no answer
            plain = head == request.odd_head and check(data[start : start + REFUSAL + request.count])
            if not plain and check(data[start : start + size]):
                return (start, start + size), False
            damaged = damaged or head is request.head or len(data) == size
            start = data.find(head, start + 1)
    return None, damaged


def frames(data: bytes, check: Check) -> Iterator[bytes]:
    """The frames with a right CRC among these bytes, of whomever."""
    start = 0
    while start <= len(data) - REFUSAL:
        for size in _sizes(data, start):
            frame = data[start : start + size]
            if len(frame) == size and check(frame):
                yield frame
                start += size - 1
                break
        start += 1


def count(data: bytes, unit: int, check: Check) -> int:
    """How many frames of this unit are among these bytes: what another one says cannot be taken for its
    second answer.
    """
    return sum(frame[0] == unit for frame in frames(data, check))


def _sizes(data: bytes, start: int) -> Iterator[int]:
    """How long a frame that begins here may be, by the functions of the standard."""
    unit, function, third = data[start : start + 3]
    if unit > _LONGEST_UNIT:
        return
    if function & 0x80:
        yield REFUSAL
        return
    if 1 <= function <= 4:  # the functions that read
        yield REFUSAL + third
        if function >= 3:  # registers, which some count there
            yield REFUSAL + 2 * third
        amount = int.from_bytes(data[start + 4 : start + 6])
        if 0 < amount <= (_MOST_REGISTERS if function >= 3 else _MOST_BITS):  # registers
            yield _REQUEST
    elif function in {5, 6, 15, 16}:
        yield _REQUEST
        if function >= 15 and start + 6 < len(data):  # several
            yield _REQUEST + 1 + data[start + 6]
    elif start == 0:
        yield len(data)
