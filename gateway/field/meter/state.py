"""A meter's place at its bus: its schedule, whether it is lost, and what it says of itself."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.errors import BusError
from gateway.field.bus.line import BusLine
from gateway.field.health import MeterHealth, MeterState
from gateway.field.meter.counters import CounterMemory
from gateway.field.meter.reader import MeterReader, MeterTask
from gateway.field.meter.schedule import Due, Schedule
from gateway.field.meter.serial_number import SerialMemory, plain
from gateway.model import Event, Reading

log = logging.getLogger(__name__)

_FAST = Due(fast=True)
_BOTH = Due(fast=True, slow=True)


class PolledMeter:
    """State per (bus, address). Times are monotonic seconds."""

    def __init__(self, task: MeterTask, line: BusLine, uptime: Callable[[], int], order: int = 0) -> None:
        config = task.config
        self.order = order
        self.entry_number = self.polls_done = 0
        """The number of its newest entry among the bus's turns."""
        self.placed: tuple[float, float, bool] | None = None
        """What that entry was made of."""
        self.share = 0.0
        """What its polls take of the bus's time, as it was last added up; 0 while it is lost."""
        self.id = config.id
        self.config = config
        self.line = line
        self.reader = MeterReader(task, line, uptime)
        self.schedule = Schedule(config.interval, config.slow, 0.0)
        self.counters = CounterMemory(config.id)
        self.serials = SerialMemory(config.id, self.reader.facts)
        self.attributes: dict[str, str] = {}
        self.foreign = False
        """Whether another meter than the configured one answers."""
        self.lost = False
        self.answered = False
        self.reason = "timeout"
        self.probe_at = 0.0
        self._state: MeterState = "starting"
        self._since = 0.0
        self._last_good: float | None = None
        self.trouble: BusError | None = None
        self._failures = self._stumbles = 0
        self._told: str | None = None

    def begin(self, now: float) -> None:
        """Everything is due now."""
        self.schedule = Schedule(self.config.interval, self.config.slow, now)
        self._since = now

    @property
    def pausing(self) -> bool:
        """Polled at its intervals, not without pause."""
        return self.config.interval > 0.0

    @property
    def due_at(self) -> float:
        """When its next poll is due; a lost meter that is polled without pause is due when it is probed."""
        return self.probe_at if self.lost and not self.pausing else self.schedule.at

    @property
    def patient(self) -> bool:
        """Whether the line falls silent before it is asked: some probes of a lost meter on a serial line,
        for it may need that.
        """
        return self.lost and self.line.wire.char > 0.0 and self._failures % (4 if self.answered else 2) == 0

    def may_probe(self, now: float, share_free_at: float) -> bool:
        """Whether it is time to ask a lost meter again."""
        return now >= max(self.probe_at, share_free_at)

    def missed(self, polls: int) -> None:
        """Polls that were skipped."""
        self.reader.station.counters.missed += polls
        self.line.counters.missed += polls

    def unreachable(self, error: BusError, now: float) -> None:
        """Its bus is down: no fault of its own, and no back-off."""
        self.trouble, self.reason = error, error.reason
        self._become("lost", now)

    def stumble(self, error: BusError) -> bool:
        """It gave only damaged frames: noise is forgiven once, then it counts as lost."""
        self.trouble, self.reason = error, error.reason
        self._stumbles += 1
        return self._stumbles == 1

    def lose(self, error: BusError, now: float, wait: float) -> None:
        """It did not answer: leave it alone for a while. Said when it happens a second time."""
        self.trouble, self.reason = error, error.reason
        self._failures += 1
        if not self.lost:
            self.lost = True
            self._become("lost", now)
        if self._failures == 2:  # a single lost answer is no news
            log.warning(
                "meter %s on bus %s (address %d) is lost: %s",
                self.id,
                self.line.bus.name,
                self.config.address,
                error,
            )
        self.probe_at = now + wait

    def found(self, now: float) -> None:
        """It answered."""
        if self.gone:
            log.info("meter %s on bus %s is back", self.id, self.line.bus.name)
        self.lost, self._failures, self.answered = False, 0, True
        self.trouble, self._stumbles = None, 0
        self._last_good = now
        self.reader.station.counters.polls += 1
        self.line.counters.polls += 1
        self._become("ok", now)

    @property
    def gone(self) -> bool:
        """Lost for so long that another meter may come back in its place."""
        return self._failures > 1

    def expect_anything(self) -> None:
        """The port was opened anew: another meter may answer, and back-off starts again."""
        self.schedule.static_at = 0.0
        self.probe_at = 0.0

    def learn(self, attributes: dict[str, str], uptime: int) -> list[Event]:
        """Take what the meter says of itself; an event when it is not the meter that it should be, or is
        again.
        """
        known = self.attributes.get("serial_number")
        if known is not None and attributes.get("serial_number", known) != known:
            self.counters.forget()
        self.attributes.update(attributes)
        read, expected = attributes.get("serial_number"), self.config.serial
        if read is None:
            return []
        if expected is None:
            events, again = self.serials.take(read, uptime)
            if again:
                self.schedule.again(static=True)
            return events
        self.foreign = plain(read) != plain(expected)
        if not self.foreign:
            self.serials.confirmed()
        if (read if self.foreign else None) == self._told:
            return []
        self._told = read if self.foreign else None
        fields = {"meter": self.id, "expected": expected, "read": read}
        if self.foreign:
            log.warning(
                "meter %s should have serial number %s, but %s answers: its values are marked suspect. Was "
                "it replaced, or re-plugged?",
                self.id,
                expected,
                read,
            )
        return [Event("serial_mismatch" if self.foreign else "serial_match", uptime, fields)]

    def judge(self, reading: Reading) -> list[Event]:
        """Mark what should not be believed blindly; an event for each register that begins to be doubted."""
        config = self.config
        scale = config.ct * config.vt if config.values == "secondary" else 1.0
        events = self.counters.judge(reading, self.reader.driver.rows, scale)
        for event in events:
            log.warning(
                "meter %s: %s %s from %s to %s: it is suspect until three readings agree",
                self.id,
                event.fields["quantity"],
                event.kind.removeprefix("register_"),
                event.fields["from"],
                event.fields["to"],
            )
        if events:
            self.schedule.static_at = (
                0.0  # a register that jumps may be another meter's: it is asked who it is
            )
        if self.foreign:
            reading.suspect = tuple(reading.values)
        return events

    def predicted_load(self) -> float:
        """The share of the bus's time that its polls take."""
        if not self.pausing:
            return 0.0
        fast, both = self.reader.predicted(_FAST), self.reader.predicted(_BOTH)
        return fast / self.config.interval + max(0.0, both - fast) / max(
            self.config.slow, self.config.interval
        )

    def health(self) -> MeterHealth:
        """What the page shows."""
        station = self.reader.station
        return MeterHealth(
            meter=self.id,
            address=self.config.address,
            state=self._state,
            since=self._since,
            last_good=self._last_good,
            error=str(self.trouble or ""),
            interval=self.config.interval,
            reads=len(self.reader.reads(_BOTH)),
            cycle=self.reader.predicted(_FAST),
            turn_around=station.turn_around.mean,
            turn_around_p95=station.turn_around.p95,
            counters=station.counters,
            exchange=self.serials.exchange,
            stranger=self.reader.stranger,
            facts=self.reader.facts.known(),
        )

    def _become(self, state: MeterState, now: float) -> None:
        if state != self._state:
            self._state, self._since = state, now
