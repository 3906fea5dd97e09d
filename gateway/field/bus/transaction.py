"""Transactions with the stations of a bus: one request and its answer, counted, timed, and told apart from
answers that come late.
"""

from __future__ import annotations

import asyncio
import logging
import time

from gateway.config import Bus, SerialBus
from gateway.errors import BadFrame, BusDown, NoReply, Refused
from gateway.field.bus.connection import Ended
from gateway.field.bus.cost import Fit, prior
from gateway.field.bus.doubts import LATEST, BusDoubts
from gateway.field.bus.station import ENOUGH, FADE, Station, always_behind, patience_after, slower
from gateway.field.facts import MeterFacts
from gateway.field.health import TurnAround, WireCounters
from gateway.field.learnt import Learnt
from gateway.field.port.contract import Late, Port, ReadSeries, Registers
from gateway.field.port.difference import FIELDS, Field, Misfit, OddReply, ReplyForm

log = logging.getLogger(__name__)

OWED = 6.0
"""Times a configured time-out that a reply is waited for which a gateway may still owe."""
FIRST = 2.5
"""s that a first silence may cost the others, if the gateway was never late: 95 % of a minute are theirs."""
SERVING = 6.0
"""s that a gateway may serve one request, while it lets all others wait."""
LISTENED = 5.0
"""s after its time-out for which an answer without a number is listened for."""
LISTENS = frozenset({1, 4, 16, 64, 256})
"""Requests in vain before one that is listened behind."""
LISTEN_AGAIN = 600.0
"""s between two times of it on a line on which others answer."""


