"""What a view says is true of the very hour, day, month and meter that it names."""

from __future__ import annotations

import csv
import io
import re
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from energy_building import energy_history, facts
from long_history import shape, write_years
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import BillComparison, BilledAmount, History, HistoryReader, bills, keep_bill
from gateway.status.energy.bars import main_picture
from gateway.status.energy.facts import EnergyHistory, EnergyMeter
from gateway.status.energy.figures import Figures
from gateway.status.energy.month import month_so_far
from gateway.status.energy.period import Period, month_of, year_of
from gateway.status.energy.shown import EnergyView, share_of_all
from gateway.status.energy.today import compared
from gateway.status.energy.where import shares
from gateway.status.report.lines import report_lines, used_a_year_before
from gateway.status.words.language import Locale

ZONE = ZoneInfo("Europe/Istanbul")
TODAY = date(2026, 11, 21)
IMPORT, EXPORT = "active_energy_import", "active_energy_export"
METERS = (
    EnergyMeter("main", "Ana sayaç"),
    EnergyMeter("one", "Kat 1", "main"),
    EnergyMeter("two", "Kat 2", "main"),
)
MAIN = ("main", IMPORT)
F = Locale("en", "Europe/Istanbul", NOW)


def letter(directory, register, day: date, slots, quality: str) -> None:
    """Make some quarter hours of a day estimated, suspect, edited, or (empty) not known."""
    history = History(directory, Calendar(ZONE))
    for slot in slots:
        start = history.calendar.quarters(day)[slot]
        key, row, index = history.place(register, start, make=True)
        row.quality[index] = quality
        if not quality:
            row.values[index] = 0
        history.touched(key, row)
    history.save()
    history.close()


@pytest.fixture
def building(tmp_path):
    """Two months of a main meter and two below it that are a quarter of it."""
    registers = {MAIN: shape(40.0, 0.3), ("one", IMPORT): shape(8.0, 0.3), ("two", IMPORT): shape(2.0, 0.3)}
    write_years(tmp_path, NOW, 60, registers)
    return tmp_path


def with_figures(directory, ask, meters=METERS):
    with closing(HistoryReader(directory)) as reader:
        return ask(Figures(facts(meters=meters), reader, Calendar(ZONE), NOW))


# -- which hours were not measured


@pytest.mark.parametrize(
    ("quality", "word", "note"),
    [
        ("e", "estimated", "A dot above a bar: a part of it is estimated; the sum is exact."),
        ("s", "suspect", "A dot above a bar: a part of it is estimated or suspect. The table says which."),
        ("d", "edited by a person", "A dot above a bar: a part of it was edited by a person."),
    ],
)
@pytest.mark.parametrize("step", ["hour", "quarter"])
def test_those_hours_of_a_day_alone_are_marked_that_were_not_measured(
    building, quality, word, note, step
) -> None:
    day = date(2026, 11, 18)
    letter(building, MAIN, day, range(16, 32), quality)
    period = Period("day", day, day, step)
    picture = with_figures(building, lambda figures: main_picture(figures, period, "", F))
    said = {row[0]: row[-1] for row in picture.table.rows}
    wrong = {when for when, text in said.items() if text == word}
    assert {text for when, text in said.items() if when not in wrong} == {"measured"}
    assert {when[:2] for when in wrong} == {"04", "05", "06", "07"}
    assert note in picture.notes
    assert picture.svg.count('class="w0"') == (4 if step == "hour" else 16)


def test_an_hour_of_which_a_part_was_not_measured_says_a_part(building) -> None:
    day = date(2026, 11, 18)
    letter(building, MAIN, day, [16], "s")
    letter(building, MAIN, day, [20], "e")
    period = Period("day", day, day, "hour")
    rows = with_figures(building, lambda figures: main_picture(figures, period, "", F)).table.rows
    said = {row[0][:2]: row[-1] for row in rows}
    assert (said["04"], said["05"], said["06"]) == (
        "partly suspect",
        "partly estimated, total exact",
        "measured",
    )


@pytest.mark.parametrize("step", ["day", "month"])
def test_a_day_or_month_with_such_hours_is_marked_as_before(building, step) -> None:
    letter(building, MAIN, date(2026, 11, 18), range(16, 32), "e")
    period = replace(month_of(TODAY), step=step)
    picture = with_figures(building, lambda figures: main_picture(figures, period, "", F))
    said = [row[-1] for row in picture.table.rows]
    assert said.count("partly estimated, total exact") == 1


