"""How long a station has for its answer, and until when one may still come that nobody waits for any more."""

from __future__ import annotations

import asyncio
import time

from gateway.config import Bus, SerialBus
from gateway.field.bus.connection import BusConnection
from gateway.field.bus.station import Station
from gateway.field.facts import BusFacts
from gateway.field.port.contract import Port

LATE = 3.0
"""The late-answer bound: so many times the slowest turn-around seen, and the answer's time on the wire."""
GATEWAYS = frozenset({0x0A, 0x0B})
"""Exception codes that gateways alone have."""
COMES_LATER, BUSY = 5, 6
"""Exception codes of a meter that has begun with what it was asked, and of one that is at something else."""
UNFOLLOWED = 10
"""Refusals in a row that no answer came behind, after which a gateway is believed to wait for its meters."""
GIVEN_UP, AFTERWARDS = 3, 0.6
"""Refusals of a gateway in a row after which the answer may still come; s in which it does, however long the
gateway has waited for it.
"""
LATEST = 10.0
"""s; no bound is longer."""
LATENCY = {True: (0.1, 0.5, 1.0), False: (0.5, 1.0, 2.0)}
"""s for the turn-around, on a serial line (True) or not: at least, before it is known, at most."""


class BusDoubts(BusConnection):
    """Which requests may still be answered, and the silence in which they are."""

    def __init__(self, bus: Bus, port: Port, facts: BusFacts) -> None:
        super().__init__(bus, port, facts)
        self.slowest = 0.0
        """s, the longest turn-around of late, of any station."""
        self._refused_late = False
        """Whether an answer may come behind the last refusal."""
        self._unfollowed = 0
        """Refusals in a row that none came behind."""

    def late_bound(self, station: Station, count: int) -> float:
        """Seconds of silence after which a late answer to a read of `count` is not expected any more."""
        known = isinstance(self.bus, SerialBus) or self.port.has_transaction_ids
        least = 0.0 if known else LATENCY[False][0]  # a network may be late whatever it was until now
        return min(max(self._slowest(station, count), self._latency(station, 0), least), LATEST)

    def _slowest(self, station: Station, count: int) -> float:
        return LATE * (station.slowest or self.slowest) + self.wire.time(count)

    def timeout(self, station: Station, count: int) -> float:
        """Seconds from sending the request to giving up: the time on the wire and the station's latency."""
        return self.wire.time(count) + 2 * self.wire.gap + self._latency(station, station.timeouts)

    def _latency(self, station: Station, timeouts: int) -> float:
        patience = station.facts.timeout
        if station.facts.fixed("timeout"):
            return patience
        if self.bus.timeout is not None:
            return self.bus.timeout
        waiting = timeouts > (1 if station.answers else 0)  # one reply may have been lost on the way
        own = station.latency(*LATENCY[isinstance(self.bus, SerialBus)], waiting=waiting)
        return max(own, patience, station.tried_wait)

    async def _until(self, when: float) -> None:
        rest = when - time.monotonic()
        if rest > 0.0:
            await asyncio.sleep(rest)

    async def _connected(self) -> None:
        """Have a connection that serves one more request. Raises BusDown."""
        if self._endings.is_used_up:
            self.port.close()
        if not self.port.connected:
            await self._reconnect()
            await self._until(self.silent_until)

    def _doubt(self, station: Station, count: int, silence: float) -> None:
        now = time.monotonic()
        station.unanswered[count] = now
        self.silent_until = max(self.silent_until, now + silence)

    def _doubt_refusal(self, station: Station, count: int, code: int) -> None:
        """A refusal may be that of a gateway which has not waited for its meter: the answer still comes, and
        some give it to the next request. A meter that is gone is waited for a few times, and no more.
        """
        took = self.port.heard_at - self.port.sent_at
        soon = GATEWAYS
        if not isinstance(self.bus, SerialBus):
            soon |= {COMES_LATER} if self.port.has_transaction_ids else {COMES_LATER, BUSY}
        if code not in soon and (isinstance(self.bus, SerialBus) or not self.took_long(station, count)):
            return
        if self.port.has_transaction_ids and self._unfollowed >= UNFOLLOWED:
            return  # without numbers what comes in the silence is thrown away, and tells nothing
        station.given_up += 1
        self._refused_late = True
        late = self._late_after(station, count, took) if station.given_up <= GIVEN_UP else 0.0
        self._doubt(station, count, late)

    def _doubt_hang_up(self, station: Station, count: int) -> None:
        """A converter gives late answers to whoever is connected; so does a gateway that had asked its meter
        before it hung up.
        """
        took = time.monotonic() - self.port.sent_at
        if self.bus.type != "tcp":
            self._doubt(station, count, 0.0)
        elif took > self._slowest(station, count):
            self._doubt(station, count, self._late_after(station, count, took))

    def _doubt_misfit(self, station: Station, count: int) -> None:
        """The number of a reply does not say whose it is: it may be that of an earlier request."""
        station.misfits += 1
        self._unfollowed, self._refused_late = 0, False
        self._doubt(station, count, self.late_bound(station, count))

    def all_answered(self, station: Station) -> None:
        """Nothing may come any more: it has given the answer to the newest request."""
        station.unanswered.clear()
        if self._refused_late:
            self._unfollowed += 1
            self._refused_late = False

    def took_long(self, station: Station, count: int) -> bool:
        """Whether what was heard last came later than any answer of this station, or of any beside it."""
        known = station.slowest or self.slowest
        most = self._slowest(station, count) if known else LATENCY[isinstance(self.bus, SerialBus)][0]
        return self.port.heard_at - self.port.sent_at > most

    def _late_after(self, station: Station, count: int, took: float) -> float:
        """Seconds in which an answer may still come for which a gateway has waited `took` s: however soon it
        was refused, behind a network it may be late.
        """
        least = LATENCY[isinstance(self.bus, SerialBus)][0]
        return min(max(self._slowest(station, count), (LATE - 1) * took, least), AFTERWARDS)
