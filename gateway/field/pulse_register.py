"""The register of a meter with a pulse output, followed by counting. Pure."""

from __future__ import annotations

import math
from typing import Any

from gateway.config import Pulse

DIGITS = 9
"""Digits behind the point: a pulse is seldom less than 1/10 000 of the unit, and float noise is far smaller."""


class Register:
    """What the meter's own display shows: a value at some pulse count, and what was counted since.

    `carried` is what `carry` gave at the last batch. A changed `per_unit` holds from there on, a changed quantity begins at
    `start` again; the pulse count never goes back.
    """

    def __init__(self, pulse: Pulse, carried: object = None) -> None:
        self.quantity = pulse.quantity
        self._per_unit = pulse.per_unit
        self._count, self._value = 0, pulse.start
        match carried:
            case {"count": int(count), "register": int() | float() as value, "quantity": str(quantity)} if count >= 0 and math.isfinite(
                value
            ):
                self._count = count
                if quantity == pulse.quantity:
                    self._value = float(value)

    @property
    def count(self) -> int:
        """The pulse count from which on the register is computed."""
        return self._count

    def at(self, count: int) -> float:
        """The register at a pulse count, in the unit of the quantity."""
        return round(self._value + (count - self._count) / self._per_unit, DIGITS)

    def set(self, count: int, value: float) -> None:
        """The meter's display shows `value` at this pulse count."""
        self._count, self._value = count, value

    def carry(self, count: int) -> dict[str, Any]:
        """What a restart must know to go on from this pulse count."""
        return {"count": count, "register": self.at(count), "quantity": self.quantity}
