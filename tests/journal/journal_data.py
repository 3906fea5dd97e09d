"""Noisy, seeded readings of SDM630-like meters (34 values), and a clock that is moved by hand."""

import asyncio
import random
from dataclasses import dataclass, field

from gateway.model import Draft, Reading

PHASES = ("l1", "l2", "l3")


class Meter:
    """Load that wanders, noise on every value, registers that count; rounded as the driver's decimals say."""

    def __init__(self, name, rng):
        self.name = name
        self.rng = rng
        self.load = [rng.uniform(0.3, 6.0) for _ in PHASES]
        self.energy = {
            quantity: rng.uniform(1e3, 4e5)
            for quantity in (
                "active_energy_import",
                "active_energy_export",
                "reactive_energy_import",
                "reactive_energy_export",
            )
        }

    def values(self, seconds):
        rng, values = self.rng, {}
        volts = [230 + rng.gauss(0, 1.5) for _ in PHASES]
        self.load = [max(0.02, load * rng.gauss(1, 0.02)) for load in self.load]
        factors = [min(1.0, 0.93 + rng.gauss(0, 0.02)) for _ in PHASES]
        apparent = [load / factor for load, factor in zip(self.load, factors, strict=False)]
        reactive = [
            (a * a - p * p) ** 0.5 if a > p else 0.0 for a, p in zip(apparent, self.load, strict=False)
        ]
        for i, phase in enumerate(PHASES):
            values[f"voltage_{phase}n"] = round(volts[i], 1)
        for i, phase in enumerate(PHASES):
            values[f"current_{phase}"] = round(apparent[i] * 1000 / volts[i], 2)
        for name, parts in (
            ("active_power", self.load),
            ("apparent_power", apparent),
            ("reactive_power", reactive),
            ("power_factor", factors),
        ):
            digits = 2 if name == "power_factor" else 3
            for phase, part in zip(PHASES, parts, strict=False):
                values[f"{name}_{phase}"] = round(part, digits)
            values[name] = round(sum(parts) / (3 if name == "power_factor" else 1), digits)
        values["frequency"] = round(50 + rng.gauss(0, 0.015), 2)
        for i, pair in enumerate(("l12", "l23", "l31")):
            values[f"voltage_{pair}"] = round(volts[i] * 1.732 + rng.gauss(0, 0.4), 1)
        values["current_n"] = round(abs(rng.gauss(1.5, 0.4)), 2)
        values["voltage_ln"] = round(sum(volts) / 3, 1)
        values["thd_voltage_ln"] = round(abs(rng.gauss(2, 0.1)), 1)
        values["active_power_demand"] = round(sum(self.load) * rng.gauss(1, 0.01), 3)
        self.energy["active_energy_import"] += sum(self.load) * seconds / 3600
        self.energy["reactive_energy_import"] += sum(reactive) * seconds / 3600
        for quantity, register in self.energy.items():
            values[quantity] = round(register, 2)
        return values


class Building:
    """`draft()` gives one slot of all its meters."""

    def __init__(self, meters=10, seed=1, interval=10.0):
        rng = random.Random(seed)
        self.rng = rng
        self.interval = interval
        self.meters = [Meter(f"meter-{number:02d}", rng) for number in range(1, meters + 1)]

    def draft(self, uptime, keep=False):
        readings = []
        for place, meter in enumerate(self.meters):
            readings.append(
                Reading(
                    meter.name, uptime + place * 177 + self.rng.randint(0, 25), meter.values(self.interval)
                )
            )
        return Draft(readings, keep=keep)


@dataclass
class HandClock:
    """Wall time and uptime in ms that move only when told."""

    now: int = 1_000_000
    offset: int = 1_795_000_000_000
    synced: bool = True
    boot: str = "b0" * 16
    steps: list = field(default_factory=list)

    def wall(self):
        return self.now + self.offset

    def uptime(self):
        return self.now

    def moment(self):
        return self.wall(), self.uptime()


async def until(condition, seconds=60):
    """Wait for the journal thread to get there."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it is another thread's state, no event tells of it
            await asyncio.sleep(0.02)


def small(meter="m", uptime=1000, value=1.0, **more):
    """A draft of one reading with one value."""
    return Draft([Reading(meter, uptime, {"active_energy_import": value})], **more)


async def fill(journal, clock, count, meters=4, **more):
    """Commit so many drafts, ten seconds apart; their batches."""
    building = Building(meters)
    taken = []
    for _ in range(count):
        clock.now += 10_000
        taken += await journal.commit(building.draft(clock.now, **more), carry={"pulses": {"su": clock.now}})
    return taken
