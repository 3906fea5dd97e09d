"""What a low-voltage installation must look like: values of one meter at one moment → findings. Pure.

Bands: EN 50160, 230 V ± 10 % between phase and neutral; 50 Hz ± 1 %. Tolerances are those of a class-1 meter
read in several requests while the load moves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

LN_BAND: Final = (207.0, 253.0)
LL_BAND: Final = (358.0, 438.0)
HZ_BAND: Final = (49.5, 50.5)
PIPE_BAND: Final = (5.0, 150.0)
ROSE: Final = "rose by"
_PHASES = ("_l1", "_l2", "_l3")
_DEAD_VOLTS = 20.0
_SMALL = 0.02
"""kW, kvar, kVA: below, nothing can be told."""
_SHARE = 0.06
_DISTORTED = 1.5
_LOOSE = 1.25
"""P beyond U·I by more than this share is impossible, whatever moved between two requests."""
_IDLE_FACTOR = 0.2
_NO_FACTOR = 0.05
"""Power factors: below the first a load is unusual, below the second P is in another step than U and I."""
_TELLING = 0.2
"""kVA: below, the power of a standby load may be anything."""
_ROOT_3: Final = math.sqrt(3)
_MOST_KWH = 1e9
_MOST_AMPERES = 12_600.0
"""Twice the largest circuit breaker of low voltage (6 300 A, the last frame of IEC 60947-2 makers)."""


@dataclass(frozen=True, slots=True)
class PhysicsCheck:
    """One check: `good` is None when it says nothing either way."""

    good: bool | None
    names: tuple[str, ...]
    text: str
    off: float = 0.0
    """How far two sides of a relation are apart, as a share: tells a right table from one that is nearly
    right.
    """


def judge(values: Mapping[str, float], absent: Mapping[str, str]) -> list[PhysicsCheck]:
    """Every check that these values allow."""
    return [
        *_voltages(values),
        *_frequency(values),
        *_powers(values),
        *_powers_of_currents(values),
        *_powers_of_low_voltage(values),
        *_direct(values),
        *_heat(values),
        *_energies(values),
        *_absent(absent),
    ]


def score(findings: list[PhysicsCheck]) -> int:
    """How well it all fits: one for what fits, two off for what does not."""
    return sum(1 if finding.good else -2 for finding in findings if finding.good is not None)


def fits(findings: list[PhysicsCheck]) -> bool:
    """Whether nothing speaks against the table, and something for it."""
    told = [finding.good for finding in findings if finding.good is not None]
    return bool(told) and all(told)


def unweighed(values: Mapping[str, float], findings: list[PhysicsCheck]) -> str:
    """Why nobody can say whether the active power is right, in words; empty when something bears it out, or
    speaks against it, or there is none to weigh.
    """
    power = values.get("active_power")
    if power is None or abs(power) <= _SMALL:
        return ""
    powers = {"active_power", *(f"active_power{phase}" for phase in _PHASES)}
    weighed = [each for each in findings if powers & {*each.names} or each.text.startswith(ROSE)]
    if any(each.good is not None for each in weighed):
        return ""
    if doubt := next((each.text for each in weighed if powers & {*each.names} and len(each.names) > 1), ""):
        return doubt
    return (
        f"active_power: {power:g} kW could not be weighed: nothing stands beside it (current, S, a "
        f"counter that rises)"
    )


def _voltages(values: Mapping[str, float]) -> Iterator[PhysicsCheck]:
    for names, (low, high) in (
        (("voltage_l1n", "voltage_l2n", "voltage_l3n", "voltage_ln"), LN_BAND),
        (("voltage_l12", "voltage_l23", "voltage_l31", "voltage_ll"), LL_BAND),
    ):
        found = {name: values[name] for name in names if name in values}
        alive = any(value > _DEAD_VOLTS for value in found.values())
        for name, value in found.items():
            if value < _DEAD_VOLTS and alive:
                yield PhysicsCheck(None, (name,), f"{value:g} V: this phase is not connected")
            else:
                good = low <= value <= high
                yield PhysicsCheck(
                    good, (name,), f"{value:g} V is {'' if good else 'not '}within {low:g} to {high:g} V"
                )
    for name, a, b in (
        ("voltage_l12", "l1n", "l2n"),
        ("voltage_l23", "l2n", "l3n"),
        ("voltage_l31", "l3n", "l1n"),
    ):
        if name in values and f"voltage_{a}" in values and f"voltage_{b}" in values:
            u, v = values[f"voltage_{a}"], values[f"voltage_{b}"]
            if min(u, v) > _DEAD_VOLTS:
                text = f"{values[name]:g} V beside {u:g} V and {v:g} V"
                yield _beside(
                    (name, f"voltage_{a}", f"voltage_{b}"),
                    values[name],
                    math.sqrt(u * u + v * v + u * v),
                    text,
                )


def _beside(names: tuple[str, ...], got: float, meant: float, text: str) -> PhysicsCheck:
    """Two ways to the same number."""
    apart = abs(got - meant)
    return PhysicsCheck(
        apart <= max(_SHARE * abs(meant), _SMALL), names, text, apart / max(abs(meant), _SMALL)
    )


def _frequency(values: Mapping[str, float]) -> Iterator[PhysicsCheck]:
    if "frequency" in values:
        good = HZ_BAND[0] <= values["frequency"] <= HZ_BAND[1]
        yield PhysicsCheck(
            good,
            ("frequency",),
            f"{values['frequency']:g} Hz is {'' if good else 'not '}within {HZ_BAND[0]:g} to "
            f"{HZ_BAND[1]:g} Hz",
        )


def _powers(values: Mapping[str, float]) -> Iterator[PhysicsCheck]:
    for suffix in ("", *_PHASES):
        p, q, s = (
            values.get(f"{name}{suffix}") for name in ("active_power", "reactive_power", "apparent_power")
        )
        if s is None or abs(s) <= _SMALL:
            continue
        unlike = False
        if p is not None and q is not None:
            meant = math.hypot(p, q)
            text = f"S {s:g} kVA beside P {p:g} kW and Q {q:g} kvar (√(P²+Q²) = {meant:.4g})"
            finding = _beside(
                (f"active_power{suffix}", f"reactive_power{suffix}", f"apparent_power{suffix}"),
                abs(s),
                meant,
                text,
            )
            # With harmonics S is larger than √(P²+Q²), never smaller; as the sum of the phases it is so, too,
            # where one of these carries power the other way: with a transformer reversed, by as much as that.
            unlike = (
                not (finding.good or suffix)
                and meant < abs(s)
                and _both_ways(values)
                and _is_sum(abs(s), values)
            )
            distorted = not finding.good and meant < abs(s) < _DISTORTED * meant
            yield replace(finding, good=None) if unlike or distorted else finding
        factor = values.get(f"power_factor{suffix}")
        if factor is not None and p is not None:
            text = f"power factor {factor:g} beside P/S = {abs(p / s):.3g}"
            finding = _beside(
                (f"power_factor{suffix}", f"active_power{suffix}", f"apparent_power{suffix}"),
                abs(factor),
                min(1.0, abs(p / s)),
                text,
            )
            yield replace(finding, good=None) if unlike and not finding.good else finding
        phase = suffix or "_l1"
        u, i = values.get(f"voltage{phase}n"), values.get(f"current{phase}")
        if u is not None and i is not None and (suffix or "current_l2" not in values):
            meant = u * abs(i) / 1000
            text = f"S {s:g} kVA beside U·I = {u:g} V · {i:g} A = {meant:.4g} kVA"
            yield _beside(
                (f"apparent_power{suffix}", f"voltage{phase}n", f"current{phase}"), abs(s), meant, text
            )
    parts = [values[f"active_power{suffix}"] for suffix in _PHASES if f"active_power{suffix}" in values]
    total = values.get("active_power")
    if (
        total is not None
        and len(parts) == len(_PHASES)
        and max(abs(total), *(abs(part) for part in parts)) > _SMALL
    ):
        text = f"P {total:g} kW beside L1+L2+L3 = {sum(parts):.4g} kW"
        yield _beside(
            ("active_power", *(f"active_power{suffix}" for suffix in _PHASES)), total, sum(parts), text
        )


def _both_ways(values: Mapping[str, float]) -> bool:
    """Whether some phases draw power while others give it."""
    parts = [values[f"active_power{suffix}"] for suffix in _PHASES if f"active_power{suffix}" in values]
    return bool(parts) and min(parts) < 0.0 < max(parts)


def _is_sum(apparent: float, values: Mapping[str, float]) -> bool:
    """Whether a total apparent power in kVA is what the phases add up to (arithmetic, IEEE Std 1459), which
    is no contradiction to another √(P²+Q²).
    """
    parts = [
        abs(values[f"apparent_power{suffix}"]) for suffix in _PHASES if f"apparent_power{suffix}" in values
    ]
    if len(parts) == len(_PHASES):
        return abs(apparent - sum(parts)) <= _SHARE * sum(parts)
    known = _apparent(values, "")
    return known is not None and len(known[1]) > 1 and abs(apparent - known[0]) <= _SHARE * known[0]


def _powers_of_currents(values: Mapping[str, float]) -> Iterator[PhysicsCheck]:
    """P beside U·I, for each phase and for all: P = U·I·cos φ, so never more, and hardly ever a twentieth
    of it.
    """
    for suffix in ("", *_PHASES):
        name = f"active_power{suffix}"
        known = _apparent(values, suffix)
        if name in values and known is not None:
            meant, names, how = known
            text = f"P {values[name]:g} kW beside U·I = {how} = {meant:.4g} kVA"
            yield from _power_of(values, suffix, meant, (name, *names), text)


def _powers_of_low_voltage(values: Mapping[str, float]) -> Iterator[PhysicsCheck]:
    """A power that no busbar of low voltage carries: it tells where nothing stands beside the power, and
    where every power of a meter is read in the same wrong way.
    """
    volts = [
        values[name] for name in ("voltage_l1n", "voltage_l2n", "voltage_l3n", "voltage_ln") if name in values
    ]
    if not volts or max(volts) > LN_BAND[1]:
        return
    for suffix in ("", *_PHASES):
        most = _MOST_AMPERES * LN_BAND[1] / 1000 * (1 if suffix else len(_PHASES))
        for name, unit in (("active_power", "kW"), ("reactive_power", "kvar"), ("apparent_power", "kVA")):
            value = values.get(f"{name}{suffix}")
            if value is not None and abs(value) > most:
                text = f"{value:g} {unit} is more than low voltage carries ({_MOST_AMPERES:.0f} A)"
                yield PhysicsCheck(False, (f"{name}{suffix}",), text)


def _apparent(values: Mapping[str, float], suffix: str) -> tuple[float, tuple[str, ...], str] | None:
    """U·I of a phase, or of all, in kVA, from which values, and how."""
    if suffix:
        names = (f"voltage{suffix}n", f"current{suffix}")
        if not all(name in values for name in names):
            return None
        u, i = (values[name] for name in names)
        return u * abs(i) / 1000, names, f"{u:g} V · {i:g} A"
    phases = [phase for phase in _PHASES if f"current{phase}" in values]
    if not phases:
        return None
    currents = [values[f"current{phase}"] for phase in phases]
    lines = [values[name] for name in ("voltage_l12", "voltage_l23", "voltage_l31") if name in values]
    ll = values.get("voltage_ll", sum(lines) / len(lines) if lines else None)
    volts = [values.get(f"voltage{phase}n", values.get("voltage_ln")) for phase in phases]
    if all(u is not None for u in volts):
        meant = sum(u * abs(i) for u, i in zip(volts, currents, strict=True) if u is not None) / 1000
        shown = (
            f"{volts[0]:g} V · {currents[0]:g} A"
            if len(phases) == 1
            else f"the sum of the phases ({sum(map(abs, currents)):.4g} A)"
        )
        return meant, tuple(f"current{phase}" for phase in phases), shown
    if ll is None or len(phases) != len(_PHASES):
        return None
    mean = sum(abs(i) for i in currents) / len(currents)
    return (
        _ROOT_3 * ll * mean / 1000,
        ("voltage_ll", *(f"current{phase}" for phase in phases)),
        f"√3 · {ll:.4g} V · {mean:.4g} A",
    )


def _power_of(
    values: Mapping[str, float], suffix: str, meant: float, names: tuple[str, ...], text: str
) -> Iterator[PhysicsCheck]:
    power = abs(values[names[0]])
    if max(power, meant) <= _SMALL:
        return
    if power > meant * (1 + _SHARE) + _SMALL:
        good = False if power > meant * _LOOSE + _SMALL else None
        yield PhysicsCheck(
            good,
            names,
            f"{text}: more power than voltage and current can carry",
            min(1.0, power / max(meant, _SMALL) - 1),
        )
        return
    ratio = power / meant if meant else 0.0
    if ratio >= _IDLE_FACTOR:
        # Of several steps that P may have, the one with the better power factor is the likelier.
        yield PhysicsCheck(True, names, text, _SHARE * max(0.0, 1 - ratio))
        return
    # A motor that idles, a capacitor: another quantity of the meter must say so.
    reactive, factor = values.get(f"reactive_power{suffix}"), values.get(f"power_factor{suffix}")
    borne_out = (
        reactive is not None and abs(math.hypot(power, reactive) - meant) <= max(_SHARE * meant, _SMALL)
    ) or (factor is not None and abs(abs(factor) - ratio) <= _SHARE)
    if borne_out:
        yield PhysicsCheck(
            True, names, f"{text}, at a power factor of {ratio:.2g}, which the meter bears out"
        )
    elif ratio < _NO_FACTOR and meant > _TELLING:
        yield PhysicsCheck(
            False, names, f"{text}: a power factor of {ratio:.2g}, so P or I is in another step", 1.0
        )
    else:
        yield PhysicsCheck(
            None, names, f"{text}: a power factor of {ratio:.2g} is unusual: compare with the display"
        )


def _direct(values: Mapping[str, float]) -> Iterator[PhysicsCheck]:
    """DC: P = U·I, of the whole and of each input."""
    for suffix in ("", "_s1", "_s2", "_s3", "_s4"):
        names = (f"dc_power{suffix}", f"dc_voltage{suffix}", f"dc_current{suffix}")
        if all(name in values for name in names):
            p, u, i = (values[name] for name in names)
            if max(abs(p), abs(u * i) / 1000) > _SMALL:
                yield _beside(
                    names,
                    abs(p),
                    abs(u * i) / 1000,
                    f"P {p:g} kW beside U·I = {u:g} V · {i:g} A = {abs(u * i) / 1000:.4g} kW",
                )


def _heat(values: Mapping[str, float]) -> Iterator[PhysicsCheck]:
    """Both temperatures of a heat meter; one alone is in its band by chance, one outside of it unusual."""
    names = ("temperature_flow", "temperature_return")
    if all(name in values for name in names):
        flow, back = (values[name] for name in names)
        low, high = PIPE_BAND
        good = low <= min(flow, back) and max(flow, back) <= high
        text = f"{flow:g} °C and {back:g} °C are {'' if good else 'not both '}within {low:g} to {high:g} °C"
        yield PhysicsCheck(good or None, names, text)


def _energies(values: Mapping[str, float]) -> Iterator[PhysicsCheck]:
    for name, value in values.items():
        if "_energy" in name and not 0 <= value < _MOST_KWH:
            yield PhysicsCheck(False, (name,), f"{value:g} is no reading of a counter")


def _absent(absent: Mapping[str, str]) -> Iterator[PhysicsCheck]:
    for name, reason in absent.items():
        if reason == "implausible":
            yield PhysicsCheck(False, (name,), "what stands there is beyond anything possible")


def rising(
    name: str, first: float, last: float, *, power: float, seconds: float, step: float
) -> PhysicsCheck:
    """An energy counter beside the power: kWh before and after, mean kW in the counter's direction, the
    counter's step in kWh.
    """
    gained, meant = last - first, max(power, 0.0) * seconds / 3600
    text = f"rose by {gained:.4g} kWh in {seconds:.0f} s at {power:.4g} kW ({meant:.4g} kWh expected)"
    if gained < -step / 2:
        return PhysicsCheck(False, (name,), text)
    if meant < 2 * step and gained < 2 * step:
        return PhysicsCheck(None, (name,), text + ": too little to tell")
    return PhysicsCheck(abs(gained - meant) <= max(0.25 * meant, 2 * step), (name,), text)
