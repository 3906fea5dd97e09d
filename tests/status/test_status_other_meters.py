"""Water, heat and pulses: seen by hour, day and month in their own unit, on pages, in files, by programs."""

from __future__ import annotations

import csv
import io
import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from energy_building import QUARTER, ZONE, energy_history, facts, keep_polls, make_history
from status_building import CALM, Building
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import History, HistoryReader
from gateway.status.energy.building import energy_view, meter_use
from gateway.status.energy.facts import EnergyHistory, EnergyMeter
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import parse
from gateway.status.energy.quality import polls_of_week, quality_view
from gateway.status.exports.files import write_csv
from gateway.status.exports.views import tables_of
from gateway.status.words.language import Locale

NOW = int(datetime(2026, 11, 25, 9, 44, tzinfo=ZONE).astimezone(UTC).timestamp() * 1000)
TODAY = date(2026, 11, 25)
WATER = EnergyMeter("water", "Su sayacı")
HEAT = EnergyMeter("boiler", "Kazan dairesi")
GATE = EnergyMeter("gate", "Turnike")
COUNTS = {
    # base units of a quarter hour: ml, Wh, pulses
    ("water", "volume"): 12_345,
    ("water", "pulse_count"): 1,
    ("boiler", "heat_energy"): 2_500,
    ("boiler", "volume"): 100_000,
    ("gate", "pulse_count"): 3,
}


def put(directory, gap=lambda _meter, _day: False, days=60):
    """A history of what is no electricity, the same in every quarter hour."""
    calendar = Calendar(ZONE)
    history = History(directory, calendar)
    for number in range(days, -1, -1):
        day = TODAY - timedelta(number)
        for start in calendar.quarters(day):
            if start + QUARTER > NOW:
                break
            for register, value in COUNTS.items():
                if gap(register[0], day):
                    continue
                key, row, index = history.place(register, start, make=True)
                row.put(index, value, "m", corrected=False)
                row.publish(index, row.values[index], row.quality[index], 1)
                history.touched(key, row)
    history.save()
    history.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> EnergyHistory:
    """A building of which no electricity is metered."""
    directory = tmp_path_factory.mktemp("alone")
    put(directory)
    return EnergyHistory(facts(meters=(WATER, HEAT, GATE)), partial(HistoryReader, directory))


@pytest.fixture(scope="module")
def beside(tmp_path_factory) -> EnergyHistory:
    """The town hall; beside it a water meter that was silent for two days, heat, a counter of people."""
    directory = tmp_path_factory.mktemp("beside")
    make_history(directory, NOW, days=60)
    put(directory, lambda meter, day: meter == "water" and day.day in {3, 4} and day.month == 11)
    more = (*facts().meters, WATER, HEAT, GATE)
    return energy_history(directory, meters=more)


def view(history, meter="", quantity="", language="en", **query):
    with closing(history.open()) as reader:
        figures = Figures(history.facts, reader, Calendar(ZONE), NOW)
        figures.focus_on(meter, quantity)
        f = Locale(language, "Europe/Istanbul", NOW)
        return energy_view(figures, parse(query or {"month": "2026-10"}, TODAY), meter, f)


@pytest.mark.parametrize(
    ("meter", "quantity", "amount", "rate"),
    [
        ("water", "", "36.739 m³", "m³/h"),
        ("boiler", "", "7,440 kWh", "kW"),
        ("boiler", "volume", "297.60 m³", "m³/h"),
        ("gate", "", "8,928 pulses", "pulses/h"),
    ],
)
def test_a_month_of_a_meter_is_shown_in_its_own_unit(alone, meter, quantity, amount, rate):
    shown = view(alone, meter, quantity)
    assert shown.title == f"October 2026: {amount}"
    assert shown.main.unit == f"{amount.split()[1]} in a day"
    assert shown.rate == rate
    assert not shown.bands, "a tariff is of electricity"
    assert not any(name in {"CO₂", "Cost"} for name, *_ in shown.facts)


