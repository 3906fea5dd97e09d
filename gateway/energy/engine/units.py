"""Whole units: what a kWh, a kvarh, a m³ is counted in, and how a register's decimal becomes an integer
without rounding.

An interval is a whole number of base units (Wh, varh, VAh, ml, pulses). A register may be finer than that:
what it says is held in grains, 10^-12 of a base unit, so that 184223.9137 kWh or the 17 digits of a float are
exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Final

from gateway.model import QUANTITIES

GRAIN: Final = 10**12
"""Grains in a base unit."""
HOUR: Final = 3_600_000
"""Milliseconds."""
GRAIN_DIGITS: Final = 12
_ONE: Final = Decimal(1)
_MOST: Final = Decimal(10) ** 15
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow])


@dataclass(frozen=True, slots=True)
class BaseUnit:
    """`name` of the base unit, 10^`digits` of it in the vocabulary's unit.

    `most`: base units an hour that no register in a building gains; `leap`: what it may gain at once however
    little it gained before.
    """

    name: str
    digits: int
    most: int
    leap: int


BASE: Final = {
    "kWh": BaseUnit("Wh", 3, 10_000_000, 1_000_000),
    "kvarh": BaseUnit("varh", 3, 10_000_000, 1_000_000),
    "kVAh": BaseUnit("VAh", 3, 10_000_000, 1_000_000),
    "m³": BaseUnit("ml", 6, 10_000_000_000, 100_000_000),
    "": BaseUnit("pulses", 0, 100_000_000, 1_000_000),
}
"""By the vocabulary's unit of a counter: 10 MW and 1 MW; 10 000 m³/h and 100 m³/h; 28 kHz and 280 Hz."""


def base_unit(quantity: str) -> BaseUnit:
    """What a counter of the vocabulary is counted in. Raises KeyError for what is no counter."""
    word = QUANTITIES[quantity]
    if word.kind != "counter":
        raise KeyError(quantity)
    return BASE[word.unit]


def to_grains(value: Decimal, unit: BaseUnit) -> int:
    """A register in the vocabulary's unit as grains, exactly. Raises ValueError for more digits than they
    hold.
    """
    shift = unit.digits + GRAIN_DIGITS
    if not value.is_finite() or value.copy_abs() >= _MOST:
        raise ValueError("is not a number of at most 15 digits before the point")
    try:
        return int(value.scaleb(shift, _EXACT).quantize(_ONE, context=_EXACT))
    except DecimalException:
        raise ValueError(f"has more than {shift} decimals") from None


def rounded(grains: int) -> int:
    """Whole base units, half up."""
    return (2 * grains + GRAIN) // (2 * GRAIN)


def shown(grains: int) -> int | float:
    """Base units for a person's eye: whole when they are."""
    whole, rest = divmod(grains, GRAIN)
    return grains / GRAIN if rest else whole


def fits(gain: int, elapsed: int, most: int, slack: int = 0) -> bool:
    """Whether `gain` (grains) is possible in `elapsed` ms at `most` base units an hour; `slack` is the
    register's step.
    """
    return (gain - slack) * HOUR <= most * elapsed * GRAIN
