"""The month so far and where it is heading; the load of a week, hour by hour."""

from __future__ import annotations

from datetime import date, timedelta

from gateway.energy import load
from gateway.status.energy import charts
from gateway.status.energy.charts import Curve, Numbers
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import Period, month_of
from gateway.status.energy.shown import HOUR, DataTable, EnergyView, Picture, changed, kwh, name_of
from gateway.status.words.language import Locale

_CURVE_HEIGHT = 220
_LIKE_DAYS = 4
_HEAT_DAYS = 28


def month_so_far(figures: Figures, period: Period, meter: str, f: Locale) -> Picture | None:
    """The month so far, summed up, with where it is heading, beside the month before."""
    _ = f.gettext
    forecast = month_forecast(figures, meter)
    if forecast is None:
        return None
    days = figures.by_day(figures.of(meter, period.first, figures.today))
    before = period.like
    old = figures.by_day(figures.of(meter, before.first, before.last))
    mine, sums, running = [], [], 0.0
    for number in range(period.days):
        day = period.first + timedelta(number)
        if day <= figures.today:
            running += days.get(day, 0) / 1000
            mine.append(running)
        sums.append(running)
    other, run = [], 0.0
    for number in range(period.days):
        run += old.get(before.first + timedelta(number), 0) / 1000
        other.append(run)
    ahead: list[float | None] = [None] * (len(mine) - 1) + [mine[-1]]
    left = period.days - len(mine)
    ahead += [mine[-1] + (forecast / 1000 - mine[-1]) * number / left for number in range(1, left + 1)]
    padded: list[float | None] = [*mine, *([None] * left)]
    lines = [Curve(tuple(other), "prev"), Curve(tuple(ahead), "fc"), Curve(tuple(padded), "now")]
    ticks = [
        (0.0, "1"),
        ((9 / (period.days - 1)) * 100, "10"),
        ((19 / (period.days - 1)) * 100, "20"),
        (100.0, str(period.days)),
    ]
    at = (len(mine) - 1) / max(1, period.days - 1) * 100
    text = kwh(mine[-1] * 1000, f)
    svg = charts.curves(
        lines,
        height=_CURVE_HEIGHT,
        says=_("Energy since the beginning of the month in kWh, and where it is heading"),
        number=Numbers(f.number, "kWh"),
        ticks=ticks,
        dot=(at, mine[-1], text),
    )
    rows = tuple(
        (
            f.short_day(period.first + timedelta(k)),
            f.number(mine[k], 0) if k < len(mine) else "",
            f.number(other[k], 0),
        )
        for k in range(period.days)
    )
    heads = (_("Day"), name_of(period, f), name_of(before, f))
    title = _("Heading for about %(kwh)s kWh at the end of the month") % {"kwh": _about(forecast, f)}
    if other[-1] > 0:
        said = {"change": changed(forecast, other[-1] * 1000, f), "before": name_of(before, f)}
        title += ", " + _("%(change)s %(before)s") % said
    note = _("Dashed: the days that are left, by the mean of their like days. Grey: the month before.")
    return Picture(title, svg, DataTable(heads, rows), _("kWh since the first of the month"), (note,))


def month_forecast(figures: Figures, meter: str = "") -> float | None:
    """Wh of this month when its coming days are like those before; None: too few like days are known."""
    period = month_of(figures.today)
    days = figures.by_day(figures.of(meter, figures.today - timedelta(35), figures.today))
    so_far = sum(value for day, value in days.items() if day >= period.first)
    total = float(so_far)
    today = days.get(figures.today, 0)
    for number in range((period.last - figures.today).days + 1):
        day = figures.today + timedelta(number)
        like = [
            value
            for other, value in days.items()
            if other < figures.today and figures.calendar.kind(other) == figures.calendar.kind(day)
        ]
        if len(like) < 2:
            return None
        mean = sum(like[-_LIKE_DAYS:]) / len(like[-_LIKE_DAYS:])
        total += max(0.0, mean - today) if day == figures.today else mean
    return total


def _about(wh: float, f: Locale) -> str:
    """To three figures."""
    value = wh / 1000
    digits = max(0, len(str(int(value))) - 3)
    return f.number(round(value, -digits), 0)


