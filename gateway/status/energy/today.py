"""Today over the band of its like days, and a day or a period beside those that it is like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from gateway.energy import building_load
from gateway.status.energy import charts
from gateway.status.energy.charts import Curve
from gateway.status.energy.figures import QUARTER, Figures, SumsByDay, total
from gateway.status.energy.period import Period
from gateway.status.energy.shown import (
    HOUR,
    DataTable,
    Measure,
    Picture,
    changed,
    measure_of,
    name_of,
    titles_of,
)
from gateway.status.words.language import Locale

DAY = 96
_CURVE_HEIGHT = 220
_LIKE_DAYS = 4
_CLOSED_WITHIN = 28
"""Days before a closed day in which others are looked for."""


def compared(figures: Figures, period: Period, meter: str, sums: SumsByDay, f: Locale) -> str:
    """The whole days so far beside as many of the period before; of both, only what is known of both."""
    _ = f.gettext
    measure = measure_of(figures.quantity, f)
    if period.span == "day":
        return _day_compared(figures, period.first, meter, f)
    before = period.like
    over = min(period.days, max(0, (figures.today - period.first).days))
    if not over or (figures.span and before.first < figures.span[0]):
        return _first_comparison(figures, period, meter, f) if period.span == "week" else ""
    old = figures.sums_of(meter, before.first, before.last)
    pairs = [
        (period.first + timedelta(k), before.first + timedelta(k)) for k in range(min(over, before.days))
    ]
    suspect = figures.suspect_days(meter, before.first, before.last)
    suspect |= figures.suspect_days(meter, period.first, min(period.last, figures.today))
    both = [
        pair
        for pair in pairs
        if _is_whole(sums, pair[0]) and _is_whole(old, pair[1]) and suspect.isdisjoint(pair)
    ]
    left_out = len(pairs) - len(both)
    now, then = sum(sums[day].sum for day, _ in both), sum(old[day].sum for _, day in both)
    if figures.today not in period and not suspect and _all_whole(sums, period) and _all_whole(old, before):
        # Two that are over and known: also where one has a day more.
        now, then, left_out = total(sums.values()), total(old.values()), 0
    if not then:
        return "" if left_out else _first_comparison(figures, period, meter, f)
    so_far = _("The whole days so far: %(change)s the same days of %(before)s (%(amount)s).")
    text = so_far if figures.today in period else _("That is %(change)s in %(before)s (%(amount)s).")
    amount = f"{measure.amount(then, f)} {measure.unit}"
    said = text % {"change": changed(now, then, f), "before": name_of(before, f), "amount": amount}
    if left_out:
        left = f.ngettext(
            "%(n)s day that is not surely known of both is left out.",
            "%(n)s days that are not surely known of both are left out.",
            left_out,
        )
        said += " " + left % {"n": left_out}
    return said


def _is_whole(sums: SumsByDay, day: date) -> bool:
    return day in sums and sums[day].whole


def _all_whole(sums: SumsByDay, period: Period) -> bool:
    return all(_is_whole(sums, period.first + timedelta(number)) for number in range(period.days))


def _day_compared(figures: Figures, day: date, meter: str, f: Locale) -> str:
    """A day, as far as it is known, beside the mean of its like days in the same quarter hours."""
    _ = f.gettext
    mine = _slots(figures, meter, day)
    known = [slot for slot, value in enumerate(mine) if value is not None]
    sums = []
    for other in figures.like_days(day, meter=meter):
        theirs = _slots(figures, meter, other)
        values = [value for slot in known if (value := theirs[slot]) is not None]
        if values and len(values) == len(known):
            sums.append(sum(values))
    if not sums or not sum(sums):
        return _first_comparison(figures, Period("day", day, day, "hour"), meter, f)
    now, mean = sum(mine[slot] or 0 for slot in known), sum(sums) / len(sums)
    # Two texts, as in notices: a mean of one is none, in no language.
    by_now, whole = (
        (
            _("%(change)s the last like day at this hour: %(amount)s."),
            _("%(change)s the last like day: %(amount)s."),
        )
        if len(sums) == 1
        else (
            _("%(change)s the mean of the last %(n)s like days at this hour: %(amount)s."),
            _("%(change)s the mean of the last %(n)s like days: %(amount)s."),
        )
    )
    text = by_now if day == figures.today else whole
    measure = measure_of(figures.quantity, f)
    apart = f" ± {measure.amount(building_load.deviation(sums), f)}" if len(sums) > 1 else ""
    amount = f"{measure.amount(mean, f)}{apart} {measure.unit}"
    said = text % {"change": changed(now, mean, f), "n": len(sums), "amount": amount}
    quarters = figures.known_of(figures.sums_of(meter, day, day), day, day)
    if not quarters.whole:
        left = _("The %(hours)s h of which nothing is known are left out of both.")
        said += " " + left % {"hours": f.number(quarters.missing_hours, 1)}
    return said


def holidays_beside(figures: Figures, days: Iterable[date], back: int, f: Locale) -> list[str]:
    """Of days that are compared with those so many days before: which of these was a public holiday, while
    they are none. A sentence, or nothing.
    """
    closed = figures.calendar.holidays
    found = sorted({day - timedelta(back) for day in days if day not in closed} & closed)
    return were_holidays([f.short_day(day) for day in found], f)


def were_holidays(days: Sequence[str], f: Locale) -> list[str]:
    """That days were public holidays, by their names. A sentence, or nothing."""
    if not days:
        return []
    text = f.ngettext("%(days)s was a public holiday.", "%(days)s were public holidays.", len(days))
    return [text % {"days": ", ".join(days)}]


def _first_comparison(figures: Figures, period: Period, meter: str, f: Locale) -> str:
    """When a period that goes on, or the next of its kind, will have one to be compared with."""
    began = _first_whole_day(figures, meter)
    if began is None or figures.today not in period:
        return _compared_from(None, f)
    if period.span == "day":
        return _compared_from(began + timedelta(7), f, figures.today)
    # The first Monday of which that four weeks before is known, and a day of it.
    monday = began + timedelta(-began.weekday() % 7)
    return _compared_from(monday + timedelta(28 + 1), f, figures.today)


def first_usual(figures: Figures, f: Locale) -> str:
    """When it will be known what is usual; empty where it should be already."""
    began = _first_whole_day(figures, "")
    day = began + timedelta(7 * building_load.ENOUGH) if began else None
    return _compared_from(day, f, figures.today) if day and day > figures.today else ""


def _compared_from(day: date | None, f: Locale, today: date = date.min) -> str:
    """That there is nothing to compare with; yet, where the first comparison comes on a day."""
    _ = f.gettext
    if day is None or day <= today:
        return _("There is nothing to compare it with.")
    text = _("There is nothing to compare it with yet; the first comparison comes on %(day)s.")
    return text % {"day": f.day(day)}


def _first_whole_day(figures: Figures, meter: str) -> date | None:
    """The first day of which all can be known, of the building or a meter."""
    first = figures.began(meter)
    if first is None:
        return None
    sums = figures.sums_of(meter, first, first)
    return first if figures.is_whole(sums, first) else first + timedelta(1)


@dataclass(frozen=True, slots=True)
class DayLoads:
    """Mean power of the 96 quarter hours by the clock on the wall (W; ml or pulses an hour): of today, of its
    like days that are whole, and the band of these (lowest, highest) where there are enough of them.
    """

    today: list[float | None]
    like: list[list[float | None]]
    band: tuple[list[float], list[float]] | None

    @property
    def newest(self) -> int:
        """The newest quarter hour of today that is known."""
        return max(slot for slot, value in enumerate(self.today) if value is not None)

    def usual(self, slot: int) -> tuple[float, float] | None:
        """The band of one quarter hour, from W in kW."""
        if self.band is None:
            return None
        low, high = self.band
        return low[slot] / 1000, high[slot] / 1000


def loads_of_today(figures: Figures, meter: str) -> DayLoads | None:
    """Today and its like days; None when nothing of today is known, or a quarter hour tells no power."""
    day = figures.today
    if figures.step_of(meter):
        return None
    mine = _powers(figures, meter, day)
    if all(value is None for value in mine):
        return None
    like = [_powers(figures, meter, each) for each in figures.like_days(day, _LIKE_DAYS, meter)]
    like = [each for each in like if all(value is not None for value in each)]
    band = None
    if len(like) >= _LIKE_DAYS:
        band = (
            _smooth([min(x) for x in zip(*like, strict=True)]),
            _smooth([max(x) for x in zip(*like, strict=True)]),
        )
    return DayLoads(mine, like, band)


def today_curve(
    figures: Figures, meter: str, loads: DayLoads | None, f: Locale, height: int = _CURVE_HEIGHT
) -> Picture | None:
    """Today's load over the band of its like days; None when nothing of today is known."""
    _ = f.gettext
    if loads is None:
        return None
    measure = measure_of(figures.quantity, f)
    mine = _in(measure, loads.today)
    band = loads.band and ([*map(measure.value, loads.band[0])], [*map(measure.value, loads.band[1])])
    lines = [] if band else [Curve(tuple(_in(measure, each)), "prev") for each in loads.like]
    lines.append(Curve(tuple(mine), "now"))
    newest = loads.newest
    power = mine[newest] or 0.0
    # A mean of the quarter hour that ended then: what is drawn now stands at the top of the page.
    hour, quarter = divmod(newest + 1, HOUR)
    told = measure.power(loads.today[newest] or 0.0, f)
    text = f"{hour:02}:{quarter * 15:02}: {told} {measure.rate}"
    ticks = [(hour / 24 * 100, f"{hour:02}") for hour in (0, 6, 12, 18, 24)]
    rows: list[tuple[str, ...]] = []
    fine, said = 1 + measure.more, {"unit": measure.rate}
    for hour in range(24):
        own = [value for value in mine[hour * HOUR : (hour + 1) * HOUR] if value is not None]
        cells = [f.number(sum(own) / len(own), fine) if own else ""]
        if band:
            low, high = (side[hour * HOUR : (hour + 1) * HOUR] for side in band)
            cells.append(f"{f.number(min(low), fine)}–{f.number(max(high), fine)}")
        rows.append((f"{hour:02}–{hour + 1:02}", *cells))
    heads = (_("Hour"), _("Today, %(unit)s") % said, *([_("Usual, %(unit)s") % said] if band else []))
    svg = charts.curves(
        lines,
        height=height,
        says=_("Today in %(unit)s over the band of like days") % said,
        number=measure.flows(f),
        ticks=ticks,
        band=band,
        dot=(newest / (DAY - 1) * 100, power, text),
        titles=titles_of(heads, rows),
    )
    notes = (_("Grey: the last four like days, from the lowest to the highest."),) if band else ()
    if not band and loads.like:
        notes = (_("Thin lines: like days; with four of them a band is drawn."),)
    comparison = _today_says(figures, meter, f)
    axis = _("%(unit)s, mean of a quarter hour") % said
    return Picture(comparison, svg, DataTable(heads, tuple(rows)), axis, notes)


