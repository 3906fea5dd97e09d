"""Mean temperatures of local days, from a CSV file that somebody keeps beside the configuration: what degree
days are counted from.
"""

from __future__ import annotations

import csv
import math
from datetime import date
from pathlib import Path
from typing import Final

from gateway.common.files import let_read, read_regular
from gateway.errors import ConfigError, Problem

MOST: Final = 4 * 1024 * 1024
"""Bytes of the file."""
_DATES: Final = ("date", "day", "tarih", "gün")
_MEANS: Final = ("mean", "temperature", "ortalama", "sıcaklık")
_LOWEST, _HIGHEST = -60.0, 60.0
_FEW: Final = 20
"""Mistakes that are told one by one."""
_ROW: Final = "write a row like 2026-11-20,8.4"


def load_temperatures(path: Path) -> dict[date, float]:
    """Local day → mean of the outdoor temperature, °C. Raises ConfigError with every line that is wrong."""
    try:
        text = read_regular(path, MOST).decode("utf-8-sig")
    except OSError as error:
        mend = let_read(path) if isinstance(error, PermissionError) else "check the path and its permissions"
        raise ConfigError([Problem(str(path), 1, "", f"cannot be read: {error.strerror}", mend)]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), 1, "", "is not UTF-8 text", "save it as UTF-8")]) from error
    lines = text.splitlines()
    mark = next((mark for mark in (";", "\t") if lines and mark in lines[0]), ",")
    heads = [head.strip().strip('"').casefold() for head in (lines[0] if lines else "").split(mark)]
    columns = [
        next((place for place, head in enumerate(heads) if head in names), -1) for names in (_DATES, _MEANS)
    ]
    if min(columns) < 0:
        what = "the first line does not name the columns date and mean"
        raise ConfigError([Problem(str(path), 1, "", what, "write date,mean above the rows")])
    found: dict[date, float] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip(f"{mark} "):
            continue
        try:
            row = _cells(line, mark)
            day, mean = (row[place].strip() if place < len(row) else "" for place in columns)
            _keep(found, day, mean)
        except ValueError as error:
            problems.append(Problem(str(path), number, "", str(error), _ROW))
    if problems:
        raise ConfigError(problems[:_FEW])
    return found


def _cells(line: str, mark: str) -> list[str]:
    """Of a row, which ends with its line: an open quote swallows no other one. Raises ValueError."""
    try:
        return next(csv.reader([line], delimiter=mark, strict=True), [])
    except csv.Error:
        raise ValueError(f"{line[:20]!r} is no row: a quote is left open, or it is too long") from None


def _keep(found: dict[date, float], day: str, mean: str) -> None:
    """A row. Raises ValueError with what is wrong."""
    when = _day(day)
    try:
        value = float(mean.replace(",", "."))
    except ValueError:
        raise ValueError(f"{mean[:20]!r} is no temperature") from None
    if not math.isfinite(value) or not _LOWEST <= value <= _HIGHEST:
        raise ValueError(f"{mean[:20]} °C is no mean of a day")
    if found.setdefault(when, value) != value:
        raise ValueError(f"{when} has another temperature above")


def _day(text: str) -> date:
    try:
        if text[2:3] == "." and text[5:6] == ".":
            return date(int(text[6:]), int(text[3:5]), int(text[:2]))
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:20]!r} is no day") from None
