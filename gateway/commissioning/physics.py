"""What a low-voltage installation must look like: values of one meter at one moment → findings. Pure.

Bands: EN 50160, 230 V ± 10 % between phase and neutral; 50 Hz ± 1 %. Tolerances are those of a class-1 meter read in several
requests while the load moves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

LN_BAND: Final = (207.0, 253.0)
LL_BAND: Final = (358.0, 438.0)
HZ_BAND: Final = (49.5, 50.5)
_PHASES = ("_l1", "_l2", "_l3")
_DEAD_VOLTS = 20.0
_SMALL = 0.02
"""kW, kvar, kVA: below, nothing can be told."""
_SHARE = 0.06
_DISTORTED = 1.5
_MOST_KWH = 1e9


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `good` is None when it says nothing either way."""

    good: bool | None
    names: tuple[str, ...]
    text: str
    off: float = 0.0
    """How far two sides of a relation are apart, as a share: tells a right table from one that is nearly right."""


def judge(values: Mapping[str, float], absent: Mapping[str, str]) -> list[Finding]:
    """Every check that these values allow."""
    return [*_voltages(values), *_frequency(values), *_powers(values), *_energies(values), *_absent(absent)]


def score(findings: list[Finding]) -> int:
    """How well it all fits: one for what fits, two off for what does not."""
    return sum(1 if finding.good else -2 for finding in findings if finding.good is not None)


def fits(findings: list[Finding]) -> bool:
    """Whether nothing speaks against the table, and something for it."""
    told = [finding.good for finding in findings if finding.good is not None]
    return bool(told) and all(told)


def _voltages(values: Mapping[str, float]) -> Iterator[Finding]:
    for names, (low, high) in (
        (("voltage_l1n", "voltage_l2n", "voltage_l3n", "voltage_ln"), LN_BAND),
        (("voltage_l12", "voltage_l23", "voltage_l31", "voltage_ll"), LL_BAND),
    ):
        found = {name: values[name] for name in names if name in values}
        alive = any(value > _DEAD_VOLTS for value in found.values())
        for name, value in found.items():
            if value < _DEAD_VOLTS and alive:
                yield Finding(None, (name,), f"{value:g} V: this phase is not connected")
            else:
                good = low <= value <= high
                yield Finding(good, (name,), f"{value:g} V is {'' if good else 'not '}within {low:g} to {high:g} V")
    for name, a, b in (("voltage_l12", "l1n", "l2n"), ("voltage_l23", "l2n", "l3n"), ("voltage_l31", "l3n", "l1n")):
        if name in values and f"voltage_{a}" in values and f"voltage_{b}" in values:
            u, v = values[f"voltage_{a}"], values[f"voltage_{b}"]
            if min(u, v) > _DEAD_VOLTS:
                text = f"{values[name]:g} V beside {u:g} V and {v:g} V"
                yield _beside((name, f"voltage_{a}", f"voltage_{b}"), values[name], math.sqrt(u * u + v * v + u * v), text)


def _beside(names: tuple[str, ...], got: float, meant: float, text: str) -> Finding:
    """Two ways to the same number."""
    apart = abs(got - meant)
    return Finding(apart <= max(_SHARE * abs(meant), _SMALL), names, text, apart / max(abs(meant), _SMALL))


def _frequency(values: Mapping[str, float]) -> Iterator[Finding]:
    if "frequency" in values:
        good = HZ_BAND[0] <= values["frequency"] <= HZ_BAND[1]
        yield Finding(
            good, ("frequency",), f"{values['frequency']:g} Hz is {'' if good else 'not '}within {HZ_BAND[0]:g} to {HZ_BAND[1]:g} Hz"
        )


def _powers(values: Mapping[str, float]) -> Iterator[Finding]:
    for suffix in ("", *_PHASES):
        p, q, s = (values.get(f"{name}{suffix}") for name in ("active_power", "reactive_power", "apparent_power"))
        if s is None or abs(s) <= _SMALL:
            continue
        if p is not None and q is not None:
            meant = math.hypot(p, q)
            text = f"S {s:g} kVA beside P {p:g} kW and Q {q:g} kvar (√(P²+Q²) = {meant:.4g})"
            finding = _beside((f"active_power{suffix}", f"reactive_power{suffix}", f"apparent_power{suffix}"), abs(s), meant, text)
            # With harmonics S is larger than √(P²+Q²), never smaller.
            yield replace(finding, good=None) if not finding.good and meant < abs(s) < _DISTORTED * meant else finding
        factor = values.get(f"power_factor{suffix}")
        if factor is not None and p is not None:
            text = f"power factor {factor:g} beside P/S = {abs(p / s):.3g}"
            yield _beside(
                (f"power_factor{suffix}", f"active_power{suffix}", f"apparent_power{suffix}"), abs(factor), min(1.0, abs(p / s)), text
            )
        phase = suffix or "_l1"
        u, i = values.get(f"voltage{phase}n"), values.get(f"current{phase}")
        if u is not None and i is not None and (suffix or "current_l2" not in values):
            meant = u * abs(i) / 1000
            text = f"S {s:g} kVA beside U·I = {u:g} V · {i:g} A = {meant:.4g} kVA"
            yield _beside((f"apparent_power{suffix}", f"voltage{phase}n", f"current{phase}"), abs(s), meant, text)
    parts = [values[f"active_power{suffix}"] for suffix in _PHASES if f"active_power{suffix}" in values]
    total = values.get("active_power")
    if total is not None and len(parts) == len(_PHASES) and max(abs(total), *(abs(part) for part in parts)) > _SMALL:
        text = f"P {total:g} kW beside L1+L2+L3 = {sum(parts):.4g} kW"
        yield _beside(("active_power", *(f"active_power{suffix}" for suffix in _PHASES)), total, sum(parts), text)


def _energies(values: Mapping[str, float]) -> Iterator[Finding]:
    for name, value in values.items():
        if "_energy" in name and not 0 <= value < _MOST_KWH:
            yield Finding(False, (name,), f"{value:g} is no reading of a counter")


def _absent(absent: Mapping[str, str]) -> Iterator[Finding]:
    for name, reason in absent.items():
        if reason == "implausible":
            yield Finding(False, (name,), "what stands there is beyond anything possible")
        elif reason != "not_available":
            yield Finding(None, (name,), f"was not read: {reason}")


def rising(name: str, first: float, last: float, *, power: float, seconds: float, step: float) -> Finding:
    """An energy counter beside the power: kWh before and after, mean kW in the counter's direction, the counter's step in kWh."""
    gained, meant = last - first, max(power, 0.0) * seconds / 3600
    text = f"rose by {gained:.4g} kWh in {seconds:.0f} s at {power:.4g} kW ({meant:.4g} kWh expected)"
    if gained < -step / 2:
        return Finding(False, (name,), text)
    if meant < 2 * step and gained < 2 * step:
        return Finding(None, (name,), text + ": too little to tell")
    return Finding(abs(gained - meant) <= max(0.25 * meant, 2 * step), (name,), text)