def base_load_of(
    figures: Figures, meter: str, last: date | None = None
) -> tuple[building_load.BaseLoad | None, bool]:
    """The base load of a day that is over, of a meter or of the building, and whether it has risen: on a
    closed day, against the closed days before it. The day is `last`; else, or if that is not over, yesterday.
    """
    if figures.step_of(meter):
        return None, False
    yesterday = figures.today - timedelta(1)
    last = min(last or yesterday, yesterday)
    open_days = figures.facts.open_days

    def base_on(day: date, *, closed: bool) -> building_load.BaseLoad | None:
        values = figures.quarters(figures.of(meter, day, day))
        return building_load.base_load(values, figures.calendar, closed=closed)

    closed = building_load.is_closed(last, figures.calendar, open_days)
    base = base_on(last, closed=closed)
    if base is None or not closed:
        return base, False
    before = (last - timedelta(back) for back in range(_CLOSED_WITHIN, 0, -1))
    closed_days = (day for day in before if building_load.is_closed(day, figures.calendar, open_days))
    like = [base_on(day, closed=True) for day in closed_days]
    return base, building_load.has_risen(base.power, [each.power for each in like if each is not None])


def _in(measure: Measure, values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else measure.value(value) for value in values]


def _today_says(figures: Figures, meter: str, f: Locale) -> str:
    """Today beside its like days, as a heading."""
    _ = f.gettext
    compared = usual_today(figures, meter)
    if compared is None:
        return _("Today so far")
    if not compared.is_unusual:
        return _("Today is as usual until now")
    change = changed(compared.value, compared.mean, f)
    return _("Today until now: %(change)s usual") % {"change": change}


