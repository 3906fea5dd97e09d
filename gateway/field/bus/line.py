"""A bus as its meters see it: one request in flight, and never an answer to another request."""

from __future__ import annotations

import logging
import time
from functools import partial

from gateway.config import SerialBus
from gateway.errors import BadFrame, NoReply, OthersTalk, Refused
from gateway.field.bus import left_out, odd_replies
from gateway.field.bus.connection import Ended
from gateway.field.bus.doubts import GIVEN_UP, LATEST
from gateway.field.bus.in_step import InStep
from gateway.field.bus.station import Station, Undecided
from gateway.field.port.contract import ReadSeries, Registers, words_of
from gateway.field.port.difference import Misfit, OddReply

log = logging.getLogger(__name__)

RECENT = 2.0
"""s after an answer in which a second copy of it may come, however long this machine stands still in
between.
"""
COPIES = 0.1
"""s of silence in which a second answer comes out that is under way; at most, where none ever came."""
ENDINGS = 3
"""Connections that may end during one read, each after an answer."""
OWES = 2
"""Replies in a row that are those of earlier requests, after which a gateway is asked for a unit that nobody
has.
"""
ATTEMPTS = 3
"""Re-synchronisations in a row that strays may spoil."""

_NEEDS_REST = (
    "check its address and power; if it hears nothing for longer than 5 s after connecting, write "
    "connect_pause: 10s at the bus"
)


