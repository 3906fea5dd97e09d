"""Recorded values of a meter from a CSV file: a table (t in ms, a column per quantity), or what `submeter
journal export` writes.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Final, Protocol

from gateway.common.files import open_given
from gateway.common.text import visible
from gateway.errors import GatewayError, Problem
from gateway.model import QUANTITIES

_EXPORT: Final = {"time", "meter", "quantity", "value"}
_NOTHING: Final = {"", "-", "nan", "null", "none", "n/a"}
_LONGEST: Final = 1 << 20
"""Characters of one field: beyond, the file is no table."""
_SEPARATOR: Final = "sep="
"""What a spreadsheet puts before the table, to say what separates its cells."""
_WITH_UNIT: Final = re.compile(r"(?P<name>.+?)\s*[\[(](?P<unit>.*)[\])]")


class _Table(Protocol):
    """What is used of csv.reader, whose type has no public name."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


@dataclass(slots=True)
class Recorded:
    """A row per moment in every column; None where nothing was recorded. `problems`: lines that were left
    out, at most MOST_PROBLEMS.
    """

    columns: dict[str, list[float | None]] = field(default_factory=dict)
    rows: int = 0
    problems: list[Problem] = field(default_factory=list)
    bad_lines: int = 0
    first: int = 0
    last: int = 0
    """UTC in ms of the first and the last row; 0 where it is not known."""

    def complain(self, file: Path, line: int, what: str, mend: str) -> None:
        """A line that is left out."""
        self.bad_lines += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(str(file), line, "", what, mend))


MOST_PROBLEMS: Final = 10
"""Bad lines that are kept in words; the rest is counted."""


def read_recorded(file: Path, meter: str | None = None) -> Recorded:
    """The values of one meter; `meter` names it in an export that holds several.

    Separators are comma, semicolon or tab; with the latter two a decimal comma is understood, and points
    between thousands beside it. A line that cannot be understood is left out and told. Raises GatewayError
    when the file as a whole cannot be used.
    """
    try:
        with TextIOWrapper(open_given(file), encoding="utf-8-sig", newline="") as stream:
            head = stream.readline(_LONGEST)
            if not head.lower().startswith(_SEPARATOR):
                stream.seek(0)
            separator = next((each for each in (";", "\t") if each in head), ",")
            table = csv.reader(stream, delimiter=separator)
            names = [_name(file, cell) for cell in next(table, [])]
            if len(set(names)) < len(names) and any(
                names.count(name) > 1 for name in names if name in QUANTITIES
            ):
                twice = next(name for name in names if names.count(name) > 1)
                raise GatewayError(f"{file}:1: the column {twice} is there twice", hint="leave one out")
            sheet = _Sheet(file, names, decimal_comma=separator != ",")
            if set(names) >= _EXPORT:
                return sheet.export(_lines(table), meter)
            return sheet.table(_lines(table))
    except UnicodeDecodeError as error:
        raise GatewayError(
            f"{file} is no UTF-8 text (byte {error.start})", hint="save it as CSV in UTF-8"
        ) from error
    except csv.Error as error:
        raise GatewayError(
            f"{file} is no CSV: {error}", hint="give a file with t and a column per quantity"
        ) from error
    except OSError as error:
        raise GatewayError(
            f"{file} cannot be read: {error.strerror}", hint="name a file that is there and may be read"
        ) from error


def _name(file: Path, cell: str) -> str:
    """The name in a cell of the first line, with its unit behind it or without. Raises GatewayError for
    another unit than the vocabulary's.
    """
    name = cell.strip()
    found = _WITH_UNIT.fullmatch(name)
    if found is None or (known := QUANTITIES.get(found["name"].casefold())) is None:
        return name.casefold()
    if found["unit"].strip().casefold() != known.unit.casefold():
        raise GatewayError(
            f"{file}:1: {known.name} is in {visible(found['unit'], 20)}, not in {known.unit or 'no unit'}",
            hint=f"give it in {known.unit or 'no unit'}",
        )
    return known.name


def _lines(table: _Table) -> Iterator[tuple[int, list[str]]]:
    for row in table:
        if any(cell.strip() for cell in row):
            yield table.line_num, row


