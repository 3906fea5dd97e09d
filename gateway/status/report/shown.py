"""The pieces that a report is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.status.energy.shown import Choice, Picture


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Rows with their sum below; `marked` are the rows in which something is wrong, by their place."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class LeadFigure:
    """One of the numbers that lead: what it is, the number, its unit, and what it rests on."""

    name: str
    value: str
    unit: str
    says: str


@dataclass(frozen=True, slots=True)
class BillShown:
    """A bill beside our meter: its days and what is found as a heading, the amounts, what explains them."""

    title: str
    table: ReportTable
    says: str


@dataclass(slots=True)
class ReportView:
    """Everything that the report shows."""

    about: str = ""
    title: str = ""
    lead: str = ""
    before: Choice | None = None
    after: Choice | None = None
    name: str = ""
    years: list[Choice] = field(default_factory=list)
    months: list[Choice] = field(default_factory=list)
    downloads: list[Choice] = field(default_factory=list)
    facts: list[LeadFigure] = field(default_factory=list)
    picture: Picture | None = None
    energy: ReportTable | None = None
    record_title: str = ""
    record: ReportTable | None = None
    meters_title: str = ""
    meters: ReportTable | None = None
    degrees: ReportTable | None = None
    """Degree days, where a file gives temperatures."""
    co2: list[str] = field(default_factory=list)
    bills: list[BillShown] = field(default_factory=list)
    open_points: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