class BusLine(InStep):
    """One physical bus: what is asked once more, and which answer is believed."""

    @property
    def silence_before(self) -> tuple[float, float]:
        """Seconds from the last answer of the station asked last, and from the last byte of whomever, to the
        request to it.
        """
        return self.asked_at - self.own_end, self.asked_at - self.line_end

    @property
    def serves_several(self) -> bool:
        """Whether more than one meter is asked on it."""
        return len(self._stations) > 1

    def spent_since(self) -> float:
        """The s that went into finding out what replies are worth, since this was asked last."""
        spent, self.spent = self.spent, 0.0
        return spent

    def came_late(self) -> list[Station]:
        """Those that were given up, and have answered since this was asked last."""
        if self.port.late:
            self._hear_late()
        if not self.were_late:
            return []
        found, self.were_late = self.were_late, []
        return found

    def calm(self, station: Station, since: float) -> bool:
        """Whether nothing was wrong since then (the loop's time), but that this station did not answer."""
        return (
            not self.is_shared
            and max(self.opened_at, self.disturbed_at) < since
            and all(other.missed_at < since for other in self._stations if other is not station)
        )

    def try_costs(self, station: Station) -> float:
        """Seconds that one more request takes from the others if it is in vain: the patience that a gateway
        may need is not spent a second time.
        """
        silence = 0.0 if self.port.has_transaction_ids else self.late_bound(station, 1)
        return self.timeout(station, 1) + silence

    async def read(self, station: Station, function: int, address: int, count: int) -> tuple[int, ...]:
        """The words of registers, in full doubt-free order; a connection that was given up for its silence is
        opened again for them. Raises BusDown, NoReply, BadFrame, Refused.
        """
        if self._left_silent and self.state == "waiting":
            await self.open()
        return words_of(await self.go_on(station, ReadSeries([(function, address, count)])))

    async def go_on(self, station: Station, run: ReadSeries) -> Registers:
        """The answer of the run's last read, or of one before it, when all those before were answered. Raises
        like `read`, about its read.
        """
        if not self.port.connected:
            await self._reconnect()
        ended, at, asked_anew, serving = 0, run.at, False, None
        while True:
            try:
                registers = await self._understood(station, run)
            except Ended as error:
                # Some serve one request a connection, and some end it just when the next one comes: it is
                # asked again.
                ended, at = ended + 1 if run.at == at else 1, run.at
                if ended > (ENDINGS if self.first.answered else 1) and (
                    station.answers or not self.first.longer(station)
                ):
                    # some hang up on whoever comes while they serve another one
                    serving = await self._while_serving(station, serving, dropped=False)
                    if serving is None:
                        raise await self._hung_up(station) from error
            except NoReply as silence:
                if isinstance(self.bus, SerialBus) or not self.port.connected:
                    raise
                # some drop what comes while they serve another one
                if station.answers and not asked_anew and self._served_other(station):
                    asked_anew = True
                    continue
                if serving := await self._while_serving(station, serving, dropped=True):
                    continue
                nobody = (
                    self.first.silent(station) >= len(self._stations) and self.port.heard_at < self.opened_at
                )
                if not (nobody and self.first.longer(station)):
                    self._half_open()
                    if nobody and self.first.tried_in_vain(station):
                        raise NoReply(silence.message, hint=_NEEDS_REST) from silence
                    raise
            else:
                if serving is not None:
                    self._served(*serving)
                return registers
            await self.open()

    async def _hung_up(self, station: Station) -> NoReply:
        """What a request is whose connection ends each time, without a byte: not answered, as others may be.
        Raises BusDown when there is no other connection.
        """
        await self._reconnect()
        for counters in (station.counters, self.counters):
            counters.timeouts += 1
        station.missed_at = time.monotonic()
        return NoReply(
            f"the connection of bus {self.name} ends when unit {station.unit} is asked",
            hint="check its address; another program may hold the device: many serve only one",
        )

    async def _understood(self, station: Station, run: ReadSeries) -> Registers:
        """An answer that is the station's own: no difference from the standard that is not constant, no
        second copy.
        """
        was = await left_out.before(self, station)
        answers, bad = station.answers, station.counters.bad_frames
        try:
            registers = await self._clean(station, run)
            left_out.asked_once(self, station, was)
        except OddReply as odd:
            await odd_replies.believe(self, station, odd)
            registers = await self._clean(station, run)
        except OthersTalk:  # it was not to be heard: once more
            registers = await self._clean(station, run)
        except BadFrame as damaged:
            registers = await self._once_more(station, run, damaged, since=bad)
        except (NoReply, Refused) as error:
            if isinstance(error, NoReply):
                station.misses((run.function, run.address, run.count))
            if station.answers != answers:  # the one to re-synchronise by was
                if station.counters.timeouts == was.missed + 1:
                    left_out.was_awake(station, was)
                raise
            if not left_out.may_be_awake(self, station, was, error):
                left_out.asked_in_vain(station, was, error)
                raise
            again = partial(self._clean, station, run)
            registers = await left_out.ask_at_once(self, station, was, error, again)
        port = self.port
        if port.refuted or self.plain:
            odd_replies.doubt(self, station)
        if port.has_transaction_ids:
            return registers
        if port.repeats.unit is not None:
            for each in self._stations:
                if each.unit == port.repeats.unit:
                    each.answered_twice()
        return await self._own(station, run, registers)

    async def _once_more(
        self, station: Station, run: ReadSeries, damaged: BadFrame, *, since: int
    ) -> Registers:
        """The answer to the read whose answer was damaged on its way, while the line has time for it and
        others of the station were whole; `since`: how many had been damaged before. Raises what was damaged
        when it is not answered either.
        """
        came = station.counters.bad_frames > since and not isinstance(damaged, Misfit)
        bound = 0.0 if self.port.has_transaction_ids else self.late_bound(station, run.count)
        needs = bound + 2 * station.cost.time(run.count)
        asked = station.answers == station.damaged_after
        if not came or asked or not self.port.connected or not self._may_spend(needs):
            raise damaged
        station.damaged_after, began = station.answers, time.monotonic()
        try:
            return await self._clean(station, run)
        except (NoReply, BadFrame):
            raise damaged from None
        finally:
            self._spend(time.monotonic() - began)

    async def _own(self, station: Station, run: ReadSeries, registers: Registers) -> Registers:
        """The answer, or that to the same read once more, which is no second copy of another one. Raises
        Undecided when that would take the line from others for too long.
        """
        read = (run.function, run.address, run.count)
        for _ in range(ATTEMPTS):
            soon = min(self._slowest(station, run.count), LATEST)
            recent = max(soon, RECENT)
            before, like = station.repeats(read, soon, recent), station.like
            if before is None:
                break
            silence = COPIES if station.copies else min(soon, COPIES)
            if station.copies and not self._may_spend(silence + 2 * station.cost.time(run.count)):
                raise Undecided(station.unit)
            began, frames = time.monotonic(), self._stray_frames
            station.checks += 1
            if station.known_only:  # it answers no check read
                self.silent_until = max(self.silent_until, began + silence)
            else:
                self._doubt(station, run.count, silence)
            try:
                again = await self._clean(station, run)
            finally:
                self._spend(time.monotonic() - began)
            # Other words of the same registers say that they have moved, if they are no copy either.
            moved = before == run.address and station.repeats(read, soon, recent) is None
            if self._stray_frames == frames and (again == registers or moved):
                station.answered_once(like)
                registers = again
                break
            registers = again  # it may be another copy, of what was asked in between
        else:
            if station.copies:
                raise BadFrame(f"unit {station.unit} answers twice, and nothing tells which answer is whose")
        station.keep(read, registers, self.port.heard_at)
        return registers

    async def _clean(self, station: Station, run: ReadSeries) -> Registers:
        """An exchange without doubt."""
        if not self.port.has_transaction_ids:
            await self._quiet(station)
            checked = bool(station.unanswered)
            for _ in range(ATTEMPTS):
                if not station.unanswered:
                    break
                await self._resync(station, run)
                await self._quiet(station)
            else:
                raise BadFrame(
                    f"bus {self.name}: there is no silence in which unit {station.unit} could be heard"
                )
            registers = await self._asked(station, run, checked=checked)
            if self.is_shared:
                await self._listen_behind(station, run)
            return registers
        await self._free(station)
        if checked := run.count in station.unanswered:
            # Numbers tell late replies apart, unless a gateway puts the newest number on whatever it gives.
            if station.misfits >= OWES:
                await self._collect(station)
            if station.given_up > GIVEN_UP:  # it is asked as before, and what comes then is looked into
                await self._exchange(station, run)
                station.has_answered((run.function, run.address, run.count))
            await self._resync(station, run)
            await self._free(station)
        registers = await self._asked(station, run, checked=checked)
        station.has_answered((run.function, run.address, run.count))
        if station.unanswered:
            self.all_answered(station)
        return registers

    async def _asked(self, station: Station, run: ReadSeries, *, checked: bool) -> Registers:
        """An exchange without doubt, behind one in vain where the station needs that. `checked`: a check read
        was answered right before.
        """
        quiet = self._free if self.port.has_transaction_ids else self._quiet
        seconds = await left_out.leave_out(self, station, run, quiet)
        try:
            registers = await self._exchange(station, run)
        except NoReply:
            left_out.missed(self, station, checked=checked, left_out=seconds)
            raise
        left_out.answered(self, station, left_out=seconds)
        return registers

    async def _listen_behind(self, station: Station, run: ReadSeries) -> None:
        """Where another master reads our meters its answer may be taken for ours, which comes then, too.
        Raises OthersTalk.
        """
        expected = self.port.sent_at + self._slowest(station, run.count)
        await self._until(max(expected, time.monotonic() + COPIES))
        self._stray_frames = self.port.stray_frames  # what else came is no answer of ours
        if self.port.second_answer:
            error = OthersTalk(station.unit, station.unit)
            self._disturbed(station, run.count, error, self.late_bound(station, run.count))
            raise error
