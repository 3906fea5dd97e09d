"""What is a pulse: edges in, counted pulses and rejected noise out. Pure; times in ns."""

from __future__ import annotations

from dataclasses import dataclass

NS = 1_000_000_000
JITTER = 500_000
"""ns by which the kernel may stamp an edge late: an S0 pulse of exactly its least 30 ms (EN 62053-31) must
not be lost to it.
"""

EVEN = 0.8
"""Two spaces between pulses are alike when the shorter is so much of the longer: random noise is so in one
of nine cases.
"""
RUN = 5
"""So many like spaces one after the other are a meter's (or the mains'), not a contact's chatter."""


@dataclass(slots=True)
class Rejected:
    """Noise since the start, by reason: active too short, gap too short, pulses faster than the meter can
    give.
    """

    short: int = 0
    gap: int = 0
    rate: int = 0

    @property
    def total(self) -> int:
        """Pulses that were rejected, whatever for."""
        return self.short + self.gap + self.rate


def _least(seconds: float) -> int:
    limit = round(seconds * NS)
    return limit - min(JITTER, limit // 10)


class PulseFilter:
    """Counts pulses of one pin.

    The contact is believed to have changed only when it stays so: closed for `min_width`, open again for
    `min_gap` (s). A pulse is counted when its contact opens, because only then its width is known; so a
    contact that rests closed through a reload is counted once. Faster than `max_rate` (pulses/s, over a
    second and more) it is not counted.
    """

    def __init__(self, min_width: float, min_gap: float, max_rate: float) -> None:
        self.count = 0
        self.rejected = Rejected()
        self.regular = 0
        """Of the rejected ones, those that came evenly, as a meter gives pulses."""
        self.closed = False
        self.limit(min_width, min_gap, max_rate)
        self._counted = False
        """The pulse that is going on has been counted already: an opening shorter than the gap does not
        begin another.
        """
        self._since: int | None = None
        self._found = False
        """What is known is what was found when the pin was opened, not an edge."""
        self._left = self._most
        self._newest: int | None = None
        self._closing: int | None = None
        self._period = 0
        self._even = 0

    def limit(self, min_width: float, min_gap: float, max_rate: float) -> None:
        """Take other limits; what is going on goes on."""
        self._width, self._gap = _least(min_width), _least(min_gap)
        self._rate = max_rate / NS
        self._most = max(max_rate, 2.0)

    def found(self, closed: bool, tick: int) -> None:
        """The state that was found when the pin was opened, at `tick` (ns on the clock of the edges).

        A contact dates from then: how long it had been closed before, nobody knows. Edges that are known
        already know better.
        """
        if self._since is None:
            self.closed, self._since, self._found = closed, tick, True

    def edge(self, closed: bool, tick: int) -> bool:
        """Take an edge: the contact's state after it and its time in ns. Returns whether a pulse was
        counted.
        """
        since, self._since = self._since, tick
        found, self._found = self._found, False
        self._pace(closed, tick)
        if closed == self.closed:
            self._again(since, tick, found=found)
            return False
        self.closed = closed
        lasted = None if since is None else tick - since
        if lasted is not None and lasted < 0:
            # The state that was found may be newer than an edge that was under way; otherwise the clock of
            # the ticks was set back, and nobody knows how long: long enough.
            lasted = 0 if found else None
        return self._opened(lasted, tick) if not closed else self._closed(lasted)

    def _pace(self, closed: bool, tick: int) -> None:
        """Whether pulses come evenly, counted or not."""
        if not closed:
            return
        period = tick - self._closing if self._closing is not None else 0
        self._even = self._even + 1 if 0 < self._period * EVEN <= period <= self._period / EVEN else 0
        self._closing, self._period = tick, period

    def _reject(self) -> None:
        self.regular += self._even >= RUN

    def _again(self, since: int | None, tick: int, *, found: bool) -> None:
        """Twice the same state: between them was a change too short for the kernel to see."""
        if since is None or (found and tick <= since):
            return  # this edge led to the state that was found
        if not self.closed:
            self.rejected.short += 1
        else:
            self.rejected.gap += 1
            self._since = since

    def _closed(self, gap: int | None) -> bool:
        if self._counted and gap is not None and gap < self._gap:
            self.rejected.gap += 1
            self._reject()
        else:
            self._counted = False
        return False

    def _opened(self, width: int | None, tick: int) -> bool:
        if self._counted:
            return False
        if width is not None and width < self._width:
            self.rejected.short += 1
            self._reject()
            return False
        self._counted = True
        if not self._plausible(tick):
            self.rejected.rate += 1
            return False
        self.count += 1
        return True

    def _plausible(self, tick: int) -> bool:
        """A bucket that fills at `max_rate` and holds a second of it: jitter passes, a steady excess does
        not.
        """
        if self._newest is not None:
            self._left = min(self._most, self._left + max(0, tick - self._newest) * self._rate)
        self._newest = tick
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
