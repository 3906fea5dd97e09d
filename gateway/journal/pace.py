"""How fast batches come and what one more of them takes: for the question how long the room will last."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from gateway.journal.stats import Backlog

DAY_MS = 86_400_000
POINTS = 200
"""Commits that are remembered: the pace of a day, in steps of seven minutes, and the newest hundred of
them at first.
"""
STEP_MS = DAY_MS // POINTS
FIRST = 100
SURE = 20
"""Batches after which their mean size is believed: each sixth has the slow values too, the first ones
describe every meter.
"""
MANY = 1000
"""Batches beside which what a file holds beyond its rows is nothing."""
EMPTY_BYTES = 12 * 1024
"""What a file without batches holds: a page for each table and index, and the schema."""


class Growth:
    """When batches were committed (uptime in ms), and how the file grew with them (bytes that hold
    something).
    """

    def __init__(self) -> None:
        self._times: deque[tuple[int, int]] = deque(maxlen=POINTS)
        self._base = (0, EMPTY_BYTES)
        self._now = (0, 0)

    def seed(self, uptimes: list[int], held: int = 0, used: int = 0) -> None:
        """Begin with the batches that are there, newest first; `held` of them in a file that uses so many
        bytes.
        """
        self._times.clear()
        self._times.extend((-index, uptime) for index, uptime in reversed(list(enumerate(uptimes))))
        self._base = (0, EMPTY_BYTES) if held >= SURE else (held, used)
        self._now = (held, used)

    def add(self, seq: int, uptime: int, held: int = 0, used: int = 0) -> None:
        """A commit whose newest batch has this number, of `held` batches in `used` bytes."""
        if self._times and seq <= self._times[-1][0]:
            self._times.clear()
        if self._times and self._times[-1][0] <= 0:
            # The seed counts backwards from zero: go on from there.
            shift = seq - 1
            moved = [(at + shift, when) for at, when in self._times]
            self._times.clear()
            self._times.extend(moved)
        if len(self._times) > FIRST and self._times[-1][1] - self._times[-2][1] < STEP_MS:
            self._times.pop()  # the newest is always there, those before it stand a step apart
        self._times.append((seq, uptime))
        if held <= 2 or held < self._base[0]:  # the first ones describe the meters
            self._base = (held, used) if held <= 2 else (0, EMPTY_BYTES)
        self._now = (held, used)

    @property
    def basis(self) -> float | None:
        """The s over which the pace was measured; None while too little is known."""
        if len(self._times) < 2:  # a rate needs two points
            return None
        return max(0.0, (self._times[-1][1] - self._times[0][1]) / 1000)

    def per_day(self) -> float | None:
        """Batches a day; None while too little is known."""
        if not self.basis:
            return None
        return (self._times[-1][0] - self._times[0][0]) * DAY_MS / (1000 * self.basis)

    def batch_bytes(self) -> float | None:
        """What one more batch takes in the file; None while too few are known."""
        held, used = self._now
        first, begun = (0, EMPTY_BYTES) if held >= MANY else self._base
        return max(1.0, (used - begun) / (held - first)) if held - first >= SURE else None


def room_days(
    pace: Growth, budget: int, used: int, held: int, backlogs: Mapping[str, Backlog]
) -> float | None:
    """Days until what nobody has fetched meets the budget; delivered batches make way. None while the pace
    is not known.
    """
    rate, each = pace.per_day(), pace.batch_bytes()
    if not rate or not each or not held:
        return None
    waiting = max((backlog.batches for backlog in backlogs.values()), default=held)
    beside = max(0.0, used - held * each)
    return max(0.0, ((budget - beside) / each - waiting) / rate)
