"""A bus that is lent to somebody else on this machine, and comes back by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from gateway.errors import BusDown
from gateway.model import Event

log = logging.getLogger(__name__)

LONGEST: Final = 300.0
"""s that a bus is lent without being asked for again: whoever has it may have died."""


class Lease:
    """Who has a bus, and until when; nobody at first. Times are the loop's, in s.

    Both ends are journalled.
    """

    def __init__(self, bus: str, events: Callable[[Event], None], uptime: Callable[[], int]) -> None:
        self.until: float | None = None
        self._bus, self._events, self._uptime = bus, events, uptime
        self._to = ""

    def begin(self, to: str, seconds: float, now: float) -> float:
        """Lend it, or go on lending it; gives the seconds."""
        seconds = min(seconds, LONGEST)
        if self.until is None:
            self._events(Event("bus_lent", self._uptime(), {"bus": self._bus, "to": to}))
        self._to, self.until = to, now + seconds
        return seconds

    def end(self) -> bool:
        """It is back; whether it was lent."""
        if self.until is None:
            return False
        self.until = None
        self._events(Event("bus_returned", self._uptime(), {"bus": self._bus, "to": self._to}))
        return True

    def overdue(self, now: float) -> bool:
        """Whether it should have come back by now."""
        if self.until is None or now < self.until:
            return False
        log.warning("bus %s was lent to %s and did not come back in time", self._bus, self._to)
        return True

    def says(self, now: float) -> str:
        """What is to be said of the bus meanwhile; empty when it is not lent."""
        return "" if self.until is None else str(self.trouble(now))

    def trouble(self, now: float) -> BusDown:
        """Why the bus cannot be used."""
        left = max(0.0, (self.until or now) - now)
        return BusDown(
            f"bus {self._bus} is lent to {self._to}",
            hint=f"it comes back by itself within {left:.0f} s",
            cause="in_use",
        )
