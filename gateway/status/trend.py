"""The last hour's active power per meter, in memory only: a point per ten seconds, bounded whatever
happens.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from math import isfinite, nan

STEP_MS = 10_000
POINTS = 360
MAX_METERS = 256
"""256 meters take 370 KiB."""


def _empty() -> array[float]:
    return array("f", [nan]) * POINTS


@dataclass(slots=True)
class _Ring:
    slot: int
    total: float = 0.0
    count: int = 0
    points: array[float] = field(default_factory=_empty)


class Trend:
    """A ring per meter; times are CLOCK_BOOTTIME in ms, so that a stepped clock does not tear the curve."""

    def __init__(self) -> None:
        self._rings: dict[str, _Ring] = {}

    def add(self, meter: str, uptime: int, power: float) -> None:
        """Note the power (kW) that a meter gave at `uptime` (ms); several in ten seconds become their
        mean.
        """
        if not isfinite(power):
            return
        slot = uptime // STEP_MS
        ring = self._rings.get(meter)
        if ring is None:
            if len(self._rings) >= MAX_METERS:
                return
            ring = self._rings[meter] = _Ring(slot)
        if slot < ring.slot:
            return
        if slot > ring.slot:
            for passed in range(max(ring.slot + 1, slot - POINTS + 1), slot + 1):
                ring.points[passed % POINTS] = nan
            ring.slot, ring.total, ring.count = slot, 0.0, 0
        ring.total += power
        ring.count += 1
        ring.points[slot % POINTS] = ring.total / ring.count

    def keep(self, meters: set[str]) -> None:
        """Forget every meter that is not named: after a reload."""
        for gone in self._rings.keys() - meters:
            del self._rings[gone]

    def points(self, meter: str, now: int) -> list[float | None]:
        """The hour up to `now` (CLOCK_BOOTTIME, ms), oldest first, in kW; None where nothing was read."""
        ring = self._rings.get(meter)
        last = now // STEP_MS
        first = last - POINTS + 1
        if ring is None:
            return [None] * POINTS
        known = range(max(first, ring.slot - POINTS + 1), ring.slot + 1)
        return [
            _number(ring.points[slot % POINTS]) if slot in known else None for slot in range(first, last + 1)
        ]


def _number(point: float) -> float | None:
    return point if isfinite(point) else None
