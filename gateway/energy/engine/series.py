"""One counter of one meter: readings in, intervals and findings out.

A reading is (t in ms UTC, register in grains or None for a read that failed), in the order of time.
Readings of a clock that was never right are not given: their energy then lies in the gap between the
readings around them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from gateway.energy.calendar import Calendar
from gateway.energy.checks.meter import jump, sum_apart
from gateway.energy.checks.register import FROZEN, Context, Finding, incoherent, is_duplicate, is_frozen
from gateway.energy.engine.days import Days
from gateway.energy.engine.edges import AROUND, LONG, QUARTER, Edge, Point, first_edge, shaped, straight
from gateway.energy.engine.intervals import Memory, Past, next_version, quality, resolution
from gateway.energy.engine.register import RunningTotal
from gateway.energy.engine.shape import weights
from gateway.energy.engine.units import GRAIN
from gateway.model import Interval

Outcome = Interval | Finding
_HOUR = 4
"""Quarters."""


class Series:
    """`take` each reading, `close` at the end. What comes out depends on the readings alone, not on how they
    were cut into batches, nor on where a process ended: `state` and `restore` go on in another one.
    """

    def __init__(
        self,
        context: Context,
        calendar: Calendar,
        expected: Callable[[int], int | None] = lambda _: None,
        *,
        name: tuple[str, str] = ("", ""),
        past: Past | None = None,
    ) -> None:
        """`expected`: start of a quarter hour (ms) → what the power read beside it makes of it (grains), None
        if not read throughout. `name`: meter and quantity. `past` is told every interval.
        """
        self._name = name
        self._context = context
        self._register = RunningTotal(context)
        self._calendar = calendar
        self._expected = expected
        self._past: Past = past or Memory()
        self._days = Days(calendar, self._past)
        self._still: list[int] = []
        """Starts of the run of measured intervals without energy in which there was power."""
        self._recent: deque[tuple[int, int, int | None]] = deque(maxlen=_HOUR)
        """(start, value, what the power makes of it)."""
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
        self._dawn: tuple[int, int] | None = None
        """(ms, total) of the edge with which the local day began."""
        self._valid = 0
        """The newest measured interval."""
        self._withdrawn = 0
        """End of the quarter hours that a clock set back took back: they are given again."""
        self._intervals = 0
        self._energy = 0

    @property
    def step(self) -> int:
        """Grains: the register's step as far as it is known."""
        return self._register.step

    @property
    def newest(self) -> int | None:
        """The time of the newest reading (ms)."""
        return self._t

    @property
    def stands_still(self) -> bool:
        """Whether the newest measured intervals have no energy although there was power in each."""
        return len(self._still) >= FROZEN

    @property
    def lasting(self) -> list[str]:
        """Kinds of what was found and is still so."""
        return ["frozen"] * self.stands_still + ["incoherent"] * self._apart

    @property
    def resolution(self) -> int | None:
        """The register's step (grains) when it is more than a quarter hour brings on average; None otherwise,
        or not known yet.
        """
        if not self._intervals or not self._energy or not self._register.is_known:
            return None
        coarse = resolution(self.step * self._intervals, self._energy * GRAIN)
        return None if coarse is None else self.step

    def state(self) -> list[Any]:
        """Everything that it knows, as JSON values."""
        point = self._point and [self._point.t, self._point.total, self._point.failed]
        edge = self._edge and [self._edge.t, self._edge.total, self._edge.measured]
        day = self._days.day
        reads = [self._t, self._value, list(self._failed.items()), self._failing]
        watched = [self._still, list(self._recent), self._apart, self._tainted, self._withdrawn]
        sums = [self._intervals, self._energy, self._dawn, self._valid]
        return [self._register.state(), day and day.isoformat(), point, edge, reads, watched, sums]

    def restore(self, state: list[Any]) -> None:
        """Know what `state` gave."""
        register, day, point, edge, reads, watched, sums = state
        self._intervals, self._energy, dawn, self._valid = sums
        self._dawn = dawn and (dawn[0], dawn[1])
        self._register.restore(register)
        self._days.day = date.fromisoformat(day) if day else None
        self._point = Point(*point) if point else None
        self._edge = Edge(*edge) if edge else None
        self._t, self._value, failed, self._failing = reads
        self._failed = dict(failed)
        self._still, recent, self._apart, self._tainted, self._withdrawn = watched
        self._recent = deque(map(tuple, recent), maxlen=_HOUR)

    def take(self, t: int, value: int | None) -> list[Outcome]:
        """Take in a reading; one of the same time as the last says nothing new, one before it is not used and
        told.
        """
        if self._t is not None and t <= self._t:
            if t < self._t:
                return [Finding("out_of_order", t, {}, {"after": self._t})]
            if value is None or self._value is not None:
                return _duplicate(t, self._value, value)
            self._failing -= 1
        self._t, self._value = t, value
        if value is None:
            self._failing += 1
            return []
        if self._failing:
            self._failed[t], self._failing = self._failing, 0
        return self._follow(self._register.take(t, value))

    def swap(self, t: int, closing: int | None = None, opening: int | None = None) -> list[Outcome]:
        """The meter was exchanged at `t`."""
        return self._follow(self._register.swap(t, closing, opening))

    def step_back(self, t: int, by: int | None = None) -> Iterator[Outcome]:
        """The right clock says `t` (ms) for the next reading, which is before what was said of the last.

        All that was read was read `by` ms earlier (None: nobody knows, it is put shortly before `t`). What
        was given of quarter hours that have not passed by the right clock is taken back: 0 and suspect, until
        they pass. The energy in them lies between the last edge that stands and `t`.
        """
        newest = self._t
        if newest is None or t > newest:
            return
        by = newest - t + LONG if by is None else max(by, newest - t + 1)
        self._register.shift(by)
        self._t, self._value = newest - by, None
        self._failed.clear()
        self._failing, self._tainted = 0, False
        self._still.clear()
        self._recent.clear()
        point, edge = self._point, self._edge
        floor = t // QUARTER * QUARTER
        if edge is None or point is None or point.t < floor:
            if point is not None and edge is None:
                self._point = Point(min(point.t, t - 1), point.total, point.failed)
            return
        total, stands = edge.total, edge.t <= floor
        self._withdrawn = max(self._withdrawn, edge.t)
        for start in range(edge.t - QUARTER, floor - 1, -QUARTER):
            given = self._past.get(start)
            if given is None:
                break
            total -= given.value
            stands = stands or start == floor
            yield from self._give(replace(given, value=0, quality="s"), corrected=True)
        if not stands:
            # Nothing was known yet at that time: it begins anew.
            self._point, self._edge = None, None
            return
        at = min(edge.t, floor)
        before = self._past.get(at - QUARTER)
        self._edge = Edge(at, total, before is None or before.quality == "m")
        self._point = Point(at, total * GRAIN)

    def close(self) -> Iterator[Outcome]:
        """There are no more readings: give what waited. An interval whose closing edge has not come is
        missing, never guessed.
        """
        yield from self._follow(self._register.close())
        coarse = self.resolution
        if coarse is not None and self._t is not None:
            yield Finding("resolution", self._t, {"step": coarse})

    def _follow(self, outcomes: Iterable[Point | Finding]) -> list[Outcome]:
        found: list[Outcome] = []
        for outcome in outcomes:
            if isinstance(outcome, Finding):
                found.append(outcome)
            elif not self._stays(outcome):
                found += self._reach(outcome)
        return found

    def _stays(self, point: Point) -> bool:
        """Whether a point stands in the quarter hour of the one before it, as most do, and nothing failed on
        the way: no interval ends.
        """
        last = self._point
        if last is None or self._failed or point.failed or not last.t < point.t:
            return False
        if point.t // QUARTER != last.t // QUARTER:
            return False
        self._point = point
        return True

    def _reach(self, point: Point) -> Iterator[Outcome]:
        """The intervals that end between the last point and this one."""
        last = self._point
        if last is None:
            self._point = point
            self._edge = first_edge(point)
            self._count_failed(point.t)
            return
        reads = self._count_failed(point.t)
        failed = bool(point.failed)
        if point.t <= last.t:
            # Its time was set back before an edge that stands: what it brought is in the next one.
            self._tainted = self._tainted or failed
            return
        self._point = point
        self._tainted = self._tainted or failed
        for edge in self._edges(last, point, reads) if point.t - last.t > LONG else straight(last, point):
            if isinstance(edge, Finding):
                yield edge
                continue
            if self._edge is not None:
                yield from self._judge(self._between(self._edge, edge))
            self._edge = edge
            self._tainted = failed and edge.t < point.t
        if reads and AROUND < point.t - last.t <= LONG:
            yield _gap(last, point, "line", reads)

    def _between(self, a: Edge, b: Edge) -> Interval:
        letter = quality(a.measured, b.measured, self._tainted)
        return Interval(*self._name, a.t, b.total - a.total, letter)

    def _edges(self, last: Point, point: Point, reads: int) -> Iterator[Edge | Finding]:
        """The edges of a long gap, and the finding that tells it."""
        shape = weights(self._past, self._calendar, last, point)
        yield _gap(last, point, "line" if shape is None else "like_days", reads)
        yield from straight(last, point) if shape is None else shaped(last, point, shape)

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
        yield from self._sums(interval)
        yield from self._jump(interval)
        yield from self._frozen(interval, expected)
        yield from self._coherent(interval, expected)
        yield from self._days.take(interval)

    def _sums(self, interval: Interval) -> Iterator[Finding]:
        """At the end of a local day: whether what was given of it adds up to the difference of its edges."""
        day, slot = self._calendar.place(interval.start)
        edge = self._edge
        if slot or edge is None:
            return
        if self._dawn is not None and self._dawn[0] == self._calendar.quarters(day - timedelta(1))[0]:
            begin, total = self._dawn
            held = [self._past.get(start) for start in range(begin, interval.start, QUARTER)]
            values = [each.value * GRAIN for each in held if each is not None]
            apart = sum_apart(values, total * GRAIN, edge.total * GRAIN, max(self.step, GRAIN))
            if apart is not None:
                yield Finding("sum", begin, {"apart": apart, "register": (edge.total - total) * GRAIN})
        self._dawn = (interval.start, edge.total)

    def _jump(self, interval: Interval) -> Iterator[Finding]:
        if self._context.jump is None or interval.quality != "m":
            return
        above = jump(interval.value, self._valid, self._context.jump)
        if above is not None:
            amounts = {"value": interval.value * GRAIN, "before": self._valid * GRAIN}
            yield Finding("jump", interval.start, amounts, {"percent": above})
        self._valid = interval.value

    def _give(self, interval: Interval, *, corrected: bool = False) -> Iterator[Interval]:
        """Give an interval, under the next version when it was given before. What stands already is a fact:
        it is computed again after a restart, or a person set it.
        """
        given = self._past.get(interval.start)
        if given is not None:
            again = corrected or interval.start < self._withdrawn
            version = next_version(given, interval.value, interval.quality)
            if not again or version is None or given.quality == "d":
                return
            corrected, interval = True, replace(interval, version=version)
        self._past.put(interval, corrected=corrected)
        yield interval

    def _frozen(self, interval: Interval, expected: int | None) -> Iterator[Outcome]:
        """A register that stands still under load: the third such interval tells of the two before it, which
        go out again.
        """
        if expected is None or not is_frozen([interval.value], [expected], self.step, least=1):
            self._still.clear()
            yield from self._give(interval)
            return
        self._still.append(interval.start)
        if len(self._still) < FROZEN:
            yield from self._give(interval)
            return
        if len(self._still) == FROZEN:
            yield Finding("frozen", self._still[0], {"expected": expected}, {"intervals": FROZEN})
            for start in self._still[:-1]:
                earlier = self._past.get(start)
                if earlier is not None:
                    yield from self._give(replace(earlier, quality="s"), corrected=True)
        self._still = self._still[-FROZEN - 1 :]
        yield from self._give(replace(interval, quality="s"))

    def _coherent(self, interval: Interval, expected: int | None) -> Iterator[Finding]:
        """Register against power over each clock hour that was measured throughout; told when it begins to
        differ.
        """
        self._recent.append((interval.start, interval.value, expected))
        if (interval.start // QUARTER + 1) % _HOUR or len(self._recent) < _HOUR:
            return
        powers = [power for *_, power in self._recent if power is not None]
        if len(powers) < _HOUR:
            return
        energy = sum(value for _, value, _ in self._recent) * GRAIN
        apart = incoherent(energy, sum(powers), max(self.step, GRAIN))
        if apart is not None and not self._apart:
            yield Finding("incoherent", self._recent[0][0], {"register": energy, "power": sum(powers)})
        self._apart = apart is not None


def _duplicate(t: int, known: int | None, value: int | None) -> list[Outcome]:
    """What a second reading of the same time says."""
    if known is None or value is None or not is_duplicate(known, value):
        return []
    return [Finding("duplicate", t, {"kept": known, "dropped": value})]


def _gap(last: Point, point: Point, shape: str, failed: int) -> Finding:
    return Finding("gap", last.t, {}, {"until": point.t, "failed_reads": failed, "shape": shape})
