"""The yearly report: its numbers are those of the other views; what has no basis is left out, and named."""

from __future__ import annotations

import asyncio
import re
from datetime import date, timedelta
from functools import partial

import pytest
from energy_building import METERS, ZONE, energy_history, facts, make_history
from long_history import shape, write_years
from page_states import export_only
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import BillComparison, BilledAmount, History, HistoryReader, bills, keep_bill
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import month_of, year_of
from gateway.status.page.answers import AT_LEAST
from gateway.status.report.lines import comparable, report_lines, total_of
from gateway.status.report.view import usual_period
from gateway.status.snapshot import ClockView

TODAY = date(2026, 11, 21)
BEGAN = date(2025, 10, 2)
DAYS = (TODAY - BEGAN).days


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """From 2 October 2025 on; nothing of the main meter is known of 5 November 2025."""
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, DAYS, gap=lambda meter, day: meter == "main" and day == date(2025, 11, 5))
    return path


@pytest.fixture
def building(directory):
    building = Building(CALM)
    building.history = energy_history(directory)
    return building


def figures_at(directory, now: int = NOW, **more) -> Figures:
    return Figures(facts(**more), HistoryReader(directory), Calendar(ZONE), now)


async def text_of(building, address: str) -> str:
    async with client(building) as http:
        response = await http.get(address)
    assert response.status_code == 200, response.text
    return Page(response.text).text


@pytest.mark.parametrize("language", ["tr", "en"])
@pytest.mark.parametrize(
    "address",
    ["/report", "/report/2025", "/report/2026", "/report/2026-10", "/report/2026-11", "/report/2019"],
)
async def test_every_report_is_a_page_in_both_languages(building, address, language) -> None:
    async with client(building) as http:
        response = await http.get(f"{address}?lang={language}")
    assert response.status_code == 200
    assert len(response.content) < 100_000
    shown = Page(response.text)
    assert "%(" not in shown.text
    assert "None" not in shown.text
    assert " style=" not in response.text
    assert 'aria-current="page">' + ("Rapor" if language == "tr" else "Report") in response.text


@pytest.mark.parametrize(
    ("address", "english", "turkish"),
    [
        ("2025-13", "'2025-13' is no month write one like 2026-11", "'2025-13' bir ay değil"),
        ("2026-00", "'2026-00' is no month", "2026-11 gibi bir ay yazın"),
        ("2026-1", "'2026-1' is no month", "bir ay değil"),
        ("2026-11-21", "'2026-11-21' is no month", "bir ay değil"),
        ("2026-11'--", "is no month", "bir ay değil"),
        ("26", "'26' is no year write one like 2026", "'26' bir yıl değil 2026 gibi bir yıl yazın"),
        ("x", "'x' is no year", "bir yıl değil"),
        ("٢٠٢٦", "is no year", "bir yıl değil"),
        ("9999", "'9999' is too far away", "'9999' çok uzak"),
        ("1066", "'1066' is too far away", "'1066' çok uzak"),
        (
            "?month=2026-13",
            "write /report/2026 or /report/2026-11",
            "/report/2026 ya da /report/2026-11 yazın",
        ),
        ("?year=2025", "write /report/2026 or /report/2026-11", "her raporun kendi adresi var"),
    ],
)
async def test_what_is_no_year_and_no_month_is_no_report_and_the_page_says_what_to_write(
    building, tmp_path, address, english, turkish
) -> None:
    path, mark = ("/report", "&") if address.startswith("?") else ("/report/", "?")
    for history in (building.history, energy_history(tmp_path), None):
        building.history = history
        async with client(building) as http:
            for language, said in (("en", english), ("tr", turkish)):
                response = await http.get(f"{path}{address}{mark}lang={language}")
                assert response.status_code == 404, "also while nothing is known"
                assert said in Page(response.text).text


async def test_its_sums_are_those_of_the_other_views(building, directory) -> None:
    figures = figures_at(directory)
    for period in (year_of(2026), month_of(date(2026, 10, 1))):
        lines = report_lines(figures, period)
        total = total_of(lines, period)
        async with client(building) as http:
            body = (await http.get(f"/api/v1/energy?{period.query()}")).json()
        assert total.used == body["sum"] == sum(line.used for line in lines)
        assert total.drawn == sum(total.bands.values())
        assert total.used == total.drawn + total.from_sun
        assert len(lines) == (11 if period.span == "year" else 31)
    text = await text_of(building, "/report/2026?lang=en")
    assert f"2026: {round(body_of_year(figures) / 1000):,} kWh" in text


