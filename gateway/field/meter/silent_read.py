"""Reads that a meter does not answer: which goes first, lest it is all that is asked; and, while it answers
others, which of its registers, or its length, is at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import NoReply
from gateway.field.meter.planner import Read, Rules, between, halves
from gateway.field.meter.poll import Poll

HOPELESS = 3
"""Single rows of a read that are not answered, and none that is: the others are not asked one by one."""


SILENT = 2
"""Polls in a row in which a read was not answered while others were: then it is looked into."""
NEVER = (0, 0.0, 0.0)
"""What is known of a read that was not missed."""


class Asking(Protocol):
    """How the parts of a silent read are asked, in a poll that allows for it or not any more."""

    async def again(self, read: Read, poll: Poll) -> bool:
        """Ask after silence; whether it was answered."""

    async def plainly(self, read: Read, poll: Poll) -> None:
        """Ask what was answered before."""

    def fail(self, read: Read, poll: Poll, reason: str) -> None:
        """It is not asked, or in vain."""

    def answers_beside(self, read: Read) -> bool:
        """Whether it has answered a read of other registers."""


class MissedReads:
    """The reads of a meter that were not answered lately."""

    def __init__(self) -> None:
        self.unanswered: dict[Read, tuple[int, float, float]] = {}
        """How often in a row a read was not answered, and how long it came after the meter's own answer
        and the line's last byte.
        """
        self.tried: dict[Read, int] = {}
        """The same for polls in which nothing was answered: which read is the next to find the meter by."""
        self._began_with: Read | None = None
        """The first read of the last poll in which some were not answered."""
        self._row = -1

    def not_even(self, read: Read) -> None:
        """It was not answered, and no other one of the poll before it."""
        if not self.tried:
            self._began_with = read
        self.tried[read] = self.tried.get(read, 0) + 1

    def next_row(self, single_rows: Sequence[Read]) -> Read:
        """Another single row each time, to find the meter by."""
        self._row += 1
        return single_rows[self._row % len(single_rows)]

    def in_order(
        self, reads: Sequence[Read], single_rows: Sequence[Read], proven: Collection[Read]
    ) -> Sequence[Read]:
        """Those that were answered go first: a silent one says nothing about the meter, and may make it deaf
        to what follows. `single_rows`: short reads to find it by, when none is answered; `proven`: reads
        that were answered ever.
        """
        missed, tried = self.unanswered, self.tried
        if single_rows and all(read in missed or tried.get(read, 0) >= SILENT for read in reads):
            row = self.next_row(single_rows)
            reads = [row, *(read for read in reads if read not in single_rows)]

        def last(read: Read) -> tuple[int, bool]:
            times = missed.get(read, NEVER)[0] + tried.get(read, 0)
            return times + (read not in proven), read == self._began_with

        ordered = sorted(reads, key=last)
        self._began_with = ordered[0]
        return ordered


@dataclass(slots=True)
class _Part:
    """`answered` is None while it is not known. `confirmed`: its halves are answered, it was asked again,
    and was silent.
    """

    read: Read
    answered: bool | None = None
    asked: int = 0
    parts: tuple[_Part, _Part] | None = None
    confirmed: bool = False
    step_answered: bool = False
    """Whether the registers between its halves are answered, so that its length is at fault."""

    @property
    def known(self) -> bool:
        if self.parts is None:
            return self.answered is not None
        return all(part.known for part in self.parts) and (
            self.confirmed or not self.whole or bool(self.faults())
        )

    @property
    def whole(self) -> bool:
        return all(part.whole for part in self.parts) if self.parts else bool(self.answered)

    def leaves(self) -> Iterator[_Part]:
        if self.parts is None:
            yield self
        else:
            for part in self.parts:
                yield from part.leaves()

    def faults(self) -> list[_Part]:
        """The innermost parts that are silent although their halves are answered."""
        if self.parts is None:
            return []
        inner = [fault for part in self.parts for fault in part.faults()]
        return inner or ([self] if self.whole and self.confirmed else [])


@dataclass(slots=True)
class SilentRead:
    """What is known of it so far; `go_on` finds out more. `reason`: what it brings in place of registers."""

    read: Read
    rules: Callable[[], Rules]
    reason: str = NoReply.reason
    root: _Part = field(init=False)

    def __post_init__(self) -> None:
        self.root = _Part(self.read, asked=1)
        self._cut(self.root)

    @property
    def known(self) -> bool:
        """Whether no part of it is still to be asked."""
        return self.root.known

    async def go_on(self, asking: Asking, poll: Poll) -> None:
        """Ask its parts: those that are answered as ever, the others as far as there is time."""
        await self._ask(self.root, asking, poll)
        await self._confirm(self.root, asking, poll)

    def silent(self) -> list[tuple[int, int, int]]:
        """The rows that are not answered: function, first, end."""
        rows = {
            (span.function, span.address, span.end)
            for part in self.root.leaves()
            if not part.answered
            for span in part.read.spans
        }
        return sorted(rows)

    def steps(self) -> list[tuple[int, int, int]]:
        """The ranges between rows that no read may contain."""
        return [between(*self._sides(part)) for part in self.root.faults() if not part.step_answered]

    def too_long(self) -> int | None:
        """The length that is not answered, when it is the length; the smallest one."""
        return min((part.read.count for part in self.root.faults() if part.step_answered), default=None)

    async def _ask(self, part: _Part, asking: Asking, poll: Poll) -> None:
        if part.parts:
            for each in part.parts:
                await self._ask(each, asking, poll)
        elif part.answered:
            await asking.plainly(part.read, poll)
        elif part.answered is None and self._hopeless() and asking.answers_beside(self.read):
            part.answered = False
            asking.fail(part.read, poll, self.reason)
        elif part.answered is None and poll.may_learn:
            if await asking.again(part.read, poll):
                part.answered = True
                return
            part.asked += 1
            self._cut(part)
            await self._ask(part, asking, poll)
        else:
            asking.fail(part.read, poll, self.reason)

    def _hopeless(self) -> bool:
        known = [part.answered for part in self.root.leaves() if part.answered is not None]
        return len(known) >= HOPELESS and not any(known)

    def _cut(self, part: _Part) -> None:
        """Its halves are to be asked; a single row that was asked twice is at fault."""
        two = halves(part.read, self.rules())
        if two is not None:
            part.parts = (_Part(two[0]), _Part(two[1]))
        elif part.asked > 1:
            part.answered = False

    async def _confirm(self, part: _Part, asking: Asking, poll: Poll) -> None:
        """Where both halves are answered it may have been noise: the whole is asked once more, then what
        lies between them.
        """
        if part.parts is None:
            return
        for each in part.parts:
            await self._confirm(each, asking, poll)
        if part.parts is None or not part.whole or part.confirmed or part.faults() or not poll.may_learn:
            return
        if await asking.again(part.read, poll):
            part.parts, part.answered = None, True
            return
        part.confirmed = True
        left, right = self._sides(part)
        first, end = self.rules().bounds(left.end - 1, right.address + 1)
        part.step_answered = await asking.again(Read(left.function, first, end - first, ()), poll)

    def _sides(self, part: _Part) -> tuple[Read, Read]:
        assert part.parts is not None
        left, right = part.parts
        return left.read, right.read
