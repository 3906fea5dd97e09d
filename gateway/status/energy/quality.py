"""The page `/quality`: is any data missing or estimated? A square a day, and each meter in words. Beside it
the polls of a meter's last week, for its own page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from markupsafe import Markup

from gateway.status.energy.charts import draw_figure, draw_rect, draw_stretched, draw_text
from gateway.status.energy.figures import DayQuality, Figures
from gateway.status.energy.period import month_of
from gateway.status.energy.shown import Choice, DataTable, Picture, downloads, share_of_all
from gateway.status.words.language import Locale

_MONTHS = 6
_CELL = 20
_WEEK = 7
_LINE, _FOOT = 23, 20
"""px of a day's line and of the hours below."""
_WIDE = 29
"""Hours of a day, and as many more as what is said at its end takes."""
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class CalendarMonth:
    """A month as squares, and what they say in words."""

    name: str
    svg: Markup
    says: str
    level: str


@dataclass(frozen=True, slots=True)
class MeterQuality:
    """A meter in words: share of measured quarter hours, and the days that are not whole."""

    name: str
    id: str
    measured: str
    says: str
    level: str


@dataclass(slots=True)
class QualityView:
    """Everything that the page shows."""

    title: str = ""
    level: str = "ok"
    lead: str = ""
    months: list[CalendarMonth] = field(default_factory=list)
    meters: list[MeterQuality] = field(default_factory=list)
    downloads: list[Choice] = field(default_factory=list)
    days: list[tuple[str, str, str]] = field(default_factory=list)
    """Day, meter, what is missing of it: the newest first."""


def quality_view(figures: Figures, f: Locale) -> QualityView:
    """The last six months of every meter that counts energy."""
    _ = f.gettext
    view = QualityView()
    period = month_of(figures.today)
    first = period.moved(1 - _MONTHS).first
    by_meter = {
        meter: figures.quality(meter, first, period.last)
        for meter in figures.facts.meters
        if any(each == meter.id for each, _quantity in figures.registers)
    }
    view.downloads = downloads("quality", f"from={first}&to={figures.today}", f)
    worst = _worst(list(by_meter.values()))
    for number in range(1 - _MONTHS, 1):
        month = period.moved(number)
        mine = [worst[day] for day in sorted(worst) if day in month]
        if any(each.kind != "future" for each in mine):
            view.months.append(_month(month.first, mine, f))
    for meter, days in by_meter.items():
        view.meters.append(_meter(meter.label, meter.id, days, f))
        for day in days:
            if day.kind in {"missing", "suspect", "estimated", "edited"}:
                view.days.append((f.day(day.day), meter.label, _hours(day, f)))
    order = {f.day(day): -number for number, day in enumerate(sorted(worst))}
    view.days.sort(key=lambda row: order[row[0]])
    _headline(view, [day for days in by_meter.values() for day in days], f)
    return view


def _worst(meters: list[list[DayQuality]]) -> dict[date, DayQuality]:
    """Of each day the worst that any meter has."""
    order = ("future", "measured", "edited", "estimated", "suspect", "missing")
    found: dict[date, DayQuality] = {}
    for days in meters:
        for day in days:
            if day.day not in found or order.index(day.kind) > order.index(found[day.day].kind):
                found[day.day] = day
    return found


