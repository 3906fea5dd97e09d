"""When a meter is due: deadlines on the monotonic clock, at the multiples of the interval on the wall
clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

QUARTER = 900.0
"""Energy is read at every quarter hour, whatever the intervals are."""
DAY = 86400.0
TOGETHER = 0.05
"""Deadlines this close (s) are one poll."""


def boundary_after(interval: float, now: float, offset: float) -> float:
    """The next multiple of `interval` on the wall clock, in monotonic time. `offset` is wall minus monotonic,
    in s.

    At least a tenth of the interval (at most 1 s) ahead: a clock that is being slewed back must not give the
    same boundary twice.
    """
    if interval <= 0.0:
        return now
    wall = now + offset + min(interval / 10, 1.0)
    return (math.floor(wall / interval) + 1) * interval - offset


@dataclass(frozen=True, slots=True)
class Due:
    """What a poll has to bring, and how many polls before it were skipped because nobody had time for
    them.
    """

    fast: bool = False
    slow: bool = False
    static: bool = False
    missed: int = 0


EVERYTHING = Due(fast=True, slow=True, static=True)
_DUE = {classes: Due(*classes) for classes in product((False, True), repeat=3)}


class Schedule:
    """The deadlines of one meter's classes. Times are monotonic seconds; everything is due at once at the
    start.
    """

    def __init__(self, interval: float, slow: float, now: float) -> None:
        self.interval = interval
        self.slow = slow
        self.fast_at = self.slow_at = self.static_at = now
        self._aligned = False

    @property
    def at(self) -> float:
        """The earliest deadline; the static class never makes a poll of its own."""
        return min(self.slow_at, self.fast_at)

    def due(self, now: float, offset: float) -> Due:
        """What is due now; its deadlines move on to the next boundaries. Late ones are skipped, never
        queued.
        """
        fast, slow, static = (
            self.fast_at <= now + TOGETHER,
            self.slow_at <= now + TOGETHER,
            self.static_at <= now,
        )
        missed = 0
        if fast:
            after = boundary_after(self.interval, now, offset)
            if self._aligned and self.interval > 0.0:
                missed = max(0, round((after - self.fast_at) / self.interval) - 1)
            self.fast_at, self._aligned = after, True
        if slow:
            self.slow_at = self._slow_after(now, offset)
        if static:
            self.static_at = now + DAY
        return Due(fast, slow, static, missed) if missed else _DUE[fast, slow, static]

    def realign(self, now: float, offset: float) -> None:
        """The wall clock was set: what is not due yet moves to its boundaries."""
        if self.fast_at > now:
            self.fast_at = boundary_after(self.interval, now, offset)
        if self.slow_at > now:
            self.slow_at = self._slow_after(now, offset)

    def again(self, *, slow: bool = False, static: bool = False) -> None:
        """What a poll did not bring is due with the next fast one."""
        if slow:
            self.slow_at = min(self.slow_at, self.fast_at)
        if static:
            self.static_at = min(self.static_at, self.fast_at)

    def _slow_after(self, now: float, offset: float) -> float:
        return min(boundary_after(self.slow, now, offset), boundary_after(QUARTER, now, offset))
