"""What a plant feeds in against what is drawn, over each hour and over the month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class NettedEnergy:
    """Wh. `surplus`: fed in and not set against anything; `grid`: drawn and not covered."""

    drawn: int
    fed_in: int
    surplus: int
    grid: int

    @property
    def netted(self) -> int:
        """What was set against each other: never more than either side."""
        return self.drawn - self.grid


def over_hours(drawn: Mapping[int, int], fed_in: Mapping[int, int]) -> NettedEnergy:
    """Netted within each clock hour: Σ max(0, Exp − Imp), Σ max(0, Imp − Exp) (start → Wh)."""
    hours: dict[int, list[int]] = {}
    for side, values in enumerate((drawn, fed_in)):
        for start, value in values.items():
            hours.setdefault(start // HOUR, [0, 0])[side] += value
    surplus = sum(max(0, out - imp) for imp, out in hours.values())
    grid = sum(max(0, imp - out) for imp, out in hours.values())
    return NettedEnergy(sum(drawn.values()), sum(fed_in.values()), surplus, grid)


def over_all(drawn: Mapping[int, int], fed_in: Mapping[int, int]) -> NettedEnergy:
    """Netted over the whole of what is given: the month."""
    imp, out = sum(drawn.values()), sum(fed_in.values())
    return NettedEnergy(imp, out, max(0, out - imp), max(0, imp - out))


def self_consumption(generated: int, fed_in: int) -> float | None:
    """Share of what the plant gave that was used on the spot: (PV − Exp) / PV."""
    return (generated - fed_in) / generated if generated > 0 else None


def self_sufficiency(generated: int, fed_in: int, drawn: int) -> float | None:
    """Share of what was used that the plant gave: (PV − Exp) / (Imp + PV − Exp)."""
    used = drawn + generated - fed_in
    return (generated - fed_in) / used if used > 0 else None