class Transactions(BusDoubts):
    """The stations of a bus, and one transaction at a time with them."""

    def __init__(self, bus: Bus, port: Port, learnt: Learnt | None = None) -> None:
        self.learnt = learnt or Learnt()
        super().__init__(bus, port, self.learnt.bus(bus))
        self.silence = self.facts.silence
        """s of silence on the line before any request."""
        self.counters = WireCounters()
        self.turn_around = TurnAround()
        self.plain: dict[tuple[Field, int], int] = {}
        """Replies in a row that were as the standard has them in a field, and unit, of which a difference is
        believed.
        """
        self.allowance = float("inf")
        """s that may go now into finding out what replies are worth: they are the others' too."""
        self.spent = 0.0
        """s that this has taken."""
        self._last: tuple[Station, int] | None = None
        self.own_end = self.line_end = float("-inf")
        """When the last answer of the station asked last ended, and the last byte, before it was asked."""
        self._pays = self._in_vain = self._all_in_vain = False
        """Whether late replies come on this line; whether one was waited for and never came; and the same
        when several stations were not answered in a row.
        """
        self._listened_at = float("-inf")
        self._silent_since = 0.0
        """When the first of the stations was asked that have not answered since."""
        self._late_from: tuple[int, float] = (-1, float("-inf"))
        """The unit whose reply was the last to come late, and when that was heard."""
        self.were_late: list[Station] = []
        """Stations that were given up, and answered then; whoever has looked takes them out."""
        facts = self.facts
        self.form = port.form = ReplyForm(facts.reply_number, facts.reply_length, facts.reply_protocol)
        self.form.told |= {(field, None) for field in FIELDS if facts.fixed(f"reply_{field}")}

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
                self.form.units[unit] = alias
        if facts.reply_count == "registers":
            self.form.counting |= {unit}
        self.form.told |= {(field, unit) for field in FIELDS if facts.fixed(f"reply_{field}")}
        self._stations.append(station)
        self.renumber(self.form.number)
        return station

    def renumber(self, rule: str) -> None:
        """Read replies by a rule of numbers.

        Where they tell replies apart, a doubt is one of all stations: a gateway that mixes replies up mixes
        those of all its units up. Where they do not, each station has its own, and only its own reply ends
        it.
        """
        self.form.number = rule
        for station in self._stations:
            if self.port.has_transaction_ids:
                station.unanswered = self._unanswered
            elif station.unanswered is self._unanswered:
                station.unanswered = dict(self._unanswered)

    @property
    def may_learn(self) -> bool:
        """Whether there is time left for that."""
        return self.spent < self.allowance

    async def silence_of(self, station: Station) -> None:
        """The late-answer bound, and then silence."""
        self.silent_until = max(self.silent_until, time.monotonic() + self.late_bound(station, 0))
        await self._until(self.silent_until)

    async def check_read(self, station: Station, function: int, address: int, count: int) -> None:
        """A read that is to prove something. Raises like `read`."""
        for counters in (station.counters, self.counters):
            counters.resyncs += 1
        registers = await self._exchange(station, ReadSeries([(function, address, count)]), sure=True)
        station.keep((function, address, count), registers, self.port.heard_at)

    async def _exchange(self, station: Station, run: ReadSeries, *, sure: bool = False) -> Registers:
        """One request and its answer, counted and timed. `sure`: only the true answer can have this length.

        A series goes on by itself as long as nothing is in the way of the next request; errors are about the
        read then under way.
        """
        port = self.port
        await self._connected()
        timeout = self.timeout(station, run.count)
        heard = port.heard_at
        self._sent(station, run.count)
        numbered = port.has_transaction_ids
        if numbered and not self._must_wait(station):
            port.following = run.following
        try:
            registers = await self._ask(station, run, timeout, sure=sure or numbered)
        except Refused as error:
            for counters in (station.counters, self.counters):
                counters.exceptions[error.code] = counters.exceptions.get(error.code, 0) + 1
            station.timeouts = 0
            self._doubt_refusal(station, run.count, error.code)
            self._replied(station, port.sent_at, port.heard_at)
            raise
        except NoReply:
            self._missed(station, run.count, heard)
            raise
        except BadFrame as error:
            # the true answer may still come until the time allowed for it is over, or be as late as others
            # were
            self._disturbed(station, run.count, error, port.sent_at + timeout - time.monotonic())
            raise
        except BusDown as error:
            self._doubt_hang_up(station, run.count)
            if self.state == "ready" and not isinstance(self.bus, SerialBus) and port.heard_at < port.sent_at:
                self._endings.ended()
                raise Ended(error.message, hint=error.hint) from error
            self.lost(error)
            raise
        except asyncio.CancelledError:
            self._doubt_answer(station, run.count)
            raise
        finally:
            if port.strays != self._strays:
                self._strays, self.disturbed_at = port.strays, time.monotonic()
            if port.late:
                self._hear_late()
        self._answered(station, run, registers, port.sent_at, port.heard_at)
        return registers

    def _must_wait(self, station: Station) -> bool:
        """Whether something is in the way of the request that follows an answer at once."""
        unready = station.pause or station.min_gap or self.silence
        return bool(station.unanswered or unready or self._endings.is_known)

    def _missed(self, station: Station, count: int, heard: float) -> None:
        """It did not answer; `heard` is when a byte last came before it was asked."""
        port = self.port
        for counters in (station.counters, self.counters):
            counters.timeouts += 1
        station.timeouts += 1
        station.last = port.sent_at + self.wire.time(0)
        if port.heard_at != heard:
            self._silent.clear()
        if not self._silent:
            self._silent_since = port.sent_at
        self._silent.append(station)
        station.missed_at = time.monotonic()
        station.facts.forget_old("timeout")
        self._doubt_answer(station, count)

    def _disturbed(self, station: Station, count: int, error: BadFrame, rest: float) -> None:
        """What came is not the answer, which may still come within `rest` s."""
        port = self.port
        for counters in (station.counters, self.counters):
            counters.bad_frames += 1
        station.last = port.heard_at
        self.disturbed_at = time.monotonic()
        station.odd = station.odd + 1 if isinstance(error, OddReply) else 0
        self._tell_of_others(error)
        if isinstance(error, Misfit):
            self._doubt_misfit(station, count)
        else:
            self._doubt_answer(station, count, rest)
        if self.bus.type == "tcp" and not port.connected:
            hint = "check the port number; for a converter of serial frames write type: rtu-over-tcp"
            self.lost(BusDown(f"bus {self.name} sent what is not Modbus", hint=hint))

    def _doubt_answer(self, station: Station, count: int, rest: float = 0.0) -> None:
        """An answer may still come; a number tells it from the next one."""
        numbered = self.port.has_transaction_ids
        self._doubt(station, count, 0.0 if numbered else max(rest, self.late_bound(station, count)))

    def _catch_up(self, station: Station, run: ReadSeries) -> None:
        """Take the answers that were followed by the next request in the moment that they came."""
        for sent_at, heard_at, registers in self.port.answers:
            self.asked_at = sent_at
            self._answered(station, run, registers, sent_at, heard_at)
            run.proceed(registers)
            self._sent(station, run.count, heard_at)

    def _sent(self, station: Station, count: int, line_end: float | None = None) -> None:
        self.own_end = station.heard_at
        self.line_end = self.port.heard_at if line_end is None else line_end
        self.counters.requests += 1
        station.counters.requests += 1
        self._last = (station, count)
        self.first.sent()
        self._endings.sent()

    def _answered(
        self, station: Station, run: ReadSeries, registers: Registers, sent_at: float, heard_at: float
    ) -> None:
        took = heard_at - sent_at
        turn = took - self.wire.time(run.count)
        self.counters.replies += 1
        station.counters.replies += 1
        self._replied(station, sent_at, heard_at)
        station.given_up = station.misfits = 0
        station.plain = True  # what it refuses may have another number
        station.heard(run.count, took, turn)
        if not self.port.has_transaction_ids:
            station.compare((run.function, run.address, run.count), registers, sent_at)
        self.slowest = max(FADE * self.slowest, turn)
        self.turn_around.add(turn)

    def _replied(self, station: Station, sent_at: float, heard_at: float) -> None:
        station.last = station.heard_at = heard_at
        station.odd = 0
        if self._silent:
            self._silent.clear()
        if station.tried_wait or station.behind:
            self._kept_up(station, heard_at - sent_at)
        self.openings += self.first.replied(station)
        if not self._well or self.port.echoes:
            self._works()

    def _hear_late(self) -> None:
        """A gateway that serves one request after another gives what it owes in the end: whoever was so
        late has more time from now on.
        """
        replies = self.port.late
        while replies:
            late = replies.popleft()
            self._late_from = (late.unit, late.heard_at)
            for station in self._stations:
                if station.unit == late.unit:
                    self._hear_late_reply(station, late)

    def _hear_late_reply(self, station: Station, late: Late) -> None:
        """It is slow, and gets more time; or it is one reply behind, and no time will do: not even that which
        the reply before took.
        """
        if not late.behind or self.bus.timeout is not None or station.facts.fixed("timeout"):
            self._was_late(station, late.took)
            if not late.refused and (not late.behind or station.tried_wait == 0.0):
                self.were_late.append(station)
            station.tried_wait = station.tried_wait or patience_after(late.took) if late.behind else 0.0
        elif station.behind or 0.0 < station.tried_wait <= late.took:
            station.behind, station.tried_wait = True, 0.0
            error = always_behind(station.unit)
            self._troubles.begin(f"unit {station.unit}", f"bus {self.name}: {error.message}", error.hint)
        elif not station.tried_wait:
            station.tried_wait = patience_after(late.took)
            if not late.refused:
                self.were_late.append(station)

    def _kept_up(self, station: Station, took: float) -> None:
        """It answered in its time, which may be more than it has."""
        station.behind, station.tried_wait = False, 0.0
        self._troubles.end(f"unit {station.unit}", f"bus {self.name}: unit {station.unit} answers in time")
        if took > self._latency(station, 0):
            self._was_late(station, took)

    def _was_late(self, station: Station, took: float) -> None:
        self._pays, station.in_vain = True, False
        patience = patience_after(took)
        if (
            self.bus.timeout is None
            and patience > self._latency(station, 0)
            and station.facts.learn("timeout", patience)
        ):
            log.info("bus %s: unit %d answered after %.1f s: from now on it has %g s",
                     self.name, station.unit, took, patience)  # fmt: skip

    def _owed(self, station: Station, count: int) -> float:
        """Seconds after a time-out for which a numbered reply is waited for before anybody else is asked."""
        least = self.late_bound(station, count) - self._latency(station, station.timeouts)
        most = LATEST if self.bus.timeout is None else min(LATEST, (OWED - 1) * self.bus.timeout)
        if station.in_vain:
            return least
        if self._pays or (len(self._stations) == 1 and station.answers < ENOUGH):
            return most
        # It is rather the meter's end than a gateway that serves one after the other; unless the next one is
        # not answered either.
        sent_at = self.port.sent_at
        if self._silent and not self._all_in_vain:
            serving = SERVING * len(self._silent) - (sent_at - self._silent_since)
            return min(most, max(least, serving))
        return least if self._in_vain else min(most, max(least, FIRST - self.timeout(station, count)))

    async def _ask(self, station: Station, run: ReadSeries, timeout: float, *, sure: bool) -> Registers:
        """The port's answer; BadFrame when it came sooner than the station can have heard the question."""
        port = self.port
        try:
            try:
                registers = await port.read(station.unit, run.function, run.address, run.count, timeout)
            finally:
                if port.answers:
                    self._catch_up(station, run)
                self.asked_at = port.sent_at
        except NoReply:
            if port.has_transaction_ids:
                return await self._overdue(station, run.count)
            if self._may_listen(station):
                await self._listen(station)
            raise
        except Refused:
            if sure or not station.too_soon(port.heard_at - port.sent_at - self.wire.time(0)):
                raise
        else:
            if sure or not station.too_soon(port.heard_at - port.sent_at - self.wire.time(run.count)):
                return registers
        raise BadFrame(f"unit {station.unit}: an answer came before the question can have been heard")

    def _may_listen(self, station: Station) -> bool:
        """Whether to listen for a meter, or a converter, that is slower than any until now: for one that has
        never answered, ever more seldom, and where others do answer for one of all in a while.
        """
        if self.bus.timeout is not None or station.facts.fixed("timeout") or station.answers:
            return False
        for_it_alone = station.timeouts == 0 and self.allowance == float("inf")
        if not (for_it_alone or station.timeouts in LISTENS) or self.allowance - self.spent < LISTENED:
            return False
        again = time.monotonic() - self._listened_at >= LISTEN_AGAIN
        return again or not any(other.answers for other in self._stations)

    async def _listen(self, station: Station) -> None:
        """For an answer long after its time. It says how much time the station needs, and nothing of its
        registers: without a number it may be that to an earlier question. Raises NoReply where it came.
        """
        self._listened_at = time.monotonic()
        try:
            await self.port.overdue(LISTENED)
        except (NoReply, BadFrame):
            return
        except Refused:
            pass
        took = self.port.heard_at - self.port.sent_at
        self._was_late(station, took)
        self.were_late.append(station)
        raise slower(station.unit, took)

    async def _overdue(self, station: Station, count: int) -> Registers:
        """The answer to the last question after its time-out: a gateway asks its own meters with patience
        of its own.
        """
        try:
            registers = await self.port.overdue(max(self._owed(station, count), 0.0))
        except NoReply:
            station.in_vain = self._in_vain = True
            self._all_in_vain |= any(other is not station for other in self._silent)
            if station.behind:
                raise always_behind(station.unit) from None
            raise
        except Refused:
            self._was_late(station, self.port.heard_at - self.port.sent_at)
            raise
        self._was_late(station, self.port.heard_at - self.port.sent_at)
        return registers
