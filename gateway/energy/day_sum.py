"""A local day of a register, summed up: the whole, its hours by the clock on the wall, its highest quarter
hour.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Final, NamedTuple

from gateway.energy.calendar import DAY, Calendar

HOURS: Final = 24
_WHOLE: Final = b"\x04" * HOURS
_WIDTHS: Final = (("b", 7), ("h", 15), ("i", 31), ("q", 63))
"""Letter of struct, and bits of a value without its sign."""
_COUNTED: Final = 0x80
"""Not every quarter hour is known: how many of each hour are, follows."""
_NO_PEAK: Final = 0xFF


class DaySum(NamedTuple):
    """What a register took on a local day, in whole base units, of how many intervals of which quality.

    `ordinal` is the day (date.toordinal), `quarters` how many quarter hours it has. `packed` holds its hours
    and its peak; it is empty where nobody has asked for them.
    """

    ordinal: int
    sum: int
    intervals: int
    measured: int
    estimated: int
    suspect: int
    edited: int
    quarters: int
    packed: bytes

    @property
    def day(self) -> date:
        """The local day."""
        return date.fromordinal(self.ordinal)

    @property
    def whole(self) -> bool:
        """Whether every quarter hour is known."""
        return self.intervals == self.quarters

    @property
    def hours(self) -> tuple[int, ...]:
        """The sums of the 24 hours of the clock on the wall: an hour that is there twice holds both, one that
        is left out holds 0.
        """
        return _form(self.packed[0] & ~_COUNTED).unpack_from(self.packed, 2)[1:]

    @property
    def counts(self) -> bytes:
        """How many quarter hours of each hour are known."""
        return self.packed[-HOURS:] if self.packed[0] & _COUNTED else _WHOLE

    @property
    def peak(self) -> tuple[int, int] | None:
        """The place of the highest known quarter hour in the day, the earliest of equals, and its value."""
        head, place = self.packed[0], self.packed[1]
        if place == _NO_PEAK:
            return None
        return place, _form(head & ~_COUNTED).unpack_from(self.packed, 2)[0]


def day_sum(
    day: date, values: Sequence[int], letters: Sequence[str], calendar: Calendar | None = None
) -> DaySum:
    """The sum of a day; a quarter hour without a letter is not known, and its value is 0. Without a calendar
    there are no hours.
    """
    qualities = [letters.count(letter) for letter in "mesd"]
    known, n = sum(qualities), len(values)
    packed = _packed(day, values, letters, calendar, known) if calendar else b""
    measured, estimated, suspect, edited = qualities
    return DaySum(
        day.toordinal(), sum(values), known, measured, estimated, suspect, edited, n, packed
    )  # fmt: skip


def _packed(
    day: date, values: Sequence[int], letters: Sequence[str], calendar: Calendar, known: int
) -> bytes:
    hours, counts = _hours(day, values, letters, calendar, known)
    place, highest = _NO_PEAK, 0
    if known == len(values):
        highest = max(values)
        place = values.index(highest)
    elif known:
        highest, place = max((value, -at) for at, value in enumerate(values) if letters[at])
        place = -place
    every = (highest, *hours)
    widest = max(*every, -min(every))
    width = next(k for k, (_, bits) in enumerate(_WIDTHS) if widest < 2**bits)
    counted = b"" if counts == _WHOLE else counts
    return bytes((width | (_COUNTED if counted else 0), place)) + _form(width).pack(*every) + counted


@cache
def _form(width: int) -> struct.Struct:
    return struct.Struct(f"<{1 + HOURS}{_WIDTHS[width][0]}")


def _hours(
    day: date, values: Sequence[int], letters: Sequence[str], calendar: Calendar, known: int
) -> tuple[tuple[int, ...], bytes]:
    if len(values) == DAY:
        hours = tuple(map(sum, zip(*(values[k::4] for k in range(4)), strict=True)))
        if known == DAY:
            return hours, _WHOLE
        return hours, bytes(sum(map(bool, letters[k : k + 4])) for k in range(0, DAY, 4))
    sums, counts = [0] * HOURS, bytearray(HOURS)
    for start, value, letter in zip(calendar.quarters(day), values, letters, strict=False):
        hour = calendar.place(start)[1] // 4
        sums[hour] += value
        counts[hour] += bool(letter)
    return tuple(sums), bytes(counts)


def sum_of_quarters(day: date, quarters: Sequence[int | None], calendar: Calendar | None = None) -> DaySum:
    """The same of quarter hours of which None are not known; all others count as measured."""
    letters = ["" if value is None else "m" for value in quarters]
    return day_sum(day, [value or 0 for value in quarters], letters, calendar)
