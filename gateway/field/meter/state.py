"""A meter as its bus polls it: when it is due, what state it is in, what it last said, and what it says of
itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from gateway.catalogue import Driver
from gateway.errors import BadFrame, BusError, NoReply
from gateway.field.bus.line import BusLine
from gateway.field.health import MeterHealth, PollState
from gateway.field.meter.counters import energy_ratio
from gateway.field.meter.poll import Poll
from gateway.field.meter.reader import MeterReader, MeterTask
from gateway.field.meter.serial_number import SerialMemory, plain, tells
from gateway.field.port.contract import words_of
from gateway.field.schedule import Due, Schedule
from gateway.model import Event, Reading

log = logging.getLogger(__name__)

_FAST = Due(fast=True)
_BOTH = Due(fast=True, slow=True)
WELL = 3
"""Polls in a row without a silence after which one is no sign of what the meter does not have."""
AGAIN, CHEAP = 1.0, 20.0
"""s after which a reply that was lost is asked for again while nothing is owed to the others; and the longest
wait in place of which: a time-out of a second is paid for with that.
"""
SOONEST, OFTEN = 1.0, 5.0
"""s at least until a lost meter is asked again, however little that takes: at first, as much more each time,
and at most. Who hangs up at once, or refuses at once, would be asked for ever without a pause.
"""
EXCHANGE = 180.0
"""s at least that it takes to put another meter in a meter's place."""
SHORTEST_ANSWER = 5
"""Bytes of the shortest frame that answers, an exception."""


