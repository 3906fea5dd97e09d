"""A bus as its meters see it: one request in flight, silence where it is due, and never an answer to another
question.

RTU has no transaction number. After a timeout, or a reply that was not the answer, an answer may still be
under way. So the line stays silent for the late-answer bound, what arrives meanwhile is thrown away, and the
station in doubt is first asked for a read whose length none of its open questions had. Only its clean reply
ends the doubt.
"""

from __future__ import annotations

import asyncio
import logging
import math

from gateway.config import Bus, SerialBus
from gateway.errors import BadFrame, BusDown, NoReply, OthersTalk, Refused
from gateway.field.bus import constancy
from gateway.field.bus.connection import BusConnection, Ended
from gateway.field.bus.cost import Fit, prior
from gateway.field.bus.read_series import ReadSeries
from gateway.field.bus.station import FADE, Station
from gateway.field.health import TurnAround, WireCounters
from gateway.field.learnt import LONGEST, Learnt, MeterFacts
from gateway.field.port.contract import Ask, Port, Registers, words_of
from gateway.field.port.difference import OddReply

log = logging.getLogger(__name__)

LATE = 3.0
"""The late-answer bound: so many times the slowest turn-around seen, and the answer's time on the wire."""
LATEST = 10.0
"""s; no bound is longer."""
RECENT = 2.0
"""s after an answer in which a second copy of it may come, however long this machine stands still in
between.
"""
ENDINGS = 3
"""Connections that may end during one read, each after an answer."""
OWED = 6.0
"""Times a configured time-out that a reply is waited for which a gateway may still owe."""
PATIENCE = 1.25
"""Times the latest reply seen that a station is given."""
BABBLE = 2.0
"""s that a line which does not fall silent is waited for."""
ATTEMPTS = 3
"""Re-synchronisations in a row that strays may spoil."""
LATENCY = {True: (0.1, 0.5, 1.0), False: (0.5, 1.0, 2.0)}
"""s that a station on a serial line (True) or behind a network has for its turn-around: at least, before
it is known, at most.
"""


