"""No figure is finer than the step of its register, and a peak that was not measured says so."""

from __future__ import annotations

import csv
import json
import re
from datetime import date

import pytest
from energy_building import ZONE, energy_history, make_history
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import History

IMPORT = ("main", "active_energy_import")
COARSE = "a register counts in steps of 10 kWh"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, 40)
    return path


def with_steps(directory, steps: dict[str, dict[str, int]]) -> Building:
    history = History(directory, Calendar(ZONE))
    history.save(steps=json.dumps(steps).encode())
    history.close()
    building = Building(CALM)
    building.history = energy_history(directory, contract_kw=12.0)
    return building


async def texts(building: Building, *addresses: str) -> list[str]:
    async with client(building) as browser:
        return [Page((await browser.get(each)).text).text for each in addresses]


async def test_a_quarter_hour_of_a_coarse_register_tells_no_power(directory) -> None:
    addresses = ("/energy?month=2026-11&lang=en", "/?lang=en", "/report/2026-11?lang=en")
    fine = await texts(with_steps(directory, {}), *addresses)
    coarse = await texts(with_steps(directory, {"main": {"active_energy_import": 10_000}}), *addresses)
    for page, had in zip(coarse, fine, strict=True):
        assert re.search(r"Peak|Highest, kW", had)
        assert not re.search(r"Peak (≥ )?\d|Base load \d|Highest, kW on .*\d\d:\d\d", page)
    assert COARSE in coarse[0]
    assert COARSE in coarse[2]
    assert "contracted power of" in fine[1]
    assert "contracted power of" not in coarse[1]
    assert not any(COARSE in page for page in fine)
    # What it took is told all the same.
    amount = re.search(r"November 2026: ([\d,]+ kWh)", fine[0])
    assert amount
    assert amount[0] in coarse[0]
    async with client(with_steps(directory, {"main": {"active_energy_import": 10_000}})) as browser:
        report = (await browser.get("/api/v1/report?month=2026-11")).json()
    assert {line["peak"] for line in report["lines"]} == {None}


async def test_the_step_of_one_meter_says_nothing_of_another(directory) -> None:
    building = with_steps(directory, {"kitchen": {"active_energy_import": 2_500}})
    kitchen, heat, whole = await texts(
        building,
        "/energy?month=2026-11&meter=kitchen&lang=en",
        "/energy?month=2026-11&meter=heat&lang=en",
        "/energy?month=2026-11&lang=en",
    )
    assert "a register counts in steps of 2.5 kWh" in kitchen
    assert not re.search(r"Peak \d|Base load \d", kitchen)
    for page in (heat, whole):
        assert "in steps of" not in page
        assert re.search(r"Peak \d", page)


@pytest.mark.parametrize("register", [("main", "active_energy_export"), ("pv", "active_energy_export")])
async def test_what_is_seldom_fed_in_or_drawn_by_a_plant_hides_no_peak(directory, register) -> None:
    meter, quantity = register
    building = with_steps(directory, {meter: {quantity: 10}})
    energy, home = await texts(building, "/energy?month=2026-11&lang=en", "/?lang=en")
    assert re.search(r"Peak \d", energy)
    assert "Base load" in energy
    assert "in steps of" not in energy
    assert "contracted power of" in home


async def test_steps_are_told_in_turkish_too(directory) -> None:
    (page,) = await texts(
        with_steps(directory, {"main": {"active_energy_import": 2_500}}), "/energy?month=2026-11&lang=tr"
    )
    assert "bir endeks 2,5 kWh adımlarla sayıyor" in page


@pytest.mark.parametrize(
    ("letter", "words"),
    [("m", ""), ("s", "is suspect"), ("e", "is estimated"), ("d", "was edited by a person")],
)
async def test_a_peak_says_how_it_was_measured(tmp_path, letter, words) -> None:
    make_history(tmp_path, NOW, 20)
    history = History(tmp_path, Calendar(ZONE))
    start = history.calendar.quarters(date(2026, 11, 19))[40]
    key, row, index = history.place(IMPORT, start, make=False)
    row.put(index, 90_000, letter, corrected=True)
    history.touched(key, row)
    history.save()
    history.close()
    building = Building(CALM)
    building.history = energy_history(tmp_path)
    energy, home, report = await texts(
        building, "/energy?month=2026-11&lang=en", "/?lang=en", "/report/2026-11?lang=en"
    )
    assert "Thursday 19 November 10:00" in energy
    for page in (energy, home, report):
        assert ("this quarter hour " in page) == bool(words)
        assert words in page
    assert ("19 Nov 10:00 *" in report) == bool(words)
    assert ("*: this quarter hour was not measured" in report) == bool(words)
    async with client(building) as browser:
        lines = (await browser.get("/api/v1/report?month=2026-11")).json()["lines"]
        file = (await browser.get("/api/v1/report?month=2026-11&format=csv&lang=en")).text.splitlines()
    (line,) = [each for each in lines if each["from"] == "2026-11-19"]
    assert line["peak"] == {"start": start, "power": 360_000, "quality": letter}
    place = next(csv.reader(file)).index("Quality of the highest")
    (row,) = [each for each in csv.reader(file) if each[0] == "2026-11-19"]
    assert row[place] == (words.removeprefix("is ").removeprefix("was ") or "measured")
