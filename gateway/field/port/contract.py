"""What a line needs of a port. The real one is modbus.py, the double for tests fake.py."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.field.port.difference import Field, ReplyForm
from gateway.field.port.rtu import Repeats

Registers = bytes
"""What registers hold, as it comes over the wire: two bytes each, the high one first."""
Ask = tuple[int, int, int]
"""function, address, count of a read."""
TimedAnswer = tuple[float, float, Registers]
"""When a request went out, when its answer was there (the loop's time in s), and the answer."""


def words_of(registers: Registers) -> tuple[int, ...]:
    """Registers as numbers, for whoever looks at them one by one."""
    return struct.unpack(f">{len(registers) // 2}H", registers)


def registers_of(words: Iterable[int]) -> Registers:
    """The inverse of `words_of`."""
    numbers = tuple(words)
    return struct.pack(f">{len(numbers)}H", *numbers)


class ReadSeries:
    """Reads of one station, one after the other: `function`, `address`, `count` are those of the one under
    way, `at` is its place. Who goes through the series gets the places that are not answered yet. `answered`
    is called with the place and the answer of a read that another one followed at once.
    """

    __slots__ = ("_answered", "_reads", "address", "at", "count", "function")

    def __init__(
        self, reads: Sequence[Ask], answered: Callable[[int, Registers], None] | None = None
    ) -> None:
        self._reads, self._answered = reads, answered
        self._go_to(0)

    def __iter__(self) -> Iterator[int]:
        while self.at < len(self._reads):
            yield self.at
            self._go_to(self.at + 1)

    @property
    def following(self) -> list[Ask]:
        """The reads behind it, the next one last."""
        return list(self._reads[: self.at : -1])

    def proceed(self, registers: Registers) -> None:
        """Take the answer of a read that another one follows, which is under way from now on."""
        if self._answered is not None:
            self._answered(self.at, registers)
        self._go_to(self.at + 1)

    def _go_to(self, at: int) -> None:
        self.at = at
        if at < len(self._reads):
            self.function, self.address, self.count = self._reads[at]


@dataclass(frozen=True, slots=True)
class Late:
    """A reply that came after its time: the unit that was asked, and s from its request to its last byte.

    `behind`: it is that to the request before, and came while this one's was waited for. `refused`: it is no
    answer, but an exception. `heard_at`: when it came (the loop's time).
    """

    unit: int
    took: float
    behind: bool = False
    refused: bool = False
    heard_at: float = float("-inf")


class Port(Protocol):
    """One request in flight; times are the loop's, in s."""

    sent_at: float
    heard_at: float
    strays: int
    """Bytes that came when nothing was asked, or beside the answer."""
    echoes: int
    """Requests that came back."""
    repeats: Repeats
    """What came once more while the last answer was waited for."""
    late: deque[Late]
    """Late replies that nobody has looked at."""
    on_late: Callable[[], None]
    """Called when one comes."""
    form: ReplyForm
    """How replies differ from the standard."""
    refuted: tuple[Field, ...]
    """Fields in which the last answer did not differ, though it should."""
    following: list[Ask]
    """For one `read`: what is asked of the same unit as soon as an answer is there, the next one last; `read`
    goes on with that, as long as nothing about the answers is odd.
    """
    answers: list[TimedAnswer]
    """What the last `read` got before the answer that it gave, in order."""

    @property
    def has_transaction_ids(self) -> bool:
        """Whether a reply's transaction number says which request it belongs to."""

    @property
    def stray_frames(self) -> int:
        """Whole frames among the strays, where no number tells them apart: each may have been an answer."""

    @property
    def second_answer(self) -> bool:
        """Whether, where no number tells them apart, another frame came that would be the answer to the last
        request, and is no copy of it.
        """

    @property
    def copied(self) -> bool:
        """Whether the last answer came once more before anything else was asked."""

    @property
    def connected(self) -> bool:
        """Whether a request can be sent; False after the port or the host went away."""

    async def open(self) -> None:
        """Open it. Raises BusDown."""

    def close(self) -> None:
        """Give the port back to others; a request under way fails with BusDown."""

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        """Read registers. Raises BusDown, NoReply, BadFrame, Refused."""

    async def overdue(self, timeout: float) -> Registers:
        """The answer to the last request, after its time-out. Raises like `read`."""
