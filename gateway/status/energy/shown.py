"""The pieces that the energy pages are made of, and how their numbers are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from markupsafe import Markup

from gateway.energy import BASE, BaseUnit
from gateway.model import QUANTITIES
from gateway.status.energy.charts import Numbers
from gateway.status.energy.period import Period, Step
from gateway.status.words.labels import Words
from gateway.status.words.language import Locale
from gateway.status.words.notices import Notice

HOUR = 4
_LAST = 2
"""Days at the end of a period that have no room for a label."""
_WHOLE_KW = 10
"""From which on a power is told without decimals."""
_WEEKS_SHOWN, _YEAR, _FEW_YEARS = 62, 366, 900
"""Days of a period up to which its Mondays, its months, every third month have a label."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How what a meter counts is written: `unit` of an amount and `rate` of an hour's, 10^`digits` base units
    of the engine in one of it, and how many decimals `more` than kWh and kW it needs.
    """

    unit: str
    rate: str
    digits: int = 3
    more: int = 0

    def value(self, base: float) -> float:
        """Base units (Wh, ml, pulses) in `unit`; base units an hour in `rate`."""
        return base / float(10**self.digits)

    def amount(self, base: float, f: Locale) -> str:
        """Without its unit: kWh whole from 100 up, else with one decimal."""
        value = self.value(base)
        return f.number(value, (0 if abs(value) >= 100 else 1) + self.more)

    def flow(self, base: float, decimals: int, f: Locale) -> str:
        """Base units an hour, without unit, with so many decimals where it is kW."""
        return f.number(self.value(base), decimals + self.more)

    def power(self, base: float, f: Locale) -> str:
        """The same as it is told to a person: kW with one decimal below 10, whole from 10 up."""
        return self.flow(base, 0 if round(abs(self.value(base)), 1) >= _WHOLE_KW else 1, f)

    def amounts(self, f: Locale) -> Numbers:
        """Amounts in a picture."""
        return Numbers(f.number, self.unit, self.more)

    def flows(self, f: Locale) -> Numbers:
        """The same of an hour."""
        return Numbers(f.number, self.rate, self.more)


KWH: Final = Measure("kWh", "kW")


def measure_of(quantity: str, f: Locale) -> Measure:
    """How a quantity's intervals are written; empty: electricity."""
    _ = f.gettext
    match BASE[QUANTITIES[quantity].unit if quantity else "kWh"]:
        case BaseUnit("ml", digits):
            return Measure("m³", "m³/h", digits, 2)
        case BaseUnit("pulses", digits):
            return Measure(_("pulses"), _("pulses/h"), digits, -1)
        case _:
            return KWH


def quantity_name(quantity: str, f: Locale) -> str:
    """What a person calls what a meter counts."""
    return Words(f).quantity(quantity)


@dataclass(frozen=True, slots=True)
class DataTable:
    """What a picture shows, as rows."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A finding as its heading, the picture, what must be said below it, and its table."""

    title: str
    svg: Markup
    table: DataTable
    unit: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeterLately:
    """What the page of a meter says of the last days: periods, what it counted in them, the addresses of
    their views; how it answered; what the checks found: when, of which register, what; what of it somebody
    should see to.
    """

    use: tuple[tuple[str, str, str], ...] = ()
    polls: Picture | None = None
    found: tuple[tuple[str, str, str], ...] = ()
    jobs: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A link of the picker; `here`: it is what is shown."""

    text: str
    href: str
    here: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """A meter's line in the tree; bar widths in percent."""

    name: str
    id: str
    depth: int
    kwh: str
    share: str
    bar: float
    note: str = ""
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A part of the tariff: its class, name with hours, kWh, and its share in words."""

    css: str
    name: str
    kwh: str
    says: str


@dataclass(slots=True)
class EnergyView:
    """Everything that the page shows."""

    title: str = ""
    lead: str = ""
    name: str = ""
    before: Choice | None = None
    after: Choice | None = None
    spans: list[Choice] = field(default_factory=list)
    steps: list[Choice] = field(default_factory=list)
    meters: list[Choice] = field(default_factory=list)
    days: tuple[str, str, str] = ("", "", "")
    """First and last day of the range, and today, as a form writes them."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """What a form keeps of the address: name and value."""
    quantities: list[Choice] = field(default_factory=list)
    """What a meter counts, where that is more than one thing."""
    downloads: list[Choice] = field(default_factory=list)
    main: Picture | None = None
    bands: list[Band] = field(default_factory=list)
    source: str = ""
    today: Picture | None = None
    heat: Picture | None = None
    steps_of_heat: list[tuple[str, str]] = field(default_factory=list)
    rate: str = "kW"
    """Unit of what flows."""
    night_title: str = ""
    night: DataTable | None = None
    shares: list[Share] = field(default_factory=list)
    folded: list[Share] = field(default_factory=list)
    """The lesser ones of many, and what they are together."""
    folded_says: str = ""
    shares_title: str = ""
    shares_note: str = ""
    others: list[tuple[str, str, str]] = field(default_factory=list)
    """Meters of water, heat, pulses: name, address, what they counted."""
    sun: Picture | None = None
    netting: list[str] = field(default_factory=list)
    run: Picture | None = None
    facts: list[tuple[str, str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """What cannot be shown, and which entry would show it."""


def downloads(view: str, query: str, f: Locale, *, quarters: bool = False) -> list[Choice]:
    """Files of a view in the visitor's language, and its numbers for programs; `quarters`: each quarter hour,
    too.
    """
    _ = f.gettext
    start = f"/api/v1/{view}?{query}&" if query else f"/api/v1/{view}?"
    found = [
        Choice("XLSX", f"{start}format=xlsx&lang={f.language}"),
        Choice("CSV", f"{start}format=csv&lang={f.language}"),
    ]
    if quarters:
        finest = "&".join(part for part in query.split("&") if not part.startswith("by="))
        href = f"/api/v1/{view}?{finest}&by=quarter&format=csv&lang={f.language}"
        found.append(Choice(_("CSV, quarter hours"), href))
    return [*found, Choice("JSON", start.rstrip("?&"))]


def titles_of(heads: Sequence[str], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows of a table as what a picture's columns say: its cells with their heads."""
    return [
        f"{row[0]}: "
        + ", ".join(f"{head} {cell}" for head, cell in zip(heads[1:], row[1:], strict=True) if cell)
        if any(row[1:])
        else ""
        for row in rows
    ]