async def test_the_hours_of_a_file_are_those_of_the_page(building) -> None:
    letter(building, MAIN, date(2026, 11, 18), range(16, 32), "d")
    gateway = Building(CALM)
    gateway.history = energy_history(building, meters=METERS)
    async with client(gateway) as http:
        text = (await http.get("/api/v1/energy?day=2026-11-18&by=hour&format=csv&lang=en")).text
        page = Page((await http.get("/energy?day=2026-11-18&by=hour&lang=en")).text).text
    assert text.count("edited by a person") == page.count(" edited by a person") - 1 == 4


@pytest.mark.parametrize(
    ("letters", "day_says", "meter_says", "estimated"),
    [
        ({"e": 1}, "0.2 h estimated, the total is exact", None, "0.1%"),
        ({"d": 24}, "6.0 h edited by a person", None, "0.0%"),
        ({"e": 1, "d": 24}, "0.2 h estimated, 6.0 h edited by a person", None, "0.1%"),
        ({"e": 1, "s": 2}, "0.8 h estimated or suspect", None, "0.1%"),
        (
            {"e": 1, "s": 2, "d": 24},
            "0.8 h estimated or suspect, 6.0 h edited by a person",
            None,
            "0.1%",
        ),
        (
            {"": 4, "d": 24},
            "1.0 h missing, 6.0 h edited by a person",
            "1 day incomplete, 6.0 h edited by a person",
            "0.0%",
        ),
        (
            {"": 4, "e": 1},
            "1.0 h missing, 0.2 h estimated",
            "1 day incomplete, 0.2 h estimated",
            "0.1%",
        ),
        ({"": 4}, "1.0 h missing", "1 day incomplete", "0.0%"),
    ],
)
async def test_what_a_person_edited_is_told_as_that_beside_what_was_estimated(
    building, letters, day_says, meter_says, estimated
) -> None:
    """An edit was called estimated, with an exact total, or was told nowhere."""
    slot = 30
    for quality, count in letters.items():
        letter(building, MAIN, date(2026, 11, 12), range(slot, slot + count), quality)
        slot += count
    house = Building(CALM)
    house.history = energy_history(building, meters=METERS)
    async with client(house) as http:
        quality = Page((await http.get("/quality?lang=en")).text).text
        report = Page((await http.get("/report/2026-11?lang=en")).text).text
        energy = Page((await http.get("/energy?month=2026-11&lang=en")).text).text
        sheet = (await http.get("/api/v1/quality?month=2026-11&format=csv&lang=en")).text
    lines = re.findall(r"(?:Ana sayaç|Kat \d) [\d.]+% (.*?) (?=Kat|Day)", quality)
    assert lines[0].startswith(meter_says or day_says)
    assert lines[1] == "nothing is missing"
    assert re.search(rf"Thursday 12 November Ana sayaç {re.escape(day_says)}(?! h)", quality)
    assert re.search(rf"Ana sayaç [≥\d, \u00a0]+ [\d.]+% {re.escape(estimated)} ", report)
    edited, suspect = ("d" in letters), ("s" in letters)
    assert ("Ana sayaç 6.0 h edited by a person" in report) == edited
    assert ("Ana sayaç 0.5 h suspect" in report) == suspect
    assert ("Neither measured nor estimated: " in report) == (edited or suspect)
    exact = {*letters} == {"e"}
    assert ("h estimated, the total is exact" in quality) == exact, "an edit is what somebody wrote"
    assert ("estimated; the sum is exact" in energy) == exact or "" in letters
    assert ("total exact" in sheet) == exact


async def test_a_day_with_both_says_so_in_the_file_and_the_calendar(building) -> None:
    letter(building, MAIN, date(2026, 11, 12), [30], "e")
    letter(building, MAIN, date(2026, 11, 12), range(31, 55), "d")
    letter(building, MAIN, date(2026, 11, 13), [30], "e")
    letter(building, MAIN, date(2026, 11, 16), [30], "d")
    house = Building(CALM)
    house.history = energy_history(building, meters=METERS)
    async with client(house) as http:
        quality = (await http.get("/quality?lang=en")).text
        sheet = (await http.get("/api/v1/quality?month=2026-11&format=csv&lang=en")).text
        energy = Page((await http.get("/energy?month=2026-11&lang=en")).text).text
    said = dict(re.findall(r"<title>\w+ (\d+) November: ([^<]*)</title>", quality))
    words = ("partly estimated, partly edited by a person", "partly estimated, total exact")
    assert [said[day] for day in ("12", "13", "16")] == [*words, "edited by a person"]
    assert (sheet.count(words[0]), sheet.count(words[1])) == (1, 1)
    assert "A dot above a bar: a part of it is estimated or was edited by a person." in energy
    assert "0.5 h estimated, 6.2 h edited by a person" in Page(quality).text


