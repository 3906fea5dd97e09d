"""Committed batches, in the order of the journal, become intervals: what they publish is a fact, what their
readings say is computed, what is computed and not published yet is offered.

A batch of an unsynced clock waits: when a batch of the same boot has a right clock, its readings get their
time from that (CLOCK_BOOTTIME counts on); when none comes, they are not used, and their energy lies in the
gap.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from operator import attrgetter
from typing import Any, Final

from gateway.energy import (
    QUARTER,
    Context,
    Finding,
    Interval,
    Manifest,
    MeterChecks,
    MeterSeries,
    base_unit,
    from_future,
    shares,
    shown,
    tree,
)
from gateway.history.events.findings import CHECK, Findings
from gateway.history.events.register_events import correction, exchange, exchanges
from gateway.history.events.tree_watch import QUANTITY, TreeWatch
from gateway.history.history import History
from gateway.history.values import (
    COUNTERS,
    DenseReadings,
    ReadingOrEvent,
    UsedNames,
    dumped,
    in_grains,
    loaded,
    packed_polls,
    unpacked_polls,
    used_names,
)
from gateway.model import ClockState, Event, Reading

log = logging.getLogger(__name__)

STEP: Final = 500
"""ms that the wall clock may differ from CLOCK_BOOTTIME before it was stepped."""
FUTURE: Final = 3_600_000
"""ms that a reading may be younger than the first of its batch."""
HELD: Final = 20_000
"""Readings of an unsynced boot that wait for its clock; beyond that every second one is let go."""
MANIFEST: Final = "manifest"
_FORMAT: Final = "meters 2"
"""Meters in another form are not understood."""
_UPTIME: Final = attrgetter("uptime")


@dataclass(slots=True)
class Committed:
    """A batch of the journal, unpacked. Times in ms; `t0` is UTC."""

    epoch: str
    seq: int
    boot: str
    t0: int
    uptime: int
    clock: ClockState
    readings: list[Reading] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)


def context_of(quantity: str) -> Context:
    """What is known of a counter of which nothing else is known."""
    return Context(base_unit(quantity))


class Projection:
    """Feeds the series of all meters from batches and writes what they make into the history.

    `context` gives what is known of a register, by meter and quantity; `meters` are the tree. It belongs to
    the history's thread.
    """

    def __init__(
        self,
        history: History,
        context: Callable[[str, str], Context] = lambda _, quantity: context_of(quantity),
        meters: Sequence[tree.TreeMeter] = (),
    ) -> None:
        self.history = history
        self._calendar = history.calendar
        self._context = context
        self._meters: dict[str, MeterSeries] = {}
        self._offsets: dict[str, int] = {}
        """Boot → UTC minus uptime (ms), of its newest batch with a right clock."""
        self._held: dict[str, deque[ReadingOrEvent]] = {}
        """Boot → readings and exchanges whose time is not known yet."""
        self._dense = DenseReadings()
        self._names: dict[str, tuple[tuple[str, ...], UsedNames]] = {}
        """Meter → names in its newest reading, and what is used of them: a meter has the same ones poll after
        poll.
        """
        self._checks = MeterChecks(lambda meter: context(meter, "active_energy_import"), meters)
        self._findings = Findings(history.known("findings"))
        self._tree = TreeWatch(history, meters, tell_all=self._findings.are_new)
        self._polls = unpacked_polls(history.known("polls"))
        self.epoch, self.seq = history.watermark
        self.newest = 0
        """UTC in ms of the newest reading that was used."""
        state = history.known("engine")
        if state is not None:
            self._restore(state)

    # ── taking in ──

    def take(self, batch: Committed) -> None:
        """Take in the next batch of the journal. Of one that was taken in before only what it
        publishes counts.
        """
        for interval in batch.intervals:
            self.history.published(interval)
        for event in batch.events:
            self._hear(event)
        if batch.seq <= self.seq:
            return
        self.epoch, self.seq = batch.epoch, batch.seq
        for event in batch.events:
            self._correct(event)
        if batch.clock == "unsynced":
            self._hold(batch)
            return
        offset = batch.t0 - batch.uptime
        if held := self._held.pop(batch.boot, None):
            self._use(held, offset, batch.boot)
        # Of other boots nobody will say any more when they were.
        self._held = {boot: held for boot, held in self._held.items() if boot == batch.boot}
        readings = batch.readings
        if max(map(_UPTIME, readings), default=0) > batch.uptime + FUTURE:
            readings = [each for each in readings if self._in_time(each, batch)]
        self._polls.count(readings, offset)
        # What was read before a meter was exchanged, or a reload, is by the old registers and the old scale.
        self._use([*exchanges(batch.events), *readings], offset, batch.boot)
        self._check_tree()

    def _check_tree(self) -> None:
        """Once the last quarter hours of a local day are surely here."""
        day, slot = self._calendar.place(self.newest // QUARTER * QUARTER)
        if not slot or not self.newest or not self._tree.is_due(yesterday := day - timedelta(1)):
            return
        for meter, finding in self._tree.findings(yesterday):
            self._tell(meter, [(QUANTITY, finding)])
        for meter, kind in self._tree.lasting:
            self._findings.lasts(meter, QUANTITY, [kind], self.newest)

    @staticmethod
    def _in_time(reading: Reading, batch: Committed) -> bool:
        """A reading cannot be younger than the batch that holds it, whose slot is a minute at most."""
        after = from_future(reading.uptime, batch.uptime + FUTURE)
        if after is not None:
            log.warning(
                "energy: a reading of %s in batch %d lies %d ms after it", reading.meter, batch.seq, after
            )
        return after is None

    def renumbered(self) -> None:
        """The journal counts from the beginning again: what is behind it is not there any more."""
        self.epoch, self.seq = "", 0

    def _hear(self, event: Event) -> None:
        if event.kind == CHECK:
            self._findings.published(event.fields)
        elif event.kind == MANIFEST and (manifest := Manifest.told(event.fields)):
            self.history.manifest_published(manifest)

    def _exchange(self, event: Event, t: int) -> None:
        told = exchange(event)
        if told is not None and told.meter in self._meters:
            # What was passed over is the old meter's last word, and the next reading is the new one's first.
            self._catch_up_with(told.meter, t)
            self._dense.forget(told.meter)
            self._tell(told.meter, self._meters[told.meter].swap(t, told.closing, told.opening))

    def _correct(self, event: Event) -> None:
        """A person set what a register took between two quarter hours: shared out as it was, each edited."""
        told = correction(event)
        held = (
            []
            if told is None
            else self.history.register_intervals(told.meter, told.quantity, told.first, told.last)
        )
        if told is not None and held:
            weights = [max(0, interval.value) for interval in held]
            parts = shares(told.value, weights if any(weights) else [1] * len(held))
            past = self.history.past(told.meter, told.quantity)
            for interval, part in zip(held, parts, strict=True):
                past.put(replace(interval, value=part, quality="d"), corrected=True)

    def _hold(self, batch: Committed) -> None:
        held = self._held.setdefault(batch.boot, deque())
        used = (each for each in batch.readings if used_names(tuple(each.values)).order)
        held.extend([*exchanges(batch.events), *used])
        if len(held) > HELD:
            self._held[batch.boot] = deque(
                each for index, each in enumerate(held) if index % 2 == 0 or isinstance(each, Event)
            )

    def _use(self, moments: Iterable[ReadingOrEvent], offset: int, boot: str) -> None:
        """Readings and exchanges of meters, in the order of their time."""
        before = self._offsets.get(boot)
        self._offsets = {boot: offset}
        back = None if before is None else before - offset
        for each in sorted(moments, key=_UPTIME):  # of one time an exchange stands before the readings
            if isinstance(each, Reading):
                self._reading(each, each.uptime + offset, back)
            else:
                self._exchange(each, each.uptime + offset)

    def _reading(self, reading: Reading, t: int, back: int | None) -> None:
        series = self._meters.get(reading.meter)
        if reading.missing:
            if series is not None:
                self._catch_up_with(reading.meter, t)
                for quantity in series.quantities:
                    self._tell(reading.meter, series.take(quantity, t, None))
            return
        names = self._used(reading)
        counts = bool(names.counters or (reading.absent and not COUNTERS.isdisjoint(reading.absent)))
        if not (counts or names.order):
            return
        if series is None:
            series = self._meter(reading.meter)
        newest = series.newest
        if newest is not None and t <= newest and (back is None or back > STEP):
            self._tell(reading.meter, series.step_back(t, back))
            self._dense.forget(reading.meter)
        if self._dense.passes_over(reading, t, names.counters, counts=counts):
            return
        if counts:
            self._catch_up_with(reading.meter, t, reading)
        self.newest = max(self.newest, t)
        self._watch(reading, t)
        self._feed(series, reading, t)

    def _used(self, reading: Reading) -> UsedNames:
        names = tuple(reading.values)
        known = self._names.get(reading.meter)
        if known is None or known[0] != names:
            known = self._names[reading.meter] = (names, used_names(names))
        return known[1]

    def _feed(self, series: MeterSeries, reading: Reading, t: int) -> None:
        for name in self._used(reading).order:
            value = None if name in reading.suspect else in_grains(name, reading.values[name])
            self._tell(reading.meter, series.take(name, t, value))
        for name in reading.absent:
            if name in COUNTERS:
                self._tell(reading.meter, series.take(name, t, None))

    def _catch_up_with(self, meter: str, t: int, after: Reading | None = None) -> None:
        """What was passed over before the reading at `t` is used after all, as far as it matters."""
        for passed, reading in self._dense.left(meter, t, after):
            self._feed(self._meters[meter], reading, passed)

    def _watch(self, reading: Reading, t: int) -> None:
        """Whether what the meter says of the moment can be."""
        believed = reading.values
        if reading.suspect:
            believed = {name: value for name, value in believed.items() if name not in reading.suspect}
        self._tell(
            reading.meter, [("", finding) for finding in self._checks.take(reading.meter, t, believed)]
        )

    def _meter(self, meter: str) -> MeterSeries:
        series = self._meters[meter] = MeterSeries(
            lambda quantity: self._context(meter, quantity),
            self._calendar,
            meter,
            lambda quantity: self.history.past(meter, quantity),
        )
        return series

    def _tell(self, meter: str, outcomes: Iterable[tuple[str, Interval | Finding]]) -> None:
        """Intervals tell the history themselves; findings become events."""
        for quantity, outcome in outcomes:
            if isinstance(outcome, Finding):
                self._findings.add(meter, quantity, outcome)

    # ── giving out ──

    def findings(self, uptime: int, now: float, most: int) -> Iterator[Event]:
        """Findings to publish, the oldest first; what is given counts as under way (`now`: monotonic s)."""
        return self._findings.offers(uptime, now, most)

    def resolutions(self) -> dict[str, dict[str, int | float]]:
        """Meter → quantity → the register's step in base units, of those whose step is more than a quarter
        hour brings: no figure of theirs is finer than that.
        """
        found: dict[str, dict[str, int | float]] = {}
        for meter, series in self._meters.items():
            for quantity in series.quantities:
                counter = series.series(quantity)
                if counter is not None and counter.resolution is not None:
                    found.setdefault(meter, {})[quantity] = shown(counter.resolution)
        return found

    def standing_still(self) -> frozenset[str]:
        """Meters of which a register stands still although there is power."""
        return frozenset(meter for meter, series in self._meters.items() if series.stands_still)

    @property
    def behind(self) -> int:
        """Intervals to publish, findings not counted."""
        return self.history.behind

    # ── going on in another one ──

    def continue_from(self, before: Projection) -> None:
        """What another one of the same process and file gave to be published is under way here too."""
        self.history.offered.update(before.history.offered)
        self._findings.know_under_way(before.under_way)

    def learn(self, states: Mapping[str, dict[str, Any]]) -> None:
        """Go on with the registers of meters as another engine knew them (MeterSeries.state, by meter)."""
        for meter, state in states.items():
            series = self._meter(meter)
            series.restore(state)
            self.newest = max(self.newest, series.newest or 0)

    @property
    def under_way(self) -> dict[str, float]:
        """Findings that were given to be published, and when (s, monotonic)."""
        return self._findings.under_way

    def save(self) -> None:
        """Write days and what is known in one commit. Raises HistoryError."""
        state = {
            _FORMAT: {meter: series.state() for meter, series in self._meters.items()},
            **self._checks.state(),
            "offsets": self._offsets,
            "held": {boot: [dumped(each) for each in held] for boot, held in self._held.items()},
            **self._dense.state(),
            "findings": self._findings.waiting(),
            "newest": self.newest,
            **self._tree.state(),
        }
        packed = zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 6)
        watermark = f"{self.epoch} {self.seq}".encode()
        self._note_what_lasts()
        steps = json.dumps(self.resolutions(), separators=(",", ":")).encode()
        known = {"engine": packed, "watermark": watermark, "polls": packed_polls(self._polls), "steps": steps}
        self.history.save(**known, **self._findings.packed())
        self._findings.saved()

    def _note_what_lasts(self) -> None:
        for meter, series in self._meters.items():
            newest = series.newest or 0
            self._findings.lasts(meter, "", self._checks.lasting(meter), newest)
            for quantity in series.quantities:
                if (counter := series.series(quantity)) is not None:
                    self._findings.lasts(meter, quantity, counter.lasting, newest)

    def _restore(self, packed: bytes) -> None:
        try:
            state = json.loads(zlib.decompress(packed))
            for meter, series in state[_FORMAT].items():
                self._meter(meter).restore(series)
            self._checks.restore(state)
            if self._findings.are_new:
                self._checks.tell_again()
            self._offsets = state["offsets"]
            self._held = {boot: deque(map(loaded, held)) for boot, held in state["held"].items()}
            self._dense.restore(state)
            self._findings.wait_for(state["findings"])
            self.newest = state["newest"]
            self._tree.restore(state)
        except (zlib.error, ValueError, LookupError, TypeError) as error:
            # The days stand; the registers are learnt again from the journal, as far as it goes back.
            log.warning(
                "what was known of the registers cannot be read (%s): the journal is read again", error
            )
            self._meters.clear()
            self._polls.forget()
            self.renumbered()
