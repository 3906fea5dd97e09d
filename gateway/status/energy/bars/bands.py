"""The bands of the tariff: their names, hours, and what each took."""

from __future__ import annotations

from datetime import date

from gateway.status.energy.figures import Figures, SumsByDay
from gateway.status.energy.period import Period
from gateway.status.energy.shown import Band, EnergyView, shared_out, sum_in_short
from gateway.status.words.language import Locale

_WHOLE = 100_000
"""Wh from which on a sum has no decimals."""
_PER_CENT, _FINE = 100, 1000
CSS_OF_BAND = {"t1": "f1", "t2": "f2", "t3": "f3"}


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


def band_sums(
    view: EnergyView, figures: Figures, period: Period, days: SumsByDay, f: Locale, *, whole: bool
) -> None:
    """What each band of the tariff took, with its share; `whole`: of all that there was."""
    _ = f.gettext
    names = band_names(figures, period.first, f)
    if len(names) < 2:
        return
    parts = figures.bands(days)
    total = sum(parts.values()) or 1
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
