"""One meter on a line: what has to be read when, by which reads, and what a poll of it brought."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.catalogue import Driver, Keyed, ModelHeader, Row, Span, recognised, resolve, shown
from gateway.config import Meter
from gateway.errors import BadFrame, BusError, Refused
from gateway.field.bus.cost import Cost
from gateway.field.bus.line import BusLine
from gateway.field.meter.decode import Decoded, decode
from gateway.field.meter.planner import (
    Parted,
    Read,
    Rules,
    keyed_of,
    parted_rows,
    poll_reads,
    probes_of,
    seconds,
    single_rows,
    spans_of,
    unreachable,
    worth_it,
)
from gateway.field.meter.poll import Poll, Replies
from gateway.field.meter.registers import RegisterReader
from gateway.field.port.contract import Ask, Registers
from gateway.field.schedule import DAY, Due
from gateway.model import Reading

log = logging.getLogger(__name__)

WANTED = 4
"""Values of an identity register that are named."""
NOT_THERE = frozenset({1, 2, 3})
"""Exceptions by which a meter says that it does not have a register: function, address, value."""
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
    keyed: tuple[Keyed, ...]
    reads: tuple[Read, ...] = ()
    parted: tuple[Parted, ...] = ()
    out_of_reach: tuple[Span, ...] = ()
    heads: tuple[ModelHeader, ...] = ()

    def pairs(self) -> Iterator[Keyed]:
        """What must be of one moment, and comes with several reads."""
        return (pair for parted in self.parted for _, pairs in parted for pair in pairs)


class MeterReader:
    """Reads one meter. It knows nothing of time tables and back-off: that is the worker's."""

    def __init__(self, task: MeterTask, line: BusLine, uptime: Callable[[], int]) -> None:
        self.task = task
        self.line = line
        limits = task.driver.limits
        self.meter = task.config.id
        self.facts = line.learnt.meter(line.bus, task.config)
        self.station = line.station(
            task.config.address, self.facts, min_gap=limits.min_gap, patience=limits.timeout
        )
        self.registers = RegisterReader(self.meter, line, self.station, self._rules, self._changed)
        self.skipped = self.registers.skipped
        self._uptime = uptime
        self._driver: Driver | None = None
        self._jobs: dict[tuple[bool, bool, bool], _Job] = {}
        self._polls, self._replan_at, self._replan_after = 0, REPLAN[0], REPLAN[0]
        cost = self.station.cost
        self._planned_for = cost.shape()
        self._single_rows: tuple[Read, ...] = ()
        self.stranger: tuple[str, ...] = ()
        """Register with what it holds, and what the meters of its table have there, when that is something
        else.
        """
        self.nameless = ""
        """The register by which its table's meters are known, when this one does not have it."""
        self._comparable = task.config.identity
        self._told_of_end = ""
        self._begin()

    @property
    def driver(self) -> Driver:
        """The driver as the meter has shown it to be; the configured one before that."""
        return self._driver or self.task.driver

    def forget(self, *, another: bool = True) -> None:
        """Look at the meter anew: it may have been set otherwise. If it may be `another` one, or describes
        its registers, what it did not answer is forgotten, too.
        """
        configured = self.task.driver
        if another or configured.dynamic:
            self.registers.forget()
        self.stranger, self.nameless, self._comparable = (), "", self.task.config.identity
        self._begin()

    def _begin(self) -> None:
        driver = self.task.driver
        self._driver = None if driver.dynamic else driver
        self._jobs.clear()
        self._keys: dict[Span, Registers] = {}
        self._learn_probes()

    def reads(self, due: Due) -> tuple[Read, ...]:
        """The reads of a poll."""
        return self._job(due.fast, due.slow, due.static).reads

    def asks_nothing(self, due: Due) -> bool:
        """Whether its table has no row of the classes that are due, though it has others."""
        return (
            self._driver is not None
            and not self._job(due.fast, due.slow, static=False).rows
            and bool(self._job(fast=True, slow=True, static=False).rows)
        )

    def predicted(self, due: Due) -> float:
        """Seconds that such a poll takes."""
        station, line = self.station, self.line
        silence = max(line.wire.gap, line.silence, station.min_gap)
        return seconds(self.reads(due), station.cost, max(0.0, station.pause - silence))

    async def read(self, poll: Poll) -> Poll:
        """Read what is due. Raises nothing of the bus: the poll carries it."""
        due, replies, meter = poll.due, poll.replies, self.meter
        try:
            job = await self._fetch(poll)
        except BusError as error:
            poll.fail(meter, self._uptime(), error)
            return poll
        port = self.line.port
        began = self.registers.began or port.heard_at
        ago = time.monotonic() - (began + port.heard_at) / 2 if replies.reads else 0.0
        found = self._decoded(job.rows, replies)
        if job.parted:
            self._doubt(job, replies, found)
        at = self._uptime() - round(1000 * ago)
        reading = poll.reading = Reading(meter, at, found.values, found.absent)
        poll.attributes = found.attributes
        poll.slow_failed, poll.static_failed = due.slow and poll.again, due.static
        nothing = job.rows and not replies.reads
        if due.static and poll.error is None:
            await self._identify(poll, alone=not job.rows)
        if nothing:
            reading.absent = {}
            reading.missing = poll.error.reason if poll.error else replies.first_reason
            if poll.error is None and reading.missing == BadFrame.reason:
                poll.error = poll.unfit or BadFrame(
                    f"meter {meter} gave nothing but damaged or foreign frames",
                    hint="two meters with one address, another master, or a disturbed line: submeter doctor "
                    f"{meter} tells",
                )
        self.skipped.tell()
        self._polls += 1
        if self._polls >= self._replan_at:
            self._replan()
        return poll

    def _decoded(self, rows: Sequence[Row], replies: Replies) -> Decoded:
        config = self.task.config
        return decode(rows, replies, ct=config.ct, vt=config.vt, values=config.values)

    def _doubt(self, job: _Job, replies: Replies, found: Decoded) -> None:
        """Take out what may be of two moments: the values that would be others by what was read of a power of
        ten, a sign, a ratio at another place in this poll or, last, before it.
        """
        known = self._keys
        for parted in job.parted:
            keys = {pair.key for _, pairs in parted for pair in pairs}
            first = {key: known.get(key) or replies.registers(key, 0) for key in keys}
            last = {key: replies.registers(key) for key in keys}
            rows = tuple(row for row, _ in parted)
            others = [self._decoded(rows, replies.with_keys(held)) for held in (first, last)]
            for row, pairs in parted:
                value = found.values.get(row.name)
                loose = [each.key for each in pairs if not replies.encloses(each, known=each.key in known)]
                if value is not None and (
                    loose or any(each.values.get(row.name) != value for each in others)
                ):
                    del found.values[row.name]
                    found.absent[row.name] = replies.reason(loose) if loose else "implausible"
        for pair in job.pairs():
            registers = replies.registers(pair.key) if pair.kind in {"power", "ratio"} else None
            if registers is not None:
                known[pair.key] = registers

    async def _fetch(self, poll: Poll) -> _Job:
        """Ask what is due of the map that the meter has; what was asked. Raises BusError when its map cannot
        be known.

        A device that describes itself may do so differently after a change of its settings, in the middle of
        a connection: then its registers are looked up again, and none of them is decoded as before.
        """
        due, replies, was = poll.due, poll.replies, self.driver.variant
        for again in (False, True):
            if self._driver is None:
                self._driver = await resolve(self.task.driver, self._words)
                poll.answered = True
                self._tell_of_map(self._driver, was)
                self._changed()
                self._learn_probes()
            if self.facts.skip:
                self.skipped.ask_refused_again()
            job = self._job(due.fast, due.slow, static=False)
            self.registers.began = 0.0
            poll.error = await self._fetch_all(job, poll)
            another = any(replies.words(head.span) not in {head.words, None} for head in job.heads)
            refused = bool(job.heads) and not replies.reads and poll.error is None
            if not another and (again or not refused):
                return job
            self.registers.forget()
            self._begin()
            replies.reads.clear()
            replies.failures.clear()
        raise BadFrame(f"meter {self.meter} describes its registers differently each time", hint="restart it")

    def _tell_of_map(self, driver: Driver, was: str) -> None:
        """What the device has become, and once where its list breaks off: some devices have no other end."""
        if was not in {"", driver.variant}:
            log.warning(
                "meter %s: its registers are those of %s now, no longer of %s: was it set otherwise, "
                "or exchanged?",
                self.meter,
                driver.variant,
                was,
            )
        if driver.broke_off and driver.broke_off != self._told_of_end:
            log.warning(
                "meter %s: it lists %s, %s; what it lists before that is read → if it should give more than "
                "`submeter read %s` shows, check the line and the time-out, and reload",
                self.meter, driver.variant, driver.broke_off, self.meter,
            )  # fmt: skip
        self._told_of_end = driver.broke_off

    async def _identify(self, poll: Poll, *, alone: bool) -> None:
        """What the meter says of itself; `alone`: nothing else was asked, so that its silence is the
        meter's.
        """
        skipped = self.skipped
        if self.facts.skip and time.monotonic() - skipped.asked_at > DAY / 2:
            await skipped.ask_again(poll, self.registers)
        job = self._job(fast=False, slow=False, static=True)
        poll.again, poll.answered = False, not alone
        poll.error = await self._fetch_all(job, poll)
        poll.static_failed = poll.again
        if poll.error is None:
            await self._compare()
        poll.attributes |= decode(job.rows, poll.replies).attributes

    async def _compare(self) -> None:
        """Look whether the meter is the one that its table is for, as far as the table knows a register that
        tells of every meter of it. Raises nothing.

        A register that is not answered tells nothing; neither that nor one that is not there is asked again.
        """
        identity = self.driver.identity
        if identity is None or identity.not_all or not self._comparable:
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
        except BusError as error:
            self._comparable = False
            if isinstance(error, Refused) and error.code in NOT_THERE:
                self.nameless = f"{identity.function}:{identity.address}"
                log.warning(
                    "meter %s: register %s, by which its table %s knows its meters, is not there "
                    "(exception %d) → it may be another model: submeter drivers try --meter %s",
                    self.meter,
                    self.nameless,
                    self.driver.name,
                    error.code,
                    self.meter,
                )
            return
        said = (
            f"{identity.function}:{identity.address} = {shown(identity, words)}",
            " / ".join(map(str, identity.values[:WANTED])),
        )
        if said != self.stranger:
            self.stranger = said
            log.warning(
                "meter %s: register %s, the meters of its table %s have %s there → it may be another "
                "model: submeter drivers try --meter %s",
                self.meter,
                said[0],
                self.driver.name,
                said[1],
                self.meter,
            )

    async def _words(self, function: int, address: int, count: int) -> list[int]:
        station = self.station
        words = list(await self.line.read(station, function, address, count))
        station.has_answered((function, address, count))
        return words

    async def _fetch_all(self, job: _Job, poll: Poll) -> BusError | None:
        """All reads of a job, back to back; the error that makes the meter lost, if there is one."""
        for span in job.out_of_reach:
            poll.replies.fail(span.function, span.address, span.words, self.skipped.why(span))
        reads = (*self._first_keys(job), *job.reads) if job.parted else job.reads
        return await self.registers.read_all(reads, poll, self._single_rows) if reads else None

    def _first_keys(self, job: _Job) -> tuple[Read, ...]:
        """Ratios of which no poll before says what they were: they are read before the others as well."""
        pairs = [pair for pair in job.pairs() if pair.kind == "ratio"]
        keys = sorted({pair.key for pair in pairs if pair.key not in self._keys})
        return poll_reads(keys, self._rules(), self._planned_for) if keys else ()

    def _changed(self) -> None:
        self._jobs.clear()

    def _rules(self) -> Rules:
        return Rules.of(self.driver.limits, self.facts.skipped, self.facts.max_registers)

    def _job(self, fast: bool, slow: bool, static: bool) -> _Job:
        job = self._jobs.get((fast, slow, static))
        if job is None:
            paces = {pace for pace, wanted in (("fast", fast), ("slow", slow), ("static", static)) if wanted}
            rows = tuple(row for row in self.driver.rows if row.pace in paces)
            values = spans_of(rows)
            heads = tuple(head for head in self.driver.heads if any(map(head.precedes, values)))
            spans = tuple(sorted({*values, *(head.span for head in heads)}))
            job = _Job(rows, spans, keyed_of(rows), heads=heads)
            rules = self._rules()
            job.reads = _planned(job.spans, rules, self._planned_for, job.keyed)
            job.parted = parted_rows(rows, job.reads)
            job.out_of_reach = tuple(unreachable(job.spans, rules))
            self._jobs[fast, slow, static] = job
        return job

    def _replan(self) -> None:
        """Exchange plans for those that have become cheaper. What is cheapest depends on a and b by their
        ratio alone.
        """
        cost = self.station.cost
        # planning takes as long as a hundred polls, and mostly for nothing
        self._replan_after = min(2 * self._replan_after, REPLAN[1])
        self._replan_at = self._polls + self._replan_after
        shape = cost.shape()
        if shape == self._planned_for:
            return
        self._planned_for = shape
        for job in self._jobs.values():
            better = _planned(job.spans, self._rules(), shape, job.keyed)
            if worth_it(job.reads, better, cost):
                log.debug("meter %s: %d reads instead of %d", self.meter, len(better), len(job.reads))
                job.reads, job.parted = better, parted_rows(job.rows, better)
                self._replan_after = REPLAN[0]

    def _learn_probes(self) -> None:
        """Reads of different lengths, cut between rows, that may serve to re-synchronise: shortest first,
        a few of each length.
        """
        self.station.probes, self._single_rows = _probes(
            spans_of(self.driver.rows), Rules.of(self.driver.limits)
        )


@lru_cache(maxsize=64)
def _planned(spans: tuple[Span, ...], rules: Rules, cost: Cost, keyed: tuple[Keyed, ...]) -> tuple[Read, ...]:
    """Meters of one table whose costs are of one shape have the same plan."""
    return poll_reads(spans, rules, cost, keyed)


@lru_cache(maxsize=64)
def _probes(every: tuple[Span, ...], rules: Rules) -> tuple[tuple[Ask, ...], tuple[Read, ...]]:
    """Reads to re-synchronise by, and the single rows to find a meter by."""
    return probes_of(every, rules), single_rows(every, rules)
