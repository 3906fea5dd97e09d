"""The bands of the tariff: their names, hours, and what each took."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from gateway.status.energy.figures import Figures, SumsByDay
from gateway.status.energy.period import Period
from gateway.status.energy.shown import Band, EnergyView, shared_out, sum_in_short
from gateway.status.words.language import Locale

_WHOLE = 100_000
"""Wh from which on a sum has no decimals."""
_PER_CENT, _FINE = 100, 1000
TextSince = Sequence[tuple[date, str]]
"""What is said of the time from a day on, until the day of the next."""
CSS_OF_BAND = {"t1": "f1", "t2": "f2", "t3": "f3"}


def band_names(figures: Figures, day: date, f: Locale) -> dict[str, str]:
    """The names of the tariff's bands."""
    _ = f.gettext
    tariff = figures.tariff(day)
    words = {"t1": _("daytime"), "t2": _("peak"), "t3": _("night"), "t0": _("all day")}
    return {name: words.get(name, name) for name in tariff.names} if tariff else {}


def _hours(bands: Sequence[str], name: str) -> str:
    """The hours of a band: 06–17; 22–06 over midnight; empty where it has all, or none."""
    if name not in bands or all(band == name for band in bands):
        return ""
    mine = [hour for hour in range(24) if bands[hour] == name]
    first = next(hour for hour in mine if bands[(hour - 1) % 24] != name)
    last = next(hour for hour in mine if bands[(hour + 1) % 24] != name)
    return f"{first:02}–{(last + 1) % 24:02}"


def _hours_said(hours: TextSince, period: Period, f: Locale) -> str:
    """The hours of a band in a period, with the day on which they change; empty where they change more often:
    none of them would be those of its sum.
    """
    _ = f.gettext
    said = [text for _day, text in hours]
    if len(said) != 2 or not all(said):
        return said[0] if len(said) == 1 else ""
    day = hours[1][0]
    when = f.short_day(day) if period.first.year == period.last.year else f.day(day, year=True)
    return _("%(hours)s, from %(day)s: %(others)s") % {"hours": said[0], "day": when, "others": said[1]}


def band_sums(
    view: EnergyView, figures: Figures, period: Period, days: SumsByDay, f: Locale, *, whole: bool
) -> None:
    """What each band of the tariff took, with its share; `whole`: of all that there was."""
    _ = f.gettext
    first, last = min(days, default=period.first), max(days, default=period.first)
    if len(band_names(figures, first, f)) < 2:
        return
    names: dict[str, str] = {}
    hours: dict[str, list[tuple[date, str]]] = {}
    for day, bands in figures.band_changes(first, last):
        names |= band_names(figures, day, f)
        for name in names:
            its = hours.setdefault(name, [])
            if not its or its[-1][1] != _hours(bands, name):
                its.append((day, _hours(bands, name)))
    parts = figures.bands(days)
    total = sum(parts.values()) or 1
    # With as many digits as their sum has at the top of the page.
    decimals = 0 if abs(total) >= _WHOLE else 1
    shown = dict(zip(parts, shared_out([*parts.values()], 10 ** (3 - decimals)), strict=True))
    shares = [round(part * _PER_CENT * _FINE / total) for part in parts.values()]
    percents = dict(zip(parts, shared_out(shares, _FINE), strict=True))
    for name in ("t2", "t1", "t3", *(each for each in parts if each not in CSS_OF_BAND)):
        if name in parts:
            own = _hours_said(hours[name], period, f)
            share = percents[name] / _FINE / _PER_CENT
            text = _("%(share)s of all") % {"share": f.of_whole(share)}
            amount = sum_in_short(f.number(shown[name] / 1000, decimals), whole=whole)
            view.bands.append(Band(CSS_OF_BAND.get(name, "fa"), f"{names[name]} {own}".strip(), amount, text))
    source = "; ".join(figures.tariff_sources(first, last))
    view.source = _("Hours of the tariff: %(source)s.") % {"source": source} if source else ""