# -- what is not known is no nothing


def test_a_month_before_with_days_missing_is_neither_drawn_nor_written_down(building) -> None:
    whole = with_figures(building, lambda figures: month_so_far(figures, month_of(TODAY), "", F))
    assert whole.table.heads[-1] == "October 2026"
    for number in range(1, 20):
        letter(building, MAIN, date(2026, 10, number), range(96), "")
    lacking = with_figures(building, lambda figures: month_so_far(figures, month_of(TODAY), "", F))
    assert lacking.table.heads == ("Day", "November 2026")
    assert len(lacking.table.rows) == TODAY.day
    assert re.findall(r'class="\w* ?prev"', whole.svg)
    assert "prev" not in lacking.svg
    assert "Data of the month before is missing: it is not compared." in lacking.notes
    assert not any("Grey" in note for note in lacking.notes)


async def test_a_day_without_data_has_no_reactive_energy_of_nothing(tmp_path) -> None:
    names = (IMPORT, "reactive_energy_q1", "reactive_energy_q4")
    write_years(tmp_path, NOW, 60, {("main", name): shape(20.0 / n, 0.3) for n, name in enumerate(names, 1)})
    for name in names:
        letter(tmp_path, ("main", name), date(2026, 11, 12), range(96), "")
    gateway = Building(CALM)
    gateway.history = energy_history(tmp_path, meters=METERS[:1])
    async with client(gateway) as http:
        page = (await http.get("/reactive?lang=en")).text
    assert page.count('12 Nov<td><td><td><tr><th scope="row">13 Nov<td>') == 2  # inductive and capacitive


@pytest.mark.parametrize("lacks", [True, False])
async def test_only_what_is_all_is_a_hundred_per_cent(tmp_path, lacks) -> None:
    """A quarter hour of four months is less than a hundredth of a per cent of three meters."""
    registers = {(each.id, IMPORT): shape(8.0, 0.3) for each in METERS}
    write_years(tmp_path, NOW, 120, registers)
    if lacks:
        letter(tmp_path, ("two", IMPORT), date(2026, 10, 14), [37], "")
    house = Building(CALM)
    house.history = energy_history(tmp_path, meters=METERS)
    known = []
    async with client(house) as http:
        quality = Page((await http.get("/quality?lang=en")).text).text
        for address in ("energy?year=2026&by=month&meter=two", "tree?month=2026-10", "report?year=2026"):
            answer = await http.get(f"/api/v1/{address}&format=csv&lang=en")
            rows = [*csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))]
            mine = [row for row in rows if row.get("Id", "two") == "two"]
            # A report is of the main meter: nothing of it is missing.
            known += [row[head] for row in mine for head in row if re.match("Known|Measured", head)]
    assert ("99.99% of all quarter hours are known." in quality) == lacks
    assert ("No data is missing" in quality) != lacks
    assert sum(float(each) == 99.9 for each in known) == (2 if lacks else 0), known
    assert sum(float(each) == 100 for each in known) >= 5, known


def test_a_share_reads_as_a_hundred_where_it_is_all_alone() -> None:
    shares = [(1.0, 0), (0.9999, 0), (0.99996, 1), (0.999996, 2), (0.994, 0), (0.5, 2), (1.2, 1)]
    told = [F.percent(share_of_all(share, decimals), decimals) for share, decimals in shares]
    assert told == ["100%", "99%", "99.9%", "99.99%", "99%", "50.00%", "100.0%"]


async def test_today_knows_no_more_quarter_hours_than_it_expects(building) -> None:
    """The newest one is there before it is due."""
    gateway = Building(CALM)
    gateway.history = energy_history(building, meters=METERS)
    async with client(gateway) as http:
        told = (await http.get("/api/v1/quality?day=2026-11-21")).json()["meters"]["main"][0]
        row = (await http.get("/api/v1/energy?month=2026-11&by=month&format=csv&lang=en")).text
    assert told["known"] == told["measured"] == told["expected"] > 0
    assert "incomplete" not in row


# -- the rest of the building


def test_the_unmetered_rest_has_the_length_that_it_has_beside_the_others(building) -> None:
    view = EnergyView(name="")
    with_figures(building, lambda figures: shares(view, figures, month_of(TODAY), F))
    long = {share.name: share.bar for share in view.shares}
    assert max(long.values()) == 100
    assert long["Unmetered"] == 100
    assert long["Kat 1"] == pytest.approx(8 / 30 * 100, abs=0.5)


