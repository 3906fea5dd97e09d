"""Local days of one register: what is unusual about a day is told, and changes no quality: unusual is not
wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from gateway.energy.calendar import Calendar
from gateway.energy.checks.register import Finding, out_of_history, spike
from gateway.energy.engine.intervals import Past
from gateway.energy.engine.shape import like_days
from gateway.energy.engine.units import GRAIN
from gateway.model import Interval


class Days:
    """Judges a local day when the next one begins, if every interval of it was measured."""

    def __init__(self, calendar: Calendar, past: Past) -> None:
        self._calendar = calendar
        self._past = past
        self.day: date | None = None

    def take(self, interval: Interval) -> Iterator[Finding]:
        """Take in the next interval."""
        day, _ = self._calendar.place(interval.start)
        if self.day is not None and day > self.day:
            yield from self._judge(self.day)
        self.day = day

    def _judge(self, day: date) -> Iterator[Finding]:
        quarters = self._calendar.quarters(day)
        values = []
        for start in quarters:
            interval = self._past.get(start)
            if interval is None or interval.quality != "m":
                return
            values.append(interval.value)
        above = spike(values)
        if above is not None:
            yield Finding("spike", quarters[0], {"highest": max(values) * GRAIN}, {"percent": above})
        slots = sorted({self._calendar.place(start)[1] for start in quarters})
        like = like_days(self._past, self._calendar, self._calendar.kind(day), slots, day)
        sums, total = [sum(each) for each in like], sum(values)
        if out_of_history(total, sums):
            usual = sum(sums) * GRAIN // len(sums)
            yield Finding("unusual_day", quarters[0], {"sum": total * GRAIN, "usual": usual})