def night_loads(view: EnergyView, figures: Figures, meter: str, f: Locale) -> None:
    """What runs at night and on closed days, meter by meter: mean powers of the last four weeks."""
    _ = f.gettext
    last = figures.today - timedelta(1)
    first = last - timedelta(_HEAT_DAYS - 1)
    facts = figures.facts
    shown = [each for each in facts.meters if each.id == meter or (not meter and each.parent)]
    rows = [
        (each.label, *means)
        for each in shown
        if not each.generates and (means := _means(figures, each.id, first, last))
    ]
    rows.sort(key=lambda row: -row[1])
    if not rows:
        return
    most = rows[0]
    whole = None if meter else _means(figures, "", first, last)
    if whole is not None:
        rows.insert(0, (_("Building"), *whole))
    said = {"kw": _kw(rows[0][1], f), "meter": most[0], "its": _kw(most[1], f)}
    text = _("At night %(kw)s kW run, most of it %(meter)s with %(its)s kW")
    view.night_title = (_("At night %(kw)s kW run") if meter else text) % said
    heads = (_("Meter"), "00–05", _("closed days"), _("while open"))
    cells = tuple((name, *(_kw(value, f) for value in values)) for name, *values in rows)
    view.night = DataTable(heads, cells)


def _means(figures: Figures, meter: str, first: date, last: date) -> tuple[float, float, float] | None:
    """Mean kW from 00 to 05 of open days, of closed days, and while the building is open; None: not known."""
    facts = figures.facts
    sums: list[list[int]] = [[], [], []]
    for day, values in figures.of(meter, first, last).items():
        closed = load.is_closed(day, figures.calendar, facts.open_days)
        for slot, value in enumerate(figures.slots(day, values)):
            if value is None:
                continue
            if closed:
                sums[1].append(value)
            elif slot in load.NIGHT:
                sums[0].append(value)
            elif slot in facts.open_slots:
                sums[2].append(value)
    if not all(sums):
        return None
    night, closed_days, opened = (sum(each) / len(each) * HOUR / 1000 for each in sums)
    return night, closed_days, opened


def _kw(value: float, f: Locale) -> str:
    return f.number(value, 0 if value >= 100 else 1)


def heat_map(view: EnergyView, figures: Figures, meter: str, f: Locale) -> None:
    """The mean power of the last four weeks, weekday by hour."""
    _ = f.gettext
    last = figures.today - timedelta(1)
    values = figures.of(meter, last - timedelta(_HEAT_DAYS - 1), last)
    sums: dict[tuple[int, int], list[int]] = {}
    for day, by_quarter in values.items():
        for slot, value in enumerate(figures.slots(day, by_quarter)):
            if value is not None:
                sums.setdefault((day.weekday(), slot // HOUR), []).append(value)
    if len(sums) < 24:
        return
    rows = []
    for weekday in range(7):
        cells = [sums.get((weekday, hour)) for hour in range(24)]
        means = [sum(each) / len(each) * HOUR / 1000 if each else None for each in cells]
        rows.append((f.short_weekday(weekday), means))
    number = Numbers(f.number, "kW")
    svg, bounds = charts.heat(
        rows, says=_("Mean power of the last four weeks, weekday by hour, kW"), number=number
    )
    table = tuple(
        (f.weekday(day), *(f.number(value, 1) if value is not None else "" for value in cells))
        for day, (_name, cells) in enumerate(rows)
    )
    heads = (_("Weekday"), *(f"{hour:02}" for hour in range(24)))
    weekdays = [value for _, cells in rows[:5] for value in cells if value is not None]
    night = [value for _, cells in rows for value in cells[:5] if value is not None]
    title = _("Nights take %(night)s kW, working days up to %(day)s kW") % {
        "night": f.number(sum(night) / max(1, len(night)), 0),
        "day": f.number(max(weekdays, default=0.0), 0),
    }
    view.heat = Picture(title, svg, DataTable(heads, table), _("Mean power of the last four weeks, kW"))
    view.steps_of_heat = [
        (
            f"l{k}",
            f"{f.number(low, 0)}–{f.number(high, 0)}" if k < len(bounds) - 1 else f"{f.number(low, 0)} +",
        )
        for k, (low, high) in enumerate(bounds)
    ]
