"""The tables of the library as candidates for a meter that does not say what it is: which questions rule them
out, and how well those fit that are left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.catalogue import Driver, Row, Span
from gateway.commissioning.plausibility.fit import read_from, says_nothing
from gateway.commissioning.plausibility.physics import judge
from gateway.commissioning.plausibility.reader import Place, Reader
from gateway.commissioning.plausibility.sisters import OVERLAP, WeighedTable, places

_MOST_LACKS: Final = 0.1
"""Share of a table's rows that a meter may refuse and still be of that table: options, older firmware."""
_STEPS: Final = 20
"""Steps of its register below which a value is too coarse to contradict another."""
_ALIKE: Final = 1
"""Checks that must speak for a table that was found on this line before."""
_KEYS: Final = (
    "voltage_l1n", "voltage_ln", "voltage_l12", "voltage_ll", "frequency", "dc_voltage",
    "temperature_flow", "temperature_return", "volume", "heat_energy",
)  # fmt: skip
"""What is looked at first: values within narrow bounds, or that belong to one kind of meter."""
_COUNTERS: Final = frozenset(
    {"active_energy_import", "active_energy_export", "active_energy_total", "heat_energy", "cooling_energy"}
)
_UNCOMPARED: Final = ("energy", "demand", "thd_", "reactive_", "apparent_", "displacement_")
STRONG: Final = 4
"""Checks that speak for a table by chance only if it reads the same registers as the right one."""
_COUNTED: Final = 40
_VOLTAGES: Final = 3
"""Voltages within their bands that no other table's registers show by chance."""
_REFUSALS: Final = 8
"""Questions that a meter must have refused, so that the places which it has tell something."""
_BY_CHANCE: Final = 1e-4
"""Chance below which a meter that refuses most of what it is asked for has a table's places for a reason, by
the rule of succession.
"""
_ALIKE_REFUSALS: Final = 20
"""Questions that a meter must have refused like one that was found on this line before, and whose places it
has, to be of its model.
"""
_APART: Final = 4
"""Places of one table that the meter of another hardly has."""


class CandidateTable:
    """A table with the places of its rows, and of its identity, at hand."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.rows = readings(driver)
        self.spans = tuple(dict.fromkeys(span for row in self.rows for span in row.spans))
        self.registers = {(span.function, at) for span in self.spans for at in range(span.address, span.end)}
        self._starts = {(span.function, span.address) for span in self.spans}
        one = driver.identity
        self.identity = Span(one.function, one.address, one.words) if one else None
        self.must_name = self.identity is not None and not (one and one.not_all)
        """Whether a meter without its identity is of another table."""
        self.questions = (*self.spans, self.identity) if self.identity and self.must_name else self.spans
        """Places of which a refusal rules the table out."""

    def has(self, span: Span) -> bool:
        """Whether a meter of this table must answer for these registers."""
        return (self.must_name and span == self.identity) or (
            (span.function, span.address) in self._starts
            and all((span.function, at) in self.registers for at in range(span.address, span.end))
        )

    def touches(self, other: CandidateTable) -> bool:
        """Whether both read some register."""
        return not self.registers.isdisjoint(other.registers)

    def beside(self, other: CandidateTable) -> bool:
        """Whether both read the same places, mostly."""
        least = min(len(self.registers), len(other.registers))
        return len(self.registers & other.registers) >= OVERLAP * least


@dataclass(frozen=True, slots=True)
class TableFit(WeighedTable):
    """How well a meter's registers are read with a table: of its `rows` it `lacks` some."""

    table: CandidateTable
    rows: int
    lacks: int
    blank: bool
    """Whether all that was read is zero, or one and the same word."""
    enough: int
    """Checks that must speak for it before only tables on the same registers are possible beside it."""
    apart: int
    """Places of it that the meter has and that do not follow one another."""

    @property
    def driver(self) -> Driver:
        """The driver of the table that it stands for."""
        return self.table.driver

    @property
    def whole(self) -> bool:
        """Whether it lacks no more than an option."""
        return self.lacks <= _MOST_LACKS * self.rows

    @property
    def strong(self) -> bool:
        """Whether so much speaks for it that only tables on the same registers are possible beside it."""
        return self.fitting >= self.enough

    def sure(self, reader: Reader) -> bool:
        """Whether not every other table is possible beside it."""
        return self.strong or self.narrow(reader)

    def narrow(self, reader: Reader) -> bool:
        """Whether a voltage and the frequency, three voltages, or both temperatures of a heat meter are in
        their bands: the registers of another table hardly show that by chance. Nor does a meter that refuses
        what it lacks have several places of another table, with a value in its band among them; or, where
        none of them has a band, so many that it would hardly have them all.
        """
        refusals = len(reader.refusals)
        good = {finding.names[0] for finding in self.findings if finding.good}
        volts = sum(name.startswith("voltage") for name in good)
        return (
            (volts > 0 and "frequency" in good)
            or volts >= _VOLTAGES
            or "temperature_flow" in good
            or (self.fitting > 0 and self.apart >= _APART and refusals >= _REFUSALS)
            or (not self.lacks and (1 / (refusals + 2)) ** self.apart < _BY_CHANCE)
        )