def kwh(wh: float, f: Locale) -> str:
    """KWh: whole from 100 up, else with one decimal."""
    value = wh / 1000
    return f.number(value, 0 if abs(value) >= 100 else 1)


def shared_out(parts: Sequence[int], step: int, whole: int | None = None) -> list[int]:
    """Parts in whole steps that add up to their sum in whole steps: what is rounded down goes to the largest
    remainders, so that what is printed adds up. `whole`: how their sum is printed, where it is a part, too.
    """
    steps = [part // step for part in parts]
    left = (round(sum(parts) / step) if whole is None else whole // step) - sum(steps)
    first = sorted(range(len(parts)), key=lambda place: -(parts[place] % step))[:left]
    return [(each + (place in first)) * step for place, each in enumerate(steps)]


def share_of_all(share: float, decimals: int = 0) -> float:
    """A share (of 1) so that in per cent with so many decimals only what is all of it reads as 100."""
    return 1.0 if share >= 1 else min(share, 1 - 10.0 ** -(decimals + 2))


def sum_in_words(text: str, f: Locale, *, whole: bool) -> str:
    """A sum for a sentence: where not all of it is known, it is at least that."""
    return text if whole else f.gettext("at least %(sum)s") % {"sum": text}


def sum_in_short(text: str, *, whole: bool) -> str:
    """The same for a cell, or beside a number that leads."""
    return text if whole else f"≥\u00a0{text}"


def kw(wh: float, f: Locale) -> str:
    """A quarter hour's mean power in kW, as `Measure.power`."""
    return KWH.power(wh * HOUR, f)


def name_of(period: Period, f: Locale) -> str:
    """What a person calls it."""
    match period.span:
        case "day":
            return f.day(period.first, year=True)
        case "month":
            return f.month(period.first)
        case "year":
            return str(period.first.year)
        case _:
            first = f.short_day(period.first)
            if period.first.year != period.last.year:
                first += f" {period.first.year}"
            return f"{first} – {f.short_day(period.last)} {period.last.year}"


def changed(now: float, before: float, f: Locale) -> str:
    """By how much it is more or less, in words."""
    _ = f.gettext
    share = (now - before) / before
    if abs(share) < 0.005:
        return _("as much as")
    return (_("%(share)s more than") if share > 0 else _("%(share)s less than")) % {
        "share": f.percent(abs(share))
    }


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
        case "month":
            return f.month(day)
        case "year":
            return str(day.year)


def bar_head(period: Period, f: Locale) -> str:
    """What stands above the names of the bars."""
    _ = f.gettext
    return {"day": _("Day"), "month": _("Month"), "year": _("Year")}.get(period.step, _("Time"))


def tick(period: Period, key: tuple[date, int], f: Locale) -> str:
    """The label below a bar; most have none."""
    day, slot = key
    match (period.step, period.span):
        case ("year", _):
            return str(day.year)
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
        case ("day", _) if period.days > _WEEKS_SHOWN:
            return _tick_of_month(period, day, f) if day.day == 1 else ""
        case ("day", _):
            if day.weekday() or (period.last - day).days < _LAST:
                return ""
            return f"{day.day} {f.short_weekday(0)}"
        case _:
            return _tick_of_month(period, day, f)


def _tick_of_month(period: Period, day: date, f: Locale) -> str:
    """The label of a month: of years every third one is named, of many years the years alone."""
    if period.days <= _YEAR:
        return f.month(day, year=False)[:3]
    if day.month == 1:
        return str(day.year)
    return f.month(day, year=False)[:3] if period.days <= _FEW_YEARS and day.month % 3 == 1 else ""


def unit(period: Period, f: Locale, unit: str = "kWh") -> str:
    """What the axis counts."""
    _ = f.gettext
    words: dict[Step, str] = {
        "quarter": _("%(unit)s in a quarter hour"),
        "hour": _("%(unit)s in an hour"),
        "day": _("%(unit)s in a day"),
        "month": _("%(unit)s in a month"),
        "year": _("%(unit)s in a year"),
    }
    return words[period.step] % {"unit": unit}
