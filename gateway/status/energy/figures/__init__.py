"""Numbers of the building and of its meters, from the history."""

from gateway.energy import EXPORT, IMPORT, QUARTER
from gateway.status.energy.figures.degrees import DegreeDays, degree_days
from gateway.status.energy.figures.figures import BuildingRest, DayQuality, Figures, MeterPart
from gateway.status.energy.figures.quarters import DayValues, Quarters
from gateway.status.energy.figures.sums import DaySums, EnergyEmission, KnownQuarters, by_day, total

__all__ = [
    "EXPORT",
    "IMPORT",
    "QUARTER",
    "BuildingRest",
    "DayQuality",
    "DaySums",
    "DayValues",
    "DegreeDays",
    "EnergyEmission",
    "Figures",
    "KnownQuarters",
    "MeterPart",
    "Quarters",
    "by_day",
    "degree_days",
    "total",
]