def still_open(
    left: dict[str, CandidateTable], fits: list[TableFit], reader: Reader
) -> dict[str, CandidateTable]:
    """The tables that may be the meter's beside those that fit."""
    strong, narrow = any(fit.strong for fit in fits), any(fit.narrow(reader) for fit in fits)
    if not strong and not narrow:
        return left
    near = CandidateTable.beside if strong else CandidateTable.touches
    return {name: table for name, table in left.items() if any(near(table, fit.table) for fit in fits)}


def telling(tables: Iterable[CandidateTable]) -> Span:
    """The place that most of these tables have."""
    every = list(tables)
    count: Counter[Span] = Counter()
    for table in every:
        count.update(table.questions)
    # A row's place may lie within a larger one of another table: the commoner ones are counted in full.
    near = [span for span, _ in count.most_common(_COUNTED)]
    return max(near, key=lambda span: (sum(table.has(span) for table in every), -span.words, -span.address))


async def tried(table: CandidateTable, reader: Reader, *, enough: int = STRONG) -> list[TableFit]:
    """The table's fit, when it fits: by what tells most quickly, then by all that is compared."""
    first = keys(table.rows)
    more = tuple(row for row in table.rows if compared(row.name)) or table.rows
    for rows in (first[:1], first, more):
        # By then the first rows bear the table out: what stands between the others is most likely there.
        along = table.registers if rows is more else ()
        if not await filled(table.rows, rows, reader, along=along):
            return []
        fit = weighed(table, rows, reader, enough=enough)
        if fit.against or not fit.whole:
            return []
    return [fit]


async def by_differences(fits: list[TableFit], reader: Reader) -> list[TableFit]:
    """Those of several that still fit by the rows in which they differ: the others tell nothing."""
    kept = []
    shared = set.intersection(*({*fit.table.spans} for fit in fits))
    for fit in fits:
        rows = tuple(row for row in fit.table.rows if compared(row.name) or not {*row.spans} <= shared)
        await filled(fit.table.rows, rows, reader)
        again = weighed(fit.table, rows, reader, enough=fit.enough)
        if again.whole and not again.against:
            kept.append(again)
    return kept


async def tried_again(
    table: CandidateTable, refused: Sequence[Place], left: dict[str, CandidateTable], reader: Reader
) -> tuple[list[TableFit], bool]:
    """The fit of a table that a meter of this line has, which has `refused` these places; and whether this
    one is of the same model: it can be read with the table, and refuses as well what ruled the others out
    that are possible beside it. Those are taken out of `left`.
    """
    fits = await tried(table, reader, enough=_ALIKE)
    if not fits or fits[0].blank or not refused:
        return fits, False
    for place in refused:
        if await reader.alone(*place) is not None:
            return fits, False
        if fits[0].sure(reader) or len(reader.refusals) >= _ALIKE_REFUSALS:
            break
    near = CandidateTable.beside if fits[0].strong else CandidateTable.touches
    for name, other in [*left.items()]:
        told = next((place for place in refused if other.has(Span(*place))), None)
        if told is None or not near(other, table):
            continue
        if await reader.alone(*told) is not None:
            return fits, False
        if not reader.spent:
            del left[name]
    return fits, not reader.spent


