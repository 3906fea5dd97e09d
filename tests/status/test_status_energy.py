"""The pages of energy, from a history as the engine leaves it: numbers that add up, in both languages."""

from __future__ import annotations

import asyncio
import re
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from html import unescape

import pytest
from energy_building import METERS, QUARTER, ZONE, energy_history, facts, make_history
from long_history import shape, write_years
from page_states import broker_away, export_only, forty_meters
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import History, HistoryReader
from gateway.status.energy import charts, today
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import Period, month_of, parse
from gateway.status.page.answers import AT_LEAST
from gateway.status.words.language import Locale

TODAY = date(2026, 11, 21)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """120 days until NOW: the kitchen was silent on the 17th, two hours of the main meter are estimated."""
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, 120, gap=lambda meter, day: meter == "kitchen" and day == date(2026, 11, 17))
    return path


@pytest.fixture
def building(directory):
    building = Building(replace(CALM, service=("Ege Pano", "+90 232 000 00 00")))
    building.history = energy_history(directory)
    return building


@pytest.fixture
def figures(directory):
    reader = HistoryReader(directory)
    yield Figures(facts(), reader, Calendar(ZONE), NOW)
    reader.close()


# ---- numbers


def test_the_building_used_what_it_drew_and_did_not_feed_in_and_generated(figures) -> None:
    first, last = TODAY - timedelta(7), TODAY - timedelta(1)
    used = figures.total(figures.used(first, last))
    drawn, fed = figures.total(figures.drawn(first, last)), figures.total(figures.fed_in(first, last))
    gave = figures.total(figures.generated(first, last))
    assert used == drawn - fed + gave
    assert gave > 0


def test_bands_add_up_to_the_whole_and_hours_to_the_day(figures) -> None:
    days = figures.series_sums("used", TODAY - timedelta(30), TODAY)
    assert sum(figures.bands(days).values()) == figures.total(figures.used(TODAY - timedelta(30), TODAY))
    assert set(figures.bands(days)) == {"t1", "t2", "t3"}


def test_the_parts_and_the_unmetered_rest_are_the_building(figures) -> None:
    period = Period("range", TODAY - timedelta(7), TODAY - timedelta(5), "day")
    rest = figures.rests(period)[0]
    parts = [part for part in figures.parts(period) if part.depth == 1]
    assert rest is not None
    used = figures.total(figures.used(period.first, period.last))
    assert rest.rest + sum(part.energy for part in parts) == used
    assert [part.meter.id for part in parts] == sorted(
        (part.meter.id for part in parts),
        key=lambda name: -next(p.energy for p in parts if p.meter.id == name),
    )
    server = next(part for part in figures.parts(period) if part.meter.id == "server")
    assert server.depth == 2


def test_a_silent_day_is_missing_and_a_guess_is_estimated(figures) -> None:
    kitchen = next(meter for meter in METERS if meter.id == "kitchen")
    days = {day.day: day for day in figures.quality(kitchen, TODAY - timedelta(10), TODAY + timedelta(5))}
    assert days[date(2026, 11, 17)].kind == "missing"
    assert days[date(2026, 11, 17)].missing == 96
    assert days[date(2026, 11, 16)].kind == "measured"
    assert days[TODAY].kind == "measured"
    assert days[TODAY + timedelta(1)].kind == "future"
    main = figures.quality(METERS[0], TODAY - timedelta(13), TODAY - timedelta(13))
    assert main[0].kind == "estimated"


def test_the_newest_quarter_hour_may_be_on_its_way_and_the_one_before_may_not(directory) -> None:
    with closing(HistoryReader(directory)) as reader:
        for late, kind in ((0, "measured"), (QUARTER, "measured"), (2 * QUARTER, "missing")):
            figures = Figures(facts(), reader, Calendar(ZONE), NOW + late)
            (today,) = figures.quality(METERS[0], TODAY, TODAY)
            assert today.kind == kind, late
            period = Period("day", TODAY, TODAY, "hour")
            assert all(part.partial is (kind == "missing") for part in figures.parts(period))


