"""Each epoch explains itself: it holds the description of every meter and table, however it began."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import wire
from gateway.catalogue import load_driver
from gateway.config import Config
from gateway.daemon.assembly import Assembly
from gateway.host.clock import Clock
from gateway.journal import Journal
from gateway.model import Reading

DRIVER = "eastron-sdm120"
CONFIG = {
    "gateway": {"id": "bench-1"},
    "buses": [{"name": "line", "type": "tcp", "host": "127.0.0.1"}],
    "meters": [
        {"id": f"m{n}", "bus": "line", "address": n, "driver": DRIVER, "interval": "1s"} for n in (1, 2)
    ],
}


@pytest.fixture
async def assembly(tmp_path: Path):
    config = Config.model_validate(CONFIG)
    clock = Clock()
    journal = Journal.open(tmp_path, gateway="bench-1", clock=clock, uplinks=["city"])
    made = Assembly(config, {DRIVER: load_driver(DRIVER)}, journal, clock)
    made.journal = journal
    yield made
    await journal.close()


async def batches(assembly, count: int) -> None:
    for number in range(count):
        assembly.slots.add(Reading("m1", assembly._clock.uptime(), {"active_power": float(number)}))
        assert await assembly.slots.flush() is None


async def told(assembly) -> dict[str, list[list[str]]]:
    """What each batch of each epoch says about meters and tables."""
    found: dict[str, list[list[str]]] = {}
    for sealed in await assembly.journal.unsettled("city", limit=500):
        events = wire.decode(sealed.body).events
        found.setdefault(sealed.epoch, []).append(
            [
                str(e.fields.get("meter") or e.fields["driver"])
                for e in events
                if e.kind in {"meter", "driver"}
            ]
        )
    return found


EVERYTHING = [DRIVER, "m1", "m2", "gateway"]


async def test_the_meters_are_described_once_in_an_epoch(assembly) -> None:
    assembly.describe(everything=True)
    await batches(assembly, 3)
    (said,) = (await told(assembly)).values()
    assert said == [EVERYTHING, [], []]


@pytest.mark.parametrize("reason", ["conflict", "damage"])
async def test_an_epoch_that_begins_between_two_commits_describes_them_again(assembly, reason: str) -> None:
    assembly.describe(everything=True)
    await batches(assembly, 2)
    first = assembly.journal.epoch
    await assembly.journal.new_epoch(reason)
    assert assembly.journal.epoch != first
    await batches(assembly, 3)
    said = await told(assembly)
    assert said.pop(first) == [EVERYTHING, []]
    (second,) = said.values()
    assert [name for part in second for name in part] == EVERYTHING, "once more, and once only"


async def test_a_new_description_of_one_meter_is_told_alone(assembly) -> None:
    assembly.describe(everything=True)
    await batches(assembly, 1)
    assembly.description._attributes = lambda meter: {"serial_number": "7"} if meter == "m2" else {}
    assembly.describe()
    await batches(assembly, 2)
    (said,) = (await told(assembly)).values()
    assert said == [EVERYTHING, ["m2"], []]
