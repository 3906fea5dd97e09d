"""Numbers of the building and of its meters, from the history: one object per answer, used in one thread.

Energies are whole Wh. A quarter hour that is not known is absent; what is known in part is never filled up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Final

from gateway.energy import Calendar, Interval, Manifest, Tariff, consumption, netting, tree
from gateway.status.energy.facts import BuildingFacts, EnergyMeter, EnergyReader
from gateway.status.energy.period import Period

IMPORT: Final = "active_energy_import"
EXPORT: Final = "active_energy_export"
_TOTAL: Final = "active_energy_total"
QUARTER: Final = 900_000
_LOOK_BACK: Final = 28
_DAY: Final = 96

Quarters = dict[int, int]
"""Start of a quarter hour (ms UTC) → Wh."""
DayValues = dict[date, list[int | None]]
"""Local day → Wh of each of its quarter hours, None where nothing is known."""


@dataclass(frozen=True, slots=True)
class DayQuality:
    """Of a local day: quarter hours that should be there by now, are known, were measured."""

    day: date
    expected: int
    known: int
    measured: int
    lost: bool = False

    @property
    def missing(self) -> int:
        """Quarter hours of which nothing is known."""
        return max(0, self.expected - self.known)

    @property
    def kind(self) -> str:
        """measured, estimated, missing, or future: the worst that holds."""
        if not self.expected:
            return "future"
        if self.missing:
            return "missing"
        return "measured" if self.measured >= self.expected else "estimated"


@dataclass(frozen=True, slots=True)
class MeterPart:
    """A meter's share of a period, Wh; `depth` in the tree; `known`: share of the quarter hours."""

    meter: EnergyMeter
    depth: int
    energy: int
    known: float
    partial: bool