def test_a_quarter_hour_without_the_plant_is_not_guessed(directory) -> None:
    reader = HistoryReader(directory)
    figures = Figures(facts(), reader, Calendar(ZONE), NOW)
    assert not figures.used(TODAY + timedelta(1), TODAY + timedelta(3))
    reader.close()


# ---- periods


@pytest.mark.parametrize(
    ("query", "first", "last", "step"),
    [
        ({}, "2026-11-01", "2026-11-30", "day"),
        ({"day": "2026-11-21"}, "2026-11-21", "2026-11-21", "hour"),
        ({"week": "2026-11-21"}, "2026-11-16", "2026-11-22", "day"),
        ({"month": "2026-02"}, "2026-02-01", "2026-02-28", "day"),
        ({"year": "2024"}, "2024-01-01", "2024-12-31", "month"),
        ({"from": "2026-01-15", "to": "2026-02-03"}, "2026-01-15", "2026-02-03", "day"),
        ({"day": "2026-11-21", "by": "quarter"}, "2026-11-21", "2026-11-21", "quarter"),
    ],
)
def test_an_address_names_a_period_and_back(query, first, last, step) -> None:
    period = parse(query, TODAY)
    assert (str(period.first), str(period.last), period.step) == (first, last, step)
    again = parse(dict(part.split("=") for part in period.query().split("&")), TODAY)
    assert again == period


@pytest.mark.parametrize(
    "query",
    [
        {"day": "yesterday"},
        {"month": "2026-13"},
        {"year": "99999"},
        {"year": "1812"},
        {"from": "2026-02-01", "to": "2026-01-01"},
        {"from": "2000-01-01", "to": "2099-12-31"},
        {"day": "2026-11-21", "by": "month"},
        {"week": "2026-11-21' OR 1=1"},
        {"day": "20261121"},
        {"day": "2026-W47-6"},
        {"month": "2026-1"},
        {"month": "2026-00"},
        {"year": "2026-11"},
        {"year": "9999"},
        {"day": "2026-11-21", "month": "2026-10"},
        {"month": "2026-10", "to": "2026-10-04"},
    ],
)
def test_what_is_no_period_is_refused_with_what_to_write(query) -> None:
    with pytest.raises(ValueError, match=r"write|empty|too far"):
        parse(query, TODAY)


def test_neighbours_touch_each_other() -> None:
    for period in (month_of(TODAY), parse({"week": "2026-11-21"}, TODAY), parse({"year": "2026"}, TODAY)):
        assert period.moved(-1).last + timedelta(1) == period.first
        assert period.moved(1).first - timedelta(1) == period.last
        assert period.moved(1).moved(-1) == period


# ---- pages


@pytest.mark.parametrize("language", ["tr", "en"])
@pytest.mark.parametrize(
    "address",
    [
        "/energy",
        "/energy?day=2026-11-20",
        "/energy?day=2026-11-20&by=quarter",
        "/energy?week=2026-11-16&by=hour",
        "/energy?month=2026-10",
        "/energy?year=2026",
        "/energy?year=2026&by=day",
        "/energy?from=2026-08-01&to=2026-11-21&by=month",
        "/energy?meter=heat",
        "/energy?meter=pv&day=2026-11-20",
        "/energy?month=2020-01",
        "/reactive",
        "/quality",
        "/",
    ],
)
async def test_every_view_is_a_page_in_both_languages(building, address, language) -> None:
    async with client(building) as http:
        response = await http.get(f"{address}{'&' if '?' in address else '?'}lang={language}")
    assert response.status_code == 200
    assert len(response.content) < 150_000
    shown = Page(response.text)
    assert f'lang="{language}"' in response.text
    assert "%(" not in shown.text
    assert "None" not in shown.text
    assert " style=" not in response.text