class BusLine(BusConnection):
    """One physical bus."""

    def __init__(self, bus: Bus, port: Port, learnt: Learnt | None = None) -> None:
        self.learnt = learnt or Learnt()
        super().__init__(bus, port, self.learnt.bus(bus))
        self.silence = self.facts.silence
        """s of silence on the line before any request."""
        self.counters = WireCounters()
        self.turn_around = TurnAround()
        self.slowest = 0.0
        self.plain = 0
        """Replies in a row that were as the standard has it, though a difference is believed."""
        self._last: tuple[Station, int] | None = None
        self.own_end = self.line_end = float("-inf")
        """When the last answer of the station asked last ended, and the last byte, before it was asked."""
        self._pays = self._in_vain = False
        port.reply_number = self.facts.reply_number

    def station(
        self,
        unit: int,
        facts: MeterFacts | None = None,
        *,
        min_gap: float = 0.0,
        patience: float | None = None,
    ) -> Station:
        """A meter on this line, with the cost of a read as the line's speed suggests it."""
        facts = facts or MeterFacts({}, {}, self.learnt)
        table_gap, min_gap = min_gap, max(min_gap, facts.silence)
        gap = max(min_gap, self.silence, self.wire.gap, facts.pause)
        sure = 0.05 if isinstance(self.bus, SerialBus) else 0.5 if self.wire.char else 100.0
        fit = Fit(prior(self.bus, gap), gap=gap, sure_of_b=sure)
        station = Station(unit, fit, facts, min_gap, facts.pause, table_gap, patience)
        if self.bus.type == "tcp":
            alias = facts.reply_unit if facts.reply_unit is not None else self.facts.reply_unit
            if alias is not None:
                self.port.reply_units[unit] = alias
        self._stations.append(station)
        self.renumber(self.port.reply_number)
        return station

    def renumber(self, rule: str) -> None:
        """Read replies by a rule of numbers.

        Where they tell replies apart, a doubt is one of all stations: a gateway that mixes replies up mixes
        those of all its units up. Where they do not, each station has its own, and only its own reply ends
        it.
        """
        self.port.reply_number = rule
        for station in self._stations:
            if self.port.has_transaction_ids:
                station.open = self._open
            elif station.open is self._open:
                station.open = dict(self._open)

    def late_bound(self, station: Station, count: int) -> float:
        """Seconds of silence after which a late answer to a read of `count` is not expected any more."""
        return min(max(self._slowest(station, count), self._latency(station, 0)), LATEST)

    def _slowest(self, station: Station, count: int) -> float:
        return LATE * (station.slowest or self.slowest) + self.wire.time(count)

    def timeout(self, station: Station, count: int) -> float:
        """Seconds from sending the request to giving up: the time on the wire and the station's latency."""
        return self.wire.time(count) + 2 * self.wire.gap + self._latency(station, station.unanswered)

    def _latency(self, station: Station, unanswered: int) -> float:
        patience = station.facts.timeout
        if station.facts.fixed("timeout"):
            return patience
        if self.bus.timeout is not None:
            return self.bus.timeout
        return max(
            station.latency(*LATENCY[isinstance(self.bus, SerialBus)], waiting=unanswered > 0), patience
        )

    @property
    def silence_before(self) -> tuple[float, float]:
        """Seconds from the last answer of the station asked last, and from the last byte of whomever, to the
        request to it.
        """
        sent_at = self.port.sent_at
        return sent_at - self.own_end, sent_at - self.line_end

    def calm(self, station: Station, since: float) -> bool:
        """Whether nothing was wrong since then (the loop's time), but that this station did not answer."""
        return max(self.opened_at, self.disturbed_at) < since and all(
            other.missed_at < since for other in self._stations if other is not station
        )

    async def read(self, station: Station, function: int, address: int, count: int) -> tuple[int, ...]:
        """The words of registers, in full doubt-free order. Raises BusDown, NoReply, BadFrame, Refused."""
        return words_of(await self.go_on(station, ReadSeries(function, address, count)))

    async def go_on(self, station: Station, run: ReadSeries) -> Registers:
        """The answer of the run's last read, or of one before it, when all those before were answered. Raises
        like `read`, about its read.
        """
        if not self.port.connected:
            await self._reconnect()
        ended = 0
        while True:
            try:
                return await self._understood(station, run)
            except Ended as error:
                # Some serve one request a connection, and some end it just when the next one comes: it is
                # asked again.
                ended += 1
                if ended > (ENDINGS if self.first.answered else 1) and not self.first.longer(station):
                    self.lost(error)
                    raise
            except NoReply:
                if isinstance(self.bus, SerialBus) or not self.port.connected:
                    raise
                nobody = (
                    self.first.silent(station) >= len(self._stations) and self.port.heard_at < self.opened_at
                )
                if not (nobody and self.first.longer(station)):
                    self._half_open()
                    raise
            await self.open()

    async def _understood(self, station: Station, run: ReadSeries) -> Registers:
        """An answer that is the station's own: no difference from the standard that is not constant, no
        second copy.
        """
        try:
            words = await self._clean(station, run)
        except OddReply as odd:
            await constancy.believe(self, station, odd)
            words = await self._clean(station, run)
        except OthersTalk:  # it was not to be heard: once more
            words = await self._clean(station, run)
        port = self.port
        if port.has_transaction_ids:
            return words
        soon = min(self._slowest(station, run.count), LATEST)
        read = (run.function, run.address, run.count)
        before = station.repeats(read, soon, max(soon, RECENT))
        if before is None:
            return words
        self._doubt(station, run.count, soon)
        again = await self._clean(station, run)
        station.asked_twice(read, before, same=again == words)
        return again

    async def _clean(self, station: Station, run: ReadSeries) -> Registers:
        """An exchange without doubt."""
        if not self.port.has_transaction_ids:
            await self._quiet(station)
            for _ in range(ATTEMPTS):
                if not station.open:
                    break
                await self._resync(station)
                await self._quiet(station)
            else:
                raise BadFrame(
                    f"bus {self.bus.name}: there is no silence in which unit {station.unit} could be heard"
                )
            return await self._exchange(station, run)
        await self._pause(station)
        if run.count in station.open:
            # Numbers tell late replies apart, unless a gateway puts the newest number on whatever it gives.
            await self._resync(station)
            await self._pause(station)
        words = await self._exchange(station, run)
        station.open.clear()
        return words

    async def silence_of(self, station: Station) -> None:
        """The late-answer bound, and then silence."""
        self.silent_until = max(
            self.silent_until, asyncio.get_running_loop().time() + self.late_bound(station, 0)
        )
        await self._until(self.silent_until)

    async def check_read(self, station: Station, function: int, address: int, count: int) -> None:
        """A read that is to prove something. Raises like `read`."""
        self.counters.resyncs += 1
        station.counters.resyncs += 1
        await self._exchange(station, ReadSeries(function, address, count), sure=True)

    async def _pause(self, station: Station) -> None:
        """What a station behind numbered replies needs before a request."""
        silence = max(self.silence, station.min_gap)
        if silence or station.pause or self.silent_until:
            await self._until(
                max(self.port.heard_at + silence, station.last + station.pause, self.silent_until)
            )

    async def _until(self, when: float) -> None:
        rest = when - asyncio.get_running_loop().time()
        if rest > 0.0:
            await asyncio.sleep(rest)

    async def _quiet(self, station: Station) -> None:
        """Silence before a frame: t3.5 on the line, the station's own gap, the late-answer bound. Strays
        raise doubt.
        """
        port, loop = self.port, asyncio.get_running_loop()
        give_up = max(loop.time(), self.silent_until) + BABBLE
        while True:
            # a meter that needs silence needs it from whomever; what it needs after its own answer is its
            # pause
            silence = max(self.wire.gap, self.silence, station.min_gap)
            ready = max(
                max(port.heard_at, station.last) + silence, station.last + station.pause, self.silent_until
            )
            now = loop.time()
            if now >= ready or now >= give_up:
                break
            await asyncio.sleep(ready - now)
        if port.stray_frames != self._stray_frames:
            # A second answer to the last question looks like the first answer to the next one.
            self._stray_frames = port.stray_frames
            if self._last is not None:
                other, count = self._last
                other.copies = True
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
            try:
                await self.check_read(station, function, address, count)
            except Refused as error:
                refused += 1
                if error.code not in {2, 3}:
                    raise
                # The meter does not like this length. A late answer may have been a refusal too, but not
                # twice after silence.
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

    async def _exchange(self, station: Station, run: ReadSeries, *, sure: bool = False) -> Registers:
        """One request and its answer, counted and timed. `sure`: only the true answer can have this length.

        A run goes on by itself as long as nothing is in the way of the next request; errors are about the
        read then under way.
        """
        port, mine, total = self.port, station.counters, self.counters
        if not port.connected:
            await self._reconnect()
            await self._until(self.silent_until)
        timeout = self.timeout(station, run.count)
        heard = port.heard_at
        self._sent(station, run.count)
        if (
            run.more
            and port.has_transaction_ids
            and not (station.open or station.pause or station.min_gap or self.silence)
        ):
            port.then = lambda words: self._next(station, run, words)
        try:
            words = await self._ask(station, run, timeout, sure=sure or port.has_transaction_ids)
        except Refused as error:
            for counters in (mine, total):
                counters.exceptions[error.code] = counters.exceptions.get(error.code, 0) + 1
            station.unanswered = 0
            self._replied(station)
            raise
        except NoReply:
            mine.timeouts += 1
            station.unanswered += 1
            total.timeouts += 1
            station.last = port.sent_at + self.wire.time(0)
            if port.heard_at != heard:
                self._silent.clear()
            self._silent.append(station)
            station.missed_at = asyncio.get_running_loop().time()
            self._doubt(
                station, run.count, 0.0 if port.has_transaction_ids else self.late_bound(station, run.count)
            )
            raise
        except BadFrame as error:
            mine.bad_frames += 1
            total.bad_frames += 1
            station.last = port.heard_at
            self.disturbed_at = asyncio.get_running_loop().time()
            station.odd = station.odd + 1 if isinstance(error, OddReply) else 0
            self._tell_of_others(error)
            # the true answer may still come until the time allowed for it is over, or be as late as others
            # were
            rest = port.sent_at + timeout - asyncio.get_running_loop().time()
            self._doubt(
                station,
                run.count,
                0.0 if port.has_transaction_ids else max(rest, self.late_bound(station, run.count)),
            )
            if self.bus.type == "tcp" and not port.connected:
                self.lost(
                    BusDown(f"bus {self.bus.name} sent what is not Modbus", hint="check the port number")
                )
            raise
        except BusDown as error:
            if self.bus.type != "tcp":  # a converter gives late answers to whoever is connected
                station.open[run.count] = asyncio.get_running_loop().time()
            if self.state == "ready" and not isinstance(self.bus, SerialBus) and port.heard_at < port.sent_at:
                raise Ended(error.message, hint=error.hint) from error
            self.lost(error)
            raise
        except asyncio.CancelledError:
            self._doubt(
                station, run.count, 0.0 if port.has_transaction_ids else self.late_bound(station, run.count)
            )
            raise
        finally:
            if port.strays != self._strays:
                self._strays, self.disturbed_at = port.strays, asyncio.get_running_loop().time()
            self._hear_late()
        self._answered(station, run, words)
        if port.plain:
            constancy.doubt(self, station)
        else:
            self.plain = 0
        return words

    def _next(self, station: Station, run: ReadSeries, words: Registers) -> Ask | None:
        """Take an answer in the moment that it comes; what is asked next, None when the answer goes the
        ordinary way.
        """
        if self.port.plain or not run.more:
            return None
        self.plain = 0
        self._answered(station, run, words)
        run.proceed(words)
        self._sent(station, run.count)
        return run.function, run.address, run.count

    def _sent(self, station: Station, count: int) -> None:
        self.own_end, self.line_end = station.heard_at, self.port.heard_at
        self.counters.requests += 1
        station.counters.requests += 1
        self._last = (station, count)
        self.first.sent()

    def _answered(self, station: Station, run: ReadSeries, words: Registers) -> None:
        took = self.port.heard_at - self.port.sent_at
        turn = took - self.wire.time(run.count)
        self.counters.replies += 1
        station.counters.replies += 1
        self._replied(station)
        station.heard(run.count, took, turn)
        station.compare((run.function, run.address, run.count), words, self.port.sent_at, self.port.heard_at)
        self.slowest = max(FADE * self.slowest, turn)
        self.turn_around.add(max(0.0, turn))

    def _replied(self, station: Station) -> None:
        station.last = station.heard_at = self.port.heard_at
        station.odd = 0
        station.plain = True
        self._silent.clear()
        self.first.replied(station)
        self._works()

    def _hear_late(self) -> None:
        """A gateway that serves one request after another gives what it owes in the end: whoever was so
        late has more time from now on.
        """
        while self.port.late:
            late = self.port.late.popleft()
            for station in self._stations:
                if station.unit == late.unit:
                    self._was_late(station, late.took)

    def _was_late(self, station: Station, took: float) -> None:
        self._pays, station.in_vain = True, False
        patience = min(math.ceil(2 * PATIENCE * took) / 2, LONGEST)
        if (
            self.bus.timeout is None
            and patience > self._latency(station, 0)
            and station.facts.learn("timeout", patience)
        ):
            log.info(
                "bus %s: unit %d answered after %.1f s: from now on it has %g s",
                self.bus.name,
                station.unit,
                took,
                patience,
            )

    def _owed(self, station: Station, count: int) -> float:
        """Seconds after a time-out for which a numbered reply is waited for before anybody else is asked."""
        if station.in_vain or (self._in_vain and not self._pays):
            return self.late_bound(station, count) - self._latency(station, station.unanswered)
        return LATEST if self.bus.timeout is None else min(LATEST, (OWED - 1) * self.bus.timeout)

    async def _ask(self, station: Station, run: ReadSeries, timeout: float, *, sure: bool) -> Registers:
        """The port's answer, unless it came sooner than the station can have heard the question: then a
        BadFrame.
        """
        port = self.port
        try:
            words = await port.read(station.unit, run.function, run.address, run.count, timeout)
        except NoReply:
            if not port.has_transaction_ids:
                raise
            return await self._overdue(station, run.count)
        except Refused:
            if sure or not station.too_soon(port.heard_at - port.sent_at - self.wire.time(0)):
                raise
        else:
            if sure or not station.too_soon(port.heard_at - port.sent_at - self.wire.time(run.count)):
                return words
        raise BadFrame(f"unit {station.unit}: an answer came before the question can have been heard")

    async def _overdue(self, station: Station, count: int) -> Registers:
        """The answer to the last question after its time-out: a gateway asks its own meters with patience
        of its own.
        """
        try:
            words = await self.port.overdue(max(self._owed(station, count), 0.0))
        except NoReply:
            station.in_vain = self._in_vain = True
            raise
        except Refused:
            self._was_late(station, self.port.heard_at - self.port.sent_at)
            raise
        self._was_late(station, self.port.heard_at - self.port.sent_at)
        return words
