"""A public building: people come at eight, motors start, clouds pass, the compensation fails now and then.

Deterministic by seed: the power of every circuit is a function of the second; registers are its integral. The
circuits hang in a tree: every sub-meter's power, PV with its negative sign, adds up to the main meter but for
a small rest that nobody meters.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final

from gateway.demo.simulator.circuit import QUARTER, Circuit, PhasePowers, Voltages
from gateway.demo.simulator.water import WATER_MEAN, WaterPipe, water_flow

SUBMETERS = ("hvac", "lighting", "sockets", "server", "elevator", "kitchen", "ev", "pv", "compensation")
"""What hangs below `main`; `sockets` splits further into floor-1 … floor-64."""
WATER = "water"
"""The circuit that is a pipe."""
FLOORS = 64
_DAY = 86400
_MOST_STEPS = 1000
_UTC_OFFSET = 3 * 3600  # Turkey keeps +03:00 all year
_SATURDAY, _SUNDAY = 5, 6
_OPEN, _PLUGGED, _BUSY = 0.3, 0.1, 0.5
_NOON, _BEFORE_NOON, _LONGER = 13.1, 6.0, 1.3
"""Hours: the sun is highest, is up before that, and is up longer in July, shorter in January."""
_STAGES, _STAGE_KVAR = 6, 5.0
_STUCK_OFF, _STUCK_ON = 0.08, 0.12
"""Below the first, a two-hour spell is one of a dead bank; from there to the second, of one that never
lets go.
"""
_THREE = (0.34, 0.33, 0.33)
_SHARES = {
    "hvac": _THREE,
    "lighting": (0.40, 0.27, 0.33),
    "sockets": (0.36, 0.35, 0.29),
    "server": (1.0, 0.0, 0.0),
    "elevator": _THREE,
    "kitchen": (0.30, 0.38, 0.32),
    "ev": (0.5, 0.5, 0.0),
    "pv": _THREE,
    "compensation": (1 / 3, 1 / 3, 1 / 3),
    "rest": (0.2, 0.3, 0.5),
}
_TANGENT = {
    "hvac": 0.75,
    "lighting": -0.12,
    "sockets": 0.10,
    "server": -0.20,
    "elevator": 0.70,
    "kitchen": 0.05,
    "ev": -0.03,
    "pv": 0.04,
}

LEFT_ON: Final = 4.5
"""kW of the ventilation that nobody has switched off for some days, by how empty the building is."""
_MEAN = {
    "hvac": 6.0,
    "lighting": 2.9,
    "sockets": 4.6,
    "server": 3.2,
    "elevator": 0.5,
    "kitchen": 1.1,
    "ev": 1.6,
}
"""kW over a year, about what the courses below come to."""
_MEAN_YIELD, _MEAN_BANK = 4.6, 4.0
"""kW of the PV and kvar of the capacitors, likewise: 30 kWp give some 40 MWh a year."""
_SOLD, _UNMETERED = 0.1, 0.012
"""What of the yield the building did not use, and what no sub-meter sees of its use."""
_YEAR = 8766.0  # h


class Building:
    """Its circuits at any moment. `step` is the granularity of power in seconds; within a step it is
    constant.
    """

    def __init__(self, seed: int = 1, *, start: float | None = None, step: float = 1.0) -> None:
        self.seed = seed
        self.step = step
        self._lock = threading.Lock()
        self._index = math.floor((time.time() if start is None else start) / step)
        self._now = self._index * step
        self._circuits: dict[str, Circuit] = {}
        for name in ("main", *SUBMETERS, WATER):
            self.circuit(name)

    def circuit(self, name: str) -> Circuit:
        """A circuit by name: main, a sub-meter, floor-N, or water. Raises KeyError."""
        known = self._circuits.get(name)
        if known is not None:
            return known
        if name not in {"main", *SUBMETERS, WATER, *(f"floor-{number}" for number in range(1, FLOORS + 1))}:
            raise KeyError(name)
        if name == WATER:
            whole = round(_hours(self.seed) * WATER_MEAN / 3, 3)  # a third of the week somebody is there
            circuit: Circuit = WaterPipe(name, registers={"volume": whole})
        else:
            circuit = Circuit(name, 1 if name == "server" else 3)
            circuit.registers.update(_past(*_lifetime(self.seed, name), phases=circuit.phases))
        self._circuits[name] = circuit
        self._flow()
        return circuit

    def remember(self) -> dict[str, Any]:
        """Every register at the last whole step, as JSON values."""
        with self._lock:
            return {
                "t": self._index * self.step,
                "registers": {name: dict(circuit.registers) for name, circuit in self._circuits.items()},
            }

    def recall(self, memory: dict[str, Any]) -> None:
        """Go on from what was remembered: time that went by since then has flowed through the meters.
        Raises KeyError.
        """
        with self._lock:
            now, fine = self._now, self.step
            then = min(float(memory["t"]), now)
            # After a long pause in coarser steps; from the step that was begun, so that no register can go
            # back.
            self.step = fine * max(1, math.ceil((now - then) / fine / _MOST_STEPS))
            self._index = math.floor(then / self.step)
            for name, registers in memory["registers"].items():
                self.circuit(name).registers = dict(registers)
            self._flow()
            self._advance(now)
            self.step = fine
            self._index = math.floor(now / fine)
            self._flow()

    def values(self, circuit: str, t: float) -> dict[str, float]:
        """Every quantity of a circuit at unix time t; the past stays as it was. Raises KeyError."""
        with self._lock:
            self._advance(t)
            now = self.circuit(circuit).after(self._now - self._index * self.step, tariff(self._now))
            return now.values(self._voltages(), self._frequency())

    def _advance(self, t: float) -> None:
        self._now = max(self._now, t)
        while (self._index + 1) * self.step <= self._now:
            counting = tariff(self._index * self.step)
            for circuit in self._circuits.values():
                circuit.run(self.step, counting)
            self._index += 1
            if self._index * self.step % QUARTER < self.step:
                for circuit in self._circuits.values():
                    circuit.close_quarter()
            self._flow()

    def _flow(self) -> None:
        """Set every circuit's power for the present step."""
        t = self._index * self.step
        powers = loads(self.seed, t)
        for name, circuit in self._circuits.items():
            if isinstance(circuit, WaterPipe):
                circuit.flow = water_flow(
                    presence(*_local(t)), lambda name, period: noise(self.seed, name, t, period)
                )
            elif name == "main":
                circuit.power = _sum([*powers.values()])
            elif name in powers:
                circuit.power = powers[name]
            else:
                circuit.power = _scaled(
                    powers["sockets"], _share(self.seed, int(name.removeprefix("floor-")))
                )

    def _voltages(self) -> Voltages:
        one, two, three = self._circuits["main"].power
        t = self._index * self.step
        grid = 231.5 + 2.5 * noise(self.seed, "grid", t, 600)
        return (
            grid - 0.10 * one.real + 0.4 * noise(self.seed, "u1", t, 20),
            grid - 0.10 * two.real + 0.4 * noise(self.seed, "u2", t, 20),
            grid - 0.10 * three.real + 0.4 * noise(self.seed, "u3", t, 20),
        )

    def _frequency(self) -> float:
        return 50.0 + 0.03 * noise(self.seed, "f", self._index * self.step, 30)


