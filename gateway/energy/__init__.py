"""Energy from registers: what a meter's counters say, as whole numbers per quarter hour that add up to the
last digit. Pure.
"""

from gateway.energy.intervals import Interval, next_version
from gateway.energy.meter import MeterSeries
from gateway.energy.series import Series
from gateway.energy.shape import Calendar
from gateway.energy.units import BASE, GRAIN, BaseUnit, base_unit, to_grains
from gateway.energy.validation import Context, Finding

__all__ = [
    "BASE",
    "GRAIN",
    "BaseUnit",
    "Calendar",
    "Context",
    "Finding",
    "Interval",
    "MeterSeries",
    "Series",
    "base_unit",
    "next_version",
    "to_grains",
]
