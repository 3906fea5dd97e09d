"""Intervals: the difference of two neighbouring edges, its quality, its version, and a memory of them.

Qualities: m measured, e estimated (an edge has no reading near it), s suspect (a check failed, an event names
it), d edited by a person.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from gateway.energy.engine.edges import QUARTER
from gateway.model import Interval

Quality = Literal["m", "e", "s", "d"]
SECONDS: Final = QUARTER // 1000
IEC_61968_9: Final = {"m": "3.0.0", "e": "3.8.0", "s": "3.5.259", "d": "3.7.0"}
"""The code of each quality: validated, estimated, failed reasonability, edited. Energy that is missing has no
interval: 2.5.259, known missing.
"""
DAYS: Final = 91
"""Days of intervals that a shape or a comparison looks back on."""


class Past(Protocol):
    """What one register took, by start: its newest intervals, published or not."""

    def get(self, start: int) -> Interval | None:
        """The interval that begins at `start` (ms UTC); None where there is none."""

    def put(self, interval: Interval, *, corrected: bool) -> None:
        """A new interval; `corrected`: it was given before and is another one now."""


class Memory:
    """A Past that is forgotten after thirteen weeks."""

    def __init__(self) -> None:
        self._known: dict[int, Interval] = {}

    def get(self, start: int) -> Interval | None:
        return self._known.get(start)

    def put(self, interval: Interval, *, corrected: bool) -> None:
        self._known[interval.start] = interval
        if not corrected:
            oldest = interval.start - (DAYS + 2) * 96 * QUARTER
            while (first := next(iter(self._known))) < oldest:
                del self._known[first]


def quality(first: bool, last: bool, failed: bool) -> Quality:
    """The letter: whether its edges are measured, whether a check failed between them."""
    if failed:
        return "s"
    return "m" if first and last else "e"


def next_version(published: Interval | None, value: int, letter: str) -> int | None:
    """Under which version an interval goes out when `published` is its newest publication; None: it says
    nothing new.
    """
    if published is None:
        return 1
    if (published.value, published.quality) == (value, letter):
        return None
    return published.version + 1


def resolution(step: int, energy: int) -> int | None:
    """The register's step when it is coarser than what it should show (both in the same unit): no figure is
    finer than that.
    """
    return step if step > energy else None