async def test_what_the_page_says_is_what_the_api_gives(building) -> None:
    async with client(building) as http:
        html = Page((await http.get("/energy?month=2026-10&lang=en")).text).text
        body = (await http.get("/api/v1/energy?month=2026-10")).json()
    assert sum(value for _, value in body["intervals"]) == body["sum"] == sum(body["bands"].values())
    assert len(body["intervals"]) == 31 * 96
    assert f"{body['sum'] / 1000:,.0f} kWh" in html
    assert all(
        b - a == QUARTER for (a, _), (b, _) in zip(body["intervals"], body["intervals"][1:], strict=False)
    )


async def test_the_tree_the_reactive_energy_and_the_gaps_for_programs(building) -> None:
    async with client(building) as http:
        tree = (await http.get("/api/v1/tree?month=2026-10")).json()
        reactive = (await http.get("/api/v1/reactive")).json()
        quality = (await http.get("/api/v1/quality?from=2026-11-15&to=2026-11-18")).json()
    assert {each["meter"] for each in tree["meters"]} == {"sockets", "server", "heat", "lighting", "kitchen"}
    assert not tree["unmetered"]["over_counted"]
    inductive = next(kind for kind in reactive["kinds"] if kind["kind"] == "inductive")
    assert inductive["limit"] == 20
    assert inductive["ratio"] > 20
    assert [day["known"] for day in quality["meters"]["kitchen"]] == [96, 96, 0, 96]


async def test_a_breach_is_a_job_on_the_first_screen_and_never_an_all_clear(building) -> None:
    async with client(building) as http:
        home = Page((await http.get("/?lang=en")).text).text
        reactive = Page((await http.get("/reactive?lang=en")).text).text
    assert "Everything is in order" not in home
    assert "reactive charge is coming" in home
    assert "Maintenance firm: Ege Pano +90 232 000 00 00" in home
    assert "Maintenance firm: Ege Pano +90 232 000 00 00" in reactive
    assert "inductive" in reactive
    building.history = energy_history(building.history.open().path.parent, exempt=True)
    async with client(building) as http:
        assert "Everything is in order" in Page((await http.get("/?lang=en")).text).text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"installed_kva": None}, "installed_kva"),
        ({"exempt": True}, "pays nothing"),
        ({"rules": None}, "cannot be said"),
        ({"meters": tuple(m for m in METERS if m.id != "main")}, "several main meters"),
    ],
)
async def test_what_has_no_basis_is_not_shown_and_says_what_is_missing(directory, more, said) -> None:
    building = Building(CALM)
    building.history = energy_history(directory, **more)
    async with client(building) as http:
        assert said in Page((await http.get("/reactive?lang=en")).text).text


async def test_the_first_screen_computes_the_loads_of_today_once(building, monkeypatch) -> None:
    """Its curve and what is usual at this hour stand on the same loads."""
    read = []

    def powers(figures, meter, day):
        read.append((meter, day))
        return real(figures, meter, day)

    real = today._powers
    monkeypatch.setattr(today, "_powers", powers)
    async with client(building) as http:
        page = await http.get("/?lang=en")
    assert "over the band of like days" in page.text
    assert read
    assert len(read) == len(set(read))


