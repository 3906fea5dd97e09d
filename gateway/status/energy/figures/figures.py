"""Numbers of the building and of its meters, from the history: one object per answer, used in one thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Final, NamedTuple

from gateway.energy import (
    EXPORT,
    QUARTER,
    BuildingRegisters,
    BuildingSeries,
    Calendar,
    KeptFinding,
    PollHours,
    netting,
    tree,
)
from gateway.status.energy.facts import BuildingFacts, EnergyMeter, EnergyReader
from gateway.status.energy.figures.quarters import ValuesByDay
from gateway.status.energy.figures.sums import SumFigures, total
from gateway.status.energy.period import MOST_BARS, Period

_DAYS_BACK: Final = 28
_AS_GOOD_AS_ALL: Final = 0.995
_ABOUT: Final[tuple[BuildingSeries, ...]] = ("used", "drawn")


class DayQuality(NamedTuple):
    """Of a local day: quarter hours that should be there by now, are known, were measured; those that are
    `suspect`, so that the sum may be wrong, and that a person has `edited`.
    """

    day: date
    expected: int
    known: int
    measured: int
    suspect: int = 0
    lost: bool = False
    edited: int = 0

    @property
    def missing(self) -> int:
        """Quarter hours of which nothing is known."""
        return max(0, self.expected - self.known)

    @property
    def kind(self) -> str:
        """measured, edited, estimated, suspect, missing, or future: the worst that holds."""
        if not self.expected:
            return "future"
        if self.missing:
            return "missing"
        if self.suspect:
            return "suspect"
        if self.measured >= self.expected:
            return "measured"
        return "edited" if self.measured + self.edited >= self.expected else "estimated"


@dataclass(frozen=True, slots=True)
class MeterPart:
    """What a meter counted in a period, Wh; `depth` in the tree; `share` of what the building used, None:
    that is not known; `known`: share of the quarter hours.
    """

    meter: EnergyMeter
    depth: int
    energy: int
    share: float | None
    known: float
    partial: bool


@dataclass(frozen=True, slots=True)
class BuildingRest:
    """What no sub meter counts of what comes in through a main `meter`, Wh, its uncertainty `band`, its
    `share` of what the building used.

    `known` is the share of the quarter hours that it is of: `left_out` are days of which less is known of the
    building than of its meters. `over_counted`: these count more than comes in, beyond the band.
    """

    meter: EnergyMeter
    rest: int
    band: int
    over_counted: bool
    share: float | None
    known: float
    left_out: int


class Figures(SumFigures):
    """What the pages ask for."""

    def __init__(self, facts: BuildingFacts, reader: EnergyReader, zone: Calendar, now: int) -> None:
        super().__init__(facts, reader, zone, now)
        self._unequal: dict[Period, frozenset[date]] = {}

    def total(self, days: ValuesByDay) -> int:
        """Wh of all that is known."""
        return sum(value for values in days.values() for value in values if value is not None)

    def counted_until(self, meter: str = "") -> int:
        """Up to when today is counted (ms), of the building or a meter: the newest quarter hour that is over
        may still be on its way.
        """
        newest = self.end - QUARTER
        today = self.calendar.place(newest)[0]
        return self.end if newest in self.quarters(self.of(meter, today, today)) else newest

    def forget_years(self, period: Period, meter: str = "") -> None:
        """Of many years each part of a page reads what it needs: all at once is several MB. Only what the
        page is about is kept, since most parts need it: what a meter counted, or the building used and drew.
        """
        if period.days > MOST_BARS:
            about = [self.register_of(meter)] if meter else [*map(self._name_of, _ABOUT)]
            kept = {
                key: days for key, days in self._sums.items() if key[:2] in about and key[2] >= period.first
            }
            self.forget()
            self._sums |= kept

    def part_of(self, meter: str, quantity: str, first: date, last: date) -> tuple[int, float]:
        """What a register took, and the share of the quarter hours since measuring began of which that is
        known.
        """
        energy, known = self.counted(meter, quantity, first, last)
        expected = self._expected(first, last)
        return energy, min(1.0, known / expected) if expected else 0.0

    def _expected(self, first: date, last: date) -> int:
        """Quarter hours since measuring began that should be known by now."""
        return self.known_of({}, max(first, self.span[0]) if self.span else first, last).expected

    def parts(self, period: Period) -> list[MeterPart]:
        """Every meter of the tree below the main meter with its energy, parents before their parts, the
        larger first; where several stand side by side at the top, these are the parts of the building.
        """
        energies = {
            meter.id: self.part_of(meter.id, name, period.first, period.last)
            for meter in self.facts.meters
            if not meter.generates and (name := self.counter(meter))
        }
        shares = self._shares(period, {meter: energy for meter, (energy, _known) in energies.items()})
        roots = [root.id for root in self.facts.roots if root.id in energies]
        if len(roots) < 2:
            return [part for root in roots for part in self._below(root, 1, energies, shares)]
        return [*self._below("", 1, energies, shares)]

    @property
    def of_parts(self) -> tuple[EnergyMeter, ...]:
        """The meters of `parts`: those below a main meter, and several main meters themselves."""
        meters = [each for each in self.facts.meters if not each.generates and self.counter(each)]
        roots = [root for root in self.facts.roots if root in meters]
        return tuple(each for each in meters if len(roots) > 1 or each not in roots)

    def _below(
        self,
        parent: str,
        depth: int,
        energies: Mapping[str, tuple[int, float]],
        shares: Mapping[str, float | None],
    ) -> Iterator[MeterPart]:
        meters = [m for m in self.facts.meters if m.parent == parent] if parent else self.facts.roots
        below = [meter for meter in meters if meter.id in energies]
        for meter in sorted(below, key=lambda each: -energies[each.id][0]):
            energy, known = energies[meter.id]
            yield MeterPart(meter, depth, energy, shares[meter.id], known, known < 1)
            yield from self._below(meter.id, depth + 1, energies, shares)

    def _shares(self, period: Period, energies: Mapping[str, int]) -> dict[str, float | None]:
        """Each meter's share of the building, of the days on which they can be held against each other; None
        where a plant is in no sum.
        """
        if self.lacks_plant(period.last):
            return dict.fromkeys(energies)
        used = self.series_sums("used", period.first, min(period.last, self.today))
        away = self._unequal_days(period)
        whole = total(one for day, one in used.items() if day not in away)
        return {
            meter: (energy - self._on(away, meter, self.counter(self._meter(meter)))) / whole
            if whole
            else None
            for meter, energy in energies.items()
        }

    def _unequal_days(self, period: Period) -> frozenset[date]:
        """Days of which less is known of the building than of one of its meters: on these a meter would have
        too large a share, and the rest would be too small. Shares and rest of a page ask for the same ones.
        """
        if period not in self._unequal:
            self._unequal[period] = self._find_unequal_days(period)
        return self._unequal[period]

    def _find_unequal_days(self, period: Period) -> frozenset[date]:
        first = max(period.first, self.span[0]) if self.span else period.first
        last = min(period.last, self.today)
        used = self.series_sums("used", first, last)
        if self.known_of(used, first, last).whole:
            return frozenset()
        days = [first + timedelta(number) for number in range((last - first).days + 1)]
        lacking = [day for day in days if not self.is_whole(used, day)]
        found = set()
        for meter in self.facts.meters:
            if not meter.generates and (name := self.counter(meter)):
                sums = self.sums(meter.id, name, lacking[0], lacking[-1])
                known = {day: used[day].intervals if day in used else 0 for day in lacking}
                found |= {day for day in lacking if day in sums and sums[day].intervals > known[day]}
        return frozenset(found)

    def _on(self, days: frozenset[date], meter: str, quantity: str) -> int:
        """What a register took on some days."""
        if not days:
            return 0
        sums = self.sums(meter, quantity, min(days), max(days))
        return total(one for day, one in sums.items() if day in days)

    def rests(self, period: Period) -> list[BuildingRest]:
        """What no sub meter counts, of each main meter that has some; none where it cannot be told: which
        register of a plant counts its yield, or below which of several main meters it feeds in.
        """
        roots, last = [root for root in self.facts.roots if self.counter(root)], min(period.last, self.today)
        if not all(map(self.direction, self.facts.plants)):
            return []
        above = {plant.id: self._above(plant) for plant in self.facts.plants}
        tops = {root.id for root in roots}
        if not roots or (len(roots) > 1 and any(map(tops.isdisjoint, above.values()))):
            return []
        away, used = self._unequal_days(period), self.series_sums("used", period.first, last)
        if len(roots) > 1:
            away |= self._days_lacking_one(roots, period.first, last)
        kept = {day: one for day, one in used.items() if day not in away}
        if away and not kept:
            return []
        meters = [
            tree.TreeMeter(each.id, "" if each in roots else each.parent, each.class_, each.ct_class or None)
            for each in self.facts.meters
            if not each.generates and self.counter(each) and (each in roots or each.parent in tops)
        ]
        whole, expected = total(kept.values()), self._expected(period.first, last)
        energies = {}
        for each in meters:
            plants = [plant for plant, ids in above.items() if each.id in ids]
            if each.id in tops or plants:
                energies[each.id] = self._came_in(each.id, plants, period.first, last, away)
            else:
                counter = self.counter(self._meter(each.id))
                energies[each.id] = self._took(each.id, counter, period.first, last, away)
        if len(roots) == 1:  # by the quarter hour, of which all is known that it takes
            energies[roots[0].id] = whole
        known = min(1.0, sum(one.intervals for one in kept.values()) / expected) if expected else 0.0
        return [
            BuildingRest(
                self._meter(each.meter),
                each.rest,
                each.band,
                each.over_counted,
                each.rest / whole if whole else None,
                known,
                len(away),
            )
            for each in tree.rests(meters, energies)
        ]

    def _days_lacking_one(self, roots: Sequence[EnergyMeter], first: date, last: date) -> frozenset[date]:
        """Days of which less is known of one of several main meters than of a meter behind it: it was silent,
        or not put in yet.
        """
        found = set()
        for root in roots:
            own = self.sums(root.id, self.counter(root), first, last)
            for each in self.facts.meters:
                if each.parent == root.id and not each.generates and (name := self.counter(each)):
                    its = self.sums(each.id, name, first, last)
                    found |= {
                        day
                        for day, one in its.items()
                        if day not in own or one.intervals > own[day].intervals
                    }
        return frozenset(found)

    def _came_in(
        self, meter: str, plants: Sequence[str], first: date, last: date, away: frozenset[date]
    ) -> int:
        """Wh that were used behind a meter: what it drew, less what it fed in, and its plants' yield."""
        pairs = [(plant, self.direction(self._meter(plant))) for plant in plants]
        its = BuildingRegisters.of([meter], pairs, self.registers)
        signed = [*((each, 1) for each in its.drawn), *((each, -1) for each in its.fed)]
        for own, other in its.plants:
            signed += [(own, 1), (other, -1)]
        return sum(sign * self._took(*register, first, last, away) for register, sign in signed)

    def _took(self, meter: str, quantity: str, first: date, last: date, away: frozenset[date]) -> int:
        """Wh of a register, without some days."""
        return self.sum_of(meter, quantity, first, last) - self._on(away, meter, quantity)

    def _above(self, meter: EnergyMeter) -> frozenset[str]:
        """The meters above another one in the tree."""
        parents = {each.id: each.parent or "" for each in self.facts.meters}
        found, one = set(), parents[meter.id]
        while one in parents and one not in found:
            found.add(one)
            one = parents[one]
        return frozenset(found)

    def _meter(self, meter: str) -> EnergyMeter:
        return next(each for each in self.facts.meters if each.id == meter)

    # ---- quality

    @cached_property
    def lost(self) -> Sequence[tuple[date, date]]:
        """First and last of the local days that went with a damaged file."""
        return self._reader.lost()

    def quality(self, meter: EnergyMeter, first: date, last: date) -> list[DayQuality]:
        """Each day of a meter's counter, from the first day that the history knows."""
        name = self.counter(meter) or next(iter(self.quantities_of(meter.id)), EXPORT)
        sums = self.sums(meter.id, name, first, last)
        known_from = self.span[0] if self.span else first
        begin = max(known_from, self._begins.get((meter.id, name), known_from))
        lost, newest = self.lost, self.calendar.place(self.end - QUARTER)[0]
        found = []
        day = first
        while day <= last:
            one, expected = sums.get(day), 0
            if begin <= day <= self.today:
                expected = one.quarters if one and day < newest else self.due(day)
            gone = bool(lost) and any(since <= day <= until for since, until in lost)
            if one is None:
                found.append(DayQuality(day, expected, 0, 0, lost=gone))
            else:
                known = one.intervals if day < newest else self._known_by_now(one, expected)
                found.append(
                    DayQuality(day, expected, known, min(known, one.measured), one.suspect, gone, one.edited)
                )
            day += timedelta(1)
        return found

    def polls(self, meter: str) -> PollHours:
        """How a meter answered, hour by hour, of the last week."""
        return self._reader.polls(meter)

    @cached_property
    def findings(self) -> Sequence[KeptFinding]:
        """What the checks found lately, by the time at which it was so last."""
        return self._reader.findings()

    # ---- the sun

    def knows_fed(self, first: date, last: date) -> bool:
        """Whether it is known what was fed in, of as good as all of what the plants gave."""
        gave = self.known_of(self.series_sums("generated", first, last), first, last)
        _, fed = self.sums_where_known(("generated", "fed"), first, last)
        known = self.known_of(fed, first, last).known
        return bool(self.building.fed) and known >= gave.known * _AS_GOOD_AS_ALL

    def netted(self, first: date, last: date) -> tuple[netting.NettedEnergy, netting.NettedEnergy]:
        """Within each hour, and over the whole."""
        drawn, fed = self.quarters(self.drawn(first, last)), self.quarters(self.fed_in(first, last))
        return netting.over_hours(drawn, fed), netting.over_all(drawn, fed)

    def like_days(self, day: date, most: int = 4, meter: str = "") -> list[date]:
        """The newest days of the same kind before a day, as far as the history goes, without those on which
        the building, or a meter, has a suspect quarter hour.
        """
        back = _DAYS_BACK * 4 - 1
        suspect = self.suspect_days(meter, day - timedelta(back), day - timedelta(1))
        first = self.span[0] if self.span else day
        found: list[date] = []
        other = day - timedelta(1)
        while len(found) < most and other >= first and (day - other).days <= back:
            like = self.calendar.kind(other) == self.calendar.kind(day) and other not in self.calendar.half
            if like and other not in suspect:
                found.append(other)
            other -= timedelta(1)
        return found
