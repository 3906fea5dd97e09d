"""Energy from registers: what a meter's counters say, as whole numbers per quarter hour that add up to the
last digit. Pure.
"""

from gateway.energy.calendar import Calendar
from gateway.energy.edges import QUARTER
from gateway.energy.intervals import IEC_61968_9, Memory, Past, next_version
from gateway.energy.manifest import Manifest
from gateway.energy.meter import GAUGES, MeterSeries
from gateway.energy.series import Series
from gateway.energy.units import BASE, GRAIN, BaseUnit, base_unit, to_grains
from gateway.energy.validation import Context, Finding
from gateway.model import Interval

__all__ = [
    "BASE",
    "GAUGES",
    "GRAIN",
    "IEC_61968_9",
    "QUARTER",
    "BaseUnit",
    "Calendar",
    "Context",
    "Finding",
    "Interval",
    "Manifest",
    "Memory",
    "MeterSeries",
    "Past",
    "Series",
    "base_unit",
    "next_version",
    "to_grains",
]
