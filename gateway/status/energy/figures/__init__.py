"""Numbers of the building and of its meters, from the history."""

from gateway.energy import EXPORT, IMPORT, QUARTER
from gateway.status.energy.figures.degrees import KINDS, DegreeDays, degree_days
from gateway.status.energy.figures.figures import BuildingRest, DayQuality, Figures, MeterPart
from gateway.status.energy.figures.quarters import Quarters, ValuesByDay
from gateway.status.energy.figures.sums import (
    ONE_BAND,
    EnergyEmission,
    KnownQuarters,
    SumsByDay,
    by_day,
    total,
)

__all__ = [
    "EXPORT",
    "IMPORT",
    "KINDS",
    "ONE_BAND",
    "QUARTER",
    "BuildingRest",
    "DayQuality",
    "DegreeDays",
    "EnergyEmission",
    "Figures",
    "KnownQuarters",
    "MeterPart",
    "Quarters",
    "SumsByDay",
    "ValuesByDay",
    "by_day",
    "degree_days",
    "total",
]
