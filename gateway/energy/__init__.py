"""Energy from registers: what a meter's counters say, as whole numbers per quarter hour that add up to the
last digit, and what follows from them for a building. Pure.
"""

from gateway.energy import consumption, load, netting, reactive, tree
from gateway.energy.calendar import Calendar
from gateway.energy.checks.meter import Plausibility, time_flaw
from gateway.energy.checks.register import Context, Finding
from gateway.energy.engine.edges import QUARTER, shares
from gateway.energy.engine.intervals import IEC_61968_9, Memory, Past, next_version
from gateway.energy.engine.manifest import Manifest
from gateway.energy.engine.meter import GAUGES, MeterSeries
from gateway.energy.engine.series import Series
from gateway.energy.engine.units import BASE, GRAIN, GRAIN_DIGITS, BaseUnit, base_unit, shown, to_grains
from gateway.energy.rules import Dated, DatedRules, Tariff
from gateway.model import Interval

__all__ = [
    "BASE",
    "GAUGES",
    "GRAIN",
    "GRAIN_DIGITS",
    "IEC_61968_9",
    "QUARTER",
    "BaseUnit",
    "Calendar",
    "Context",
    "Dated",
    "DatedRules",
    "Finding",
    "Interval",
    "Manifest",
    "Memory",
    "MeterSeries",
    "Past",
    "Plausibility",
    "Series",
    "Tariff",
    "base_unit",
    "consumption",
    "load",
    "netting",
    "next_version",
    "reactive",
    "shares",
    "shown",
    "time_flaw",
    "to_grains",
    "tree",
]
