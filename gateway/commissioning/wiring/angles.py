"""From recorded values to the angle that each current input of a meter shows. Pure; one pass over the
rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gateway.commissioning.wiring.hypotheses import INPUTS, Angles, Seen

Column = Sequence[float | None]
Columns = Mapping[str, Column]
"""Values by name of the vocabulary (kW, kvar, kVA, A, V), a row per moment in all of them; None where
there is none.
"""

LOADED: Final = 0.05
"""Share of an input's own highest load below which its angle is noise."""
IDLE: Final = 0.01
"""Share of the largest input's current below which an input carries none."""
LEAST_ROWS: Final = 5
_BLOCKS: Final = 24
_SIGN: Final = 0.01
"""Share of the rows in which Q must be negative to be believed to have a sign."""
_ROUNDING: Final = 0.005
"""Share of an input's load up to which a negative value says nothing."""
_TURNS: Final = 75.0
"""Degrees around its mean: beyond, the power goes to and fro."""


@dataclass(frozen=True, slots=True)
class Input:
    """What is known of one current input: `seen` is None when nothing is, `why` then says what is missing:
    `power idle few both_ways`.
    """

    angles: Angles | None
    why: str = ""
    signed: bool = False
    """Whether its reactive power was negative at times."""
    sign_of_p: bool = True
    """Whether the sign of its active power can be trusted: it is recorded with Q, or it was negative at
    times.
    """


def observed(columns: Columns) -> list[Input]:
    """The three current inputs with the angle that each shows."""
    powers = [list(_powers(columns, number)) for number in INPUTS]
    sizes = [_high([math.hypot(p, q) for p, q in rows]) for rows in powers]
    return [_input(columns, number, powers[number - 1], max(sizes, default=0.0)) for number in INPUTS]


def readings(inputs: Sequence[Input]) -> tuple[list[Seen], list[Seen] | None]:
    """What the inputs show, and what they show if the meter has no sign for Q, for `posterior`.

    A meter whose Q is never negative may have none: then each angle may be its mirror image.
    """
    plain: list[Seen] = [[each.angles] if each.angles else [] for each in inputs]
    folded: list[Seen] = [[each.angles, each.angles.mirrored()] if each.angles else [] for each in inputs]
    if not all(each.sign_of_p for each in inputs):
        return [[*seen, *(angles.turned() for angles in seen)] for seen in folded], None
    return plain, None if any(each.signed for each in inputs) else folded


def _input(columns: Columns, number: int, rows: list[tuple[float, float]], largest: float) -> Input:
    voltage = _high([abs(value) for value in columns.get(f"voltage_l{number}n", ()) if value is not None])
    if not rows:
        return Input(None, "power")
    size = _high([math.hypot(p, q) for p, q in rows])
    if dead(columns, number) or size <= IDLE * largest or size == 0:
        return Input(None, "voltage" if dead(columns, number) and voltage is not None else "idle")
    loaded = [(p, q) for p, q in rows if math.hypot(p, q) >= LOADED * size]
    given = f"reactive_power_l{number}" in columns
    negative = -_ROUNDING * size
    signed = given and sum(q < negative for _, q in loaded) > _SIGN * len(loaded)
    sign_of_p = given or sum(p < negative for p, _ in loaded) > _SIGN * len(loaded)
    if len(loaded) < LEAST_ROWS:
        return Input(None, "few", signed, sign_of_p)
    angles = _angles(loaded)
    return Input(angles, "" if angles else "both_ways", signed, sign_of_p)


def dead(columns: Columns, number: int) -> bool:
    """Whether the voltage of an input is there in the record, and lacks: less than half of the highest
    one.
    """
    highs = [
        _median([abs(value) for value in columns.get(f"voltage_l{each}n", ()) if value is not None])
        for each in INPUTS
    ]
    own = highs[number - 1]
    return own is not None and own < 0.5 * max(high for high in highs if high is not None)


def _powers(columns: Columns, number: int) -> Iterator[tuple[float, float]]:
    """P and Q of an input, where both are known; without a column for Q its size follows from S, from the
    factor, or from U·I.
    """
    active = columns.get(f"active_power_l{number}")
    reactive = columns.get(f"reactive_power_l{number}")
    apparent = list(apparent_power(columns, number))
    factor = columns.get(f"power_factor_l{number}")
    rows = max((len(column) for column in columns.values()), default=0)
    for row in range(rows):
        p = active[row] if active else None
        q = reactive[row] if reactive else None
        s = apparent[row] if apparent else None
        pf = factor[row] if factor else None
        if p is None and not active and pf is not None:
            p = abs(pf) * s if s is not None else abs(pf)
            s = s if s is not None else 1.0
        if p is None:
            continue
        if q is None and not reactive:
            if s is None and pf:
                s = abs(p / pf)
            q = math.sqrt(max(0.0, s * s - p * p)) if s is not None else None
        if q is not None:
            yield p, q


def apparent_power(columns: Columns, number: int) -> Iterator[float | None]:
    """S of an input in kVA, or U·I when S is not recorded; nothing at all when neither is."""
    if apparent := columns.get(f"apparent_power_l{number}"):
        yield from (None if s is None else abs(s) for s in apparent)
    else:
        yield from volt_amperes(columns, number)


def volt_amperes(columns: Columns, number: int) -> Iterator[float | None]:
    """U·I of an input in kVA, a value per row; nothing at all when one of them is not recorded."""
    voltage, current = columns.get(f"voltage_l{number}n"), columns.get(f"current_l{number}")
    if voltage and current:
        yield from (
            None if u is None or i is None else abs(u * i) / 1000
            for u, i in zip(voltage, current, strict=True)
        )


def _angles(rows: list[tuple[float, float]]) -> Angles | None:
    """Mean and ends of the angle over blocks of time, each the angle of its energy: noise of single moments
    cancels out.

    None when the power goes to and fro, as where a building draws and feeds in turn.
    """
    blocks = min(_BLOCKS, len(rows))
    edges = [len(rows) * number // blocks for number in range(blocks + 1)]
    sums = [(sum(p for p, _ in rows[a:b]), sum(q for _, q in rows[a:b])) for a, b in pairwise(edges)]
    whole = math.degrees(math.atan2(sum(q for _, q in sums), sum(p for p, _ in sums)))
    apart = sorted((math.degrees(math.atan2(q, p)) - whole + 180) % 360 - 180 for p, q in sums)
    few = (len(apart) - 1) // 20
    low, high = apart[few], apart[-1 - few]
    if max(-low, high) > _TURNS:
        return None
    return Angles(whole, whole + low, whole + high)


def _high(values: list[float]) -> float:
    """What is exceeded for a twentieth of the time only; 0 of nothing."""
    return sorted(values)[-1 - len(values) // 20] if values else 0.0


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None
