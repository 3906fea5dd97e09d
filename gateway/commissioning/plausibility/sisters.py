"""A table is weighed against the other tables of the library: by what the meter says that it is, and on the
same registers.

A sister is a table that reads at least half of the same places. It fits as well when every one of its rows is
there, nothing speaks against it, and as much speaks for it; and a table that reads a part of a larger one's
rows, all of which are there, is that of a smaller meter.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final

from gateway.catalogue import Driver, Identity, Row, Span, recognised
from gateway.commissioning.plausibility.fit import Ask, read_from
from gateway.commissioning.plausibility.physics import PhysicsCheck, judge
from gateway.errors import BadFrame, BusError, NoReply, NotReady, Refused

OVERLAP: Final = 0.5
_MOST_READS: Final = 400
_SECONDS: Final = 60.0
_PATIENCE: Final = 2
"""Unanswered reads in a row after which no more is asked for: of a meter that may not be there."""
_KNOWN_PATIENCE: Final = 20
"""The same of one that has answered: some are silent where they should refuse."""
_AT_ONCE: Final = 40
_BY_CHANCE: Final = 1e-5
"""Chance below which a place that was silent each time is believed not to be there."""
_INSISTING: Final = 3
"""Reads in vain before the last one."""
_NOBODY: Final = (10, 11)
"""What a converter says for a unit that does not answer it."""

Words = dict[tuple[int, int], int]
Place = tuple[int, int, int]
"""Function, address and number of registers."""
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WeighedTable:
    """A table with what physics says of the values that are read with it."""

    findings: tuple[PhysicsCheck, ...]

    @property
    def fitting(self) -> int:
        """Checks that speak for it."""
        return sum(finding.good is True for finding in self.findings)

    @property
    def against(self) -> int:
        """Checks that speak against it."""
        return sum(finding.good is False for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Sister(WeighedTable):
    """Another table on the same registers."""

    driver: Driver
    rows: int
    """Rows that the meter has."""
    lacks: int
    """Rows that it does not have."""
    larger: bool
    """Whether it reads all that the tried table reads, and more."""


@dataclass(frozen=True, slots=True)
class TableComparison:
    """What the library says of a meter that was tried with one of its tables, or with a technician's own."""

    claimed: tuple[Driver, ...] = ()
    """The drivers whose identity the meter has."""
    sisters: tuple[Sister, ...] = ()
    """Tables that fit as well or better, best first."""
    left: int = 0
    """Sisters that could not be compared, because the line is too slow or the meter fell silent."""


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
        lost: Callable[[], int] = lambda: 0,
    ) -> None:
        """`most` reads in all, within `seconds`; no more after `patience` in a row that were not answered.
        `there`: places that the meter is known to have, though not what stands there now. `lost`: answers of
        the meter that `ask` itself has missed until now, and got when it asked again.
        """
        self.ask = ask
        self._most, self.patience = most, patience
        self._until = time.monotonic() + seconds
        self.words: Words = {}
        self._alone: dict[Place, list[int] | None] = {}
        self._not_ready: set[Place] = set()
        self.complaint: Refused | None = None
        """The first refusal by which it has said that it is not ready, or has a fault of its own."""
        self._there = frozenset(there)
        self.reads = self.silences = 0
        self._silent: dict[Place, int] = {}
        """What is not answered yet, and how often it was asked for."""
        self._proof: Place | None = None
        """What was answered last, or refused."""
        self._came = self._missed = 0
        self._lost = lost

    async def alone(self, function: int, address: int, count: int) -> list[int] | None:
        """A read of exactly these; None when they are refused, not answered, or not asked for any more.
        Raises BusDown.
        """
        place = (function, address, count)
        if place not in self._alone:
            if self.spent:
                return None
            self._alone[place] = await self._read(*place)
        return self._alone[place]

    async def answers(self, span: Span) -> bool:
        """Whether the meter gives these registers, asked for where it is not known. Raises BusDown."""
        place = (span.function, span.address, span.words)
        return place in self._there or self.has([span]) or await self.alone(*place) is not None

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
        return all(
            (span.function, at) in self.words for span in spans for at in range(span.address, span.end)
        )

    async def fill(
        self,
        spans: Iterable[Span],
        enough: Callable[[], bool] = lambda: False,
        telling: Callable[[Span], int] = lambda _: 0,
    ) -> None:
        """Read these spans into `words`, until it is enough; neighbours come together, with what was read
        between them before, and where that is refused one by one, the most `telling` first. Raises BusDown.
        """
        missing = sorted(
            {span for span in spans if not self.has([span])}, key=lambda span: (span.function, span.address)
        )
        group: list[Span] = []
        for span in missing:
            joined = group and span.function == group[0].function and self._read_between(group[-1], span)
            if group and not (joined and span.end - group[0].address <= _AT_ONCE):
                await self._read_group(group, enough, telling)
                group = []
            group.append(span)
        if group:
            await self._read_group(group, enough, telling)

    def _read_between(self, one: Span, next_: Span) -> bool:
        """Whether nothing is between two spans, or only what was read before."""
        return all((one.function, at) in self.words for at in range(one.end, next_.address))

    async def _read_group(
        self, group: list[Span], enough: Callable[[], bool], telling: Callable[[Span], int]
    ) -> None:
        if enough():
            return
        found = await self.alone(
            group[0].function, group[0].address, max(span.end for span in group) - group[0].address
        )
        if found is None and len(group) > 1:
            for span in sorted(group, key=telling, reverse=True):
                await self._read_group([span], enough, telling)
        for offset, word in enumerate(found or ()):
            self.words[group[0].function, group[0].address + offset] = word

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
            times, span = self._silent[place], Span(*place)
            if self.has([span]):  # it has come with its neighbours
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


