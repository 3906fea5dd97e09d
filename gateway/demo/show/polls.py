"""The polls of a gateway, as it says them itself at `--log-level debug`, held against what arrived of them.

Readings are committed in the order in which their polls ended, whole batches at a time. So what a poll
brought may be nowhere only if the gateway was killed or stopped, and nothing that was read after it, on any
bus, arrived either.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from pathlib import Path
from typing import Literal

_SAID = re.compile(r"^DEBUG meter (\S+) on bus (\S+): polled from (\d+) to (\d+) ms: (\S+)$", re.MULTILINE)
ROUNDED = 2
"""ms by which times of two clocks of one machine differ when each is rounded."""
_SLOTS = 2
"""A reading that ends while a slot is being committed waits for that, and for its own slot: a gateway that
has committed nothing for longer has not been interrupted at its work.
"""

BatchKey = tuple[str, int]
"""Epoch and seq."""
Fate = Literal["arrived", "open", "lost"]


@dataclass(frozen=True, slots=True)
class PollSpan:
    """One poll of a meter; uptime in ms. `silent`: it brought nothing."""

    meter: str
    bus: str
    began: int
    ended: int
    silent: bool = False

    def contains(self, t: int) -> bool:
        """Whether something that happened at t belongs to it."""
        return self.began - ROUNDED <= t <= self.ended + ROUNDED


@dataclass(frozen=True, slots=True)
class Break:
    """The gateway was killed or told to stop at `went` and ended at `ended`; uptime in ms.

    Of `went` is taken off what the machine, or a stop signal, kept the gateway from doing just before.
    """

    went: int
    ended: int


@dataclass(frozen=True, slots=True)
class Received:
    """A reading at the platform. `uptime`: the middle of its poll, ms."""

    meter: str
    uptime: int
    batch: BatchKey
    values: Mapping[str, float]
    absent: Mapping[str, str]
    missing: str = ""


def read_polls(log: Path) -> list[PollSpan]:
    """What a gateway's log says of its polls, in the order in which they ended."""
    said = _SAID.findall(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else []
    return [
        PollSpan(meter, bus, int(began), int(ended), brought != "values")
        for meter, bus, began, ended, brought in said
    ]


class SaidPolls:
    """What became of each poll. `slot` in s."""

    def __init__(
        self, spans: Sequence[PollSpan], readings: Sequence[Received], breaks: Sequence[Break], slot: float
    ) -> None:
        self._breaks = sorted(breaks, key=lambda each: each.ended)
        self._ends = [each.ended for each in self._breaks]
        self._of: dict[str, list[PollSpan]] = defaultdict(list)
        for span in spans:
            self._of[span.meter].append(span)
        self.reading: dict[PollSpan, Received] = {}
        self.without: list[Received] = []
        """Readings with values that are of no poll."""
        timed = [reading for reading in readings if not reading.missing]
        for meter in {reading.meter for reading in timed}:
            self._match(meter, [reading for reading in timed if reading.meter == meter])
        self._match_silent(spans, [reading for reading in readings if reading.missing or reading.absent])
        self.fate: dict[PollSpan, Fate] = {}
        self._first: dict[tuple[int, str], int] = {}
        """When the first poll began, by run and bus."""
        self._last: dict[tuple[int, str], int] = {}
        """When the last poll ended, likewise."""
        self._judge(spans, slot)

    def _match(self, meter: str, readings: list[Received]) -> None:
        """Each reading has its own poll, in order."""
        left = iter([span for span in self._of[meter] if not span.silent])
        span = next(left, None)
        for reading in sorted(readings, key=lambda each: each.uptime):
            while span is not None and span.ended + ROUNDED < reading.uptime:
                span = next(left, None)
            if span is not None and span.began - ROUNDED <= reading.uptime:
                self.reading[span] = reading
                span = next(left, None)
            elif reading.values:
                self.without.append(reading)

    def _match_silent(self, spans: Sequence[PollSpan], silent: Sequence[Received]) -> None:
        """A poll that brought nothing travels without a time of its own, once for all of its meter in a
        batch, or not at all beside reasons of single values: what is said there stands for those that ended
        between the polls of the batches before and after.
        """
        place = {span: at for at, span in enumerate(spans)}
        of_batch: dict[int, list[int]] = defaultdict(list)
        for span, reading in self.reading.items():
            of_batch[reading.batch[1]].append(place[span])
        numbers = sorted(of_batch)
        before = list(accumulate((max(of_batch[number]) for number in numbers), max))
        behind = list(accumulate((min(of_batch[number]) for number in reversed(numbers)), min))[::-1]
        for reading in silent:
            first, last = bisect_left(numbers, reading.batch[1]), bisect_right(numbers, reading.batch[1])
            after = before[first - 1] if first else -1
            until = behind[last] if last < len(numbers) else len(spans)
            for span in self._of[reading.meter]:
                if (
                    span.silent
                    and after < place[span] < until
                    and span not in self.reading
                    and self._run(span.ended) == self._run(reading.uptime)
                ):
                    self.reading[span] = reading

    def _judge(self, spans: Sequence[PollSpan], slot: float) -> None:
        committed: set[int] = set()
        for span in reversed(spans):
            run = self._run(span.ended)
            at = run, span.bus
            self._first[at] = min(span.began, self._first.get(at, span.began))
            self._last[at] = max(span.ended, self._last.get(at, 0))
            if span in self.reading:
                committed.add(run)
                self.fate[span] = "arrived"
            elif (
                run in committed
                or run == len(self._breaks)
                or span.ended < self._breaks[run].went - 1000 * _SLOTS * slot
            ):
                self.fate[span] = "lost"
            else:
                self.fate[span] = "open"

    def _run(self, t: int) -> int:
        """How many times the gateway had ended before."""
        return bisect_left(self._ends, t)

    def around(self, meter: str, t: int) -> PollSpan | None:
        """The poll of a meter in which something was served."""
        spans = self._of.get(meter, [])
        place = bisect_right(spans, t + ROUNDED, key=lambda span: span.began) - 1
        return spans[place] if place >= 0 and spans[place].contains(t) else None

    def under_way(self, meter: str, t: int) -> bool:
        """Whether a poll that never ended may have asked for what was served at t: the gateway was killed,
        and its bus, which serves one poll at a time, ended no other one after that. A request outlives who
        sent it: what was served before the next gateway asked for anything was asked by the one before.
        """
        bus = next((span.bus for span in self._of.get(meter, [])), None)
        if bus is None:
            return False
        run = self._run(t)
        ended_none = run < len(self._breaks) and self._last.get((run, bus), 0) <= t + ROUNDED
        return ended_none or (run > 0 and t < self._first.get((run, bus), inf))
