"""Money: by the prices that hold on each day, of building and meter; none where a price is missing."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import date
from functools import partial

import pytest
from energy_building import RULES, ZONE, energy_history, facts, make_history
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.config.rules import load_rules
from gateway.energy import Calendar, DatedRules
from gateway.history import HistoryReader
from gateway.status.energy.figures import Figures

OLD, NEW = {"t1": 4.0, "t2": 6.0, "t3": 2.0}, {"t1": 5.0, "t2": 8.0, "t3": 2.5}
ROW = """    - valid_from: {day}
      bands: {{t1: 06-17, t2: 17-22, t3: 22-06}}
      prices: {{currency: TRY, t1: {t1}, t2: {t2}{t3}}}
      source: "{source}"
"""


def rules(folder, *, whole: bool = True) -> DatedRules:
    """New prices from 11 October on; unless `whole` these lack one of their bands."""
    new = ROW.format(
        day="2026-10-11", **{**NEW, "t3": f", t3: {NEW['t3']}" if whole else ""}, source="Board, October"
    )
    old = ROW.format(day="2026-01-01", **{**OLD, "t3": f", t3: {OLD['t3']}"}, source="Board, January")
    lines = RULES.read_text(encoding="utf-8").split("tariffs:\n  tr-three-time:\n")
    path = folder / "tr.yaml"
    path.write_text(f"{lines[0]}tariffs:\n  tr-three-time:\n{old}{new}{lines[1]}", encoding="utf-8")
    return DatedRules(load_rules(path))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, 70)
    return path


async def facts_of(directory, address: str, **more) -> str:
    building = Building(CALM)
    building.history = energy_history(directory, **more)
    async with client(building) as http:
        return Page((await http.get(f"{address}&lang=en")).text).text


def expected(directory, meter: str) -> float:
    """October quarter hour by quarter hour."""
    with closing(HistoryReader(directory)) as reader:
        figures = Figures(facts(), reader, Calendar(ZONE), NOW)
        first, last = date(2026, 10, 1), date(2026, 10, 31)
        days = figures.of(meter, first, last) if meter else figures.drawn(first, last)
        money = 0.0
        for day, values in days.items():
            prices = NEW if day >= date(2026, 10, 11) else OLD
            for slot, wh in enumerate(values):
                band = "t1" if 24 <= slot < 68 else "t2" if 68 <= slot < 88 else "t3"
                money += (wh or 0) / 1000 * prices[band]
    return money


@pytest.mark.parametrize("meter", ["", "heat"])
async def test_a_month_costs_what_each_of_its_days_did(directory, tmp_path, meter) -> None:
    which = f"&meter={meter}" if meter else ""
    text = await facts_of(directory, f"/energy?month=2026-10{which}", rules=rules(tmp_path))
    cost = re.search(r"Cost ([\d,]+) TRY Board, January; Board, October", text)
    assert cost, text
    assert int(cost[1].replace(",", "")) == round(expected(directory, meter))


async def test_a_plant_costs_nothing_and_without_prices_there_is_no_money(directory, tmp_path) -> None:
    page = partial(facts_of, directory)
    assert "Cost" not in await page("/energy?month=2026-10&meter=pv", rules=rules(tmp_path))
    assert "Cost" not in await page("/energy?month=2026-10")


@pytest.mark.parametrize(("day", "shown"), [("2026-10-05", True), ("2026-10-20", False)])
async def test_where_a_band_has_no_price_no_money_is_shown(directory, tmp_path, day, shown) -> None:
    lacking = rules(tmp_path, whole=False)
    assert ("Cost" in await facts_of(directory, f"/energy?day={day}", rules=lacking)) is shown
    assert "Cost" not in await facts_of(directory, "/energy?month=2026-10", rules=lacking)