async def test_without_a_history_the_pages_say_when_it_begins(tmp_path) -> None:
    building = Building(CALM)
    for history in (None, energy_history(tmp_path)):
        building.history = history
        async with client(building) as http:
            for address in ("/energy", "/reactive", "/quality"):
                shown = Page((await http.get(f"{address}?lang=en")).text).text
                assert "quarter hour" in shown
            assert (await http.get("/api/v1/energy")).status_code == 503
            assert (await http.get("/")).status_code == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("day=x", "'x' is no day"),
        ("month=2026-13", "'2026-13' is no month"),
        ("year=99", "'99' is no year"),
        ("year=9999", "'9999' is too far away"),
        ("meter=nobody", "there is no meter 'nobody'"),
        ("from=2026-01-01&to=1999-01-01", "too far away"),
        ("from=2026-11-30&to=2026-11-01", "the last day, 2026-11-01, is before the first, 2026-11-30"),
        ("from=2010-01-01&to=2026-11-30", "from 2010-01-01 to 2026-11-30 is longer than ten years"),
        ("day=2026-11-20&week=2026-11-20", "more than one range"),
        ("by=second", "by='second' does not go with this range"),
    ],
)
async def test_an_address_that_means_nothing_is_refused_and_says_why(building, query, said) -> None:
    async with client(building) as http:
        page = await http.get(f"/energy?{query}&lang=en")
        refused = await http.get(f"/api/v1/energy?{query}")
        turkish = Page((await http.get(f"/energy?{query}&lang=tr")).text).text
    assert page.status_code == 404
    assert said in Page(page.text).text
    assert said not in turkish
    assert "Böyle bir sayfa yok" not in turkish
    assert refused.status_code == 400
    assert said in refused.json()["error"]


@pytest.mark.parametrize(
    ("query", "instead"),
    [
        ("from=2026-11-30&to=2026-11-01", "from=2026-11-01&to=2026-11-30"),
        ("from=2000-01-01&to=2026-11-01", "from=2016-09-15&to=2026-11-01"),
    ],
)
async def test_a_range_that_is_refused_says_in_words_which_can_be_meant(building, query, instead) -> None:
    async with client(building) as http:
        refused = [await http.get(f"/api/v1/{view}?{query}") for view in ("energy", "tree")]
        file = await http.get(f"/api/v1/energy?{query}&format=csv")
        pages = [Page((await http.get(f"/energy?{query}&lang={lang}")).text).text for lang in ("en", "tr")]
        meant = await http.get(f"/energy?{instead}&lang=en")
    assert all(instead in answer.json()["hint"] for answer in [*refused, file])
    assert all(instead in page for page in pages)
    assert ("önce" in pages[1]) or ("on yıldan" in pages[1])
    assert meant.status_code == 200


async def test_one_tap_leads_from_a_range_the_wrong_way_round_to_the_one_that_is_meant(building) -> None:
    async with client(building) as http:
        page = await http.get("/energy?from=2026-11-20&to=2026-11-01&meter=sockets&by=hour&x=1&lang=tr")
        address = re.search(r'<a href="(\?[^"]*)">Bu aralığı göster', page.text)
        shown = await http.get(f"/energy{unescape(address[1])}")
        none = await http.get("/energy?day=2026-11-20&week=2026-11-20&lang=tr")
    assert unescape(address[1]) == "?from=2026-11-01&to=2026-11-20&meter=sockets&lang=tr"
    assert shown.status_code == 200
    assert "Bu aralığı göster" not in none.text


@pytest.mark.parametrize("range_", ["day=2026-13-01", "year=2025", "from=2026-11-01", "week=2026-11-02"])
async def test_a_view_that_is_of_one_range_takes_no_other(building, range_) -> None:
    word = range_.partition("=")[0]
    async with client(building) as http:
        quality = await http.get(f"/quality?{range_}&lang=en")
        assert quality.status_code == 404
        assert f"leave {word}= out" in Page(quality.text).text
        reactive = await http.get(f"/reactive?{range_}&lang=en")
        assert reactive.status_code == 404
        assert "reactive energy is judged by the month write month=2026-11" in Page(reactive.text).text
        refused = await http.get(f"/api/v1/reactive?{range_}")
        assert refused.status_code == 400
        assert "write month=2026-11" in refused.json()["hint"]
        for query in ("day=2026-11-20", "week=2026-11-20", "from=2026-01-01&to=2026-11-01"):
            refused = await http.get(f"/api/v1/report?{query}")
            assert refused.status_code == 400
            assert "write year=2026 or month=2026-11" in refused.json()["hint"]


