"""A read that its meter does not answer while it answers others: which of its registers, or its length, is
at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import NoReply
from gateway.field.meter.planner import Read, Rules, between, halves
from gateway.field.meter.poll import Poll

HOPELESS = 3
"""Single rows of a read that are not answered, and none that is: the others are not asked one by one."""


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
