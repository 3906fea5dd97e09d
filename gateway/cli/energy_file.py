"""Readings in a CSV file: every line checked and named by its number, then in the order of meter and time,
in bounded memory.
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import IO, NamedTuple

from gateway.cli.language import _, ngettext
from gateway.common.files import open_given
from gateway.common.text import flaw, visible
from gateway.energy import BASE, GAUGES, to_grains
from gateway.errors import GatewayError, Problem
from gateway.model import QUANTITIES

COLUMNS = ("meter", "quantity", "t", "value")
_LONGEST_LINE = 4096
_LONGEST_NAME = 64
_SHOWN = 40
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_EARLIEST, _LATEST = 946_684_800_000, 4_102_444_800_000
"""2000 and 2100, ms UTC."""
_SCHEMA = "CREATE TABLE reading (meter TEXT, t INTEGER, rank INTEGER, quantity TEXT, value TEXT)"


class FileRow(NamedTuple):
    """One reading: `t` ms UTC, `value` grains, None for a read that failed."""

    meter: str
    quantity: str
    t: int
    value: int | None


class ReadingsFile:
    """`load` the file once, then go through `rows`. Use as `with closing(...)`: the sorted copy is a
    temporary file of SQLite's.
    """

    def __init__(self, path: Path, tell: Callable[[Problem], None]) -> None:
        self._path = path
        self._tell = tell
        self._bad = 0
        self._columns = 0
        self._mark = ""
        """What stands before decimals where the comma does not separate columns; empty until one was seen."""
        self._database = sqlite3.connect("")
        self.meters: set[str] = set()
        self.other: dict[str, int] = {}
        """Quantities that are no counters and are not used, with their number of lines."""

    def close(self) -> None:
        """Remove the sorted copy."""
        self._database.close()

    def load(self) -> None:
        """Read the whole file. Raises GatewayError when it cannot be read or has no reading, or after every
        bad line has been told.
        """
        try:
            with TextIOWrapper(
                open_given(self._path), encoding="utf-8-sig", errors="surrogateescape", newline="\n"
            ) as file:
                self._load(file)
        except OSError as error:
            raise GatewayError(
                _("%(file)s: cannot be read: %(error)s")
                % {"file": self._path, "error": error.strerror or error},
                hint=_("check the path and its permissions"),
            ) from error
        except sqlite3.Error as error:
            raise GatewayError(
                _("%(file)s: cannot be sorted: %(error)s") % {"file": self._path, "error": error},
                hint=_("make room where temporary files go (TMPDIR)"),
            ) from error
        if self._bad:
            text = ngettext(
                "%(file)s: %(n)s line cannot be used, so nothing was computed",
                "%(file)s: %(n)s lines cannot be used, so nothing was computed",
                self._bad,
            )
            raise GatewayError(
                text % {"file": self._path, "n": self._bad}, hint=_("mend what is named above")
            )
        if not self.meters and not self.other:
            raise GatewayError(
                _("%(file)s: has no reading") % {"file": self._path},
                hint=_("write a line for each reading below the header"),
            )

    def rows(self) -> Iterator[FileRow]:
        """Every reading by meter and time; of one time first the powers, then the counters, each in the
        order of the file.
        """
        sql = "SELECT meter, quantity, t, value FROM reading ORDER BY meter, t, rank, quantity, rowid"
        for meter, quantity, t, value in self._database.execute(sql):
            yield FileRow(meter, quantity, t, None if value is None else int(value))

    def _load(self, file: IO[str]) -> None:
        lines = _lines(file)
        for number, line in lines:
            if line.strip():
                places, separator = self._head(number, line)
                break
        else:
            raise GatewayError(_("%(file)s: is empty") % {"file": self._path}, hint=_first_line())
        self._database.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8000; {_SCHEMA}"
        )
        self._database.executemany(
            "INSERT INTO reading VALUES (?, ?, ?, ?, ?)", self._readings(lines, places, separator)
        )

    def _head(self, number: int, line: str) -> tuple[tuple[int, ...], str]:
        """Where the columns are and what separates them: Excel writes semicolons where the comma is the
        decimal sign.
        """
        separator = ";" if ";" in line else ","
        try:
            names = [name.lower() for name in _fields(line, separator)]
        except _BadLineError as bad:
            raise GatewayError(f"{self._path}:{number}: {bad.args[1]}", hint=_first_line()) from None
        missing = [name for name in COLUMNS if names.count(name) != 1]
        if missing:
            text = _("%(file)s:%(line)s: the header does not name each column once (%(columns)s): %(found)s")
            what = {
                "file": self._path,
                "line": number,
                "columns": ", ".join(missing),
                "found": visible(line.strip(), _SHOWN),
            }
            raise GatewayError(text % what, hint=_first_line())
        self._columns = len(names)
        return tuple(names.index(name) for name in COLUMNS), separator

    def _readings(
        self, lines: Iterator[tuple[int, str]], places: tuple[int, ...], separator: str
    ) -> Iterator[tuple[str, int, int, str, str | None]]:
        quantity = ""
        for number, line in lines:
            if not line.strip():
                continue
            try:
                meter, quantity, t, value = _cells(line, separator, places, self._columns)
                yield self._reading(meter, quantity, t, self._plain(value) if separator == ";" else value)
            except _BadLineError as bad:
                self._bad += 1
                self._tell(Problem(str(self._path), number, *bad.args))
            except _UnusedError:
                self.other[quantity] = self.other.get(quantity, 0) + 1

    def _plain(self, value: str) -> str:
        """A number with a point, whichever of both signs the whole file has before decimals."""
        mark = next((sign for sign in value if sign in ".,"), self._mark)
        if self._mark not in {"", mark}:
            text = _("has a %(mark)s where lines before have a %(other)s: %(text)s")
            raise _BadLineError(
                "value",
                text % {"mark": mark, "other": self._mark, "text": value[:_SHOWN]},
                _("write all decimals alike, and no sign for thousands"),
            )
        self._mark = mark
        return value.replace(",", ".")

    def _reading(
        self, meter: str, quantity: str, time: str, value: str
    ) -> tuple[str, int, int, str, str | None]:
        if meter not in self.meters:
            what = flaw(meter) or (
                _("is longer than %(n)s characters") % {"n": _LONGEST_NAME}
                if len(meter) > _LONGEST_NAME
                else None
            )
            if what:
                raise _BadLineError("meter", what, _("write the id of the meter"))
        word = QUANTITIES.get(quantity)
        if word is None:
            text = _("is not in the vocabulary: %(text)s") % {"text": quantity[:_SHOWN]}
            raise _BadLineError("quantity", text, _("write one like active_energy_import"))
        if not word.is_register and quantity not in GAUGES:
            raise _UnusedError
        t = _time(time)
        grains = _grains(quantity, value) if value else None
        self.meters.add(meter)
        return meter, t, int(word.kind == "counter"), quantity, None if grains is None else str(grains)


def _first_line() -> str:
    return _("its first line is %(columns)s") % {"columns": ",".join(COLUMNS)}


def _grains(quantity: str, value: str) -> int:
    if not _NUMBER.fullmatch(value):
        text = _("is not a number: %(text)s") % {"text": value[:_SHOWN]}
        raise _BadLineError("value", text, _("write it like 184223.91, or leave it empty"))
    try:
        return to_grains(Decimal(value), BASE[QUANTITIES[GAUGES.get(quantity, quantity)].unit])
    except ValueError:
        text = _("has more digits than a register: %(text)s") % {"text": value[:_SHOWN]}
        raise _BadLineError("value", text, _("write at most 15 before and 12 behind the point")) from None


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


def _cells(line: str, separator: str, places: tuple[int, ...], columns: int) -> list[str]:
    """The four fields that are needed of a line."""
    if len(line) >= _LONGEST_LINE:
        raise _BadLineError(
            "",
            _("is longer than %(n)s characters") % {"n": _LONGEST_LINE},
            _("write as many columns as the header has"),
        )
    fields = _fields(line, separator)
    if len(fields) < columns or any(fields[columns:]):
        text = _("has %(n)s columns, the header has %(columns)s") % {"n": len(fields), "columns": columns}
        raise _BadLineError("", text, _("write as many columns as the header has, and numbers with a point"))
    return [fields[place] for place in places]


def _fields(line: str, separator: str) -> list[str]:
    if '"' in line:
        try:
            return [field.strip() for field in next(csv.reader([line], delimiter=separator, strict=True))]
        except csv.Error as error:
            raise _BadLineError(
                "",
                _("has quotation marks that do not pair: %(error)s") % {"error": error},
                _("leave them out"),
            ) from None
    return [field.strip() for field in line.split(separator)]


def _time(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        what = _("is not a whole number of milliseconds: %(text)s") % {"text": text[:_SHOWN]}
        raise _BadLineError("t", what, _("write it like 1795278300000"))
    t = int(text) if len(text) < 16 else _LATEST  # longer than any time in ms
    if not _EARLIEST <= t < _LATEST:
        seconds = _EARLIEST <= t * 1000 < _LATEST
        mend = (
            _("these are seconds: multiply them by 1000")
            if seconds
            else _("write milliseconds since 1970, UTC")
        )
        raise _BadLineError(
            "t", _("is not between the years 2000 and 2100: %(text)s") % {"text": text[:_SHOWN]}, mend
        )
    return t
