"""Numbers of the building and of its meters, from the history: one object per answer, used in one thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Final

from gateway.energy import EXPORT, QUARTER, netting, tree
from gateway.status.energy.facts import EnergyMeter
from gateway.status.energy.figures.quarters import DayValues
from gateway.status.energy.figures.sums import SumFigures, total
from gateway.status.energy.period import MOST_BARS, Period

_DAYS_BACK: Final = 28


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


class Figures(SumFigures):
    """What the pages ask for."""

    def total(self, days: DayValues) -> int:
        """Wh of all that is known."""
        return sum(value for values in days.values() for value in values if value is not None)

    def forget_years(self, period: Period) -> None:
        """Of many years each part of a page reads what it needs: all at once is several MB."""
        if period.days > MOST_BARS:
            self.forget()

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
                energies[meter.id] = self.counted(meter.id, name, period.first, last)
        return [part for root in self.facts.roots for part in self._below(root.id, 1, energies, expected)]

    def _below(
        self, parent: str, depth: int, energies: Mapping[str, tuple[int, int]], expected: int
    ) -> Iterator[MeterPart]:
        below = [meter for meter in self.facts.meters if meter.parent == parent and meter.id in energies]
        for meter in sorted(below, key=lambda each: -energies[each.id][0]):
            energy, known = energies[meter.id]
            yield MeterPart(meter, depth, energy, min(1.0, known / expected), known < expected)
            yield from self._below(meter.id, depth + 1, energies, expected)

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
        energies[root.id] = total(self.series_sums("used", period.first, last).values())
        found = tree.rests(meters, energies)
        return found[0] if found else None

    def _meter(self, meter: str) -> EnergyMeter:
        return next(each for each in self.facts.meters if each.id == meter)

    # ---- quality

    @cached_property
    def lost(self) -> Sequence[tuple[date, date]]:
        """First and last of the local days that went with a damaged file."""
        return self._reader.lost()

    def quality(self, meter: EnergyMeter, first: date, last: date) -> list[DayQuality]:
        """Each day of a meter's counter, from the first day that the history knows."""
        name = self.counter(meter) or EXPORT
        sums = self.sums(meter.id, name, first, last)
        begin = min(sums, default=None)
        known_from = self.span[0] if self.span else first
        lost = self.lost
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
        while len(found) < most and other >= first and (day - other).days < _DAYS_BACK * 4:
            if self.calendar.kind(other) == self.calendar.kind(day) and other not in self.calendar.half:
                found.append(other)
            other -= timedelta(1)
        return found