class Figures:
    """Reads and adds up; what was read is kept for the life of the object."""

    def __init__(self, facts: BuildingFacts, reader: EnergyReader, zone: Calendar, now: int) -> None:
        self.facts = facts
        self.now = now
        self._reader = reader
        days = reader.holidays()
        self.calendar = Calendar(
            zone.zone,
            frozenset(day for day, holiday in days.items() if not holiday.half),
            frozenset(day for day, holiday in days.items() if holiday.half),
        )
        self.today = self.calendar.place(now // QUARTER * QUARTER)[0]
        self._kept: dict[tuple[str, str, date, date], DayValues] = {}
        self._letters: dict[tuple[str, str, date, date], dict[date, str]] = {}
        self._tariffs: dict[date, Tariff | None] = {}

    @cached_property
    def registers(self) -> frozenset[tuple[str, str]]:
        """Meter and quantity of everything that has a day."""
        return frozenset(self._reader.registers())

    @cached_property
    def span(self) -> tuple[date, date] | None:
        """First and last local day with an interval."""
        return self._reader.span()

    @property
    def end(self) -> int:
        """The newest quarter hour that is over."""
        return self.now // QUARTER * QUARTER

    def due(self, day: date) -> int:
        """How many quarter hours of a day should be known: the newest one may still be on its way."""
        quarters = self.calendar.quarters(day)
        return min(max((self.end - QUARTER - quarters.start) // QUARTER, 0), len(quarters))

    def counter(self, meter: EnergyMeter) -> str:
        """The register that says what a meter's circuit used; empty when it has none."""
        return next((name for name in (IMPORT, _TOTAL) if (meter.id, name) in self.registers), "")

    @property
    def givers(self) -> tuple[EnergyMeter, ...]:
        """Meters that count nothing but what is fed in."""
        return tuple(
            meter
            for meter in self.facts.meters
            if not self.counter(meter) and (meter.id, EXPORT) in self.registers
        )

    @property
    def known(self) -> bool:
        """Whether there is anything to say of the building."""
        return any(self.counter(meter) for meter in self.facts.roots)

    def forget(self) -> None:
        """Drop what was read: who goes through years month by month needs no more memory than for one."""
        self._kept.clear()
        self._letters.clear()

    # ---- one register

    def days(self, meter: str, quantity: str, first: date, last: date) -> DayValues:
        """What a register took, day by day."""
        key = (meter, quantity, first, last)
        if key not in self._kept:
            values: DayValues = {}
            letters: dict[date, str] = {}
            if (meter, quantity) in self.registers:
                for one in self._reader.days(meter, quantity, first, last):
                    pairs = zip(one.values, one.quality, strict=True)
                    values[one.day] = [value if letter else None for value, letter in pairs]
                    letters[one.day] = "".join(letter or "-" for letter in one.quality)
            self._kept[key], self._letters[key] = values, letters
        return self._kept[key]

    def letters(self, meter: str, quantity: str, first: date, last: date) -> Mapping[date, str]:
        """The quality of each quarter hour of a day: m, e, s, d; - where nothing is known."""
        self.days(meter, quantity, first, last)
        return self._letters[meter, quantity, first, last]

    def sum_of(self, meter: str, quantity: str, first: date, last: date) -> int:
        """What a register took, by its daily sums."""
        return sum(day.sum for day in self._reader.sums(meter, quantity, first, last))

    def intervals(self, meter: str, quantity: str, first: date, last: date) -> Iterator[Interval]:
        """What the engine computed of a register, by start."""
        return self._reader.intervals(meter, quantity, first, last)

    def manifests(self, meter: str, quantity: str, first: date, last: date) -> Iterator[Manifest]:
        """What the platform must hold of a register's days, by date."""
        return self._reader.manifests(meter, quantity, first, last)

    # ---- the building

    def used(self, first: date, last: date) -> DayValues:
        """Drawn − fed in + generated of the building, where everything is known that it takes."""
        drawn, fed, gave = self.drawn(first, last), self.fed_in(first, last), self.generated(first, last)
        if gave is None and not fed:
            return drawn
        found: DayValues = {}
        for day, values in drawn.items():
            nothing: list[int | None] = [0] * len(values)
            plant = nothing if gave is None else gave.get(day)
            if plant is None:
                continue
            found[day] = [
                None if one is None or three is None else consumption.used_value(one, two or 0, three)
                for one, two, three in zip(values, fed.get(day, nothing), plant, strict=False)
            ]
        return found

    def drawn(self, first: date, last: date) -> DayValues:
        """From the grid, at the top of the tree."""
        counted = [(root.id, name) for root in self.facts.roots if (name := self.counter(root))]
        return _sum([self.days(meter, name, first, last) for meter, name in counted])

    def fed_in(self, first: date, last: date) -> DayValues:
        """Into the grid."""
        given = [self.days(root.id, EXPORT, first, last) for root in self.facts.roots]
        return _sum([each for each in given if each])

    def generated(self, first: date, last: date) -> DayValues | None:
        """What the plants gave; None when there is none, or it cannot be told which register counts it."""
        found = []
        for plant in self.facts.plants:
            if direction := self.direction(plant):
                gave = self.days(plant.id, f"active_energy_{direction}", first, last)
                other = "export" if direction == "import" else "import"
                took = self.days(plant.id, f"active_energy_{other}", first, last)
                found.append(_difference(gave, took))
        return _sum(found) if found else None

    def direction(self, plant: EnergyMeter) -> str:
        """Which register of a plant counts its yield, import or export; empty: not known yet."""
        if plant.generates != "auto":
            return plant.generates
        first, last = self.today - timedelta(3), self.today
        found = consumption.yield_direction(
            self.quarters(self.days(plant.id, IMPORT, first, last)),
            self.quarters(self.days(plant.id, EXPORT, first, last)),
            self.calendar,
        )
        return found or ""

    def of(self, meter: str, first: date, last: date) -> DayValues:
        """The building's quarter hours by day, or those of one meter by its id."""
        if not meter:
            return self.used(first, last)
        found = next((each for each in self.facts.meters if each.id == meter), None)
        if found is None:
            return {}
        if found.generates:
            direction = self.direction(found)
            return self.days(meter, f"active_energy_{direction}", first, last) if direction else {}
        return self.days(meter, self.counter(found) or EXPORT, first, last)

    def quarters(self, days: DayValues) -> Quarters:
        """The same by start, without what is not known."""
        found: Quarters = {}
        for day, values in days.items():
            first = self.calendar.quarters(day)[0]
            for index, value in enumerate(values):
                if value is not None:
                    found[first + index * QUARTER] = value
        return found

    def slots(self, day: date, values: list[int | None]) -> list[int | None]:
        """A day's values by the 96 quarter hours of the clock on the wall."""
        if len(values) == _DAY:
            return values
        found: list[int | None] = [None] * _DAY
        for start, value in zip(self.calendar.quarters(day), values, strict=False):
            found[self.calendar.place(start)[1]] = value
        return found

    # ---- sums

    def total(self, days: DayValues) -> int:
        """Wh of all that is known."""
        return sum(self.by_day(days).values())

    def by_day(self, days: DayValues) -> dict[date, int]:
        """Wh of each local day of which something is known."""
        found = {}
        for day, values in days.items():
            known = [value for value in values if value is not None]
            if known:
                found[day] = sum(known)
        return found

    def tariff(self, day: date) -> Tariff | None:
        """The tariff as it holds on a day."""
        if day not in self._tariffs:
            rules = self.facts.rules
            row = rules.tariff(self.facts.tariff, day) if rules and self.facts.tariff else None
            self._tariffs[day] = row.value if row else None
        return self._tariffs[day]

    def tariff_source(self, day: date) -> str:
        """Where the tariff's bands stand."""
        rules = self.facts.rules
        row = rules.tariff(self.facts.tariff, day) if rules and self.facts.tariff else None
        return row.source if row else ""

    def bands(self, days: DayValues) -> dict[str, int]:
        """Wh by band of the tariff; one band without a name when no tariff is known."""
        sums: dict[str, int] = {}
        for day, values in days.items():
            tariff = self.tariff(day)
            if tariff is None:
                sums[""] = sums.get("", 0) + sum(value for value in values if value is not None)
                continue
            by_hour = [tariff.band(day, hour, old_clock=self.facts.old_clock) for hour in range(24)]
            for slot, value in enumerate(self.slots(day, values)):
                if value is not None:
                    name = by_hour[slot // 4]
                    sums[name] = sums.get(name, 0) + value
        return sums

    def parts(self, period: Period) -> list[MeterPart]:
        """Every meter of the tree with its energy, parents before their parts, the larger first."""
        last = min(period.last, self.today)
        begin = max(period.first, self.span[0]) if self.span else period.first
        expected = max(1, (self.end - self.calendar.quarters(begin)[0]) // QUARTER - 1)
        if period.last < self.today:
            until = self.calendar.quarters(period.last)[-1] + QUARTER
            expected = max(1, (until - self.calendar.quarters(begin)[0]) // QUARTER)
        energies = {}
        for meter in self.facts.meters:
            if not meter.generates and (name := self.counter(meter)):
                sums = list(self._reader.sums(meter.id, name, period.first, last))
                energies[meter.id] = (sum(each.sum for each in sums), sum(each.intervals for each in sums))
        found: list[MeterPart] = []

        def add(parent: str, depth: int) -> None:
            below = [meter for meter in self.facts.meters if meter.parent == parent and meter.id in energies]
            for meter in sorted(below, key=lambda each: -energies[each.id][0]):
                energy, known = energies[meter.id]
                found.append(MeterPart(meter, depth, energy, min(1.0, known / expected), known < expected))
                add(meter.id, depth + 1)

        for root in self.facts.roots:
            add(root.id, 1)
        return found

    def rest(self, period: Period) -> tree.UnmeteredRest | None:
        """What no sub meter counts of the building; None when it cannot be told."""
        roots = [root for root in self.facts.roots if self.counter(root)]
        if len(roots) != 1:
            return None
        root, last = roots[0], min(period.last, self.today)
        whole = [root, *(meter for meter in self.facts.meters if meter.parent == root.id)]
        meters = [
            tree.TreeMeter(each.id, "" if each is root else root.id, each.class_, each.ct_class or None)
            for each in whole
            if not each.generates and self.counter(each)
        ]
        energies = {
            each.id: self.sum_of(each.id, self.counter(self._meter(each.id)), period.first, last)
            for each in meters
        }
        energies[root.id] = sum(self.by_day(self.used(period.first, last)).values())
        found = tree.rests(meters, energies)
        return found[0] if found else None

    def _meter(self, meter: str) -> EnergyMeter:
        return next(each for each in self.facts.meters if each.id == meter)

    # ---- quality

    def quality(self, meter: EnergyMeter, first: date, last: date) -> list[DayQuality]:
        """Each day of a meter's counter, from the first day that the history knows."""
        name = self.counter(meter) or EXPORT
        sums = {each.day: each for each in self._reader.sums(meter.id, name, first, last)}
        begin = min(sums, default=None)
        known_from = self.span[0] if self.span else first
        lost = self._reader.lost()
        found = []
        day = first
        while day <= last:
            expected = 0
            if day <= self.today and day >= max(known_from, begin or known_from):
                expected = self.due(day)
            one = sums.get(day)
            gone = any(since <= day <= until for since, until in lost)
            measured = one.measured if one else 0
            found.append(DayQuality(day, expected, one.intervals if one else 0, measured, gone))
            day += timedelta(1)
        return found

    # ---- the sun

    def netted(self, first: date, last: date) -> tuple[netting.NettedEnergy, netting.NettedEnergy]:
        """Within each hour, and over the whole."""
        drawn, fed = self.quarters(self.drawn(first, last)), self.quarters(self.fed_in(first, last))
        return netting.over_hours(drawn, fed), netting.over_all(drawn, fed)

    def like_days(self, day: date, most: int = 4) -> list[date]:
        """The newest days of the same kind before a day, as far as the history goes."""
        first = self.span[0] if self.span else day
        found: list[date] = []
        other = day - timedelta(1)
        while len(found) < most and other >= first and (day - other).days < _LOOK_BACK * 4:
            if self.calendar.kind(other) == self.calendar.kind(day) and other not in self.calendar.half:
                found.append(other)
            other -= timedelta(1)
        return found


def _sum(parts: list[DayValues]) -> DayValues:
    """Sums of the quarter hours that all have."""
    if len(parts) == 1:
        return parts[0]
    found: DayValues = {}
    for day in set.intersection(*(set(each) for each in parts)) if parts else ():
        rows = zip(*(each[day] for each in parts), strict=False)
        found[day] = [None if None in row else sum(row) for row in rows]
    return dict(sorted(found.items()))


def _difference(one: DayValues, other: DayValues) -> DayValues:
    """What one has more than the other, where the other has anything."""
    found: DayValues = {}
    for day, values in one.items():
        less = other.get(day)
        found[day] = (
            values
            if less is None
            else [None if a is None else a - (b or 0) for a, b in zip(values, less, strict=False)]
        )
    return found