class PolledMeter:
    """One meter of a bus. Times are monotonic seconds. `poll_now` is how its bus polls it at once."""

    def __init__(
        self,
        task: MeterTask,
        line: BusLine,
        uptime: Callable[[], int],
        poll_now: Callable[[PolledMeter], Awaitable[Reading]],
        order: int = 0,
    ) -> None:
        self.config = config = task.config
        self.id = config.id
        self.line = line
        self.reader = MeterReader(task, line, uptime)
        self.state = PollState.STARTING
        self.error: BusError | None = None
        """Why its last poll ended early; None when it did not."""
        self.poll: Poll | None = None
        """The last one; None before the first."""
        self.attributes: dict[str, str] = {}
        """What it says of itself: serial number, firmware, ratios."""
        self.schedule = Schedule(config.interval, config.slow, 0.0)
        self.probe_at = 0.0
        """When it is asked again while it is lost."""
        self.second_try = False
        """Whether its next probe is the one after its first silence, which waits for no share: a reply may
        have been lost on the way.
        """
        self.whole = 0
        """Polls in a row of which no request was unanswered."""
        self._paid_at = 0.0
        """When what its silences took is paid for."""
        self.order = order
        self.entry_number = self.polls_done = 0
        """The number of its newest entry in the bus's queue."""
        self.queued: tuple[float, float, bool, bool] | None = None
        """What that entry was made of."""
        self.share = 0.0
        """What its polls take of the bus's time, as it was last added up; 0 while it is lost."""
        self._poll_now, self._uptime = poll_now, uptime
        self._station = self.reader.station
        self._counters = line.learnt.counters(line.bus, config)
        self._serials = SerialMemory(config.id, self.reader.facts)
        self._foreign: str | None = None
        """The serial number that answers, when it is not the configured one."""
        self._unidentified = False
        """Whether it may be another meter than before: its serial number was not read since."""
        self._since = 0.0
        self._last_good: float | None = None
        self._failures = self._complaints = 0

    # -- what others ask of it

    @property
    def reading(self) -> Reading | None:
        """The last one; None before the first poll."""
        return self.poll.reading if self.poll else None

    @property
    def registers(self) -> list[tuple[int, int, list[int]]]:
        """The raw registers of its last poll: function, first address, words."""
        poll = self.poll
        reads = poll.replies.reads if poll else []
        return [(function, start, list(words_of(registers))) for function, start, registers in reads]

    @property
    def reachable(self) -> bool:
        """Whether its bus is open."""
        return self.line.ready

    @property
    def driver(self) -> Driver:
        """Its table, as the meter has shown it to be."""
        return self.reader.driver

    async def read(self) -> Reading:
        """Poll it now, with everything it has, also when it is lost. Raises BusDown when its bus is being
        stopped.
        """
        return await self._poll_now(self)

    async def words(self, function: int, address: int, count: int) -> list[int]:
        """Any registers of it, beside its table. Raises BusDown, NoReply, BadFrame, Refused."""
        return list(await self.line.read(self._station, function, address, count))

    # -- when it is due

    def begin(self, now: float) -> None:
        """Everything is due now."""
        self.schedule = Schedule(self.config.interval, self.config.slow, now)
        self._since = now

    @property
    def pausing(self) -> bool:
        """Polled at its intervals, not without pause."""
        return self.config.interval > 0.0

    @property
    def lost(self) -> bool:
        """Whether it did not answer, so that it is probed now and then only."""
        return self.state is PollState.LOST

    @property
    def due_at(self) -> float:
        """When its next poll is due; a lost meter that is polled without pause is due when it is probed."""
        return self.probe_at if self.lost and not self.pausing else self.schedule.at

    @property
    def wants_silence(self) -> bool:
        """Whether the line falls silent before it is asked: some probes of a lost meter on a serial line,
        for it may need that.
        """
        every, wire = 2 if self._last_good is None else 4, self.line.wire
        return self.lost and self._failures % every == 0 and wire.char > 0.0

    def may_probe(self, now: float, share_free_at: float) -> bool:
        """Whether it is time to ask a lost meter again."""
        return now >= max(self.probe_at, share_free_at)

    def expect_anything(self) -> None:
        """The port was opened anew: another meter may answer, and back-off starts again."""
        self.schedule.static_at = 0.0
        self.probe_at = 0.0

    def missed(self, polls: int) -> None:
        """Count polls that were skipped because the bus had no time."""
        for counters in (self._station.counters, self.line.counters):
            counters.missed += polls

    # -- what its polls say of it

    def mark_unreachable(self, error: BusError, now: float) -> None:
        """Its bus is down: no fault of its own, and no back-off. A lost meter stays lost."""
        self.error = error
        if not self.lost:
            self._become(PollState.UNREACHABLE, now)

    def mark_stumbled(self, error: BusError, now: float) -> bool:
        """It gave only damaged frames. Noise is forgiven once, and True is returned; then it counts as
        lost.
        """
        if self.state is PollState.STUMBLED or self.lost:
            return False
        self.error = error
        self._become(PollState.STUMBLED, now)
        return True

    def mark_lost(self, error: BusError, now: float, wait: float, second: float) -> None:
        """It did not answer: leave it alone for `wait` s; one that was well for `second` s, which a cheap
        request need not save for where its silences before are paid for, and for the rest of `wait` when it
        is silent again. Said when it happens a second time.
        """
        second = min(second, AGAIN) if second <= CHEAP and now >= self._paid_at else second
        self.error = error
        self._failures += 1
        wait = max(wait, min(SOONEST * self._failures, OFTEN))
        self.second_try, self.whole = self._failures == 1 and self.whole >= WELL, 0
        self._paid_at = max(self._paid_at, now + wait) if second else now
        self._become(PollState.LOST, now)
        if self._failures == 2:
            bus, address = self.line.name, self.config.address
            log.warning("meter %s on bus %s (address %d) is lost: %s", self.id, bus, address, error)
        self.probe_at = now + second if self.second_try else self._paid_at

    def mark_ok(self, now: float, complaint: BusError | None) -> None:
        """A poll was answered: it is not lost. `complaint`: all that it said is that it is not ready, or has
        a fault of its own; or it answered no read of its own. Said when it happens a second time.
        """
        if self.was_away or (self._complaints > 1 and complaint is None):
            log.info("meter %s on bus %s is back", self.id, self.line.name)
        self._complaints = 0 if complaint is None else self._complaints + 1
        if self._complaints == 2:
            bus, address = self.line.name, self.config.address
            log.warning("meter %s on bus %s (address %d) gives nothing: %s", self.id, bus, address, complaint)
        if self.lost and self._tells_its_serial:
            self._unidentified = True
        self.error, self._failures, self.second_try = complaint, 0, False
        self._last_good = now
        for counters in (self._station.counters, self.line.counters):
            counters.polls += 1
        self._become(PollState.OK, now)

    @property
    def was_away(self) -> bool:
        """Lost for so long that it may come back set otherwise."""
        return self._failures > 1

    @property
    def _tells_its_serial(self) -> bool:
        """Whether it has given a serial number before, so that it can be asked whether it is the same."""
        return self._serials.known or tells(self.attributes.get("serial_number", ""))

    def may_be_another(self, now: float) -> bool:
        """Away for so long that another meter may come back in its place. Some are deaf for a while after a
        request that they do not understand: what is being found out about them must outlast that.
        """
        return self._last_good is None or now >= self._last_good + EXCHANGE

    def keep(self, poll: Poll, began: float) -> None:
        """Keep its last poll, and say when it was for whoever wants each of them told."""
        self.poll = poll
        if log.isEnabledFor(logging.DEBUG):
            now, took = self._uptime(), int(1000 * (time.monotonic() - began))
            said = poll.reading.missing or "values"
            bus = self.line.name
            log.debug("meter %s on bus %s: polled from %d to %d ms: %s", self.id, bus, now - took, now, said)

    def identify(self, attributes: dict[str, str], uptime: int) -> list[Event]:
        """Take what the meter says of itself; an event when it is not the meter that it should be, or is
        again.
        """
        self.attributes.update(attributes)
        read, expected = attributes.get("serial_number"), self.config.serial
        if read is None:
            return []
        self._counters.are_of(read)
        if expected is None:
            known = self._serials.known
            events, again = self._serials.seen(read, uptime)
            self._unidentified = again and known
            if again:
                self.schedule.again(static=True)
            return events
        self._unidentified = False
        foreign = read if plain(read) != plain(expected) else None
        if foreign is None:
            self._serials.confirmed()
        if foreign == self._foreign:
            return []
        self._foreign = foreign
        fields = {"meter": self.id, "expected": expected, "read": read}
        if foreign is None:
            return [Event("serial_match", uptime, fields)]
        log.warning(
            "meter %s should have serial number %s, but %s answers: its values are marked suspect. Was it "
            "replaced, or re-plugged?",
            self.id,
            expected,
            read,
        )
        return [Event("serial_mismatch", uptime, fields)]

    @property
    def other_serial(self) -> tuple[str, str] | None:
        """The serial numbers of the meter that should be here and of the one that answers in its place; None
        when it is the one that it should be, or nobody knows.
        """
        if self._foreign is not None:
            return self.config.serial or "", self._foreign
        exchange = self._serials.exchange
        return None if exchange is None else exchange[:2]

    def has_serial(self, serial: str) -> bool:
        """Whether it says that this is its serial number."""
        return bool(serial) and plain(self.attributes.get("serial_number", "")) == plain(serial)

    def replaced(self) -> None:
        """A person says that the meter was exchanged: registers and serial number are those of the one that
        answers now.
        """
        self._counters.forget()
        self._unidentified = False
        self._serials.replaced(self.attributes.get("serial_number", ""))

    def judge(self, reading: Reading) -> list[Event]:
        """Mark what should not be believed blindly; an event for each register whose trouble begins."""
        events = self._counters.judge(reading, self.driver.rows, energy_ratio(self.config))
        for event in events:
            fields, what = event.fields, event.kind.removeprefix("register_")
            log.warning(
                "meter %s: %s %s from %s to %s: it is suspect until three readings agree; the like of it is "
                "not told again within the hour → if the meter was exchanged: submeter swap %s",
                self.id, fields["quantity"], what, fields["from"], fields["to"], self.id,
            )  # fmt: skip
        if events:
            # a register that jumps may be another meter's: it is asked who it is
            self.schedule.static_at = 0.0
        if self._foreign is not None:
            reading.suspect = tuple(reading.values)
        return events

    def predicted_load(self) -> float:
        """The share of the bus's time that its polls take."""
        if not self.pausing:
            return 0.0
        interval, slow = self.config.interval, self.config.slow
        fast, both = self.reader.predicted(_FAST), self.reader.predicted(_BOTH)
        return fast / interval + max(0.0, both - fast) / max(slow, interval)

    def health(self) -> MeterHealth:
        """What the page shows."""
        reader, station = self.reader, self._station
        return MeterHealth(
            meter=self.id,
            address=self.config.address,
            state=self.state,
            since=self._since,
            last_good=self._last_good,
            error=str(self.error or ""),
            interval=self.config.interval,
            reads=len(reader.reads(_BOTH)),
            cycle=reader.predicted(_FAST),
            turn_around=station.turn_around.mean,
            turn_around_p95=station.turn_around.p95,
            counters=station.counters,
            damaged=_came_damaged(self.error),
            exchange=self._serials.exchange,
            unidentified=self._unidentified,
            unsteady=self._counters.unsteady(last.uptime) if (last := self.reading) else (),
            stranger=reader.stranger,
            nameless=reader.nameless,
            facts=reader.facts.known(),
            driver=reader.driver,
        )

    def _become(self, state: PollState, now: float) -> None:
        if state is self.state:
            return
        if state.shown != self.state.shown:
            self._since = now
        self.state = state


def _came_damaged(error: BusError | None) -> bool:
    """Whether what came is long enough for an answer, and was none: noise, or two who answer at once."""
    return isinstance(error, BadFrame) or (isinstance(error, NoReply) and error.heard >= SHORTEST_ANSWER)
