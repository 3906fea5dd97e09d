"""The register of a meter with a pulse output, followed by counting. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gateway.config import Pulse

DIGITS = 9
"""Digits behind the point: a pulse is seldom less than 1/10 000 of the unit, and float noise is far
smaller.
"""
MOST = 10**15
"""Pulses beyond which a float would not tell one from the next."""


def _number(value: object, most: float) -> float | None:
    good = (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= most
    )
    return float(value) if good else None  # type: ignore[arg-type]


def carried_count(carried: object) -> int | None:
    """The pulse count of a carried state; None when it has none that can be."""
    count = carried.get("count") if isinstance(carried, Mapping) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST else None


def newer_carried(one: object, other: object) -> Any:
    """The newer of two carried states of an input: a count never falls, and a register that was set later
    was set more often.
    """

    def age(carried: object) -> tuple[int, float]:
        count = carried_count(carried)
        sets = _number(carried.get("sets"), MOST) if isinstance(carried, Mapping) else None
        return (-1 if count is None else count, sets or 0.0)

    return one if age(one) >= age(other) else other


class PulseRegister:
    """What the meter's own display shows: a value at some pulse count, and what was counted since.

    `carried` is what `carry` gave at the last batch; count and register are taken over each by itself. A
    changed `per_unit` holds from there on, a changed quantity begins at `start` again; the pulse count never
    goes back.
    """

    def __init__(self, pulse: Pulse, carried: object = None) -> None:
        self.quantity = pulse.quantity
        self._per_unit = pulse.per_unit
        self._count, self._value = 0, pulse.start
        self.carried = 0
        """Pulses counted until then."""
        self._sets = 0
        self.began = "no register is known"
        """Why the register begins without a past of its own, or not with all of it; empty when it simply
        goes on.
        """
        self.changed: dict[str, Any] = {}
        """How the configuration moved the register, or its pace: fields of the event `pulse_register_set`."""
        self.doubt = ""
        """Why the display should be read and the register set; empty when there is no reason."""
        known = carried if isinstance(carried, Mapping) else {}
        count = carried_count(known)
        if count is not None:
            self._count = self.carried = count
            self._go_on(known, count)
        if self.began:
            self.doubt = self.began
        elif isinstance(known.get("mended"), str):
            self.began = known["mended"]

    def _go_on(self, known: Mapping[str, Any], count: int) -> None:
        sets = _number(known.get("sets"), MOST)
        self._sets = int(sets or 0)
        value = _number(known.get("register"), math.inf)
        if value is None or not isinstance(known.get("quantity"), str):
            self.began = "only the pulse count is known"
            return
        self.began = ""
        self.doubt = known["doubt"] if isinstance(known.get("doubt"), str) else ""
        per_unit = _number(known.get("per_unit"), math.inf)
        if known["quantity"] != self.quantity:
            self.changed = {"old": value, "new": self._value, "why": f"quantity was {known['quantity']}"}
            return
        self._value = value
        if per_unit not in {None, self._per_unit}:
            self.changed = {"old": value, "new": value, "why": f"per_unit was {per_unit:g}"}
            return
        # From the same base as before, so that no rounding adds up.
        match known.get("base"):
            case [int(base), int() | float() as start] if (
                0 <= base <= count and _number(start, math.inf) is not None
            ):
                self._count, self._value = base, float(start)
                if self.at(count) != round(value, DIGITS):
                    self._count, self._value = count, value

    def at(self, count: int) -> float:
        """The register at a pulse count, in the unit of the quantity."""
        return round(self._value + (count - self._count) / self._per_unit, DIGITS)

    def set(self, count: int, value: float) -> None:
        """The meter's display shows `value` at this pulse count."""
        self._count, self._value = count, value
        self._sets += 1
        self.doubt = ""

    def carry(self, count: int) -> dict[str, Any]:
        """What a restart must know to go on from this pulse count: finite numbers and text only."""
        state = {
            "count": count, "register": self.at(count), "quantity": self.quantity,
            "base": [self._count, self._value], "per_unit": self._per_unit,
        }  # fmt: skip
        return {
            **state,
            **({"sets": self._sets} if self._sets else {}),
            **({"doubt": self.doubt} if self.doubt else {}),
        }
