"""Main against sub meters, day by day (checks 15 and 16): who counts more than comes in, and whose
transformer is another one than was configured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

from gateway.energy import GRAIN, Finding, tree
from gateway.history.history import History

QUANTITY: Final = "active_energy_import"
PERSIST: Final = 3
"""Days in a row."""
WEEK: Final = 7


class TreeWatch:
    """Looks at a local day that is over. What lasts is told on the day on which it has lasted long enough."""

    def __init__(self, history: History, meters: Sequence[tree.TreeMeter]) -> None:
        self._history = history
        self._calendar = history.calendar
        self._meters = meters

    def findings(self, day: date) -> Iterator[tuple[str, Finding]]:
        """What there is to tell of a day, by meter."""
        start = self._calendar.quarters(day)[0]
        before = self._over(day - timedelta(PERSIST))
        lasting = [self._over(day - timedelta(back)) for back in range(PERSIST)]
        for name, rest in lasting[0].items():
            if name not in before and all(name in each for each in lasting):
                amounts = {"rest": rest.rest, "band": rest.band, "metered": rest.metered}
                grains = {what: value * GRAIN for what, value in amounts.items()}
                yield name, Finding("over_count", start, grains)
        for meter in self._meters:
            now = self._suspicion(meter, day)
            if now is not None and self._suspicion(meter, day - timedelta(1)) is None:
                pairs = ", ".join(f"{configured}/{installed}" for configured, installed in now.pairs[:5])
                facts = {"factor": f"{now.factor:.3f}", "pairs": pairs}
                yield meter.id, Finding("transformer_ratio", start, {}, facts)

    def _over(self, day: date) -> dict[str, tree.UnmeteredRest]:
        energies = {}
        for meter in self._meters:
            held = self._history.day((meter.id, QUANTITY), day)
            if held is not None and all(held.quality):
                energies[meter.id] = sum(held.values)
        return {rest.meter: rest for rest in tree.rests(self._meters, energies) if rest.over_counted}

    def _suspicion(self, meter: tree.TreeMeter, day: date) -> tree.RatioSuspicion | None:
        if meter.parent is None:
            return None
        sub, above = self._week(meter.id, day), self._week(meter.parent, day)
        # Both halves of the week must say the same: else it has just begun, or is another load.
        half = len(sub) // 2
        parts = [tree.suspicion(meter.id, sub[at], above[at]) for at in (slice(half), slice(half, None))]
        early, late = parts
        if early is None or late is None or abs(early.factor / late.factor - 1) > tree.NEAR:
            return None
        return tree.suspicion(meter.id, sub, above)

    def _week(self, meter: str, day: date) -> list[int | None]:
        values: list[int | None] = []
        for back in reversed(range(WEEK)):
            other = day - timedelta(back)
            held = self._history.day((meter, QUANTITY), other)
            if held is None:
                values += [None] * len(self._calendar.quarters(other))
                continue
            values += [
                value if letter == "m" else None
                for value, letter in zip(held.values, held.quality, strict=True)
            ]
        return values
