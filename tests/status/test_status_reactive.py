"""`/reactive` of any month that the history knows: what became of it, which of its days passed the limit, and
what it costs; its files of any range.
"""

from __future__ import annotations

import calendar
import csv
import io
import re
from copy import deepcopy
from datetime import date, timedelta

import pytest
from energy_building import METERS, RULES, ZONE, energy_history
from long_history import shape, write_years
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.config.rules import load_rules
from gateway.energy import Calendar, DatedRules
from gateway.history import History
from gateway.status.energy.facts import EnergyHistory

BREACHES = (date(2025, 3, 1), date(2025, 12, 1), date(2026, 9, 1))
"""Months with half as much inductive as active energy; NOW is 21 November 2026."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("months")
    days = (date(2026, 11, 21) - date(2025, 1, 1)).days
    write_years(path, NOW, days, registers(2.0))
    history = History(path, Calendar(ZONE))
    for first in BREACHES:
        for number in range(calendar.monthrange(first.year, first.month)[1]):
            for start in history.calendar.quarters(first + timedelta(number)):
                _, drawn, index = history.place(("main", "active_energy_import"), start, make=False)
                key, row, _ = history.place(("main", "reactive_energy_q1"), start, make=False)
                row.put(index, drawn.values[index] // 2, "m", corrected=True)
                history.touched(key, row)
        history.save()
    history.close()
    return path


def registers(inductive: float) -> dict[tuple[str, str], list[float]]:
    return {
        ("main", "active_energy_import"): shape(40.0, 0.2),
        ("main", "reactive_energy_q1"): shape(inductive, 0.2),
        ("main", "reactive_energy_q4"): shape(1.0, 0.2),
    }


def history(directory, **more) -> EnergyHistory:
    return energy_history(directory, meters=METERS[:1], **more)


async def get(directory, address: str, **more):
    building = Building(CALM)
    building.history = history(directory, **more)
    async with client(building) as http:
        return await http.get(address)


async def page(directory, address: str, **more) -> str:
    return Page((await get(directory, address, **more)).text).text


@pytest.mark.parametrize(
    ("month", "became", "words"),
    [
        ("2026-10", "kept", "October 2026 kept its limits"),
        ("2026-09", "open", "September 2026 passed a limit of reactive energy: inductive"),
        ("2025-12", "passed", "December 2025 passed a limit of reactive energy: inductive"),
        ("2025-03", "open", "March 2025 passed a limit of reactive energy: inductive"),
    ],
)
async def test_a_month_that_is_over_says_what_became_of_it(directory, month, became, words) -> None:
    shown = await page(directory, f"/reactive?month={month}&lang=en")
    assert words in shown
    assert "heading for" not in shown.lower()
    assert "mended until" not in shown
    own = re.split(r"\d months? before passed|All months before", shown)[0]
    assert ("Days above the limit (inductive)" in own) == (became != "kept")
    assert ("one breach a year may be disregarded" in own) == (became == "open")
    assert ("all of it is billed" in shown) == (became == "passed")
    body = (await get(directory, f"/api/v1/reactive?month={month}")).json()
    assert (body["from"][:7], body["became"]) == (month, became)
    assert [kind["recoverable_until"] for kind in body["kinds"]] == [None, None]


async def test_a_year_has_one_breach_that_may_be_disregarded_also_before_the_twelve_months(directory) -> None:
    """March's stands outside of the table, and takes December's place."""
    shown = await page(directory, "/reactive?month=2026-11&lang=en")
    rows = dict(re.findall(r"(\w+ 202\d) [≥\d,. ]+ [\d.,]+% [\d.,]+% 20% · 15% (passed[^0-9]*|kept)", shown))
    assert "December 2025" in shown
    assert shown.count("may be disregarded") == 2, f"September's, in the table and as evidence: {rows}"
    assert "passed: a charge" in shown


async def test_a_breach_that_is_forgiven_costs_nothing_and_one_too_many_does(directory) -> None:
    forgiven = ("2025-03", "2025-12")
    one = await page(directory, "/reactive?month=2025-03&lang=en", forgiven=forgiven)
    two = await page(directory, "/reactive?month=2025-12&lang=en", forgiven=forgiven)
    assert "disregarded, as the configuration says" in one
    assert "all of it is billed" not in one
    assert "all of it is billed" in two


async def test_what_a_month_was_billed_is_said_in_money_where_the_tariff_has_a_price(directory) -> None:
    rows = deepcopy(dict(load_rules(RULES)))
    rows["tariffs"] = {
        name: [{**row, "reactive": {"currency": "TRY", "kvarh": 2.0}} for row in each]
        for name, each in rows["tariffs"].items()
    }
    shown = await page(directory, "/reactive?month=2025-12&lang=en", rules=DatedRules(rows))
    said = re.search(r"not what is above: ([\d,]+) kvarh, ([\d,]+) TRY\.", shown)
    assert said
    kvarh, money = (float(each.replace(",", "")) for each in said.groups())
    body = (await get(directory, "/api/v1/reactive?month=2025-12")).json()
    assert kvarh == pytest.approx(body["kinds"][0]["reactive"] / 1000, abs=1)
    assert money == pytest.approx(2 * kvarh, abs=2)


async def test_months_are_one_tap_apart_as_far_as_the_history_goes(directory) -> None:
    async def taps(month: str) -> dict[str, str]:
        shown = Page((await get(directory, f"/reactive?month={month}&lang=tr")).text)
        return {attrs["rel"]: attrs["href"] for tag, attrs in shown.tags if tag == "a" and attrs.get("rel")}

    middle = await taps("2026-03")
    assert "month=2026-02" in middle["prev"]
    assert "month=2026-04" in middle["next"]
    assert "lang=tr" in middle["next"]
    assert "next" not in await taps("2026-11")
    assert "prev" not in await taps("2025-01")
    assert "month=2026-11" in (await taps("2027-05"))["prev"]
    assert "month=2025-01" in (await taps("2020-05"))["next"]
    listed = (await get(directory, "/reactive?lang=en")).text
    assert all(f"month=2025-{number:02}" in listed for number in range(1, 13))


@pytest.mark.parametrize(
    ("month", "words"),
    [("2020-05", "May 2020: nothing is known of it"), ("2027-05", "May 2027: nothing is known of it yet")],
)
async def test_of_a_month_that_nobody_knows_nothing_is_said(directory, month, words) -> None:
    shown = await page(directory, f"/reactive?month={month}&lang=en")
    assert words in shown
    assert "Heading for" not in shown
    assert "Reached" not in shown
    body = (await get(directory, f"/api/v1/reactive?month={month}")).json()
    assert (body["kinds"], body["became"]) == ([], None)


async def test_of_a_month_of_which_too_much_is_missing_nothing_is_said(tmp_path) -> None:
    write_years(tmp_path, NOW, 40, registers(20.0))  # from 12 October on
    shown = await page(tmp_path, "/reactive?month=2026-10&lang=en")
    assert "Whether October 2026 kept its limits cannot be said" in shown
    assert "passed a limit" not in shown
    assert 'class="verdict warn"' in (await get(tmp_path, "/reactive?month=2026-10")).text
    assert (await get(tmp_path, "/api/v1/reactive?month=2026-10")).json()["became"] is None


async def test_of_a_month_whose_beginning_is_not_known_there_is_no_all_clear(tmp_path) -> None:
    write_years(tmp_path, NOW, 12, registers(5.0))  # from 9 November on, well below both limits
    text = (await get(tmp_path, "/reactive?lang=en")).text
    assert "Whether there will be a reactive charge this month cannot be said" in text
    assert 'class="verdict busy"' in text


@pytest.mark.parametrize(
    ("query", "days"),
    [("month=2026-09", 30), ("year=2025", 365), ("from=2025-12-30&to=2026-01-02", 4), ("week=2026-11-11", 7)],
)
async def test_its_files_are_of_any_range_day_by_day(directory, query, days) -> None:
    answer = await get(directory, f"/api/v1/reactive?{query}&format=csv&lang=en")
    heads, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert len(rows) == days
    assert heads[0] == "Day"
    assert all(len(row) == len(heads) and all(row) for row in rows)


@pytest.mark.parametrize("range_", ["day=2026-11-10", "year=2026", "week=2026-11-11", "from=2026-11-10"])
@pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
async def test_a_page_that_names_a_format_is_no_file_of_any_range(directory, range_, form) -> None:
    answer = await get(directory, f"/reactive?format={form}&{range_}&lang=en")
    assert answer.status_code == 404
    assert "reactive energy is judged by the month" in Page(answer.text).text
    of_month = await page(directory, f"/reactive?format={form}&month=2026-09&lang=en")
    assert "September 2026 passed a limit of reactive energy" in of_month


async def test_the_file_of_a_month_adds_up_to_what_its_page_says(directory) -> None:
    answer = await get(directory, "/api/v1/reactive?month=2026-09&format=csv&lang=en")
    heads, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    body = (await get(directory, "/api/v1/reactive?month=2026-09")).json()
    column = heads.index("Inductive, kvarh")
    assert round(sum(float(row[column]) for row in rows) * 1000) == body["kinds"][0]["reactive"]
