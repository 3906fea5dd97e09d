"""What bars stand for: sums of quarter hours, hours, days, months or years, in the bands of the tariff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from gateway.energy import BuildingSeries
from gateway.status.energy.figures import ONE_BAND, Figures, SumsByDay, ValuesByDay, total
from gateway.status.energy.period import LONG, Period
from gateway.status.energy.shown import HOUR

DAY = 96


@dataclass(frozen=True, slots=True)
class BarSum:
    """What a bar stands for: Wh by band of the tariff (as Figures.bands), of how many known quarter hours."""

    bands: Mapping[str, int]
    known: int

    @property
    def total(self) -> int:
        """The bar's energy in Wh, all parts together."""
        return sum(self.bands.values())


BarSums = dict[tuple[date, int], BarSum]
"""By the first day of a bar, and its slot in the day."""


WhByBar = Mapping[tuple[date, int], int]
"""Wh by the same."""


def bars_of_meter(figures: Figures, period: Period, meter: str, *, in_bands: bool = True) -> BarSums:
    """The bars of the building, or of one meter, of which anything is known."""
    last = min(period.last, figures.today)
    if period.step == "quarter":
        return _of_quarters(figures, figures.of(meter, period.first, last), in_bands=in_bands)
    return grouped(figures, period, figures.sums_of(meter, period.first, last), in_bands=in_bands)


def bars_of_series(figures: Figures, period: Period, series: BuildingSeries) -> BarSums:
    """The bars of a series of the building, not told apart by tariff."""
    last = min(period.last, figures.today)
    if period.step == "quarter":
        return _of_quarters(figures, figures.series(series, period.first, last), in_bands=False)
    return grouped(figures, period, figures.series_sums(series, period.first, last), in_bands=False)


def bars_of_fed(figures: Figures, period: Period) -> BarSums:
    """The same of what was fed in while it is known what the plants gave: else it was not in their yield."""
    if period.step == "quarter":
        given = bars_of_series(figures, period, "generated")
        return {key: bar for key, bar in bars_of_series(figures, period, "fed").items() if key in given}
    last = min(period.last, figures.today)
    _, fed = figures.sums_where_known(("generated", "fed"), period.first, last)
    return grouped(figures, period, fed, in_bands=False)


def grouped(figures: Figures, period: Period, days: SumsByDay, *, in_bands: bool) -> BarSums:
    """Daily sums as bars of hours, days, months or years; without bands each has one without a name."""
    found: BarSums = {}
    longer: dict[date, SumsByDay] = {}
    first = last = date.min
    for day, one in days.items():
        if period.step == "hour":
            names = figures.band_hours(day) if in_bands else ONE_BAND
            for hour, (value, known) in enumerate(zip(one.hours, one.counts, strict=True)):
                if known:
                    found[day, hour] = BarSum({names[hour]: value}, known)
            continue
        if not first <= day <= last:
            first = period.bar_of(day)
            last = period.end_of_bar(first)
        longer.setdefault(first, {})[day] = one
    for first, held in longer.items():
        bands = figures.bands(held) if in_bands else {"": total(held.values())}
        found[first, 0] = BarSum(bands, sum(one.intervals for one in held.values()))
    return found


def _of_quarters(figures: Figures, days: ValuesByDay, *, in_bands: bool) -> BarSums:
    found: BarSums = {}
    for day, values in days.items():
        names = figures.band_hours(day) if in_bands else ONE_BAND
        for slot, value in enumerate(figures.slots(day, values)):
            if value is not None:
                found[day, slot] = BarSum({names[slot // HOUR]: value}, 1)
    return found


def bars_of(period: Period) -> list[tuple[date, int]]:
    """Every bar of a period."""
    slots = {"quarter": DAY, "hour": 24}.get(period.step, 1)
    found, first = [], period.bar_of(period.first)
    while first <= period.last:
        found += [(first, slot) for slot in range(slots)]
        first = period.end_of_bar(first) + timedelta(1)
    return found


def quarters_due(figures: Figures, period: Period, key: tuple[date, int]) -> int:
    """How many quarter hours of a bar should be known by now."""
    day, slot = key
    if period.step in LONG:
        first, last = max(day, period.first), min(period.end_of_bar(day), period.last)
        return figures.known_of({}, first, last).expected
    due = figures.due(day)
    wide = {"quarter": 1, "hour": HOUR}.get(period.step, 0)
    if not wide or not due:
        return due
    starts = figures.calendar.quarters(day)
    if len(starts) == DAY:
        return max(0, min(wide, due - slot * wide))
    return sum(figures.calendar.place(start)[1] // wide == slot for start in starts[:due])
