"""One measuring point: from complex power per phase to everything that a meter there would show.

Consistent by construction: I = S/U per phase, S² = P² + Q² per phase and in total, and every energy register
is the integral of the power beside it. Powers in kW and kvar, import positive; energies in kWh, kvarh and
kVAh; time in seconds.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, field, replace

PhasePowers = tuple[complex, complex, complex]
"""P + jQ of L1, L2 and L3 in kW and kvar."""
Voltages = tuple[float, float, float]
PHASES = ("l1", "l2", "l3")
_TURN = tuple(cmath.rect(1.0, -2 * math.pi * k / 3) for k in range(3))
_HOUR = 3600.0
QUARTER = 900.0


@dataclass(slots=True)
class Circuit:
    """The registers of one measuring point, and what it sees now."""

    name: str
    phases: int = 3
    registers: dict[str, float] = field(default_factory=dict)
    power: PhasePowers = (0j, 0j, 0j)
    demand: float = 0.0
    demand_max: float = 0.0
    _quarter: float = 0.0
    """kWh of the running quarter hour."""

    def run(self, seconds: float, tariff: int) -> None:
        """Let the present power flow for a while; `tariff` is the number that counts now."""
        hours = seconds / _HOUR
        for phase, power in zip(PHASES[: self.phases], self.power, strict=False):
            self._count(power, hours, f"_{phase}")
        total = sum(self.power)
        self._count(total, hours, "")
        self._count(total, hours, f"_t{tariff}")
        quadrant = (1 if total.imag >= 0 else 4) if total.real >= 0 else (2 if total.imag >= 0 else 3)
        self._add(f"reactive_energy_q{quadrant}", abs(total.imag) * hours)
        self._quarter += total.real * hours

    def after(self, seconds: float, tariff: int) -> Circuit:
        """The same circuit a while later, as a copy."""
        later = replace(self, registers=dict(self.registers))
        later.run(seconds, tariff)
        return later

    def close_quarter(self) -> None:
        """A quarter hour is over: its mean power is the demand."""
        self.demand = self._quarter * _HOUR / QUARTER
        self.demand_max = max(self.demand_max, self.demand)
        self._quarter = 0.0

    def _count(self, power: complex, hours: float, suffix: str) -> None:
        self._add(
            f"active_energy_{'import' if power.real >= 0 else 'export'}{suffix}", abs(power.real) * hours
        )
        self._add(
            f"reactive_energy_{'import' if power.imag >= 0 else 'export'}{suffix}", abs(power.imag) * hours
        )
        self._add(f"apparent_energy{suffix}", abs(power) * hours)

    def _add(self, register: str, amount: float) -> None:
        self.registers[register] = self.registers.get(register, 0.0) + amount

    def values(self, voltages: Voltages, frequency: float) -> dict[str, float]:
        """Every quantity of the vocabulary that this point has, now."""
        values = self._powers()
        values.update(self._electric(voltages))
        values["frequency"] = frequency
        values["active_power_demand"], values["active_power_demand_max"] = self.demand, self.demand_max
        for quantity in ("active_energy", "reactive_energy"):
            for suffix in ("", "_l1", "_l2", "_l3", "_t1", "_t2", "_t3", "_t4"):
                taken = self.registers.get(f"{quantity}_import{suffix}", 0.0)
                given = self.registers.get(f"{quantity}_export{suffix}", 0.0)
                values[f"{quantity}_import{suffix}"], values[f"{quantity}_export{suffix}"] = taken, given
                values[f"{quantity}_total{suffix}"] = taken + given
        for suffix in ("", "_l1", "_l2", "_l3"):
            values[f"apparent_energy{suffix}"] = self.registers.get(f"apparent_energy{suffix}", 0.0)
        for quadrant in (1, 2, 3, 4):
            values[f"reactive_energy_q{quadrant}"] = self.registers.get(f"reactive_energy_q{quadrant}", 0.0)
        return values

    def _powers(self) -> dict[str, float]:
        values = {}
        for suffix, power in (
            ("", sum(self.power)),
            *((f"_{phase}", power) for phase, power in zip(PHASES, self.power, strict=True)),
        ):
            size = abs(power)
            values[f"active_power{suffix}"], values[f"reactive_power{suffix}"] = power.real, power.imag
            values[f"apparent_power{suffix}"] = size
            values[f"power_factor{suffix}"] = power.real / size if size else 1.0
        return values

    def _electric(self, voltages: Voltages) -> dict[str, float]:
        values = {}
        neutral = 0j
        amperes = []
        for index, (phase, power, volts) in enumerate(zip(PHASES, self.power, voltages, strict=True)):
            current = (power * 1000 / volts).conjugate()
            neutral += current * _TURN[index]
            amperes.append(abs(current))
            load = min(1.0, abs(power) / 20)
            values[f"voltage_{phase}n"], values[f"current_{phase}"] = volts, abs(current)
            values[f"thd_voltage_{phase}"], values[f"thd_current_{phase}"] = (
                1.4 + 1.2 * load,
                18.0 - 12.0 * load,
            )
        for name, (a, b) in (("l12", (0, 1)), ("l23", (1, 2)), ("l31", (2, 0))):
            values[f"voltage_{name}"] = abs(voltages[a] * _TURN[a] - voltages[b] * _TURN[b])
        wired = range(self.phases)
        values["voltage_ln"] = sum(voltages[k] for k in wired) / self.phases
        values["voltage_ll"] = (values["voltage_l12"] + values["voltage_l23"] + values["voltage_l31"]) / 3
        values["current"] = sum(amperes[k] for k in wired) / self.phases
        values["current_n"] = abs(neutral)
        return values