def test_water_by_hour_day_and_month(alone):
    for query, wide, first in (
        ({"day": "2026-11-20", "by": "quarter"}, 96, "0.012"),
        ({"day": "2026-11-20"}, 24, "0.049"),
        ({"month": "2026-10"}, 31, "1.185"),
        ({"year": "2026", "by": "month"}, 3, "36.739"),
    ):
        shown = view(alone, "water", **query)
        amounts = [cell for row in shown.main.table.rows for cell in row if cell == first]
        assert len(shown.main.table.rows) == wide, query
        assert amounts, (query, shown.main.table.rows[0])
        assert "kWh" not in str(shown.main), query
        assert "kW" not in "".join(shown.main.table.heads), query


def test_no_word_of_kilowatts_stands_on_the_page_of_water_or_pulses(beside):
    for meter, unit in (("water", "m³"), ("gate", "darbe")):
        for query in ({}, {"day": "2026-11-25"}, {"month": "2026-11"}, {"year": "2026"}):
            shown = view(beside, meter, language="tr", **query)
            assert "kW" not in str(shown), (meter, query)
            assert unit in shown.title


def test_the_whole_of_a_leak_is_told_at_night(alone):
    shown = view(alone, "water", month="2026-11")
    assert ("Never less", "0.049 m³/h", "also at night: 100% of yesterday") in shown.facts
    assert shown.night_title == "At night 0.049 m³/h on average"
    names = {name for name, *_ in shown.facts}
    assert names == {"Highest", "Never less"}, "a flow is no power"


def test_a_building_without_electricity_opens_on_its_first_meter_and_names_the_others(alone):
    shown = view(alone, month="2026-10")
    assert shown.title == "October 2026: 36.739 m³"
    assert [item.text for item in shown.meters] == ["Building", "Su sayacı", "Kazan dairesi", "Turnike"]


def test_what_a_heat_meter_counts_is_a_choice_that_its_links_keep(alone):
    shown = view(alone, "boiler", "volume")
    assert [(item.text, item.here) for item in shown.quantities] == [("Heat energy", False), ("Volume", True)]
    assert "quantity=volume" not in shown.quantities[0].href
    for link in (shown.before, *shown.spans, *shown.steps, *shown.downloads):
        assert "meter=boiler&quantity=volume" in link.href, link
    assert not view(alone, "water").quantities, "pulses are what its volume is made of"


def test_the_page_of_the_building_names_them_apart_and_leaves_its_sums_alone(beside, tmp_path):
    make_history(tmp_path, NOW, days=60)
    without, with_them = view(energy_history(tmp_path), month="2026-11"), view(beside, month="2026-11")
    assert with_them.title == without.title
    assert [share.kwh for share in with_them.shares] == [share.kwh for share in without.shares]
    assert [(name, amount) for name, _href, amount in with_them.others] == [
        ("Su sayacı", "≥\u00a026.542 m³"),
        ("Kazan dairesi: Heat energy", "5,855 kWh"),
        ("Kazan dairesi: Volume", "234.20 m³"),
        ("Turnike", "7,026 pulses"),
    ]


def test_the_calendar_says_what_is_missing_of_water(beside):
    with closing(beside.open()) as reader:
        shown = quality_view(
            Figures(beside.facts, reader, Calendar(ZONE), NOW), Locale("en", "Europe/Istanbul", NOW)
        )
    said = {meter.id: meter.says for meter in shown.meters}
    assert said["water"] == "2 days incomplete"
    assert said["boiler"] == said["gate"] == "nothing is missing"
    assert said["main"] == "2.0 h estimated, the total is exact"
    assert [what for _day, meter, what in shown.days if meter == "Su sayacı"] == ["24.0 h missing"] * 2


def rows(history, meter, quantity="", language="en", by="day"):
    f = Locale(language, "Europe/Istanbul", NOW)
    with closing(history.open()) as reader:
        figures = Figures(history.facts, reader, Calendar(ZONE), NOW)
        figures.focus_on(meter, quantity)
        period = parse({"month": "2026-10", "by": by}, TODAY)
        out = io.BytesIO()
        write_csv(tables_of("energy", figures, period, meter, (), f)[0], language, out)
    text = out.getvalue().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text), delimiter=";" if language == "tr" else ","))


