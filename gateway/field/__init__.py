"""The only room that touches a meter: BusWorker polls the meters of one bus, PulseInputs counts pulses.

A part is loaded when one of its names is asked for: whoever plans or checks needs no pymodbus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.common.on_demand import on_demand

if TYPE_CHECKING:
    from gateway.field.facts import Fact, MeterFacts, values_skipped
    from gateway.field.forecast import (
        BusForecast,
        MeterForecast,
        forecast_bus,
        overload,
        stored_per_day,
        traffic,
    )
    from gateway.field.health import BusHealth, MeterHealth, PollState
    from gateway.field.learnt import LEARNT_FILE, Learnt
    from gateway.field.meter.counters import ENERGY_UNITS, energy_ratio
    from gateway.field.meter.decode import decode
    from gateway.field.meter.planner import Read
    from gateway.field.meter.poll import Replies
    from gateway.field.meter.reader import MeterTask
    from gateway.field.meter.state import PolledMeter
    from gateway.field.port.adapter import low_latency, not_opened, port_holder, port_in_use, port_trouble
    from gateway.field.port.contract import registers_of
    from gateway.field.port.difference import Difference, rule_of
    from gateway.field.port.direction import Direction
    from gateway.field.port.mbap import next_number
    from gateway.field.port.request import refused
    from gateway.field.port.rtu import frames
    from gateway.field.port.transport import has_right_crc, sealed
    from gateway.field.pulses.counting import PulseInputs
    from gateway.field.pulses.input import PulseHealth
    from gateway.field.pulses.register import carried_count, newer_carried
    from gateway.field.worker import BusWorker

_HOMES = {
    "ENERGY_UNITS": "meter.counters",
    "LEARNT_FILE": "learnt",
    "BusForecast": "forecast",
    "BusHealth": "health",
    "BusWorker": "worker",
    "Difference": "port.difference",
    "Direction": "port.direction",
    "Fact": "facts",
    "Learnt": "learnt",
    "MeterFacts": "facts",
    "MeterForecast": "forecast",
    "MeterHealth": "health",
    "MeterTask": "meter.reader",
    "PolledMeter": "meter.state",
    "PollState": "health",
    "PulseHealth": "pulses.input",
    "PulseInputs": "pulses.counting",
    "Read": "meter.planner",
    "Replies": "meter.poll",
    "carried_count": "pulses.register",
    "decode": "meter.decode",
    "energy_ratio": "meter.counters",
    "forecast_bus": "forecast",
    "frames": "port.rtu",
    "has_right_crc": "port.transport",
    "low_latency": "port.adapter",
    "newer_carried": "pulses.register",
    "next_number": "port.mbap",
    "not_opened": "port.adapter",
    "overload": "forecast",
    "port_holder": "port.adapter",
    "port_in_use": "port.adapter",
    "port_trouble": "port.adapter",
    "refused": "port.request",
    "registers_of": "port.contract",
    "rule_of": "port.difference",
    "sealed": "port.transport",
    "stored_per_day": "forecast",
    "traffic": "forecast",
    "values_skipped": "facts",
}

__all__ = [
    "ENERGY_UNITS",
    "LEARNT_FILE",
    "BusForecast",
    "BusHealth",
    "BusWorker",
    "Difference",
    "Direction",
    "Fact",
    "Learnt",
    "MeterFacts",
    "MeterForecast",
    "MeterHealth",
    "MeterTask",
    "PollState",
    "PolledMeter",
    "PulseHealth",
    "PulseInputs",
    "Read",
    "Replies",
    "carried_count",
    "decode",
    "energy_ratio",
    "forecast_bus",
    "frames",
    "has_right_crc",
    "low_latency",
    "newer_carried",
    "next_number",
    "not_opened",
    "overload",
    "port_holder",
    "port_in_use",
    "port_trouble",
    "refused",
    "registers_of",
    "rule_of",
    "sealed",
    "stored_per_day",
    "traffic",
    "values_skipped",
]

if not TYPE_CHECKING:
    __getattr__ = on_demand(globals(), __name__, _HOMES)
