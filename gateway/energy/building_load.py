"""The shape of a building's load: its base, its peak, and a day beside the days like it. Powers in W: a
quarter hour's Wh × 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Final

from gateway.energy.calendar import DAY, Calendar
from gateway.energy.engine.edges import QUARTER
from gateway.energy.engine.shape import LEAST, LIKE

NIGHT: Final = range(20)
"""Quarter hours of a day, 00:00 to 05:00."""
TENTH: Final = 10
RISEN: Final = 1.2
"""Times the median of its like days at which a closed day's base load is told."""
_WEEKS: Final = 13
ENOUGH: Final = LEAST
"""Like days that a comparison takes."""
_KNOWN: Final = DAY // 2
"""Quarter hours of the day before a peak that must be known to say what a meter usually took."""


@dataclass(frozen=True, slots=True)
class BaseLoad:
    """W that always flow; `share` of all that was used."""

    power: int
    share: float


@dataclass(frozen=True, slots=True)
class DayComparison:
    """A day, or its part so far, beside the mean of its like days (Wh); `deviation`: their median absolute
    one.
    """

    value: int
    mean: int
    deviation: int
    days: int

    @property
    def is_unusual(self) -> bool:
        """More than three deviations, and a tenth, away."""
        away = abs(self.value - self.mean)
        return away > 3 * self.deviation and away * TENTH > self.mean


@dataclass(frozen=True, slots=True)
class DemandPeak:
    """The highest quarter hour: its start (ms UTC), W, and the sub meter that rose most above its mean of the
    day before, by so many W; none where that is little of the peak.
    """

    start: int
    power: int
    meter: str = ""
    by: int = 0


def tenth(values: Sequence[int]) -> int:
    """The value below which a tenth of them lies (nearest rank)."""
    return sorted(values)[max(0, -(-len(values) // TENTH) - 1)]


def base_load(values: Mapping[int, int], calendar: Calendar, *, closed: bool) -> BaseLoad | None:
    """Of a day (start → Wh): the tenth percentile from 00 to 05 h, on a closed day of the whole of it."""
    counted = [value for start, value in values.items() if closed or calendar.place(start)[1] in NIGHT]
    total = sum(values.values())
    if len(counted) < len(NIGHT) or total <= 0:
        return None
    least = tenth(counted)
    return BaseLoad(least * 4, min(1.0, least * len(values) / total))


def has_risen(base: int, like: Sequence[int]) -> bool:
    """Whether a closed day's base load is above 1.2 times the median of the like days before it."""
    return len(like) >= LEAST and base > RISEN * median(like[-LIKE:])


def compare(
    day: date, slots: Sequence[int], days: Mapping[date, Mapping[int, int]], calendar: Calendar
) -> DayComparison | None:
    """A day in `slots` (quarter hours of the day) beside its newest four like days that are known in all of
    them.

    `days`: date → slot → Wh, of measured intervals alone. None: fewer than two like days, or the day has a
    hole.
    """
    own = days.get(day, {})
    if any(slot not in own for slot in slots):
        return None
    sums = []
    for back in range(1, 7 * _WEEKS + 1):
        other = day - timedelta(back)
        values = days.get(other)
        if values is None or calendar.kind(other) != calendar.kind(day):
            continue
        if all(slot in values for slot in slots):
            sums.append(sum(values[slot] for slot in slots))
        if len(sums) == LIKE:
            break
    if len(sums) < LEAST:
        return None
    mean = sum(sums) // len(sums)
    return DayComparison(sum(own[slot] for slot in slots), mean, deviation(sums), len(sums))


def deviation(sums: Sequence[int]) -> int:
    """The median absolute deviation of the sums of like days."""
    middle = median(sums)
    return round(median(abs(each - middle) for each in sums))


def peak(
    values: Mapping[int, int], below: Mapping[str, Mapping[int, int]], minutes: int = 15
) -> DemandPeak | None:
    """The highest mean over `minutes` (start → Wh per quarter hour), and which meter of `below` rose most
    above what it took in the 24 hours before: from one quarter hour to the next chance decides.
    """
    quarters = minutes // 15
    length = quarters * QUARTER
    sums: dict[int, list[int]] = {}
    for start, value in values.items():
        sums.setdefault(start // length * length, []).append(value)
    whole = {start: sum(each) * 4 // quarters for start, each in sums.items() if len(each) == quarters}
    if not whole:
        return None
    start = max(whole, key=lambda at: (whole[at], -at))
    window = range(start, start + length, QUARTER)
    rises = {}
    for meter, own in below.items():
        before = [own[at] for at in range(start - DAY * QUARTER, start, QUARTER) if at in own]
        if len(before) >= _KNOWN and all(at in own for at in window):
            rises[meter] = (sum(own[at] for at in window) * 4 // quarters) - sum(before) * 4 // len(before)
    rose = max(rises, key=lambda meter: rises[meter], default="")
    if not rose or rises[rose] * TENTH < whole[start]:
        return DemandPeak(start, whole[start])
    return DemandPeak(start, whole[start], rose, rises[rose])


def is_closed(day: date, calendar: Calendar, open_weekdays: Sequence[int]) -> bool:
    """Whether the building is closed: no working day of its own, or a public holiday. Monday is 0."""
    return day in calendar.holidays or day.weekday() not in open_weekdays
