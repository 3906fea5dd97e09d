"""The month so far and where it is heading; the load of a week, hour by hour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import accumulate

from gateway.energy import DaySum, building_load
from gateway.status.energy import charts
from gateway.status.energy.charts import Curve
from gateway.status.energy.figures import Figures, by_day, total
from gateway.status.energy.period import Period, month_of
from gateway.status.energy.shown import (
    HOUR,
    DataTable,
    EnergyView,
    Measure,
    Picture,
    changed,
    measure_of,
    name_of,
    sum_in_short,
    titles_of,
)
from gateway.status.words.language import Locale

_CURVE_HEIGHT = 220
_LIKE_DAYS = 4
_HEAT_DAYS = 28


def month_so_far(figures: Figures, period: Period, meter: str, f: Locale) -> Picture | None:
    """The month so far, summed up, with where it is heading, beside the month before."""
    _ = f.gettext
    measure = measure_of(figures.quantity, f)
    forecast = month_forecast(figures, meter)
    if forecast is None:
        return None
    mine_sums = figures.sums_of(meter, period.first, figures.today)
    days, known = by_day(mine_sums), figures.known_of(mine_sums, period.first, figures.today)
    before = period.like
    old_sums = figures.sums_of(meter, before.first, before.last)
    old, old_sum = by_day(old_sums), total(old_sums.values())
    whole = figures.known_of(old_sums, before.first, before.last).whole
    mine = _summed_up(days, period.first, (figures.today - period.first).days + 1, measure)
    # Where days are missing every sum after them would be too small: it is not compared.
    compared = whole and old_sum > 0
    beside = [_summed_up(old, before.first, period.days, measure)] if compared else []
    padded: list[float | None] = [*mine, *([None] * (period.days - len(mine)))]
    lines = [
        *(Curve(tuple(each), "prev") for each in beside),
        *curve_ahead(mine, period.days, measure.value(forecast)),
        Curve(tuple(padded), "now"),
    ]
    ticks = [((day - 1) / (period.days - 1) * 100, str(day)) for day in (1, 10, 20, period.days)]
    at = (len(mine) - 1) / max(1, period.days - 1) * 100
    text = sum_in_short(measure.amount(total(mine_sums.values()), f), whole=known.whole)
    decimals = max(0, measure.more)
    rows = tuple(
        (
            f.short_day(period.first + timedelta(k)),
            f.number(mine[k], decimals) if k < len(mine) else "",
            *(f.number(each[k], decimals) for each in beside),
        )
        for k in range(period.days)
    )
    heads = (_("Day"), name_of(period, f), *(name_of(before, f) for _each in beside))
    svg = charts.curves(
        lines,
        height=_CURVE_HEIGHT,
        says=_("Since the beginning of the month in %(unit)s, and where it is heading")
        % {"unit": measure.unit},
        number=measure.amounts(f),
        ticks=ticks,
        dot=(at, mine[-1], text),
        titles=titles_of(heads, rows),
    )
    amount = f"{about(measure.value(forecast), decimals, f)} {measure.unit}"
    title = _("Heading for about %(amount)s at the end of the month") % {"amount": amount}
    if compared:
        # All of it, also the days that this month does not have.
        said = {"change": changed(forecast, old_sum, f), "before": name_of(before, f)}
        title += ", " + _("%(change)s %(before)s") % said
    axis = _("%(unit)s since the first of the month") % {"unit": measure.unit}
    return Picture(
        title,
        svg,
        DataTable(heads, tuple(row for row in rows if any(row[1:]))),
        axis,
        (*_run_notes(f, known=known.whole, compared=compared, lacking=old_sum > 0 and not whole),),
    )


def curve_ahead(sums: Sequence[float], days: int, end: float) -> list[Curve]:
    """The way from the newest sum of a month to what is expected at its end; none of one that is over."""
    left = days - len(sums)
    if not left:
        return []
    way: list[float | None] = [None] * (len(sums) - 1) + [sums[-1]]
    way += [sums[-1] + (end - sums[-1]) * number / left for number in range(1, left + 1)]
    return [Curve(tuple(way), "fc")]


def _run_notes(f: Locale, *, known: bool, compared: bool, lacking: bool) -> Iterator[str]:
    """What is said below it: all of this month so far may be `known`, the one before may be `compared`, or be
    `lacking` days.
    """
    _ = f.gettext
    dashed = _("Dashed: the days that are left, by the mean of their like days.")
    grey = _("Grey: the month before.")
    yield f"{dashed} {grey}" if compared else dashed
    if not known:
        yield _("Days of this month that are not known as a whole are expected like these.")
    if lacking:
        yield _("Data of the month before is missing: it is not compared.")


def _summed_up(days: Mapping[date, int], first: date, count: int, measure: Measure) -> list[float]:
    """In the measure's unit from a day on, after each of so many days."""
    sums = accumulate(days.get(first + timedelta(number), 0) for number in range(count))
    return [measure.value(each) for each in sums]


