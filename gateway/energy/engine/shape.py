"""The shape of a long gap: what the same quarter hours of like days took, measured, before it.

A like day is one of the same weekday; a holiday counts as a Sunday. Of the last thirteen weeks the newest
four are taken whose intervals at the gap's quarter hours are all measured; fewer than two, or a sum of 0,
is no shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

from gateway.energy.calendar import DAY, Calendar
from gateway.energy.engine.edges import Point, pieces
from gateway.energy.engine.intervals import DAYS, Past

LONGEST: Final = 366 * 86_400_000
"""ms: a gap of more than a year has no shape."""
LIKE: Final = 4
"""Like days that are taken."""
LEAST: Final = 2
"""Like days without which there is no comparison."""
_TWELFTHS: Final = 12
"""A mean of two, three or four whole numbers is a whole number of twelfths."""


def weights(past: Past, calendar: Calendar, a: Point, b: Point) -> list[int] | None:
    """A weight for each piece of the gap between two points; None: there is no shape, a straight line
    it is.
    """
    if b.total <= a.total or b.t - a.t > LONGEST:
        return None
    places = [(*calendar.place(q), span) for q, span in pieces(a, b)]
    slots: dict[date, list[int]] = {}
    for day, slot, _ in places:
        slots.setdefault(day, []).append(slot)
    before = places[0][0]
    means: dict[tuple[date, int], int] = {}
    for day, needed in slots.items():
        like = list(like_days(past, calendar, calendar.kind(day), needed, before))
        if len(like) < LEAST:
            return None
        for index, slot in enumerate(needed):
            means[day, slot] = sum(values[index] for values in like) * _TWELFTHS // len(like)
    found = [means[day, slot] * span for day, slot, span in places]
    return found if any(found) else None


def like_days(
    past: Past, calendar: Calendar, kind: int, slots: Sequence[int], before: date
) -> Iterator[list[int]]:
    """What the newest days of a kind took in `slots`, those alone in which all of these were measured."""
    found = 0
    for back in range(1, DAYS + 1):
        other = before - timedelta(back)
        if calendar.kind(other) != kind:
            continue
        values = []
        quarters = calendar.quarters(other)
        for slot in slots:
            start = quarters[slot] if len(quarters) == DAY else calendar.start(other, slot)
            interval = None if start is None else past.get(start)
            if interval is None or interval.quality != "m":
                break
            values.append(interval.value)
        else:
            yield values
            found += 1
            if found == LIKE:
                return
