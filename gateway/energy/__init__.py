"""Energy from registers: what a meter's counters say, as whole numbers per quarter hour that add up to the
last digit, and what follows from them for a building. Pure.
"""

from gateway.energy import building_load, consumption, netting, reactive, tree
from gateway.energy.building import (
    EXPORT,
    IMPORT,
    NOT_YET,
    SERIES,
    TOTAL,
    BuildingRegisters,
    BuildingSeries,
    DayQuarters,
    Register,
    counter_of,
)
from gateway.energy.calendar import Calendar
from gateway.energy.checks.meter import from_future
from gateway.energy.checks.meters import MeterChecks
from gateway.energy.checks.register import Context, Finding, KeptFinding
from gateway.energy.day_sum import HOURS, DaySum, day_sum, sum_of_quarters
from gateway.energy.engine.edges import QUARTER, shares
from gateway.energy.engine.intervals import IEC_61968_9, Memory, Past, next_version
from gateway.energy.engine.manifest import Manifest
from gateway.energy.engine.meter import GAUGES, MeterSeries
from gateway.energy.engine.series import Series
from gateway.energy.engine.units import BASE, GRAIN, GRAIN_DIGITS, BaseUnit, base_unit, shown, to_grains
from gateway.energy.polls import PollCounts, PollHours
from gateway.energy.rules import Dated, DatedRules, Tariff
from gateway.model import Interval

__all__ = [
    "BASE",
    "EXPORT",
    "GAUGES",
    "GRAIN",
    "GRAIN_DIGITS",
    "HOURS",
    "IEC_61968_9",
    "IMPORT",
    "NOT_YET",
    "QUARTER",
    "SERIES",
    "TOTAL",
    "BaseUnit",
    "BuildingRegisters",
    "BuildingSeries",
    "Calendar",
    "Context",
    "Dated",
    "DatedRules",
    "DayQuarters",
    "DaySum",
    "Finding",
    "Interval",
    "KeptFinding",
    "Manifest",
    "Memory",
    "MeterChecks",
    "MeterSeries",
    "Past",
    "PollCounts",
    "PollHours",
    "Register",
    "Series",
    "Tariff",
    "base_unit",
    "building_load",
    "consumption",
    "counter_of",
    "day_sum",
    "from_future",
    "netting",
    "next_version",
    "reactive",
    "shares",
    "shown",
    "sum_of_quarters",
    "to_grains",
    "tree",
]
