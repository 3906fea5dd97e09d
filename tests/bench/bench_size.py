"""Bytes per value: on the wire and in the journal's file, for noisy meters and for the demo's building;
beside it plain JSON.

The bars are judged on the hardest data: meters whose loads wander independently, with Gaussian noise of its
own on every voltage, current, power, power factor and frequency at each reading, rounded as the SDM630's
table does. A real building is easier: the demo's is given beside it.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gateway.catalogue import load_driver
from gateway.catalogue.encode import build
from gateway.demo.simulator.building import SUBMETERS, Building
from gateway.field.meter.decode import Replies, decode
from gateway.field.port.contract import registers_of
from gateway.journal import Journal
from gateway.model import Draft, Reading, Sealed
from gateway.wire import decompress
from tests.bench.figures import Figure, at_most, plain
from tests.journal.journal_data import Building as Noise
from tests.journal.journal_data import HandClock
from tests.rig import DRIVERS

BATCHES = 2000
SLOT = 10_000
START = 1_795_507_200
"""A working day, eleven o'clock in Turkey: everything runs, the sun shines."""


def noisy(meters: int) -> Iterator[Draft]:
    """A slot after the other of meters with noise on every value; currents and power factors get the
    table's third decimal.
    """
    source, rng = Noise(meters, seed=5), random.Random(6)
    uptime = 0
    while True:
        uptime += SLOT
        draft = source.draft(uptime)
        for reading in draft.readings:
            for name, value in reading.values.items():
                if name.startswith(("current", "power_factor")):
                    reading.values[name] = round(value + rng.uniform(-0.005, 0.005), 3)
        yield draft


def building(meters: int) -> Iterator[Draft]:
    """The same of the demo's building, through an SDM630's registers: float32, rounded as its table says."""
    rows = load_driver("bench-sdm630", DRIVERS).rows
    end = max(span.end for row in rows for span in row.spans)
    circuits = ["main", *SUBMETERS, *(f"floor-{n}" for n in range(1, 65))][:meters]
    house = Building(1, start=START)
    uptime = 0
    while True:
        uptime += SLOT
        readings = []
        for place, circuit in enumerate(circuits):
            words = build(rows, house.values(circuit, START + uptime / 1000))
            image = Replies()
            image.add(4, 0, registers_of(words.get((4, at), 0) for at in range(end)))
            readings.append(Reading(f"meter-{place:02}", uptime + 170 * place, decode(rows, image).values))
        yield Draft(readings)


async def _measure(drafts: Iterator[Draft], count: int) -> tuple[list[Sealed], float]:
    """The batches, and the bytes that each value costs in the closed file."""
    with tempfile.TemporaryDirectory() as name:
        clock = HandClock()
        journal = Journal.open(name, gateway="izm-konak-017", clock=clock, uplinks=["city"])
        taken: list[Sealed] = []
        for _ in range(count):
            clock.now += SLOT
            taken += await journal.commit(next(drafts))
        await journal.close()
        size = (Path(name) / "journal.db").stat().st_size
    return taken, size / sum(sealed.values for sealed in taken)


def _wire(taken: list[Sealed]) -> float:
    return sum(len(sealed.body) for sealed in taken) / sum(sealed.values for sealed in taken)


def _json(taken: list[Sealed]) -> float:
    some = taken[:100]
    return sum(len(decompress(sealed.body)) for sealed in some) / sum(sealed.values for sealed in some)


def run() -> list[Figure]:
    """Ten and sixty meters, noisy; the building for comparison."""
    ten, ten_file = asyncio.run(_measure(noisy(10), BATCHES))
    sixty, _ = asyncio.run(_measure(noisy(60), BATCHES // 5))
    house, house_file = asyncio.run(_measure(building(10), BATCHES // 4))
    many, _ = asyncio.run(_measure(building(60), BATCHES // 20))
    note = "noise on every value"
    return [
        at_most("on the wire, 10 meters × 34 values", _wire(ten), "bytes / value", 4.6, note),
        at_most("on the wire, 60 meters × 34 values", _wire(sixty), "bytes / value", 3.4, note),
        at_most(
            "in the journal's file, 10 meters × 34 values",
            ten_file,
            "bytes / value",
            6.3,
            f"{note}; {BATCHES} batches",
        ),
        plain("on the wire, 10 meters of the demo's building", _wire(house), "bytes / value"),
        plain("on the wire, 60 meters of the demo's building", _wire(many), "bytes / value"),
        plain("in the journal's file, 10 meters of the demo's building", house_file, "bytes / value"),
        plain(
            "the noisy batches as plain JSON, 10 meters",
            _json(ten),
            "bytes / value",
            "what compress: false sends",
        ),
    ]