async def all_tried(tables: Iterable[CandidateTable], fits: list[TableFit], reader: Reader) -> list[TableFit]:
    """Those of these tables that fit, behind `fits`: the ones first that cost the fewest questions."""
    fits, left = [*fits], {table.driver.name: table for table in tables}

    def unread(name: str) -> int:
        return sum(not reader.has([span]) for row in keys(left[name].rows) for span in row.spans)

    while left := still_open(left, fits, reader):
        fits += await tried(left.pop(min(left, key=unread)), reader)
    return fits


async def filled(
    every: tuple[Row, ...],
    wanted: tuple[Row, ...],
    reader: Reader,
    *,
    along: Collection[tuple[int, int]] = (),
) -> bool:
    """Read these rows, over small gaps with the registers that may come `along`; False as soon as the meter
    lacks so many of every row of the table that it is of another one.
    """
    most = _MOST_LACKS * len(every)

    def hopeless() -> bool:
        return sum(reader.lacks(row.spans) for row in every) > most

    await reader.fill((span for row in wanted for span in row.spans), hopeless, along=along)
    return not hopeless()


def best_of(fits: list[TableFit], reader: Reader) -> list[TableFit]:
    """Without those that have nothing for them when others have, or that read nothing but zeros or one word:
    a table that is a part of a larger one, for which more speaks, is that of a smaller meter. Where the meter
    fell silent before every table was weighed, only those are left that no other can be taken for.
    """
    fits = [fit for fit in fits if not fit.blank and (not reader.spent or fit.sure(reader))]
    if any(fit.fitting for fit in fits):
        fits = [fit for fit in fits if fit.fitting]
    kept = []
    for fit in fits:
        mine = places(readings(fit.driver))
        larger = any(
            mine < places(readings(other.driver)) and other.fitting > fit.fitting and other.lacks <= fit.lacks
            for other in fits
        )
        if not larger:
            kept.append(fit)
    return sorted(kept, key=lambda fit: (-fit.fitting, fit.lacks, -fit.rows, fit.driver.name))


def keys(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The one or two rows that tell quickly."""
    named = {row.name: row for row in rows}
    return tuple(named[name] for name in _KEYS if name in named)[:2] or rows[:1]


def weighed(
    table: CandidateTable, rows: tuple[Row, ...], reader: Reader, *, enough: int = STRONG
) -> TableFit:
    """What is read of these rows of a table, weighed."""
    values, absent = read_from(rows, reader.words)
    lacks = len(rows) - len(values) - sum(reason == "not_available" for reason in absent.values())
    steps = {row.name: abs(row.factor) for row in rows if not row.type.startswith("float")}
    coarse = {name for name, value in values.items() if 0 < abs(value) < _STEPS * steps.get(name, 0.0)}
    return TableFit(
        findings=tuple(
            replace(finding, good=None) if finding.good is False and coarse & {*finding.names} else finding
            for finding in judge(values, absent)
        ),
        table=table,
        rows=len(rows),
        lacks=lacks,
        blank=says_nothing(rows, values, reader.words),
        enough=enough,
        apart=_apart(span for row in rows for span in row.spans if reader.has([span])),
    )


def _apart(spans: Iterable[Span]) -> int:
    """How many of these places do not follow another one of them."""
    every = set(spans)
    ends = {(span.function, span.end) for span in every}
    return sum((span.function, span.address) not in ends for span in every)


def compared(name: str) -> bool:
    """Whether a technician or physics compares it with something, so that it is read in any case."""
    return name in _COUNTERS or not any(part in name for part in _UNCOMPARED)


def readings(driver: Driver) -> tuple[Row, ...]:
    """The rows of a table that are no attributes."""
    return tuple(row for row in driver.rows if not row.attribute)
