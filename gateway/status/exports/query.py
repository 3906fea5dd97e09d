"""The words of an address that name a range of days and a meter, for pages, programs and files alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

from gateway.energy import Calendar
from gateway.status.energy.facts import BuildingFacts, EnergyHistory, EnergyReader
from gateway.status.energy.figures import QUARTER, Figures
from gateway.status.energy.period import WORDS, Period, parse, year_of
from gateway.status.snapshot import Snapshot

Query = Mapping[str, str]
_LONGEST: Final = 200
"""Characters of all values together."""


class WrongQuery(Exception):
    """An address that cannot be understood; its text says why."""


def figures_of(history: EnergyHistory, reader: EnergyReader, now: Snapshot) -> Figures:
    """The numbers of the opened history."""
    return Figures(history.facts, reader, Calendar(ZoneInfo(now.timezone)), now.taken)


def today_of(now: Snapshot) -> date:
    """The building's local day."""
    return Calendar(ZoneInfo(now.timezone)).place(now.taken // QUARTER * QUARTER)[0]


def check_range(view: str, query: Query) -> None:
    """Raises WrongQuery when a view is asked for a range that it cannot be of."""
    asked = [word for word in WORDS if word in query]
    if view == "report" and {*asked} - {"year", "month"}:
        raise WrongQuery("a report is of a year or of a month: write year=2026 or month=2026-11")
    if view == "reactive" and query.get("format", "json") == "json" and {*asked} - {"month"}:
        raise WrongQuery("reactive energy is judged by the month: write month=2026-11")


def period_of(query: Query, today: date) -> Period:
    """The range that is asked for, else the month of `today`. Raises WrongQuery."""
    if sum(len(text) for text in query.values()) > _LONGEST:
        raise WrongQuery("the address is too long")
    try:
        return parse(query, today)
    except ValueError as error:
        raise WrongQuery(str(error)) from error


def file_period(view: str, query: Query, today: date) -> Period:
    """The range of a file: any can be cut into quarter hours; a report is of a year or of a month. Raises
    WrongQuery.
    """
    if view == "report" and not {"year", "month"} & query.keys():
        return year_of(today.year)
    if query.get("by") == "quarter":
        return replace(
            period_of({key: text for key, text in query.items() if key != "by"}, today), step="quarter"
        )
    return period_of(query, today)


def subject_of(query: Query, figures: Figures) -> str:
    """The meter that is asked for, as `meter_of`; from now on the figures are of that, and of the quantity
    that is asked for. Raises WrongQuery.
    """
    meter, quantity = meter_of(query, figures.facts), query.get("quantity", "")
    if quantity and not meter:
        raise WrongQuery("a quantity is that of a meter: write meter=, too")
    try:
        figures.focus_on(meter, quantity)
    except ValueError as error:
        raise WrongQuery(str(error)) from error
    return meter


def meter_of(query: Query, facts: BuildingFacts) -> str:
    """The id of the meter that is asked for, empty for the building. Raises WrongQuery."""
    meter = query.get("meter", "")
    if meter and all(each.id != meter for each in facts.meters):
        raise WrongQuery(f"there is no meter {meter[:40]!r}")
    return meter
