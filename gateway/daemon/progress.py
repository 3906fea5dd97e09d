"""How fast a backlog shrinks: for the sentence "being delivered, until about 14:20"."""

from __future__ import annotations

from collections import deque

WINDOW = 60.0
"""s over which the speed is taken."""
LEAST = 10.0
"""s that must have been seen before a speed is believed."""


class Progress:
    """The backlogs of the last minute, by uplink, in batches. Times are monotonic s. Lives on the event
    loop.
    """

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def add(self, uplink: str, now: float, backlog: int) -> None:
        """What waits at this moment."""
        seen = self._seen.setdefault(uplink, deque())
        seen.append((now, backlog))
        while now - seen[0][0] > WINDOW:
            seen.popleft()

    def keep(self, uplinks: set[str]) -> None:
        """Forget every uplink that is not named: after a reload."""
        for name in self._seen.keys() - uplinks:
            del self._seen[name]

    def left(self, uplink: str) -> float | None:
        """Seconds until nothing waits at the present speed; None while the backlog does not shrink, or is
        not known long enough.
        """
        seen = self._seen.get(uplink)
        if not seen or seen[-1][0] - seen[0][0] < LEAST:
            return None
        (begin, before), (end, after) = seen[0], seen[-1]
        speed = (before - after) / (end - begin)
        return after / speed if speed > 0 and after else None