def month_forecast(figures: Figures, meter: str = "") -> float | None:
    """Wh of this month when its coming days, and what is not known of those before, are like those that are
    known as a whole, and are not suspect; None: there are too few of these.
    """
    period, since = month_of(figures.today), figures.today - timedelta(35)
    sums = figures.sums_of(meter, since, figures.today)
    suspect = figures.suspect_days(meter, since, figures.today)
    forecast = 0.0
    for number in range(period.days):
        day = period.first + timedelta(number)
        own = sums[day].sum if day in sums else 0
        if day in sums and sums[day].whole and day < figures.today:
            forecast += own
            continue
        kind = figures.calendar.kind(day)
        like = [
            one.sum
            for other, one in sums.items()
            if other < figures.today
            and one.whole
            and other not in suspect
            and figures.calendar.kind(other) == kind
        ]
        if len(like) < 2:
            return None
        forecast += max(own, sum(like[-_LIKE_DAYS:]) / len(like[-_LIKE_DAYS:]))
    return forecast


def about(value: float, most: int, f: Locale) -> str:
    """To three figures, with `most` decimals."""
    before = len(str(int(value)))
    return f.number(round(value, min(0, 3 - before)), min(most, max(0, 3 - before)))


def night_loads(view: EnergyView, figures: Figures, meter: str, f: Locale) -> None:
    """What runs at night and on closed days, meter by meter: mean powers of the last four weeks."""
    _ = f.gettext
    last = figures.today - timedelta(1)
    first = last - timedelta(_HEAT_DAYS - 1)
    own = [each for each in figures.facts.meters if each.id == meter and not each.generates]
    rows = [
        (each.label, *means)
        for each in (own if meter else figures.of_parts)
        if each not in figures.givers and (means := _means(figures, each.id, first, last))
    ]
    rows.sort(key=lambda row: -row[1])
    most = rows[0] if rows else None
    whole = None if meter else _means(figures, "", first, last)
    if whole is not None:
        rows.insert(0, (_("Building"), *whole))
    if not rows:
        return
    measure = measure_of(figures.quantity, f)
    said = {"kw": _flow(rows[0][1], measure, f)}
    text = _("On average %(kw)s kW run at night")
    if most and not meter:
        said |= {"meter": most[0], "its": _flow(most[1], measure, f)}
        text = _("On average %(kw)s kW run at night, the largest part of it %(meter)s with %(its)s kW")
        if whole is None:
            # Of the building nothing is known: one of its meters is no mean of it.
            text = _("Of the meters %(meter)s takes most at night: %(its)s kW on average")
    view.night_title = text % said
    if not figures.is_electricity:
        view.night_title = _("At night %(rate)s on average") % {"rate": f"{said['kw']} {measure.rate}"}
    heads = (_("Meter"), "00–05", _("closed days"), _("while open"))
    cells = tuple((name, *(_flow(value, measure, f) for value in values)) for name, *values in rows)
    view.night = DataTable(heads, cells)


def _means(figures: Figures, meter: str, first: date, last: date) -> tuple[float, float, float] | None:
    """Base units an hour from 00 to 05 of open days, on closed days, while the building is open; None: that
    is not known.
    """
    facts = figures.facts
    found = [[0, 0], [0, 0], [0, 0]]
    if facts.open_slots.start % HOUR or facts.open_slots.stop % HOUR:
        figures.of(meter, first, last)  # all at once: hours alone do not say what a part of one took
    for day, one in figures.sums_of(meter, first, last).items():
        if building_load.is_closed(day, figures.calendar, facts.open_days):
            parts = [(1, one.sum, one.intervals)]
        else:
            opened = range(max(facts.open_slots.start, building_load.NIGHT.stop), facts.open_slots.stop)
            parts = [
                (0, *_within(figures, meter, one, building_load.NIGHT)),
                (2, *_within(figures, meter, one, opened)),
            ]
        for place, value, known in parts:
            found[place][0] += value
            found[place][1] += known
    if not all(known for _, known in found):
        return None
    night, closed_days, while_open = (value / known * HOUR for value, known in found)
    return night, closed_days, while_open


