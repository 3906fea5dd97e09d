"""One counter of one meter: readings in, intervals and findings out.

A reading is (t in ms UTC, register in grains or None for a read that failed), in the order of time. Readings
of a clock that was never right are not given: their energy then lies in the gap between the readings around
them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.energy.days import Days
from gateway.energy.edges import AROUND, LONG, QUARTER, Edge, Point, first_edge, shaped, straight
from gateway.energy.intervals import Interval, between, next_version, resolution
from gateway.energy.register import Register
from gateway.energy.shape import Calendar, LikeDays
from gateway.energy.units import GRAIN
from gateway.energy.validation import FROZEN, Context, Finding, incoherent, is_duplicate, is_frozen

Outcome = Interval | Finding
_HOUR = 4
"""Quarters."""


class Series:
    """`take` each reading, `close` at the end. What comes out depends on the readings alone, not on how
    they were cut into batches.
    """

    def __init__(
        self, context: Context, calendar: Calendar, expected: Callable[[int], int | None] = lambda _: None
    ) -> None:
        """`expected`: start of a quarter hour (ms) → what the power read beside it makes of it (grains),
        None if not read throughout.
        """
        self._register = Register(context)
        self._expected = expected
        self._like = LikeDays(calendar)
        self._days = Days(calendar)
        self._still: list[Interval] = []
        """The run of measured intervals without energy in which there was power."""
        self._recent: deque[tuple[Interval, int | None]] = deque(maxlen=_HOUR)
        self._apart = False
        self._t: int | None = None
        self._value: int | None = None
        self._failed: dict[int, int] = {}
        """Time of a reading → how many reads failed before it, for those behind the last point."""
        self._failing = 0
        self._point: Point | None = None
        self._edge: Edge | None = None
        self._tainted = False
        """A check failed in what has been covered of the interval that is open."""
        self._intervals = 0
        self._energy = 0

    @property
    def step(self) -> int:
        """Grains: the register's step as far as it is known."""
        return self._register.step

    def take(self, t: int, value: int | None) -> Iterator[Outcome]:
        """Take in a reading; one of the same time as the last says nothing new, one before it is not used
        and told.
        """
        if self._t is not None and t <= self._t:
            if t < self._t:
                yield Finding("out_of_order", t, {}, {"after": self._t})
                return
            if is_duplicate(self._value, value):
                assert self._value is not None
                assert value is not None
                yield Finding("duplicate", t, {"kept": self._value, "dropped": value})
            if self._value is not None or value is None:
                return
            self._failing -= 1
        self._t, self._value = t, value
        if value is None:
            self._failing += 1
            return
        if self._failing:
            self._failed[t], self._failing = self._failing, 0
        yield from self._follow(self._register.take(t, value))

    def swap(self, t: int, closing: int | None = None, opening: int | None = None) -> Iterator[Outcome]:
        """The meter was exchanged at `t`."""
        yield from self._follow(self._register.swap(t, closing, opening))

    def close(self) -> Iterator[Outcome]:
        """There are no more readings: give what waited. An interval whose closing edge has not come is
        missing, never guessed.
        """
        yield from self._follow(self._register.close())
        if self._intervals and self._register.is_known:
            coarse = resolution(self.step * self._intervals, self._energy * GRAIN)
            if coarse is not None and self._energy and self._t is not None:
                yield Finding("resolution", self._t, {"step": self.step})

    def _follow(self, outcomes: Iterator[Point | Finding]) -> Iterator[Outcome]:
        for outcome in outcomes:
            if isinstance(outcome, Finding):
                yield outcome
            else:
                yield from self._reach(outcome)

    def _reach(self, point: Point) -> Iterator[Outcome]:
        """The intervals that end between the last point and this one."""
        last, self._point = self._point, point
        if last is None:
            self._edge = first_edge(point)
            self._count_failed(point.t)
            return
        reads = self._count_failed(point.t)
        failed = bool(point.failed)
        self._tainted = self._tainted or (failed and point.t > last.t)
        for edge in self._edges(last, point, reads) if point.t - last.t > LONG else straight(last, point):
            if isinstance(edge, Finding):
                yield edge
                continue
            if self._edge is not None:
                interval = between(self._edge, edge, self._tainted)
                yield from self._judge(interval)
            self._edge = edge
            self._tainted = failed and edge.t < point.t
        if reads and AROUND < point.t - last.t <= LONG:
            yield _gap(last, point, "line", reads)

    def _edges(self, last: Point, point: Point, reads: int) -> Iterator[Edge | Finding]:
        """The edges of a long gap, and the finding that tells it."""
        weights = self._like.weights(last, point)
        yield _gap(last, point, "line" if weights is None else "like_days", reads)
        yield from straight(last, point) if weights is None else shaped(last, point, weights)

    def _count_failed(self, upto: int) -> int:
        """Reads that failed before a point, once it is reached."""
        return sum(self._failed.pop(t) for t in [t for t in self._failed if t <= upto])

    def _judge(self, interval: Interval) -> Iterator[Outcome]:
        """Hold an interval against the power read beside it and against the days before; give it, and what
        that showed.
        """
        self._intervals += 1
        self._energy += max(0, interval.value)
        expected = self._expected(interval.start) if interval.quality == "m" else None
        yield from self._frozen(interval, expected)
        yield from self._coherent(interval, expected)
        yield from self._days.take(interval)

    def _frozen(self, interval: Interval, expected: int | None) -> Iterator[Outcome]:
        """A register that stands still under load: the third such interval tells of the two before it,
        which go out again.
        """
        if expected is None or not is_frozen([interval.value], [expected], self.step, least=1):
            self._still.clear()
            if interval.quality == "m":
                self._like.remember(interval.start, interval.value)
            yield interval
            return
        self._still.append(interval)
        if len(self._still) < FROZEN:
            self._like.remember(interval.start, interval.value)
            yield interval
            return
        if len(self._still) == FROZEN:
            yield Finding("frozen", self._still[0].start, {"expected": expected}, {"intervals": FROZEN})
            for earlier in self._still[:-1]:
                self._like.forget(earlier.start)
                version = next_version(earlier, earlier.value, "s")
                assert version is not None
                yield replace(earlier, quality="s", version=version)
        self._still = self._still[-FROZEN - 1 :]
        yield replace(interval, quality="s")

    def _coherent(self, interval: Interval, expected: int | None) -> Iterator[Finding]:
        """Register against power over each clock hour that was measured throughout; told when it begins to
        differ.
        """
        self._recent.append((interval, expected))
        if (interval.start // QUARTER + 1) % _HOUR or len(self._recent) < _HOUR:
            return
        powers = [power for _, power in self._recent if power is not None]
        if len(powers) < _HOUR:
            return
        energy = sum(each.value for each, _ in self._recent) * GRAIN
        apart = incoherent(energy, sum(powers), max(self.step, GRAIN))
        if apart is not None and not self._apart:
            yield Finding("incoherent", self._recent[0][0].start, {"register": energy, "power": sum(powers)})
        self._apart = apart is not None


def _gap(last: Point, point: Point, shape: str, failed: int) -> Finding:
    return Finding("gap", last.t, {}, {"until": point.t, "failed_reads": failed, "shape": shape})
