"""How a meter answered lately: of each of the last hours, how many of its polls were due and how many of them
brought nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Final

from gateway.model import Reading

HOUR: Final = 3_600_000
"""ms."""
KEPT: Final = 8 * 24
"""Hours: a week of whole days, and today."""
_METER: Final = attrgetter("meter")
_UPTIME: Final = attrgetter("uptime")
PollHours = Mapping[int, tuple[int, int]]
"""Beginning of an hour (ms UTC) → polls that were due in it, and how many of them brought nothing."""


class PollCounts:
    """Counts the polls of all meters by the hour; the hours before the last `KEPT` are forgotten."""

    def __init__(self) -> None:
        self._due: dict[int, dict[str, int]] = {}
        """Hour (number since 1970) → meter → polls."""
        self._failed: dict[int, dict[str, int]] = {}

    def restore(self, state: Mapping[str, tuple[int, list[int], list[int]]]) -> None:
        """Know what `state` gave. Raises ValueError, TypeError, AttributeError for anything else."""
        for meter, (first, due, failed) in state.items():
            for hour, (polls, without) in enumerate(zip(due, failed, strict=True), first):
                self._add(hour, {meter: polls} if polls else {}, {meter: without} if without else {})

    def count(self, readings: Iterable[Reading], offset: int) -> None:
        """Count a batch; `offset`: UTC minus CLOCK_BOOTTIME, ms."""
        by_hour: dict[int, list[Reading]] = {}
        uptimes = [*map(_UPTIME, readings)]
        if not uptimes:
            return
        first, newest = (min(uptimes) + offset) // HOUR, (max(uptimes) + offset) // HOUR
        if first == newest:  # as nearly always
            by_hour[newest] = [*readings]
        else:
            for each in readings:
                by_hour.setdefault((each.uptime + offset) // HOUR, []).append(each)
        for hour, polls in by_hour.items():
            self._add(
                hour, Counter(map(_METER, polls)), Counter(each.meter for each in polls if each.missing)
            )
        if min(self._due) <= newest - KEPT or max(self._due) > newest:
            # Behind the newest are hours of a clock that was set back.
            for kept in (self._due, self._failed):
                for hour in [each for each in kept if not newest - KEPT < each <= newest]:
                    del kept[hour]

    def _add(self, hour: int, due: Mapping[str, int], failed: Mapping[str, int]) -> None:
        for kept, counts in ((self._due, due), (self._failed, failed)):
            if counts:
                known = kept.setdefault(hour, {})
                for meter, count in counts.items():
                    known[meter] = known.get(meter, 0) + count

    def forget(self) -> None:
        """Nothing is known any more: what was counted comes again."""
        self._due.clear()
        self._failed.clear()

    def state(self) -> dict[str, tuple[int, list[int], list[int]]]:
        """Everything that is known, as JSON values."""
        state = {}
        for meter in sorted({meter for polls in self._due.values() for meter in polls}):
            known = self.of(meter)
            first, last = min(known) // HOUR, max(known) // HOUR
            # By columns: the same numbers beside each other take next to nothing.
            hours = [known.get(hour * HOUR, (0, 0)) for hour in range(first, last + 1)]
            state[meter] = (first, [due for due, _ in hours], [failed for _, failed in hours])
        return state

    def of(self, meter: str) -> dict[int, tuple[int, int]]:
        """The hours of a meter, as PollHours."""
        return {
            hour * HOUR: (polls[meter], self._failed.get(hour, {}).get(meter, 0))
            for hour, polls in sorted(self._due.items())
            if meter in polls
        }
