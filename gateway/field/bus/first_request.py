"""The first request on a connection: some devices swallow it, or hang up, until they have been left alone for
a while.

A pause after connecting is tried when nothing but silence followed a connection: longer and longer, and kept
when it helps. After a week it is found out anew.
"""

from __future__ import annotations

import logging

from gateway.field.bus.station import Station
from gateway.field.facts import BusFacts

log = logging.getLogger(__name__)

PAUSES = (1.0, 2.0, 5.0)
"""s between connecting and the first request that are tried."""
MARGIN = 1.1
"""Times a pause that is waited: a device counts from when it took the connection."""


class FirstRequest:
    """What is known of this connection, and of those before."""

    def __init__(self, bus: str, facts: BusFacts) -> None:
        self.answered = False
        """Whether anything has been answered on this connection."""
        self._bus, self._facts = bus, facts
        self._requests = 0
        self._silent: set[int] = set()
        self._tried: tuple[int, float] | None = None  # the station that it is for, and the pause
        self._useless: set[int] = set()

    @property
    def pause(self) -> float:
        """What to wait after connecting, in s."""
        return MARGIN * (self._tried[1] if self._tried else self._facts.connect_pause)

    def opened(self) -> None:
        """A connection was opened: the next request is its first one."""
        self._facts.forget_old("connect_pause")
        self.answered = False
        self._requests = 0
        self._silent.clear()

    def sent(self) -> None:
        """A request left: what follows is not the first one of its connection."""
        self._requests += 1

    def replied(self, station: Station) -> bool:
        """It answered: a pause that was tried for it has helped, if this was the first request; whether that
        is news, so that others may answer with it.
        """
        if self._useless:
            self._useless.discard(id(station))
        if self.answered:
            return False
        self.answered = True
        tried, self._tried = self._tried, None
        if (
            tried
            and tried[0] == id(station)
            and self._requests == 1
            and self._facts.learn("connect_pause", tried[1])
        ):
            log.info(
                "bus %s: unit %d answers when there are %g s between connecting and the first request",
                self._bus,
                station.unit,
                tried[1],
            )
            return True
        return False

    def silent(self, station: Station) -> int:
        """It did not answer; gives how many stations have not, on a connection where none has."""
        self._silent.add(id(station))
        return 0 if self.answered else len(self._silent)

    def tried_in_vain(self, station: Station) -> bool:
        """Whether it has not answered after the longest pause either."""
        return id(station) in self._useless

    def longer(self, station: Station) -> bool:
        """Whether a longer pause after the next connecting is worth a try for a station that was not
        answered on this one.
        """
        if self.answered or id(station) in self._useless or self._facts.fixed("connect_pause"):
            return False
        now = self._tried[1] if self._tried else self._facts.connect_pause
        pause = next((pause for pause in PAUSES if pause > now), None)
        if pause is None:
            self._tried = None
            self._useless.add(id(station))
            return False
        self._tried = (id(station), pause)
        return True