def test_a_file_has_whole_millilitres_and_pulses(alone):
    heads, first, *_ = rows(alone, "water")
    assert heads == ["Beginning", "What", "Sum, m³", "Known, %", "Quality"]
    assert first[2:] == ["1.185120", "100.0", "measured"]
    assert rows(alone, "gate")[1][2] == "288"
    assert rows(alone, "boiler", "volume", "tr")[0][2] == "Toplam, m³"
    assert rows(alone, "boiler", "volume", "tr")[1][2] == "9,600000"


def test_the_page_of_a_meter_says_what_it_counted_lately(alone):
    with closing(alone.open()) as reader:
        figures = Figures(alone.facts, reader, Calendar(ZONE), NOW)
        f = Locale("tr", "Europe/Istanbul", NOW)
        water = meter_use(figures, "water", f)
        assert [(amount, href) for _name, amount, href in water] == [
            ("0,469\u00a0m³", "/energy?day=2026-11-25&meter=water"),
            ("1,185\u00a0m³", "/energy?day=2026-11-24&meter=water"),
            ("28,912\u00a0m³", "/energy?month=2026-11&meter=water"),
            ("36,739\u00a0m³", "/energy?month=2026-10&meter=water"),
            ("%100 ölçüldü", "/quality"),
        ]
        boiler = meter_use(figures, "boiler", f)
        assert boiler[1][1] == "240\u00a0kWh, 9,600\u00a0m³"
        assert meter_use(figures, "nobody", f) == []


async def test_pages_files_and_programs_answer_by_the_address_alone(alone, beside):
    building = Building(CALM)
    building.history = beside
    async with client(building) as http:
        page = (await http.get("/energy?month=2026-10&meter=boiler&quantity=volume&lang=tr")).text
        assert "<h1>Ekim 2026: 297,60 m³</h1>" in page
        assert "Su sayacı" in (await http.get("/quality?lang=tr")).text
        assert (await http.get("/energy?meter=water&quantity=heat_energy")).status_code == 404
        body = (await http.get("/api/v1/energy?month=2026-10&meter=water")).json()
        assert (body["unit"], body["quantity"], body["sum"]) == ("ml", "volume", 31 * 96 * 12_345)
        assert not body["bands"]
        assert (await http.get("/api/v1/energy?month=2026-10&quantity=volume")).status_code == 400
        address = "/api/v1/energy?month=2026-10&meter=boiler&quantity=volume&format=csv&lang=en"
        assert (await http.get(address)).text.splitlines()[1].split(",")[2] == "9.600000"
        assert (await http.get(address.replace("=volume", "=pulse_count"))).status_code == 503
        report = Page((await http.get("/report/2026-10?lang=en")).text).text
        assert "Su sayacı" not in report, "a report is of electricity"
    building.history = alone
    async with client(building) as http:
        assert "<h1>October 2026: 36.739 m³</h1>" in (await http.get("/energy?month=2026-10&lang=en")).text
        for address in (
            "/",
            "/reactive",
            "/quality",
            "/report",
            "/report/2026-10",
            "/api/v1/report?year=2026",
        ):
            assert (await http.get(address)).status_code == 200, address


async def test_a_water_meter_at_the_top_of_the_tree_takes_no_reactive_energy_from_the_report(
    beside, tmp_path
):
    make_history(tmp_path, NOW, days=60)
    said = []
    # It may stand first in the configuration, too.
    for history in (
        energy_history(tmp_path),
        beside,
        energy_history(beside.open.args[0], meters=(WATER, *facts().meters)),
    ):
        building = Building(CALM)
        building.history = history
        async with client(building) as http:
            report = (await http.get("/api/v1/report?month=2026-11")).json()["lines"]
            rows = (await http.get("/api/v1/reactive?format=csv&lang=en")).text
            rest = (await http.get("/api/v1/tree?month=2026-11&format=csv&lang=en")).text.splitlines()[-1]
            said.append(([(line["inductive"], line["capacitive"]) for line in report], rows, rest))
    assert said[0][0][0][0]
    assert len(said[0][1].splitlines()) == 22
    assert "main" in said[0][2]
    assert said[1] == said[0] == said[2]


