"""One meter on a line: what has to be read when, by which reads, and what a poll of it brought."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.catalogue import Driver, Row, resolve
from gateway.catalogue.driver import Span
from gateway.config.schema import Meter
from gateway.errors import BadFrame, BusDown, BusError, NoReply, Refused
from gateway.field.decode import Image, decode
from gateway.field.learnt import MOST_SPANS
from gateway.field.line import Line
from gateway.field.planner import Read, Rules, between, halves, plan, seconds, unreachable, worth_it
from gateway.field.schedule import DAY, Due
from gateway.field.station import Probe
from gateway.model import Reading

log = logging.getLogger(__name__)

ABSENT_STATION = frozenset({10, 11})
"""Exceptions with which a gateway says that the meter behind it does not answer."""
SPLIT = frozenset({2, 3})
"""Exceptions that may come from one register of a longer read, or from its length."""
REPLAN = 16
"""Polls between two looks at whether another plan has become cheaper."""


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
    """What a poll brought. `error` is why the meter's turn ended early; None when every request had an answer."""

    reading: Reading
    error: BusError | None = None
    slow_failed: bool = False
    static_failed: bool = False
    attributes: dict[str, str] = field(default_factory=dict)


class MeterPoll:
    """Reads one meter. It knows nothing of time tables and back-off: that is the worker's."""

    def __init__(self, task: MeterTask, line: Line, uptime: Callable[[], int]) -> None:
        self.task = task
        self.line = line
        limits = task.driver.limits
        self.facts = line.learnt.meter(line.bus, task.config)
        self.station = line.station(task.config.address, self.facts, min_gap=limits.min_gap, patience=limits.timeout)
        self.image: tuple[tuple[int, int, Sequence[int]], ...] = ()
        """The registers that the last poll brought: function, first address, words."""
        self._uptime = uptime
        self._driver: Driver | None = None
        self._jobs: dict[tuple[bool, bool, bool], _Job] = {}
        self._refused_at = time.monotonic()
        self._polls = 0
        self._planned_for = self.station.fit.cost
        self._began = 0.0
        self._begin()

    @property
    def driver(self) -> Driver:
        """The driver as the meter has shown it to be; the configured one before that."""
        return self._driver or self.task.driver

    def forget(self) -> None:
        """Forget what the meter has shown of itself: it may be another one now."""
        self.facts.forget("skip")
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

    async def poll(self, due: Due) -> Outcome:
        """Read what is due. Raises nothing of the bus: the outcome carries it."""
        loop = asyncio.get_running_loop()
        image, attributes = Image(), {}
        self.image = ()
        error: BusError | None = None
        static_failed = False
        if self._driver is None:
            try:
                self._driver = await resolve(self.task.driver, self._words)
            except BusError as problem:
                return self._nothing(problem)
            self._jobs.clear()
            self._learn_probes()
        if due.static:
            if self.facts.skip and loop.time() - self._refused_at > DAY / 2:
                self.facts.forget("skip")  # once a day: a refusal may have been a mood
                self._jobs.clear()
            job = self._job(fast=False, slow=False, static=True)
            error = await self._fetch_all(job, image)
            static_failed = bool(image.failures)
            if error is not None:
                return self._nothing(error)
            if job.rows:
                attributes = decode(job.rows, image).attributes
            image = Image()
        job = self._job(due.fast, due.slow, static=False)
        self._began = 0.0
        error = await self._fetch_all(job, image)
        ended = self.line.port.heard_at
        began = self._began or ended
        middle = self._uptime() - (round(1000 * (loop.time() - (began + ended) / 2)) if image.reads else 0)
        config = self.task.config
        found = decode(job.rows, image, ct=config.ct, vt=config.vt, values=config.values)
        reading = Reading(config.id, middle, found.values, found.absent)
        attributes.update(found.attributes)
        if not image.reads and job.rows:
            reading.absent = {}
            reading.missing = error.reason if error else next((failure[3] for failure in image.failures), "timeout")
            if error is None and reading.missing == BadFrame.reason:
                error = BadFrame(f"meter {config.id} gave nothing but damaged or foreign frames")
        self._polls += 1
        if self._polls % REPLAN == 0:
            self._replan()
        return Outcome(reading, error, due.slow and self._failed(image), static_failed, attributes)

    def _nothing(self, error: BusError) -> Outcome:
        reading = Reading(self.task.config.id, self._uptime(), missing=error.reason)
        return Outcome(reading, error, slow_failed=True, static_failed=True)

    def _failed(self, image: Image) -> bool:
        """Whether something failed that may succeed next time."""
        return any(reason in {"timeout", "bad_frame"} for *_, reason in image.failures)

    async def _words(self, function: int, address: int, count: int) -> list[int]:
        return list(await self.line.read(self.station, function, address, count))

    async def _fetch_all(self, job: _Job, image: Image) -> BusError | None:
        """All reads of a job, back to back; the error that ended the turn, if one did."""
        for span in job.out_of_reach:
            image.fail(span.function, span.address, span.words, self._why(span))
        for index, read in enumerate(job.reads):
            try:
                await self._fetch(read, image)
            except (NoReply, BusDown, Refused) as error:
                for rest in job.reads[index:]:
                    image.fail(rest.function, rest.address, rest.count, error.reason)
                return error
        return None

    async def _fetch(self, read: Read, image: Image) -> bool:
        """One read; whether it came whole. Raises what ends the meter's turn."""
        try:
            words = await self.line.read(self.station, read.function, read.address, read.count)
        except Refused as error:
            if error.code in ABSENT_STATION:
                raise
            if error.code in SPLIT:
                await self._split(read, error, image)
                return False
            image.fail(read.function, read.address, read.count, error.reason)
            return False
        except BadFrame as error:
            image.fail(read.function, read.address, read.count, error.reason)
            return False
        self._began = self._began or self.line.port.sent_at
        self.image += ((read.function, read.address, words),)
        image.add(read.function, read.address, words)
        return True

    async def _split(self, read: Read, error: Refused, image: Image) -> None:
        """The two halves of a refused read; what is at fault is remembered, so that it is not asked again."""
        parts = halves(read, self._rules())
        if parts is None:
            span = read.spans[0]
            self._refuse((span.function, span.address, span.end), error.reason)
            image.fail(read.function, read.address, read.count, error.reason)
            return
        whole = [await self._fetch(part, image) for part in parts]
        if all(whole):
            self._refuse(between(*parts), error.reason)

    def _refuse(self, place: tuple[int, int, int], reason: str) -> None:
        kept = tuple(span for span in self.facts.skip if span[:3] != place)
        if len(kept) >= MOST_SPANS or not self.facts.learn("skip", (*kept, (*place, reason))):
            return
        self._refused_at = asyncio.get_running_loop().time()
        self._jobs.clear()
        log.info(
            "meter %s refuses registers %d-%d (function %d): they are left out of its reads",
            self.task.config.id, place[1], place[2] - 1, place[0],
        )  # fmt: skip

    def _why(self, span: Span) -> str:
        for function, first, end, reason in self.facts.skip:
            if function == span.function and span.address <= first and end <= span.end:
                return reason
        return "not_available"

    def _rules(self) -> Rules:
        return Rules.of(self.driver.limits, self.facts.skipped, self.facts.max_registers)

    def _job(self, fast: bool, slow: bool, static: bool) -> _Job:
        job = self._jobs.get((fast, slow, static))
        if job is None:
            paces = {pace for pace, wanted in (("fast", fast), ("slow", slow), ("static", static)) if wanted}
            rows = tuple(row for row in self.driver.rows if row.pace in paces)
            job = _Job(rows, spans_of(rows))
            rules = self._rules()
            job.reads = _shortest_first(plan(job.spans, rules, self._planned_for))
            job.out_of_reach = tuple(unreachable(job.spans, rules))
            self._jobs[fast, slow, static] = job
        return job

    def _replan(self) -> None:
        """Exchange plans for those that have become cheaper. What is cheapest depends on a and b by their ratio alone."""
        cost = self.station.fit.cost
        if cost.same_shape(self._planned_for):
            return
        self._planned_for = cost
        for job in self._jobs.values():
            better = plan(job.spans, self._rules(), cost)
            if worth_it(job.reads, better, cost):
                log.debug("meter %s: %d reads instead of %d", self.task.config.id, len(better), len(job.reads))
                job.reads = _shortest_first(better)

    def _learn_probes(self) -> None:
        """Reads of different lengths, cut between rows, that may serve to re-synchronise: shortest first."""
        probes: dict[int, Probe] = {}
        rules = Rules.of(self.driver.limits)
        spans = [span for span in spans_of(self.driver.rows) if not span.alone]
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
                probes.setdefault(behind - begin, (first.function, begin, behind - begin))
        self.station.probes = tuple(probes[count] for count in sorted(probes))


def _shortest_first(reads: Sequence[Read]) -> tuple[Read, ...]:
    """The order in which a meter's reads go out.

    The first one finds out that the meter has died: the shorter it is, the less that costs the others. Two of one length
    do not follow each other if that can be helped: a second copy of an answer would fit the next question.
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