# ---- pictures


@pytest.mark.parametrize(
    ("query", "head"),
    [("day=2026-11-20", "Saat"), ("month=2026-11", "Gün"), ("year=2026&by=month", "Ay")],
)
async def test_above_the_names_of_bars_stands_what_they_are(building, query, head) -> None:
    async with client(building) as visitor:
        html = (await visitor.get(f"/energy?{query}&lang=tr")).text
    heads = re.findall(r'<table class="nums[^"]*"><thead><tr><th scope="col">([^<]*)', html)
    assert heads[0] == head
    assert head in heads[1:], "that of the sun, too"


async def test_the_hours_of_a_week_stand_below_each_other_with_the_days_side_by_side(building) -> None:
    async with client(building) as visitor:
        html = (await visitor.get("/energy?lang=tr")).text
    table = html.partition("Tablo: gün × saat")[2].partition("</table>")[0]
    heads = re.findall(r'<th scope="col">([^<]*)', table)
    assert heads == ["Saat", "Pzt", "Sal", "Çar", "Per", "Cum", "Cmt", "Paz"]
    rows = [row.split("<td>") for row in table.split("<tr>")[2:]]
    assert [len(row) for row in rows] == [8] * 24
    noon, night = (float(rows[hour][1].replace(",", ".")) for hour in (12, 3))
    assert noon > night, "Monday"


def test_a_scale_has_two_to_six_lines_at_round_numbers_and_reaches_the_top() -> None:
    for most in (0.02, 0.9, 1.0, 7.3, 99, 100, 101, 1234, 98_765):
        axis = charts.scale(most)
        assert axis.top >= most * (1 - 1e-9)
        assert 2 <= len(axis.lines) <= 7
        assert f"{axis.step:e}"[:3] in {"1.0", "2.0", "2.5", "5.0"}


def test_a_curve_breaks_where_nothing_is_known_and_names_are_escaped() -> None:
    number = charts.Numbers(Locale("en", "UTC", 0).number, "kW")
    svg = charts.curves(
        [charts.Curve((1.0, 2.0, None, 3.0, 4.0), "now")], height=100, says='<b>"x"', number=number
    )
    assert svg.count("<polyline") == 2
    assert "<b>" not in svg
    assert "&quot;x&quot;" in svg


def test_holidays_are_those_that_the_history_knows(figures) -> None:
    assert figures.calendar.holidays == {date(2026, 10, 29)}
    assert figures.calendar.half == {date(2026, 10, 28)}
    assert figures.calendar.kind(date(2026, 10, 29)) == figures.calendar.kind(date(2026, 11, 1)), (
        "as a Sunday"
    )


async def test_a_meter_that_only_feeds_in_is_shown_as_what_it_is(tmp_path) -> None:
    async with client(export_only(tmp_path)) as http:
        shown = Page((await http.get("/energy?lang=en")).text).text
        turkish = Page((await http.get("/energy?lang=tr")).text).text
    assert re.search(r"November 2026: [\d,]+ kWh Çatı counts what is fed to the grid", shown), shown[:400]
    assert "Çatı şebekeye verileni sayıyor" in turkish


async def test_of_forty_meters_the_lesser_ones_are_folded_away_and_none_is_lost(tmp_path) -> None:
    async with client(forty_meters(tmp_path)) as http:
        html = (await http.get("/energy?lang=en")).text
    tree, folded = html.split('<ul class="tree">')[1:]
    assert tree.count('href="/meter/m') == 8
    assert folded.count('href="/meter/m') == 32
    assert re.search(r"32 more meters, [\d,]+ kWh", tree)


