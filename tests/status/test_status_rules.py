"""What the rules say is on the page with its source: netting, who pays for reactive energy and how much. And
how far days that are alike lie apart.
"""

from __future__ import annotations

import csv
import io
import re
from copy import deepcopy
from dataclasses import replace
from datetime import date

import pytest
from energy_building import RULES, ZONE, energy_history, make_history
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.config.rules import load_rules
from gateway.energy import Calendar, DatedRules, reactive
from gateway.history import History


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, 40)
    return path


async def text_of(directory, address: str, **more) -> str:
    building = Building(CALM)
    building.history = energy_history(directory, **more)
    async with client(building) as browser:
        return Page((await browser.get(address)).text).text


async def test_the_sun_says_which_netting_holds_and_what_it_costs(directory) -> None:
    page = await text_of(directory, "/energy?month=2026-11&lang=en")
    numbers = dict(re.findall(r"Netted (within each hour|over the month): ([\d,.]+) kWh drawn", page))
    hour, month = (float(numbers[name].replace(",", "")) for name in ("within each hour", "over the month"))
    less = re.search(r"Within each hour ([\d,.]+) kWh less are set against each other", page)
    assert less
    assert float(less[1].replace(",", "")) == pytest.approx(hour - month, abs=1)
    assert "Since Thursday 2 April 2026 energy is netted within each hour (RG 33212" in page
    covered = re.search(r"(\d+)% of what the building used came from the sun", page)
    assert covered
    assert 0 < int(covered[1]) < 100
    turkish = await text_of(directory, "/energy?month=2026-11&lang=tr")
    assert "2 Nisan 2026 Perşembe gününden beri mahsuplaşma her saat içinde yapılır" in turkish


async def test_a_month_before_the_new_rule_is_netted_by_the_old_one(directory) -> None:
    rows = deepcopy(dict(load_rules(RULES)))
    rows["netting"] = [dict(row) for row in rows["netting"] if row["over"] == "month"]
    page = await text_of(directory, "/energy?month=2026-11&lang=en", rules=DatedRules(rows))
    assert "it is netted over the month" in page


@pytest.mark.parametrize(("kva", "exempt"), [(9.0, True), (9.5, False)])
async def test_who_has_little_power_pays_nothing_for_reactive_energy(directory, kva, exempt) -> None:
    page = await text_of(directory, "/reactive?lang=en", installed_kva=kva)
    assert ("9 kVA are installed: up to 9 kW nothing is charged (EPDK" in page) == exempt
    assert ("This building pays nothing for reactive energy" in page) == exempt
    report = await text_of(directory, "/report/2026?lang=en", installed_kva=kva)
    assert ("exempt" in report) == exempt


@pytest.mark.parametrize("price", [None, 1.5])
async def test_all_of_what_passed_a_limit_is_billed_and_said_in_money_where_it_has_a_price(
    directory, price
) -> None:
    rows = deepcopy(dict(load_rules(RULES)))
    if price is not None:
        rows["tariffs"] = {
            name: [{**row, "reactive": {"currency": "TRY", "kvarh": price}} for row in each]
            for name, each in rows["tariffs"].items()
        }
    page = await text_of(directory, "/reactive?lang=en", rules=DatedRules(rows))
    said = re.search(r"not what is above: ([\d,.]+) kvarh(?:, ([\d,.]+) TRY)? are expected\.", page)
    assert said
    kvarh = float(said[1].replace(",", ""))
    assert (said[2] is None) == (price is None)
    if said[2]:
        assert float(said[2].replace(",", "")) == pytest.approx(kvarh * 1.5, rel=0.01)


async def test_a_month_within_its_limits_is_billed_nothing(directory) -> None:
    rows = deepcopy(dict(load_rules(RULES)))
    wide = [{"from_kva": 0, "inductive": 90, "capacitive": 90}]
    rows["reactive"] = [{**row, "classes": wide} for row in rows["reactive"]]
    assert "not what is above" not in await text_of(directory, "/reactive?lang=en", rules=DatedRules(rows))


