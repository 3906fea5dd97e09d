"""The bars of a period: one for each quarter hour, hour, day, month or year, in the bands of the tariff."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

from gateway.energy import BuildingSeries
from gateway.status.energy import charts
from gateway.status.energy.charts import Bar
from gateway.status.energy.figures import Figures, SumsByDay, ValuesByDay
from gateway.status.energy.period import LONG, Period, year_before
from gateway.status.energy.quality import unmeasured_days
from gateway.status.energy.shown import (
    HOUR,
    KWH,
    Band,
    DataTable,
    EnergyView,
    Measure,
    Picture,
    bar_head,
    bar_name,
    measure_of,
    name_of,
    shared_out,
    sum_in_short,
    tick,
    unit,
)
from gateway.status.energy.today import holidays_beside
from gateway.status.words.language import Locale

DAY = 96
_BAR_HEIGHT = 300
_MOST_LINES = 120
_FOUR_WEEKS = 28
_WHOLE = 100_000
"""Wh from which on a sum has no decimals."""
_PER_CENT, _FINE = 100, 1000
CSS_OF_BAND = {"t1": "f1", "t2": "f2", "t3": "f3"}
_ORDER = ("t3", "t1", "t2")
"""From below: night, day, peak."""


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


def bars_of_meter(figures: Figures, period: Period, meter: str) -> BarSums:
    """The bars of the building, or of one meter, of which anything is known."""
    last = min(period.last, figures.today)
    if period.step == "quarter":
        return _of_quarters(figures, figures.of(meter, period.first, last))
    return grouped(figures, period, figures.sums_of(meter, period.first, last))


def bars_of_series(figures: Figures, period: Period, series: BuildingSeries) -> BarSums:
    """The bars of a series of the building."""
    last = min(period.last, figures.today)
    if period.step == "quarter":
        return _of_quarters(figures, figures.series(series, period.first, last))
    return grouped(figures, period, figures.series_sums(series, period.first, last))


def grouped(figures: Figures, period: Period, days: SumsByDay) -> BarSums:
    """Daily sums as bars of hours, days, months or years."""
    found: BarSums = {}
    longer: dict[date, SumsByDay] = {}
    for day, one in days.items():
        if period.step == "hour":
            names = figures.band_hours(day)
            for hour, (value, known) in enumerate(zip(one.hours, one.counts, strict=True)):
                if known:
                    found[day, hour] = BarSum({names[hour]: value}, known)
        elif period.step == "day":
            found[day, 0] = BarSum(figures.bands({day: one}), one.intervals)
        else:
            longer.setdefault(period.bar_of(day), {})[day] = one
    for first, held in longer.items():
        found[first, 0] = BarSum(figures.bands(held), sum(one.intervals for one in held.values()))
    return found


def _of_quarters(figures: Figures, days: ValuesByDay) -> BarSums:
    found: BarSums = {}
    for day, values in days.items():
        names = figures.band_hours(day)
        for slot, value in enumerate(figures.slots(day, values)):
            if value is not None:
                found[day, slot] = BarSum({names[slot // HOUR]: value}, 1)
    return found


def bars_of(period: Period) -> list[tuple[date, int]]:
    """Every bar of a period."""
    days = [period.first + timedelta(number) for number in range(period.days)]
    match period.step:
        case "quarter":
            return [(day, slot) for day in days for slot in range(DAY)]
        case "hour":
            return [(day, hour) for day in days for hour in range(24)]
        case "day" | "month" | "year":
            return list(dict.fromkeys((period.bar_of(day), 0) for day in days))


def main_picture(figures: Figures, period: Period, meter: str, f: Locale) -> Picture:
    """The bars with what they are compared with, and their table."""
    _ = f.gettext
    measure = measure_of(figures.quantity, f)
    groups = bars_of_meter(figures, period, meter)
    began, notes = _began(figures, period, meter), _what_is_missing(figures, period, meter, f)
    figures.forget_years(period)
    keys = bars_of(period)
    before, beside_of = _compared_bars(figures, period, meter, keys)
    figures.forget_years(period)
    marked = unmeasured_days(figures, period, meter, f)
    lacking = {key for key in keys if _known(groups, key) < quarters_due(figures, period, key)}
    columns, rows = [], []
    names = band_names(figures, period.first, f)
    for key in keys:
        mine = groups.get(key)
        parts = mine.bands if mine else {}
        label = bar_name(period, key, f)
        beside = beside_of.get(key)
        doubt = marked.get(key[0], "") if mine is not None else ""
        gone = key in lacking and key[0] >= began
        columns.append(
            Bar(
                _stacked(parts, names, label, measure, f),
                None if beside is None else measure.value(beside),
                _("compared: %(amount)s") % {"amount": f"{measure.amount(beside, f)} {measure.unit}"}
                if beside is not None
                else "",
                tick(period, key, f),
                "q2" if gone else "w0" if doubt else "",
            )
        )
        if mine or gone:
            cells = [measure.amount(parts[name], f) if name in parts else "" for name in sorted(names)]
            cells.append(measure.amount(mine.total, f) if mine else "")
            compared = measure.amount(beside, f) if beside is not None else ""
            said = _of_bar(known=mine is not None, lacking=key in lacking, doubt=doubt, f=f)
            rows.append((label, *cells, compared, said if marked or lacking else ""))
    bands = (names[name] for name in sorted(names))
    sum_head, beside_head = (
        text % {"unit": measure.unit} for text in (_("Sum, %(unit)s"), _("Compared, %(unit)s"))
    )
    heads = (bar_head(period, f), *bands, sum_head, beside_head, _("Quality"))
    table = _without_empty(DataTable(heads, tuple(rows))) if rows else DataTable(heads, ())
    if period.step == "hour" and period.days > 1:
        sums = {key: mine.total for key, mine in groups.items()}
        lacks = {day for day, _hour in lacking}
        table = hours_table(period, [("", sums)], f, marked, lacks, measure=measure)
    says = f.ngettext(
        "%(period)s in %(unit)s, %(n)s bar", "%(period)s in %(unit)s, %(n)s bars", len(keys)
    ) % {"period": name_of(period, f), "unit": measure.unit, "n": len(keys)}
    svg = charts.bars(columns, height=_BAR_HEIGHT, says=says, number=measure.amounts(f))
    if before:
        days = () if period.step in LONG else {key[0] for key in beside_of}
        said = _("Short line: %(what)s.") % {"what": before_name(period, f)}
        notes[:0] = [" ".join([said, *holidays_beside(figures, days, _FOUR_WEEKS, f)])]
    axis = unit(period, f, measure.unit)
    return Picture("", svg, table, axis, (*notes, *_signs(columns, marked, f)))


def _known(groups: BarSums, key: tuple[date, int]) -> int:
    return groups[key].known if key in groups else 0


def _of_bar(*, known: bool, lacking: bool, doubt: str, f: Locale) -> str:
    """How far a bar can be trusted, in words."""
    _ = f.gettext
    if lacking:
        return _("incomplete") if known else _("missing")
    return doubt or _("measured")


def _signs(columns: Sequence[Bar], marked: Mapping[date, str], f: Locale) -> Iterator[str]:
    """What the signs above the bars mean; so many bars have none."""
    _ = f.gettext
    suspect = _("partly suspect") in marked.values()
    if len(columns) > _MOST_LINES:
        if suspect:
            yield _("A part of it is estimated or suspect. The table says which.")
        elif marked:
            yield _("A part of it is estimated; the sum is exact. The table says which.")
        return
    signs = {bar.sign for bar in columns}
    if "q2" in signs:
        yield _("A ring above a bar: data is missing there.")
    if "w0" in signs and suspect:
        yield _("A dot above a bar: a part of it is estimated or suspect. The table says which.")
    elif "w0" in signs:
        yield _("A dot above a bar: a part of it is estimated; the sum is exact.")


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


def _began(figures: Figures, period: Period, meter: str) -> date:
    """The first day of the period of which every quarter hour should be known: not the day on which measuring
    began.
    """
    known = figures.sums_of(meter, period.first, min(period.last, figures.today))
    first = min(known, default=period.first)
    if first > period.first or (first in known and not known[first].whole):
        before = figures.sums_of(meter, period.first - timedelta(_FOUR_WEEKS), period.first - timedelta(1))
        return period.first if before else first + timedelta(1)
    return period.first


def _what_is_missing(figures: Figures, period: Period, meter: str, f: Locale) -> list[str]:
    """What the sum of the period does not have in it."""
    _ = f.gettext
    last = min(period.last, figures.today)
    known, began = figures.sums_of(meter, period.first, last), _began(figures, period, meter)
    days = (began + timedelta(number) for number in range((last - began).days + 1))
    missing = sum(not figures.is_whole(known, day) for day in days)
    found = []
    if missing:
        text = f.ngettext(
            "Data is missing on %(n)s day: it is not in the sum.",
            "Data is missing on %(n)s days: it is not in the sum.",
            missing,
        )
        found.append(text % {"n": missing})
    if began > period.first:
        found.append(_("Measuring began on %(day)s.") % {"day": f.day(began - timedelta(1), year=True)})
    return found


def _without_empty(table: DataTable) -> DataTable:
    """Without columns that say nothing."""
    columns = zip(table.heads, *table.rows, strict=True)
    heads, *rows = zip(*(column for column in columns if any(column[1:])), strict=True)
    return DataTable(heads, tuple(rows))


def hours_table(
    period: Period,
    parts: Sequence[tuple[str, WhByBar]],
    f: Locale,
    marked: Mapping[date, str] = MappingProxyType({}),
    lacking: Collection[date] = (),
    *,
    measure: Measure = KWH,
) -> DataTable:
    """Hours of several days: a line for a day and part (its name, base units by bar), a column for each
    hour; days that are estimated or suspect in part are `marked`, others are `lacking` an hour or more.
    """
    _ = f.gettext
    rows = []
    for day in dict.fromkeys(day for day, _hour in bars_of(period)):
        for name, sums in parts:
            mine = [sums.get((day, hour)) for hour in range(24)]
            if any(value is not None for value in mine):
                when = f"{f.short_day(day)} {f.short_weekday(day.weekday())}"
                said = (when, name, _("incomplete") if day in lacking else marked.get(day, ""))
                cells = ["" if value is None else measure.amount(value, f) for value in mine]
                total = measure.amount(sum(value or 0 for value in mine), f)
                rows.append((", ".join(part for part in said if part), total, *cells))
    sum_head = _("Sum, %(unit)s") % {"unit": measure.unit}
    return DataTable((_("Day"), sum_head, *(f"{hour:02}" for hour in range(24))), tuple(rows))


def _stacked(
    parts: Mapping[str, int], names: Mapping[str, str], label: str, measure: Measure, f: Locale
) -> tuple[tuple[str, float, str], ...]:
    """The bands of a bar from below: colour, amount, and what a tooltip says."""
    order = (*_ORDER, *(each for each in parts if each not in _ORDER))
    return tuple(
        (
            CSS_OF_BAND.get(name, "fa"),
            measure.value(parts[name]),
            f"{label}: {names.get(name, '')} {measure.amount(parts[name], f)} {measure.unit}",
        )
        for name in order
        if name in parts
    )


def _compared_bars(
    figures: Figures, period: Period, meter: str, keys: list[tuple[date, int]]
) -> tuple[bool, dict[tuple[date, int], int]]:
    """Base units that each bar is beside: of the weekday four weeks before, of a month or a year that of the
    year before, as far as the period has it.
    """
    if len(keys) > _MOST_LINES:
        return False, {}
    if period.step in LONG:
        shifted = {key: (year_before(key[0]), 0) for key in keys}
        first, last = year_before(period.first), min(year_before(period.last), figures.today)
    else:
        back = timedelta(_FOUR_WEEKS)
        shifted = {key: (key[0] - back, key[1]) for key in keys}
        first, last = period.first - back, min(period.last - back, figures.today - timedelta(1))
    if last < first:
        return False, {}
    those = Period("range", first, last, period.step)
    other = bars_of_meter(figures, those, meter)
    found = {}
    for key, place in shifted.items():
        # Beside what is not known as a whole nothing can be compared.
        if place in other and other[place].known >= quarters_due(figures, those, place):
            found[key] = other[place].total
    return bool(found), found


def before_name(period: Period, f: Locale) -> str:
    """What the short line across each bar is."""
    _ = f.gettext
    if period.step == "year":
        return _("the year before it")
    if period.step == "month":
        return _("the same month a year before")
    return _("the same weekday four weeks before")


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


def band_sums(view: EnergyView, figures: Figures, period: Period, days: SumsByDay, f: Locale) -> None:
    """What each band of the tariff took, with its share."""
    _ = f.gettext
    names = band_names(figures, period.first, f)
    if len(names) < 2:
        return
    parts = figures.bands(days)
    total = sum(parts.values()) or 1
    whole = figures.known_of(days, period.first, period.last).whole
    # With as many digits as their sum has at the top of the page.
    decimals = 0 if abs(total) >= _WHOLE else 1
    shown = dict(zip(parts, shared_out([*parts.values()], 10 ** (3 - decimals)), strict=True))
    shares = [round(part * _PER_CENT * _FINE / total) for part in parts.values()]
    percents = dict(zip(parts, shared_out(shares, _FINE), strict=True))
    for name in ("t2", "t1", "t3", *(each for each in parts if each not in CSS_OF_BAND)):
        if name in parts:
            hours = _hours(figures, period.first, name)
            share = percents[name] / _FINE / _PER_CENT
            text = _("%(share)s of all") % {"share": f.of_whole(share)}
            amount = sum_in_short(f.number(shown[name] / 1000, decimals), whole=whole)
            view.bands.append(
                Band(CSS_OF_BAND.get(name, "fa"), f"{names[name]} {hours}".strip(), amount, text)
            )
    source = figures.tariff_source(period.first)
    view.source = _("Hours of the tariff: %(source)s.") % {"source": source} if source else ""
