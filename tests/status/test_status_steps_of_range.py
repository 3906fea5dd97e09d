"""What a range is cut into: a few days by hour, years by year, each bar beside its like."""

from __future__ import annotations

import csv
import io
import re
from contextlib import closing
from dataclasses import replace
from datetime import date

import pytest
from energy_building import ZONE, energy_history
from long_history import shape, write_years
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import HistoryReader
from gateway.status.energy.bars import bars_of, bars_of_meter, main_picture
from gateway.status.energy.facts import EnergyMeter
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import parse, year_before
from gateway.status.words.language import Locale

TODAY = date(2026, 11, 21)
METERS = (EnergyMeter("main", "Ana sayaç"), EnergyMeter("heat", "Isı", "main"))
YEARS = "from=2024-03-01&to=2026-11-21&by=year"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("history")
    registers = {("main", "active_energy_import"): shape(20.0, 0.2)}
    registers["heat", "active_energy_import"] = shape(8.0, 0.1)
    write_years(path, NOW, 1200, registers)
    return path


@pytest.fixture
def building(directory):
    building = Building(replace(CALM, screen=False))
    building.history = energy_history(directory, meters=METERS)
    return building


@pytest.fixture
def figures(directory):
    with closing(HistoryReader(directory)) as reader:
        yield Figures(energy_history(directory, meters=METERS).facts, reader, Calendar(ZONE), NOW)


def asked(text: str):
    return parse(dict(part.split("=") for part in text.split("&")), TODAY)


def test_years_add_up_to_their_days(figures) -> None:
    period = asked(YEARS)
    groups = bars_of_meter(figures, period, "")
    assert [key[0] for key in bars_of(period)] == [date(year, 1, 1) for year in (2024, 2025, 2026)]
    days = bars_of_meter(figures, replace(period, step="day"), "")
    for year in (2024, 2025, 2026):
        mine = [bar.total for (day, _), bar in days.items() if day.year == year]
        assert groups[date(year, 1, 1), 0].total == sum(mine) > 0


@pytest.mark.parametrize("step", ["year", "month"])
def test_a_bar_that_the_range_cuts_is_beside_the_same_part_of_the_year_before(figures, step) -> None:
    """From 10 March on: the bar of 2025 or of March is not held against a whole one."""
    period = asked(f"from=2025-03-10&to=2025-12-31&by={step}")
    table = main_picture(figures, period, "", Locale("en", "Europe/Istanbul", NOW)).table
    compared = float(table.rows[0][table.heads.index("Compared, kWh")].replace(",", ""))
    last = date(2024, 12, 31) if step == "year" else date(2024, 3, 31)
    sums = figures.series_sums("used", date(2024, 3, 10), last)
    assert compared == pytest.approx(sum(one.sum for one in sums.values()) / 1000, abs=1)


async def test_the_page_has_bars_by_year_and_a_way_to_them(building) -> None:
    async with client(building) as browser:
        page = Page((await browser.get(f"/energy?{YEARS}&lang=en")).text)
        text = page.text
        links = [attributes.get("href") or "" for tag, attributes in page.tags if tag == "a"]
        months = Page((await browser.get("/energy?from=2024-03-01&to=2026-11-21&lang=tr")).text)
    assert "kWh in a year" in text
    assert "the year before it" in text
    assert re.search(r"2024 [\d,.]+ ", text)
    assert any("from=2024-03-01" in href and "by=year" not in href for href in links)
    assert any("by=year" in (attributes.get("href") or "") for _, attributes in months.tags)


async def test_the_file_of_years_has_a_row_for_each(building) -> None:
    async with client(building) as browser:
        answer = await browser.get(f"/api/v1/energy?{YEARS}&meter=heat&format=csv&lang=en")
    rows = [*csv.reader(io.StringIO(answer.text.lstrip("\ufeff")))]
    assert [row[1] for row in rows[1:]] == ["2024", "2025", "2026"]


async def test_two_days_are_shown_by_the_hour_and_two_months_are_not(building) -> None:
    async with client(building) as browser:
        two = await browser.get("/energy?from=2026-11-19&to=2026-11-20&by=hour&lang=en")
        many = await browser.get("/energy?from=2026-09-01&to=2026-10-31&by=hour&lang=en")
        months = Page((await browser.get("/energy?from=2026-09-01&to=2026-10-31&lang=en")).text)
    assert two.status_code == 200
    assert "48 bars" in two.text
    assert many.status_code == 404
    assert "by=hour goes with at most 31 days" in many.text
    assert not any("by=hour" in (attributes.get("href") or "") for _, attributes in months.tags)


def test_29_february_has_the_28th_before_it() -> None:
    assert year_before(date(2028, 2, 29)) == date(2027, 2, 28)
    assert year_before(date(2028, 3, 1)) == date(2027, 3, 1)
