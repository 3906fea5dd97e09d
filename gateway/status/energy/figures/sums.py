"""Sums of the building and of its meters by local day: what long ranges are made of.

They say what the quarter hours of the same days add up to, and cost a hundredth of reading these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from gateway.energy import (
    HOURS,
    QUARTER,
    BuildingSeries,
    Calendar,
    Dated,
    DaySum,
    Tariff,
    building_load,
    consumption,
    sum_of_quarters,
)
from gateway.status.energy.facts import BuildingFacts, EnergyReader
from gateway.status.energy.figures.quarters import QuarterFigures, Range, ValuesByDay, within

_PIECE: Final = 30
"""Days that are added up at once."""
ONE_BAND: Final = ("",) * HOURS
"""Of each hour, where nothing is told apart by tariff."""
SumsByDay = dict[date, DaySum]
"""Local day → its sum, of the days of which something is known."""


@dataclass(frozen=True, slots=True)
class KnownQuarters:
    """Of a range: how many of its quarter hours are over, and of how many the energy is known."""

    expected: int
    known: int

    @property
    def whole(self) -> bool:
        """Whether a sum of it is all that there was; else it is at least that."""
        return self.known >= self.expected

    @property
    def missing_hours(self) -> float:
        """Hours of which nothing is known."""
        return max(0, self.expected - self.known) / 4


@dataclass(frozen=True, slots=True)
class EnergyEmission:
    """`tonnes` of CO2 by the `factors` (t/MWh) that held on each day, and where these stand."""

    tonnes: float
    factors: tuple[float, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnergyCost:
    """`money` in a currency, by the prices that held on each day, and where these stand."""

    money: float
    currency: str
    sources: tuple[str, ...]


class SumFigures(QuarterFigures):
    """Adds up; what was read is kept for the life of the object."""

    def __init__(self, facts: BuildingFacts, reader: EnergyReader, zone: Calendar, now: int) -> None:
        super().__init__(facts, reader, zone, now)
        self._sums: dict[Range, SumsByDay] = {}
        self._counted: dict[Range, tuple[int, int]] = {}
        self._bands: dict[date, tuple[str, ...]] = {}
        self._common: dict[tuple[tuple[BuildingSeries, ...], date, date], tuple[SumsByDay, ...]] = {}

    def forget(self) -> None:
        """Drop what was read: who goes through years month by month needs no more memory than for one."""
        super().forget()
        self._sums.clear()
        self._common.clear()

    def sums(self, meter: str, quantity: str, first: date, last: date) -> SumsByDay:
        """What a register took, day by day."""
        key = (meter, quantity, first, last)
        if key not in self._sums:
            found = within(self._sums, key)
            if found is None:
                read = self._reader.sums(meter, quantity, first, last, self.calendar)
                found = {date.fromordinal(one.ordinal): one for one in read if one.intervals}
            self._sums[key] = found
        return self._sums[key]

    def sums_of(self, meter: str, first: date, last: date) -> SumsByDay:
        """What the building used, or what one meter counted, by its id: as `of`."""
        if not meter:
            return self.series_sums("used", first, last)
        register = self.register_of(meter)
        return self.sums(*register, first, last) if register else {}

    def series_sums(self, series: BuildingSeries, first: date, last: date) -> SumsByDay:
        """A series of the building, where everything is known that it takes: as `series`."""
        if alone := self.building.alone(series):
            return self.sums(*alone, first, last)
        if series == "generated" and not self.building.plants:
            return {}
        key = (*self._name_of(series), first, last)
        if key not in self._sums:
            found = within(self._sums, key)
            if found is None:
                kept, since = self._reader.building_sums(series, self.building, first, last)
                found = {date.fromordinal(one.ordinal): one for one in kept}
                found |= self._not_kept(series, max(first, since), last)
            self._sums[key] = found
        return self._sums[key]

    def sums_where_known(
        self, series: Sequence[BuildingSeries], first: date, last: date
    ) -> tuple[SumsByDay, ...]:
        """Series of the building in the quarter hours of which all of them are known: what one says of
        another, which has other gaps, is said of these. In the order of `series`.
        """
        if (about := (tuple(series), first, last)) in self._common:
            return self._common[about]
        held = [self.series_sums(each, first, last) for each in series]
        self._common[about] = found = tuple(SumsByDay() for _ in series)
        kept, letters = self._kept, self._letters
        for day in sorted(set[date].intersection(*map(set, held))):
            ones = [sums[day] for sums in held]
            if not all(one.whole for one in ones):
                # A day at a time: years of them are a hundred MB.
                self._kept, self._letters = dict(kept), dict(letters)
                ones = self._in_common([self.series(each, day, day).get(day, []) for each in series], day)
            for sums, one in zip(found, ones, strict=True):
                if one.intervals:
                    sums[day] = one
        self._kept, self._letters = kept, letters
        return found

    def _in_common(self, values: Sequence[list[int | None]], day: date) -> list[DaySum]:
        """The sums of a day's quarter hours that all have."""
        rows = [row if None not in row else (None,) * len(row) for row in zip(*values, strict=False)]
        return [sum_of_quarters(day, each, self.calendar) for each in zip(*rows, strict=True)]

    def _name_of(self, series: BuildingSeries) -> tuple[str, str]:
        """As what its sums are kept: as the one register that it is, or by its own name."""
        return self.building.alone(series) or ("", series)

    def suspect_days(self, meter: str, first: date, last: date) -> frozenset[date]:
        """Days on which a quarter hour of what `sums_of` adds up is suspect: their sums are no measure of
        others.
        """
        if meter:
            register = self.register_of(meter)
            registers = [register] if register else []
        else:
            registers = [*self.building.registers]
        sums = (self.unmeasured(*each, first, last) for each in registers)
        return frozenset(day for days in sums for day, one in days.items() if one.suspect)

    def unmeasured(self, meter: str, quantity: str, first: date, last: date) -> SumsByDay:
        """The days of a register on which a known quarter hour was not measured: a few of years."""
        known = within(self._sums, (meter, quantity, first, last))
        if known is None:
            read = self._reader.sums(meter, quantity, first, last, unmeasured=True)
            return {date.fromordinal(one.ordinal): one for one in read}
        return {day: one for day, one in known.items() if one.measured < one.intervals}

    def _not_kept(self, series: BuildingSeries, first: date, last: date) -> SumsByDay:
        """The same from quarter hours, a piece at a time: years of them are a hundred MB."""
        found: SumsByDay = {}
        kept, letters = self._kept, self._letters
        while first <= last:
            end = min(first + timedelta(_PIECE), last)
            self._kept, self._letters = dict(kept), dict(letters)
            found |= self.added_up(self.series(series, first, end))
            first = end + timedelta(1)
        self._kept, self._letters = kept, letters
        return found

    def known_of(self, days: SumsByDay, first: date, last: date) -> KnownQuarters:
        """How much of a range, as far as it lies behind us, its sums know; the newest quarter hour may still
        be on its way. What was before measuring began is not known either.
        """
        last, expected, known = min(last, self.today), 0, 0
        if first <= last == self.today:
            expected = self.due(last)
            known = self._known_by_now(days[last], expected) if last in days else 0
            last -= timedelta(1)
        if first <= last:
            quarters = self.calendar.quarters
            expected += (quarters(last)[-1] - quarters(first)[0]) // QUARTER + 1
            known += sum(one.intervals for day, one in days.items() if first <= day <= last)
        return KnownQuarters(expected, known)

    def known_of_all(self, registers: Iterable[SumsByDay], first: date, last: date) -> KnownQuarters:
        """The same of the register of which least is known."""
        return min((self.known_of(each, first, last) for each in registers), key=lambda each: each.known)

    def _known_by_now(self, today: DaySum, due: int) -> int:
        """Of the quarter hours that should be known those that are: hour by hour, since the newest one, which
        need not be there yet, makes up for no other.
        """
        hours = [0] * HOURS
        for start in self.calendar.quarters(today.day)[:due]:
            hours[self.calendar.place(start)[1] // 4] += 1
        return sum(map(min, hours, today.counts))

    def is_whole(self, days: SumsByDay, day: date) -> bool:
        """Whether everything of a day that is over by now is known."""
        if day not in days:
            return not self.due(day)
        return days[day].whole or (day == self.today and self.known_of(days, day, day).whole)

    def added_up(self, days: ValuesByDay) -> SumsByDay:
        """The same sums, from quarter hours."""
        made = {day: sum_of_quarters(day, values, self.calendar) for day, values in days.items()}
        return {day: one for day, one in made.items() if one.intervals}

    def sum_of(self, meter: str, quantity: str, first: date, last: date) -> int:
        """What a register took."""
        return self.counted(meter, quantity, first, last)[0]

    def counted(self, meter: str, quantity: str, first: date, last: date) -> tuple[int, int]:
        """What a register took, and of how many quarter hours that is known."""
        key = (meter, quantity, first, last)
        if key not in self._counted:
            self._counted[key] = self._reader.counted(*key)
        return self._counted[key]

    # ---- by tariff

    def tariff(self, day: date) -> Tariff | None:
        """The tariff as it holds on a day; None where none is known, or the answer is of water or heat."""
        row = self._tariff_row(day) if self.is_electricity else None
        return row.value if row else None

    def tariff_source(self, day: date) -> str:
        """Where the tariff's bands stand."""
        row = self._tariff_row(day)
        return row.source if row else ""

    def band_changes(self, first: date, last: date) -> Iterator[tuple[date, tuple[str, ...]]]:
        """The first of some days, and each on which the hours of the bands are others than on the day before:
        another tariff holds, or winter begins or ends where the tariff's clock is the old one.
        """
        before: tuple[str, ...] | None = None
        for number in range((last - first).days + 1):
            day = first + timedelta(number)
            if (bands := self.band_hours(day)) != before:
                yield day, bands
            before = bands

    def tariff_sources(self, first: date, last: date) -> tuple[str, ...]:
        """Where the bands of those days stand, the earliest first."""
        days = (first + timedelta(number) for number in range((last - first).days + 1))
        return tuple(dict.fromkeys(source for day in days if (source := self.tariff_source(day))))

    def _tariff_row(self, day: date) -> Dated[Tariff] | None:
        rules = self.facts.rules
        return rules.tariff(self.facts.tariff, day) if rules and self.facts.tariff else None

    def band_hours(self, day: date) -> tuple[str, ...]:
        """The band of each hour of a day; without a tariff one without a name."""
        if day not in self._bands:
            tariff = self.tariff(day)
            self._bands[day] = tariff.bands_of(day, old_clock=self.facts.old_clock) if tariff else ONE_BAND
        return self._bands[day]

    def bands(self, days: Mapping[date, DaySum]) -> dict[str, int]:
        """Wh by band of the tariff; one band without a name when no tariff is known. A band of which no
        quarter hour is known is left out.
        """
        alike: dict[tuple[str, ...], list[DaySum]] = {}
        for day, one in days.items():
            alike.setdefault(self.band_hours(day), []).append(one)
        sums: dict[str, int] = {}
        for names, those in alike.items():
            hours: Iterable[int] = (0,) * HOURS
            for at in range(0, len(those), _PIECE):  # the hours of years at once are two MB
                piece = those[at : at + _PIECE]
                hours = [*map(sum, zip(hours, *(one.hours for one in piece), strict=True))]
            for hour, (name, value) in enumerate(zip(names, hours, strict=True)):
                if value or name in sums or any(one.counts[hour] for one in those):
                    sums[name] = sums.get(name, 0) + value
        return sums

    def cost(self, days: SumsByDay) -> EnergyCost | None:
        """What those days cost; None where a day has no tariff with a price for each of its bands, or prices
        are in two currencies.
        """
        alike: dict[int, tuple[Tariff, SumsByDay]] = {}
        for day, one in days.items():
            tariff = self.tariff(day)
            if tariff is None or not tariff.currency:
                return None
            alike.setdefault(id(tariff), (tariff, {}))[1][day] = one
        parts = [consumption.cost(self.bands(held), tariff) for tariff, held in alike.values()]
        currencies = {tariff.currency for tariff, _ in alike.values()}
        if len(currencies) != 1 or any(part is None for part in parts):
            return None
        sources = dict.fromkeys(self.tariff_source(min(held)) for _, held in alike.values())
        return EnergyCost(sum(part or 0.0 for part in parts), currencies.pop(), tuple(sources))

    def emission(self, days: Mapping[date, DaySum], scope: str) -> EnergyEmission | None:
        """CO2 of those days, each by the factor of the scope that held on it; None where a day has none."""
        rules, by_row = self.facts.rules, dict[tuple[float, str], int]()
        for day, one in days.items():
            row = rules.co2(scope, day) if rules else None
            if row is None:
                return None
            key = (row.value, row.source)
            by_row[key] = by_row.get(key, 0) + one.sum
        if not by_row:
            return None
        tonnes = sum(wh / 1e6 * factor for (factor, _), wh in by_row.items())
        factors, sources = (tuple(dict.fromkeys(each)) for each in zip(*by_row, strict=True))
        return EnergyEmission(tonnes, factors, sources)

    # ---- the highest

    def demand_minutes(self, day: date) -> int:
        """Over how long a demand is the mean."""
        rules = self.facts.rules
        row = rules.demand_minutes(day) if rules else None
        return row.value if row else 15

    def peak_quality(self, meter: str, start: int) -> str:
        """How the demand that begins then (ms UTC) was measured, of a meter or of what the building drew: the
        worst letter of its quarter hours.
        """
        register = self.register_of(meter) if meter else None
        behind = self.building.drawn if not meter else (register,) if register else ()
        day = self.calendar.place(start)[0]
        quarters = max(1, self.demand_minutes(day) * 60_000 // QUARTER)
        found = "".join(self._letters_at(each, start, quarters) for each in behind)
        return next((letter for letter in "sedm" if letter in found), "")

    def _letters_at(self, register: tuple[str, str], start: int, quarters: int) -> str:
        day = self.calendar.place(start)[0]
        one = self.sums(*register, day, day).get(day)
        if one is not None and one.measured == one.intervals:
            return "m"  # its sums are known already, its quarter hours would have to be read
        place = (start - self.calendar.quarters(day).start) // QUARTER
        return self.letters(*register, day, day).get(day, "")[place : place + quarters]

    def peak(self, meter: str, first: date, last: date) -> building_load.DemandPeak | None:
        """The highest demand of a meter, or of what the building drew; None also where the step of a register
        is more than a quarter hour brings.
        """
        minutes = self.demand_minutes(first)
        if self.step_of(meter, "drawn"):
            return None
        if minutes * 60_000 != QUARTER:
            days = self.of(meter, first, last) if meter else self.drawn(first, last)
            return building_load.peak(self.quarters(days), {}, minutes)
        sums = self.sums_of(meter, first, last) if meter else self.series_sums("drawn", first, last)
        best: building_load.DemandPeak | None = None
        for day, one in sums.items():
            peak = one.peak
            if peak and (best is None or peak[1] * 4 > best.power):
                start = self.calendar.quarters(day)[0] + peak[0] * QUARTER
                best = building_load.DemandPeak(start, peak[1] * 4)
        return best

    def measured_peak(self, first: date, last: date, above: float) -> building_load.DemandPeak | None:
        """The highest measured demand of what the building drew, where it is above so many W: one that was
        estimated or is suspect hides none.
        """
        highest = self.peak("", first, last)
        if highest is None or highest.power <= above:
            return None
        found = []
        for number in range((last - first).days + 1):
            day = first + timedelta(number)
            one = self.peak("", day, day)
            if one is None or one.power <= above:
                continue
            values = (
                self.quarters(self.drawn(day, day)) if self.demand_minutes(day) * 60_000 == QUARTER else {}
            )
            each = [building_load.DemandPeak(start, wh * 4) for start, wh in values.items() if wh * 4 > above]
            found += [peak for peak in (one, *each) if self.peak_quality("", peak.start) == "m"]
        return max(found, key=lambda peak: peak.power, default=None)


def total(days: Iterable[DaySum]) -> int:
    """Wh of all that is known."""
    return sum(one.sum for one in days)


def by_day(days: Mapping[date, DaySum]) -> dict[date, int]:
    """Wh of each local day of which something is known."""
    return {day: one.sum for day, one in days.items()}
