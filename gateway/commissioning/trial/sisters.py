"""A table is weighed against the other tables of the library: by what the meter says that it is, and on the
same registers.

A sister is a table that reads at least half of the same places. It fits as well when every one of its rows is
there, nothing speaks against it, and as much speaks for it; and a table that reads a part of a larger one's
rows, all of which are there, is that of a smaller meter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.catalogue import Driver, Identity, Row, Span, recognised
from gateway.commissioning.trial.fit import Ask, read_from
from gateway.commissioning.trial.physics import PhysicsCheck, judge
from gateway.errors import BadFrame, NoReply, Refused

OVERLAP: Final = 0.5
_MOST: Final = 8
"""Sisters that are weighed, those with the most places in common first."""
_MOST_READS: Final = 60
_PATIENCE: Final = 2
"""Unanswered reads after which no more is asked for."""
_AT_ONCE: Final = 40

Words = dict[tuple[int, int], int]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sister:
    """Another table on the same registers."""

    driver: Driver
    findings: tuple[PhysicsCheck, ...]
    rows: int
    """Rows that the meter has."""
    lacks: int
    """Rows that it does not have."""
    larger: bool
    """Whether it reads all that the tried table reads, and more."""

    @property
    def fitting(self) -> int:
        """Checks that speak for it."""
        return sum(finding.good is True for finding in self.findings)

    @property
    def against(self) -> int:
        """Checks that speak against it."""
        return sum(finding.good is False for finding in self.findings)


@dataclass(frozen=True, slots=True)
class TableComparison:
    """What the library says of a meter that was tried with one of its tables, or with a technician's own."""

    claimed: tuple[Driver, ...] = ()
    """The drivers whose identity the meter has."""
    sisters: tuple[Sister, ...] = ()
    """Tables that fit as well or better, best first."""


class Reader:
    """Reads what was not read yet, as far as the meter answers."""

    def __init__(self, ask: Ask, *, most: int = _MOST_READS, patience: int = _PATIENCE) -> None:
        """`most` reads in all; no more after `patience` that were not answered."""
        self._ask = ask
        self._most, self._patience = most, patience
        self.words: Words = {}
        self._alone: dict[tuple[int, int, int], list[int] | None] = {}
        self.reads = self.silences = 0

    async def alone(self, function: int, address: int, count: int) -> list[int] | None:
        """A read of exactly these; None when they are refused, not answered, or not asked for any more.
        Raises BusDown.
        """
        place = (function, address, count)
        if place not in self._alone:
            self._alone[place] = await self._read(*place)
        return self._alone[place]

    def refused(self, span: Span) -> bool:
        """Whether it was asked for alone, in vain."""
        return self._alone.get((span.function, span.address, span.words), ()) is None

    async def fill(self, spans: Iterable[Span], enough: Callable[[], bool] = lambda: False) -> None:
        """Read these spans into `words`, until it is enough; neighbours come together. Raises BusDown."""
        missing = sorted(
            {span for span in spans if not self._has(span)}, key=lambda span: (span.function, span.address)
        )
        group: list[Span] = []
        for span in missing:
            joined = group and span.function == group[0].function and group[-1].end >= span.address
            if group and not (joined and span.end - group[0].address <= _AT_ONCE):
                await self._take(group, enough)
                group = []
            group.append(span)
        if group:
            await self._take(group, enough)

    async def _take(self, group: list[Span], enough: Callable[[], bool]) -> None:
        if enough():
            return
        found = await self.alone(
            group[0].function, group[0].address, max(span.end for span in group) - group[0].address
        )
        if found is None and len(group) > 1:
            for span in group:
                await self._take([span], enough)
        for offset, word in enumerate(found or ()):
            self.words[group[0].function, group[0].address + offset] = word

    def _has(self, span: Span) -> bool:
        return all((span.function, at) in self.words for at in range(span.address, span.end))

    async def _read(self, function: int, address: int, count: int) -> list[int] | None:
        if self.reads >= self._most or self.silences >= self._patience:
            return None
        self.reads += 1
        try:
            return await self._ask(function, address, count)
        except NoReply:
            self.silences += 1
        except (Refused, BadFrame):
            pass
        return None


async def weigh_against(
    driver: Driver, library: Iterable[Driver], ask: Ask, *, tell: Tell, findings: list[PhysicsCheck]
) -> TableComparison:
    """What the library says of the meter; `findings` are those of the tried table. Raises BusDown."""
    others = [other for other in library if other.name != driver.name and not other.discovery]
    reader = Reader(ask)
    tell("asking the meter what it is")
    named = await claimed([driver, *others], reader)
    mine = _readings(driver)
    near = sorted(
        ((_overlap(mine, _readings(other)), other.name, other) for other in others),
        key=lambda each: (-each[0], each[1]),
    )
    near = [each for each in near if each[0] >= OVERLAP][:_MOST]
    if near:
        tell(
            f"comparing with {len(near)} tables that read the same registers: "
            f"{', '.join(name for _, name, _ in near)}"
        )
    await reader.fill(span for row in mine for span in row.spans)
    values, absent = read_from(mine, reader.words)
    whole = len(values) == len(mine)
    fitting = sum(finding.good is True for finding in judge(values, absent))
    fitting = max(
        fitting, sum(finding.good is True for finding in findings if finding.names != ("identity",))
    )
    sisters = []
    for _, _, other in near:
        rows = _readings(other)
        await reader.fill(span for row in rows for span in row.spans)
        sister = _sister(other, rows, reader.words, mine)
        # A table with the same rows is the same table under another name; one with a part of them is of a
        # smaller meter.
        rival = not places(rows) <= places(mine) if whole else places(rows) != places(mine)
        if rival and not sister.lacks and not sister.against and (sister.fitting >= fitting or sister.larger):
            sisters.append(sister)
    return TableComparison(
        tuple(named),
        tuple(sorted(sisters, key=lambda sister: (-sister.fitting, -sister.rows, sister.driver.name))),
    )


async def claimed(drivers: list[Driver], reader: Reader) -> list[Driver]:
    """The drivers whose identity the meter has. Raises BusDown."""
    places: dict[tuple[int, int, int], list[Driver]] = {}
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