def polled(directory, hours=24 * 6 + 9, failed=None, meter="main") -> EnergyHistory:
    """A building whose meter was polled until NOW; `failed` as `keep_polls`."""
    directory.mkdir(exist_ok=True)
    put(directory, days=2)
    keep_polls(directory, NOW, meter, hours, failed or {})
    meters = (EnergyMeter("main", "Ana sayaç"), WATER)
    return EnergyHistory(facts(meters=meters), partial(HistoryReader, directory))


def week(history, language="en", meter="main"):
    with closing(history.open()) as reader:
        figures = Figures(history.facts, reader, Calendar(ZONE), NOW)
        return polls_of_week(figures, meter, Locale(language, "Europe/Istanbul", NOW))


def test_how_a_meter_answered_last_week_is_said_drawn_and_in_a_table(tmp_path):
    # NOW is 09:44; nothing is known of two hours of yesterday, and most was lost this morning.
    shown = week(polled(tmp_path, failed={5: 306, 4: 180, 60: 9, 20: None, 21: None}))
    assert shown.title == "Polls answered in the last seven days: 99.1%"
    assert shown.notes == ("The most were not answered on Wednesday 25 November, 04:00–06:00.",)
    assert shown.table.heads == ("Day", "Polls", "Not answered", "Answered")
    assert [row[1:] for row in shown.table.rows] == [
        ("8,640", "0", "100%"),
        ("8,640", "0", "100%"),
        ("8,640", "0", "100%"),
        ("8,640", "9", "99.9%"),
        ("8,640", "0", "100%"),
        ("7,920", "0", "100%"),
        ("3,600", "486", "86.5%"),
    ]
    assert shown.table.rows[-1][0] == "Wednesday 25 November"
    svg = str(shown.svg)
    assert svg.count("h.88v19") == 24 * 6 + 10 - 5, "an hour in which all were answered"
    assert svg.count("h.8v17") == 2, "an hour of which nothing is known"
    assert [*re.findall("<title>(.*?)</title>", svg)] == [
        "22 Nov 21–22: 97.5%", "25 Nov 04–05: 15.0%", "25 Nov 05–06: 50.0%",
    ]  # fmt: skip


def test_a_week_without_a_loss_says_so_and_one_that_began_late_since_when(tmp_path):
    shown = week(polled(tmp_path, hours=30))
    assert shown.title == "Every poll of the last seven days was answered"
    assert shown.notes == ("Counted since Tuesday 24 November, 03:00.",)
    assert len(shown.table.rows) == 2
    assert week(polled(tmp_path / "other", meter="water")) is None


def test_a_loss_over_midnight_names_both_days(tmp_path):
    shown = week(polled(tmp_path, failed={11: 1, 10: 1, 9: 1, 8: 1}))
    assert shown.notes == ("Not answered: Tuesday 24 November, 22:00–Wednesday 25 November 02:00.",)
    assert shown.title == "Polls answered in the last seven days: 99.9%", "all is only what is all"


async def test_the_page_of_a_meter_on_a_line_shows_how_it_answered(tmp_path):
    building = Building(replace(CALM, taken=NOW))
    building.history = polled(tmp_path, failed={5: 306, 4: 180})
    async with client(building) as http:
        english, turkish = [(await http.get(f"/meter/main?lang={each}")).text for each in ("en", "tr")]
        other = (await http.get("/meter/hvac?lang=en")).text
    assert "<h2>Polls answered in the last seven days: 99.1%</h2>" in english
    assert "<h2>Son yedi günde yanıtlanan sorgular: %99,1</h2>" in turkish
    assert "25 Kasım Çarşamba" in Page(turkish).text
    assert "last seven days" not in other, "nothing is known of it"
