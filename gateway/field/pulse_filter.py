"""What is a pulse: edges in, counted pulses and rejected noise out. Pure; times in ns."""

from __future__ import annotations

from dataclasses import dataclass

NS = 1_000_000_000
JITTER = 500_000
"""ns by which the kernel may stamp an edge late: an S0 pulse of exactly its least 30 ms (EN 62053-31) must not be lost to it."""


@dataclass(slots=True)
class Rejected:
    """Noise since the start, by reason: active too short, gap too short, pulses faster than the meter can give."""

    short: int = 0
    gap: int = 0
    rate: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.short + self.gap + self.rate


def _least(seconds: float) -> int:
    limit = round(seconds * NS)
    return limit - min(JITTER, limit // 10)


class PulseFilter:
    """Counts pulses of one input.

    The contact is believed to have changed only when it stays so: closed for `min_width`, open again for `min_gap` (s).
    A pulse is counted when its contact opens, because only then its width is known; so a contact that rests closed
    through a restart is counted once. Faster than `max_rate` (pulses/s, over a second and more) it is not counted.
    """

    def __init__(self, min_width: float, min_gap: float, max_rate: float) -> None:
        self.count = 0
        self.rejected = Rejected()
        self.closed = False
        self._width, self._gap = _least(min_width), _least(min_gap)
        self._counted = False
        """The pulse that is going on has been counted already: an opening shorter than the gap does not begin another."""
        self._since: int | None = None
        self._rate = max_rate / NS
        self._most = max(max_rate, 2.0)
        self._left = self._most
        self._newest: int | None = None

    def edge(self, closed: bool, tick: int | None) -> bool:
        """Take an edge: the contact's state after it and its time in ns. Returns whether a pulse was counted.

        Without a time it is no edge, but the state that was found.
        """
        since, self._since = self._since, tick
        if tick is None:
            self.closed = closed
            return False
        if closed == self.closed:
            self._again(since)
            return False
        self.closed = closed
        # Before the first edge, and when the clock of the ticks was set back, nobody knows how long: long enough.
        lasted = None if since is None or tick < since else tick - since
        return self._opened(lasted, tick) if not closed else self._closed(lasted)

    def _again(self, since: int | None) -> None:
        """Twice the same state: between them was a change too short for the kernel to see."""
        if since is None:
            return  # the first edge only tells what was read at the start
        if not self.closed:
            self.rejected.short += 1
        else:
            self.rejected.gap += 1
            self._since = since

    def _closed(self, gap: int | None) -> bool:
        if self._counted and gap is not None and gap < self._gap:
            self.rejected.gap += 1
        else:
            self._counted = False
        return False

    def _opened(self, width: int | None, tick: int) -> bool:
        if self._counted:
            return False
        if width is not None and width < self._width:
            self.rejected.short += 1
            return False
        self._counted = True
        if not self._plausible(tick):
            self.rejected.rate += 1
            return False
        self.count += 1
        return True

    def _plausible(self, tick: int) -> bool:
        """A bucket that fills at `max_rate` and holds a second of it: jitter passes, a steady excess does not."""
        if self._newest is not None:
            self._left = min(self._most, self._left + max(0, tick - self._newest) * self._rate)
        self._newest = tick
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
