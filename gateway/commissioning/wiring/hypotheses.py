"""Which conductor, in which direction, does the transformer on each current input of a meter measure? Pure:
angles → probabilities.

Input K of a meter multiplies voltage K with current K. Let conductors L1, L2, L3 be those on voltage inputs
1, 2, 3, at 0°, −120° and +120°, and let a load draw its current φ behind its voltage. A transformer on input
K that sits on conductor c then shows

    θ_K = atan2(Q_K, P_K) = φ_c + 120°·(c − K)  (+ 180° when it is reversed)

so every mistake moves θ by a multiple of 60°, and 6 permutations × 8 polarities are 48 hypotheses. Each is
weighed by how credible the load angles φ are that it implies (Bayes). What cannot be told apart: all three
rotated by one *and* reversed is a shift of all angles by 60°. Where both readings imply loads that exist, the
answer is silence.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Final

INPUTS: Final = (1, 2, 3)
SPEAKS: Final = 0.92
"""Probability, under the strict belief, from which the answer is given; below, it is silence. Chosen on
simulated sites (docs/wiring.md) for an answer that is right in 98 % of the sites.
"""

_USUAL: Final = (-10.5, 45.5)
_WIDE: Final = (-30.5, 55.5)
"""Degrees between which the load angles of most buildings, and of all, are; the half is what transformers and
meter add.
"""
# The fair belief is a mean of all buildings, electricians and meters: its probabilities are calibrated. The
# strict one decides whether to speak. Beside the usual building with a careful electrician it holds only what
# a wrong answer would come from: unusual load angles with mistakes without a pattern, and a meter that has no
# sign for Q.
_UNSIGNED: Final = 0.09
"""Share of the fair belief of meters without a sign for Q, among those whose Q was never negative."""
_STRICT_USUAL: Final = 1.0
_STRICT_WIDE: Final = 0.3
_STRICT_UNSIGNED: Final = 0.2
_STRICT_UNSIGNED_CARELESS: Final = 0.3
"""Of the unsigned ones in the strict belief: the share of mistakes without a pattern."""

# Of the phases around the building's own angle: share and standard deviation in degrees (three-phase loads,
# mixed, single-phase).
_SPREADS: Final = ((0.4, 3.0), (0.45, 8.0), (0.15, 16.0))
_STEP: Final = 5.0
_ODD_PHASE: Final = 0.08
"""Share of phases whose load has nothing to do with the others': one large single-phase load."""
_EDGE: Final = 0.7
"""Degrees: how soft the ends of the bands are (phase error of transformers and meter, noise)."""
_SLACK: Final = 1.2
"""Degrees beyond a band that an angle may be for a twentieth of the time."""
_FLOOR: Final = 1e-5
"""Density per degree of an angle that is in no band: a load that nobody thought of."""

