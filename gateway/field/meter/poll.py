"""One poll of one meter: what it is to bring, what it may spend on learning, and what it has brought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.catalogue import Keyed, Span
from gateway.errors import BadFrame, BusError, NoReply, Refused
from gateway.field.meter.planner import Read
from gateway.field.port.contract import Registers, words_of
from gateway.field.schedule import Due
from gateway.model import Reading

_FAST = Due(fast=True)
UNREAD = "timeout"
"""Why a row is absent whose registers were not even asked for."""


class Replies:
    """What the reads of one meter brought: registers, and for those that brought none the reason."""

    __slots__ = ("failures", "reads")

    def __init__(self) -> None:
        self.reads: list[tuple[int, int, Registers]] = []
        """Function, first address, and what the registers from there on hold."""
        self.failures: list[tuple[int, int, int, str]] = []
        """Function, first address, count, reason."""

    def add(self, function: int, start: int, registers: Registers) -> None:
        """Registers that were read from `start` on."""
        self.reads.append((function, start, registers))

    def fail(self, function: int, start: int, count: int, reason: str) -> None:
        """A read that brought nothing."""
        self.failures.append((function, start, count, reason))

    def words(self, span: Span) -> tuple[int, ...] | None:
        """What registers hold; None when they were not read."""
        places = self._places(span)
        return words_of(self._registers(span, places[0])) if places else None

    def registers(self, span: Span, time: int = -1) -> Registers | None:
        """What was read of these registers, the last time or another."""
        places = self._places(span)
        return self._registers(span, places[time]) if places else None

    def _registers(self, span: Span, place: int) -> Registers:
        _, start, registers = self.reads[place]
        return registers[2 * (span.address - start) : 2 * (span.end - start)]

    def encloses(self, pair: Keyed, *, known: bool) -> bool:
        """Whether the key was read with the number, or both before it (`known`: in the poll before) and after
        it.
        """
        numbers, keys = self._places(pair.number), self._places(pair.key)
        if not numbers or not keys:
            return True  # it has a reason of its own
        number = pair.place(numbers, self._places(pair.power))
        return number in keys or ((known or keys[0] < number) and keys[-1] > number)

    def with_keys(self, keys: Mapping[Span, Registers | None]) -> Replies:
        """The same reads, in which these registers hold something else, where that is known."""
        other = Replies()
        other.failures = self.failures
        for function, start, registers in self.reads:
            end, holding = start + len(registers) // 2, bytearray(registers)
            for key, held in keys.items():
                if held is not None and key.comes_with(function, start, end):
                    holding[2 * (key.address - start) : 2 * (key.end - start)] = held
            other.add(function, start, bytes(holding))
        return other

    def _places(self, span: Span) -> list[int]:
        return [
            at
            for at, (function, start, registers) in enumerate(self.reads)
            if span.comes_with(function, start, start + len(registers) // 2)
        ]

    @property
    def first_reason(self) -> str:
        """Why the first read that brought nothing did so."""
        return self.failures[0][3] if self.failures else UNREAD

    def reason(self, spans: Iterable[Span]) -> str:
        """Why one of these spans was not read."""
        for span in spans:
            for function, start, count, reason in self.failures:
                if function == span.function and start < span.end and span.address < start + count:
                    return reason
        return UNREAD


@dataclass(slots=True)
class Poll:
    """`allowance` s may be spent on learning what the meter does not answer."""

    due: Due = _FAST
    allowance: float = 0.0
    after_silence: bool = False
    """Whether the line falls silent first: for a meter that is lost."""
    second_try: bool = False
    """Whether it follows upon the first silence, and costs no more than a request."""
    spent: float = 0.0
    answered: bool = False
    """Something was answered, be it by a refusal."""
    again: bool = False
    """Something failed that may succeed next time."""
    go_on: bool = False
    """Whether another read may be answered where the first one was not."""
    replies: Replies = field(default_factory=Replies)
    doubtful: list[tuple[int, int, int, str]] = field(default_factory=list)
    """Rows that were refused, with the reason: function, first, end; they are left out if others came."""
    reading: Reading = field(init=False)
    unfit: BadFrame | None = None
    """A reply that says what is wrong with it."""
    refused_for: float = 0.0
    """s that refusals took beyond what answers would have taken."""
    refused: Refused | None = None
    """The last of them."""
    refusal: Refused | None = None
    """The first by which the meter has said that it is not ready, or has a fault of its own."""
    error: BusError | None = None
    """Why it ended early; None when every request had an answer."""
    slow_failed: bool = False
    static_failed: bool = False
    attributes: dict[str, str] = field(default_factory=dict)
    """What the meter said of itself."""

    @property
    def complaint(self) -> BusError | None:
        """What the meter has said of itself in place of any value; or that it answered, but no read of its
        own.
        """
        said, missing = self.refusal, self.reading.missing
        if said is not None and said.reason == missing:
            return said
        if self.answered and self.error is None and missing == NoReply.reason:
            meter = self.reading.meter
            return NoReply(
                f"meter {meter} answers, but none of the reads of its table",
                hint=f"submeter drivers try --meter {meter} tells whether its table fits, submeter doctor "
                f"{meter} whether requests are lost",
            )
        return None

    @property
    def may_learn(self) -> bool:
        """Whether there is time left."""
        return self.spent < self.allowance

    def lacks(self, read: Read, reason: str) -> None:
        """A read of it brought nothing."""
        self.replies.fail(read.function, read.address, read.count, reason)

    def fail(self, meter: str, uptime: int, error: BusError) -> None:
        """It brought nothing at all; what was due is due again."""
        self.reading = Reading(meter, uptime, missing=error.reason)
        self.error = error
        self.slow_failed, self.static_failed = self.due.slow, self.due.static
