"""Which meter of a bus is polled next: heaps, so that a poll costs the same whether the bus has five meters
or two hundred.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from gateway.field.meter.state import PolledMeter

_ROOM = 64
"""Entries beyond four for each meter, after which the outdated ones are thrown out."""

_Entry = tuple[float, float, int, int, PolledMeter]


class _Heap:
    """Meters by time. An entry counts as long as its number is the meter's newest one."""

    def __init__(self) -> None:
        self.entries: list[_Entry] = []

    def first(self, but: PolledMeter | None = None) -> _Entry | None:
        """The earliest entry; or one of another meter than `but`, outdated perhaps, so that it is rather
        too early.
        """
        entries = self.entries
        while entries and entries[0][3] != entries[0][4].entry_number:
            heapq.heappop(entries)
        if not entries or entries[0][4] is not but:
            return entries[0] if entries else None
        return min((entry for entry in entries[1:3] if entry[4] is not but), default=None)


class PollQueue:
    """The meters of a bus by the time of their next poll. `put` a meter again whenever its times have
    changed.
    """

    def __init__(self, meters: Iterable[PolledMeter]) -> None:
        self._meters = tuple(meters)
        self._paced = _Heap()
        """Meters with an interval, by their schedule."""
        self._endless = _Heap()
        """Meters without pause that answer, by their schedule."""
        self._lost = _Heap()
        """Lost meters with an interval, by the time of their next probe."""
        self._lost_endless = _Heap()
        self._second = _Heap()
        """Lost meters, with an interval or without, that are asked a second time."""
        self._heaps = (self._paced, self._endless, self._lost, self._lost_endless, self._second)
        self.second_free_at = 0.0
        """When a second try may be made: one that was in vain is paid for first."""

    def put(self, polled: PolledMeter) -> None:
        """Take a meter's times as they are now."""
        if polled.queued == _times(polled):
            return
        self._place(polled)
        for heap, at in self._places(polled):
            heapq.heappush(heap.entries, (at, polled.probe_at, polled.order, polled.entry_number, polled))
            if len(heap.entries) > 4 * len(self._meters) + _ROOM:
                self.rebuild()
                return

    def rebuild(self) -> None:
        """Take all meters' times as they are now."""
        for heap in self._heaps:
            heap.entries.clear()
        for polled in self._meters:
            self._place(polled)
            for heap, at in self._places(polled):
                heap.entries.append((at, polled.probe_at, polled.order, polled.entry_number, polled))
        for heap in self._heaps:
            heapq.heapify(heap.entries)

    def _place(self, polled: PolledMeter) -> None:
        """Outdate the entries that it has."""
        polled.entry_number += 1
        polled.queued = _times(polled)

    def _places(self, polled: PolledMeter) -> list[tuple[_Heap, float]]:
        usual = (self._paced if polled.pausing else self._endless, polled.schedule.at)
        if not polled.lost:
            return [usual]
        lost = self._lost if polled.pausing else self._lost_endless
        probe = (self._second if polled.second_try else lost, polled.probe_at)
        return [usual, probe] if polled.pausing else [probe]

    def free_at(self, polled: PolledMeter, share_free_at: float) -> float:
        """When a lost meter may be asked, as far as the others' time goes."""
        return self.second_free_at if polled.second_try else share_free_at

    def next(
        self, share_free_at: float, blocked_until: float, but: PolledMeter | None = None
    ) -> tuple[PolledMeter | None, float]:
        """The meter that is polled next, and when; of the others than `but`, if one is given.

        Lost meters wait for the share of all lost ones, but for their second try; those without pause for
        the bus to be opened again.
        """
        if not (
            self._endless.entries or self._lost.entries or self._lost_endless.entries or self._second.entries
        ):
            entry = self._paced.first(but) if self._paced.entries else None
            return (None, float("inf")) if entry is None else (entry[4], max(entry[0], 0.0))
        best: PolledMeter | None = None
        best_at = (float("inf"), 0.0)
        probes = max(share_free_at, blocked_until)
        bounds = (
            (self._paced, 0.0),
            (self._endless, blocked_until),
            (self._lost, probes),
            (self._lost_endless, probes),
            (self._second, max(self.second_free_at, blocked_until)),
        )
        for heap, bound in bounds:
            entry = heap.first(but) if heap.entries else None
            if entry is not None and (at := (max(entry[0], bound), entry[1])) < best_at:
                best, best_at = entry[4], at
        return best, best_at[0]

    def due(self) -> float | None:
        """When the earliest poll is due; a lost meter without pause is due when it is probed."""
        tops = [
            entry[4].due_at
            for heap in (self._paced, self._endless, self._lost_endless, self._second)
            if (entry := heap.first())
        ]
        return min(tops, default=None)


def _times(polled: PolledMeter) -> tuple[float, float, bool, bool]:
    """What its place in the queue is made of."""
    return polled.schedule.at, polled.probe_at, polled.lost, polled.second_try
