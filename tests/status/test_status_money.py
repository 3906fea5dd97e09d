"""Money by the prices that hold on each day, of building and meter, none where a price is missing; CO2 by the
factors that hold on each day.
"""

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


CO2 = """co2:
  - {{valid_from: {first}, scope: consumption, value: 0.4, source: "Ministry, old"}}
  - {{valid_from: 2026-10-11, scope: consumption, value: 0.8, source: "Ministry, new"}}
"""


def factors(folder, first: str = "2026-01-01") -> DatedRules:
    """A new factor from 11 October on; the old one from `first`."""
    lines = RULES.read_text(encoding="utf-8").splitlines(keepends=True)
    begin = lines.index("co2:\n")
    end = next(n for n in range(begin + 1, len(lines)) if lines[n][0] not in " #\n")
    path = folder / "tr.yaml"
    text = "".join([*lines[:begin], CO2.format(first=first), *lines[end:]])
    path.write_text(text, encoding="utf-8")
    return DatedRules(load_rules(path))


def drawn_tonnes(directory) -> float:
    with closing(HistoryReader(directory)) as reader:
        days = Figures(facts(), reader, Calendar(ZONE), NOW).drawn(date(2026, 10, 1), date(2026, 10, 31))
    by_factor = {0.4: 0, 0.8: 0}
    for day, values in days.items():
        by_factor[0.8 if day >= date(2026, 10, 11) else 0.4] += sum(value or 0 for value in values)
    return sum(factor * wh / 1e6 for factor, wh in by_factor.items())


async def test_each_part_of_a_range_has_its_own_factor_of_co2(directory, tmp_path) -> None:
    tonnes = drawn_tonnes(directory)
    made = factors(tmp_path)
    text = await facts_of(directory, "/energy?month=2026-10", rules=made)
    assert re.search(rf"CO₂ {tonnes:.1f} t Ministry, old; Ministry, new", text), (tonnes, text)
    report = await facts_of(directory, "/report/2026-10?print=1", rules=made)
    assert f"{tonnes:.1f} t CO₂ (0.400, 0.800 t/MWh)" in report, (tonnes, report)


async def test_there_is_no_co2_of_a_range_of_which_a_day_has_no_factor(directory, tmp_path) -> None:
    text = await facts_of(directory, "/energy?month=2026-10", rules=factors(tmp_path, "2026-10-05"))
    assert "CO₂" not in text
    text = await facts_of(directory, "/energy?day=2026-10-06", rules=factors(tmp_path, "2026-10-05"))
    assert "Ministry, old" in text
