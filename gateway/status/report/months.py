"""Of a report: the picture and the two tables that have a line for each month, or for each day of a month."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Final

from gateway.energy import reactive
from gateway.status.energy import charts
from gateway.status.energy.bars import band_names
from gateway.status.energy.charts import Bar, Label, Numbers
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import Period, month_of
from gateway.status.energy.reactive import judged_months, main_meter, reactive_registers
from gateway.status.energy.shown import KWH, DataTable, Picture, kwh, share_of_all, shared_out, sum_in_short
from gateway.status.energy.today import were_holidays
from gateway.status.report.lines import ReportLine
from gateway.status.report.shown import ReportTable
from gateway.status.words.language import Locale

_HEIGHT: Final = 170
_ROOM: Final = 2
"""Columns at the right that are left to the labels."""
_WEEKEND: Final = 5
_WEEKS: Final = timedelta(364)
"""How long before a day of a month that stands with which it is compared."""
_BAND_ORDER: Final = ("t1", "t2", "t3")
_KWH: Final = 1000
"""Wh that a column of energy is printed in: one number of decimals, so that it adds up."""
_MILLION: Final = 10**6
_MARK: Final = " *"
_NOT_MEASURED: Final = frozenset("sed")
"""Letters of quality."""


def picture(lines: list[ReportLine], period: Period, f: Locale) -> Picture:
    """A bar for each line: from the grid below, from the sun above, a short line for the year before."""
    _ = f.gettext
    grid_word, sun_word, before_word = _("from the grid"), _("from the sun"), _("a year before")
    columns = []
    for line in lines:
        used, sun = line.used or 0, line.from_sun or 0
        name = name_of_line(line, period, f)
        grid = sum_in_short(kwh(used - sun, f), whole=line.complete)
        parts = [("f3", (used - sun) / 1000, f"{name}: {grid_word} {grid} kWh")]
        if sun:
            given = sum_in_short(kwh(sun, f), whole=line.complete)
            parts.append(("f1", sun / 1000, f"{name}: {sun_word} {given} kWh"))
        before = line.before / 1000 if line.before is not None else None
        said = f"{before_word}: {kwh(line.before or 0, f)} kWh" if before is not None else ""
        columns.append(Bar(tuple(parts), before, said, _tick(line, period, f)))
    ahead = 12 - len(lines) if period.span == "year" else period.days - len(lines)
    room = _ROOM if period.span == "year" else 2 * _ROOM
    columns += [Bar(())] * max(room, ahead)
    svg = charts.bars(
        columns,
        height=_HEIGHT,
        says=_("Energy of %(period)s in kWh, from the grid and from the sun, beside the year before")
        % {"period": name_of_period(period, f)},
        number=Numbers(f.number, "kWh"),
        labels=_labels(lines, len(columns), f),
    )
    unit = _("kWh in a month") if period.span == "year" else _("kWh in a day")
    notes = []
    if any(line.from_sun for line in lines):
        notes.append(_("Dark: from the grid. Light: from the sun."))
    if any(line.before is not None for line in lines):
        same = _("the same month a year before")
        notes.append(
            _("Short line: %(what)s.")
            % {"what": same if period.span == "year" else _("the same weekday 52 weeks before")}
        )
    return Picture("", svg, DataTable((), ()), unit, tuple(notes))


def _labels(lines: list[ReportLine], count: int, f: Locale) -> list[Label]:
    """At the right of the last bar: what its parts are."""
    _ = f.gettext
    if not lines or not any(line.from_sun for line in lines):
        return []
    last = lines[-1]
    most = max(max((line.used or 0), line.before or 0) for line in lines) / 1000
    axis = charts.scale(most)
    tall = _HEIGHT - 22 - 18
    used, sun = (last.used or 0) / 1000, (last.from_sun or 0) / 1000
    x = len(lines) * 100 / count + 0.8
    grid_at = _HEIGHT - 22 - (used - sun) / 2 / axis.top * tall + 4
    sun_at = min(_HEIGHT - 22 - (used - sun / 2) / axis.top * tall + 4, grid_at - 14)
    return [
        Label(x, grid_at, _("from the grid"), "h wide", "start"),
        Label(x, sun_at, _("from the sun"), "h wide", "start"),
    ]


def energy_table(
    figures: Figures, lines: list[ReportLine], total: ReportLine, period: Period, f: Locale
) -> ReportTable:
    """What was used line by line, beside the year before, with what follows from it."""
    _ = f.gettext
    rules = figures.facts.rules
    area = figures.facts.area if period.span == "year" else None
    sun = total.gave is not None
    before = any(line.before is not None for line in lines)
    tep = rules is not None and rules.tep(period.first) is not None and period.span == "year"
    heads = [_("Month") if period.span == "year" else _("Day")]
    heads += [_("From the grid, kWh"), _("From the sun, kWh")] if sun else []
    heads.append(_("Used, kWh"))
    heads += [before_head(period, f), _("Change")] if before else []
    heads += [_("TOE")] if tep else []
    heads += ["kWh/m²"] if area else []
    heads.append(_("Measured"))
    shown = _energies(lines, sun=sun)
    befores = column([line.before for line in lines], _KWH)
    oil = column([_millionths(line, toe(figures, line)) for line in lines], _MILLION // 100) if tep else []
    per = (
        column([_millionths(line, (line.used or 0) / 1000 / area) for line in lines], _MILLION // 10)
        if area
        else []
    )
    rows = []
    for place, line in enumerate([*lines, total]):
        cells = [name_of_line(line, period, f) if line is not total else name_of_period(period, f)]
        of_grid = [line.complete_drawn] if sun else []
        wholes = [*of_grid, *[line.complete] * (len(shown) - len(of_grid))]
        cells += [_sum(each[place], f, whole=whole) for each, whole in zip(shown, wholes, strict=True)]
        if before:
            then = None if line.before is None else befores[place]
            cells += [_kwh(then, f), change(line.used, line.before, f)]
        cells += [_amount(oil[place], 2, line, f)] if tep else []
        cells += [_amount(per[place], 1, line, f)] if area else []
        cells.append(share(line.mains.measured, line.mains.expected, f))
        rows.append(tuple(cells))
    marked = frozenset(place for place, line in enumerate(lines) if not line.whole)
    notes = [at_least_note(f)] if not (total.complete and total.complete_drawn) else []
    if before and total.before is None and any(line.before is None for line in lines):
        notes.append(_("Lines that one of the two years does not know as a whole are not compared."))
    if period.span == "month":
        notes += _holidays(figures, lines, f)
    return ReportTable(tuple(heads), tuple(rows[:-1]), rows[-1], tuple(notes), marked)


def _holidays(figures: Figures, lines: Sequence[ReportLine], f: Locale) -> list[str]:
    """Of the days of a month, and of those that they are compared with, the public holidays that stand beside
    a day that is none. A sentence, or nothing.
    """
    closed = figures.calendar.holidays
    pairs = [{line.first, line.first - _WEEKS} for line in lines if line.before is not None]
    found = {day for pair in pairs if len(pair & closed) == 1 for day in pair & closed}
    return were_holidays([f"{f.short_day(day)} {day.year}" for day in sorted(found)], f)


def before_head(period: Period, f: Locale) -> str:
    """What a line is compared with, as the head of its column."""
    _ = f.gettext
    return _("A year before, kWh") if period.span == "year" else _("52 weeks before, kWh")


def column(values: Sequence[int | None], step: int, whole: int | None = None) -> list[int | None]:
    """The cells of a column and their sum below, in whole steps that add up; None: nothing is known.

    `whole`: how the sum is printed, where it is given.
    """
    known = shared_out([value for value in values if value is not None], step, whole)
    rest = iter(known)
    return [*(None if value is None else next(rest) for value in values), sum(known) if known else None]


def _energies(lines: Sequence[ReportLine], *, sun: bool) -> list[list[int | None]]:
    """Columns in Wh with their sums, as they are printed: from the grid, from the sun and used, where a plant
    gives, else used alone. Each adds up, and so does each line where all is known.
    """
    all_used, grid, given = (
        [getattr(line, name) for line in lines] for name in ("used", "drawn", "from_sun")
    )
    if not sun:
        return [column(all_used, _KWH)]
    if any(line.used is None or line.used != (line.drawn or 0) + (line.from_sun or 0) for line in lines):
        # what was drawn in hours of which the use is not known is in none of the others
        return [column(each, _KWH) for each in (grid, given, all_used)]
    sums = [sum(filter(None, values)) for values in (grid, given)]
    columns = [
        column(values, _KWH, whole)
        for values, whole in zip((grid, given), shared_out(sums, _KWH), strict=True)
    ]
    used = [None if one is None else one + (two or 0) for one, two in zip(*columns, strict=True)]
    return [*columns, used]


def _millionths(line: ReportLine, amount: float) -> int | None:
    return None if line.used is None else round(amount * _MILLION)


def _amount(millionths: int | None, decimals: int, line: ReportLine, f: Locale) -> str:
    if millionths is None:
        return ""
    return sum_in_short(f.number(millionths / _MILLION, decimals), whole=line.complete)


def toe(figures: Figures, line: ReportLine) -> float:
    """Tonnes of oil equivalent of what was used."""
    rules = figures.facts.rules
    row = rules.tep(line.first) if rules else None
    return (line.used or 0) / 1e6 * row.value if row else 0.0


def record_table(
    figures: Figures, lines: list[ReportLine], total: ReportLine, period: Period, f: Locale
) -> ReportTable | None:
    """The parts of the tariff, the peak, and the reactive energy against its limits, line by line."""
    _ = f.gettext
    names = band_names(figures, period.first, f)
    bands = [name for name in (*_BAND_ORDER, *sorted(names)) if name in names and total.bands]
    bands = list(dict.fromkeys(bands)) if len(names) > 1 else []
    reactive_known = total.inductive is not None and total.capacitive is not None
    if not bands and not reactive_known and total.peak is None:
        return None
    heads = [_("Month") if period.span == "year" else _("Day")]
    heads += [_("%(band)s, kWh") % {"band": names[name]} for name in bands]
    heads += [_("Highest, kW"), _("on")]
    if reactive_known:
        heads += [_("Inductive"), _("Capacitive")]
        heads += [_("Reactive limits")] if period.span == "year" else []
    parts = [column([(line.bands or {}).get(name) for line in lines], _KWH) for name in bands]
    rows, marked, excused = [], set(), forgiven(figures, lines)
    for place, line in enumerate([*lines, total]):
        whole = line is total
        cells = [name_of_period(period, f) if whole else name_of_line(line, period, f)]
        cells += [_sum(part[place], f, whole=line.complete_drawn) for part in parts]
        cells += _peak_cells(figures, line, f)
        if reactive_known:
            cells += [_ratio(line.inductive, line.drawn, f), _ratio(line.capacitive, line.drawn, f)]
            if period.span == "year":
                word, bad = verdict(figures, line, excused, f) if not whole else ("", False)
                cells.append(word)
                if bad:
                    marked.add(place)
        rows.append(tuple(cells))
    notes = [_("The bands are those of the energy drawn from the grid.")] if bands else []
    if any(cell.endswith(_MARK) for row in rows for cell in row):
        notes.append(_("*: this quarter hour was not measured: it is estimated, suspect or edited."))
    return ReportTable(tuple(heads), tuple(rows[:-1]), rows[-1], tuple(notes), frozenset(marked))


def breaches(figures: Figures, line: ReportLine) -> list[tuple[str, float, float]]:
    """Kinds (inductive, capacitive) of a month that passed their limit: kind, ratio and limit in per cent;
    none of a month of which too little is known.
    """
    facts = figures.facts
    if facts.is_exempt(line.first) or facts.installed_kva is None or facts.rules is None:
        return []
    if not line.drawn or not line.is_telling:
        return []
    limits = facts.rules.reactive(facts.installed_kva, line.first)
    if limits is None:
        return []
    found = []
    for kind, amount, limit in (
        ("inductive", line.inductive, limits.value.inductive),
        ("capacitive", line.capacitive, limits.value.capacitive),
    ):
        if amount is not None and reactive.is_breach(line.drawn, amount, limit):
            found.append((kind, amount * 100 / line.drawn, limit))
    return found


def forgiven(figures: Figures, lines: Sequence[ReportLine]) -> set[date]:
    """On which days lines begin, months or days of one, of a month whose breach the distributor has
    disregarded: no more of a year than the rules allow.
    """
    main, registers = main_meter(figures), reactive_registers(figures)
    if not figures.facts.forgiven or not lines or main is None or registers is None:
        return set()
    first, last = month_of(lines[0].first), month_of(lines[-1].first)
    judged = judged_months(figures, main.id, (registers.inductive, registers.capacitive), first, last)
    excused = {each.month.first for each in judged if each.state == "forgiven"}
    return {line.first for line in lines if line.first.replace(day=1) in excused}


def verdict(figures: Figures, line: ReportLine, excused: Collection[date], f: Locale) -> tuple[str, bool]:
    """What became of a month's reactive energy, and whether it costs; months that begin on `excused` days do
    not.
    """
    _ = f.gettext
    facts = figures.facts
    if line.inductive is None or line.capacitive is None:
        return "", False
    if facts.is_exempt(line.first):
        return _("exempt"), False
    if facts.installed_kva is None or facts.rules is None or reactive_registers(figures) is None:
        return "", False
    if not line.is_telling:
        return _("not known as a whole"), False
    found = breaches(figures, line)
    if not found:
        return _("kept") if line.complete else _("kept, with gaps"), False
    words = {"inductive": _("inductive"), "capacitive": _("capacitive")}
    passed = ", ".join(words[kind] for kind, _ratio, _limit in found)
    if line.first in excused:
        return _("%(kind)s passed, forgiven") % {"kind": passed}, False
    if line.last >= figures.today:
        return _("%(kind)s passed so far") % {"kind": passed}, True
    return _("%(kind)s passed") % {"kind": passed}, True


def name_of_period(period: Period, f: Locale) -> str:
    """The year or the month that is reported."""
    return str(period.first.year) if period.span == "year" else f.month(period.first)


def name_of_line(line: ReportLine, period: Period, f: Locale) -> str:
    """January; 5 November Thursday."""
    return f.month(line.first, year=False) if period.span == "year" else f.day(line.first)


def change(now: int | None, before: int | None, f: Locale) -> str:
    """+4,1 % as a visitor writes it; empty when there is nothing to compare."""
    if now is None or not before:
        return ""
    share = now / before - 1
    text = f.percent(abs(share), 1)
    return text if round(abs(share), 3) == 0 else f"{'+' if share > 0 else '−'}{text}"


def share(part: int, whole: int, f: Locale) -> str:
    """Per cent with one decimal; all of it is only what is all of it."""
    if not whole:
        return ""
    return f.percent(share_of_all(part / whole, 1), 1)


def _peak_cells(figures: Figures, line: ReportLine, f: Locale) -> list[str]:
    if line.peak is None:
        return ["", ""]
    start, power, quality = line.peak
    day: date = figures.calendar.place(start)[0]
    mark = _MARK if quality in _NOT_MEASURED else ""
    return [KWH.power(power, f), f"{f.short_day(day)} {f.time(start)}{mark}"]


def _ratio(amount: int | None, drawn: int | None, f: Locale) -> str:
    return f.percent(amount / drawn, 1) if amount is not None and drawn else ""


def at_least_note(f: Locale) -> str:
    """What the sign before a sum means."""
    return f.gettext("≥: data is missing; what is known comes to so much.")


def _sum(wh: int | None, f: Locale, *, whole: bool) -> str:
    """KWh of a line, with the sign that they are at least that where it is not `whole`."""
    return sum_in_short(_kwh(wh, f), whole=whole or wh is None)


def _kwh(wh: int | None, f: Locale) -> str:
    return "" if wh is None else f.number(wh / 1000, 0)


def _tick(line: ReportLine, period: Period, f: Locale) -> str:
    if period.span == "year":
        return f.month(line.first, year=False)[:3]
    # Mondays; and the first, where no Monday follows so soon that the two would be read as one number.
    first = line.first.day == 1 and line.first.weekday() < _WEEKEND
    return str(line.first.day) if line.first.weekday() == 0 or first else ""