def _within(figures: Figures, meter: str, one: DaySum, slots: range) -> tuple[int, int]:
    """Wh of some quarter hours of a day, by the clock on the wall, and how many of them are known."""
    hours = slice(slots.start // HOUR, slots.stop // HOUR)
    if slots.start % HOUR == 0 == slots.stop % HOUR:
        return sum(one.hours[hours]), sum(one.counts[hours])
    by_slot = figures.slots(one.day, figures.of(meter, one.day, one.day).get(one.day, []))
    known = [value for value in by_slot[slots.start : slots.stop] if value is not None]
    return sum(known), len(known)


def _flow(value: float, measure: Measure, f: Locale) -> str:
    return measure.flow(value, 0 if measure.value(value) >= 100 else 1, f)


def heat_map(view: EnergyView, figures: Figures, meter: str, f: Locale) -> None:
    """What flowed in the last four weeks in the mean, weekday by hour."""
    _ = f.gettext
    measure = measure_of(figures.quantity, f)
    last = figures.today - timedelta(1)
    week: list[list[tuple[int, int]]] = [[(0, 0)] * 24 for _weekday in range(7)]
    for day, one in figures.sums_of(meter, last - timedelta(_HEAT_DAYS - 1), last).items():
        hours = zip(week[day.weekday()], one.hours, one.counts, strict=True)
        week[day.weekday()] = [(taken + more, known + count) for (taken, known), more, count in hours]
    if sum(known > 0 for cells in week for _taken, known in cells) < 24:
        return
    rows = []
    for weekday, cells in enumerate(week):
        means = [measure.value(taken / known * HOUR) if known else None for taken, known in cells]
        rows.append((f.short_weekday(weekday), means))
    number, said = measure.flows(f), {"unit": measure.rate}
    svg, bounds = charts.heat(
        rows, says=_("Mean of the last four weeks, weekday by hour, %(unit)s") % said, number=number
    )
    decimals = 1 + measure.more
    # Hours below each other: seven days stand side by side on a phone, too.
    table = tuple(
        (
            f"{hour:02}",
            *("" if (value := means[hour]) is None else f.number(value, decimals) for _, means in rows),
        )
        for hour in range(24)
    )
    heads = (_("Hour"), *(name for name, _means in rows))
    title = _most_given if figures.is_given(meter) else _nights_and_days
    view.heat = Picture(
        title([means for _, means in rows], measure, f),
        svg,
        DataTable(heads, table),
        _("Mean of the last four weeks, %(unit)s") % said,
    )
    view.steps_of_heat = [
        (f"l{k}", f"{number(low)}–{number(high)}" if k < len(bounds) - 1 else f"{number(low)} +")
        for k, (low, high) in enumerate(bounds)
    ]


def _nights_and_days(week: Sequence[Sequence[float | None]], measure: Measure, f: Locale) -> str:
    """What is taken at night and on working days; `week`: of each weekday the mean of its hours."""
    number = measure.flows(f)
    weekdays = [value for means in week[:5] for value in means if value is not None]
    night = [value for means in week for value in means[:5] if value is not None]
    return f.gettext("Nights take %(night)s %(unit)s, working days up to %(day)s %(unit)s") % {
        "night": number(sum(night) / max(1, len(night))),
        "day": number(max(weekdays, default=0.0)),
        "unit": measure.rate,
    }


def _most_given(week: Sequence[Sequence[float | None]], measure: Measure, f: Locale) -> str:
    """The same of a plant, or of what is fed in: neither nights nor working days tell of the sun."""
    _ = f.gettext
    most, hour = max((value or 0.0, -hour) for means in week for hour, value in enumerate(means))
    if most <= 0:
        return _("It gave nothing in the last four weeks")
    return _("Gives up to %(most)s %(unit)s, the most at %(hours)s") % {
        "most": measure.flows(f)(most),
        "unit": measure.rate,
        "hours": f"{-hour:02}–{-hour + 1:02}",
    }
