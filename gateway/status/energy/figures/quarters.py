"""Quarter hours of the building and of its meters: what is read of the history, and kept for one answer.

Energies are whole Wh. A quarter hour that is not known is absent; what is known in part is never filled up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import cached_property
from typing import TypeVar

from gateway.energy import (
    EXPORT,
    IMPORT,
    NOT_YET,
    QUARTER,
    TOTAL,
    BuildingRegisters,
    BuildingSeries,
    Calendar,
    DayQuarters,
    Interval,
    Manifest,
    Register,
    consumption,
    counter_of,
)
from gateway.status.energy.facts import BuildingFacts, EnergyMeter, EnergyReader
from gateway.status.words.labels import COUNTERS

_DAY = 96
_IF_ALONE = {"pulse_count", EXPORT}
"""What a meter is looked at for only where it counts nothing else: what its other counter is made of, the
other direction.
"""
_ELECTRIC = {"", IMPORT, TOTAL, EXPORT}
"""Of a meter, or of the building."""

Quarters = dict[int, int]
"""Start of a quarter hour (ms UTC) → Wh."""
ValuesByDay = dict[date, list[int | None]]
"""Local day → Wh of each of its quarter hours, None where nothing is known."""

Range = tuple[str, str, date, date]
"""Meter, quantity (or "" and a series of the building), first and last local day."""
T = TypeVar("T")


def within(kept: Mapping[Range, Mapping[date, T]], wanted: Range) -> dict[date, T] | None:
    """What was read of a range, or of a longer one around it; None: it was not read."""
    *name, first, last = wanted
    for (*its_name, begin, end), found in kept.items():
        if its_name == name and begin <= first and last <= end:
            return {day: one for day, one in found.items() if first <= day <= last}
    return None


class QuarterFigures:
    """Reads quarter hours; what was read is kept for the life of the object."""

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
        self.quantity = ""
        """What the answer is of, where it is of one meter: see `focus_on`."""
        self._kept: dict[Range, ValuesByDay] = {}
        self._letters: dict[Range, dict[date, str]] = {}

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
        return counter_of(meter.id, self.registers)

    @property
    def givers(self) -> tuple[EnergyMeter, ...]:
        """Meters that count nothing but what is fed in."""
        return tuple(
            meter
            for meter in self.facts.meters
            if not self.counter(meter) and (meter.id, EXPORT) in self.registers
        )

    @property
    def others(self) -> tuple[EnergyMeter, ...]:
        """Meters of what is no electricity: water, gas, heat, pulses of whatever it is."""
        return tuple(
            meter
            for meter in self.facts.meters
            if (has := self.quantities_of(meter.id)) and has[0] not in _ELECTRIC
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

    def days(self, meter: str, quantity: str, first: date, last: date) -> ValuesByDay:
        """What a register took, day by day."""
        key = (meter, quantity, first, last)
        if key not in self._kept:
            values, letters = within(self._kept, key), within(self._letters, key)
            if values is None or letters is None:
                values, letters = self._read(key)
            self._kept[key], self._letters[key] = values, letters
        return self._kept[key]

    def _read(self, key: Range) -> tuple[ValuesByDay, dict[date, str]]:
        values: ValuesByDay = {}
        letters: dict[date, str] = {}
        for one in self._reader.days(*key) if key[:2] in self.registers else ():
            letters[one.day] = said = "".join(letter or "-" for letter in one.quality)
            if "-" in said:
                pairs = zip(one.values, one.quality, strict=True)
                values[one.day] = [value if letter else None for value, letter in pairs]
            else:
                values[one.day] = [*one.values]
        return values, letters

    def letters(self, meter: str, quantity: str, first: date, last: date) -> Mapping[date, str]:
        """The quality of each quarter hour of a day: m, e, s, d; - where nothing is known."""
        self.days(meter, quantity, first, last)
        return self._letters[meter, quantity, first, last]

    def intervals(self, meter: str, quantity: str, first: date, last: date) -> Iterator[Interval]:
        """What the engine computed of a register, by start."""
        return self._reader.intervals(meter, quantity, first, last)

    def manifests(self, meter: str, quantity: str, first: date, last: date) -> Iterator[Manifest]:
        """What the platform must hold of a register's days, by date."""
        return self._reader.manifests(meter, quantity, first, last)

    # ---- the building

    @cached_property
    def building(self) -> BuildingRegisters:
        """Which registers say what the building drew, fed in, generated and used."""
        roots = [root.id for root in self.facts.roots]
        plants = [(plant.id, self.direction(plant)) for plant in self.facts.plants]
        return BuildingRegisters.of(roots, plants, self.registers)

    def series(self, name: BuildingSeries, first: date, last: date) -> ValuesByDay:
        """A series of the building, day by day, where everything is known that it takes."""
        if alone := self.building.alone(name):
            return self.days(*alone, first, last)
        held = {register: self.days(*register, first, last) for register in self.building.registers}
        found: ValuesByDay = {}
        for day in sorted({day for values in held.values() for day in values}):
            its = {register: days.get(day, self._none_on(register, day)) for register, days in held.items()}
            if values := self.building.quarters(name, its.get):
                found[day] = list(values)
        return found

    def _none_on(self, register: Register, day: date) -> DayQuarters | None:
        """What is there of a register on a day of which nothing is known."""
        return NOT_YET if day < self._begins.get(register, date.max) else None

    def began(self, meter: str = "") -> date | None:
        """The first local day of the building, or of a meter, of which anything is known."""
        first = self.span[0] if self.span else None
        register = self.register_of(meter) if meter else None
        return self._begins.get(register, first) if register else first

    @cached_property
    def _begins(self) -> Mapping[Register, date]:
        return self._reader.begins()

    def used(self, first: date, last: date) -> ValuesByDay:
        """Drawn − fed in + generated of the building."""
        return self.series("used", first, last)

    def drawn(self, first: date, last: date) -> ValuesByDay:
        """From the grid, at the top of the tree."""
        return self.series("drawn", first, last)

    def fed_in(self, first: date, last: date) -> ValuesByDay:
        """What the building fed into the grid, Wh per quarter hour, by date."""
        return self.series("fed", first, last)

    def generated(self, first: date, last: date) -> ValuesByDay | None:
        """What the plants gave; None when there is none, or it cannot be told which register counts it."""
        return self.series("generated", first, last) if self.building.plants else None

    def direction(self, plant: EnergyMeter) -> str:
        """Which register of a plant counts its yield, import or export; empty: not known yet. One that is
        silent, or below snow, has it as before.
        """
        if plant.generates != "auto":
            return plant.generates
        first, last = self.today - timedelta(3), self.today
        found = consumption.yield_direction(
            self.quarters(self.days(plant.id, IMPORT, first, last)),
            self.quarters(self.days(plant.id, EXPORT, first, last)),
            self.calendar,
        )
        return found or self._directions.get(plant.id, "")

    @cached_property
    def untold_plants(self) -> tuple[EnergyMeter, ...]:
        """Plants of which it is not known yet which register counts their yield: they are in no sum."""
        return tuple(plant for plant in self.facts.plants if not self.direction(plant))

    def lacks_plant(self, last: date) -> bool:
        """Whether one of these had begun by then: what was used, or given by the sun, is more than the sums
        say.
        """
        untold = {plant.id for plant in self.untold_plants}
        return any(meter in untold and day <= last for (meter, _), day in self._begins.items())

    @cached_property
    def _directions(self) -> Mapping[str, str]:
        return self._reader.directions()

    def of(self, meter: str, first: date, last: date) -> ValuesByDay:
        """The building's quarter hours by day, or those of one meter by its id."""
        if not meter:
            return self.used(first, last)
        register = self.register_of(meter)
        return self.days(*register, first, last) if register else {}

    def register_of(self, meter: str) -> tuple[str, str] | None:
        """The register that says what a meter's circuit used, or its plant gave, or what it fed in."""
        found = next((each for each in self.facts.meters if each.id == meter), None)
        if found is None:
            return None
        if found.generates:
            direction = self.direction(found)
            return (meter, f"active_energy_{direction}") if direction else None
        if self.quantity in self._counted_by(meter):
            return meter, self.quantity
        return meter, next(iter(self.quantities_of(meter)), EXPORT)

    def is_given(self, meter: str) -> bool:
        """Whether that register counts what a plant gave, or what was fed in: nothing that was used."""
        register = self.register_of(meter) if meter else None
        plant = any(each.id == meter and each.generates for each in self.facts.meters)
        return register is not None and (plant or register[1] == EXPORT)

    @cached_property
    def _steps(self) -> Mapping[tuple[str, str], int]:
        return self._reader.steps()

    def step_of(self, meter: str, series: BuildingSeries = "used") -> int:
        """The largest step (Wh) of the registers that a power of the building or of a meter is made of, where
        a quarter hour brings less than one: such a power cannot be told. 0: there is none. What is fed in,
        and what a plant draws at night, is little beside them.
        """
        register = self.register_of(meter) if meter else None
        behind = {register} if register else set()
        if not meter:
            behind = {*self.building.drawn}
            behind |= {own for own, _ in self.building.plants} if series == "used" else set()
        return max((self._steps.get(each, 0) for each in behind), default=0)

    def quantities_of(self, meter: str) -> tuple[str, ...]:
        """What a meter counts that a person asks for, the first of it first; empty: nothing yet."""
        has = self._counted_by(meter)
        if {IMPORT, TOTAL} <= {*has}:
            has.remove(TOTAL)
        return tuple(name for name in has if name not in _IF_ALONE) or tuple(has[:1])

    def _counted_by(self, meter: str) -> list[str]:
        return [name for name in COUNTERS if (meter, name) in self.registers]

    def focus_on(self, meter: str, quantity: str = "") -> None:
        """The answer is of one meter (empty: the building), and of something that it counts, else of the
        first of its `quantities_of`. Raises ValueError for another one.
        """
        has = self._counted_by(meter)
        if quantity and quantity not in has:
            if not has:
                raise ValueError(f"{meter!r} has no intervals of {quantity[:40]!r}: leave quantity= out")
            raise ValueError(f"{meter!r} has no intervals of {quantity!r}: write one of {', '.join(has)}")
        register = self.register_of(meter) if meter and not quantity else None
        self.quantity = quantity or (register[1] if register else "")

    @property
    def is_electricity(self) -> bool:
        """Whether the answer is of electricity: what a tariff, a price, a factor are of."""
        return self.quantity in _ELECTRIC

    def quarters(self, days: ValuesByDay) -> Quarters:
        """The same by start, without what is not known."""
        found: Quarters = {}
        for day, values in days.items():
            first = self.calendar.quarters(day)[0]
            for index, value in enumerate(values):
                if value is not None:
                    found[first + index * QUARTER] = value
        return found

    def slots(self, day: date, values: list[int | None]) -> list[int | None]:
        """A day's values by the 96 quarter hours of the clock on the wall; one that is there twice holds
        both.
        """
        if len(values) == _DAY:
            return values
        found: list[int | None] = [None] * _DAY
        for start, value in zip(self.calendar.quarters(day), values, strict=False):
            slot = self.calendar.place(start)[1]
            if value is not None:
                found[slot] = (found[slot] or 0) + value
        return found
