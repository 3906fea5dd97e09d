"""A worker per bus: polls its meters when they are due, and keeps lost ones from costing the others their
time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from gateway.common.wait import Alarm
from gateway.config import Bus
from gateway.errors import BadFrame, BusDown, GatewayError
from gateway.field.bus.line import BusLine
from gateway.field.bus.station import Station
from gateway.field.health import BusHealth, BusLoad
from gateway.field.learnt import Learnt
from gateway.field.lease import Lease
from gateway.field.meter.poll import UNREAD, Poll
from gateway.field.meter.reader import MeterTask
from gateway.field.meter.state import PolledMeter
from gateway.field.poll_queue import PollQueue
from gateway.field.port.contract import Port
from gateway.field.port.modbus import ModbusPort
from gateway.field.schedule import EVERYTHING, Due
from gateway.host import uptime_ms
from gateway.model import Event, Reading

log = logging.getLogger(__name__)

SHARE = 0.05
"""Of a bus's time, for all lost meters together."""
CAP = 60.0
"""s; a lost meter is not left alone for longer, unless the others' probes use the share up."""
STEP = 0.5
"""s; a wall clock that moves by more against the monotonic one was set."""
CLOCK_CHECK = 30.0
"""s between two looks at the wall clock."""
LEARN = 5.0
"""s that one poll may spend on what a meter does not answer, while nobody else wants the line."""
LEAST = 0.001
"""s; so short an allowance lets one such read be asked, paid from the share of the lost meters."""
ROOM = 2.0
"""s before somebody else's poll in which nothing is learnt: a read that is not answered takes that long."""
LOAD_CHECK = 8
"""Polls of a meter between two looks at what its polls take."""