# -- what is compared with what


def test_a_month_is_compared_with_the_same_month_and_a_day_with_the_one_52_weeks_before(tmp_path) -> None:
    write_years(tmp_path, NOW, 460, {MAIN: shape(40.0, 0.3)})

    def told(figures):
        day_lines = report_lines(figures, month_of(date(2026, 10, 1)))
        months = report_lines(figures, year_of(2026))
        (month,) = [each for each in months if each.first.month == 10]
        sums = figures.series_sums("used", date(2025, 10, 1), date(2025, 10, 31))
        return day_lines, month, sum(one.sum for one in sums.values())

    days, month, october = with_figures(tmp_path, told, METERS[:1])
    assert month.before == october
    assert sum(line.before for line in days) != october
    whole = replace(days[0], last=days[-1].last, expected=100, known=100)
    assert with_figures(tmp_path, lambda figures: used_a_year_before(figures, whole), METERS[:1]) == october


async def test_the_report_of_a_month_says_which_of_the_two_it_means(tmp_path) -> None:
    write_years(tmp_path, NOW, 460, {MAIN: shape(40.0, 0.3)})
    gateway = Building(CALM)
    gateway.history = energy_history(tmp_path, meters=METERS[:1])
    async with client(gateway) as http:
        page = Page((await http.get("/report/2026-10?lang=en")).text).text
        then = (await http.get("/api/v1/energy?month=2025-10")).json()["sum"]
        year = Page((await http.get("/report/2026?lang=en")).text).text
    amount = f"{then / 1000:,.0f}"
    assert f"The year before: {amount} kWh." in page
    assert "52 weeks before, kWh" in page
    assert amount in year
    assert "A year before, kWh" in year


@pytest.mark.parametrize(
    ("days", "span", "promised"),
    [
        (3, "day", "Thursday 26 November"),
        (3, "week", "Tuesday 22 December"),
        (10, "day", ""),
        (40, "day", ""),
    ],
)
def test_the_day_of_the_first_comparison_is_that_on_which_it_comes(tmp_path, days, span, promised) -> None:
    write_years(tmp_path, NOW, days, {MAIN: shape(40.0, 0.3)})
    letter(tmp_path, MAIN, TODAY - timedelta(days), range(60), "")  # it began in the afternoon
    last = TODAY if span == "day" else TODAY + timedelta(6 - TODAY.weekday())
    period = Period(span, TODAY - timedelta(TODAY.weekday()) if span == "week" else TODAY, last, "hour")

    def ask(figures):
        return compared(figures, period, "", figures.sums_of("", period.first, TODAY), F)

    said = with_figures(tmp_path, ask, METERS[:1])
    assert ("the first comparison comes on" in said) == bool(promised)
    assert promised in said


def test_a_week_that_is_over_is_promised_nothing(building) -> None:
    period = Period("week", date(2026, 9, 28), date(2026, 10, 4), "day")

    def ask(figures):
        return compared(figures, period, "", figures.sums_of("", period.first, period.last), F)

    assert with_figures(building, ask) == "There is nothing to compare it with."


async def test_days_are_not_netted_over_a_month(tmp_path) -> None:
    registers = {
        MAIN: shape(20.0, 0.3),
        ("main", EXPORT): shape(5.0, 0.0, sun=True),
        ("pv", EXPORT): shape(30.0, 0.0, sun=True),
    }
    write_years(tmp_path, NOW, 60, registers)
    plant = EnergyMeter("pv", "Güneş", "main", generates="export")
    gateway = Building(CALM)
    gateway.history = energy_history(tmp_path, meters=(METERS[0], plant))
    async with client(gateway) as http:
        day, week, month = [
            Page((await http.get(f"/energy?{span}&lang=en")).text).text
            for span in ("day=2026-11-20", "week=2026-11-09", "month=2026-10")
        ]
    for page in (day, week):
        assert "Netted over these days together:" in page
        assert "over the month" not in page
    assert "Netted over the month:" in month


async def test_what_a_main_meter_feeds_in_can_be_asked_for_by_its_name(tmp_path) -> None:
    write_years(tmp_path, NOW, 3, {MAIN: shape(20.0, 0.3), ("main", EXPORT): shape(5.0, 0.0, sun=True)})
    gateway = Building(CALM)
    gateway.history = energy_history(tmp_path, meters=METERS[:1])
    async with client(gateway) as http:
        told = await http.get(f"/api/v1/energy?day=2026-11-20&meter=main&quantity={EXPORT}")
        wrong = await http.get("/api/v1/energy?day=2026-11-20&meter=main&quantity=volume")
    assert told.status_code == 200
    assert told.json()["sum"] > 0
    assert (wrong.status_code, EXPORT in wrong.text) == (400, True)


