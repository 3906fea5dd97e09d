"""Intervals: the difference of two neighbouring edges, its quality, its version.

Qualities: m measured, e estimated (an edge has no reading near it), s suspect (a check failed, an event names
it), d edited by a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gateway.energy.edges import QUARTER, Edge

Quality = Literal["m", "e", "s", "d"]
SECONDS: Final = QUARTER // 1000


@dataclass(frozen=True, slots=True)
class Interval:
    """`value` in whole base units from `start` (ms UTC) for `seconds`; `version` counts its publications,
    from 1.
    """

    start: int
    value: int
    quality: Quality
    version: int = 1
    seconds: int = SECONDS


def between(a: Edge, b: Edge, failed: bool) -> Interval:
    """The interval between two neighbouring edges."""
    return Interval(a.t, b.total - a.total, quality(a.measured, b.measured, failed))


def quality(first: bool, last: bool, failed: bool) -> Quality:
    """The letter: whether its edges are measured, whether a check failed between them."""
    if failed:
        return "s"
    return "m" if first and last else "e"


def next_version(published: Interval | None, value: int, letter: Quality) -> int | None:
    """Under which version an interval goes out when `published` is its newest publication; None: it says
    nothing new.
    """
    if published is None:
        return 1
    if (published.value, published.quality) == (value, letter):
        return None
    return published.version + 1


def resolution(step: int, energy: int) -> int | None:
    """The register's step when it is coarser than what it should show (both in the same unit): no figure
    is finer than that.
    """
    return step if step > energy else None