@dataclass(slots=True)
class _Sheet:
    file: Path
    names: list[str]
    decimal_comma: bool

    def table(self, lines: Iterator[tuple[int, list[str]]]) -> Recorded:
        """The values of an export with one row per moment and a column per quantity."""
        if "t" not in self.names:
            raise GatewayError(
                f"{self.file}:1: there is no column t: "
                f"{visible(', '.join(self.names), 200) or 'the file is empty'}",
                hint="write t (ms) and names of the vocabulary into the first line: "
                "t,active_power_l1,reactive_power_l1,…",
            )
        known = [(place, name) for place, name in enumerate(self.names) if name in QUANTITIES]
        if not known:
            raise GatewayError(
                f"{self.file}:1: no column has a name of the vocabulary",
                hint="active_power_l1, reactive_power_l1, …",
            )
        found = Recorded({name: [] for _, name in known})
        at = self.names.index("t")
        for line, row in self._whole(lines, found):
            try:
                if self._number(row[at], "t") is None:
                    raise ValueError("t is empty")  # noqa: TRY301 - told like every other flaw of the line
                values = [self._number(row[place], name) for place, name in known]
            except ValueError as error:
                found.complain(self.file, line, str(error), "this line is left out")
                continue
            for (_, name), value in zip(known, values, strict=True):
                found.columns[name].append(value)
            found.rows += 1
        if not found.rows:
            raise self._empty(found)
        return found

    def _empty(self, found: Recorded) -> GatewayError:
        """Why nothing of the file can be used."""
        first = f": {found.problems[0].what}" if found.problems else ""
        return GatewayError(
            f"{self.file} holds no line that can be used{first}",
            hint="a line has t (ms) and a number for each column",
        )

    def _whole(
        self, lines: Iterator[tuple[int, list[str]]], found: Recorded
    ) -> Iterator[tuple[int, list[str]]]:
        """The lines that have a field for every column; of the others `found` is told."""
        for line, row in lines:
            while len(row) > len(self.names) and not row[-1].strip():
                row.pop()
            if len(row) == len(self.names):
                yield line, row
            else:
                what = f"{len(row)} fields, not {len(self.names)} as in the first line"
                commas = len(row) > len(self.names) and not self.decimal_comma
                mend = "with decimal commas, separate the fields by semicolons"
                found.complain(self.file, line, what, mend if commas else "this line is left out")

    def export(self, lines: Iterator[tuple[int, list[str]]], meter: str | None) -> Recorded:
        """One row per value, as `submeter journal export` writes it."""
        place = {name: self.names.index(name) for name in _EXPORT}
        found, moments, meters = Recorded(), dict[str, dict[str, float | None]](), set[str]()
        for line, row in self._whole(lines, found):
            name, whose = row[place["quantity"]], row[place["meter"]]
            if name not in QUANTITIES or (meter is not None and whose != meter):
                continue
            if name.startswith("active_power_l"):
                meters.add(whose)
            try:
                value = self._number(row[place["value"]], name)
            except ValueError as error:
                found.complain(self.file, line, str(error), "this line is left out")
                continue
            moments.setdefault(f"{whose} {row[place['time']]}", {})[name] = value
        if len(meters) > 1:
            raise GatewayError(
                f"{self.file} holds several meters: {', '.join(sorted(meters))}",
                hint="name one: submeter wiring METER --from …",
            )
        if not moments:
            whose = f" of {meter}" if meter else ""
            raise GatewayError(
                f"{self.file} holds no values{whose}", hint="export a time in which the meter was read"
            )
        quantities = {name for values in moments.values() for name in values}
        found.columns = {
            name: [values.get(name) for values in moments.values()] for name in sorted(quantities)
        }
        found.rows = len(moments)
        return found

    def _number(self, cell: str, name: str) -> float | None:
        """A cell's value; None of an empty one. Raises ValueError in words."""
        text = cell.strip()
        if text.lower() in _NOTHING:
            return None
        plain = text
        if self.decimal_comma:
            thousands = "." if "," in text or text.count(".") > 1 else ""
            plain = text.replace(thousands, "").replace(",", ".") if thousands else text
        try:
            value = float(plain)
        except ValueError:
            raise ValueError(f"{name}: {visible(text, 40)!r} is no number") from None
        if not math.isfinite(value):
            raise ValueError(f"{name}: {visible(text, 40)!r} is no finite number")
        if name in QUANTITIES and not QUANTITIES[name].low <= value <= QUANTITIES[name].high:
            raise ValueError(f"{name}: {visible(text, 40)} is beyond anything that can be")
        return value