class BusWorker:
    """Polls the meters of one bus. `sink` gets a Reading for every poll, `events` what else should be known.

    `tasks` are its meters with their tables; `learnt` is the home of what is learnt; `port` and the clocks
    are for tests. `uptime` is CLOCK_BOOTTIME in ms, `wall` is UTC in s.
    """

    def __init__(
        self,
        bus: Bus,
        tasks: Sequence[MeterTask],
        sink: Callable[[Reading], None],
        events: Callable[[Event], None] = lambda _: None,
        *,
        port: Port | None = None,
        learnt: Learnt | None = None,
        uptime: Callable[[], int] = uptime_ms,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.bus = bus
        self._sink, self._events = sink, events
        self._uptime, self._wall = uptime, wall
        self.line = BusLine(bus, port or ModbusPort(bus), learnt)
        self.meters = {
            task.config.id: PolledMeter(task, self.line, uptime, self._poll_now, order)
            for order, task in enumerate(tasks)
        }
        self._queue = PollQueue(self.meters.values())
        self._planned = 0.0
        self._wanted: dict[str, list[asyncio.Future[Reading]]] = {}
        self._alarm = Alarm()
        self.line.on_late(self._alarm.wake)
        self._polling = asyncio.Lock()
        self._running: float | None = None
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._share_free_at = 0.0
        self._openings, self._offset = 0, 0.0
        self._load = BusLoad()
        self._warned = False
        self._lease = Lease(bus.name, events, uptime)

    async def run(self) -> None:
        """Poll until `stop`."""
        self._task = asyncio.current_task()
        self._offset = self._wall() - time.monotonic()
        self._load.begin(time.monotonic())
        for polled in self.meters.values():
            polled.begin(time.monotonic())
        self._queue.rebuild()
        try:
            while not self._stopping:
                if self._lease.overdue(time.monotonic()):
                    self.resume()
                if late := self.line.came_late():
                    self._ask_again(late)
                chosen, at = self._next()
                if at > time.monotonic():
                    await self._sleep_until(at)
                elif chosen is not None:
                    async with self._polling:
                        waited = self._lease.until is None and await self._serve(chosen)
                    if not waited:
                        await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            if self._task is not None:
                self._task.uncancel()
        finally:
            self._refuse_waiting()
            self.line.close()

    async def stop(self) -> None:
        """End `run`, within moments: a request that is under way is given up."""
        self._stopping = True
        self._alarm.wake()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._refuse_waiting()
        self.line.close()

    def next_due(self) -> float | None:
        """Monotonic time of the earliest poll that is due or running; None when there is nothing to poll."""
        due = self._queue.due() if self._lease.until is None else None
        return due if self._running is None else self._running if due is None else min(due, self._running)

    def meter(self, meter: str) -> PolledMeter:
        """A meter of this bus by its id. Raises GatewayError when there is none."""
        if meter not in self.meters:
            raise GatewayError(
                f"there is no meter {meter!r} on bus {self.bus.name}",
                hint=f"its meters are {', '.join(self.meters)}",
            )
        return self.meters[meter]

    async def _poll_now(self, polled: PolledMeter) -> Reading:
        loop = asyncio.get_running_loop()
        if self._lease.until is not None:
            raise self._lease.trouble(time.monotonic())
        if self._task is None or self._task.done():
            async with self._polling:
                return await self._visit(polled, EVERYTHING, now=True)
        answer: asyncio.Future[Reading] = loop.create_future()
        self._wanted.setdefault(polled.id, []).append(answer)
        self._alarm.wake()
        return await answer

    async def lend(self, to: str, seconds: float) -> float:
        """Let others have the port, for `seconds` (at most 300) unless asked again; gives the seconds."""
        async with self._polling:  # what is under way is ended first
            self.line.close()
            self._alarm.wake()
            return self._lease.begin(to, seconds, time.monotonic())

    def resume(self) -> None:
        """Poll again, at the next boundaries."""
        if self._lease.end():
            now = time.monotonic()
            self._realign(now, self._wall() - now)
            self._alarm.wake()

    def health(self) -> BusHealth:
        """How the bus and its meters are."""
        line, load = self.line, self.predicted_load()
        return BusHealth(
            bus=self.bus.name,
            state=line.state,
            since=line.since,
            error=self._lease.says(time.monotonic()) or line.error,
            cause=line.trouble.cause if line.trouble else "",
            load=self._load.share(time.monotonic()),
            predicted=load,
            warning=self._warning(load),
            turn_around=line.turn_around.mean,
            turn_around_p95=line.turn_around.p95,
            stray_bytes=line.port.strays,
            counters=line.counters,
            meters=tuple(polled.health() for polled in self.meters.values()),
            facts=line.facts.known(),
            lent=self._lease.until is not None,
        )

    def predicted_load(self) -> float:
        """The share of the bus's time that the polls need; meters without pause take the rest."""
        return sum(polled.predicted_load() for polled in self.meters.values() if not polled.lost)

    def _warning(self, load: float) -> str:
        if load <= 1.0:
            return ""
        need = f"they need {load:.0%} of its time, so polls are skipped"
        return f"bus {self.bus.name} cannot hold its intervals: {need}"

    def _next(self) -> tuple[PolledMeter | None, float]:
        """The meter that is polled next, and when."""
        if self._lease.until is not None:
            return None, self._lease.until
        if self._wanted:
            return self.meters[next(iter(self._wanted))], 0.0
        return self._queue.next(self._share_free_at, 0.0 if self.line.ready else self.line.retry_at)

    async def _sleep_until(self, at: float) -> None:
        """Wait, but look at the wall clock now and then."""
        await self._alarm.sleep_until(min(at, time.monotonic() + CLOCK_CHECK))
        if time.monotonic() < at:  # else the poll looks at it
            self._check_clock()

    def _check_clock(self) -> None:
        now = time.monotonic()
        offset = self._wall() - now
        if abs(offset - self._offset) > STEP:
            self._realign(now, offset)
        self._offset = offset

    def _realign(self, now: float, offset: float) -> None:
        for polled in self.meters.values():
            polled.schedule.realign(now, offset)
        self._queue.rebuild()

    async def _serve(self, polled: PolledMeter) -> bool:
        """Poll or probe one meter, or say that it is lost still. Whether an answer was waited for."""
        now = time.monotonic()
        waiting = self._wanted.pop(polled.id, [])
        if waiting:
            reading = await self._visit(polled, EVERYTHING, now=True, waiting=waiting)
            for answer in waiting:
                if not answer.done():
                    answer.set_result(reading)
            return False
        self._check_clock()
        self._running = min(polled.due_at, now)
        try:
            due = polled.schedule.due(now, self._offset) if polled.schedule.at <= now else Due()
            self._queue.put(polled)
            polled.missed(due.missed)
            if not polled.lost and polled.reader.asks_nothing(due):
                polled.schedule.again(static=due.static)
                return False
            if polled.lost and not polled.may_probe(now, self._queue.free_at(polled, self._share_free_at)):
                reason = polled.error.reason if polled.error else UNREAD
                self._sink(Reading(polled.id, self._uptime(), missing=reason))
                return False
            return not (await self._visit(polled, EVERYTHING if polled.lost else due)).missing
        finally:
            self._running = None

    async def _visit(
        self,
        polled: PolledMeter,
        due: Due,
        *,
        now: bool = False,
        waiting: Sequence[asyncio.Future[Reading]] = (),
    ) -> Reading:
        """Poll a meter on the line, note what it cost, and pass the reading on."""
        began = time.monotonic()
        poll = Poll(due)
        try:
            await self._ensure_open(now)
            if self._opened_anew(polled):
                poll.due = EVERYTHING
            if polled.was_away:
                polled.reader.forget(another=polled.may_be_another(began))
            slack = self._allow(poll, polled, now)
            await polled.reader.read(poll)
            poll.spent += self.line.spent_since()
            if (beyond := poll.spent - slack) > 0.0:
                self._share_free_at = max(self._share_free_at, time.monotonic()) + (1 / SHARE - 1) * beyond
        except BusDown as error:
            poll.fail(polled.id, self._uptime(), error)
        except asyncio.CancelledError:
            for answer in waiting:
                answer.cancel()
            raise
        except Exception as error:
            # What a meter says must never end the polling of the others.
            log.exception("meter %s gave what could not be understood", polled.id)
            strange = BadFrame(f"meter {polled.id} gave what could not be understood: {error}")
            poll.fail(polled.id, self._uptime(), strange)
        ended = time.monotonic()
        self._load.add(ended - began, ended)
        self._conclude(polled, poll, ended, self.line.free_at(ended) - began)
        self._queue.put(polled)
        polled.keep(poll, began)
        self._sink(poll.reading)
        return poll.reading

    def _ask_again(self, late: list[Station]) -> None:
        """A lost meter whose answer came in the end has the time from now on that it needs, and is none."""
        for other in self.meters.values():
            if other.lost and any(other.reader.station is station for station in late):
                other.probe_at = self._share_free_at = 0.0
                self._queue.put(other)

    def _opened_anew(self, polled: PolledMeter) -> bool:
        """Whether the port was opened since the last poll: then any meter may answer."""
        openings = self.line.openings
        if openings == self._openings:
            return False
        self._openings = openings
        for other in self.meters.values():
            if other is not polled:
                other.expect_anything()
        self._queue.rebuild()
        return True

    def _allow(self, poll: Poll, polled: PolledMeter, now: bool) -> float:
        """Allow a poll to learn while nobody else wants the line, else from the share of the lost meters;
        the s until somebody wants it.
        """
        poll.after_silence, poll.second_try = polled.wants_silence, polled.second_try
        self.line.allowance = float("inf")  # what a lost one takes is the share's anyway
        if now:
            poll.allowance = LEARN
            return float("inf")
        _, at = self._queue.next(float("inf"), 0.0, but=polled)
        slack = max(0.0, at - time.monotonic() - ROOM)
        if not polled.lost:
            share = 0.0 if time.monotonic() < self._share_free_at else LEAST
            poll.allowance = min(slack, LEARN) or share
            self.line.allowance = poll.allowance
        return slack

    async def _ensure_open(self, now: bool) -> None:
        if self.line.ready:
            return
        if not now and time.monotonic() < self.line.retry_at:
            why = self.line.trouble or BusDown(f"bus {self.bus.name} is lost")
            # a new one: a traceback grows with each raise
            raise BusDown(why.message, hint=why.hint, cause=why.cause)
        await self.line.open()

    def _conclude(self, polled: PolledMeter, poll: Poll, ended: float, cost: float) -> None:
        """What a poll says of its meter; `cost` s were taken from the others."""
        error, schedule = poll.error, polled.schedule
        if isinstance(error, BusDown):
            schedule.again(slow=poll.due.slow, static=poll.due.static)
            polled.mark_unreachable(error, ended)
            return
        if isinstance(error, BadFrame) and polled.mark_stumbled(error, ended):
            schedule.again(slow=poll.due.slow, static=poll.due.static)
            return
        if error is not None:
            self._planned, polled.share = self._planned - polled.share, 0.0
            if polled.lost and any(not other.lost for other in self.meters.values()):
                self._share_free_at = max(self._share_free_at, ended) + (1 / SHARE - 1) * cost
            wait = max(0.0, cost - poll.spent) / SHARE
            if not polled.lost and self.line.has_transaction_ids:
                wait *= 2  # the patience for a gateway that may be slow was not saved for
            if polled.second_try:
                self._queue.second_free_at = ended + cost / SHARE
            second = 0.0 if self.line.may_be_half_open else self.line.try_costs(polled.reader.station) / SHARE
            polled.mark_lost(error, ended, min(wait, CAP), min(second, CAP))
            return
        polled.mark_ok(ended, poll.complaint)
        polled.whole = 0 if poll.again else polled.whole + 1
        schedule.again(slow=poll.slow_failed, static=poll.static_failed)
        events = polled.identify(poll.attributes, poll.reading.uptime) if poll.attributes else []
        events += polled.judge(poll.reading)
        for event in events:
            self._events(event)
        if not self._warned and polled.polls_done % LOAD_CHECK == 0:
            self._check_load(polled)
        polled.polls_done += 1

    def _check_load(self, polled: PolledMeter) -> None:
        """Add up what the polls need as each meter comes to know it: the sum of all of them at each poll
        would grow with their number.
        """
        share = 0.0 if polled.lost else polled.predicted_load()
        self._planned += share - polled.share
        polled.share = share
        if self._planned > 1.0 and (warning := self._warning(self.predicted_load())):
            self._warned = True
            log.warning("%s; `submeter plan` says which interval fits", warning)

    def _refuse_waiting(self) -> None:
        for answers in self._wanted.values():
            for answer in answers:
                if not answer.done():
                    answer.set_exception(BusDown(f"bus {self.bus.name} is being stopped"))
        self._wanted.clear()
