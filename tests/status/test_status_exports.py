"""Files of the energy views, opened again: real numbers, real dates, and the sums of the page."""

from __future__ import annotations

import asyncio
import csv
import io
import pickle
import sys
from datetime import UTC, date, datetime, timedelta
from functools import partial

import httpx
import openpyxl
import pytest
from energy_building import energy_history, make_history
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.errors import HistoryError
from gateway.history import BillComparison, BilledAmount, bills, keep_bill
from gateway.status.energy.period import month_of
from gateway.status.exports import process, response
from gateway.status.exports.files import write_csv
from gateway.status.exports.order import ExportOrder
from gateway.status.exports.table import ExportTable, FileColumn

TODAY = date(2026, 11, 21)
VIEWS = ("energy", "tree", "reactive", "quality", "report")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """52 days until NOW: the kitchen was silent on the 17th, two hours of the main meter are estimated."""
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, 52, gap=lambda meter, day: meter == "kitchen" and day == date(2026, 11, 17))
    names = ("t1", "inductive", "capacitive", "t7", "t0")
    amounts = tuple(BilledAmount(name, 10_767_000, 10_790_000, 150_000) for name in names)
    keep_bill(path, BillComparison("main", date(2026, 10, 1), date(2026, 10, 31), NOW, amounts))
    return path


@pytest.fixture
def building(directory):
    building = Building(CALM)
    building.history = energy_history(directory)
    return building


async def get(building, address: str) -> httpx.Response:
    async with client(building) as http:
        return await http.get(address, timeout=120)


async def workbook(building, address: str):
    answer = await get(building, address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].endswith("spreadsheetml.sheet")
    return openpyxl.load_workbook(io.BytesIO(answer.content))


