"""What a meter has answered so far, and how sure that is: each place is asked for once; an answer that is
lost says nothing of the meter.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from math import inf
from typing import Final, TypeVar

from gateway.catalogue import Driver, Span
from gateway.commissioning.plausibility.fit import Ask
from gateway.errors import BadFrame, BusError, NoReply, NotReady, Refused

_MOST_READS: Final = 400
_PATIENCE: Final = 2
"""Unanswered reads in a row after which no more is asked for: of a meter that may not be there."""
_AT_ONCE: Final = 40
_GAP: Final = 10
"""Registers that are read along sooner than they cost a question of their own."""
_BY_CHANCE: Final = 1e-5
"""Chance below which a place that was silent each time is believed not to be there."""
_INSISTING: Final = 3
"""Reads in vain before the last one."""
_NOBODY: Final = (10, 11)
"""What a converter says for a unit that does not answer it."""
_NO_FUNCTION: Final = 1
"""What a meter says of a function that it does not know (Modbus application protocol V1.1b3, 7)."""
_TWICE: Final = 2
_ROUNDS: Final = 8
"""Times that what was not answered is asked for again."""
T = TypeVar("T")

Place = tuple[int, int, int]
"""Function, address and number of registers."""


class Reader:
    """Reads what was not read yet, as far as the meter answers."""

    def __init__(
        self,
        ask: Ask,
        *,
        most: int = _MOST_READS,
        patience: int = _PATIENCE,
        seconds: float = inf,
        there: Iterable[Place] = (),
        apart: Iterable[Place] = (),
        lost: Callable[[], int] = lambda: 0,
    ) -> None:
        """`most` reads in all, within `seconds`; no more after `patience` in a row that were not answered.
        `there`: places that the meter is known to have, though not what stands there now. `apart`: places
        that hold something else when they are read with their neighbours. `lost`: answers of the meter that
        `ask` itself has missed until now, and got when it asked again.
        """
        self.ask = ask
        self._most, self.patience = most, patience
        self._until = time.monotonic() + seconds
        self.words: dict[tuple[int, int], int] = {}
        self._alone: dict[Place, list[int] | None] = {}
        self._not_ready: set[Place] = set()
        self.complaint: Refused | None = None
        """The first refusal by which it has said that it is not ready, or has a fault of its own."""
        self._there, self._apart = frozenset(there), frozenset(apart)
        self._lone: set[tuple[int, int]] = set()
        """Registers in `words` that were read apart from their neighbours, which belong to none of them."""
        self.reads = self.silences = 0
        self._silent: dict[Place, int] = {}
        """What is not answered yet, and how often it was asked for."""
        self._proof: Place | None = None
        """What was answered last, or refused."""
        self._came = self._missed = 0
        self._lost = lost
        self._gives: set[int] = set()
        """Functions by which it has given registers."""
        self._codes: dict[int, Counter[int]] = {}
        """By function: how often it has refused with which code."""

    async def alone(self, function: int, address: int, count: int) -> list[int] | None:
        """A read of exactly these; None when they are refused, not answered, or not asked for any more.
        Raises BusDown.
        """
        place = (function, address, count)
        if place not in self._alone:
            if self.spent:
                return None
            self._alone[place] = None if self._knows_not(function) else await self._read(*place)
        return self._alone[place]

    def _knows_not(self, function: int) -> bool:
        """Whether the meter has said, and not once, that it does not know a function. A meter that says so of
        registers of another one as well means something else by it.
        """
        others = [codes for each, codes in self._codes.items() if each != function]
        return (
            self._codes.get(function, {}).keys() == {_NO_FUNCTION}
            and self._codes[function][_NO_FUNCTION] >= _TWICE
            and function not in self._gives
            and bool(others)
            and not any(_NO_FUNCTION in codes for codes in others)
        )

    async def answers(self, span: Span) -> bool:
        """Whether the meter gives these registers, asked for where it is not known. Raises BusDown."""
        place = (span.function, span.address, span.words)
        return place in self._there or self._came_with(span) or await self.alone(*place) is not None

    @property
    def spent(self) -> bool:
        """Whether no more is asked for."""
        return self.reads >= self._most or self.silences >= self.patience or time.monotonic() > self._until

    def refused(self, span: Span) -> bool:
        """Whether it was asked for alone, in vain."""
        return self._alone.get((span.function, span.address, span.words), ()) is None

    @property
    def refusals(self) -> tuple[Place, ...]:
        """What was asked for in vain, in the order of asking; who is not ready has refused nothing."""
        return tuple(
            place for place, words in self._alone.items() if words is None and place not in self._not_ready
        )

    @property
    def gave_nothing(self) -> bool:
        """Whether no register was read at all."""
        return not any(self._alone.values())

    def lacks(self, spans: Iterable[Span]) -> bool:
        """Whether one of these spans was asked for in vain."""
        return any(map(self.refused, spans))

    def has(self, spans: Iterable[Span]) -> bool:
        """Whether all of these spans were read."""
        return all(map(self._has, spans))

    def _has(self, span: Span) -> bool:
        places = {(span.function, at) for at in range(span.address, span.end)}
        lone = self._is_apart(span) or places.isdisjoint(self._lone)
        return lone and places <= self.words.keys()

    def _is_apart(self, span: Span) -> bool:
        return (span.function, span.address, span.words) in self._apart

    def _came_with(self, span: Span) -> bool:
        """Whether a read of others has brought what stands there when it is asked for by itself."""
        return not self._is_apart(span) and self._has(span)

    async def fill(
        self,
        spans: Iterable[Span],
        enough: Callable[[], bool] = lambda: False,
        telling: Callable[[Span], int] = lambda _: 0,
        along: Collection[tuple[int, int]] = (),
    ) -> None:
        """Read these spans into `words`, until it is enough; neighbours come together, with what was read
        between them before, and over small gaps with what may come `along` (function and register). Where
        that is refused, without the latter; then one by one, the most `telling` first. Raises BusDown.
        """
        missing = {span for span in spans if not self.has([span])}
        for group in self._together(missing, along):
            await self._read_group(group, enough, telling)

    def _together(self, spans: Iterable[Span], along: Collection[tuple[int, int]] = ()) -> list[list[Span]]:
        """The spans that are read at once."""
        groups: list[list[Span]] = []
        for span in sorted(spans, key=lambda span: (span.function, span.address)):
            group = groups[-1] if groups else []
            if group and span.function == group[0].function and span.end - group[0].address <= _AT_ONCE:
                gap = [(span.function, at) for at in range(group[-1].end, span.address)]
                if all(at in self.words for at in gap) or (
                    len(gap) <= _GAP and all(at in self.words or at in along for at in gap)
                ):
                    group.append(span)
                    continue
            groups.append([span])
        return groups

    async def _read_group(
        self, group: list[Span], enough: Callable[[], bool], telling: Callable[[Span], int]
    ) -> None:
        if enough():
            return
        found = await self.alone(
            group[0].function, group[0].address, max(span.end for span in group) - group[0].address
        )
        if found is None and len(group) > 1:
            parts = self._together(group)
            if len(parts) == 1:
                parts = [[span] for span in sorted(group, key=telling, reverse=True)]
            for part in parts:
                await self._read_group(part, enough, telling)
        first = group[0]
        place = (first.function, first.address, len(found or ()))
        for offset, word in enumerate(found or ()):
            at = (first.function, first.address + offset)
            self.words[at] = word
            (self._lone.add if place in self._apart else self._lone.discard)(at)

    async def _read(self, function: int, address: int, count: int) -> list[int] | None:
        """The words; None when they are refused or not answered: then the place is among the silent ones."""
        self.reads += 1
        place = (function, address, count)
        words: list[int] | None = None
        try:
            words = await self.ask(*place)
        except (NoReply, BadFrame, Refused) as error:
            self._complain(place, error)
            if not isinstance(error, Refused) or isinstance(error, NotReady) or error.code in _NOBODY:
                self.silences = 0 if isinstance(error, BadFrame) else self.silences + 1
                self._silent[place] = self._silent.get(place, 0) + 1
                return None
            self._codes.setdefault(function, Counter())[error.code] += 1
        else:
            self._gives.add(function)
        self.silences = 0
        self._came += 1
        self._missed += self._silent.pop(place, 0) > 0
        self._proof = place
        self._not_ready.discard(place)
        return words

    def _complain(self, place: Place, error: BusError) -> None:
        """Note what it says of itself."""
        if isinstance(error, NotReady):
            self.complaint = self.complaint if isinstance(self.complaint, NotReady) else error
            self._not_ready.add(place)
        elif isinstance(error, Refused):
            self.complaint = self.complaint or (error if error.hint else None)

    @property
    def doubts(self) -> list[Place]:
        """What was not answered and may be there all the same: as often as this meter's answers are lost, by
        the rule of succession, it is silent so many times by chance.
        """
        missed = self._missed + self._lost()
        share = (missed + 1) / (self._came + missed + 2)
        return [place for place, times in self._silent.items() if share**times > _BY_CHANCE]

    @property
    def loses(self) -> bool:
        """Whether some of its answers were lost, and came when they were asked for again."""
        return self._missed + self._lost() > 0

    async def ask_again(self) -> bool:
        """Ask once more for all that is in doubt; whether anything of it was answered or refused now. A
        silence counts when the meter answers something else behind it. None of this is one of the `most`
        reads. Raises BusDown.
        """
        learnt, silences, reads = False, self.silences, self.reads
        for place in self.doubts:
            if time.monotonic() > self._until:
                break
            times, span = self._silent[place], Span(*place)
            if self._came_with(span):
                self._alone[place] = [self.words[span.function, at] for at in range(span.address, span.end)]
                del self._silent[place]
            else:
                self._alone[place] = await self._read(*place)
            if place not in self._silent:
                learnt = True
            elif not await self._speaks():
                self._silent[place] = times
                break
        self.silences, self.reads = 0 if learnt else silences, reads
        return learnt

    async def _speaks(self) -> bool:
        """Whether the meter still answers what it answered last."""
        proof, came = self._proof, self._came
        if proof is None:
            return False
        await self._read(*proof)
        self._silent.pop(proof, None)
        return self._came > came

    async def insist(self, function: int, address: int, count: int) -> list[int]:
        """A read for those who would take a lost answer for a refusal. Raises BusDown, NoReply, BadFrame,
        Refused.
        """
        for _ in range(_INSISTING):
            with contextlib.suppress(NoReply, BadFrame):
                return await self.ask(function, address, count)
        return await self.ask(function, address, count)


async def undoubted(
    conclude: Callable[[], Awaitable[T]], reader: Reader, proven: Callable[[T], bool] = lambda _: False
) -> tuple[T, bool]:
    """What is concluded, again when a lost answer is there after all; and whether no answer is missing that
    it may stand on. What is `proven` stands on none.
    """
    outcome = await conclude()
    for _ in range(_ROUNDS):
        if proven(outcome) or not reader.doubts:
            break
        if await reader.ask_again():
            outcome = await conclude()
    unasked = reader.loses and reader.spent
    return outcome, proven(outcome) or not (reader.doubts or unasked)


def apart(drivers: Iterable[Driver]) -> frozenset[Place]:
    """Where their meters hold who they are only for those who read nothing beside it."""
    return frozenset(
        (one.function, one.address, one.words)
        for driver in drivers
        for one in (driver.identity, *(variant.when for variant in driver.variants))
        if one is not None and one.alone
    )