# -- bills


OCTOBER = (date(2026, 10, 1), date(2026, 10, 31))


@pytest.mark.parametrize(
    ("measured", "missing", "title"),
    [
        (1_000_000, 0, "bill and meter agree within their classes"),
        (400_000, 0, "the bill and our meter differ by more than their classes allow"),
        (400_000, 8, "too much is missing of our meter to compare the bill with it"),
        (1_600_000, 8, "the bill and our meter differ by more than their classes allow"),
        (1_000_000, 8, "bill and meter agree within their classes"),
    ],
)
async def test_a_bill_is_judged_by_what_is_known(building, tmp_path, measured, missing, title) -> None:
    amount = BilledAmount("t1", measured, 1_000_000, 20_000)
    apart = ((date(2026, 10, 14), 494_600, 544_100),)
    keep_bill(tmp_path, BillComparison("main", *OCTOBER, NOW, (amount,), (), missing, apart))
    history = energy_history(building, meters=METERS)
    gateway = Building(CALM)
    gateway.history = EnergyHistory(history.facts, history.open, bills=partial(bills, tmp_path))
    async with client(gateway) as http:
        page = Page((await http.get("/report/2026-10?lang=en")).text).text
    assert title in page
    assert ("find out why it differs" in page) == ("differ by more" in title)
    assert ("%" in page.split("daytime, kWh", 2)[-1][:40]) == (not (missing and measured < 900_000))
    assert "Days that explain the difference: 14 Oct (meter 494.6, bill 544.1 kWh)." in page


async def test_bills_of_two_meters_can_be_told_apart(tmp_path) -> None:
    two = (EnergyMeter("north", "Kuzey ana"), EnergyMeter("south", "Güney ana"))
    write_years(tmp_path, NOW, 60, {(each.id, IMPORT): shape(20.0, 0.3) for each in two})
    off, good = BilledAmount("t1", 900_000, 1_000_000, 20_000), BilledAmount("t1", 995_000, 1_000_000, 20_000)
    for meter, amount in (("north", off), ("south", good), ("gone", good)):
        keep_bill(tmp_path, BillComparison(meter, *OCTOBER, NOW, (amount,)))
    gateway = Building(CALM)
    gateway.history = energy_history(tmp_path, meters=two)
    async with client(gateway) as http:
        text = Page((await http.get("/report/2026-10?lang=en")).text).text
    gateway.history = energy_history(tmp_path, meters=two[:1])
    async with client(gateway) as http:
        alone = Page((await http.get("/report/2026-10?lang=en")).text).text
    assert "Kuzey ana, 1 Oct – 31 Oct 2026: the bill and our meter differ by more than" in text
    assert "Güney ana, 1 Oct – 31 Oct 2026: bill and meter agree within their classes" in text
    assert "gone, 1 Oct – 31 Oct 2026: bill and meter agree" in text
    assert "Bill of Kuzey ana, 1 Oct – 31 Oct 2026: find out why it differs" in text
    assert "Bill of Güney ana" not in text
    # The one main meter needs no name, another one beside it does.
    assert " 1 Oct – 31 Oct 2026: the bill and our meter differ by more than" in alone
    assert "Kuzey ana, 1 Oct" not in alone
    assert "Bill of 1 Oct – 31 Oct 2026: find out" in alone
    assert "south, 1 Oct – 31 Oct 2026: bill and meter agree" in alone


@pytest.mark.parametrize(
    ("measured", "apart"),
    [(999_600, "0.0%"), (1_000_400, "0.0%"), (1_000_000, "0.0%"), (999_400, "−0.1%"), (1_000_600, "+0.1%")],
)
async def test_a_difference_that_is_printed_as_nothing_has_no_sign(
    building, tmp_path, measured, apart
) -> None:
    amount = BilledAmount("t1", measured, 1_000_000, 20_000)
    keep_bill(tmp_path, BillComparison("main", *OCTOBER, NOW, (amount,)))
    history = energy_history(building, meters=METERS)
    gateway = Building(CALM)
    gateway.history = EnergyHistory(history.facts, history.open, bills=partial(bills, tmp_path))
    async with client(gateway) as http:
        page = Page((await http.get("/report/2026-10?lang=en")).text).text
    assert f"daytime, kWh {round(measured / 1000):,} 1,000 {apart} ±" in page
