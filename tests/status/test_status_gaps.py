"""A sum that does not have everything in it says so wherever it is shown, and is compared with no more."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from energy_building import ZONE, energy_history, facts, make_history
from long_history import day_of, shape, write_years
from status_building import CALM, METERS, NOW, Building, electric, meter
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import BillComparison, BilledAmount, History, HistoryReader, bills, keep_bill
from gateway.status.energy import quality
from gateway.status.energy.bars import bars_of_fed
from gateway.status.energy.facts import EnergyMeter
from gateway.status.energy.figures import DayQuality, Figures
from gateway.status.energy.month import month_forecast
from gateway.status.energy.period import Period, month_of, year_of
from gateway.status.energy.today import usual_today
from gateway.status.report.lines import report_lines, since_began, total_of
from gateway.status.words.language import Locale

TODAY = date(2026, 11, 21)
MAIN, PLANT = "main", "pv"


def main_gap(name: str, day: date) -> bool:
    """The main meter's 5 November, and all of its August."""
    return name == MAIN and (day == date(2026, 11, 5) or (day.year, day.month) == (2026, 8))


def main_hole(name: str, day: date, hour: float) -> bool:
    """Two hours of it on 27 October, and three of this morning."""
    return name == MAIN and (
        (day == date(2026, 10, 27) and 3 <= hour < 5) or (day == TODAY and 6 <= hour < 9)
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, 200, gap=main_gap, hole=main_hole)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same building, of which everything is known."""
    path = tmp_path_factory.mktemp("whole")
    make_history(path, NOW, 200)
    return path


@pytest.fixture
def figures(directory):
    with closing(HistoryReader(directory)) as reader:
        yield Figures(facts(), reader, Calendar(ZONE), NOW)


def shown(directory, **more) -> Building:
    plant = meter("pv", "Güneş", 1, electric(12.0, 310.2), bus="plant")
    building = Building(CALM)
    building.change(screen=True, meters=(METERS[0], plant))
    building.history = energy_history(directory, **more)
    return building


async def text_of(building: Building, address: str) -> str:
    async with client(building) as http:
        response = await http.get(address)
    assert response.status_code == 200, response.text
    return Page(response.text).text


SUMS = (
    ("/energy?lang=en", r"November 2026: (at least )?[\d,]+ kWh"),
    ("/energy?lang=tr", r"Kasım 2026: (en az )?[\d.]+ kWh"),
    ("/energy?day=2026-11-21&lang=en", r"21 November 2026: (at least )?[\d,]+ kWh"),
    ("/energy?day=2026-10-27&by=quarter&lang=en", r"27 October 2026: (at least )?[\d,]+ kWh"),
    ("/energy?week=2026-11-05&by=hour&lang=tr", r"8 Kas 2026: (en az )?[\d.]+ kWh"),
    ("/energy?from=2026-10-20&to=2026-10-30&lang=en", r"30 Oct 2026: (at least )?[\d,]+ kWh"),
    ("/energy?lang=en", r"(≥\s)?[\d,.]+ kWh/m²"),
    ("/energy?lang=en", r"CO₂ (≥\s)?[\d,.]+ t"),
    ("/energy?lang=en", r"daytime 06–17 (≥\s)?[\d,.]+ kWh"),
    ("/report/2026-11?lang=en", r"November 2026: (at least )?[\d,]+ kWh"),
    ("/report/2026-11?lang=tr", r"Kasım 2026: (en az )?[\d.]+ kWh"),
    ("/report/2026-11?lang=en", r"Used in all (≥\s)?[\d,.]+ MWh"),
    ("/report/2026-11?lang=en", r"Per square metre (≥\s)?[\d,.]+ kWh/m²"),
    ("/report/2026-11?lang=en", r"from the grid: (at least )?[\d,.]+ t CO₂"),
    ("/report/2026-11?lang=en", r"Ana sayaç (≥\s)?[\d,]+"),
    ("/?lang=en", r"Today until \S+ (at least )?[\d,]+ kWh"),
    ("/?lang=tr", r"Kasım, 21. gün (en az )?[\d.]+ kWh"),
    ("/screen?lang=en", r"CO₂ (≥\s)?[\d,]+ kg"),
    ("/screen?lang=tr", r"(En az ş|Ş)una eşit"),
)


@pytest.mark.parametrize(("address", "sum_"), SUMS)
async def test_a_sum_with_a_gap_in_it_is_at_least_that_and_one_without_is_that(
    directory, whole, address, sum_
) -> None:
    with_gap = re.search(sum_, await text_of(shown(directory), address))
    assert with_gap, await text_of(shown(directory), address)
    assert with_gap[1] not in {None, "Ş"}, with_gap[0]
    without = re.search(sum_, await text_of(shown(whole), address))
    assert without, await text_of(shown(whole), address)
    assert without[1] in {None, "Ş"}, without[0]


async def test_what_is_missing_has_its_row_in_every_table(directory) -> None:
    page = await text_of(shown(directory), "/energy?month=2026-11&lang=en")
    assert "Data is missing on 2 days: it is not in the sum." in page, "the 5th, and this morning"
    assert "A ring above a bar: data is missing there." in page
    assert re.search(r"Thursday 5 November (\d\S* )?missing", page), page
    assert re.search(r"Saturday 21 November [\d., ]+ incomplete", page)
    hours = await text_of(shown(directory), "/energy?week=2026-11-21&by=hour&lang=en")
    assert re.search(r"21 Nov Sat, incomplete", hours), hours


async def test_a_month_of_which_nothing_is_known_stays_in_the_report(directory) -> None:
    with closing(HistoryReader(directory)) as reader:
        figures = Figures(facts(), reader, Calendar(ZONE), NOW)
        lines = since_began(report_lines(figures, year_of(2026)))
        total = total_of(lines, year_of(2026))
    august = next(line for line in lines if line.first.month == 8)
    assert (august.used, august.known, august.expected) == (None, 0, 31 * 96)
    assert not august.complete
    assert not total.complete
    text = await text_of(shown(directory), "/report/2026?lang=en")
    assert "August 0.0%" in text
    assert re.search(r"October ≥\s[\d,]+ ≥\s[\d,]+ ≥\s[\d,]+ ", text), text
    assert re.search(r"September [\d,]+ [\d,]+ [\d,]+ ", text)
    assert "≥: data is missing; what is known comes to so much." in text


async def test_of_a_period_in_which_measuring_began_the_sum_is_at_least_that(tmp_path) -> None:
    make_history(tmp_path, NOW, 9)
    for address in ("/energy?month=2026-11&lang=en", "/report/2026-11?lang=en"):
        text = await text_of(shown(tmp_path), address)
        assert re.search(r"November 2026: at least [\d,]+ kWh", text), text
        assert "Measuring began on Thursday 12 November 2026" in text
        assert "Data is missing on" not in text
    week = await text_of(shown(tmp_path), "/energy?week=2026-11-18&lang=en")
    assert re.search(r"22 Nov 2026: [\d,]+ kWh", week), "a week that is known is what it is"


async def test_without_the_plants_data_it_is_not_known_what_was_used(tmp_path) -> None:
    make_history(tmp_path, NOW, 60, hole=lambda name, day, hour: name == PLANT and day.day == 9 and hour < 2)
    for address in ("/energy?month=2026-11&lang=en", "/report/2026-11?lang=en"):
        text = await text_of(shown(tmp_path), address)
        assert re.search(r"November 2026: at least [\d,]+ kWh", text), text
    assert "The sun gave at least" in await text_of(shown(tmp_path), "/energy?month=2026-11&lang=en")


async def test_what_the_grid_gave_and_what_the_sun_gave_are_each_of_what_is_known_of_both(tmp_path) -> None:
    """The plant is silent for twenty days, and for two hours of another one: what the grid gave is known, and
    the sun's share is that of the hours in which it is known, in the report of the year as in the month's.
    """
    silent = lambda name, day: name == PLANT and date(2026, 9, 1) <= day <= date(2026, 9, 20)  # noqa: E731
    hours = lambda name, day, hour: name == PLANT and day == date(2026, 9, 22) and 11 <= hour < 13  # noqa: E731
    make_history(tmp_path, NOW, 100, gap=silent, hole=hours)
    september = month_of(date(2026, 9, 1))
    with closing(HistoryReader(tmp_path)) as reader:
        figures = Figures(facts(), reader, Calendar(ZONE), NOW)
        series = {
            name: figures.quarters(figures.series(name, september.first, september.last))
            for name in ("used", "drawn", "fed", "generated")
        }
        days = since_began(report_lines(figures, september))
        of_year = report_lines(figures, year_of(2026))[8]
    known = series["used"].keys()
    sun = sum(series["used"][at] - series["drawn"][at] for at in known)
    gave = sum(series["generated"][at] for at in known)
    assert 0 < len(known) < len(series["drawn"])
    assert len(days) == 30, "the main meter has measured all of it"
    for line in (total_of(days, september), of_year):
        assert (line.from_sun, line.gave_of_known) == (sun, gave)
        assert line.drawn == sum(line.bands.values()) == sum(series["drawn"].values())
        assert (line.complete, line.complete_drawn) == (False, True)
        assert (line.mains.expected, line.mains.known, line.mains.measured) == (2880, 2880, 2880)
    drawn = f"{round(sum(series['drawn'].values()) / 1000):,}"
    text = await text_of(shown(tmp_path), "/report/2026-09?lang=en")
    assert re.search(rf"September 2026 {drawn} ≥\s[\d,]+ ≥\s[\d,]+ .*100.0%", text), text
    assert f"{round(100 * sun / gave)}% of it used here" in text
    assert "100.0% of the main meter's quarter hours were measured, none is missing" in text
    year = await text_of(shown(tmp_path), "/report/2026?lang=en")
    assert re.search(rf"September {drawn} ≥\s[\d,]+ ≥\s[\d,]+ ", year), year


async def test_the_share_used_here_is_not_told_where_the_feed_in_is_not_known(tmp_path) -> None:
    make_history(tmp_path, NOW, 60, gap=lambda name, day: name == MAIN and day == date(2026, 11, 5))
    text = await text_of(shown(tmp_path), "/report/2026-11?lang=en")
    assert re.search(r"MWh given(?!,)", text), text
    assert "used here" not in text
    assert "used here" in await text_of(shown(tmp_path), "/report/2026-10?lang=en")


async def sun_of(directory, period: str) -> tuple[str, str, float]:
    """The per cent of the sun's energy that were used in the building as the page says, the page, and the
    share as the quarter hours have it, which the bars have, too.
    """
    first, last = date(2026, 9, 1), date(2026, 9, 30)
    with closing(HistoryReader(directory)) as reader:
        figures = Figures(facts(), reader, Calendar(ZONE), NOW)
        gave, fed = (figures.quarters(figures.series(name, first, last)) for name in ("generated", "fed"))
        bars = [
            sum(bar.total for bar in bars_of_fed(figures, Period("range", first, last, step)).values())
            for step in ("quarter", "hour", "day", "month")
        ]
    both = gave.keys() & fed.keys()
    gave_then, fed_then = (sum(each[start] for start in both) for each in (gave, fed))
    assert bars == [fed_then] * 4
    page = await text_of(shown(directory), f"/energy?{period}&lang=en")
    share = re.search(r"The sun gave [^.]*?, (\d+) ?% of it was used in the building", page)
    return share[1] if share else "", page, 1 - fed_then / gave_then


@pytest.mark.parametrize("until", [24, 12], ids=["days", "mornings"])
async def test_what_was_fed_in_while_a_plant_was_silent_is_not_taken_off_its_yield(tmp_path, until) -> None:
    def hole(name: str, day: date, hour: float) -> bool:
        return name == PLANT and day.month == 9 and day.day <= 20 and hour < until

    make_history(tmp_path, NOW, 100, hole=hole)
    share, page, true = await sun_of(tmp_path, "month=2026-09")
    assert "The sun gave at least" in page
    assert int(share) == pytest.approx(true * 100, abs=0.6)


async def test_where_plant_and_feed_in_are_never_known_together_nothing_is_told_apart(tmp_path) -> None:
    def hole(name: str, day: date, _hour: float) -> bool:
        return day.month == 9 and day.day < 30 and (name == PLANT if day.day <= 20 else name == MAIN)

    make_history(tmp_path, NOW, 100, hole=hole)
    page = await text_of(shown(tmp_path), "/energy?month=2026-09&lang=en")
    assert "The sun gave at least" in page
    assert "of it was used in the building" not in page


async def test_of_what_is_known_as_a_whole_the_share_is_as_before(whole) -> None:
    share, page, true = await sun_of(whole, "month=2026-09")
    assert "The sun gave at least" not in page
    assert int(share) == pytest.approx(true * 100, abs=0.6)


# ---- the tree


async def test_a_gap_of_the_main_meter_makes_no_false_alarm_and_no_share_too_large(directory, whole) -> None:
    period = month_of(date(2026, 11, 1))
    found = {}
    for name, path in (("gap", directory), ("whole", whole)):
        with closing(HistoryReader(path)) as reader:
            figures = Figures(facts(), reader, Calendar(ZONE), NOW)
            found[name] = (figures.rests(period)[0], {p.meter.id: p.share for p in figures.parts(period)})
    (rest, shares), (all_of_it, true_shares) = found["gap"], found["whole"]
    assert rest.left_out == 2
    assert not rest.over_counted
    assert 0.7 < rest.rest / all_of_it.rest < 1
    assert rest.known < 1 == all_of_it.known
    assert shares.keys() == true_shares.keys()
    for name, share in shares.items():
        assert share == pytest.approx(true_shares[name], rel=0.05), name
    page = await text_of(shown(directory), "/energy?lang=en")
    assert "The sub meters count more than the meter above them" not in page
    assert "; without 2 days on which data of the building is missing" in page


def test_the_days_of_such_a_gap_are_looked_for_once_a_page(directory, monkeypatch) -> None:
    period, looked = month_of(date(2026, 11, 1)), []
    with closing(HistoryReader(directory)) as reader:
        figures = Figures(facts(), reader, Calendar(ZONE), NOW)
        whole = figures.is_whole
        monkeypatch.setattr(figures, "is_whole", lambda sums, day: looked.append(day) or whole(sums, day))
        parts = figures.parts(period)
        once = len(looked)
        rest = figures.rests(period)[0]
    assert parts
    assert rest.left_out == 2
    assert once == len(looked) > 0


async def test_a_sub_meters_gap_falls_to_the_unmetered_rest_and_is_said_beside_its_sum(tmp_path) -> None:
    make_history(tmp_path, NOW, 60, gap=lambda name, day: name == "kitchen" and day.day == 9)
    page = await text_of(shown(tmp_path), "/energy?lang=en")
    assert re.search(r"Yemekhane 9\d% of the time is known ≥\s[\d,.]+", page), page
    assert re.search(r"November 2026: [\d,]+ kWh", page), "the building's sum has no gap"


async def test_meters_side_by_side_at_the_top_are_the_parts_of_the_building(tmp_path) -> None:
    rooms = {(name, "active_energy_import"): shape(kw, 0.2) for name, kw in (("a", 4.0), ("b", 9.0))}
    write_years(tmp_path, NOW, 60, rooms)
    meters = tuple(EnergyMeter(name, f"Pano {name}") for name in ("a", "b"))
    building = shown(tmp_path, meters=meters)
    page = await text_of(building, "/energy?month=2026-10&lang=en")
    assert "100% of the energy goes to two places: Pano b and Pano a" in page
    assert "Used most Pano b" in await text_of(building, "/?lang=en")
    report = await text_of(building, "/report/2026-10?lang=en")
    assert len(re.findall(r"Pano a [\d,]+ \d\d\.\d%", report)) == 1
    async with client(building) as http:
        body = (await http.get("/api/v1/tree?month=2026-10")).json()
        rows = table(await http.get("/api/v1/tree?month=2026-10&format=csv&lang=en"))
    assert {(each["meter"], each["parent"]) for each in body["meters"]} == {("a", None), ("b", None)}
    assert sorted(row["Id"] for row in rows) == ["a", "b"]


async def test_a_meter_of_which_nothing_is_known_shows_no_energy(tmp_path) -> None:
    make_history(tmp_path, NOW, 60, gap=lambda name, day: name == "kitchen" and day.month == 11)
    page = await text_of(shown(tmp_path), "/energy?lang=en")
    assert re.search(r"Yemekhane nothing is known of it –", page), page


# ---- comparisons


async def test_only_days_that_both_periods_know_are_compared(directory, whole) -> None:
    page = await text_of(shown(directory), "/energy?month=2026-11&lang=en")
    # Twenty days are over; one of these is not known.
    assert "1 day that is not surely known of both is left out." in page
    october = r"The whole days so far: (\S+ \w+) than the same days of October 2026 \(([\d,]+) kWh\)"
    pages = [await text_of(shown(path), "/energy?month=2026-11&lang=en") for path in (directory, whole)]
    (_, then), (_, all_then) = (re.search(october, page).groups() for page in pages)
    assert int(then.replace(",", "")) < int(all_then.replace(",", ""))
    with closing(HistoryReader(whole)) as reader:
        figures = Figures(facts(), reader, Calendar(ZONE), NOW)
        days = [date(2026, 10, n) for n in range(1, 21) if n != 5]
        sums = figures.sums_of("", days[0], days[-1])
        assert f"{round(sum(sums[day].sum for day in days) / 1000):,}" == then


async def test_a_day_with_a_hole_is_compared_in_the_hours_that_are_known(directory) -> None:
    page = await text_of(shown(directory), "/energy?day=2026-11-21&lang=en")
    assert "The 3.0 h of which nothing is known are left out of both." in page
    # Its like days are as it is: without the three hours it is not a sixth less.
    assert not re.search(r"1\d% less than the mean of the last", page)


def test_a_month_with_a_gap_is_not_heading_for_less(directory, whole) -> None:
    heading = []
    for path in (directory, whole):
        with closing(HistoryReader(path)) as reader:
            heading.append(month_forecast(Figures(facts(), reader, Calendar(ZONE), NOW)))
    assert heading[0] == pytest.approx(heading[1], rel=0.02)


async def test_nothing_is_compared_with_a_month_that_is_not_known(directory) -> None:
    home = await text_of(shown(directory), "/?lang=en")
    assert "October 2026:" not in home, "two hours of it are missing"
    page = await text_of(shown(directory), "/energy?month=2026-11&lang=en")
    assert "Data of the month before is missing: it is not compared." in page


# ---- reactive energy


async def test_what_is_missing_of_the_month_is_said_beside_the_reactive_limit(directory, whole) -> None:
    page = await text_of(shown(directory), "/reactive?lang=en")
    assert "Nothing is known of 27.0 h of this month" in page
    assert re.search(r"passed by at least [\d,]+ kvarh|at most [\d,]+ kvarh left", page)
    assert re.search(r"October 2026 ≥\s[\d,]+ .*?2.0 h are not known", page), page
    page = await text_of(shown(whole), "/reactive?lang=en")
    assert "known" not in page.split("Both limits")[1]


# ---- for programs, and as files


async def test_programs_are_told_how_much_of_a_sum_is_known(directory) -> None:
    async with client(shown(directory)) as http:
        energy = (await http.get("/api/v1/energy?month=2026-10")).json()
        reactive = (await http.get("/api/v1/reactive")).json()
        tree = (await http.get("/api/v1/tree?month=2026-11")).json()
    assert (energy["expected"], energy["known"]) == (31 * 96, 31 * 96 - 8)
    assert len(energy["intervals"]) == energy["known"]
    assert reactive["expected"] - reactive["known"] == 96 + 12
    assert 0.9 < tree["unmetered"]["known"] < 1


async def test_a_file_has_the_rows_of_what_is_missing(directory) -> None:
    async with client(shown(directory)) as http:
        days = await http.get("/api/v1/energy?month=2026-11&format=csv&lang=en")
        meters = await http.get("/api/v1/tree?month=2026-11&format=csv&lang=en")
        months = await http.get("/api/v1/report?year=2026&format=csv&lang=en")
    rows = {row["Beginning"]: row for row in table(days)}
    assert (rows["2026-11-05"]["Sum, kWh"], rows["2026-11-05"]["Known, %"]) == ("", "0.0")
    assert rows["2026-11-05"]["Quality"] == "missing"
    assert rows["2026-11-21"]["Quality"] == "incomplete"
    assert rows["2026-11-06"]["Quality"] == "measured"
    assert "2026-11-22" not in rows
    known = {row["Id"]: float(row["Known, %"]) for row in table(meters)}
    assert known["main"] < known["heat"] == 100.0
    august = next(row for row in table(months) if row["Month"] == "August")
    assert (august["Used, kWh"], august["Quality"]) == ("", "missing")


def table(response) -> list[dict[str, str]]:
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))


async def test_a_bill_beside_a_meter_with_a_gap_says_that_it_counted_at_least_so_much(
    whole, tmp_path
) -> None:
    amounts = (BilledAmount("t1", 10_767_000, 10_790_000, 150_000),)
    for missing, said in ((0, "daytime, kWh 10,767 10,790"), (8, "daytime, kWh ≥ 10,767 10,790")):
        bill = BillComparison("main", date(2026, 10, 1), date(2026, 10, 31), NOW, amounts, (), missing)
        keep_bill(tmp_path, bill)
        text = await text_of(shown(whole, bills=partial(bills, tmp_path)), "/report/2026-10?lang=en")
        assert said in text, text


# -- squares, and days that are alike


def test_each_day_of_a_month_has_the_square_of_its_worst_and_a_title() -> None:
    """November 2026 begins with a Sunday: the last column of the first row."""
    first = date(2026, 11, 1)
    days = [
        DayQuality(first, 96, 96, 96),
        DayQuality(date(2026, 11, 2), 96, 95, 95),
        DayQuality(date(2026, 11, 3), 96, 96, 95),
        DayQuality(date(2026, 11, 4), 0, 0, 0),
        DayQuality(date(2026, 11, 5), 96, 96, 90, suspect=1),
    ]
    month = quality._month(first, days, Locale("en", "Europe/Istanbul", NOW))
    assert (month.says, month.level) == (
        "1 day incomplete, 1 day partly suspect, 1 day partly estimated",
        "bad",
    )
    assert 'viewBox="0 0 140 120"' in month.svg
    squares = re.findall(r'<rect class="(q\d)" x="([\d.]+)" y="([\d.]+)" width="(\d+)"', month.svg)
    assert squares[:5] == [
        ("q0", "126.5", "6.5", "7"),
        ("q2", "3", "23", "14"),
        ("q3", "23", "23", "14"),
        ("q3", "46.5", "26.5", "7"),
        ("q3", "63", "23", "14"),
    ]
    assert len(squares) == 30
    assert re.findall(r'<path class="(q\w)" d="([^"]+)"', month.svg) == [
        ("qx", "M5 25L15 35M15 25L5 35"),
        ("q1", "M23 37L37 23L37 37Z"),
        ("q1", "M63 37L77 23L77 37Z"),
    ]
    titles = re.findall(r"<title>(.+?)</title>", month.svg)
    assert [title.partition(": ")[2] for title in titles] == [
        "measured", "incomplete", "partly estimated, total exact", "partly suspect",
    ]  # fmt: skip


@pytest.mark.parametrize(("month", "day"), [(10, 31), (3, 31)])
async def test_a_day_that_the_month_before_does_not_have_is_not_one_that_is_not_known(
    tmp_path, month: int, day: int
) -> None:
    now = day_of(2026, month, day, 12.1)
    write_years(tmp_path, now, 90, {("main", "active_energy_import"): shape(40.0, 0.2)})
    building = Building(replace(CALM, taken=now))
    building.history = energy_history(tmp_path, meters=ALONE)
    text = await text_of(building, f"/energy?month=2026-{month:02}&lang=en")
    assert "The whole days so far" in text
    assert "left out" not in text


ALONE = (EnergyMeter("main", "Ana sayaç"),)


def usual_and_forecast(path, meter: str) -> tuple[int, float]:
    """The mean of like days until now, and where the month is heading, Wh."""
    with closing(HistoryReader(path)) as reader:
        figures = Figures(facts(meters=ALONE), reader, Calendar(ZONE), NOW)
        return usual_today(figures, meter).mean, month_forecast(figures, meter)


@pytest.mark.parametrize("meter", ["", "main"])
async def test_a_day_with_a_suspect_quarter_hour_is_no_measure_of_others(tmp_path, meter: str) -> None:
    """A register that leapt by 5 MWh is what its day counted; it is neither usual nor to be expected."""
    path = tmp_path
    write_years(path, NOW, 60, {("main", "active_energy_import"): shape(40.0, 0.2)})
    usual, forecast = usual_and_forecast(path, meter)
    with closing(History(path, Calendar(ZONE))) as history:
        for day in (date(2026, 11, 14), date(2026, 10, 31)):
            start = history.calendar.quarters(day)[40]
            key, row, index = history.place(("main", "active_energy_import"), start, make=False)
            row.put(index, 5_000_000, "s", corrected=True)
            history.touched(key, row)
        history.save()
    usual_now, forecast_now = usual_and_forecast(path, meter)
    assert usual_now == pytest.approx(usual, rel=0.3)
    own = 5_000_000 - 10_000  # of the 14th: it is in the month's sum, and weighs no other day of it
    assert forecast_now - own == pytest.approx(forecast, rel=0.1)
    building = Building(CALM)
    building.history = energy_history(path, meters=ALONE)
    asked = f"&meter={meter}" if meter else ""
    text = await text_of(building, f"/energy?from=2026-11-14&to=2026-11-20&lang=en{asked}")
    assert "1 day that is not surely known of both is left out." in text


async def test_of_a_day_with_a_suspect_quarter_hour_no_sum_is_called_exact(tmp_path) -> None:
    make_history(tmp_path, NOW, 20)
    history = History(tmp_path, Calendar(ZONE))
    start = next(iter(history.calendar.quarters(date(2026, 11, 12))))
    key, row, index = history.place(("main", "active_energy_import"), start, make=True)
    row.put(index, row.values[index], "s", corrected=True)
    history.touched(key, row)
    history.save()
    history.close()
    building = Building(CALM)
    building.history = energy_history(tmp_path)
    text = await text_of(building, "/energy?from=2026-11-10&to=2026-11-14&lang=en")
    assert "A dot above a bar: a part of it is estimated or suspect." in text
    assert "partly suspect" in text
    text = await text_of(building, "/quality?lang=en")
    assert "Thursday 12 November Ana sayaç 0.2 h estimated or suspect" in text
    async with client(building) as http:
        rows = table(await http.get("/api/v1/report?month=2026-11&format=csv&lang=en"))
    assert [row["Day"] for row in rows if row["Quality"] == "partly suspect"] == ["Thursday 12 November"]


def alike(first: date, kinds: Callable[[date], str], half: frozenset[date] = frozenset()) -> Any:
    """Figures as far as days that are alike need them."""
    calendar = SimpleNamespace(kind=kinds, half=half)
    return SimpleNamespace(span=(first, TODAY), calendar=calendar, suspect_days=lambda *_: frozenset())


def test_the_newest_days_of_a_kind_are_like_a_day() -> None:
    wednesday = date(2026, 11, 18)
    calendar = Calendar(ZONE)

    def days(first: date, **more: int) -> list[int]:
        return [day.day for day in Figures.like_days(alike(first, calendar.kind), wednesday, **more)]

    assert days(date(2026, 1, 1)) == [11, 4, 28, 21]
    assert days(date(2026, 1, 1), most=1) == [11]
    assert days(date(2026, 11, 11)) == [11], "the first day of the history is one"
    assert days(wednesday) == []


def test_neither_half_holidays_nor_what_is_long_ago_are_like_a_day() -> None:
    old, too_old, half = (TODAY - timedelta(days) for days in (111, 112, 7))
    rare = {TODAY, old, too_old, half}
    kinds = lambda day: "rare" if day in rare else "usual"  # noqa: E731
    assert Figures.like_days(alike(date(2026, 1, 1), kinds, frozenset({half})), TODAY) == [old]
    assert Figures.like_days(alike(date(2026, 1, 1), kinds), TODAY) == [half, old]