_NEVER: Final = 1e-9
_RIGHT: Final = 0.5
_REVERSED: Final = 0.2
"""Of mistakes: half of the meters are right; of the others the transformers are permuted in any way, and
each reversed with 20 %.
"""
_SEQUENCE: Final = 0.02
"""Share of meters with two voltages exchanged."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the three current inputs measure: conductor (1, 2, 3) and direction (+1, −1) of each;
    `positive`: sequence of the voltages.
    """

    conductors: tuple[int, int, int]
    signs: tuple[int, int, int]
    positive: bool = True

    @property
    def names(self) -> list[str]:
        """For people and programs: `+L1`, `-L3`, `+L2`."""
        return [
            f"{'+' if sign > 0 else '-'}L{conductor}"
            for conductor, sign in zip(self.conductors, self.signs, strict=True)
        ]

    @property
    def steps(self) -> tuple[int, ...]:
        """By how many times 60° each input's angle is moved, 0 to 5."""
        turn = 2 if self.positive else -2
        return tuple(
            (turn * (conductor - number) + (0 if sign > 0 else 3)) % 6
            for number, conductor, sign in zip(INPUTS, self.conductors, self.signs, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Angles:
    """What an input shows: θ in degrees as mean over the time, and the ends between which it is for nine
    tenths of the time.

    `either` holds other angles that would look the same (only |Q| is known: −θ too; only |PF|: four in all).
    None of an input: not known.
    """

    mean: float
    low: float
    high: float

    def mirrored(self) -> Angles:
        """The angle when Q has the other sign."""
        return Angles(-self.mean, -self.high, -self.low)

    def turned(self) -> Angles:
        """The angle when P and Q have the other sign."""
        return Angles(self.mean + 180, self.low + 180, self.high + 180)


Seen = Sequence[Angles]
"""All angles of one input that its values allow, each as likely as the others; empty when nothing is
known.
"""


RIGHT: Final = Hypothesis((1, 2, 3), (1, 1, 1))


def _all() -> Iterator[tuple[Hypothesis, float, float]]:
    """Each with its prior after a careful electrician, and when all mistakes are alike."""
    for conductors, signs in product(permutations(INPUTS), product((1, -1), repeat=3)):
        likely = math.prod(1 - _REVERSED if sign > 0 else _REVERSED for sign in signs)
        hypothesis = Hypothesis((conductors[0], conductors[1], conductors[2]), (signs[0], signs[1], signs[2]))
        careful = (1 - _RIGHT) * likely / 6 + (_RIGHT if hypothesis == RIGHT else 0.0)
        yield hypothesis, (1 - _SEQUENCE) * careful, (1 - _SEQUENCE) / 48
        # In the other sequence a rotation looks like the rotation the other way round, and right like right:
        # only exchanges can be told.
        if sum(conductor == number for number, conductor in zip(INPUTS, conductors, strict=True)) == 1:
            exchanged = _SEQUENCE * likely / 3
            yield Hypothesis(hypothesis.conductors, hypothesis.signs, positive=False), exchanged, exchanged


PRIOR: Final = tuple(_all())
"""The 48 hypotheses in positive sequence, and 24 with two voltages exchanged, with what is believed before
any value is seen.
"""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A hypothesis with its probability under the fair and under the strict belief, 0 to 1."""

    hypothesis: Hypothesis
    fair: float
    strict: float


def posterior(plain: Sequence[Seen], folded: Sequence[Seen] | None = None) -> list[Weighed]:
    """The hypotheses with their probabilities, the likeliest (by the fair belief) first.

    `plain`: what the three inputs show. `folded`: what they show if the meter has no sign for Q; None when it
    is known to have one.
    """
    signed = _likelihoods(plain)
    unsigned = _likelihoods(folded) if folded is not None else [(0.0, 0.0)] * len(PRIOR)
    mirrored = _UNSIGNED if folded is not None else 0.0
    fair, strict = [], []
    for (_, careful, careless), (usual, wide), (usual_folded, wide_folded) in zip(
        PRIOR, signed, unsigned, strict=True
    ):
        alike = (1 - mirrored) * (usual + wide) + mirrored * (usual_folded + wide_folded)
        fair.append((careful + careless) * alike)
        mixed = careful + _STRICT_UNSIGNED_CARELESS * (careless - careful)
        strict.append(
            _STRICT_USUAL * careful * usual
            + _STRICT_WIDE * careless * wide
            + _STRICT_UNSIGNED * mixed * (usual_folded + wide_folded)
        )
    sums = math.fsum(fair), math.fsum(strict)
    weighed = [
        Weighed(each[0], f / sums[0], s / sums[1]) for each, f, s in zip(PRIOR, fair, strict, strict=True)
    ]
    return sorted(weighed, key=lambda each: -each.fair)


def _likelihoods(inputs: Sequence[Seen]) -> list[tuple[float, float]]:
    """Of each hypothesis: how credible it makes what the inputs show, in the usual and in the wide band."""
    bands = []
    for band in (_USUAL, _WIDE):
        cells = _cells(band)
        table = [[_densities(seen, step, band, cells) for step in range(6)] for seen in inputs]
        shares = [share for share, _, _ in cells]
        each = []
        for hypothesis, _, _ in PRIOR:
            one, two, three = (table[number][step] for number, step in enumerate(hypothesis.steps))
            both = map(operator.mul, map(operator.mul, one, two), three)
            each.append(math.fsum(map(operator.mul, shares, both)))
        bands.append(each)
    return list(zip(*bands, strict=True))


@functools.cache
def _cells(band: tuple[float, float]) -> list[tuple[float, float, float]]:
    """Over which the likelihood is summed: share, standard deviation of the phases, the building's angle."""
    low, high = band
    count = round((high - low) / _STEP)
    return [
        (share / count, deviation, low + (place + 0.5) * (high - low) / count)
        for share, deviation in _SPREADS
        for place in range(count)
    ]


def _densities(
    seen: Seen, step: int, band: tuple[float, float], cells: Sequence[tuple[float, float, float]]
) -> list[float]:
    """How credible it is, in each cell, that an input shows this when a mistake moves it by `step` × 60°."""
    if not seen:
        return [1.0] * len(cells)
    sums = [_FLOOR * len(seen)] * len(cells)
    for angles in seen:
        turn = 60 * step + 360 * round((angles.mean - 60 * step - 12.5) / 360)
        load, low, high = angles.mean - turn, angles.low - turn, angles.high - turn
        inside = _inside(load, low, high, band)
        if inside < _NEVER:
            continue
        odd = _ODD_PHASE / (band[1] - band[0])
        # The angles near an end are as frequent as the others: what would lie beyond it is this side of it.
        places = (load, 2 * band[0] - load, 2 * band[1] - load)
        for place, (_, deviation, centre) in enumerate(cells):
            near = sum(math.exp(-0.5 * ((each - centre) / deviation) ** 2) for each in places)
            density = near / (deviation * math.sqrt(2 * math.pi))
            sums[place] += ((1 - _ODD_PHASE) * density + odd) * inside
    return sums


def _inside(load: float, low: float, high: float, band: tuple[float, float]) -> float:
    """How far a load of this angle is within a band, 0 to 1: its mean, and with slack its ends."""
    return (
        _rise((load - band[0]) / _EDGE)
        * _rise((band[1] - load) / _EDGE)
        * _rise((low - band[0] + _SLACK) / _EDGE)
        * _rise((band[1] + _SLACK - high) / _EDGE)
    )


def _rise(x: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, x))))