async def test_a_page_is_kept_for_a_minute_and_never_shown_to_whom_it_is_not_for(building) -> None:
    opened = 0
    reader = building.history.open

    def counted():
        nonlocal opened
        opened += 1
        return reader()

    building.history = replace(building.history, open=counted)
    start = building.now.taken
    async with client(building) as http:

        async def ask(address: str, seconds: int = 0, **fields) -> str:
            building.change(taken=start + seconds * 1000, **fields)
            await asyncio.sleep(AT_LEAST)
            return (await http.get(address)).text

        first = await ask("/energy?lang=en")
        assert await ask("/energy?lang=en", 59) == first
        assert opened == 1
        assert "Kasım" in await ask("/energy?lang=tr", 59)
        assert await ask("/energy?lang=en&month=2026-10", 59) != first
        assert opened == 3
        await ask("/energy?lang=en", 61)
        assert opened == 4, "a minute later it is read again"
        assert "Konak Meydanı" in await ask("/energy?lang=en", 62, name="Konak Meydanı")
        building.history = replace(building.history, facts=facts(area=None))
        assert "once <code>building.area</code> is written" in await ask("/energy?lang=en", 63)


async def test_the_months_before_say_which_breach_was_disregarded_and_on_what_evidence(tmp_path) -> None:
    registers = {
        ("main", "active_energy_import"): shape(40.0, 0.2),
        ("main", "reactive_energy_q1"): shape(12.0, 0.2),
        ("main", "reactive_energy_q4"): shape(1.0, 0.2),
    }
    write_years(tmp_path, NOW, 120, registers)
    building = Building(CALM)
    building.history = energy_history(tmp_path, forgiven=("2026-09",))
    async with client(building) as http:
        shown = Page((await http.get("/reactive?lang=en")).text).text
        turkish = Page((await http.get("/reactive?lang=tr")).text).text
    assert "3 months before passed a limit" in shown
    assert re.search(r"September 2026: inductive [\d,]+ kvarh to [\d,]+ kWh drawn; disregarded", shown)
    assert shown.count("passed: a charge") == 2
    assert "passed, forgiven" in shown
    assert "Eylül 2026: çekilen" in turkish


@pytest.mark.parametrize(("days", "told"), [(5, False), (19, False), (20, True), (60, True)])
async def test_of_a_month_that_is_not_known_from_its_first_day_no_charge_is_foretold(
    tmp_path, days, told
) -> None:
    make_history(tmp_path, NOW, days)  # NOW is the 21st
    building = Building(CALM)
    building.history = energy_history(tmp_path)
    async with client(building) as http:
        reactive, home = [(await http.get(f"{path}?lang=en")).text for path in ("/reactive", "/")]
    assert ("A reactive charge is coming" in reactive) == told
    assert ("A reactive charge is coming" in home) == told
    assert ("What the month took before counts, too" in reactive) != told
    assert ("not known as a whole" in home) != told
    assert ("One thing needs you" in home) == told


async def test_the_first_day_says_when_there_will_be_a_comparison(tmp_path) -> None:
    make_history(tmp_path, NOW, 0)
    building = Building(CALM)
    building.history = energy_history(tmp_path)
    async with client(building) as http:
        home = (await http.get("/?lang=en")).text
    assert "the first comparison comes on Saturday 5 December" in home


async def test_what_costs_money_outranks_a_lesser_warning(tmp_path) -> None:
    async with client(broker_away(tmp_path)) as http:
        home = Page((await http.get("/?lang=en")).text).text
    assert "2 things need you." in home
    assert "A reactive charge is coming" in home
    assert "city" in home.split("61.4")[0], "the platform is told beside it"


async def test_a_peak_above_the_contract_is_a_thing_to_see_to(tmp_path) -> None:
    make_history(tmp_path, NOW, 20)
    building = Building(CALM)
    building.history = energy_history(tmp_path, contract_kw=12.0)
    async with client(building) as http:
        shown = Page((await http.get("/?lang=en")).text).text
        turkish = Page((await http.get("/?lang=tr")).text).text
    assert "One thing needs you." in shown or "things need you." in shown
    assert re.search(r"The contracted power of 12 kW was passed: \d+ kW on", shown)
    assert "12 kW sözleşme gücü aşıldı" in turkish
    building.history = energy_history(tmp_path, contract_kw=1200.0)
    async with client(building) as http:
        assert "contracted power" not in Page((await http.get("/?lang=en")).text).text


