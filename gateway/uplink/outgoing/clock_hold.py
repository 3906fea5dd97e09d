"""The clock's part of sending: batches of an unsynced boot wait for a right clock, but not for ever
(docs/wire: clock).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.model import ClockLike, Event, Sealed


@dataclass(frozen=True, slots=True)
class Release:
    """What to do with a batch: `wait`, or send it, with `t0` repaired when that is not None."""

    wait: bool = False
    t0: int | None = None


_AS_IT_IS = Release()
_WAIT = Release(wait=True)


class ClockHold:
    """One per uplink and boot. `seconds` run from the first batch of this boot, so a restart of the daemon
    does not prolong them.
    """

    def __init__(self, clock: ClockLike, seconds: float) -> None:
        self._clock = clock
        self._ms = int(seconds * 1000)
        self._since: int | None = None
        self._epochs: dict[str, None] = {}
        self._unsynced_sent = False
        self._held = False
        self._synced = clock.synced

    def met(self, first: Sealed) -> None:
        """A batch was committed, or found as the first of its epoch: learn when this boot began to take
        readings.
        """
        if first.boot == self._clock.boot:
            self._epochs.setdefault(first.epoch)
            self._since = first.uptime if self._since is None else min(self._since, first.uptime)
            if first.clock == "unsynced" and self.expired:
                self._unsynced_sent = True  # by this process or by one before it

    @property
    def expired(self) -> bool:
        """This boot holds no more."""
        return self._since is not None and self._clock.uptime() - self._since >= self._ms

    def release(self, sealed: Sealed) -> Release:
        """Send it as it is, repaired, or not yet."""
        if sealed.clock != "unsynced" or sealed.boot != self._clock.boot:
            return _AS_IT_IS
        if self._clock.synced:
            wall, uptime = self._clock.moment()
            return Release(t0=sealed.uptime + wall - uptime)
        if self.expired:
            self._unsynced_sent = True
            return _AS_IT_IS
        self._held = True
        return _WAIT

    def released(self) -> bool:
        """Whether batches that were told to wait may go now; true once."""
        free = self._held and (self._clock.synced or self.expired)
        self._held = self._held and not free
        return free

    def anchors(self) -> Iterable[Event]:
        """Events for the platform when the clock became right after unsynced batches had been sent; empty
        otherwise.
        """
        synced = self._clock.synced
        came, self._synced = synced and self._unsynced_sent, synced
        if not came:
            return ()
        self._unsynced_sent = False
        wall, uptime = self._clock.moment()
        return [
            Event("clock_anchor", uptime, {"epoch": epoch, "uptime": uptime, "t": wall})
            for epoch in self._epochs
        ]
