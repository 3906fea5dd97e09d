"""The bars of a period: one for each quarter hour, hour, day or month, stacked by band of the tariff."""

from __future__ import annotations

from datetime import date, timedelta

from gateway.status.energy import charts
from gateway.status.energy.charts import Bar, Numbers
from gateway.status.energy.figures import DayValues, Figures
from gateway.status.energy.period import Period, Step
from gateway.status.energy.shown import HOUR, Band, DataTable, EnergyView, Picture, kwh, name_of
from gateway.status.words.language import Locale

DAY = 96
_BAR_HEIGHT = 300
_MOST_LINES = 120
_FOUR_WEEKS = 28
_LAST = 2
"""Days at the end of a period that have no room for a label."""
CSS_OF_BAND = {"t1": "f1", "t2": "f2", "t3": "f3"}
_ORDER = ("t3", "t1", "t2")
"""From below: night, day, peak."""


def grouped(figures: Figures, period: Period, days: DayValues) -> dict[tuple[date, int], DayValues]:
    """The quarter hours of each bar: keyed by its day (a month's first), and its slot in the day."""
    found: dict[tuple[date, int], DayValues] = {}
    for day, values in days.items():
        match period.step:
            case "day":
                found[day, 0] = {day: values}
            case "month":
                found.setdefault((day.replace(day=1), 0), {})[day] = values
            case _:
                wide = 1 if period.step == "quarter" else HOUR
                by_slot = figures.slots(day, values)
                for slot in range(0, DAY, wide):
                    mine = by_slot[slot : slot + wide]
                    if any(value is not None for value in mine):
                        rest = DAY - slot - wide
                        found[day, slot // wide] = {day: [*([None] * slot), *mine, *([None] * rest)]}
    return found


def bars_of(period: Period) -> list[tuple[date, int]]:
    """Every bar of a period."""
    days = [period.first + timedelta(number) for number in range(period.days)]
    match period.step:
        case "quarter":
            return [(day, slot) for day in days for slot in range(DAY)]
        case "hour":
            return [(day, hour) for day in days for hour in range(24)]
        case "day":
            return [(day, 0) for day in days]
        case "month":
            return list(dict.fromkeys((day.replace(day=1), 0) for day in days))


def main_picture(figures: Figures, period: Period, meter: str, values: DayValues, f: Locale) -> Picture:
    """The bars with what they are compared with, and their table."""
    _ = f.gettext
    groups = grouped(figures, period, values)
    keys = bars_of(period)
    before, beside_of = _compared_bars(figures, period, meter, keys)
    letters = estimated_days(figures, period, meter)
    columns, rows = [], []
    names = band_names(figures, period.first, f)
    for place, key in enumerate(keys):
        mine = groups.get(key, {})
        parts = figures.bands(mine)
        label = bar_name(period, key, f)
        beside = beside_of.get(key)
        drawn = tuple(
            (
                CSS_OF_BAND.get(name, "fa"),
                parts[name] / 1000,
                f"{label}: {names.get(name, '')} {kwh(parts[name], f)} kWh",
            )
            for name in (*_ORDER, *(each for each in parts if each not in _ORDER))
            if name in parts
        )
        estimated = not letters.isdisjoint(mine)
        columns.append(
            Bar(
                drawn if mine else (),
                beside,
                _("compared: %(kwh)s kWh") % {"kwh": kwh(beside * 1000, f)} if beside is not None else "",
                tick(period, key, place, f),
                estimated,
            )
        )
        if mine:
            cells = [kwh(parts[name], f) for name in sorted(parts) if name]
            total = figures.total(mine)
            quality = _("partly estimated, total exact") if estimated else _("measured")
            rows.append(
                (label, *cells, kwh(total, f), kwh(beside * 1000, f) if beside is not None else "", quality)
            )
    heads = (
        _("Time"),
        *(names[name] for name in sorted(names) if name),
        _("Sum, kWh"),
        _("Compared, kWh"),
        _("Quality"),
    )
    number = Numbers(f.number, "kWh")
    says = _("Energy of %(period)s in kWh, %(n)s bars") % {"period": name_of(period, f), "n": len(keys)}
    svg = charts.bars(columns, height=_BAR_HEIGHT, says=says, number=number)
    notes = []
    if before:
        notes.append(_("Short line: %(what)s.") % {"what": before_name(period, f)})
    if letters:
        notes.append(_("A dot above a bar: a part of it is estimated; the sum is exact."))
    return Picture("", svg, DataTable(heads, tuple(rows)), unit(period, f), tuple(notes))


def _compared_bars(
    figures: Figures, period: Period, meter: str, keys: list[tuple[date, int]]
) -> tuple[bool, dict[tuple[date, int], float]]:
    """KWh that each bar is compared with: the same weekday four weeks before, a month a year before."""
    if len(keys) > _MOST_LINES:
        return False, {}
    if period.step == "month":
        shifted = {key: (key[0].replace(year=key[0].year - 1), 0) for key in keys}
    else:
        shifted = {key: (key[0] - timedelta(_FOUR_WEEKS), key[1]) for key in keys}
    days = [day for day, _ in shifted.values()]
    last = min(max(days), figures.today - timedelta(1))
    if period.step == "month":
        last = min(max(days) + timedelta(30), figures.today)
    other = grouped(figures, period, figures.of(meter, min(days), last))
    found = {key: figures.total(other[place]) / 1000 for key, place in shifted.items() if place in other}
    return bool(found), found


def before_name(period: Period, f: Locale) -> str:
    """What the short line across each bar is."""
    _ = f.gettext
    if period.step == "month":
        return _("the same month a year before")
    return _("the same weekday four weeks before")


def estimated_days(figures: Figures, period: Period, meter: str) -> set[date]:
    """Days with a quarter hour that was not measured, of the building's registers or of the meter."""
    last = min(period.last, figures.today)
    meters = [each for each in figures.facts.meters if each.id == meter] if meter else figures.facts.roots
    found: set[date] = set()
    for each in meters:
        if name := figures.counter(each):
            letters = figures.letters(each.id, name, period.first, last)
            found |= {day for day, said in letters.items() if {"e", "s"} & {*said}}
    return found


def band_names(figures: Figures, day: date, f: Locale) -> dict[str, str]:
    """The names of the tariff's bands."""
    _ = f.gettext
    tariff = figures.tariff(day)
    words = {"t1": _("daytime"), "t2": _("peak"), "t3": _("night"), "t0": _("all day")}
    return {name: words.get(name, name) for name in tariff.names} if tariff else {}


def _hours(figures: Figures, day: date, name: str) -> str:
    """The hours of a band: 06–17; 22–06 over midnight."""
    tariff = figures.tariff(day)
    if tariff is None or all(band == name for band in tariff.bands):
        return ""
    mine = [hour for hour in range(24) if tariff.bands[hour] == name]
    first = next(hour for hour in mine if tariff.bands[(hour - 1) % 24] != name)
    last = next(hour for hour in mine if tariff.bands[(hour + 1) % 24] != name)
    return f"{first:02}–{(last + 1) % 24:02}"


def band_sums(view: EnergyView, figures: Figures, period: Period, values: DayValues, f: Locale) -> None:
    """What each band of the tariff took, with its share."""
    _ = f.gettext
    names = band_names(figures, period.first, f)
    if len(names) < 2:
        return
    parts = figures.bands(values)
    total = sum(parts.values()) or 1
    for name in ("t2", "t1", "t3", *(each for each in parts if each not in CSS_OF_BAND)):
        if name in parts:
            hours = _hours(figures, period.first, name)
            text = _("%(share)s of all") % {"share": f.percent(parts[name] / total)}
            view.bands.append(
                Band(CSS_OF_BAND.get(name, "fa"), f"{names[name]} {hours}".strip(), kwh(parts[name], f), text)
            )
    source = figures.tariff_source(period.first)
    view.source = _("Hours of the tariff: %(source)s.") % {"source": source} if source else ""


def bar_name(period: Period, key: tuple[date, int], f: Locale) -> str:
    """What a bar is called in titles and tables."""
    day, slot = key
    match period.step:
        case "quarter":
            return f"{slot // 4:02}:{slot % 4 * 15:02}"
        case "hour":
            hours = f"{slot:02}–{slot + 1:02}"
            return hours if period.span == "day" else f"{f.day(day)} {hours}"
        case "day":
            return f.day(day)
        case _:
            return f.month(day)


def tick(period: Period, key: tuple[date, int], place: int, f: Locale) -> str:
    """The label below a bar; most have none."""
    day, slot = key
    match (period.step, period.span):
        case ("quarter", _):
            return f"{slot // 4:02}" if slot % 24 == 0 else ""
        case ("hour", "day"):
            return f"{slot:02}" if slot % 6 == 0 else ""
        case ("hour", "week"):
            return f.short_weekday(day.weekday()) if slot == 0 else ""
        case ("hour", _):
            return str(day.day) if slot == 0 and day.weekday() == 0 else ""
        case ("day", "week"):
            return f.short_weekday(day.weekday())
        case ("day", "year"):
            return f.month(day, year=False)[:3] if day.day == 1 else ""
        case ("day", _):
            if day.weekday() or (period.last - day).days < _LAST:
                return ""
            return f"{day.day} {f.short_weekday(0)}"
        case _:
            return f.month(day, year=False)[:3] if place % 1 == 0 else ""


def unit(period: Period, f: Locale) -> str:
    """What the axis counts."""
    _ = f.gettext
    words: dict[Step, str] = {
        "quarter": _("kWh in a quarter hour"),
        "hour": _("kWh in an hour"),
        "day": _("kWh in a day"),
        "month": _("kWh in a month"),
    }
    return words[period.step]