def sheets(html: str) -> dict[str, list[list[str]]]:
    """Tables of a report by their name: heads, lines and sums, as cells."""
    return {
        name: [
            [re.sub("<[^>]*>", "", cell) for cell in re.findall("<t[hd][ >].*?</t[hd]>", row)]
            for row in re.findall("<tr.*?</tr>", table)
        ]
        for name, table in re.findall('<table class="sheet ([a-z]+).*?">(.*?)</table>', html, re.DOTALL)
    }


def printed(cell: str) -> int:
    """A number without its point."""
    return int(re.sub(r"[^\d−]", "", cell).replace("−", "-") or 0)


@pytest.mark.parametrize("address", ["2025", "2026", *(f"2026-{month:02}" for month in range(1, 12))])
async def test_what_stands_above_a_sum_adds_up_to_it_and_its_parts_to_the_line(directory, address) -> None:
    """As it is printed: each cell was rounded for itself, and columns missed their sums by one or two."""
    building = Building(CALM)
    cold = {BEGAN + timedelta(day): (day % 23) - 3.37 for day in range(DAYS)}
    building.history = energy_history(directory, temperatures=cold)
    async with client(building) as http:
        found = sheets((await http.get(f"/report/{address}?lang=en")).text)
    kinds = ("From the grid", "From the sun", "Used", "TOE", "kWh/m²", "daytime", "peak", "night")
    kinds += ("Heating", "Cooling")
    summed = 0
    for name in ("energy", "record", "degrees"):
        heads, *lines, sums = found[name]
        for place, head in enumerate(heads):
            if head.startswith(kinds):
                summed += 1
                column = [line[place] for line in lines]
                assert sum(map(printed, column)) == printed(sums[place]), (name, head, column, sums[place])
    assert summed == (10 if len(address) == 4 else 8)
    for line in found["energy"][1:]:
        assert printed(line[1]) + printed(line[2]) == printed(line[3])


def body_of_year(figures) -> int:
    period = year_of(2026)
    return figures.total(figures.used(period.first, TODAY))


def test_only_what_both_years_know_as_a_whole_is_compared(directory) -> None:
    figures = figures_at(directory)
    lines = {line.first: line for line in report_lines(figures, year_of(2026))}
    # October 2025 began on its second day, November 2025 has a day of which nothing is known, and
    # November 2026 is not over.
    assert [day for day, line in lines.items() if line.before is not None] == []
    days = {line.first: line for line in report_lines(figures, month_of(date(2026, 11, 1)))}
    assert days[date(2026, 11, 4)].before is None, "364 days before is the day without data"
    whole = days[date(2026, 11, 5)]
    figures.forget()
    assert whole.before == figures.total(figures.used(date(2025, 11, 6), date(2025, 11, 6)))
    assert days[TODAY].before is None, "today is not over"
    assert comparable(list(days.values()))[0] == 19


async def test_a_year_before_stands_beside_the_months_and_in_the_heading(tmp_path) -> None:
    now, alone = NOW + 86_400_000 * 41, METERS[:1]
    make_history(tmp_path, now, 732, gap=lambda meter, _day: meter != "main")
    figures = figures_at(tmp_path, now, meters=alone)
    lines = report_lines(figures, year_of(2026))
    assert [line.first.month for line in lines if line.before is not None] == list(range(1, 13))
    figures.forget()
    then = sum(figures.total(figures.used(m.first, m.last)) for m in months_of(2025))
    assert comparable(lines) == (12, sum(line.used for line in lines), then)
    building = Building(CALM)
    building.change(taken=now)
    building.history = energy_history(tmp_path, meters=alone)
    text = await text_of(building, "/report/2026?lang=en")
    assert re.search(r"2026: [\d,]+ kWh, (\S+% (more|less) than|as much as) the year before", text)
    assert f"The year before: {round(then / 1000):,} kWh." in text


