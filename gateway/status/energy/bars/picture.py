"""The picture of a period: its bars with what they are compared with, and their table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType

from gateway.status.energy import charts
from gateway.status.energy.bars.bands import CSS_OF_BAND, band_names
from gateway.status.energy.bars.sums import BarSums, WhByBar, bars_of, bars_of_meter, quarters_due
from gateway.status.energy.charts import Bar
from gateway.status.energy.figures import Figures
from gateway.status.energy.letters import quality_words, unmeasured_bars
from gateway.status.energy.period import LONG, Period, year_before
from gateway.status.energy.shown import (
    KWH,
    DataTable,
    Measure,
    Picture,
    bar_head,
    bar_name,
    measure_of,
    name_of,
    tick,
    unit,
)
from gateway.status.energy.today import holidays_beside
from gateway.status.words.language import Locale

_BAR_HEIGHT = 300
_MOST_LINES = 120
_FOUR_WEEKS = 28
_ORDER = ("t3", "t1", "t2")
"""From below: night, day, peak."""


def main_picture(figures: Figures, period: Period, meter: str, f: Locale) -> Picture:
    """The bars with what they are compared with, and their table."""
    _ = f.gettext
    measure = measure_of(figures.quantity, f)
    groups = bars_of_meter(figures, period, meter)
    began, notes = _began(figures, period, meter), _what_is_missing(figures, period, meter, f)
    figures.forget_years(period, meter)
    keys = bars_of(period)
    before, beside_of = _compared_bars(figures, period, meter, keys)
    figures.forget_years(period, meter)
    marked = unmeasured_bars(figures, period, meter)
    lacking = {key for key in keys if _known(groups, key) < quarters_due(figures, period, key)}
    columns, rows, by_hours = [], [], period.step == "hour" and period.days > 1
    names = band_names(figures, period.first, f)
    for key in keys:
        mine = groups.get(key)
        parts = mine.bands if mine else {}
        label = bar_name(period, key, f)
        beside = beside_of.get(key)
        doubt = marked.get(key, "") if mine is not None else ""
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
        if (mine or gone) and not by_hours:
            cells = [measure.amount(parts[name], f) if name in parts else "" for name in sorted(names)]
            cells.append(measure.amount(mine.total, f) if mine else "")
            compared = measure.amount(beside, f) if beside is not None else ""
            said = _of_bar(known=mine is not None, lacking=key in lacking, doubt=doubt, f=f)
            rows.append((label, *cells, compared, said if marked or lacking else ""))
    if by_hours:
        sums = {key: mine.total for key, mine in groups.items()}
        lacks = {day for day, _hour in lacking}
        table = hours_table(period, [("", sums)], f, _by_day(marked), lacks, measure=measure)
    else:
        bands = (names[name] for name in sorted(names))
        sum_head, beside_head = (
            text % {"unit": measure.unit} for text in (_("Sum, %(unit)s"), _("Compared, %(unit)s"))
        )
        heads = (bar_head(period, f), *bands, sum_head, beside_head, _("Quality"))
        table = _without_empty(DataTable(heads, tuple(rows))) if rows else DataTable(heads, ())
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
    """How far a bar can be trusted, in words; `doubt`: its letters where not all of it was measured."""
    if lacking:
        return f.gettext("incomplete") if known else f.gettext("missing")
    return quality_words(doubt, complete=True, f=f)


def _by_day(letters: Mapping[tuple[date, int], str]) -> dict[date, str]:
    found: dict[date, str] = {}
    for (day, _slot), its in letters.items():
        found[day] = found.get(day, "m") + its  # no day is all of what its marked hours are
    return found


def _signs(columns: Sequence[Bar], marked: Mapping[tuple[date, int], str], f: Locale) -> Iterator[str]:
    """What the signs above the bars mean; so many bars have none."""
    _ = f.gettext
    letters = {*"".join(marked.values())}
    suspect, estimated = "s" in letters, "e" in letters
    # Of what a person has written nobody says that it is exact.
    both = estimated and "d" in letters
    if len(columns) > _MOST_LINES:
        if suspect:
            yield _("A part of it is estimated or suspect. The table says which.")
        elif both:
            yield _("A part of it is estimated or was edited by a person. The table says which.")
        elif estimated:
            yield _("A part of it is estimated; the sum is exact. The table says which.")
        elif marked:
            yield _("A part of it was edited by a person. The table says which.")
        return
    signs = {bar.sign for bar in columns}
    if "q2" in signs:
        yield _("A ring above a bar: data is missing there.")
    if "w0" in signs and suspect:
        yield _("A dot above a bar: a part of it is estimated or suspect. The table says which.")
    elif "w0" in signs and both:
        yield _(
            "A dot above a bar: a part of it is estimated or was edited by a person. The table says which."
        )
    elif "w0" in signs and estimated:
        yield _("A dot above a bar: a part of it is estimated; the sum is exact.")
    elif "w0" in signs:
        yield _("A dot above a bar: a part of it was edited by a person.")


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
                doubt = quality_words(marked[day], complete=True, f=f) if day in marked else ""
                said = (when, name, _("incomplete") if day in lacking else doubt)
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
    other = bars_of_meter(figures, those, meter, in_bands=False)
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
