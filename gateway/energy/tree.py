"""Main and sub meters: what no sub meter counts, with its uncertainty, and a sub meter that counts by a
wrong ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt
from statistics import median
from typing import Final

CLASSES: Final = {
    "A": 2000,
    "B": 1000,
    "C": 500,
    "0.1": 100,
    "0.2": 200,
    "0.5": 500,
    "1": 1000,
    "2": 2000,
    "3": 3000,
}
"""Accuracy class → thousandths of a per cent. EN 50470: A 2 %, B 1 %, C 0.5 %."""
TRANSFORMERS: Final = (
    50, 60, 75, 100, 125, 150, 200, 250, 300, 400, 500, 600, 750, 800,
    1000, 1200, 1250, 1500, 2000, 2500, 3000,
)  # fmt: skip
"""Rated primary currents of current transformers in A (IEC 61869-2 and the usual ones beside it)."""
NEAR: Final = 0.03
"""How near to the ratio of two transformers a slope must be to be one."""
RIGHT: Final = 0.05
"""How far from 1 a slope may be without a suspicion."""
STEPS: Final = 96
"""Intervals without which nothing is said."""
FIT: Final = 0.8
"""Part of the main meter's steps in a sub meter's that must follow it (R²)."""
QUIET: Final = 4
"""Times that the main meter's steps must be larger while the sub meter steps than while it does not."""
HABIT: Final = 3
"""Like days without which nobody knows what no sub meter usually counts."""
LARGE: Final = 10
"""A step counts when it is at least a tenth of the sub meter's largest one."""


@dataclass(frozen=True, slots=True)
class TreeMeter:
    """A meter in the tree; `class_` and `ct_class` as in CLASSES, None: no transformer."""

    id: str
    parent: str | None = None
    class_: str = "B"
    ct_class: str | None = None
    is_plant: bool = False
    """It counts what a plant generates."""


@dataclass(frozen=True, slots=True)
class UnmeteredRest:
    """Of a meter with sub meters, Wh: its own, theirs, the difference, and the uncertainty `band` of that.

    `over_counted`: the sub meters count more than comes in, beyond the band.
    """

    meter: str
    energy: int
    metered: int
    rest: int
    band: int
    over_counted: bool


def uncertainty(meter: TreeMeter, energy: int) -> int:
    """Wh: √(class² + ct_class²) × E."""
    parts = CLASSES[meter.class_] ** 2 + (CLASSES[meter.ct_class] ** 2 if meter.ct_class else 0)
    return isqrt(parts * energy * energy) // 100_000


def rests(
    meters: Sequence[TreeMeter], energies: Mapping[str, int], through: Mapping[str, int] | None = None
) -> list[UnmeteredRest]:
    """What no sub meter counts, for each meter that has sub meters and is known together with all of them
    (Wh).

    Band: √Σ((meter ⊕ CT class) × E)²; E: what went `through` the meter, where that is more than its energy,
    the difference of two directions.
    """
    through = energies if through is None else through
    found = []
    for meter in meters:
        below = [each for each in meters if each.parent == meter.id]
        if not below or any(each.id not in energies for each in (meter, *below)):
            continue
        energy, metered = energies[meter.id], sum(energies[each.id] for each in below)
        squares = sum(uncertainty(each, through[each.id]) ** 2 for each in (meter, *below))
        band = isqrt(squares)
        rest = energy - metered
        found.append(UnmeteredRest(meter.id, energy, metered, rest, band, rest < -band))
    return found


def new_load(rest: UnmeteredRest, like: Sequence[tuple[int, int]]) -> int | None:
    """Check 15, its other side: what no sub meter usually counts (Wh), when the rest is beyond that by more
    than the band and half of it; else None. `like`: of days like it what no sub meter counted, and they did.

    The median of three days or four: one may be a holiday. Where the sub meters count more than usual, what
    they do not count may have grown as much: the building is busier.
    """
    if len(like) < HABIT:
        return None
    usual, metered = (max(0, round(median(values))) for values in zip(*like, strict=True))
    if rest.metered > metered > 0:
        usual = usual * rest.metered // metered
    more = rest.rest - usual
    return usual if rest.rest > rest.band and more > rest.band and 2 * more > usual else None


@dataclass(frozen=True, slots=True)
class RatioSuspicion:
    """A sub meter counts `factor` times what flows; that is the ratio of a transformer of `configured` A to
    one of `installed` A, as pairs that fit.
    """

    meter: str
    factor: float
    pairs: tuple[tuple[int, int], ...]


def suspicion(meter: str, sub: Sequence[int | None], above: Sequence[int | None]) -> RatioSuspicion | None:
    """Check 16: whether the meter above follows a sub meter's steps by another factor than 1 (Wh per
    interval, both of the same quarter hours, None where one is missing).

    Slope of ΔMain on ΔSub over the steps of the sub meter, least squares: b = Σ ΔS·ΔM / Σ ΔS²; it counts
    1/b times.
    """
    steps = [
        (s - r, m - n)
        for (r, n), (s, m) in pairwise(zip(sub, above, strict=True))
        if r is not None and s is not None and m is not None and n is not None
    ]
    if len(steps) < STEPS:
        return None
    largest = max(abs(ds) for ds, _ in steps)
    large = [(ds, dm) for ds, dm in steps if abs(ds) * LARGE >= largest > 0]
    squares = sum(ds * ds for ds, _ in large)
    if not squares:
        return None
    quiet = [abs(dm) for ds, dm in steps if abs(ds) * LARGE < largest]
    if quiet and median(quiet) * QUIET > median(abs(dm) for _, dm in large):
        return None  # other loads step as much: what follows what cannot be told
    slope = sum(ds * dm for ds, dm in large) / squares
    above_squares = sum(dm * dm for _, dm in large)
    if slope <= 0 or not above_squares or slope * slope * squares / above_squares < FIT:
        return None
    factor = 1 / slope
    if abs(factor - 1) <= RIGHT:
        return None
    pairs = [
        (configured, installed)
        for configured in TRANSFORMERS
        for installed in TRANSFORMERS
        if configured != installed and abs(factor * installed / configured - 1) <= NEAR
    ]
    return RatioSuspicion(meter, factor, tuple(pairs)) if pairs else None
