"""Readings in a CSV file: every line checked and named by its number, then in the order of meter and time, in bounded memory."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, NamedTuple

from gateway.common.text import flaw, visible
from gateway.energy import BASE, to_grains
from gateway.energy.meter import GAUGES
from gateway.errors import GatewayError, Problem
from gateway.model import QUANTITIES

COLUMNS = ("meter", "quantity", "t", "value")
_LONGEST_LINE = 4096
_LONGEST_NAME = 64
_SHOWN = 40
_EARLIEST, _LATEST = 946_684_800_000, 4_102_444_800_000
"""2000 and 2100, ms UTC."""
_SCHEMA = "CREATE TABLE reading (meter TEXT, t INTEGER, rank INTEGER, quantity TEXT, value TEXT)"


class Row(NamedTuple):
    """One reading: `t` ms UTC, `value` grains, None for a read that failed."""

    meter: str
    quantity: str
    t: int
    value: int | None


class ReadingsFile:
    """`load` the file once, then go through `rows`. Use as `with closing(...)`: the sorted copy is a temporary file of SQLite's."""

    def __init__(self, path: Path, tell: Callable[[Problem], None]) -> None:
        self._path = path
        self._tell = tell
        self._bad = 0
        self._database = sqlite3.connect("")
        self.meters: set[str] = set()
        self.other: dict[str, int] = {}
        """Quantities that are no counters and are not used, with their number of lines."""

    def close(self) -> None:
        """Remove the sorted copy."""
        self._database.close()

    def load(self) -> None:
        """Read the whole file. Raises GatewayError when it cannot be read, or after every bad line has been told."""
        try:
            with self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
                self._load(file)
        except OSError as error:
            raise GatewayError(
                f"{self._path}: cannot be read: {error.strerror or error}", hint="check the path and its permissions"
            ) from error
        except sqlite3.Error as error:
            raise GatewayError(
                f"{self._path}: cannot be sorted: {error}", hint="free some space where temporary files go (TMPDIR)"
            ) from error
        if self._bad:
            lines = "1 line" if self._bad == 1 else f"{self._bad} lines"
            raise GatewayError(f"{self._path}: {lines} cannot be used, so nothing was computed", hint="mend what is named above")

    def rows(self) -> Iterator[Row]:
        """Every reading by meter and time; of one time first the powers, then the counters, each in the order of the file."""
        sql = "SELECT meter, quantity, t, value FROM reading ORDER BY meter, t, rank, quantity, rowid"
        with closing(self._database.execute(sql)) as cursor:
            for meter, quantity, t, value in cursor:
                yield Row(meter, quantity, t, None if value is None else int(value))

    def _load(self, file: IO[str]) -> None:
        lines = _lines(file)
        for number, line in lines:
            if line.strip():
                places, separator = self._head(number, line)
                break
        else:
            raise GatewayError(f"{self._path}: is empty", hint=f"its first line is {','.join(COLUMNS)}")
        self._database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8000; {_SCHEMA}")
        self._database.executemany("INSERT INTO reading VALUES (?, ?, ?, ?, ?)", self._readings(lines, places, separator))

    def _head(self, number: int, line: str) -> tuple[tuple[int, ...], str]:
        """Where the columns are and what separates them: Excel writes semicolons where the comma is the decimal sign."""
        separator = ";" if ";" in line else ","
        try:
            names = [name.lower() for name in _fields(line, separator)]
        except _BadLineError as bad:
            raise GatewayError(f"{self._path}:{number}: the header {bad.args[1]}", hint=bad.args[2]) from None
        missing = [name for name in COLUMNS if names.count(name) != 1]
        if missing:
            found = visible(line.strip(), _SHOWN)
            what = f"the header must name the columns {','.join(COLUMNS)}, each once; {', '.join(missing)} is not there once: {found}"
            raise GatewayError(f"{self._path}:{number}: {what}", hint="write that line at the top of the file")
        return tuple(names.index(name) for name in COLUMNS), separator

    def _readings(
        self, lines: Iterator[tuple[int, str]], places: tuple[int, ...], separator: str
    ) -> Iterator[tuple[str, int, int, str, str | None]]:
        quantity = ""
        for number, line in lines:
            if not line.strip():
                continue
            try:
                meter, quantity, t, value = _cells(line, separator, places)
                yield self._reading(meter, quantity, t, value.replace(",", ".") if separator == ";" else value)
            except _BadLineError as bad:
                self._bad += 1
                self._tell(Problem(str(self._path), number, *bad.args))
            except _UnusedError:
                self.other[quantity] = self.other.get(quantity, 0) + 1

    def _reading(self, meter: str, quantity: str, time: str, value: str) -> tuple[str, int, int, str, str | None]:
        if meter not in self.meters:
            what = flaw(meter) or (f"is longer than {_LONGEST_NAME} characters" if len(meter) > _LONGEST_NAME else None)
            if what:
                raise _BadLineError("meter", what, "write the meter's id")
        word = QUANTITIES.get(quantity)
        if word is None:
            raise _BadLineError("quantity", f"is not in the vocabulary: {quantity[:_SHOWN]}", "write one like active_energy_import")
        if word.kind != "counter" and quantity not in GAUGES:
            raise _UnusedError
        t = _time(time)
        grains = None
        if value:
            unit = BASE[QUANTITIES[GAUGES.get(quantity, quantity)].unit]
            try:
                grains = to_grains(Decimal(value), unit)
            except InvalidOperation:
                raise _BadLineError("value", f"is not a number: {value[:_SHOWN]}", "write it like 184223.91, or leave it empty") from None
            except ValueError as error:
                raise _BadLineError("value", f"{error}: {value[:_SHOWN]}", f"write it in {word.unit or 'pulses'}") from None
        self.meters.add(meter)
        return meter, t, int(word.kind == "counter"), quantity, None if grains is None else str(grains)


class _BadLineError(Exception):
    """Column, what is wrong, what to write."""


class _UnusedError(Exception):
    """A line that is right and not needed."""


def _lines(file: IO[str]) -> Iterator[tuple[int, str]]:
    """Each line with its number; one that is too long without an end, and only its beginning."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        yield number, line
        while not line.endswith("\n") and (line := file.readline(_LONGEST_LINE)):
            pass


def _cells(line: str, separator: str, places: tuple[int, ...]) -> list[str]:
    """The four fields that are needed of a line."""
    if len(line) >= _LONGEST_LINE:
        raise _BadLineError("", f"is longer than {_LONGEST_LINE} characters", "write meter,quantity,t,value")
    fields = _fields(line, separator)
    if len(fields) <= max(places):
        raise _BadLineError("", f"has too few columns: {len(fields)}", "write meter,quantity,t,value")
    return [fields[place] for place in places]


def _fields(line: str, separator: str) -> list[str]:
    if '"' in line:
        try:
            return [field.strip() for field in next(csv.reader([line], delimiter=separator, strict=True))]
        except csv.Error as error:
            raise _BadLineError("", f"has quotation marks that do not pair: {error}", "leave them out") from None
    return [field.strip() for field in line.split(separator)]


def _time(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _BadLineError("t", f"is not a whole number of milliseconds: {text[:_SHOWN]}", "write it like 1795278300000")
    t = int(text) if len(text) < 16 else _LATEST  # noqa: PLR2004 - longer than any time in ms
    if not _EARLIEST <= t < _LATEST:
        mend = "these are seconds: times 1000" if _EARLIEST <= t * 1000 < _LATEST else "write milliseconds since 1970, UTC"
        raise _BadLineError("t", f"is not between the years 2000 and 2100: {text[:_SHOWN]}", mend)
    return t
