"""How fast batches come: for the question how long the room will last."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from gateway.journal.stats import Backlog

DAY_MS = 86_400_000


class Pace:
    """Remembers when the last hundred commits were; uptime in ms."""

    def __init__(self) -> None:
        self._times: deque[tuple[int, int]] = deque(maxlen=100)

    def seed(self, uptimes: list[int]) -> None:
        """Begin with the batches that are there, newest first."""
        self._times.clear()
        self._times.extend((-index, uptime) for index, uptime in reversed(list(enumerate(uptimes))))

    def add(self, seq: int, uptime: int) -> None:
        """A commit whose newest batch has this number."""
        if self._times and seq <= self._times[-1][0]:
            self._times.clear()
        if self._times and self._times[-1][0] <= 0:
            # The seed counts backwards from zero: go on from there.
            shift = seq - 1
            moved = [(at + shift, when) for at, when in self._times]
            self._times.clear()
            self._times.extend(moved)
        self._times.append((seq, uptime))

    def per_day(self) -> float | None:
        """Batches a day; None while too little is known."""
        if len(self._times) < 2:  # noqa: PLR2004 - a rate needs two points
            return None
        (first, begin), (last, end) = self._times[0], self._times[-1]
        return (last - first) * DAY_MS / (end - begin) if end > begin else None


def room_days(pace: Pace, budget: int, used: int, held: int, backlogs: Mapping[str, Backlog]) -> float | None:
    """Days until what nobody has fetched meets the budget; delivered batches make way. None while the rate is not known."""
    rate = pace.per_day()
    if not rate or not held:
        return None
    each = max(used / held, 1.0)
    waiting = max((backlog.batches for backlog in backlogs.values()), default=held)
    return max(0.0, (budget / each - waiting) / rate)
