"""What the process that makes a file is told."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.status.energy.facts import EnergyHistory
from gateway.status.energy.period import Period


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """A file of a view: `form` is csv or xlsx, `now` UTC in ms, `names` the building's and the gateway's."""

    history: EnergyHistory
    view: str
    form: str
    period: Period
    meter: str
    language: str
    timezone: str
    now: int
    names: tuple[str, str]
    quantity: str = ""
    """Of the meter; empty: the first that it counts."""
