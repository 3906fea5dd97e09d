"""Values of readings and events, as the engine and its saved state have them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final

from gateway.energy import GAUGES, GRAIN_DIGITS, BaseUnit, base_unit, to_grains
from gateway.model import QUANTITIES, Event, Reading

COUNTERS: Final = frozenset(name for name, word in QUANTITIES.items() if word.is_register)
USED: Final = COUNTERS | GAUGES.keys()
"""What the engine takes of a reading."""
Moment = Reading | Event
"""What the engine hears of a meter, in the order of time: its readings, and that it was exchanged."""
_OF_EVENT: Final = 3
"""Values of an event; a reading has more."""
_PLAIN: Final = 12
"""Characters up to which a number has fewer decimals than a grain is fine."""


def finding_key(fields: Mapping[str, Any]) -> str:
    """What tells one finding from another."""
    return json.dumps([fields.get(name) for name in ("check", "meter", "quantity", "t")])


def in_grains(name: str, value: float) -> int | None:
    """A value as it was rounded, exactly; None for what no register shows."""
    unit, text = _unit(name), repr(value)
    try:
        whole, _, part = text.partition(".")
        if len(text) < _PLAIN and whole.isdecimal() and (not part or part.isdecimal()):
            # The usual register: the same as below, several times as fast.
            return int(whole + part + "0" * (unit.digits + GRAIN_DIGITS - len(part)))
        return to_grains(Decimal(text), unit)
    except ValueError:
        return None


@cache
def _unit(name: str) -> BaseUnit:
    return base_unit(GAUGES.get(name, name))


def registers_of(told: object) -> dict[str, int]:
    """Registers by quantity, in the vocabulary's unit, as grains."""
    if not isinstance(told, dict):
        return {}
    found = {}
    for name, value in told.items():
        if name in COUNTERS and type(value) in {int, float}:
            grains = in_grains(name, value)
            if grains is not None:
                found[name] = grains
    return found


def dumped(moment: Moment) -> list[Any]:
    """What the engine needs of a reading or an exchange, as JSON values."""
    if isinstance(moment, Event):
        return [moment.kind, moment.uptime, moment.fields]
    values = {name: value for name, value in moment.values.items() if name in COUNTERS or name in GAUGES}
    return [moment.meter, moment.uptime, values, list(moment.suspect), moment.absent]


def loaded(state: Sequence[Any]) -> Moment:
    """What `dumped` gave."""
    if len(state) == _OF_EVENT:
        return Event(*state)
    meter, uptime, values, suspect, absent = state
    return Reading(meter, uptime, values, absent, suspect=tuple(suspect))