def test_the_larger_of_two_kinds_that_passed_is_billed() -> None:
    assert reactive.charged(210, 160, 1000, (20, 15)) == 210
    assert reactive.charged(200, 160, 1000, (20, 15)) == 160
    assert reactive.charged(200, 150, 1000, (20, 15)) == 0


async def test_how_far_like_days_lie_apart_is_said(directory) -> None:
    home = await text_of(directory, "/?lang=en")
    assert re.search(r"by now usually [\d,.]+ ± [\d,.]+, the whole day", home)
    day = await text_of(directory, "/energy?day=2026-11-19&lang=en")
    assert re.search(r"the mean of the last \d like days: [\d,.]+ ± [\d,.]+ kWh", day)


@pytest.mark.parametrize(("days", "progress", "told"), [(3, 0.34, True), (3, 1.0, False), (0, 0.99, False)])
async def test_the_first_screen_says_that_the_past_is_being_made(tmp_path, days, progress, told) -> None:
    """While it ends days ago; where today is known only seconds are missing."""
    make_history(tmp_path, NOW - days * 86_400_000, 10)
    building = Building(CALM)
    building.history = replace(energy_history(tmp_path), progress=progress)
    async with client(building) as browser:
        page = Page((await browser.get("/?lang=en")).text).text
    assert ("The past is being prepared: 34%." in page) == told
    assert ("The past is being prepared" in page) == told


