"""One figure is the same wherever it stands: on the first screen, the pages, in the files, in the lobby."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from datetime import date

import pytest
from energy_building import ZONE, energy_history, make_history
from hypothesis import given
from hypothesis import strategies as st
from long_history import write_years
from page_states import STATES
from status_building import CALM, METERS, NOW, Building, electric, lost, meter
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import HistoryReader
from gateway.status.energy.facts import EnergyMeter
from gateway.status.energy.figures import Figures
from gateway.status.energy.gauge import reactive_ratio
from gateway.status.energy.month import about
from gateway.status.energy.shown import KWH, kw, shared_out
from gateway.status.words.language import Locale

NOON = NOW - 26_400_000 - 900_000
"""Saturday 21 November 2026, 11:50 in Istanbul."""


def with_plant(drawn: float = 5.0, gives: float = 12.0, **more):
    """The town hall with its plant, at noon."""
    roof = meter("pv", "Çatı güneş", 1, electric(gives, 310.2), parent="main")
    main = replace(METERS[0], values=electric(drawn, 184_223.5))
    return replace(CALM, **{"screen": True, "taken": NOON, "meters": (main, roof), **more})


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOON, 62)
    return path


@pytest.fixture
def building(directory):
    building = Building(with_plant())
    building.history = energy_history(directory)
    return building


async def texts(building: Building, *paths: str) -> list[str]:
    async with client(building) as http:
        answers = [await http.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    return [Page(answer.text).text for answer in answers]


# ---- now


async def test_the_building_now_is_one_number_at_the_door_and_on_the_first_screen(building) -> None:
    home, lobby = await texts(building, "/?lang=en", "/screen?lang=en")
    assert "The building now 12 kW of it from the sun 17 kW" in home
    assert "Now 17 kW" in lobby
    says = re.search(r"(?:as|more than|less than) usual at this hour: \S+", lobby)
    assert says
    assert says[0] in home
    assert re.search(r"17 kW \d+ kW (more|less) than an hour ago|17 kW as much as an hour ago", home)
    assert home.index("The building now") < home.index("Today until") < home.index("November, day")
    assert (
        home.index("November, day") < home.index("Data all at the platform") < home.index("Reactive charge")
    )


async def test_what_the_building_uses_is_not_told_where_it_is_not_known(building) -> None:
    main, roof = with_plant().meters
    for meters in ((main, lost(roof, NOON, 900.0)), (lost(main, NOON, 900.0), roof)):
        building.now = with_plant(meters=meters)
        [home] = await texts(building, "/?lang=en")
        assert "The building now" not in home
        assert "Ana sayaç" in home


async def test_who_feeds_in_and_has_no_meter_of_the_plant_uses_nobody_knows_what(directory, building) -> None:
    """It was shown in the lobby as a building that uses nothing."""
    alone = replace(METERS[0], values=electric(-5.0, 100.0))
    history = energy_history(directory)
    facts = replace(history.facts, meters=tuple(each for each in history.facts.meters if not each.generates))
    building.now, building.history = with_plant(meters=(alone,)), replace(history, facts=facts)
    home, lobby = await texts(building, "/?lang=en", "/screen?lang=en")
    assert "0.0 kW" not in lobby
    assert "The building now" not in home


async def test_a_meter_that_only_gives_has_no_base_load_and_promises_nothing_in_the_lobby(tmp_path) -> None:
    """Its page said that 0.0 kW is never switched off; the lobby, that the usual comes in two weeks."""
    building = STATES["export_only"](tmp_path)
    page, lobby = await texts(building, "/energy?lang=en", "/screen?lang=en")
    assert "never switched off" not in page
    assert "run at night" not in page
    assert "Nobody measures the electricity of our building here." in lobby
    assert "two weeks" not in lobby
    assert "0.0 kW" not in lobby


# ---- today, the month


def number(text: str) -> float:
    return float(text.replace(",", ""))


async def test_today_is_one_sum_in_every_place(building) -> None:
    home, page, lobby = await texts(
        building, "/?lang=en", "/energy?day=2026-11-21&lang=en", "/screen?lang=en"
    )
    async with client(building) as http:
        asked = (await http.get("/api/v1/energy?day=2026-11-21")).json()
        rows = (await http.get("/api/v1/energy?day=2026-11-21&by=quarter&format=csv&lang=en")).text
    shown = re.search(r"Today until 11:45 ([\d.,]+) kWh", home)
    assert shown
    assert f"Saturday 21 November 2026: {shown[1]} kWh" in page
    assert f"Today {shown[1]} kWh" in lobby
    assert round(asked["sum"] / 1000, 0 if asked["sum"] >= 100_000 else 1) == number(shown[1])
    assert sum(value for _start, value in asked["intervals"]) == asked["sum"]
    assert len(asked["intervals"]) + 1 == len(rows.splitlines())


async def test_today_ends_where_what_is_counted_ends(tmp_path, building) -> None:
    """The newest quarter hour is still on its way: half of a minute after it is over it need not be there."""
    make_history(tmp_path, NOON, 30)
    building.history = energy_history(tmp_path)
    building.now = with_plant(taken=NOON + 11 * 60_000)
    home, page = await texts(building, "/?lang=en", "/meter/main?lang=en")
    assert "Today until 11:45" in home
    assert "Today until 11:45" in page


async def test_the_forecast_of_the_month_is_the_same_on_both_pages(building) -> None:
    """Against a month with a day more the page of energy left that day out and told another change."""
    home, page = await texts(building, "/?lang=en", "/energy?month=2026-11&lang=en")
    ahead = re.search(r"heading for about ([\d,]+)", home)
    change = re.search(r"October 2026: [\d,]+ kWh; (\d+% (?:more|less) than|as much as) that", home)
    assert ahead
    assert change
    assert f"Heading for about {ahead[1]} kWh at the end of the month, {change[1]} October 2026" in page
    month = re.search(r"November, day 21 ([\d,]+) kWh", home)
    assert month
    async with client(building) as http:
        asked = (await http.get("/api/v1/energy?month=2026-11")).json()
        report = (await http.get("/api/v1/report?month=2026-11")).json()
    assert round(asked["sum"] / 1000) == number(month[1])
    assert sum(line["used"] for line in report["lines"]) == asked["sum"]
    [november] = await texts(building, "/report/2026-11?lang=en")
    assert f"November 2026: {month[1]} kWh" in november


def test_a_small_building_heads_for_more_than_nothing() -> None:
    """Its month was rounded to hundreds of kWh."""
    f = Locale("en", "Europe/Istanbul", NOW)
    assert [about(kwh, 0, f) for kwh in (7.4, 43.2, 432.1, 4321.0, 17_546.0)] == [
        "7",
        "43",
        "432",
        "4,320",
        "17,500",
    ]


async def test_the_main_meter_says_that_its_sums_are_of_the_grid(building) -> None:
    """Beside the sums of the building, which has a plant, they are smaller."""
    main, sockets = await texts(building, "/meter/main?lang=en", "/energy?meter=main&month=2026-11&lang=en")
    month = re.search(r"November ([\d,]+) kWh from the grid", main)
    assert month
    assert f"November 2026: {month[1]} kWh" in sockets


async def test_a_day_that_stands_beside_a_public_holiday_is_told(building) -> None:
    """29 October was one: four weeks later a Thursday stood far above its line, and nobody knew why."""
    addresses = (
        "/energy?month=2026-11&lang=en",
        "/energy?week=2026-11-21&lang=en",
        "/energy?year=2026&lang=en",
    )
    month, week, year = await texts(building, *addresses)
    assert "Short line: the same weekday four weeks before. 29 Oct was a public holiday." in month
    assert "Short line: the same weekday four weeks before." in week
    assert "holiday" not in week + year


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=6), st.sampled_from([100, 1000]))
def test_parts_that_are_shown_with_their_sum_add_up_to_it(parts, step) -> None:
    shown = shared_out(parts, step)
    assert sum(shown) == round(sum(parts) / step) * step
    assert all(abs(mine - part) < step and not mine % step for mine, part in zip(shown, parts, strict=True))


@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=1, max_size=31),
    st.sampled_from([100, 1000]),
)
def test_columns_below_whose_sums_another_sum_stands_add_up_to_both(lines, step) -> None:
    columns = [*zip(*lines, strict=True)]
    sums = shared_out([sum(column) for column in columns], step)
    assert sum(sums) == round(sum(map(sum, columns)) / step) * step
    for column, whole in zip(columns, sums, strict=True):
        shown = shared_out(column, step, whole)
        assert sum(shown) == whole
        assert all(abs(mine - part) < step for mine, part in zip(shown, column, strict=True))


async def test_the_parts_of_the_tariff_add_up_to_the_sum_above_them(building) -> None:
    """16 + 69 + 16 per cent, and a kWh less than the day had."""
    for day in range(2, 21):
        [page] = await texts(building, f"/energy?day=2026-11-{day:02}&lang=en")
        whole = re.search(r"November 2026: ([\d,.]+) kWh", page)
        parts = re.findall(r"(?:peak|daytime|night) \d\d–\d\d ([\d,.]+) kWh (\d+)% of all", page)
        assert whole
        assert len(parts) == 3
        assert sum(number(kwh) for kwh, _ in parts) == pytest.approx(number(whole[1]))
        assert sum(int(share) for _, share in parts) == 100


# ---- the reactive ratio, the peak


async def test_a_ratio_has_the_same_digits_in_words_and_in_the_picture(building) -> None:
    f = Locale("en", "Europe/Istanbul", NOW)
    assert reactive_ratio(5.47, f) == "5.5%"
    assert reactive_ratio(19.96, f) == "20.0%"
    [page] = await texts(building, "/reactive?lang=en")
    heads = re.findall(r"(inductive|capacitive): \S+ so far, heading for (\S+)", page)
    assert [kind for kind, _ratio in heads] == ["inductive", "capacitive"]
    told = re.findall(r"At the end of the month (\S+)", page) or re.findall(r"Heading for (\d\S*)", page)
    for _kind, ratio in heads:
        assert ratio in told


async def test_the_peak_is_said_to_be_of_the_grid_where_the_sun_gives_beside_it(building) -> None:
    home, page = await texts(building, "/?lang=en", "/energy?month=2026-11&lang=en")
    peak = re.search(r"Peak (\d+) kW from the grid, ", home)
    assert peak
    assert f"Peak {peak[1]} kW from the grid, " in page


@pytest.mark.parametrize("peak_kw", [0.2, 2.6, 9.4, 9.96, 12.3])
async def test_a_peak_has_the_same_digits_wherever_it_is_told(tmp_path, peak_kw) -> None:
    """Below 10 kW one decimal; a car's charger of 0.2 kW was told to have none."""
    write_years(tmp_path, NOON, 40, {("main", "active_energy_import"): [peak_kw] * 100})
    building = Building(replace(CALM, taken=NOON))
    building.history = energy_history(tmp_path, meters=(EnergyMeter("main", "Ana"),), contract_kw=peak_kw / 2)
    home, energy, meter, report, days = await texts(
        building,
        "/?lang=en",
        "/energy?month=2026-11&lang=en",
        "/energy?month=2026-11&meter=main&lang=en",
        "/report/2026-11?lang=en",
        "/energy?day=2026-11-18&lang=en",
    )
    with closing(HistoryReader(tmp_path)) as reader:
        figures = Figures(building.history.facts, reader, Calendar(ZONE), NOON)
        watts = figures.peak("", date(2026, 11, 1), date(2026, 11, 21)).power
    told = f"{watts / 1000:.1f}" if watts < 9_950 else f"{watts / 1000:.0f}"
    assert f"Peak {told} kW" in home
    assert f"was passed: {told} kW on" in home
    assert f"Peak {told} kW" in energy
    assert f"Peak {told} kW" in meter
    assert re.search(rf"Peak {re.escape(told)} kW on ", report), "the title of the record"
    assert re.search(rf"Peak {re.escape(told)} kW \d+ Nov", report), "among what leads"
    assert not re.search(r"Peak 0 kW|of the contracted 0 kW", f"{home} {energy} {meter} {report} {days}")


def test_a_power_is_whole_from_ten_on_also_where_it_is_rounded_up_to_it() -> None:
    f = Locale("en", "Europe/Istanbul", NOW)
    watts = (0, 240, 9_940, 9_960, 10_040, 84_200)
    assert [KWH.power(each, f) for each in watts] == ["0.0", "0.2", "9.9", "10", "10", "84"]
    assert [kw(each / 4, f) for each in watts] == [KWH.power(each, f) for each in watts]


async def test_a_meter_with_estimated_hours_is_not_said_to_lack_nothing(tmp_path, building) -> None:
    """Its row said that nothing is missing of what was not measured, the list below it named the hours."""
    make_history(tmp_path, NOON, 30)
    building.history = energy_history(tmp_path)
    [page] = await texts(building, "/quality?lang=en")
    hours = re.search(r"Ana sayaç ([\d.]+ h estimated, the total is exact)", page)
    assert hours
    assert re.search(rf"Ana sayaç 9[\d.]+% {re.escape(hours[1])}", page)
