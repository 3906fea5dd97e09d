"""Readings from a seed: the same batch of the same gateway has the same bytes whenever it is asked for, so
nothing must be kept, and a judge can say what the platform must hold.
"""

from __future__ import annotations

import random
from functools import lru_cache
from hashlib import blake2b

from gateway import __version__
from gateway.demo.fleet.plan import FleetPlan
from gateway.model import QUANTITIES, Event, Reading, Sealed
from gateway.wire import Batch, compress, encode

SHAPES = 256
"""Sets of gauges that all meters take in turns, each beginning at another one."""
COUNTERS = 8
"""Of the values of a meter, at most."""
_LEVELS = {"V": (225.0, 240.0), "A": (0.2, 80.0), "Hz": (49.95, 50.05), "%": (0.5, 8.0), "": (0.7, 1.0)}
"""What a gauge shows, by its unit; else what a power has."""
_POWER = (-2.0, 60.0)
BOOTED = 60_000
"""ms of uptime at the number 0."""
POLL = 90
"""ms between the polls of two meters."""


def quantities(count: int) -> tuple[list[str], list[str]]:
    """(gauges, counters): the first of the vocabulary, `count` in all."""
    gauges = [name for name, word in QUANTITIES.items() if word.kind == "gauge"]
    counters = [name for name, word in QUANTITIES.items() if word.kind == "counter"]
    some = counters[: max(1, min(COUNTERS, count // 4))]
    return gauges[: count - len(some)], some


@lru_cache(maxsize=4)
def _shapes(seed: int, count: int) -> list[dict[str, float]]:
    chance = random.Random(seed)  # noqa: S311 - a simulation
    names, _ = quantities(count)
    spans = {name: _LEVELS.get(QUANTITIES[name].unit, _POWER) for name in names}
    return [
        {name: round(chance.uniform(*span), 3 if span is _POWER else 2) for name, span in spans.items()}
        for _ in range(SHAPES)
    ]


class SeededReadings:
    """What one gateway reads. `origin`: UTC in ms of its number 0."""

    def __init__(self, plan: FleetPlan, number: int, origin: int) -> None:
        self.gateway = plan.name(number)
        self._plan = plan
        self._origin = origin
        self._interval = round(1000 * plan.interval)
        self._shapes = _shapes(plan.seed, plan.values)
        self._counters = quantities(plan.values)[1]
        chance = random.Random(f"{plan.seed} {self.gateway}")  # noqa: S311 - a simulation
        self._begins = [chance.randrange(SHAPES) for _ in range(plan.meters)]
        self._stands = [round(chance.uniform(100, 90_000), 2) for _ in range(plan.meters)]
        self._steps = [round(chance.uniform(0.01, 0.2), 2) for _ in range(plan.meters)]
        mark = f"{plan.seed} {self.gateway} {origin}".encode()
        self.first_epoch = blake2b(mark, digest_size=8).hexdigest()
        """Another one in each run: a platform that has seen this fleet before must not take it for that."""

    def time(self, seq: int) -> int:
        """UTC in ms of a batch."""
        return self._origin + seq * self._interval

    def values(self, meter: int, seq: int) -> dict[str, float]:
        """What one meter shows."""
        stand, step = self._stands[meter], self._steps[meter]
        counted = {
            name: round(stand * (index + 1) + step * seq, 2) for index, name in enumerate(self._counters)
        }
        return self._shapes[(self._begins[meter] + 17 * seq) % SHAPES] | counted

    def plain(self, epoch: str, seq: int, opens: bool) -> bytes:
        """The JSON of a batch; `opens`: it is the first of its epoch."""
        uptime = BOOTED + seq * self._interval
        readings = [
            Reading(f"m{meter + 1:02}", uptime + POLL * meter, self.values(meter, seq))
            for meter in range(self._plan.meters)
        ]
        began = {"epoch": epoch, "first": seq, "previous": None, "last": 0, "reason": "new_file"}
        events = [Event("epoch_started", uptime, began)] if opens else []
        return encode(Batch(self.gateway, epoch, seq, self.time(seq), uptime, "synced", readings, events))

    def sealed(self, epoch: str, seq: int, opens: bool) -> Sealed:
        """A batch as a journal would hold it."""
        plan = self._plan
        return Sealed(
            epoch,
            seq,
            "fleet",
            self.time(seq),
            BOOTED + seq * self._interval,
            "synced",
            plan.meters,
            plan.meters * plan.values,
            False,
            compress(self.plain(epoch, seq, opens)),
        )


@lru_cache(maxsize=4)
def _driver(count: int) -> dict[str, object]:
    gauges, counters = quantities(count)
    words = {
        name: {"unit": QUANTITIES[name].unit, "kind": QUANTITIES[name].kind} for name in [*gauges, *counters]
    }
    about = {"maker": "Submeter", "model": "fleet", "version": __version__, "verified": "simulated"}
    return {**about, "quantities": words}


def description(plan: FleetPlan, number: int) -> dict[str, object]:
    """P/meters of a gateway."""
    gateway = plan.name(number)
    meters = [
        {"id": f"m{meter + 1:02}", "driver": "fleet", "interval": plan.interval}
        for meter in range(plan.meters)
    ]
    about = {"gateway": gateway, "name": gateway, "timezone": "Europe/Istanbul", "version": __version__}
    return {**about, "drivers": {"fleet": _driver(plan.values)}, "meters": meters}
