"""Local days of one register: what is unusual about a day is told, and changes no quality: unusual is not
wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import date

from gateway.energy.intervals import Interval
from gateway.energy.shape import Calendar
from gateway.energy.units import GRAIN
from gateway.energy.validation import Finding, out_of_history, spike

_WHOLE = 92
"""Quarter hours of the shortest local day."""
_LIKE = 4


class Days:
    """Gathers the measured intervals of a local day and judges it when the next one begins."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._day: date | None = None
        self._start = 0
        self._values: list[int] = []
        self._whole = True
        self._sums: dict[int, deque[int]] = {}

    def take(self, interval: Interval) -> Iterator[Finding]:
        """Take in the next interval; a day that it ends is judged if every interval of it was measured."""
        day, _ = self._calendar.place(interval.start)
        if day != self._day:
            if self._day is not None and self._whole and len(self._values) >= _WHOLE:
                yield from self._judge(self._day)
            self._day, self._start, self._values, self._whole = day, interval.start, [], True
        self._whole = self._whole and interval.quality == "m"
        self._values.append(interval.value)

    def _judge(self, day: date) -> Iterator[Finding]:
        above = spike(self._values)
        if above is not None:
            yield Finding("spike", self._start, {"highest": max(self._values) * GRAIN}, {"percent": above})
        sums = self._sums.setdefault(self._calendar.kind(day), deque(maxlen=_LIKE))
        total = sum(self._values)
        if out_of_history(total, sums):
            yield Finding(
                "unusual_day", self._start, {"sum": total * GRAIN, "usual": sum(sums) * GRAIN // len(sums)}
            )
        sums.append(total)
