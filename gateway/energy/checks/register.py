"""Checks on one register, as pure functions: each says what it saw with its evidence, or None.

All amounts are grains (units.py), all times ms UTC. What needs the tree of meters (main against subs,
transformer ratios), voltages and phases (identities, wiring, network) or a year's calendar is not decided
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import Any, Final, NamedTuple

from gateway.energy.engine.units import GRAIN, GRAIN_DIGITS, BaseUnit, fits, shown

FULL: Final = (9, 10)
"""A register of known width rolls over from above this share of it to below the rest."""
ASSUMED_FULL: Final = (99, 100)
"""The same where the width is not known."""
TIMES: Final = 20
"""Times its fastest rate beyond which a gain waits for the reads after it."""
SLIP: Final = 2
"""Times its fastest rate that a register may run backwards; faster it is a reset."""
LITTLE: Final = 100
"""A fall by less than a hundredth is no new beginning either."""
_DECIMAL: Final = range(3, 13)
_CT_SHARE: Final = 12
"""Tenths of a current transformer's primary current that it can carry."""
_OVER_CONTRACT: Final = 3
"""Times the contracted power that a building could draw before its breaker trips."""
FROZEN: Final = 3
"""Intervals in a row."""
SPIKE_PERCENT: Final = 180
COHERENT: Final = 20
"""The part that register and power may differ by: a twentieth, 5 %."""


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a register beside its readings; None where it is not known.

    `moduli`: the numbers (grains) after its last one; `ct_primary` A and `voltage` V (line to line) bound the
    power, else three times
    `contract_kw`, else what no building reaches.
    """

    unit: BaseUnit
    moduli: tuple[int, ...] = ()
    ct_primary: int | None = None
    voltage: int = 400
    contract_kw: int | None = None
    jump: int | None = None
    """Times the last measured interval beyond which one is told; what that is, a site decides."""
    ct_least: int | None = None
    """A; where the secondary side is not known, `ct_primary` is the most that it can be, this the least."""
    end: int | None = None
    """The number (grains) after the last one of its type; its display may begin again earlier."""
    most: int = field(init=False)
    """Base units an hour. 1.2·√3·U·I of the current transformer's primary."""

    def __post_init__(self) -> None:
        most = self.unit.most
        if self.unit.digits == 3:  # electrical energy
            if self.ct_primary is not None:
                most = isqrt(3 * (self.ct_primary * self.voltage * _CT_SHARE) ** 2) // 10 + 1
            elif self.contract_kw is not None:
                most = self.contract_kw * 1000 * _OVER_CONTRACT
        object.__setattr__(self, "most", most)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw: the event's kind, its time (ms UTC), and what it rests on (registers as grains in
    `amounts`).
    """

    kind: str
    t: int
    amounts: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, int | str | bool] = field(default_factory=dict)

    def evidence(self) -> dict[str, Any]:
        """What it rests on, as it is published: amounts in base units, beside the facts."""
        return {name: shown(value) for name, value in self.amounts.items()} | dict(self.facts)

    def state(self) -> list[Any]:
        """As JSON values."""
        return [self.kind, self.t, dict(self.amounts), dict(self.facts)]

    @classmethod
    def restored(cls, state: list[Any]) -> Finding:
        """What `state` gave."""
        return cls(*state)


@dataclass(frozen=True, slots=True)
class KeptFinding:
    """A finding of a register, or (where `quantity` is empty) of a meter. `seen`: when it was so last, ms
    UTC.
    """

    meter: str
    quantity: str
    finding: Finding
    seen: int


class Rate(NamedTuple):
    """A gain (grains) in a time (ms); of how many gains it is the fastest."""

    gain: int = 0
    elapsed: int = 1
    seen: int = 0

    def with_gain(self, gain: int, elapsed: int) -> Rate:
        """The faster of the two."""
        faster = gain * self.elapsed > self.gain * elapsed
        return Rate(gain, elapsed, self.seen + 1) if faster else Rate(self.gain, self.elapsed, self.seen + 1)

    def allows(self, gain: int, elapsed: int, times: int, slack: int) -> bool:
        """Whether a gain is at most `times` as fast."""
        return (gain - slack) * self.elapsed <= times * self.gain * elapsed

    @property
    def known(self) -> bool:
        """Whether enough was seen to judge by it."""
        return self.seen >= 3  # one gain is chance, three are a habit


def is_impossible(context: Context, gain: int, elapsed: int, step: int) -> bool:
    """Check 5: more than the wires could carry. One step of the register may always come at once."""
    return not fits(gain, elapsed, context.most, step)


def is_leap(context: Context, rate: Rate, gain: int, elapsed: int, step: int) -> bool:
    """Whether a gain is so much faster than all before that the next reads have to confirm it (check 4,
    upwards).
    """
    if not rate.known or fits(gain, elapsed, context.unit.leap, step):
        return False
    return not rate.allows(gain, elapsed, TIMES, step)


def rollover(
    context: Context, rate: Rate, before: int, after: int, *, elapsed: int, step: int
) -> tuple[int, bool] | None:
    """Check 2: the gain over the register's end, and whether its width had to be assumed; None: that is no
    rollover.

    With a known modulus M, or one of its type: before > 0.9·M, after < 0.1·M, gain possible. Else, where no
    modulus is known: M = 10^3 … 10^12 of the
    unit or of the register's steps, or 2^32 steps, both within 1 % of the end, and the gain no faster than
    what this register is known to do.
    """
    for modulus in (*context.moduli, *([] if context.end is None else [context.end])):
        full, of = FULL
        gain = after - before + modulus
        if (
            before < modulus
            and before * of > full * modulus
            and 0 <= after * of < (of - full) * modulus
            and fits(gain, elapsed, context.most, step)
        ):
            return gain, False
    if context.moduli or not rate.known or after < 0:
        return None
    full, of = ASSUMED_FULL
    for modulus in _assumed(context, step):
        gain = after - before + modulus
        near = modulus > before and before * of > full * modulus and after * of < (of - full) * modulus
        if near and rate.allows(gain, elapsed, TIMES, step) and fits(gain, elapsed, context.most, step):
            return gain, True
    return None


def _assumed(context: Context, step: int) -> list[int]:
    unit = 10 ** (GRAIN_DIGITS + context.unit.digits)
    # What is multiplied by a transformer ratio ends at a power of ten of its steps.
    return [10**power * each for each in (unit, step) for power in _DECIMAL] + [2**32 * step]


def is_slip(context: Context, rate: Rate, before: int, after: int, *, elapsed: int, step: int) -> bool:
    """Check 1: whether a fall is a register that runs backwards, not one that began anew: by little, or
    slowly, and not to near 0.
    """
    if after >= before:
        return False
    loss = before - after
    if before > 0 and (after == 0 or 0 <= 2 * after <= before):
        return False
    if loss * LITTLE <= abs(before):
        return True
    if rate.known:
        return rate.allows(loss, elapsed, SLIP, step)
    return fits(loss, elapsed, context.unit.leap, step)


def is_frozen(energies: Sequence[int], expected: Sequence[int], step: int, least: int = FROZEN) -> bool:
    """Checks 9 and 10: no energy in `least` intervals, though the power read beside it makes more than two
    steps in each of them.
    """
    return (
        len(energies) >= least
        and not any(energies)
        and all(power > 2 * max(step, GRAIN) for power in expected)
    )


def incoherent(energy: int, expected: int, step: int) -> int | None:
    """Check 13, over an hour or more: how far register and integrated power differ, when by more than two
    steps and 5 %; else None.
    """
    apart = abs(energy - expected)
    return apart if apart > 2 * step and apart * COHERENT > abs(expected) else None


def spike(values: Sequence[int]) -> int | None:
    """Check 6, over a day's intervals: per cent by which the highest is above the third highest, when more
    than 180; else None.
    """
    if len(values) < 3:  # the third highest
        return None
    highest, _, third = sorted(values, reverse=True)[:3]
    if third <= 0:
        return None
    above = (highest - third) * 100 // third
    return above if above > SPIKE_PERCENT else None


def out_of_history(day: int, like: Sequence[int]) -> bool:
    """Check 8: whether a day's sum is outside half to double the mean of its like days (two at least)."""
    if len(like) < 2 or sum(like) <= 0:  # one day is no history
        return False
    scaled, total = day * len(like), sum(like)
    return 2 * scaled < total or scaled > 2 * total


def is_duplicate(known: int | None, value: int | None) -> bool:
    """Check 20: whether a second reading of the same time says something else; a failed read says nothing."""
    return known is not None and value is not None and known != value