async def weigh_against(
    driver: Driver, library: Iterable[Driver], ask: Ask, *, tell: Tell, findings: list[PhysicsCheck]
) -> TableComparison:
    """What the library says of the meter; `findings` are those of the tried table. Raises BusDown.

    All sisters are compared on the same registers, each of which is read once; a table that wants one that is
    not there is out, with all others that want it.
    """
    others = [other for other in library if other.name != driver.name and not other.discovery]
    reader = Reader(ask, seconds=_SECONDS)
    tell("asking the meter what it is")
    named = await claimed([driver, *others], reader)
    if named:
        return TableComparison(tuple(named))  # the meter knows best
    reader.patience = _KNOWN_PATIENCE
    mine = _readings(driver)
    near = sorted(
        ((_overlap(mine, _readings(other)), other.name, other) for other in others),
        key=lambda each: (-each[0], each[1]),
    )
    near = [each for each in near if each[0] >= OVERLAP]
    if near:
        tell(f"comparing with tables that read the same registers: {len(near)}")
    await reader.fill(_spans(mine))
    values, absent = read_from(mine, reader.words)
    whole = len(values) == len(mine)
    shown = (judge(values, absent), [each for each in findings if each.names != ("identity",)])
    fitting = max(WeighedTable(tuple(each)).fitting for each in shown)
    sisters, left = [], 0
    shared = Counter(span for *_, other in near for span in _spans(_readings(other)))
    for *_, other in near:
        rows = _readings(other)
        spans = _spans(rows)
        await reader.fill(spans, partial(reader.lacks, spans), shared.__getitem__)
        if reader.lacks(spans):
            continue
        if not reader.has(spans):
            left += 1
            continue
        sister = _sister(other, rows, reader.words, mine)
        # A table with the same rows is the same table under another name; one with a part of them is of a
        # smaller meter.
        rival = not places(rows) <= places(mine) if whole else places(rows) != places(mine)
        if rival and not sister.lacks and not sister.against and (sister.fitting >= fitting or sister.larger):
            sisters.append(sister)
    return TableComparison(
        sisters=tuple(
            sorted(sisters, key=lambda sister: (-sister.fitting, -sister.rows, sister.driver.name))
        ),
        left=left,
    )


async def claimed(drivers: list[Driver], reader: Reader) -> list[Driver]:
    """The drivers whose identity the meter has. Raises BusDown."""
    places: dict[Place, list[Driver]] = {}
    for driver in drivers:
        if driver.identity:
            places.setdefault(
                (driver.identity.function, driver.identity.address, driver.identity.words), []
            ).append(driver)
    found = []
    # The tried table's own identity comes first: it decides, and a line that answers nothing else is not
    # asked for long.
    for place, named in places.items():
        words = await reader.alone(*place)
        mine = [driver for driver in named if words is not None and _is(driver.identity, words)]
        found += mine
        if any(driver.identity is not None and driver.identity.type == "text" for driver in mine):
            break  # a name in letters is no chance
    reader.silences = 0
    return found


def _is(identity: Identity | None, words: list[int]) -> bool:
    return identity is not None and recognised(identity, words)


def _readings(driver: Driver) -> tuple[Row, ...]:
    return tuple(row for row in driver.rows if not row.attribute)


def _spans(rows: Iterable[Row]) -> tuple[Span, ...]:
    return tuple(dict.fromkeys(span for row in rows for span in row.spans))


def places(rows: Iterable[Row]) -> set[tuple[object, ...]]:
    """Where and as what rows stand."""
    return {(row.name, *row.spans, row.type, row.order, round(row.factor, 12), row.mask) for row in rows}


def _overlap(mine: tuple[Row, ...], theirs: tuple[Row, ...]) -> float:
    """The share of the smaller table's places that both read."""
    one, two = ({span[:3] for row in rows for span in row.spans} for rows in (mine, theirs))
    return len(one & two) / max(1, min(len(one), len(two)))


def _sister(driver: Driver, rows: tuple[Row, ...], words: Words, mine: tuple[Row, ...]) -> Sister:
    values, absent = read_from(rows, words)
    ours, theirs = places(mine), places(rows)
    return Sister(
        driver=driver,
        findings=tuple(judge(values, absent)),
        rows=len(values),
        lacks=len(rows) - len(values),
        larger=ours < theirs,
    )