def _month(first: date, days: list[DayQuality], f: Locale) -> CalendarMonth:
    _, ngettext = f.gettext, f.ngettext
    by_day = {each.day: each for each in days}
    period = month_of(first)
    cells = []
    for number in range(period.days):
        day = first + timedelta(number)
        week, column = divmod(first.weekday() + number, _WEEK)
        x, y = column * _CELL, week * _CELL
        kind = by_day[day].kind if day in by_day else "future"
        both = kind == "estimated" and by_day[day].edited > 0
        cells.append(_square(kind, x, y, f"{f.day(day)}: {_kind(kind, f, edited=both)}"))
    missing = sum(each.kind == "missing" for each in days)
    suspect = sum(each.kind == "suspect" for each in days)
    estimated = sum(each.kind == "estimated" for each in days)
    edited = sum(each.kind == "edited" for each in days)
    words = []
    if missing:
        words.append(ngettext("%(n)s day incomplete", "%(n)s days incomplete", missing) % {"n": missing})
    if suspect:
        words.append(
            ngettext("%(n)s day partly suspect", "%(n)s days partly suspect", suspect) % {"n": suspect}
        )
    if estimated:
        words.append(
            ngettext("%(n)s day partly estimated", "%(n)s days partly estimated", estimated)
            % {"n": estimated}
        )
    if edited:
        words.append(ngettext("%(n)s day edited", "%(n)s days edited", edited) % {"n": edited})
    says = ", ".join(words) or _("all measured")
    rows = -(-(first.weekday() + period.days) // _WEEK)
    svg = (
        f'<svg viewBox="0 0 {_WEEK * _CELL} {rows * _CELL}" role="img" '
        f'aria-label="{f.month(first)}: {says}">{"".join(cells)}</svg>'
    )
    # Numbers, and words of the catalogue.
    return CalendarMonth(f.month(first), Markup(svg), says, "bad" if missing else "ok")  # noqa: S704


def _square(kind: str, x: int, y: int, title: str) -> str:
    inside = f"<title>{title}</title>"
    if kind == "measured":
        return f'<rect class="q0" x="{x + 6.5}" y="{y + 6.5}" width="7" height="7">{inside}</rect>'
    if kind in {"edited", "estimated", "suspect"}:
        half = f"M{x + 3} {y + 17}L{x + 17} {y + 3}L{x + 17} {y + 17}Z"
        return (
            f'<rect class="q3" x="{x + 3}" y="{y + 3}" width="14" height="14">{inside}</rect>'
            f'<path class="q1" d="{half}"/>'
        )
    if kind == "missing":
        cross = f"M{x + 5} {y + 5}L{x + 15} {y + 15}M{x + 15} {y + 5}L{x + 5} {y + 15}"
        return (
            f'<rect class="q2" x="{x + 3}" y="{y + 3}" width="14" height="14">{inside}</rect>'
            f'<path class="qx" d="{cross}"/>'
        )
    return f'<rect class="q3" x="{x + 6.5}" y="{y + 6.5}" width="7" height="7"/>'


def _kind(kind: str, f: Locale, *, edited: bool) -> str:
    """A day in words; `edited`: it is estimated, and a part of it was edited."""
    _ = f.gettext
    if edited:
        return _("partly estimated, partly edited by a person")
    return {
        "measured": _("measured"),
        "edited": _("edited by a person"),
        "estimated": _("partly estimated, total exact"),
        "suspect": _("partly suspect"),
        "missing": _("incomplete"),
        "future": _("nothing to be known"),
    }[kind]


def _hours(day: DayQuality, f: Locale) -> str:
    _ = f.gettext
    if day.lost:
        return _("lost with a damaged file")
    words = [_("%(hours)s h missing") % {"hours": f.number(day.missing / 4, 1)}] if day.missing else []
    return ", ".join([*words, *_not_measured([day], f)])


def _not_measured(days: Sequence[DayQuality], f: Locale) -> list[str]:
    """How long was estimated, and how long a person has edited, of what is known of the days; the sum of what
    is suspect may be wrong, and that of an edit is what the person wrote.
    """
    _ = f.gettext
    edited = sum(day.edited for day in days)
    estimated = sum(max(0, min(day.known, day.expected) - day.measured - day.edited) for day in days)
    words = []
    if estimated:
        if any(day.suspect for day in days):
            text = _("%(hours)s h estimated or suspect")
        elif edited or any(day.missing for day in days):
            text = _("%(hours)s h estimated")
        else:
            text = _("%(hours)s h estimated, the total is exact")
        words.append(text % {"hours": f.number(estimated / 4, 1)})
    if edited:
        words.append(_("%(hours)s h edited by a person") % {"hours": f.number(edited / 4, 1)})
    return words


def _meter(label: str, meter: str, days: list[DayQuality], f: Locale) -> MeterQuality:
    _, ngettext = f.gettext, f.ngettext
    expected = sum(day.expected for day in days)
    missing = sum(day.missing > 0 for day in days)
    words = _not_measured(days, f)
    if missing:
        lacks = ngettext("%(n)s day incomplete", "%(n)s days incomplete", missing) % {"n": missing}
        words.insert(0, lacks)
    says = ", ".join(words)
    if not says:
        says = _("nothing is missing") if expected else _("nothing is known yet")
    return MeterQuality(label, meter, measured_share(days, f), says, "bad" if missing else "ok")


def measured_share(days: Sequence[DayQuality], f: Locale) -> str:
    """Of the quarter hours that should be known: how many were measured, neither estimated nor missing."""
    expected = sum(day.expected for day in days)
    return _share(sum(min(day.measured, day.expected) for day in days), expected, f)


def _share(part: int, whole: int, f: Locale) -> str:
    share = part / whole if whole else 0.0
    return f.percent(1) if share == 1 else f.percent(share_of_all(share, 1), 1)


ClockHours = dict[int, tuple[int, int]]
"""Hour on the wall → polls that were due in it, and how many brought nothing; (0, 0): nobody knows."""


def polls_of_week(figures: Figures, meter: str, f: Locale) -> Picture | None:
    """How a meter answered today and on the six days before, hour by hour; None where nothing is known."""
    _, first = f.gettext, figures.today - timedelta(_WEEK - 1)
    known = {
        start: counts
        for start, counts in sorted(figures.polls(meter).items())
        if first <= f.day_of(start) <= figures.today
    }
    if not known:
        return None
    begin = min(known)
    lines: dict[date, ClockHours] = {}
    for day in (first + timedelta(number) for number in range(_WEEK)):
        passed = (
            start for start in figures.calendar.quarters(day)[::4] if begin < start <= figures.end - _HOUR_MS
        )
        lines[day] = {f.slot(start) // 4: (0, 0) for start in passed}
    for start, (due, failed) in known.items():
        line, hour = lines[f.day_of(start)], f.slot(start) // 4
        was = line.get(hour, (0, 0))  # the same one on the wall, where the clock is set back
        line[hour] = (was[0] + due, was[1] + failed)
    due, failed = _counted(known.values())
    if failed:
        title = _("Polls answered in the last seven days: %(share)s") % {
            "share": _share(due - failed, due, f)
        }
    else:
        title = _("Every poll of the last seven days was answered")
    notes = [_most_of(known, f)] if failed else []
    if f.day_of(begin) > first or f.slot(begin) // 4:
        said = {"day": f.day(f.day_of(begin)), "time": f.time(begin)}
        notes.append(_("Counted since %(day)s, %(time)s.") % said)
    unit = _("Hour by hour: filled where every poll was answered, framed where some were not")
    heads = (_("Day"), _("Polls"), _("Not answered"), _("Answered"))
    rows = tuple(_in_words(day, line, f) for day, line in lines.items() if any(_counted(line.values())))
    return Picture(title, _answered(lines, title, f), DataTable(heads, rows), unit, tuple(notes))


def _counted(hours: Iterable[tuple[int, int]]) -> tuple[int, int]:
    due, failed = zip(*hours, strict=True) if (hours := [*hours]) else ((), ())
    return sum(due), sum(failed)


def _in_words(day: date, line: ClockHours, f: Locale) -> tuple[str, ...]:
    due, failed = _counted(line.values())
    return (f.day(day), f.whole(due), f.whole(failed), _share(due - failed, due, f))


def _most_of(known: Mapping[int, tuple[int, int]], f: Locale) -> str:
    """The neighbouring hours in which the most polls were not answered."""
    runs: list[list[int]] = []
    for start in (start for start, (_due, failed) in known.items() if failed):
        if runs and start == runs[-1][-1] + _HOUR_MS:
            runs[-1].append(start)
        else:
            runs.append([start])
    worst = max(runs, key=lambda run: sum(known[start][1] for start in run))
    begin, end = worst[0], worst[-1] + _HOUR_MS
    said = {"day": f.day(f.day_of(begin)), "first": f.time(begin), "last": f.time(end)}
    if f.day_of(end - 1) != f.day_of(begin):
        said["last"] = f"{f.day(f.day_of(end))} {said['last']}"
    if len(runs) == 1:
        return f.gettext("Not answered: %(day)s, %(first)s–%(last)s.") % said
    return f.gettext("The most were not answered on %(day)s, %(first)s–%(last)s.") % said


def _answered(lines: Mapping[date, ClockHours], says: str, f: Locale) -> Markup:
    """A line for each day, a column for each hour: filled to the share of its polls that were answered."""
    whole = unknown = names = ""
    width, height, parts = 100 / _WIDE, _LINE * len(lines) + _FOOT, list[str]()
    for number, (day, line) in enumerate(lines.items()):
        y = number * _LINE
        names += f'<text x="0" y="{y + 15}">{f.short_day(day)}</text>'
        for hour, (due, failed) in line.items():
            if not due:
                unknown += f"M{hour + 0.1:.1f} {y + 2}h.8v17h-.8z"
            elif not failed:
                whole += f"M{hour + 0.06:.2f} {y + 1}h.88v19h-.88z"
            else:
                said = _share(due - failed, due, f)
                title = f"{f.short_day(day)} {hour:02}–{hour + 1:02}: {said}"
                parts.append(draw_rect("q2", (hour + 0.1) * width, 0.8 * width, y + 1.8, 17.4, title))
                tall = 17.4 * (due - failed) / due
                parts.append(draw_rect("q0", (hour + 0.2) * width, 0.6 * width, y + 19.2 - tall, tall))
        due, failed = _counted(line.values())
        if due:
            parts.append(draw_text(100, y + 15, _share(due - failed, due, f), anchor="end"))
    for hour in (0, 6, 12, 18, 24):
        side = "middle" if hour else "start"
        parts.append(draw_text(hour * width, height - 4, f"{hour:02}", anchor=side))
    drawn = f'<path class="q0" d="{whole}"/><path class="void" d="{unknown}"/>'
    gutter = f'<svg class="c y" height="{height}" aria-hidden="true">{names}</svg>'
    return draw_figure(draw_stretched(drawn, _WIDE, height) + "".join(parts), height, says, gutter=gutter)


def _headline(view: QualityView, days: list[DayQuality], f: Locale) -> None:
    _, ngettext = f.gettext, f.ngettext
    expected = sum(day.expected for day in days)
    if not expected:
        view.title = _("Nothing has been measured for a whole quarter hour yet")
        return
    missing = sum(day.missing for day in days)
    share = 1 - missing / expected
    if not missing:
        view.title = _("No data is missing")
        view.lead = _(
            "Every quarter hour of every meter is known, of the last six months or since measuring began."
        )
        return
    view.level = "warn"
    bad = sum(day.missing > 0 for day in days)
    view.title = ngettext(
        "%(n)s day of a meter is incomplete", "%(n)s days of meters are incomplete", bad
    ) % {"n": bad}
    view.lead = _("%(share)s of all quarter hours are known.") % {
        "share": f.of_whole(share_of_all(share, 2), 2)
    }
