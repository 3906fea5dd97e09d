"""Writes tables down: a CSV file in the visitor's number format, or a workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from typing import IO, Final

from gateway.status.exports.table import CellValue, ExportTable, FileColumn

_MARKS: Final = {"tr": (";", ","), "en": (",", ".")}
"""Separator of columns, decimal mark: as a spreadsheet of that language reads them."""
_DAYS: Final = {"tr": "%d.%m.%Y", "en": "%Y-%m-%d"}


def write_csv(table: ExportTable, language: str, out: IO[bytes]) -> None:
    """One table, UTF-8 with the mark by which spreadsheets know that."""
    separator, point = _MARKS[language]
    text = io.TextIOWrapper(out, "utf-8-sig", newline="", write_through=True)
    lines = csv.writer(text, delimiter=separator, lineterminator="\r\n")
    heads = [f"{each.head}, %" if each.kind == "percent" else each.head for each in table.columns]
    lines.writerow(map(_safe, heads))
    for row in table.rows:
        pairs = zip(table.columns, row, strict=True)
        lines.writerow([_written(column, cell, language, point) for column, cell in pairs])
    text.flush()
    text.detach()


def _written(column: FileColumn, cell: CellValue, language: str, point: str) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.strftime(f"{_DAYS[language]} %H:%M")
    if isinstance(cell, date):
        return cell.strftime(_DAYS[language])
    if isinstance(cell, str):
        return _safe(cell)
    if column.kind == "percent":
        return f"{cell * 100:.{column.decimals}f}".replace(".", point)
    return f"{cell:.{column.decimals}f}".replace(".", point)


def _safe(text: str) -> str:
    """A name that a spreadsheet would take for a formula is a text."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def write_workbook(
    tables: Sequence[ExportTable], about: Sequence[tuple[str, str]], language: str, out: IO[bytes]
) -> None:
    """A sheet for each table, the first one about the file. Rows go to the disk as they come."""
    from xlsxwriter import Workbook  # noqa: PLC0415 - a CSV file needs none

    days = {"tr": "dd.mm.yyyy", "en": "yyyy-mm-dd"}[language]
    book = Workbook(out, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
    kept: dict[str, object] = {"text": book.add_format({})}

    def form(column: FileColumn) -> object:
        zeros = f".{'0' * column.decimals}" if column.decimals else ""
        said = {
            "date": days,
            "time": f"{days} hh:mm",
            "percent": f"0{zeros}%",
            "number": f"#,##0{zeros}",
            "text": "@",
        }[column.kind]
        return kept.setdefault(said, book.add_format({"num_format": said}))

    for table in tables:
        sheet = book.add_worksheet(table.name[:31])
        forms = [form(column) for column in table.columns]
        for place, column in enumerate(table.columns):
            sheet.set_column(place, place, column.width, forms[place])
        for place, column in enumerate(table.columns):
            sheet.write_string(0, place, column.head, bold)
        sheet.freeze_panes(1, 1)
        for line, row in enumerate(table.rows, 1):
            for place, cell in enumerate(row):
                if isinstance(cell, (datetime, date)):
                    sheet.write_datetime(line, place, cell, forms[place])
                elif isinstance(cell, str):
                    sheet.write_string(line, place, cell, forms[place])
                elif cell is not None:
                    sheet.write_number(line, place, cell, forms[place])
    sheet = book.add_worksheet("Submeter")
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 90)
    for line, (name, text) in enumerate(about):
        sheet.write_string(line, 0, name)
        sheet.write_string(line, 1, text)
    book.close()
