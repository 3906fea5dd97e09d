"""Simulated sites for the wiring test: phasors of three loads through any of the 48 mistakes, recorded by
meters of several kinds.
"""

from __future__ import annotations

import cmath
import math
import random
from dataclasses import dataclass
from itertools import permutations, product

CONDUCTORS = {1: 0.0, 2: -120.0, 3: 120.0}
MISTAKES = [
    (conductors, signs) for conductors in permutations((1, 2, 3)) for signs in product((1, -1), repeat=3)
]
TYPICAL, WIDE = (-10.0, 45.0), (-30.0, 55.0)


def names(mistake) -> list[str]:
    return [f"{'+' if sign > 0 else '-'}L{conductor}" for conductor, sign in zip(*mistake, strict=True)]


def draw(rng: random.Random, mix: str):
    """A mistake. A: half right, else permuted in one of six ways, each reversed with 20 %. B: all 48
    alike.
    """
    if mix == "B":
        return rng.choice(MISTAKES)
    if rng.random() < 0.5:
        return (1, 2, 3), (1, 1, 1)
    return rng.choice(MISTAKES)[0], tuple(-1 if rng.random() < 0.2 else 1 for _ in range(3))


@dataclass
class Site:
    """Loads of three conductors over some hours."""

    seed: int
    band: tuple[float, float] = TYPICAL
    rows: int = 60
    kind: str = ""

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)
        self.kind = self.kind or rng.choice(["common", "common", "mixed", "mixed", "single"])
        low, high = self.band
        base = rng.uniform(low, high)
        spread = {"common": 3.0, "mixed": 8.0, "single": 8.0}[self.kind]
        self.phi = {c: self.within(rng.gauss(base, spread)) for c in CONDUCTORS}
        if self.kind == "single":
            self.phi[rng.choice([1, 2, 3])] = rng.uniform(low, high)
        unbalance = 0.15 if self.kind != "single" else 0.6
        self.amps = {c: 40.0 * max(0.1, rng.gauss(1.0, unbalance)) for c in CONDUCTORS}
        self.sway = rng.uniform(0.0, 6.0)
        self.noise = rng.uniform(0.002, 0.03)
        self.distortion = rng.choice([0.0, 0.1, 0.2, 0.35])
        self.error = {c: rng.gauss(0.0, 0.5) for c in CONDUCTORS}
        """Phase error of each transformer, degrees."""

    def within(self, angle: float) -> float:
        """Mirrored at the ends of the band, so that every angle in it stays as frequent as the others and
        none piles up at an end.
        """
        low, high = self.band
        angle = 2 * low - angle if angle < low else angle
        return max(low, 2 * high - angle if angle > high else angle)

    def record(self, mistake, *, meter: str = "signed", order: int = 1) -> dict[str, list[float | None]]:
        """What a meter with this mistake records. `meter`: signed, unsigned (|Q|), factor (|PF|, no P).
        `order` −1: reversed sequence.
        """
        rng = self.rng
        out: dict[str, list[float | None]] = {}
        for row in range(self.rows):
            level = 0.3 + 0.7 * (0.5 + 0.5 * math.sin(row / self.rows * 6.28)) * rng.uniform(0.7, 1.0)
            currents = {}
            for c, place in CONDUCTORS.items():
                phi = self.within(
                    self.phi[c] + self.sway * math.sin(row / self.rows * 9 + c) + rng.gauss(0, 1)
                )
                size = self.amps[c] * level * rng.uniform(0.8, 1.2)
                currents[c] = size * cmath.exp(1j * math.radians(order * place - phi + self.error[c]))
            out.setdefault("t", []).append(1_790_000_000_000.0 + row * 60_000)
            for number, conductor, sign in zip((1, 2, 3), *mistake, strict=True):
                volts = 230 * rng.gauss(1, 0.005)
                power = (
                    volts
                    * cmath.exp(1j * math.radians(order * CONDUCTORS[number]))
                    * (sign * currents[conductor]).conjugate()
                    / 1000
                )
                p = power.real + abs(power) * rng.gauss(0, self.noise)
                q = power.imag + abs(power) * rng.gauss(0, self.noise)
                s = math.hypot(p, q) * math.sqrt(1 + self.distortion**2)
                values = {
                    f"voltage_l{number}n": volts,
                    f"current_l{number}": s / volts * 1000,
                    f"apparent_power_l{number}": s,
                }
                if meter == "factor":
                    values[f"power_factor_l{number}"] = abs(p) / s
                else:
                    values[f"active_power_l{number}"] = p
                    values[f"reactive_power_l{number}"] = abs(q) if meter == "unsigned" else q
                    values[f"power_factor_l{number}"] = abs(p) / s
                for name, value in values.items():
                    out.setdefault(name, []).append(round(value, 4))
        return out
