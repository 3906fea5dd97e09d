"""A bus as its meters see it: one request in flight, silence where it is due, and never an answer to another question.

RTU has no transaction number. After a timeout, or a reply that was not the answer, an answer may still be under way. So
the line stays silent for the late-answer bound, what arrives meanwhile is thrown away, and the station in doubt is first
asked for a read whose length none of its open questions had. Only its clean reply ends the doubt.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from gateway.config.schema import Bus, SerialBus
from gateway.errors import BadFrame, BusDown, NoReply, Refused
from gateway.field.cost import Fit, Wire, prior, wire_of
from gateway.field.health import BusState, Counters, TurnAround
from gateway.field.learnt import Learnt, MeterFacts
from gateway.field.station import FADE, Station

log = logging.getLogger(__name__)

Words = tuple[int, ...]
LATE = 3.0
"""The late-answer bound: so many times the slowest turn-around seen, and the answer's time on the wire."""
LATEST = 10.0
"""s; no bound is longer."""
BABBLE = 2.0
"""s that a line which does not fall silent is waited for."""
BACK_OFF = (0.25, 5.0)
"""s between two attempts to open the port: doubling from, up to."""
DEAF = 2
"""Timeouts in a row, with every station of the connection among them and not one byte, that mean it is half-open."""
ATTEMPTS = 3
"""Re-synchronisations in a row that strays may spoil."""
LATENCY = {True: (0.1, 0.5, 1.0), False: (0.5, 1.0, 2.0)}
"""s that a station on a serial line (True) or behind a network has for its turn-around: at least, before it is known, at most."""


class Port(Protocol):
    """What the line needs of a port; times are the loop's."""

    numbered: bool
    sent_at: float
    heard_at: float
    strays: int

    @property
    def connected(self) -> bool:
        """Whether it is open."""

    async def open(self) -> None:
        """Open it. Raises BusDown."""

    def close(self) -> None:
        """Close it."""

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Words:  # noqa: ASYNC109 - the port's own
        """Read registers. Raises BusDown, NoReply, BadFrame, Refused."""


