"""What a meter has given since its table or its place last changed outlives a restart."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.catalogue import load_driver
from gateway.config import Config
from gateway.daemon.assembly import Assembly
from gateway.daemon.views import Moment, meter_views
from gateway.field import LEARNT_FILE, Learnt
from gateway.host import Clock
from gateway.journal import Journal
from gateway.model import Event, Reading
from gateway.status.verdict import _meter

DRIVER = "eastron-sdm120"
GIVEN = {
    "active_power": 1.0,
    "active_energy_import": 5.0,
    "frequency": 50.0,
    "voltage_l1n": 230.0,
    "current_l1": 5.0,
    "power_factor": 1.0,
}


def configured(**meter) -> Config:
    meter = {"id": "m", "bus": "line", "address": 1, "driver": DRIVER, "interval": "1s"} | meter
    bus = {"name": "line", "type": "tcp", "host": "127.0.0.1"}
    return Config.model_validate({"gateway": {"id": "g"}, "buses": [bus], "meters": [meter]})


class House:
    """Gateways that follow each other on one state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.journal = Journal.open(directory, gateway="g", clock=self.clock, uplinks=[])
        self.learnt = Learnt(directory / LEARNT_FILE)
        self.assembly: Assembly

    async def start(self, config: Config | None = None, driver: str = DRIVER) -> None:
        await self.learnt.save()
        self.learnt = Learnt(self.directory / LEARNT_FILE)
        config = config or configured()
        drivers = {config.meters[0].driver: load_driver(driver)}
        self.assembly = Assembly(config, drivers, self.journal, self.clock, learnt=self.learnt)

    def read(self, values: dict[str, float], absent: dict[str, str] | None = None) -> None:
        self.assembly._read(Reading("m", self.clock.uptime(), dict(values), dict(absent or {})))

    def causes(self) -> dict[str, tuple[str, ...]]:
        health = {name: worker.health() for name, worker in self.assembly.workers.items()}
        (view,) = meter_views(self.assembly, health, Moment(self.clock))
        now = SimpleNamespace(buses=())  # a meter that answers is judged by its own values alone
        return {finding.cause: finding.details for finding in _meter(view, now)}


@pytest.fixture
async def house(tmp_path: Path):
    made = House(tmp_path)
    await made.start()
    yield made
    await made.journal.close()


REFUSED = (
    {name: value for name, value in GIVEN.items() if name != "frequency"},
    {"frequency": "exception_2"},
)


async def test_what_it_gave_before_a_restart_is_missing_when_it_refuses_it(house) -> None:
    house.read(GIVEN)
    await house.start()
    house.read(*REFUSED)
    assert house.causes() == {"values_missing": ("frequency",)}


async def test_what_it_never_gave_is_only_told(house) -> None:
    house.read(*REFUSED)
    await house.start()
    house.read(*REFUSED)
    assert house.causes()["values_refused"] == ("frequency",)


async def test_what_comes_for_the_first_time_counts_from_then_on(house) -> None:
    house.read(*REFUSED)
    house.read(GIVEN)
    await house.start()
    house.read(*REFUSED)
    assert house.causes() == {"values_missing": ("frequency",)}


@pytest.mark.parametrize(
    ("change", "driver"),
    [({"address": 2}, DRIVER), ({"driver": "eastron-sdm230"}, "eastron-sdm230"), ({}, "eastron-sdm230")],
    ids=["address", "driver", "another table of the same name"],
)
async def test_another_place_or_table_starts_anew(house, change, driver) -> None:
    house.read(GIVEN)
    await house.start(configured(**change), driver)
    house.read(*REFUSED)
    assert "values_missing" not in house.causes()


async def test_another_meter_in_its_place_starts_anew(house) -> None:
    house.read(GIVEN)
    house.assembly._tell(Event("meter_changed", 0, {"meter": "m", "old": "1", "new": "2"}))
    await house.start()
    house.read(*REFUSED)
    assert "values_missing" not in house.causes()


@pytest.mark.parametrize("bad", ['["x y"]', "[]", "7", '[["a"]]', '["a", null]'])
async def test_a_file_that_holds_nonsense_costs_only_what_was_known(house, bad) -> None:
    house.read(GIVEN)
    await house.learnt.save()
    file = house.directory / LEARNT_FILE
    body = json.loads(file.read_text())
    for facts in body["facts"].values():
        if "given" in facts:
            facts["given"]["value"] = json.loads(bad)
    file.write_text(json.dumps(body))
    await house.start()
    house.read(*REFUSED)
    assert "values_missing" not in house.causes()
