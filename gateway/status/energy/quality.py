"""The page `/quality`: is any data missing or estimated? A square a day, and each meter in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from markupsafe import Markup

from gateway.status.energy.figures import DayQuality, Figures
from gateway.status.energy.period import month_of
from gateway.status.energy.shown import Choice, downloads
from gateway.status.words.language import Locale

_MONTHS = 6
_CELL = 20
_WEEK = 7


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
            if day.kind in {"missing", "estimated"}:
                view.days.append((f.day(day.day), meter.label, _hours(day, f)))
    order = {f.day(day): -number for number, day in enumerate(sorted(worst))}
    view.days.sort(key=lambda row: order[row[0]])
    _headline(view, [day for days in by_meter.values() for day in days], f)
    return view


def _worst(meters: list[list[DayQuality]]) -> dict[date, DayQuality]:
    """Of each day the worst that any meter has."""
    order = ("future", "measured", "estimated", "missing")
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
        cells.append(_square(kind, x, y, f"{f.day(day)}: {_kind(kind, f)}"))
    missing = sum(each.kind == "missing" for each in days)
    estimated = sum(each.kind == "estimated" for each in days)
    words = []
    if missing:
        words.append(ngettext("%(n)s day incomplete", "%(n)s days incomplete", missing) % {"n": missing})
    if estimated:
        words.append(
            ngettext("%(n)s day partly estimated", "%(n)s days partly estimated", estimated)
            % {"n": estimated}
        )
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
    if kind == "estimated":
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


def _kind(kind: str, f: Locale) -> str:
    _ = f.gettext
    return {
        "measured": _("measured"),
        "estimated": _("partly estimated, total exact"),
        "missing": _("incomplete"),
        "future": _("nothing to be known"),
    }[kind]


def _hours(day: DayQuality, f: Locale) -> str:
    _ = f.gettext
    if day.lost:
        return _("lost with a damaged file")
    if day.missing:
        return _("%(hours)s h missing") % {"hours": f.number(day.missing / 4, 1)}
    return _("%(hours)s h estimated, the total is exact") % {
        "hours": f.number((day.expected - day.measured) / 4, 1)
    }


def _meter(label: str, meter: str, days: list[DayQuality], f: Locale) -> MeterQuality:
    _, ngettext = f.gettext, f.ngettext
    expected = sum(day.expected for day in days)
    missing = sum(day.missing > 0 for day in days)
    if missing:
        says = ngettext("%(n)s day incomplete", "%(n)s days incomplete", missing) % {"n": missing}
    else:
        says = _("nothing is missing") if expected else _("nothing is known yet")
    return MeterQuality(label, meter, measured_share(days, f), says, "bad" if missing else "ok")


def measured_share(days: Sequence[DayQuality], f: Locale) -> str:
    """Of the quarter hours that should be known: how many were measured, neither estimated nor missing."""
    expected = sum(day.expected for day in days)
    measured = sum(min(day.measured, day.expected) for day in days)
    share = measured / expected if expected else 0.0
    # All is only what is all.
    return f.percent(1) if share == 1 else f.percent(min(share, 0.999), 1)


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
    view.lead = _("%(share)s of all quarter hours are known.") % {"share": f.percent(share, 2)}
