"""Plants below a sub meter, and what the sun gave where it is not known what was fed to the grid."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from energy_building import ZONE, energy_history, facts
from long_history import shape, write_years
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import History, HistoryReader
from gateway.status.energy.facts import EnergyMeter
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import month_of

IMPORT, EXPORT = "active_energy_import", "active_energy_export"
LAMPS, HEAT, SUN = shape(10.0, 0.5), shape(15.0, 0.2), shape(14.0, 0.0, sun=True)
OCTOBER = month_of(date(2026, 10, 1))


def drawn(kw: list[float]) -> list[float]:
    return [max(0.0, each) for each in kw]


def fed(kw: list[float]) -> list[float]:
    return [max(0.0, -each) for each in kw]


def below_a_sub_meter() -> dict[tuple[str, str], list[float]]:
    """The plant feeds in behind the panel; all that is used is metered."""
    panel = [load - sun for load, sun in zip(LAMPS, SUN, strict=True)]
    main = [one + other for one, other in zip(panel, HEAT, strict=True)]
    return {
        ("main", IMPORT): drawn(main),
        ("main", EXPORT): fed(main),
        ("panel", IMPORT): drawn(panel),
        ("panel", EXPORT): fed(panel),
        ("heat", IMPORT): HEAT,
        ("pv", EXPORT): SUN,
        ("pv", IMPORT): [0.0] * len(SUN),
    }


METERS = (
    EnergyMeter("main", "Ana sayaç"),
    EnergyMeter("panel", "Pano", "main"),
    EnergyMeter("heat", "Isı pompası", "main"),
    EnergyMeter("pv", "Çatı", "panel", generates="export"),
)


@pytest.mark.parametrize("other", [(), (EnergyMeter("shop", "Büfe"),)], ids=["one main meter", "two"])
def test_a_plant_below_a_sub_meter_leaves_no_rest_of_what_is_metered(tmp_path, other) -> None:
    registers = below_a_sub_meter() | {(each.id, IMPORT): shape(5.0, 0.2) for each in other}
    write_years(tmp_path, NOW, 60, registers)
    with closing(HistoryReader(tmp_path)) as reader:
        figures = Figures(facts(meters=METERS + other), reader, Calendar(ZONE), NOW)
        (rest,) = figures.rests(OCTOBER)
        used = sum(one.sum for one in figures.series_sums("used", OCTOBER.first, OCTOBER.last).values())
    assert rest.meter.id == "main"
    assert abs(rest.rest) < used / 1000
    assert not rest.over_counted


def small(directory: Path, registers: Mapping[tuple[str, str], list[float]], now: int = NOW) -> None:
    write_years(directory, now, 60, {("main", IMPORT): HEAT, ("pv", IMPORT): SUN} | registers)


BESIDE = (METERS[0], EnergyMeter("pv", "Çatı", "main", generates="import"))


def without(directory: Path, days: range, first: int = 0) -> None:
    """The main meter's export is not known on these days of November, from a quarter hour on."""
    with closing(History(directory, Calendar(ZONE))) as history:
        for number in days:
            for start in history.calendar.quarters(date(2026, 11, number))[first:]:
                key, row, index = history.place(("main", EXPORT), start, make=False)
                row.values[index], row.quality[index], row.version[index] = 0, "", 0
            history.touched(key, row)
        history.save()


def used_by_day(directory: Path) -> dict[int, int]:
    """Quarter hours of which the use is known, of the first ten days of November."""
    with closing(HistoryReader(directory)) as reader:
        figures = Figures(facts(meters=BESIDE), reader, Calendar(ZONE), NOW)
        used = figures.series_sums("used", date(2026, 11, 1), date(2026, 11, 10))
    return {day.day: one.intervals for day, one in used.items()}


async def text_of(directory: Path, address: str, meters: tuple[EnergyMeter, ...] = BESIDE) -> str:
    building = Building(replace(CALM, screen=True))
    building.history = energy_history(directory, meters=meters)
    async with client(building) as http:
        answer = await http.get(address)
        return answer.text if address.startswith("/api") else Page(answer.text).text


