"""What a building used: drawn − fed in + what its own plant gave, per interval; and by band of a tariff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.energy.calendar import Calendar
from gateway.energy.rules import Tariff

_NIGHT: Final = (range(22, 24), range(5))
_DAY: Final = range(9, 16)
_TELLS: Final = 1000
"""Wh by day from which a register shows what a plant gives."""


@dataclass(frozen=True, slots=True)
class UsedEnergy:
    """`value` Wh, never negative; `rest`: what was cut off to keep it so (Wh, ≤ 0); `suspect`: more than the
    classes of the meters allow.
    """

    value: int
    rest: int = 0
    suspect: bool = False


def used_value(drawn: int, fed_in: int, generated: int) -> int:
    """The `value` of `used`: for who adds up years of intervals."""
    value = drawn - fed_in + generated
    return max(0, value)


def used(drawn: int, fed_in: int, generated: int, uncertainty: int = 0) -> UsedEnergy:
    """Drawn − fed in + generated, Wh of one interval; `uncertainty`: that of the three together, Wh."""
    value = drawn - fed_in + generated
    return UsedEnergy(value) if value >= 0 else UsedEnergy(0, value, -value > uncertainty)


def generated(imported: int, exported: int, direction: Literal["import", "export"]) -> int:
    """What a plant gave, by its own meter: the direction that counts its yield less the other one (Wh)."""
    return exported - imported if direction == "export" else imported - exported


def yield_direction(
    imported: Mapping[int, int], exported: Mapping[int, int], calendar: Calendar
) -> Literal["import", "export"] | None:
    """Which register of a plant's meter counts its yield: the one that grows by day and not by night (start →
    Wh of a day or more). None: it cannot be told yet, and nothing of the plant is shown.
    """
    sums = {}
    for direction, values in (("import", imported), ("export", exported)):
        by_day = by_night = 0
        for start, value in values.items():
            hour = calendar.place(start)[1] // 4
            by_day += value if hour in _DAY else 0
            by_night += value if any(hour in part for part in _NIGHT) else 0
        sums[direction] = (by_day, by_night)
    (day_in, night_in), (day_out, night_out) = sums["import"], sums["export"]
    if day_out >= _TELLS and day_out > 10 * night_out and day_out > 2 * day_in:
        return "export"
    if day_in >= _TELLS and day_in > 10 * night_in and day_in > 2 * day_out:
        return "import"
    return None


def by_band(
    values: Iterable[tuple[int, int]], calendar: Calendar, tariff: Tariff, *, old_clock: bool = False
) -> dict[str, int]:
    """(start, Wh) by band of a tariff: the parts add up to the whole."""
    parts = dict.fromkeys(tariff.names, 0)
    for start, value in values:
        day, slot = calendar.place(start)
        parts[tariff.band(day, slot // 4, old_clock=old_clock)] += value
    return parts


def cost(parts: Mapping[str, int], tariff: Tariff) -> float | None:
    """Of energy by band (Wh), in the tariff's currency; None where a band has no price."""
    if not tariff.currency or any(name not in tariff.prices for name in parts):
        return None
    return sum(value * tariff.prices[name] for name, value in parts.items()) / 1000


def per_area(wh: int, area: float) -> float:
    """KWh per m²."""
    return wh / 1000 / area


def degree_days(means: Sequence[float], base: float, when: float, *, heating: bool) -> float:
    """Σ of the distance from `base` of the days whose mean temperature (°C) is at or beyond `when`."""
    if heating:
        return sum(base - mean for mean in means if mean <= when)
    return sum(mean - base for mean in means if mean > when)