def usual_today(figures: Figures, meter: str) -> building_load.DayComparison | None:
    """Today so far beside its like days."""
    slots = _whole_slots(figures)
    if not slots:
        return None
    days = {}
    for day in (figures.today, *figures.like_days(figures.today, _LIKE_DAYS, meter)):
        by_slot = figures.slots(day, figures.of(meter, day, day).get(day, []))
        days[day] = {slot: value for slot, value in enumerate(by_slot) if value is not None}
    newest = max(days.get(figures.today, {0: 0}), default=0)
    return building_load.compare(
        figures.today, [slot for slot in slots if slot <= newest], days, figures.calendar
    )


def _whole_slots(figures: Figures) -> list[int]:
    """Quarter hours of today that are over."""
    quarters = figures.calendar.quarters(figures.today)
    return [figures.calendar.place(q)[1] for q in quarters if q + QUARTER <= figures.end]


def _slots(figures: Figures, meter: str, day: date) -> list[int | None]:
    """Each of the 96 quarter hours of a day by the clock on the wall."""
    return figures.slots(day, figures.of(meter, day, day).get(day, []))


def _powers(figures: Figures, meter: str, day: date) -> list[float | None]:
    """The same by the hour."""
    return [None if value is None else value * HOUR for value in _slots(figures, meter, day)]


def _smooth(values: Sequence[float | None]) -> list[float]:
    """Over three quarter hours."""
    plain = [value or 0.0 for value in values]
    return [sum(plain[max(0, k - 1) : k + 2]) / len(plain[max(0, k - 1) : k + 2]) for k in range(len(plain))]