async def test_quarter_hours_of_which_the_feed_in_is_not_known_have_no_use(tmp_path) -> None:
    small(tmp_path, {("main", EXPORT): shape(3.0, 0.0, sun=True)})
    whole = await text_of(tmp_path, "/energy?from=2026-11-01&to=2026-11-10&lang=en")
    assert "of it was used in the building" in whole
    without(tmp_path, range(4, 5), 95)  # a single one is no reason to tell nothing apart
    assert used_by_day(tmp_path) == {day: 96 - (day == 4) for day in range(1, 11)}
    page = await text_of(tmp_path, "/energy?from=2026-11-01&to=2026-11-10&lang=en")
    assert "10 Nov 2026: at least" in page
    assert "of it was used in the building" in page
    without(tmp_path, range(4, 8), 30)
    assert used_by_day(tmp_path) == {day: 30 if 4 <= day < 8 else 96 for day in range(1, 11)}
    page = await text_of(tmp_path, "/energy?from=2026-11-01&to=2026-11-10&lang=en")
    assert "The sun gave" in page
    assert "of it was used in the building" not in page
    assert "What was fed to the grid is not known of all of it: it is not told apart." in page


async def test_where_the_feed_in_is_counted_no_more_the_use_goes_on_and_its_split_does_not(tmp_path) -> None:
    """Its register was taken out of the table, say: that may not end the building."""
    small(tmp_path, {("main", EXPORT): shape(3.0, 0.0, sun=True)})
    without(tmp_path, range(1, 21))
    assert used_by_day(tmp_path) == dict.fromkeys(range(1, 11), 96)
    page = await text_of(tmp_path, "/energy?from=2026-11-01&to=2026-11-10&lang=en")
    assert "What was fed to the grid is not known of all of it: it is not told apart." in page
    report = json.loads(await text_of(tmp_path, "/api/v1/report?month=2026-11"))
    assert [line["fed"] for line in report["lines"]][:20] == [None] * 20


async def test_a_main_meter_that_counts_no_feed_in_says_that_nobody_knows_it(tmp_path) -> None:
    small(tmp_path, {})
    page = await text_of(tmp_path, "/energy?from=2026-11-01&to=2026-11-10&lang=en")
    assert "No meter counts what is fed to the grid" in page
    assert "of it was used in the building" not in page
    home = await text_of(tmp_path, "/?lang=en")
    assert "The sun today" in home
    assert "all used in the building" not in home
    screen = await text_of(tmp_path, "/screen?lang=en")
    assert "given by the sun today" in screen


async def test_what_an_inverter_draws_at_night_is_no_energy_of_the_sun(tmp_path) -> None:
    now = NOW - 14 * 3_600_000  # 05:22
    small(tmp_path, {("main", EXPORT): [0.0] * 100, ("pv", EXPORT): [0.0 if kw else 0.2 for kw in SUN]}, now)
    building = Building(replace(CALM, taken=now))
    building.history = energy_history(tmp_path, meters=BESIDE)
    async with client(building) as http:
        home = Page((await http.get("/?lang=en")).text).text
        day = Page((await http.get("/energy?day=2026-11-20&lang=en")).text).text
    assert "The sun today 0.0 kWh" in home
    assert "-0." not in day
    assert "−0." not in day


@pytest.mark.parametrize("address", ["/report/2026", "/report/2026-10"])
async def test_a_meter_that_the_configuration_has_no_more_is_named_in_the_report(tmp_path, address) -> None:
    """What it counted would be missing from the past without a word."""
    small(tmp_path, {})
    words = "pv measured in this time and stands in the configuration no more"
    assert words not in await text_of(tmp_path, f"{address}?lang=en")
    building = Building(CALM)
    building.history = energy_history(tmp_path, meters=BESIDE[:1])
    async with client(building) as http:
        assert words in Page((await http.get(f"{address}?lang=en")).text).text


# ---- a plant of which nobody can tell yet which register counts its yield

WORDS = "counts its yield is not known yet, and what it gave is in no sum"
UNTOLD = (
    *BESIDE,
    EnergyMeter("lamps", "Aydınlatma", "main"),
    EnergyMeter("pv2", "Otopark", "main", generates="auto"),
)