@pytest.mark.parametrize(
    ("month", "told"),
    [
        ("2026-10", "29 Oct 2025, 29 Oct 2026 were public holidays."),
        ("2026-11", ""),
        ("2026-08", "30 Aug 2026 was a public holiday."),
    ],
)
async def test_a_day_of_a_report_beside_a_public_holiday_is_told(tmp_path, month, told) -> None:
    """Of two days of which one was a holiday: 28 October stood 150 % above the one 52 weeks before."""
    write_years(tmp_path, NOW, 760, {("main", "active_energy_import"): shape(20.0, 0.3)})
    # The two of November stand beside each other.
    holidays = [(2025, 10, 29), (2026, 8, 30), (2026, 10, 29), (2025, 11, 12), (2026, 11, 11)]
    history = History(tmp_path, Calendar(ZONE))
    days = [(date(*day).toordinal(), "Bayram", "Holiday", False) for day in holidays]
    history.keep_holidays("TR", 2025, 2027, days)
    history.save()
    history.close()
    building = Building(CALM)
    building.history = energy_history(tmp_path, meters=METERS[:1])
    text = await text_of(building, f"/report/{month}?lang=en")
    assert "52 weeks before, kWh" in text
    assert re.findall(r"(\d+ \w+ \d{4}(?:, \d+ \w+ \d{4})* (?:was a|were) public holidays?\.)", text) == (
        [told] if told else []
    )
    assert "public holiday" not in await text_of(building, "/report/2026?lang=en"), "months are compared"


async def test_the_days_below_the_bars_do_not_run_into_each_other(building) -> None:
    """The first of November 2026 is a Sunday: 1 and 2 stood side by side as 12."""
    async with client(building) as http:
        november, october = [(await http.get(f"/report/2026-{month}")).text for month in (11, 10)]
    label = re.compile(r'<text x="[\d.]+%" y="\d+\.\d" text-anchor="(?:start|end)">(\d+)</text>')
    assert label.findall(november) == ["2", "9", "16"]
    assert label.findall(october) == ["1", "5", "12", "19", "26"]


def months_of(year: int):
    return [month_of(date(year, number, 1)) for number in range(1, 13)]


@pytest.mark.parametrize(
    ("today", "began", "year"),
    [
        (date(2026, 11, 21), date(2025, 10, 2), 2026),
        (date(2027, 2, 3), date(2026, 6, 1), 2026),
        (date(2027, 4, 1), date(2026, 6, 1), 2027),
        (date(2027, 4, 1), date(2026, 1, 9), 2026),
        (date(2027, 2, 3), date(2027, 1, 20), 2027),
    ],
)
def test_without_a_name_it_is_the_year_that_is_due(today, began, year) -> None:
    class Known:
        span = (began, today)

    Known.today = today
    assert usual_period(Known()) == year_of(year)


async def test_a_breach_is_in_the_record_and_a_forgiven_one_is_called_that(building, directory) -> None:
    text = await text_of(building, "/report/2026?lang=en")
    assert "reactive limit passed so far in November" in text
    assert "reactive limit passed in" not in text
    assert "inductive passed so far" in text
    assert "November 2026: a limit of reactive energy is passed so far; its page says" in text
    assert "look whether the bill has it" not in text  # there is none of a month that goes on
    building.history = energy_history(directory, forgiven=("2026-11",))
    text = await text_of(building, "/report/2026?lang=en")
    assert "the reactive limit passed, and forgiven" in text
    assert "inductive passed, forgiven" in text
    assert "November 2026: a" not in text
    text = await text_of(building, "/report/2026-11?lang=en")  # each of its days by itself
    assert "a limit of reactive energy is passed so far" not in text


async def test_of_a_month_of_which_little_is_known_no_breach_is_told(tmp_path) -> None:
    make_history(tmp_path, NOW, 3)  # above the limit on each of its days
    building = Building(CALM)
    building.history = energy_history(tmp_path)
    text = await text_of(building, "/report/2026?lang=en")
    assert "not known as a whole" in text
    assert "no reactive charge in the months that are known" in text
    assert "limit passed" not in text
    assert "a reactive limit was passed" not in text


async def test_breaches_of_several_months_are_one_open_point(tmp_path) -> None:
    registers = {
        ("main", "active_energy_import"): shape(40.0, 0.2),
        ("main", "reactive_energy_q1"): shape(12.0, 0.2),
        ("main", "reactive_energy_q4"): shape(1.0, 0.2),
    }
    write_years(tmp_path, NOW, 115, registers)
    building = Building(CALM)
    building.history = energy_history(tmp_path, meters=METERS[:1])
    text = await text_of(building, "/report/2026?lang=en")
    assert text.count("a reactive limit was passed") == 1
    assert "August, September, October 2026: a reactive limit was passed; look whether" in text
    assert text.count("November 2026: a limit of reactive energy is passed so far") == 1
    # A year has one breach that may be disregarded, however many the configuration names.
    building.history = energy_history(tmp_path, meters=METERS[:1], forgiven=("2026-08", "2026-09"))
    text = await text_of(building, "/report/2026?lang=en")
    assert "September, October 2026: a reactive limit was passed; look whether" in text
    assert text.count("inductive passed, forgiven") == 1
    # Of the month that goes on, too, though its report has no line of the others.
    for named, excused in ((("2026-11",), True), (("2026-08", "2026-11"), False)):
        building.history = energy_history(tmp_path, meters=METERS[:1], forgiven=named)
        text = await text_of(building, "/report/2026-11?lang=en")
        assert ("a limit of reactive energy is passed so far" in text) != excused