def breached(directory, last: int) -> None:
    """Half as much inductive as active energy from 6 October to a day of it; the limit is 20 %."""
    history = History(directory, Calendar(ZONE))
    for number in range(6, last + 1):
        for start in history.calendar.quarters(date(2026, 10, number)):
            _, drawn, index = history.place(("main", "active_energy_import"), start, make=False)
            key, row, _ = history.place(("main", "reactive_energy_q1"), start, make=False)
            row.put(index, drawn.values[index] * number // 20, "m", corrected=True)
            history.touched(key, row)
    history.save()
    history.close()


async def test_a_breach_stands_with_the_days_that_made_it(tmp_path) -> None:
    make_history(tmp_path, NOW, 70)
    breached(tmp_path, 22)
    page = await text_of(tmp_path, "/reactive?lang=en")
    assert "one breach a year may be disregarded" in page
    assert (
        "Days above the limit (inductive): 17, the first 6 Oct, the last 22 Oct; most on 22 Oct: 110%."
        in page
    )
    turkish = await text_of(tmp_path, "/reactive?lang=tr", forgiven=("2026-10",))
    assert "17, ilki 6 Eki, sonuncusu 22 Eki; en çok 22 Eki: %110." in turkish
    report = await text_of(tmp_path, "/report/2026?lang=en")
    assert "inductive passed" in report


async def test_page_and_report_judge_the_same_months(tmp_path) -> None:
    """Ten days of October are missing: nobody knows what they took, so nobody says that it passed."""
    make_history(
        tmp_path, NOW, 70, gap=lambda meter, day: meter == "main" and day.month == 10 and day.day > 21
    )
    breached(tmp_path, 21)
    page = await text_of(tmp_path, "/reactive?lang=en")
    assert "October 2026" in page
    assert "not known as a whole; 240" in page
    assert "may be disregarded" not in page
    assert "month before passed" not in page
    report = await text_of(tmp_path, "/report/2026?lang=en")
    assert report.count("not known as a whole") == 2, "October; September began within it"
    assert report.count("inductive passed") == 1, "November, which goes on"


@pytest.mark.parametrize(
    ("bands", "others"),
    [
        ({"t1": "06-14", "t2": "17-22", "t3": "22-06", "t4": "14-17"}, ["t4 from the grid, kWh"]),
        (
            {"gunduz": "06-17", "puant": "17-22", "gece": "22-06"},
            [f"{name} from the grid, kWh" for name in ("gece", "gunduz", "puant")],
        ),
    ],
)
async def test_bands_of_rules_of_ones_own_stand_in_the_file_of_the_report(directory, bands, others) -> None:
    rules = deepcopy(dict(load_rules(RULES)))
    rules["tariffs"]["tr-three-time"] = [{**rules["tariffs"]["tr-three-time"][0], "bands": bands}]
    building = Building(CALM)
    building.history = energy_history(directory, rules=DatedRules(rules))
    async with client(building) as browser:
        answer = await browser.get("/api/v1/report?year=2026&format=csv&lang=en")
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    heads = ["daytime from the grid, kWh", "peak from the grid, kWh", "night from the grid, kWh", *others]
    assert [name for name in rows[0] if name in heads] == heads
    for row in rows:
        drawn = sum(float(row[name]) for name in heads if row[name])
        assert drawn == pytest.approx(float(row["From the grid, kWh"]), abs=0.01)


# ---- the hours of the bands


async def bands_of(directory, span: str, **more) -> dict[str, str]:
    """What follows each band's name, and the source below them."""
    building = Building(CALM)
    building.history = energy_history(directory, **more)
    async with client(building) as browser:
        html = (await browser.get(f"/energy?{span}&lang=en")).text
    text = Page(html).text
    hours = r"((?:[\d–:, ]|from|[A-Z][a-z]{2}\b)*?)"
    found = dict(re.findall(rf"\b(peak|daytime|night) {hours} ?(?:≥\s)?[\d,.]+ kWh \d+% of all", text))
    source = re.search(r"Hours of the tariff: (.*?)\. ", text)
    return {**found, "source": source[1] if source else ""}


EPDK = "EPDK Kurul kararı 6561, 27.10.2016"


@pytest.mark.parametrize(
    ("span", "old_clock", "hours"),
    [
        ("month=2026-11", True, ("18–23", "07–18", "23–07")),
        ("month=2026-11", False, ("17–22", "06–17", "22–06")),
        ("day=2026-10-24", True, ("17–22", "06–17", "22–06")),
        ("day=2026-10-25", True, ("18–23", "07–18", "23–07")),
        (
            "month=2026-10",
            True,
            ("17–22, from 25 Oct: 18–23", "06–17, from 25 Oct: 07–18", "22–06, from 25 Oct: 23–07"),
        ),
        ("month=2026-10", False, ("17–22", "06–17", "22–06")),
    ],
)
async def test_a_meters_old_clock_moves_the_hours_of_winter(directory, span, old_clock, hours) -> None:
    told = await bands_of(directory, span, old_clock=old_clock)
    assert told == dict(zip(("peak", "daytime", "night"), hours, strict=True), source=EPDK)


def changed_bands(*days: str) -> DatedRules:
    """Night ends an hour later from each of these days on."""
    rules = deepcopy(dict(load_rules(RULES)))
    rows = rules["tariffs"]["tr-three-time"]
    for number, day in enumerate(days, 7):
        bands = {"t1": f"{number:02}-17", "t2": "17-22", "t3": f"22-{number:02}"}
        row = {**rows[0], "valid_from": date.fromisoformat(day), "bands": bands, "source": f"Board {number}"}
        rules["tariffs"]["tr-three-time"] = rows = [*rows, row]
    return DatedRules(rules)


@pytest.mark.parametrize(
    ("days", "daytime", "source"),
    [
        (["2026-10-20"], "06–17, from 20 Oct: 07–17", f"{EPDK}; Board 7"),
        (["2026-10-20", "2026-10-28"], "", f"{EPDK}; Board 7; Board 8"),
        (["2026-10-05"], "07–17", "Board 7"),
        (["2026-11-01"], "06–17", EPDK),
    ],
    ids=["one change", "two", "before measuring began", "in the month after"],
)
async def test_hours_that_change_within_a_month_stand_there_with_the_day(
    directory, days, daytime, source
) -> None:
    told = await bands_of(directory, "month=2026-10", rules=changed_bands(*days))
    assert (told["peak"], told["daytime"], told["source"]) == ("17–22", daytime, source)