def at(*parts: int) -> datetime:
    """As a sheet has it: without a zone."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)


def rows_of(sheet) -> tuple[list[str], list[tuple]]:
    heads, *rows = sheet.iter_rows(values_only=True)
    return list(heads), rows


async def test_a_month_as_a_workbook_has_numbers_dates_units_and_quality(building) -> None:
    book = await workbook(building, "/api/v1/energy?month=2026-11&format=xlsx&lang=tr")
    body = (await get(building, "/api/v1/energy?month=2026-11")).json()
    assert book.sheetnames == ["Günler", "Çeyrek saatler", "Sayaçlar", "Submeter"]
    heads, days = rows_of(book["Günler"])
    assert heads == [
        *(
            "Başlangıç",
            "Aralık",
            "gündüz, kWh",
            "puant, kWh",
            "gece, kWh",
            "Toplam, kWh",
            "Bilinen",
            "Nitelik",
        )
    ]
    assert [row[0] for row in days] == [at(2026, 11, 1) + timedelta(n) for n in range(21)]
    assert sum(round(row[5] * 1000) for row in days) == body["sum"]
    assert all(round((row[2] + row[3] + row[4]) * 1000) == round(row[5] * 1000) for row in days)
    assert days[7][7] == "kısmen tahmini, toplamı kesin"
    assert days[8][7] == "ölçülen"
    heads, quarters = rows_of(book["Çeyrek saatler"])
    assert heads[2] == "Enerji, kWh"
    assert len(quarters) == len(body["intervals"])
    assert [round(row[2] * 1000) for row in quarters] == [value for _, value in body["intervals"]]
    assert quarters[0][:2] == (at(2026, 11, 1), at(2026, 10, 31, 21)), "local, and UTC"
    assert {row[4] for row in quarters} == {"ölçülen", "tahmini"}
    assert sum(row[4] == "tahmini" for row in quarters) == 8
    cell = book["Günler"]["A2"]
    assert (cell.is_date, cell.number_format) == (True, "dd.mm.yyyy")
    about = dict(rows_of(book["Submeter"])[1])
    assert about["Aralık"] == "Kasım 2026"
    assert about["Tarife saatleri"].startswith("EPDK")


async def test_the_meters_and_the_unmetered_rest_are_the_building(building) -> None:
    book = await workbook(building, "/api/v1/energy?from=2026-11-02&to=2026-11-05&format=xlsx&lang=en")
    body = (await get(building, "/api/v1/energy?from=2026-11-02&to=2026-11-05")).json()
    heads, meters = rows_of(book["Meters"])
    assert heads[3:5] == ["Energy, kWh", "Share of the building"]
    below = [row for row in meters if row[2] == "main" and row[1] != "pv"]
    assert [row[0] for row in below][-1] == "Unmetered"
    assert round(sum(row[3] for row in below) * 1000) == body["sum"]
    assert sum(row[4] for row in below) == pytest.approx(1)


@pytest.mark.parametrize(
    ("step", "language", "separator", "point"),
    [("hour", "tr", ";", ","), ("day", "en", ",", "."), ("quarter", "tr", ";", ",")],
)
async def test_a_csv_file_is_in_the_visitors_number_format(
    building, step, language, separator, point
) -> None:
    answer = await get(building, f"/api/v1/energy?month=2026-10&by={step}&format=csv&lang={language}")
    assert answer.content.startswith(b"\xef\xbb\xbf"), "spreadsheets take it for UTF-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="izm-konak-017-energy-2026-10.csv"'
    heads, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=separator)
    place = next(
        n for n, head in enumerate(heads) if head in {"Toplam, kWh", "Sum, kWh", "Enerji, kWh", "Energy, kWh"}
    )
    body = (await get(building, "/api/v1/energy?month=2026-10")).json()
    assert len(rows) == {"hour": 31 * 24, "day": 31, "quarter": 31 * 96}[step]
    assert all(point in row[place] for row in rows)
    assert sum(round(float(row[place].replace(point, ".")) * 1000) for row in rows) == body["sum"]
    first = "01.10.2026" if language == "tr" else "2026-10-01"
    assert rows[0][0] == (first if step == "day" else f"{first} 00:00")


@pytest.mark.parametrize(("view", "language"), [*zip(VIEWS, ("tr", "en", "tr", "en", "tr"), strict=True)])
async def test_every_view_is_a_file_in_both_languages_and_forms(building, view, language) -> None:
    book = await workbook(building, f"/api/v1/{view}?month=2026-10&format=xlsx&lang={language}")
    answer = await get(building, f"/api/v1/{view}?month=2026-10&format=csv&lang={language}")
    heads, rows = rows_of(book.worksheets[0])
    separator = ";" if language == "tr" else ","
    lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=separator))
    assert len(lines) == len(rows) + 1 > 5
    assert [head.removesuffix(", %") for head in lines[0]] == heads
    assert all(heads)
    assert not any("%(" in head for head in heads)


async def test_a_silent_day_is_missing_in_the_file_too(building) -> None:
    book = await workbook(building, "/api/v1/energy?meter=kitchen&month=2026-11&format=xlsx&lang=en")
    _, quarters = rows_of(book["Quarter hours"])
    silent = [row for row in quarters if row[0].date() == date(2026, 11, 17)]
    assert len(silent) == 96
    assert {(row[2], row[4]) for row in silent} == {(None, "missing")}
    _, quality = rows_of(
        (await workbook(building, "/api/v1/quality?day=2026-11-17&format=xlsx&lang=en"))["Data"]
    )
    assert [(row[6], row[7]) for row in quality if row[2] == "kitchen"] == [(24, "missing")]


async def test_the_report_as_a_file_has_its_lines_and_the_bill(building) -> None:
    book = await workbook(building, "/api/v1/report?year=2026&format=xlsx&lang=en")
    heads, lines = rows_of(book["Report"])
    used = heads.index("Used, kWh")
    body = (await get(building, "/api/v1/report?year=2026")).json()
    known = [line for line in body["lines"] if line["used"] is not None]
    assert [round(row[used] * 1000) for row in lines] == [line["used"] for line in known]
    _, billed = rows_of(book["Bills"])
    assert billed[0][:5] == (at(2026, 10, 1), at(2026, 10, 31), "Ana sayaç", "main", "daytime")


@pytest.mark.parametrize(
    ("language", "sheet", "words"),
    [
        ("en", "Bills", ["daytime", "inductive", "capacitive", "t7", "all day"]),
        ("tr", "Faturalar", ["gündüz", "endüktif", "kapasitif", "t7", "bütün gün"]),
    ],
)
async def test_the_parts_of_a_bill_are_words_of_the_visitors_language(
    building, language, sheet, words
) -> None:
    book = await workbook(building, f"/api/v1/report?year=2026&format=xlsx&lang={language}")
    _, billed = rows_of(book[sheet])
    assert [row[4] for row in billed] == words, "a band that the tariff does not have keeps its own name"


async def test_every_view_links_its_files_in_the_visitors_language(building) -> None:
    for page, view in (
        ("/energy", "energy"),
        ("/reactive", "reactive"),
        ("/quality", "quality"),
        ("/report", "report"),
    ):
        async with client(building) as http:
            shown = Page((await http.get(f"{page}?lang=tr")).text)
        links = [
            attrs["href"] for tag, attrs in shown.tags if tag == "a" and "/api/" in (attrs["href"] or "")
        ]
        assert any("format=xlsx" in link and "lang=tr" in link for link in links), page
        assert any("format=csv" in link and "lang=tr" in link for link in links), page
        assert all(link.startswith(f"/api/v1/{view}") for link in links)
        json = next(link for link in links if "format" not in link)
        assert (await get(building, json)).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("format=pdf", 400),
        ("format=xlsx&day=x", 400),
        ("format=csv&meter=nobody", 400),
        ("year=2025&format=xlsx", 200),
    ],
)
async def test_what_cannot_be_a_file_is_refused(building, query, status) -> None:
    assert (await get(building, f"/api/v1/energy?{query}")).status_code == status


async def test_json_has_at_most_a_year_and_says_so(building) -> None:
    refused = await get(building, "/api/v1/energy?from=2025-01-01&to=2026-11-01")
    assert refused.status_code == 400
    assert "366 days" in refused.json()["error"]


async def test_a_history_that_is_gone_is_an_answer_and_no_file(building, tmp_path) -> None:
    building.history = energy_history(tmp_path, bills=partial(bills, tmp_path))
    for form in ("csv", "xlsx"):
        answer = await get(building, f"/api/v1/energy?format={form}")
        assert answer.status_code == 503
        assert "no history" in answer.json()["error"]


async def test_one_file_at_a_time_and_no_process_is_left(building, monkeypatch) -> None:
    started = []
    begin = asyncio.create_subprocess_exec

    async def counted(*command, **more):
        process = await begin(*command, **more)
        started.append(process)
        return process

    monkeypatch.setattr(response.asyncio, "create_subprocess_exec", counted)
    async with client(building) as http:
        answers = await asyncio.gather(
            *(http.get(f"/api/v1/tree?month=2026-{month}&format=csv", timeout=120) for month in (10, 11))
        )
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [process.returncode for process in started] == [0, 0]
    monkeypatch.setattr(response, "WAIT", 0.05)
    monkeypatch.setattr(response, "MODULE", "this_module_does_not_exist")
    assert (await get(building, "/api/v1/tree?format=csv")).status_code == 503, (
        "and the next one has its turn"
    )


async def test_the_library_of_workbooks_is_never_in_this_process(building) -> None:
    code = (
        "import asyncio, sys; sys.path.insert(0, sys.argv[1]); import test_status_exports as t\n"
        "from status_building import CALM, Building\nfrom energy_building import energy_history\n"
        "b = Building(CALM); b.history = energy_history(__import__('pathlib').Path(sys.argv[2]))\n"
        "a = asyncio.run(t.get(b, '/api/v1/energy?month=2026-11&format=xlsx'))\n"
        "print(a.status_code, 'xlsxwriter' in sys.modules)"
    )
    here, history = str(__import__("pathlib").Path(__file__).parent), str(building.history.open().path.parent)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, here, history), stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[0].split() == [b"200", b"False"]


async def test_a_file_that_takes_too_long_is_said_and_leaves_no_process(building, monkeypatch) -> None:
    monkeypatch.setattr(response, "LIMIT", 0.01)
    answer = await get(building, "/api/v1/energy?month=2026-11&format=xlsx&lang=tr")
    assert answer.status_code == 503
    assert answer.json() == {"error": "dosya çok uzun sürüyor", "hint": "daha dar bir tarih aralığı isteyin"}
    monkeypatch.setattr(response, "LIMIT", 120)
    assert (await get(building, "/api/v1/tree?format=csv")).status_code == 200, (
        "and the next one has its turn"
    )


async def test_of_a_file_that_failed_in_an_unforeseen_way_the_log_says_what_the_visitor_need_not_know(
    building, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(response.pickle, "dumps", lambda _order: b"")
    answer = await get(building, "/api/v1/energy?month=2026-11&format=xlsx&lang=tr")
    assert answer.status_code == 503
    assert answer.json() == {"error": "dosya hazırlanamadı", "hint": "daha dar bir tarih aralığı isteyin"}
    assert "EOFError" in caplog.text


def test_a_service_that_may_not_change_its_priority_makes_files_all_the_same(building, monkeypatch) -> None:
    def refused(_by):
        raise PermissionError(1, "Operation not permitted")

    order = ExportOrder(
        building.history,
        *("tree", "csv", month_of(date(2026, 10, 1)), "", "en", "Europe/Istanbul", NOW, ("n", "g")),
    )
    out = io.BytesIO()
    monkeypatch.setattr(process.os, "nice", refused)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pickle.dumps(order))))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    assert process.main() == 0
    assert b"Prizler panosu" in out.getvalue()


def test_a_file_that_could_not_be_finished_ends_with_a_failure(building, monkeypatch, capsys) -> None:
    """Whoever sends it on knows it by that alone: some of its bytes are with the visitor already."""

    def damaged(_order, out):
        out.write(b"half")
        raise HistoryError("a day of the history cannot be read")

    order = ExportOrder(
        building.history,
        *("tree", "csv", month_of(date(2026, 10, 1)), "", "en", "Europe/Istanbul", NOW, ("n", "g")),
    )
    monkeypatch.setattr(process, "write", damaged)
    monkeypatch.setattr(process.os, "nice", lambda _by: 0)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pickle.dumps(order))))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    assert process.main() == 1
    assert capsys.readouterr().err == "a day of the history cannot be read\n"


def test_a_name_is_never_a_formula() -> None:
    out = io.BytesIO()
    rows = [("=HYPERLINK(1)", -1.5), ("@x", None), ("Ana sayaç", 0.25)]
    write_csv(ExportTable("t", (FileColumn("+a", "text"), FileColumn("b")), rows), "tr", out)
    lines = out.getvalue().decode("utf-8-sig").splitlines()
    assert lines == ["'+a;b", "'=HYPERLINK(1);-1,500", "'@x;", "Ana sayaç;0,250"]