@pytest.fixture(scope="module")
def two_plants(tmp_path_factory) -> Path:
    """The registers of the second one grow by night, too: which counts its yield its days do not tell."""
    path = tmp_path_factory.mktemp("plants")
    both = {("pv2", IMPORT): shape(20.0, 0.5), ("pv2", EXPORT): shape(0.1, 0.1), ("lamps", IMPORT): LAMPS}
    small(path, both | {("main", EXPORT): shape(3.0, 0.0, sun=True)})
    return path


def told(way: str) -> tuple[EnergyMeter, ...]:
    return (*UNTOLD[:-1], replace(UNTOLD[-1], generates=way))


async def test_without_one_of_two_plants_no_use_and_no_share_is_a_whole(two_plants) -> None:
    month = await text_of(two_plants, "/energy?month=2026-10&lang=en", UNTOLD)
    assert "October 2026: at least" in month
    assert re.search(r"daytime 06–17 ≥\s", month)
    assert "The sun gave at least" in month
    assert "of it was used in the building" not in month
    assert f"Which register of Otopark {WORDS}" in month
    report = await text_of(two_plants, "/report/2026-10?lang=en", UNTOLD)
    assert "October 2026: at least" in report
    assert "of it used here" not in report
    assert f"Which register of Otopark {WORDS}" in report
    home = await text_of(two_plants, "/?lang=en", UNTOLD)
    assert "The sun today at least" in home
    assert not re.search("(less|more) than that", home)
    screen = await text_of(two_plants, "/screen?lang=en", UNTOLD)
    assert "given by the sun today" in screen
    with closing(HistoryReader(two_plants)) as reader:
        figures = Figures(facts(meters=UNTOLD), reader, Calendar(ZONE), NOW)
        assert [part.share for part in figures.parts(OCTOBER)] == [None]


@pytest.mark.parametrize("address", ["/energy?month=2026-10&lang=en", "/report/2026-10?lang=en"])
async def test_once_it_is_told_all_is_said_again(two_plants, address) -> None:
    page = await text_of(two_plants, address, told("import"))
    assert "at least" not in page
    assert WORDS not in page
    assert re.search("of it was used in the building|of it used here", page)


async def test_a_plant_that_began_later_takes_nothing_from_the_time_before(tmp_path) -> None:
    small(tmp_path, {("main", EXPORT): shape(3.0, 0.0, sun=True)})
    write_years(tmp_path, NOW, 5, {("pv2", IMPORT): shape(20.0, 0.5), ("pv2", EXPORT): shape(0.1, 0.1)})
    before = await text_of(tmp_path, "/energy?month=2026-10&lang=en", UNTOLD)
    assert "at least" not in before
    assert "of it was used in the building" in before
    assert "November 2026: at least" in await text_of(tmp_path, "/energy?month=2026-11&lang=en", UNTOLD)


async def test_the_week_of_a_plant_is_told_by_what_it_gives(tmp_path) -> None:
    """Its nights took 0 kW, its working days up to what the sun gave."""
    write_years(tmp_path, NOW, 35, below_a_sub_meter())
    building = Building(CALM)
    building.history = energy_history(tmp_path, meters=METERS)
    async with client(building) as http:
        told = {
            query: Page((await http.get(f"/energy?month=2026-11&lang=en{query}")).text).text
            for query in ("&meter=pv", "&meter=main&quantity=active_energy_export", "", "&meter=heat")
        }
    *given, whole, heat = told.values()
    assert re.search(r"Gives up to [\d.]+ kW, the most at 12–13", given[0])
    assert "It gave nothing in the last four weeks" in given[1], "all of it was used behind the panel"
    assert "Nights take" not in given[0] + given[1]
    for text in (whole, heat):
        assert re.search(r"Nights take [\d.]+ kW, working days up to [\d.]+ kW", text)
        assert "Gives up to" not in text


async def test_a_plant_below_snow_gave_nothing(tmp_path) -> None:
    nothing = {**below_a_sub_meter(), ("pv", EXPORT): [0.0] * len(SUN)}
    write_years(tmp_path, NOW, 35, nothing)
    building = Building(CALM)
    building.history = energy_history(tmp_path, meters=METERS)
    async with client(building) as http:
        text = Page((await http.get("/energy?month=2026-11&meter=pv&lang=en")).text).text
    assert "It gave nothing in the last four weeks" in text
