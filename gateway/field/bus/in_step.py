"""In step with the meters: the silence that is due before a request, and which answer ends a doubt.

RTU has no transaction number. After a timeout, or a reply that was not the answer, an answer may still be
under way. So the line stays silent for the late-answer bound, what arrives meanwhile is thrown away, and the
station in doubt is first asked for a read whose length none of its unanswered requests had. Only its clean
reply ends the doubt.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress

from gateway.common.wait import sleep_exactly
from gateway.config import Bus, SerialBus
from gateway.errors import BadFrame, NoReply, Refused
from gateway.field.bus.one_at_a_time import OneAtATime
from gateway.field.bus.station import CHECKS, LEFT, OWED, Station
from gateway.field.learnt import Learnt
from gateway.field.port.contract import Ask, Port, ReadSeries

UNUSED = 0.25
"""s at most that nobody wanted the line and that may be made use of later: nobody loses a poll by that."""
BABBLE = 2.0
"""s that a line which does not fall silent is waited for."""
LAST_UNIT = 247
"""The last unit that there can be."""
OVER = {True: 5.0, False: OWED}
"""s after which no answer comes any more where its length does not tell: on a serial line (True), or not."""
LATE_FOR = 600.0
"""s after a late answer in which others may be late."""
OFTEN, OF = 3, 12
"""Late answers of a station among so many of its requests, from which on it has the time that they took."""
SELDOM = 4
"""Check reads of other lengths without an answer, at most, between two tries whether the one is answered that
always was.
"""


class InStep(OneAtATime):
    """Waits for silence before a request, and re-synchronises a station that is in doubt."""

    def __init__(self, bus: Bus, port: Port, learnt: Learnt | None = None) -> None:
        super().__init__(bus, port, learnt)
        self._unused = 0.0
        """s in which nobody wanted the line, of late."""
        self._late: dict[int, deque[int]] = {}
        """Unit → how many requests it had had at its newest late answers."""

    def _may_spend(self, seconds: float) -> bool:
        """Whether so many s may go into finding out what an answer is worth: nobody wanted the line for as
        long, or they are allowed.
        """
        return self._unused >= seconds or self.may_learn

    def _spend(self, seconds: float) -> None:
        unused = min(self._unused, seconds)
        self._unused -= unused
        self.spent += seconds - unused

    async def _quiet(self, station: Station) -> None:
        """Silence before a frame: t3.5 on the line, the station's own gap, the late-answer bound. Strays
        raise doubt.
        """
        port = self.port
        give_up = max(time.monotonic(), self.silent_until) + BABBLE
        waited = False
        while True:
            # a meter that needs silence needs it from whomever; what it needs after its own answer is its
            # pause
            silence = max(self.wire.gap, self.silence, station.min_gap)
            ready = max(
                max(port.heard_at, station.last) + silence, station.last + station.pause, self.silent_until
            )
            now = time.monotonic()
            if now >= ready or now >= give_up:
                break
            waited = True
            await sleep_exactly(ready)
        if not waited:
            self._unused = min(self._unused + now - ready, UNUSED)
        if port.stray_frames != self._stray_frames:
            # A second answer to the last question looks like the first answer to the next one.
            self._stray_frames = port.stray_frames
            if self._last is not None:
                other, count = self._last
                for each in self._stations:
                    each.doubt_copies(left=LEFT)
                other.answered_twice()
                other.unanswered.setdefault(count, time.monotonic())
                other.early, other.late_at = None, port.heard_at
                if other.timeouts:  # it did answer, only late: it needs more patience than we had
                    took = port.heard_at - port.sent_at
                    other.slowest = max(other.slowest, took - self.wire.time(count))
                    self._is_often_late(other, took)
        elif port.copied and self._last is not None:
            self._last[0].answered_twice()  # that copy is no other answer, but the next one may come too late
        else:
            station.nothing_followed()

    def _is_often_late(self, station: Station, took: float) -> None:
        """It answered after `took` s, when nobody waited any more: whoever does so often has more time."""
        late = self._late.setdefault(station.unit, deque(maxlen=OFTEN))
        late.append(station.counters.requests)
        if len(late) == OFTEN and late[-1] - late[0] < OF:
            self._was_late(station, took)

    async def _free(self, station: Station) -> None:
        """Wait until a station behind numbered replies may be asked."""
        silence = max(self.silence, station.min_gap)
        free_at = max(self.port.heard_at + silence, station.last + station.pause, self.silent_until)
        idle = time.monotonic() - free_at
        if idle < 0.0:
            await self._until(free_at)
        else:
            self._unused = min(self._unused + idle, UNUSED)

    async def _resync(self, station: Station, run: ReadSeries) -> None:
        """Ask for a length that no open question had, until one clean reply came. Raises like `read`."""
        refused, wanted = 0, (run.function, run.address, run.count)
        while station.unanswered:
            function, address, count = station.probe(time.monotonic(), wanted)
            try:
                await self.check_read(station, function, address, count)
            except Refused:
                refused += 1
                if self.took_long(station, count):
                    raise
                # The meter does not like this length. A late answer may have been a refusal too, but not
                # twice after silence.
                self._doubt(station, count, self.late_bound(station, count))
                await self._quiet(station)
                if refused > 1:
                    station.unanswered.clear()
            except NoReply:
                nothing_came = not self.port.has_transaction_ids and self.port.heard_at < self.port.sent_at
                station.silent_checks = station.silent_checks + 1 if nothing_came else 0
                read = self._by_known_read(station)
                if read is None:
                    raise
                await self._quiet(station)
                if station.silent_checks >= station.try_known_at:
                    await self._ask_known(station, read)
            except BadFrame:
                station.silent_checks = 0
                raise
            else:
                self.all_answered(station)
                station.has_answered((function, address, count))
                station.known_only = False

    def _by_known_read(self, station: Station) -> Ask | None:
        """The read by which to re-synchronise a station that has not answered a check read, and may be one
        that answers no lengths but those that it always has; None where it is none, or that is not known.
        Behind a network, and where its answers were late, none may come any more to these lengths.

        That nothing at all comes to reads of other lengths says as well that it owes no answer which the next
        request would bring.
        """
        asked = station.known_asked_at()
        now, serial = time.monotonic(), isinstance(self.bus, SerialBus)
        over = OVER[serial] if not serial or now - station.late_at < LATE_FOR else 0.0
        if not station.silent_checks or asked is None or now - asked < over:
            return None
        # one that has been silent for longer is rather gone
        due = station.timeouts <= CHECKS or station.silent_checks >= station.try_known_at
        return station.known_read if due and (station.known_only or self.may_learn) else None

    async def _ask_known(self, station: Station, read: Ask) -> None:
        """Re-synchronise by a read, though an open request has its length: its answer, with the silence of
        the late bound before and behind it, was the last one that could come. Raises like `read`.
        """
        began, known = time.monotonic(), station.known_only
        usual = self._slowest(station, read[2])
        station.silent_checks, station.try_known_at = 0, min(2 * station.try_known_at, SELDOM)
        try:
            await self._exchange(station, ReadSeries([read]))
            self._doubt(station, read[2], self.late_bound(station, read[2]))
            frames, in_time = self._stray_frames, self.port.heard_at - self.port.sent_at <= usual
            await self._quiet(station)
            if self._stray_frames == frames and in_time:
                self.all_answered(station)
                station.known_only, station.try_known_at = True, 1
        finally:
            if not known:
                self.spent += time.monotonic() - began

    async def _collect(self, station: Station) -> None:
        """Ask for a unit that nobody has: a gateway that gives each answer to the request behind it gives
        what it owes, and gets no other one.
        """
        station.misfits, began = 0, time.monotonic()
        known = {each.unit for each in self._stations}
        nobody = next((unit for unit in range(LAST_UNIT, 0, -1) if unit not in known), 0)
        with suppress(NoReply, BadFrame, Refused):
            await self.port.read(nobody, 3, 0, 1, self.timeout(station, 1))
        self.spent += time.monotonic() - began
        await self.silence_of(station)
