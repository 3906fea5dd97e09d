"""The pieces that the energy pages are made of, and how their numbers are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from gateway.status.energy.period import Period
from gateway.status.words.language import Locale

HOUR = 4


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
    downloads: list[Choice] = field(default_factory=list)
    main: Picture | None = None
    bands: list[Band] = field(default_factory=list)
    source: str = ""
    today: Picture | None = None
    heat: Picture | None = None
    steps_of_heat: list[tuple[str, str]] = field(default_factory=list)
    night_title: str = ""
    night: DataTable | None = None
    shares: list[Share] = field(default_factory=list)
    folded: list[Share] = field(default_factory=list)
    """The lesser ones of many, and what they are together."""
    folded_says: str = ""
    shares_title: str = ""
    shares_note: str = ""
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


def kw(wh: float, f: Locale) -> str:
    """A quarter hour's mean power in kW: whole from 10 up."""
    value = wh * HOUR / 1000
    return f.number(value, 0 if abs(value) >= 10 else 1)


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
