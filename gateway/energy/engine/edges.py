"""Edges: the running total at each quarter hour, a whole number, computed once.

With points (t_a, A) and (t_b, B) of the running total around the edge q, at most two hours apart:

    E(q) = floor( A + (B − A)·(q − t_a) / (t_b − t_a) + 1/2 )

In a longer gap the pieces between the edges get weights w_i, and D = round(B) − round(A) is shared out in
whole units by the largest remainder (Hamilton): ⌊D·w_i / Σw⌋ each, what is left one by one to the largest
fractions, the earliest first where they are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from gateway.energy.engine.units import GRAIN, rounded

QUARTER: Final = 900_000
"""ms."""
LONG: Final = 7_200_000
"""ms between two readings from which on the edges between them follow a shape."""
NEAR: Final = 15_000
"""ms from an edge within which one reading makes it measured."""
AROUND: Final = 180_000
"""ms between two readings around an edge up to which they make it measured."""


class Point(NamedTuple):
    """The running total (grains) at a time (ms UTC); `failed` names the check that the way here failed."""

    t: int
    total: int
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """`total` in whole base units at the quarter hour `t`; `measured`: readings stand close enough to it."""

    t: int
    total: int
    measured: bool


def quarters(after: int, upto: int) -> range:
    """Quarter hours q with after < q ≤ upto."""
    return range((after // QUARTER + 1) * QUARTER, upto + 1, QUARTER)


def first_edge(point: Point) -> Edge | None:
    """The edge at the very first reading, if that stands on one: nothing is known before it."""
    return Edge(point.t, rounded(point.total), True) if point.t % QUARTER == 0 else None


def straight(a: Point, b: Point) -> Iterator[Edge]:
    """The edges behind `a`, up to and with `b`, on the line between them."""
    span, rise = b.t - a.t, b.total - a.total
    for q in quarters(a.t, b.t):
        total = (2 * (a.total * span + rise * (q - a.t)) + span * GRAIN) // (2 * span * GRAIN)
        yield Edge(q, total, is_measured(a, b, q))


def shaped(a: Point, b: Point, weights: Sequence[int]) -> Iterator[Edge]:
    """The edges behind `a`, up to and with `b`, by the weights of the pieces between `a`, the edges, and
    `b`.
    """
    start, end = rounded(a.total), rounded(b.total)
    totals = accumulate(shares(end - start, weights), initial=start)
    next(totals)
    for q, total in zip(quarters(a.t, b.t), totals, strict=False):
        yield Edge(q, total, is_measured(a, b, q))


def shares(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` (≥ 0) in whole numbers by `weights` (≥ 0, sum > 0): largest remainder, the earliest first."""
    whole = sum(weights)
    parts = [divmod(amount * weight, whole) for weight in weights]
    result = [part for part, _ in parts]
    by_fraction = sorted(range(len(parts)), key=lambda index: -parts[index][1])
    for index in by_fraction[: amount - sum(result)]:
        result[index] += 1
    return result


def pieces(a: Point, b: Point) -> Iterable[tuple[int, int]]:
    """What lies between `a`, the edges and `b`: (quarter hour that it is in, ms)."""
    cuts = [a.t, *(q for q in quarters(a.t, b.t) if q < b.t), b.t]
    for start, end in pairwise(cuts):
        yield start // QUARTER * QUARTER, end - start


def is_measured(a: Point, b: Point, q: int) -> bool:
    """Whether the edge `q` between two neighbouring readings counts as measured."""
    return b.t - a.t <= AROUND or q - a.t <= NEAR or b.t - q <= NEAR
