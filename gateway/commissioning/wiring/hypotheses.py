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

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Final

INPUTS: Final = (1, 2, 3)
SPEAKS: Final = 0.89
SPEAKS_REVERSED: Final = 0.8
SPEAKS_UNSIGNED: Final = 0.92
SPEAKS_UNREVERSED: Final = 0.8
SPEAKS_ROTATED: Final = 0.97
"""Probabilities, under the strict belief, from which the answer is given; below, it is silence. The first
two hold when Q was negative at times: as a rule, and with two or three transformers reversed. The others hold
while it never was, so that it may have no sign: as a rule, with none reversed, and with all three rotated and
none reversed, which without a sign for Q looks like the rotation the other way round. Chosen on simulated
sites (docs/wiring.md) for an answer that is right in 98 % of the sites.
"""
UNSIGNED: Final = 0.15
"""Share of meters without a sign for Q among those whose Q was never negative."""


@dataclass(frozen=True, slots=True)
class _World:
    """A belief about the load angle of a building, in degrees: flat from `low` to `high`, or near `_USUAL`
    when `sharp` is not 0.

    `fair` and `strict` are its shares in the two beliefs; `careless` is the share of mistakes without a
    pattern (all 48 alike) in the strict one, the others being those of a careful electrician. In the fair one
    it is a half.
    """

    fair: float
    strict: float
    low: float
    high: float
    sharp: float
    careless: float


# The fair belief is a mean of all buildings: its probabilities are calibrated. The strict one decides whether
# to speak: it puts mistakes without a pattern where the load angles are unusual, the combination that a wrong
# answer would come from.
_WORLDS: Final = (
    _World(0.5, 0.35, -10.0, 45.0, 0.0, 0.1),
    _World(0.0, 0.35, -10.0, 45.0, 1 / 14, 0.1),
    _World(0.5, 0.3, -32.0, 57.0, 0.0, 0.9),
)
_USUAL: Final = 18.0
# Of the phases around the building's own angle: share and standard deviation in degrees (three-phase loads,
# mixed, single-phase).
_SPREADS: Final = ((0.3, 3.0), (0.4, 8.0), (0.3, 16.0))
_STEP: Final = 5.0
_ODD_PHASE: Final = 0.1
"""Share of phases whose load has nothing to do with the others': one large single-phase load."""
_EDGE: Final = 1.5
"""Degrees: how soft the ends of the bands are (phase error of transformers and meter, harmonics)."""
_SLACK: Final = 5.0
"""Degrees beyond a band that an angle may be for a tenth of the time."""
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
    """What an input shows: θ in degrees as mean over the time, and the ends between which it is for eight
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


def needed(hypothesis: Hypothesis, *, signed: bool) -> float:
    """The probability from which a hypothesis is told; `signed`: Q was negative at times."""
    reversed_ = sum(sign < 0 for sign in hypothesis.signs)
    if signed:
        return SPEAKS_REVERSED if reversed_ > 1 else SPEAKS
    if reversed_:
        return SPEAKS_UNSIGNED
    at_home = any(
        number == conductor for number, conductor in zip(INPUTS, hypothesis.conductors, strict=True)
    )
    return SPEAKS_UNREVERSED if at_home else SPEAKS_ROTATED


@dataclass(frozen=True, slots=True)
class Weighed:
    """A hypothesis with its probability under the fair and under the strict belief, 0 to 1."""

    hypothesis: Hypothesis
    fair: float
    strict: float


def posterior(readings: Sequence[tuple[float, Sequence[Seen]]]) -> list[Weighed]:
    """The hypotheses with their probabilities, the likeliest (by the fair belief) first.

    `readings` are the ways to understand the values (Q with or without sign), each with its share of belief
    and what its three inputs show; their shares need not add up to one.
    """
    fair, strict = [0.0] * len(PRIOR), [0.0] * len(PRIOR)
    for share, inputs in readings:
        table = [[_densities(seen, step) for step in range(6)] for seen in inputs]
        for place, (hypothesis, careful, careless) in enumerate(PRIOR):
            one, two, three = (table[number][step] for number, step in enumerate(hypothesis.steps))
            likelihood = list(map(operator.mul, map(operator.mul, one, two), three))
            fair[place] += share * (careful + careless) / 2 * _dot(_FAIR, likelihood)
            strict[place] += share * (
                careful * _dot(_CAREFUL, likelihood) + careless * _dot(_CARELESS, likelihood)
            )
    sums = math.fsum(fair), math.fsum(strict)
    weighed = [
        Weighed(each[0], f / sums[0], s / sums[1]) for each, f, s in zip(PRIOR, fair, strict, strict=True)
    ]
    return sorted(weighed, key=lambda each: -each.fair)


def _dot(weights: Sequence[float], values: Sequence[float]) -> float:
    return math.fsum(map(operator.mul, weights, values))


def _grid() -> Iterator[tuple[_World, float, float, float]]:
    """The cells over which the likelihood is summed: world, share of it, standard deviation of the phases,
    the building's angle.
    """
    for world in _WORLDS:
        centres = [
            world.low + (place + 0.5) * _STEP for place in range(round((world.high - world.low) / _STEP))
        ]
        heights = [math.exp(-0.5 * ((centre - _USUAL) * world.sharp) ** 2) for centre in centres]
        for share, deviation in _SPREADS:
            for centre, height in zip(centres, heights, strict=True):
                yield world, share * height / sum(heights), deviation, centre


_GRID: Final = tuple(_grid())
_FAIR: Final = tuple(share * world.fair for world, share, _, _ in _GRID)
_CAREFUL: Final = tuple(share * world.strict * (1 - world.careless) for world, share, _, _ in _GRID)
_CARELESS: Final = tuple(share * world.strict * world.careless for world, share, _, _ in _GRID)


def _densities(seen: Seen, step: int) -> list[float]:
    """How credible it is, in each cell of the grid, that an input shows this when a mistake moves it by
    `step` × 60°.
    """
    if not seen:
        return [1.0] * len(_GRID)
    sums = [0.0] * len(_GRID)
    for angles in seen:
        turn = 60 * step + 360 * round((angles.mean - 60 * step - 12.5) / 360)
        load, low, high = angles.mean - turn, angles.low - turn, angles.high - turn
        bands = {world: _inside(load, low, high, world) for world in _WORLDS}
        for place, (world, _, deviation, centre) in enumerate(_GRID):
            if bands[world] < _NEVER:
                sums[place] += _FLOOR
                continue
            near = math.exp(-0.5 * ((load - centre) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
            mixed = (1 - _ODD_PHASE) * near + _ODD_PHASE / (world.high - world.low)
            sums[place] += mixed * bands[world] + _FLOOR
    return sums


def _inside(load: float, low: float, high: float, world: _World) -> float:
    """How far a load of this angle is within a band, 0 to 1: its mean, and with slack its ends."""
    return (
        _rise((load - world.low) / _EDGE)
        * _rise((world.high - load) / _EDGE)
        * _rise((low - world.low + _SLACK) / _EDGE)
        * _rise((world.high + _SLACK - high) / _EDGE)
    )


def _rise(x: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, x))))
