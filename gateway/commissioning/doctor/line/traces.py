"""One request and everything that was heard of it, judged byte by byte. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from gateway.commissioning.scan import LineSetting, RawExchange, asks, placed
from gateway.model import is_not_ready

Outcome = Literal["answer", "refused", "damaged", "silent"]
_REFUSAL: Final = 5
_REPLY_HEAD: Final = 5
"""Bytes of a reply beside its registers: unit, function, count, CRC."""
_BREAK: Final = 2
"""A line that goes to space gives one NUL, at most two."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one read brought.

    `at`: s on the wire's clock. `count`: registers asked for. `pause`: s of rest before it beyond what the
    meter wants. `took`: s to the first byte. `lead`, `tail`: bytes before and behind the answer that are no
    frame. `head`: a damaged answer begins as it should. `answers`: whole answers of this unit. `masters`:
    requests of others. `others`: whole answers of other units; `as_unit`: the one in whose name what was
    asked for came, and nothing else. `size`: bytes heard. `breaks`: nothing but NULs came. `marks`: damaged
    characters, as the port's driver counts them.
    """

    unit: int
    at: float
    count: int
    outcome: Outcome
    code: int = 0
    pause: float = 0.0
    took: float = 0.0
    lead: int = 0
    tail: int = 0
    head: bool = False
    answers: int = 0
    masters: int = 0
    others: int = 0
    as_unit: int | None = None
    size: int = 0
    breaks: bool = False
    marks: int = 0
    late: bool = False
    """Its answer came when it is not waited for any more."""
    words: tuple[int, ...] = ()

    @property
    def good(self) -> bool:
        """Whether a whole answer came, a refusal too."""
        return self.outcome in {"answer", "refused"}

    @property
    def not_ready(self) -> bool:
        """Whether it was a refusal that passes."""
        return is_not_ready(self.code)

    @property
    def known(self) -> bool:
        """Whether the meter has shown itself: an answer, one that begins as it should, a late one, or one in
        another's name.
        """
        return self.good or self.head or self.late or self.as_unit is not None

    @property
    def bits(self) -> int:
        """Bits of the answer that was due, as characters of ten."""
        return 10 * (_REFUSAL if self.outcome == "refused" else _REPLY_HEAD + 2 * self.count)


@dataclass(frozen=True, slots=True)
class Idle:
    """The line while nobody of us asked: for how long, bytes that are no frame, frames of others."""

    seconds: float = 0.0
    noise: int = 0
    masters: int = 0
    others: int = 0


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A meter that answers somewhere else than it should: at another setting, address or port."""

    unit: int
    setting: LineSetting | None = None
    port: str = ""
    meter: str = ""
    """The configured meter that is meant."""
    serial: str = ""


@dataclass(slots=True)
class LineTraces:
    """Everything that was measured on one line. `serials`: serial numbers read per meter, in order."""

    setting: LineSetting | None = None
    reads: dict[str, list[Trace]] = field(default_factory=dict)
    idle: list[Idle] = field(default_factory=list)
    elsewhere: list[Elsewhere] = field(default_factory=list)
    serials: dict[str, list[str]] = field(default_factory=dict)
    history: int | None = None
    """How often the kernel's log says that the port vanished of late; None when it may not be read."""
    losses: int = 0
    """How often the port vanished meanwhile."""
    vanished: bool = False
    """It did not come back."""
    searched: bool = False
    """Whether other settings were tried."""
    echo: bool = False
    seconds: float = 0.0

    def of(self, meter: str) -> list[Trace]:
        """The reads of a meter, in order; what is put into the list is kept."""
        return self.reads.setdefault(meter, [])

    def note_idle(self, idle: Idle) -> None:
        """The line was listened to."""
        self.idle.append(idle)

    def note_elsewhere(self, there: Elsewhere) -> None:
        """A meter was found where it should not be."""
        self.elsewhere.append(there)

    def note_serial(self, meter: str, number: str) -> None:
        """A serial number was read."""
        self.serials.setdefault(meter, []).append(number)

    def every(self) -> list[Trace]:
        """All reads in the order of time."""
        return sorted(
            (trace for traces in self.reads.values() for trace in traces), key=lambda trace: trace.at
        )


def trace_of(
    heard: RawExchange, *, unit: int, function: int, count: int, at: float, pause: float = 0.0
) -> Trace:
    """Judge what came after a read of `count` registers."""
    data = heard.data.removeprefix(heard.sent)
    found = list(placed(data))
    mine = [(start, frame) for start, frame in found if _answers(frame, unit, function, count)]
    rest = [frame for start, frame in found if not _answers(frame, unit, function, count)]
    masters = sum(asks(frame) for frame in rest)
    alone = len(data) == sum(map(len, rest)) and len(rest) == 1
    as_unit = rest[0][0] if alone and _answers(rest[0], rest[0][0], function, count) else None
    base = Trace(
        unit,
        at,
        count,
        "silent",
        pause=pause,
        took=heard.took,
        answers=len(mine),
        masters=masters,
        others=len(rest) - masters,
        as_unit=as_unit,
        size=len(data),
    )
    left = len(data) - sum(len(frame) for _, frame in found)
    if mine:
        start, frame = mine[0]
        lead = start - sum(len(other) for place, other in found if place < start)
        if frame[1] & 0x80:
            return replace(base, outcome="refused", code=frame[2], lead=lead, tail=left - lead)
        words = tuple(int.from_bytes(frame[at : at + 2], "big") for at in range(3, 3 + 2 * count, 2))
        return replace(base, outcome="answer", lead=lead, tail=left - lead, words=words)
    if not left:
        return base
    head = bytes((unit, function, 2 * count))
    place = data.find(head)
    lead = place if place > 0 else int(place < 0 and data[1:3] == head[1:])
    only = len(data) <= _BREAK and not any(data)
    return replace(base, outcome="damaged", lead=lead, head=place == 0, breaks=only)


def idle_of(data: bytes, seconds: float) -> Idle:
    """Judge what came while nobody asked."""
    found = [frame for _, frame in placed(data)]
    masters = sum(asks(frame) for frame in found)
    return Idle(seconds, len(data) - sum(map(len, found)), masters, len(found) - masters)


def share(traces: Sequence[Trace], outcome: Outcome) -> float:
    """Share of the reads that ended so; 0 of none."""
    return sum(trace.outcome == outcome for trace in traces) / len(traces) if traces else 0.0


def _answers(frame: bytes, unit: int, function: int, count: int) -> bool:
    """Whether a frame is the answer that is due, or its refusal."""
    if frame[0] != unit or frame[1] & 0x7F != function:
        return False
    return len(frame) == _REFUSAL if frame[1] & 0x80 else len(frame) == _REPLY_HEAD + 2 * count