async def test_a_suspect_peak_proves_no_passing_of_the_contract(tmp_path) -> None:
    make_history(tmp_path, NOW, 20)
    history = History(tmp_path, Calendar(ZONE))
    for day in range(1, 22):
        for start in history.calendar.quarters(date(2026, 11, day)):
            placed = history.place(("main", "active_energy_import"), start, make=False)
            if placed is not None and start < NOW:
                key, row, index = placed
                row.put(index, row.values[index], "s", corrected=True)
                history.touched(key, row)
    history.save()
    history.close()
    building = Building(CALM)
    building.history = energy_history(tmp_path, contract_kw=12.0)
    async with client(building) as http:
        assert "contracted power" not in Page((await http.get("/?lang=en")).text).text


@pytest.mark.parametrize(("kw", "told"), [(6.2, True), (5.8, False)])
async def test_a_base_load_that_rose_on_a_closed_day_is_told(tmp_path, kw, told) -> None:
    """Sunday 22 November beside the closed days of the four weeks before it, at 5 kW."""
    monday = NOW + 2 * 86_400_000
    history = History(tmp_path, Calendar(ZONE))
    for number in range(31):
        day = date(2026, 10, 23) + timedelta(number)
        for start in history.calendar.quarters(day):
            key, row, index = history.place(("main", "active_energy_import"), start, make=True)
            row.put(index, round((kw if day == date(2026, 11, 22) else 5.0) * 250), "m", corrected=False)
            history.touched(key, row)
    history.save()
    history.close()
    building = Building(replace(CALM, taken=monday))
    building.history = energy_history(tmp_path, meters=METERS[:1])
    async with client(building) as http:
        for page in ("/?lang=en", "/energy?month=2026-11&lang=en"):
            text = Page((await http.get(page)).text).text
            assert "never switched off" in text
            assert ("more than on the closed days before" in text) is told


async def test_the_base_load_of_a_period_that_is_past_is_that_of_its_last_day(tmp_path) -> None:
    """At night 5 kW until October, 2 kW since: a month's page told what yesterday never stopped."""
    history = History(tmp_path, Calendar(ZONE))
    for number in range(60):
        day = date(2026, 9, 23) + timedelta(number)
        for slot, start in enumerate(history.calendar.quarters(day)):
            if start + 900_000 > NOW:
                break
            night = 5.0 if day.month < 11 else 2.0
            key, row, index = history.place(("main", "active_energy_import"), start, make=True)
            row.put(index, round((20.0 if 32 <= slot < 72 else night) * 250), "m", corrected=False)
            history.touched(key, row)
    history.save()
    history.close()
    building = Building(CALM)
    building.history = energy_history(tmp_path, meters=METERS[:1])
    past = "Base load 5.0 kW never switched off: 44% of Saturday 31 October"
    told = {
        "month=2026-10": past,
        "from=2026-10-01&to=2026-10-31&meter=main": past,
        "day=2026-11-19": "Base load 2.0 kW never switched off: 21% of Thursday 19 November",
        "day=2026-11-20": "Base load 2.0 kW never switched off: 21% of yesterday",
        "day=2026-11-21": "Base load 2.0 kW never switched off: 21% of yesterday",
        "month=2026-11": "Base load 2.0 kW never switched off: 21% of yesterday",
        "year=2026": "Base load 2.0 kW never switched off: 21% of yesterday",
    }
    async with client(building) as http:
        for query, words in told.items():
            text = Page((await http.get(f"/energy?{query}&lang=en")).text).text
            assert words in text, query
            assert text.count("Base load") == 1
