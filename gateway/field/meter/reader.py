"""One meter on a line: what has to be read when, by which reads, and what a poll of it brought."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.catalogue import Driver, Row, Span, recognised, resolve, shown
from gateway.config import Meter
from gateway.errors import BadFrame, BusError
from gateway.field.bus.cost import Cost
from gateway.field.bus.line import BusLine
from gateway.field.bus.station import Probe
from gateway.field.meter.decode import Replies, decode
from gateway.field.meter.planner import Read, Rules, plan, seconds, unreachable, worth_it
from gateway.field.meter.poll import Poll
from gateway.field.meter.registers import RegisterReader
from gateway.field.meter.schedule import DAY, Due
from gateway.model import Reading

log = logging.getLogger(__name__)

WANTED = 4
"""Values of an identity register that are named."""
REPLAN = (16, 4096)
"""Polls between two looks at whether another plan has become cheaper: at first, and when it has not been
so for long.
"""


@dataclass(frozen=True, slots=True)
class MeterTask:
    """A meter of the configuration with its driver."""

    config: Meter
    driver: Driver


@dataclass(slots=True)
class _Job:
    """The rows of a set of classes, and today's reads for them."""

    rows: tuple[Row, ...]
    spans: tuple[Span, ...]
    reads: tuple[Read, ...] = ()
    out_of_reach: tuple[Span, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What a poll brought. `error` is why the meter's turn ended early; None when every request had an
    answer.
    """

    reading: Reading
    error: BusError | None = None
    slow_failed: bool = False
    static_failed: bool = False
    attributes: dict[str, str] = field(default_factory=dict)
    spent: float = 0.0
    """s on learning what the meter does not answer, beyond what a poll costs."""


class MeterReader:
    """Reads one meter. It knows nothing of time tables and back-off: that is the worker's."""

    def __init__(self, task: MeterTask, line: BusLine, uptime: Callable[[], int]) -> None:
        self.task = task
        self.line = line
        limits = task.driver.limits
        self.facts = line.learnt.meter(line.bus, task.config)
        self.station = line.station(
            task.config.address, self.facts, min_gap=limits.min_gap, patience=limits.timeout
        )
        self.registers = RegisterReader(task.config.id, line, self.station, self._rules, self._changed)
        self._uptime = uptime
        self._driver: Driver | None = None
        self._jobs: dict[tuple[bool, bool, bool], _Job] = {}
        self._polls, self._look_at, self._looks = 0, REPLAN[0], REPLAN[0]
        self._planned_for = self.station.fit.cost.shape()
        self._knocks: tuple[Read, ...] = ()
        self.stranger: tuple[str, ...] = ()
        """Register with what it holds, and what the meters of its table have there, when that is something
        else.
        """
        self._comparable = True
        self._begin()

    @property
    def driver(self) -> Driver:
        """The driver as the meter has shown it to be; the configured one before that."""
        return self._driver or self.task.driver

    def forget(self) -> None:
        """Forget what the meter has shown of itself: it may be another one now."""
        self.registers.forget()
        self.stranger, self._comparable = (), True
        self._begin()

    def _begin(self) -> None:
        self._driver = None if self.task.driver.dynamic else self.task.driver
        self._jobs.clear()
        self._learn_probes()

    def reads(self, due: Due) -> tuple[Read, ...]:
        """The reads of a poll."""
        return self._job(due.fast, due.slow, due.static).reads

    def predicted(self, due: Due) -> float:
        """Seconds that such a poll takes."""
        station, line = self.station, self.line
        silence = max(line.wire.gap, line.silence, station.min_gap)
        return seconds(self.reads(due), station.fit.cost, max(0.0, station.pause - silence))

    async def read(self, due: Due, turn: Poll | None = None) -> Outcome:
        """Read what is due. Raises nothing of the bus: the outcome carries it."""
        turn = turn or Poll()
        loop = asyncio.get_running_loop()
        self.registers.image = []
        if self._driver is None:
            try:
                self._driver = await resolve(self.task.driver, self._words)
            except BusError as problem:
                return self._nothing(problem)
            turn.alive = True
            self._changed()
            self._learn_probes()
        image = Replies()
        job = self._job(due.fast, due.slow, static=False)
        self.registers.began = 0.0
        error = await self._fetch_all(job, image, turn)
        ended = self.line.port.heard_at
        began = self.registers.began or ended
        middle = self._uptime() - (round(1000 * (loop.time() - (began + ended) / 2)) if image.reads else 0)
        slow_failed = due.slow and turn.again
        attributes: dict[str, str] = {}
        static_failed = due.static
        if due.static and error is None:
            error, static_failed, attributes = await self._identify(turn, alone=not job.rows)
        config = self.task.config
        found = decode(job.rows, image, ct=config.ct, vt=config.vt, values=config.values)
        reading = Reading(config.id, middle, found.values, found.absent)
        attributes.update(found.attributes)
        if not image.reads and job.rows:
            reading.absent = {}
            reading.missing = (
                error.reason if error else next((failure[3] for failure in image.failures), "timeout")
            )
            if error is None and reading.missing == BadFrame.reason:
                error = BadFrame(f"meter {config.id} gave nothing but damaged or foreign frames")
        self.registers.left_out.tell()
        self._polls += 1
        if self._polls >= self._look_at:
            self._replan()
        return Outcome(reading, error, slow_failed, static_failed, attributes, turn.spent)

    async def _identify(self, turn: Poll, *, alone: bool) -> tuple[BusError | None, bool, dict[str, str]]:
        """What the meter says of itself: the error when it is lost, whether something of it failed, and
        its attributes.
        """
        image = Replies()
        if self.facts.skip and time.monotonic() - self.registers.left_out.looked_at > DAY / 2:
            await self.registers.ask_again(Replies(), turn)
        job = self._job(fast=False, slow=False, static=True)
        turn.again, turn.alive = False, not alone
        error = await self._fetch_all(job, image, turn)
        if error is None:
            await self._compare()
        return error, turn.again, decode(job.rows, image).attributes if image.reads else {}

    async def _compare(self) -> None:
        """Look whether the meter is the one that its table is for, as far as the table knows a register that
        tells. Raises nothing.

        A register that is refused or not answered tells nothing, and is not asked again.
        """
        identity = self.driver.identity
        if identity is None or not self._comparable:
            return
        place = (identity.function, identity.address, identity.words)
        try:
            words = await self._words(*place)
            if recognised(identity, words) or set(words) in (
                {0},
                {0xFFFF},
            ):  # what was never written tells nothing
                self.stranger = ()
                return
            if await self._words(*place) != words:
                return
        except BusError:
            self._comparable = False
            return
        said = (
            f"{identity.function}:{identity.address} = {shown(identity, words)}",
            " / ".join(map(str, identity.values[:WANTED])),
        )
        if said != self.stranger:
            self.stranger = said
            log.warning(
                "meter %s: register %s, the meters of its table %s have %s there → it may be another "
                "model: submeter drivers try",
                self.task.config.id,
                said[0],
                self.driver.name,
                said[1],
            )

    def _nothing(self, error: BusError) -> Outcome:
        reading = Reading(self.task.config.id, self._uptime(), missing=error.reason)
        return Outcome(reading, error, slow_failed=True, static_failed=True)

    async def _words(self, function: int, address: int, count: int) -> list[int]:
        return list(await self.line.read(self.station, function, address, count))

    async def _fetch_all(self, job: _Job, image: Replies, turn: Poll) -> BusError | None:
        """All reads of a job, back to back; the error that makes the meter lost, if there is one."""
        for span in job.out_of_reach:
            image.fail(span.function, span.address, span.words, self.registers.left_out.why(span))
        return await self.registers.read_all(job.reads, image, turn, self._knocks) if job.reads else None

    def _changed(self) -> None:
        self._jobs.clear()

    def _rules(self) -> Rules:
        return Rules.of(self.driver.limits, self.facts.skipped, self.facts.max_registers)

    def _job(self, fast: bool, slow: bool, static: bool) -> _Job:
        job = self._jobs.get((fast, slow, static))
        if job is None:
            paces = {pace for pace, wanted in (("fast", fast), ("slow", slow), ("static", static)) if wanted}
            rows = tuple(row for row in self.driver.rows if row.pace in paces)
            job = _Job(rows, spans_of(rows))
            rules = self._rules()
            job.reads = _shortest_first(_planned(job.spans, rules, self._planned_for))
            job.out_of_reach = tuple(unreachable(job.spans, rules))
            self._jobs[fast, slow, static] = job
        return job

    def _replan(self) -> None:
        """Exchange plans for those that have become cheaper. What is cheapest depends on a and b by their
        ratio alone.
        """
        cost = self.station.fit.cost
        self._looks = min(
            2 * self._looks, REPLAN[1]
        )  # planning takes as long as a hundred polls, and mostly for nothing
        self._look_at = self._polls + self._looks
        shape = cost.shape()
        if shape == self._planned_for:
            return
        self._planned_for = shape
        for job in self._jobs.values():
            better = _planned(job.spans, self._rules(), shape)
            if worth_it(job.reads, better, cost):
                log.debug(
                    "meter %s: %d reads instead of %d", self.task.config.id, len(better), len(job.reads)
                )
                job.reads = _shortest_first(better)
                self._looks = REPLAN[0]

    def _learn_probes(self) -> None:
        """Reads of different lengths, cut between rows, that may serve to re-synchronise: shortest first,
        a few of each length.
        """
        self.station.probes, self._knocks = _probes(spans_of(self.driver.rows), Rules.of(self.driver.limits))


@lru_cache(maxsize=64)
def _planned(spans: tuple[Span, ...], rules: Rules, cost: Cost) -> tuple[Read, ...]:
    """Meters of one table whose costs are of one shape have the same plan."""
    return plan(spans, rules, cost)


@lru_cache(maxsize=64)
def _probes(every: tuple[Span, ...], rules: Rules) -> tuple[tuple[Probe, ...], tuple[Read, ...]]:
    """Reads to re-synchronise by, and the single rows to find a meter by."""
    probes: dict[int, list[Probe]] = {}
    spans = [span for span in every if not span.alone]
    shortest = [(span, *rules.bounds(span.address, span.end)) for span in spans]
    for first in spans:
        end = first.end
        for last in spans:
            if last.function != first.function or last.address < first.address:
                continue
            end = max(end, last.end)
            if last.address > first.address and (last.starts or last.address > end):
                break
            begin, behind = rules.bounds(first.address, end)
            if not rules.allow(first.function, begin, behind):
                break
            probes.setdefault(behind - begin, []).append((first.function, begin, behind - begin))
    knocks = tuple(Read(span.function, first, end - first, (span,)) for span, first, end in shortest)
    return tuple(probe for count in sorted(probes) for probe in _spread(probes[count])), knocks


def _spread(probes: Sequence[Probe]) -> list[Probe]:
    """The first, one in the middle and the last: a meter may be silent about some registers."""
    return list(dict.fromkeys((probes[0], probes[len(probes) // 2], probes[-1])))


def _shortest_first(reads: Sequence[Read]) -> tuple[Read, ...]:
    """The order in which a meter's reads go out.

    The first one finds out that the meter has died: the shorter it is, the less that costs the others. Two of
    one length do not follow each other if that can be helped: a second copy of an answer would fit the next
    question.
    """
    rest = sorted(reads, key=lambda read: read.count)
    order: list[Read] = []
    while rest:
        chosen = next((read for read in rest if not order or read.count != order[-1].count), rest[0])
        rest.remove(chosen)
        order.append(chosen)
    return tuple(order)


def spans_of(rows: Sequence[Row]) -> tuple[Span, ...]:
    """What has to be read for these rows, each span once, in order."""
    return tuple(sorted({span for row in rows for span in row.spans}))
