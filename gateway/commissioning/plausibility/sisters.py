"""A table is weighed against the other tables of the library: by what the meter says that it is, and on the
same registers.

A sister is a table that reads at least half of the same places. It fits as well when every one of its rows is
there, nothing speaks against it, and as much speaks for it; and a table that reads a part of a larger one's
rows, all of which are there, is that of a smaller meter. Nothing but zeros, or the same word everywhere,
speaks for no table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.catalogue import Driver, Identity, Row, Span, recognised
from gateway.commissioning.plausibility.fit import Ask, RegisterWords, read_from, says_nothing
from gateway.commissioning.plausibility.physics import PhysicsCheck, judge
from gateway.commissioning.plausibility.reader import Place, Reader, apart, undoubted

OVERLAP: Final = 0.5
_SECONDS: Final = 60.0
_KNOWN_PATIENCE: Final = 20
"""Unanswered reads in a row after which no more is asked for: of a meter that has answered. Some are silent
where they should refuse.
"""

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
    blank: bool
    """Whether what it reads proves nothing."""


@dataclass(frozen=True, slots=True)
class TableComparison:
    """What the library says of a meter that was tried with one of its tables, or with a technician's own."""

    claimed: tuple[Driver, ...] = ()
    """The drivers whose identity the meter has."""
    sisters: tuple[Sister, ...] = ()
    """Tables that fit as well or better, best first."""
    left: int = 0
    """Sisters that could not be compared, because the line is too slow, the meter fell silent, or its answers
    get lost.
    """


async def weigh_against(
    driver: Driver, library: Iterable[Driver], ask: Ask, *, tell: Tell, findings: list[PhysicsCheck]
) -> TableComparison:
    """What the library says of the meter, which has answered; `findings` are those of the tried table. Raises
    BusDown.

    All sisters are compared on the same registers, each of which is read once; a table that wants one that is
    not there is out, with all others that want it. What is not answered is asked for again: a lost answer
    speaks neither for nor against a table.
    """
    others = [other for other in library if other.name != driver.name and not other.discovery]
    reader = Reader(ask, seconds=_SECONDS, apart=apart([driver, *others]))
    tell("asking the meter what it is")
    mine = _readings(driver)
    for span in _spans(mine)[:1]:
        await reader.answers(span)  # whether it is still there, for those who doubt a silence
    named, _ = await undoubted(lambda: claimed([driver, *others], reader), reader)
    if named:
        return TableComparison(tuple(named))  # the meter knows best
    reader.patience = _KNOWN_PATIENCE
    near = sorted(
        ((_overlap(mine, _readings(other)), other.name, other) for other in others),
        key=lambda each: (-each[0], each[1]),
    )
    near = [each for each in near if each[0] >= OVERLAP]
    if near:
        tell(f"comparing with tables that read the same registers: {len(near)}")
    checks = [each for each in findings if each.names != ("identity",)]
    compared, _ = await undoubted(
        lambda: _compared(mine, [other for *_, other in near], reader, checks), reader
    )
    return compared


async def _compared(
    mine: tuple[Row, ...], near: list[Driver], reader: Reader, checks: list[PhysicsCheck]
) -> TableComparison:
    """Which tables that read the same registers fit as well, as far as it is known which of them the meter
    has; `checks` are those of the tried table when it was polled.
    """
    await reader.fill(_spans(mine))
    if _in_doubt(_spans(mine), reader):
        return TableComparison(left=len(near))
    values, absent = read_from(mine, reader.words)
    whole = len(values) == len(mine)
    fitting = max(WeighedTable(tuple(each)).fitting for each in (judge(values, absent), checks))
    sisters, left = [], 0
    shared = Counter(span for other in near for span in _spans(_readings(other)))
    for other in near:
        rows = _readings(other)
        spans = _spans(rows)
        await reader.fill(spans, partial(reader.lacks, spans), shared.__getitem__)
        if reader.lacks(spans) and not _in_doubt(spans, reader):
            continue
        if not reader.has(spans):
            left += 1
            continue
        sister = _sister(other, rows, reader.words, mine)
        # A table with the same rows is the same table under another name; one with a part of them is of a
        # smaller meter.
        rival = not places(rows) <= places(mine) if whole else places(rows) != places(mine)
        if not rival or sister.lacks or sister.against or sister.blank:
            continue
        if sister.fitting >= fitting or sister.larger:
            sisters.append(sister)
    return TableComparison(
        sisters=tuple(
            sorted(sisters, key=lambda sister: (-sister.fitting, -sister.rows, sister.driver.name))
        ),
        left=left,
    )


def _in_doubt(spans: Iterable[Span], reader: Reader) -> bool:
    """Whether no one of these spans was refused, and one was not answered that may be there all the same."""
    doubts, lacking = {*reader.doubts}, [span for span in spans if reader.refused(span)]
    return bool(lacking) and all((span.function, span.address, span.words) in doubts for span in lacking)


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


def _sister(driver: Driver, rows: tuple[Row, ...], words: RegisterWords, mine: tuple[Row, ...]) -> Sister:
    values, absent = read_from(rows, words)
    ours, theirs = places(mine), places(rows)
    return Sister(
        driver=driver,
        findings=tuple(judge(values, absent)),
        rows=len(values),
        lacks=len(rows) - len(values),
        larger=ours < theirs,
        blank=says_nothing(rows, values, words),
    )
