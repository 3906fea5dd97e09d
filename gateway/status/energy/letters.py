"""Quality as letters, m measured, e estimated, s suspect, d edited, - not known: of quarter hours, of bars,
and what they come to in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from gateway.energy import DaySum
from gateway.status.energy.facts import EnergyMeter
from gateway.status.energy.figures import EXPORT, Figures
from gateway.status.energy.period import LONG, Period
from gateway.status.words.language import Locale

_WORST: Final = "-sedm"
"""The worst first."""


def quality_letters(figures: Figures, meter: str, first: date, last: date) -> dict[date, str]:
    """The letter of each quarter hour of a meter, or of the building: the worst of what it is made of."""
    registers = _registers_behind(figures, meter)
    sums = [figures.sums(name, quantity, first, last) for name, quantity in registers]
    found: dict[date, str] = {}
    texts: list[Mapping[date, str]] | None = None
    for day in sorted({day for each in sums for day in each}):
        measured = [each[day].measured if day in each else -1 for each in sums]
        quarters = max(each[day].quarters for each in sums if day in each)
        if all(count == quarters for count in measured):
            found[day] = "m" * quarters
            continue
        if texts is None:
            texts = [figures.letters(name, quantity, first, last) for name, quantity in registers]
        rows = [each.get(day, "") for each in texts]
        wide = max(map(len, rows))
        padded = [row.ljust(wide, "-") for row in rows]
        found[day] = "".join(min(column, key=_WORST.index) for column in zip(*padded, strict=True))
        if day == figures.today:
            found[day] = found[day].rstrip("-")  # what is still to come is not missing
    return found


def unmeasured_bars(figures: Figures, period: Period, meter: str) -> dict[tuple[date, int], str]:
    """The letters of the bars, by first day and slot, of which a known quarter hour was not measured."""
    last = min(period.last, figures.today)
    days: dict[date, str] = {}
    for register in _registers_behind(figures, meter):
        for day, one in figures.unmeasured(*register, period.first, last).items():
            days[day] = days.get(day, "") + _letters_of(one)
    if days and period.step in {"hour", "quarter"}:
        # Of an hour it is to be known whether it is of those.
        letters = quality_letters(figures, meter, min(days), max(days))
        days = {day: letters[day] for day in days if day in letters}
    elif period.step in LONG:
        days = {day: f"m{its}" for day, its in days.items()}  # these are a few of its days
    found = letters_by_bar(figures, period, days)
    return {bar: letters for bar, letters in found.items() if not {*letters} <= {"m", "-"}}


def _letters_of(one: DaySum) -> str:
    counts = {"m": one.measured, "e": one.estimated, "s": one.suspect, "d": one.edited}
    return "".join(letter for letter, count in counts.items() if count)


def letters_by_bar(
    figures: Figures, period: Period, letters: Mapping[date, str]
) -> dict[tuple[date, int], str]:
    """The letters of each bar, from those of days."""
    found: dict[tuple[date, int], str] = {}
    for day, text in letters.items():
        match period.step:
            case "day" | "month" | "year":
                key = (period.bar_of(day), 0)
                found[key] = found.get(key, "") + text
            case _:
                wide = 1 if period.step == "quarter" else 4
                for start, letter in zip(figures.calendar.quarters(day), text, strict=False):
                    key = (day, figures.calendar.place(start)[1] // wide)
                    found[key] = found.get(key, "") + letter
    return found


def _registers_behind(figures: Figures, meter: str) -> list[tuple[str, str]]:
    """What the building, or a meter, is made of."""
    found = []
    for each in figures.facts.meters if meter else (*figures.facts.roots, *figures.facts.plants):
        if not meter or each.id == meter:
            found += _registers(figures, each, alone=bool(meter))
    return found


def _registers(figures: Figures, meter: EnergyMeter, *, alone: bool) -> list[tuple[str, str]]:
    if meter.generates:
        direction = figures.direction(meter)
        return [(meter.id, f"active_energy_{direction}")] if direction else []
    if alone:
        register = figures.register_of(meter.id)
        return [register] if register in figures.registers else []
    counter = figures.counter(meter)
    found = [(meter.id, counter)] if counter else []
    if (meter.id, EXPORT) in figures.registers:
        found.append((meter.id, EXPORT))
    return found


def quality_words(letters: str, *, complete: bool, f: Locale) -> str:
    """What the letters of a row come to: the worst that is in it."""
    _ = f.gettext
    if "-" in letters or not complete:
        return _("missing") if {*letters} <= {"-"} else _("incomplete")
    if "s" in letters:
        return _("suspect") if {*letters} == {"s"} else _("partly suspect")
    if {"e", "d"} <= {*letters}:
        return _("partly estimated, partly edited by a person")
    if "e" in letters:
        return _("estimated") if {*letters} == {"e"} else _("partly estimated, total exact")
    return _("edited by a person") if "d" in letters else _("measured")
