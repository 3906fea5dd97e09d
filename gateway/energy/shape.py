"""The shape of a long gap: what the same quarter hours of like days took, measured, before it.

A like day is one of the same weekday; a holiday counts as a Sunday. Of the last thirteen weeks the newest
four are taken whose intervals at the gap's quarter hours are all measured; fewer than two, or a sum of 0, is
no shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from gateway.energy.edges import QUARTER, Point, pieces

DAYS: Final = 91
"""Days that are remembered."""
LONGEST: Final = 366 * 86_400_000
"""ms: a gap of more than a year has no shape."""
_TAKE: Final = 4
_LEAST: Final = 2
_SUNDAY: Final = 6
_SLOTS: Final = 96
_TWELFTHS: Final = 12
"""A mean of two, three or four whole numbers is a whole number of twelfths."""


@dataclass(frozen=True)
class Calendar:
    """The building's local days: its zone and its holidays."""

    zone: tzinfo = UTC
    holidays: frozenset[date] = field(default_factory=frozenset)

    def place(self, q: int) -> tuple[date, int]:
        """Local date of a quarter hour (ms UTC) and which of the day's 96 it is by the clock on the wall."""
        return _place(self.zone, q)

    def kind(self, day: date) -> int:
        """0 Monday … 6 Sunday and holidays."""
        return _SUNDAY if day in self.holidays else day.weekday()


@lru_cache(maxsize=4096)
def _place(zone: tzinfo, q: int) -> tuple[date, int]:
    local = datetime.fromtimestamp(q // 1000, zone)
    return local.date(), local.hour * 4 + local.minute // 15


class LikeDays:
    """What one register took in each measured quarter hour of the last weeks."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._days: dict[date, list[int | None]] = {}

    def remember(self, start: int, value: int) -> None:
        """Take in a measured interval; they come in the order of their time."""
        day, slot = self._calendar.place(start)
        if day not in self._days:
            oldest = day - timedelta(DAYS)
            for old in [known for known in self._days if known < oldest]:
                del self._days[old]
            self._days[day] = [None] * _SLOTS
        self._days[day][slot] = value

    def forget(self, start: int) -> None:
        """An interval that was remembered is not measured after all."""
        day, slot = self._calendar.place(start)
        if day in self._days:
            self._days[day][slot] = None

    def weights(self, a: Point, b: Point) -> list[int] | None:
        """A weight for each piece of the gap between two points; None: there is no shape, a straight line
        it is.
        """
        if b.total <= a.total or b.t - a.t > LONGEST:
            return None
        places = [(*self._calendar.place(q), span) for q, span in pieces(a, b)]
        slots: dict[date, list[int]] = {}
        for day, slot, _ in places:
            slots.setdefault(day, []).append(slot)
        before = places[0][0]
        means: dict[tuple[date, int], int] = {}
        for day, needed in slots.items():
            like = list(self._like(day, needed, before))
            if len(like) < _LEAST:
                return None
            for slot in needed:
                means[day, slot] = sum(each[slot] or 0 for each in like) * _TWELFTHS // len(like)
        weights = [means[day, slot] * span for day, slot, span in places]
        return weights if any(weights) else None

    def _like(self, day: date, slots: list[int], before: date) -> Iterator[list[int | None]]:
        kind, found = self._calendar.kind(day), 0
        for back in range(1, DAYS + 1):
            other = before - timedelta(back)
            values = self._days.get(other)
            if (
                values is None
                or self._calendar.kind(other) != kind
                or any(values[slot] is None for slot in slots)
            ):
                continue
            yield values
            found += 1
            if found == _TAKE:
                return


assert timedelta(days=1) // timedelta(milliseconds=1) == QUARTER * _SLOTS
