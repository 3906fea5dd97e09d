"""Degree days: shown where a file gives temperatures, and nothing where none does."""

import re
from contextlib import closing
from datetime import date, timedelta

import pytest
from energy_building import ZONE, energy_history, facts, make_history
from status_building import CALM, NOW, Building
from test_status_page import client

from gateway.energy import Calendar
from gateway.history import HistoryReader
from gateway.status.energy.figures import Figures, degree_days

TODAY = date(2026, 11, 21)
FIRST = date(2026, 11, 1)
COLD = {FIRST + timedelta(number): 8.0 + number % 4 for number in range(30)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("degrees")
    make_history(path, NOW, 70)
    return path


def pages(directory, temperatures) -> Building:
    building = Building(CALM)
    building.history = energy_history(directory, temperatures=temperatures)
    return building


def figures_with(directory, temperatures):
    reader = HistoryReader(directory)
    return reader, Figures(facts(temperatures=temperatures), reader, Calendar(ZONE), NOW)


def test_the_energy_is_that_of_the_days_with_a_temperature(directory) -> None:
    reader, figures = figures_with(directory, COLD)
    with closing(reader):
        (heating,) = degree_days(figures, FIRST, date(2026, 11, 30))
        days = [FIRST + timedelta(number) for number in range(20)]
        assert heating.degrees == pytest.approx(sum(18 - COLD[day] for day in days))
        assert heating.energy == figures.total(figures.used(days[0], days[-1]))
        assert (heating.days, heating.whole) == (20, 20), "today is not over"
        assert heating.each == pytest.approx(heating.energy / 1000 / heating.degrees)


@pytest.mark.parametrize(
    ("temperatures", "kinds"),
    [
        ({}, []),
        (dict.fromkeys(COLD, 17.0), []),
        (dict.fromkeys(COLD, 26.0), ["cooling"]),
        ({FIRST: 5.0, FIRST + timedelta(1): 30.0}, ["heating", "cooling"]),
        ({date(2024, 1, 1): 5.0}, []),
    ],
    ids=["no file", "mild", "hot", "both", "other days"],
)
def test_what_comes_to_nothing_is_not_there(directory, temperatures, kinds) -> None:
    reader, figures = figures_with(directory, temperatures)
    with closing(reader):
        assert [each.kind for each in degree_days(figures, FIRST, TODAY)] == kinds


async def test_energy_and_report_show_it_with_its_source(directory) -> None:
    half = {day: mean for day, mean in COLD.items() if day.day <= 12}
    async with client(pages(directory, half)) as http:
        energy = (await http.get("/energy?month=2026-11&lang=en")).text
        report = (await http.get("/report/2026?lang=en")).text
        turkish = (await http.get("/energy?month=2026-11&lang=tr")).text
        one_meter = (await http.get("/energy?month=2026-11&meter=heat&lang=en")).text
    assert "Per heating degree day" in energy
    assert re.search(r"degree days \(base 18 °C, days up to 15 °C: MGM", energy)
    assert "12 days of 20 are known as a whole and have a temperature" in energy
    assert "cooling degree day" not in energy
    assert "Energy beside the weather" in report
    assert "Per heating degree day" in report
    assert "derece" in turkish
    assert "degree day" not in one_meter, "it is said of the building alone"


async def test_without_a_file_nothing_is_said(directory) -> None:
    async with client(pages(directory, {})) as http:
        for page in ("/energy?month=2026-11&lang=en", "/report/2026?lang=en"):
            assert "degree day" not in (await http.get(page)).text