async def test_of_a_building_that_only_feeds_in_the_report_says_why_it_is_empty(tmp_path) -> None:
    text = await text_of(export_only(tmp_path), "/report/2026-11?lang=en")
    assert "Çatı counts what is fed to the grid; nothing that is drawn is measured there." in text
    assert "Measuring began" not in text


@pytest.mark.parametrize("page", ["/report/2026", "/energy", "/quality", "/reactive"])
async def test_while_the_clock_is_not_set_no_page_is_sure_of_today(building, page) -> None:
    said = "The clock is not set yet: what is called today here may be another day."
    assert said not in await text_of(building, f"{page}?lang=en")
    building.change(clock=ClockView(synced=False))
    await asyncio.sleep(AT_LEAST)
    text = await text_of(building, f"{page}?lang=en")
    assert said in text
    assert "<" not in text, "what follows is a page as before"


@pytest.mark.parametrize(
    ("more", "gone", "said"),
    [
        ({"area": None}, "kWh/m²", "once building.area is written"),
        ({"installed_kva": None}, "Reactive limits:", "write building.installed_kva"),
        ({"contract_kw": None}, "of the contract", "write building.contract_kw"),
        ({"rules": None}, "Scope 2", "No rules file can be used"),
        ({"meters": tuple(m for m in METERS if m.id != "pv")}, "The sun's share", "Peak"),
    ],
)
async def test_what_has_no_basis_is_not_shown_and_the_report_says_what_is_missing(
    building, directory, more, gone, said
) -> None:
    assert gone in await text_of(building, "/report/2026?lang=en")
    building.history = energy_history(directory, **more)
    text = await text_of(building, "/report/2026?lang=en")
    assert gone not in text
    assert said in text


async def test_a_day_without_data_is_an_open_point_and_no_full_measure(building) -> None:
    text = await text_of(building, "/report/2025?lang=en")
    assert "1 day is incomplete (24.0 h in all)." in text
    assert "24.0 h are missing" in text, "that day; what was before measuring began is told beside it"
    assert "100.0% of the main meter's quarter hours" not in text
    assert "Measuring began on Thursday 2 October 2025" in text
    # October 2026 is whole but for nothing; two hours of November are estimated.
    assert "99.9% of the main meter's quarter hours were measured, none is missing" in await text_of(
        building, "/report/2026?lang=en"
    )


async def test_a_bill_that_was_compared_stands_in_its_year(building, directory, tmp_path) -> None:
    amounts = (
        BilledAmount("t1", 10_767_000, 10_790_000, 150_000),
        BilledAmount("t3", 3_343_000, 3_520_000, 60_000),
        BilledAmount("inductive", 2_531_000, 2_540_000, 60_000),
    )
    october = BillComparison(
        "main", date(2026, 10, 1), date(2026, 10, 31), NOW, amounts, ((date(2026, 10, 9), 8),)
    )
    keep_bill(tmp_path, october)
    building.history = energy_history(directory)
    assert "No bill of the distributor" in await text_of(building, "/report/2026?lang=en")
    building.history = energy_history(directory, bills=partial(bills, tmp_path))
    text = await text_of(building, "/report/2026?lang=en")
    assert "1 Oct – 31 Oct 2026: the bill and our meter differ by more than their classes allow" in text
    assert "night, kWh 3,343 3,520 −5.0% ± 60" in text
    assert "may explain a difference: 9 Oct." in text
    assert "differ by more" in await text_of(building, "/report/2026-10?lang=en")
    assert "differ by more" not in await text_of(building, "/report/2025?lang=en")
    # A corrected bill takes the place of the first one.
    keep_bill(tmp_path, BillComparison("main", october.first, october.last, NOW + 1, amounts[:1]))
    assert len(bills(tmp_path)) == 1
    text = await text_of(building, "/report/2026?lang=en")
    assert "bill and meter agree within their classes" in text


async def test_a_file_of_bills_that_cannot_be_read_takes_no_report_away(
    building, directory, tmp_path
) -> None:
    (tmp_path / "bills.json").write_text('[{"meter": "main"')
    building.history = energy_history(directory, bills=partial(bills, tmp_path))
    text = await text_of(building, "/report/2026?lang=en")
    assert "Used in all" in text
    assert "bills.json cannot be used" in text