class Time:
    """Simulated unix time: from `start` on, `speed` times as fast as the wall."""

    def __init__(
        self, start: float | None = None, speed: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._zero = clock()
        self._speed = speed
        self.start = time.time() if start is None else start

    def __call__(self) -> float:
        """Now, as the building sees it."""
        return self.start + self._speed * (self._clock() - self._zero)


def loads(seed: int, t: float) -> dict[str, PhasePowers]:
    """P + jQ per phase of everything below the main meter at unix time t, the unmetered rest included."""
    hour, weekday = _local(t)
    at_work = presence(hour, weekday)
    cold = winter((t + _UTC_OFFSET) / _DAY % 365.25)

    def wobble(name: str, period: float) -> float:
        return noise(seed, name, t, period)

    kilowatts = {
        "hvac": _hvac(seed, t, hour, at_work) + LEFT_ON * (1 - at_work),
        "lighting": 0.8
        + 8.5 * at_work * (1.0 - 0.35 * daylight(hour, cold)) * (1 + 0.04 * wobble("lighting", 300)),
        "sockets": 1.4 + 12.0 * at_work * (1 + 0.15 * wobble("sockets", 60)),
        "server": 3.2 + 0.15 * wobble("server", 15),
        "elevator": 0.25 + 6.5 * at_work * max(0.0, wobble("elevator", 12) - 0.35),
        "kitchen": 0.4
        + (9.0 * math.exp(-(((hour - 12.2) / 0.9) ** 2)) * at_work * (1 + 0.2 * wobble("kitchen", 40))),
        "ev": 11.0 * (wobble("ev", 3600) > _PLUGGED) * (at_work > _OPEN) + 0.05,
        "pv": -30.0 * sun(hour, cold) * clouds(seed, t),
    }
    powers = {}
    for name, active in kilowatts.items():
        reactive = abs(active) * _TANGENT[name] * (1 + 0.05 * wobble(f"{name}/q", 45))
        powers[name] = _split(complex(active, reactive), name, seed, t)
    inductive = sum(sum(power).imag for power in powers.values())
    bank = compensation(seed, t, inductive)
    powers["compensation"] = _split(complex(0.004 * bank, -bank), "compensation", seed, t, spread=0.0)
    metered = sum(abs(active) for active in kilowatts.values())
    powers["rest"] = _split(complex(0.012 * metered, 0.004 * metered), "rest", seed, t)
    return powers


def compensation(seed: int, t: float, inductive: float) -> float:
    """What the capacitor bank gives, in kvar: stages as needed; in some hours none at all, in others every
    one of them.
    """
    state = _draw(seed, "bank", int(t // 7200))
    if state < _STUCK_OFF:
        return 0.0
    if state < _STUCK_ON:
        return _STAGES * _STAGE_KVAR
    return _STAGE_KVAR * max(0, min(_STAGES, round(inductive / _STAGE_KVAR)))


def presence(hour: float, weekday: int) -> float:
    """How full the building is, 0 to 1: office hours, a lunch dip, few people on Saturday."""
    if weekday == _SUNDAY:
        return 0.03
    rise = 1 / (1 + math.exp(-(hour - 7.8) * 3.5))
    fall = 1 / (1 + math.exp((hour - 18.0) * 2.5))
    lunch = 1 - 0.25 * math.exp(-(((hour - 12.7) / 0.6) ** 2))
    return 0.02 + 0.98 * rise * fall * lunch * (0.3 if weekday == _SATURDAY else 1.0)


def winter(day: float) -> float:
    """Of a day of the year: 1 in mid-January, 0 in mid-July."""
    return 0.5 + 0.5 * math.cos((day - 15) / 365 * 2 * math.pi)


def sun(hour: float, cold: float) -> float:
    """Clear-sky yield, 0 to 1: longer and higher in summer; `cold` is what `winter` says of the day."""
    apart = (hour - _NOON) / (_BEFORE_NOON + _LONGER * (1 - 2 * cold))
    return (1 - 0.45 * cold) * math.cos(math.pi / 2 * apart) ** 1.3 if abs(apart) < 1 else 0.0


def daylight(hour: float, cold: float) -> float:
    """How much of the lighting daylight replaces."""
    return min(1.0, 1.6 * sun(hour, cold))


def clouds(seed: int, t: float) -> float:
    """What clouds let through, 0.15 to 1: a day's weather, and single clouds that take a minute to pass."""
    weather = 0.65 + 0.35 * noise(seed, "weather", t, 14400)
    cloud = max(0.0, noise(seed, "cloud", t, 75) - 0.2)
    return max(0.15, min(1.0, weather + 0.1) * (1 - 0.7 * cloud))


def _hvac(seed: int, t: float, hour: float, at_work: float) -> float:
    wish = 3.0 + 20.0 * at_work * (0.6 + 0.4 * math.exp(-(((hour - 15.0) / 4.0) ** 2)))
    # Two compressors: each is on or off for minutes at a time, the second only when there is much to do.
    first = 0.10 + 0.45 * (noise(seed, "compressor1", t, 420) + 0.6 > 0)
    second = 0.45 * (noise(seed, "compressor2", t, 300) + at_work > _BUSY)
    return wish * (first + second) * (1 + 0.03 * noise(seed, "hvac", t, 10))


def _split(power: complex, name: str, seed: int, t: float, *, spread: float = 0.05) -> PhasePowers:
    """A power over the phases, a little unbalanced and never the same twice."""
    raw = [
        share * (1 + spread * noise(seed, f"{name}/{phase}", t, 90))
        for phase, share in enumerate(_SHARES[name])
    ]
    whole = sum(raw)
    one, two, three = (power * part / whole for part in raw)
    return (one, two, three)


def _sum(powers: list[PhasePowers]) -> PhasePowers:
    one, two, three = (sum((power[phase] for power in powers), 0j) for phase in range(3))
    return (one, two, three)


def _scaled(power: PhasePowers, share: float) -> PhasePowers:
    one, two, three = power
    return (one * share, two * share, three * share)


@cache
def _share(seed: int, floor: int) -> float:
    """A floor's part of the sockets; all floors together make the whole."""
    raw = [0.3 + _draw(seed, "floor", number) for number in range(1, FLOORS + 1)]
    return raw[floor - 1] / sum(raw)


def _hours(seed: int) -> float:
    """How long the meters have hung there."""
    return _YEAR * (1 + 2 * _draw(seed, "years", 0))


@cache
def _lifetime(seed: int, name: str) -> tuple[float, complex]:
    """What has flowed through a circuit's meter so far: kWh given, and kWh drawn + j kvarh of its usual kind
    (negative: capacitive).

    The sub-meters hang there for one to three years, the main meter for a year longer: its register is above
    the sum of theirs, although it did not see what the building used of its PV.
    """
    hours = _hours(seed)
    if name.startswith("floor-"):
        return 0.0, _lifetime(seed, "sockets")[1] * _share(seed, int(name.removeprefix("floor-")))
    if name != "main":
        size = hours * (0.9 + 0.2 * _draw(seed, f"{name}/registers", 0))
        if name == "pv":
            return _MEAN_YIELD * size, complex(0.003, 0.04) * _MEAN_YIELD * size
        if name == "compensation":
            return 0.0, complex(0.004, -1) * _MEAN_BANK * size
        return 0.0, complex(1, _TANGENT[name]) * _MEAN[name] * size
    parts = sum(_lifetime(seed, each)[1] for each in SUBMETERS if each != "pv")
    solar = _lifetime(seed, "pv")[0]
    before = sum(_MEAN.values()) * _YEAR
    drawn = (1 + _UNMETERED) * parts.real + before - (1 - _SOLD) * solar
    return _SOLD * solar, complex(drawn, max(parts.imag, 0.05 * drawn))


def _past(given: float, drawn: complex, *, phases: int) -> dict[str, float]:
    """Registers of a meter that has hung there for years: totals that agree with their phases and tariffs."""
    past: dict[str, float] = {}
    reactive = drawn.imag
    # A little of the other kind is in every register: capacitive at night, inductive when motors start.
    inductive, capacitive = max(reactive, 0.05 * abs(reactive)), max(-reactive, 0.05 * abs(reactive))
    sizes = {
        "active_energy_import": drawn.real,
        "active_energy_export": given,
        "reactive_energy_import": inductive,
    }
    sizes |= {
        "reactive_energy_export": capacitive,
        "apparent_energy": abs(complex(drawn.real + given, inductive + capacitive)),
    }
    for name, size in sizes.items():
        past[name] = size
        for phase in range(1, 4):
            past[f"{name}_l{phase}"] = size / phases if phase <= phases else 0.0
        for tariff, share in ((1, 0.55), (2, 0.25), (3, 0.2)):
            past[f"{name}_t{tariff}"] = size * share
    past["reactive_energy_q1"], past["reactive_energy_q4"] = inductive, capacitive
    return past


def _local(t: float) -> tuple[float, int]:
    """Local hour 0 to 24 and weekday, Monday 0."""
    local = t + _UTC_OFFSET
    return local % _DAY / 3600, (int(local // _DAY) + 3) % 7


def tariff(t: float) -> int:
    """1 day, 2 peak, 3 night: the three tariff times of Turkish customers."""
    hour, _ = _local(t)
    return next(
        number for number, first, last in ((1, 6, 17), (2, 17, 22), (3, 0, 24)) if first <= hour < last
    )


@lru_cache(maxsize=8192)
def _draw(seed: int, name: str, knot: int) -> float:
    return random.Random(f"{seed}/{name}/{knot}").random()  # noqa: S311 - repeatable weather


def noise(seed: int, name: str, t: float, period: float) -> float:
    """A smooth course between -1 and 1 that changes its mind every `period` seconds."""
    knot, part = divmod(t / period, 1.0)
    ease = part * part * (3 - 2 * part)
    before, after = _draw(seed, name, int(knot)), _draw(seed, name, int(knot) + 1)
    return 2 * (before + (after - before) * ease) - 1