class Line:
    """One physical bus."""

    def __init__(self, bus: Bus, port: Port, learnt: Learnt | None = None) -> None:
        self.bus = bus
        self.port = port
        self.learnt = learnt or Learnt()
        self.facts = self.learnt.bus(bus)
        self.silence = self.facts.silence
        """s of silence on the line before any request."""
        self.wire: Wire = wire_of(bus)
        self.counters = Counters()
        self.turn_around = TurnAround()
        self.state: BusState = "closed"
        self.since = 0.0
        self.error = ""
        self.trouble: BusDown | None = None
        """Why it is not open; None while it is."""
        self.retry_at = 0.0
        self.openings = 0
        """How often the port was opened: a new number means that anything may have been exchanged."""
        self.silent_until = 0.0
        self.slowest = 0.0
        self._back_off = BACK_OFF[0]
        self._strays = 0
        self._last: tuple[Station, int] | None = None
        self._stations = 0
        self._deaf: list[Station] = []

    def station(self, unit: int, facts: MeterFacts | None = None, *, min_gap: float = 0.0, patience: float | None = None) -> Station:
        """A meter on this line, with the cost of a read as the line's speed suggests it."""
        facts = facts or MeterFacts({}, {}, self.learnt)
        min_gap = max(min_gap, facts.silence)
        gap = max(min_gap, self.silence, self.wire.gap, facts.pause)
        sure = 0.05 if isinstance(self.bus, SerialBus) else 0.5 if self.wire.char else 100.0
        self._stations += 1
        return Station(unit, Fit(prior(self.bus, gap), gap=gap, sure_of_b=sure), facts, min_gap, facts.pause, patience)

    @property
    def ready(self) -> bool:
        """Whether the port is open."""
        return self.state == "ready" and self.port.connected

    async def open(self) -> None:
        """Open the port now. Raises BusDown; then `retry_at` says when it is worth another try."""
        loop = asyncio.get_running_loop()
        self._become("connecting")
        try:
            await self.port.open()
        except BusDown as error:
            self.lost(error)
            raise
        except BaseException:
            self._become("closed")
            raise
        self._back_off, self._strays = BACK_OFF[0], self.port.strays
        self._deaf.clear()
        self.openings += 1
        if self.error:
            log.info("bus %s is back", self.bus.name)
        self.error, self.trouble = "", None
        self._become("ready")
        if not self.port.numbered:
            self.silent_until = max(self.silent_until, loop.time() + self.wire.gap)

    def lost(self, error: BusDown) -> None:
        """The port is gone: close it and wait before the next attempt. Said once."""
        self.port.close()
        if not self.error:
            log.warning("bus %s is lost: %s", self.bus.name, error)
        self.error, self.trouble = str(error), error
        self.retry_at = asyncio.get_running_loop().time() + self._back_off
        self._back_off = min(2 * self._back_off, BACK_OFF[1])
        self._become("waiting")

    def close(self) -> None:
        """Close the port."""
        self.port.close()
        self._become("closed")

    def late_bound(self, station: Station, count: int) -> float:
        """Seconds of silence after which a late answer to a read of `count` is not expected any more."""
        slowest = LATE * (station.slowest or self.slowest) + self.wire.time(count)
        return min(max(slowest, self._latency(station, 0)), LATEST)

    def timeout(self, station: Station, count: int) -> float:
        """Seconds from sending the request to giving up: the time on the wire and the station's latency."""
        return self.wire.time(count) + 2 * self.wire.gap + self._latency(station, station.unanswered)

    def _latency(self, station: Station, unanswered: int) -> float:
        if self.bus.timeout is not None:
            return self.bus.timeout
        return station.latency(*LATENCY[isinstance(self.bus, SerialBus)], waiting=unanswered > 0)

    async def read(self, station: Station, function: int, address: int, count: int) -> Words:
        """Registers of a station, in full doubt-free order. Raises BusDown, NoReply, BadFrame, Refused."""
        if not self.port.connected:
            error = BusDown(f"bus {self.bus.name} is not open")
            if self.state == "ready":
                self.lost(error)
            raise error
        if not self.port.numbered:
            await self._quiet(station)
            for _ in range(ATTEMPTS):
                if not station.open:
                    break
                await self._resync(station)
                await self._quiet(station)
            else:
                raise BadFrame(f"bus {self.bus.name}: there is no silence in which unit {station.unit} could be heard")
        else:
            silence = max(self.silence, station.min_gap)
            if silence or station.pause:
                await self._until(max(self.port.heard_at + silence, station.last + station.pause))
        return await self._exchange(station, function, address, count)

    async def _until(self, when: float) -> None:
        rest = when - asyncio.get_running_loop().time()
        if rest > 0.0:
            await asyncio.sleep(rest)

    async def _quiet(self, station: Station) -> None:
        """Silence before a frame: t3.5 on the line, the station's own gap, the late-answer bound. Strays raise doubt."""
        port, loop = self.port, asyncio.get_running_loop()
        give_up = max(loop.time(), self.silent_until) + BABBLE
        while True:
            # a meter that needs silence needs it from whomever; what it needs after its own answer is its pause
            silence = max(self.wire.gap, self.silence, station.min_gap)
            ready = max(max(port.heard_at, station.last) + silence, station.last + station.pause, self.silent_until)
            now = loop.time()
            if now >= ready or now >= give_up:
                break
            await asyncio.sleep(ready - now)
        if port.strays != self._strays:
            # A second answer to the last question looks like the first answer to the next one.
            self._strays = port.strays
            if self._last is not None:
                other, count = self._last
                other.open.setdefault(count, loop.time())
                other.early = None
                if other.unanswered:  # it did answer, only late: it needs more patience than we had
                    other.slowest = max(other.slowest, port.heard_at - port.sent_at - self.wire.time(count))
        else:
            station.nothing_followed()

    async def _resync(self, station: Station) -> None:
        """Ask for a length that no open question had, until one clean reply came. Raises like `read`."""
        refused = 0
        while station.open:
            function, address, count = station.probe(asyncio.get_running_loop().time())
            self.counters.resyncs += 1
            station.counters.resyncs += 1
            try:
                await self._exchange(station, function, address, count, sure=True)
            except Refused as error:
                refused += 1
                if error.code not in {2, 3}:
                    raise
                # The meter does not like this length. A late answer may have been a refusal too, but not twice after silence.
                self._doubt(station, count, self.late_bound(station, count))
                await self._quiet(station)
                if refused > 1:
                    station.open.clear()
            else:
                station.open.clear()
                station.answered_reads.setdefault(count, (function, address, count))

    def _doubt(self, station: Station, count: int, silence: float) -> None:
        now = asyncio.get_running_loop().time()
        station.open[count] = now
        self.silent_until = max(self.silent_until, now + silence)

    async def _exchange(self, station: Station, function: int, address: int, count: int, *, sure: bool = False) -> Words:
        """One request and its answer, counted and timed. `sure`: only the true answer can have this length."""
        port, mine, total = self.port, station.counters, self.counters
        timeout = self.timeout(station, count)
        total.requests += 1
        mine.requests += 1
        heard = port.heard_at
        self._last = (station, count)
        try:
            words = await self._ask(station, function, address, count, timeout, sure=sure or port.numbered)
        except Refused as error:
            for counters in (mine, total):
                counters.exceptions[error.code] = counters.exceptions.get(error.code, 0) + 1
            self._deaf.clear()
            station.unanswered = 0
            station.last = port.heard_at
            raise
        except NoReply:
            mine.timeouts += 1
            station.unanswered += 1
            total.timeouts += 1
            station.last = port.sent_at + self.wire.time(0)
            if port.heard_at != heard:
                self._deaf.clear()
            self._deaf.append(station)
            if not port.numbered:
                self._doubt(station, count, self.late_bound(station, count))
            if not isinstance(self.bus, SerialBus) and len(self._deaf) >= DEAF and len({id(each) for each in self._deaf}) == self._stations:
                self.lost(BusDown(f"{self.bus.host}:{self.bus.port} is connected but silent", hint="it is opened again"))
            raise
        except BadFrame:
            mine.bad_frames += 1
            total.bad_frames += 1
            station.last = port.heard_at
            if not port.numbered:
                # the true answer may still come until the time allowed for it is over, or be as late as others were
                rest = port.sent_at + timeout - asyncio.get_running_loop().time()
                self._doubt(station, count, max(rest, self.late_bound(station, count)))
            elif not port.connected:
                self.lost(BusDown(f"bus {self.bus.name} sent what is not Modbus", hint="check the port number"))
            raise
        except BusDown as error:
            if not port.numbered:
                station.open[count] = asyncio.get_running_loop().time()
            self.lost(error)
            raise
        except asyncio.CancelledError:
            if not port.numbered:
                self._doubt(station, count, self.late_bound(station, count))
            raise
        took = port.heard_at - port.sent_at
        turn = took - self.wire.time(count)
        station.last = port.heard_at
        total.replies += 1
        mine.replies += 1
        self._deaf.clear()
        station.heard(count, took, turn)
        self.slowest = max(FADE * self.slowest, turn)
        self.turn_around.add(max(0.0, turn))
        return words

    async def _ask(self, station: Station, function: int, address: int, count: int, timeout: float, *, sure: bool) -> Words:  # noqa: ASYNC109 - the port's own
        """The port's answer, unless it came sooner than the station can have heard the question: then a BadFrame."""
        port = self.port
        try:
            words = await port.read(station.unit, function, address, count, timeout)
        except Refused:
            if sure or not station.too_soon(port.heard_at - port.sent_at - self.wire.time(0)):
                raise
        else:
            if sure or not station.too_soon(port.heard_at - port.sent_at - self.wire.time(count)):
                return words
        raise BadFrame(f"unit {station.unit}: an answer came before the question can have been heard")

    def _become(self, state: BusState) -> None:
        if state != self.state:
            self.state, self.since = state, asyncio.get_running_loop().time()
