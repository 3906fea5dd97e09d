"""A distributor's load profile (OSOS) as a CSV file: what its meter counted in each quarter hour, half
hour or hour.

There is no one format: columns are known by their heads in Turkish or English, dates, numbers and
separators as people write them. What is not understood is named by its line.
"""

from __future__ import annotations

import csv
import errno
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from gateway.cli.language import _
from gateway.cli.options import unreadable
from gateway.common.files import read_given
from gateway.errors import GatewayError, Problem

ACTIVE, INDUCTIVE, CAPACITIVE = "active", "inductive", "capacitive"
BAND: Final = "band"
"""A column of the active energy of one band of a tariff: where there is no other, they are added up."""
Columns = dict[str, tuple[int, ...]]
"""What columns are, and their places; where there are several, they are added up."""
_ENCODINGS: Final = ("utf-8-sig", "cp1254")
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")
"""How a file of UTF-16 begins: the "Unicode text" of Excel."""
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How a file of Excel begins: .xlsx, .xls."""
_MOST: Final = 16 * 1024 * 1024
"""Bytes: a year of quarter hours has two million."""
_LENGTHS: Final = (15, 30, 60)
"""Minutes."""
_YEARS: Final = range(2000, 2100)
_PLAIN: Final = str.maketrans("ıİşŞğĞüÜöÖçÇâî", "iissgguuooccai")
_DAY: Final = re.compile(r"(\d{4})[-./](\d\d?)[-./](\d\d?)|(\d\d?)[-./](\d\d?)[-./](\d{4})")
_CLOCK: Final = re.compile(
    r"(\d\d?)(?:[:.](\d\d))?(?::(\d\d)(?:\.\d+)?)?"  # hour, minute, second
    r"(?: ?(?:(z)(?![a-z])|([+-]\d\d):?(\d\d)(?![\d:])))?"  # Z, or how far from UTC
)
_HALF_DAY: Final = re.compile(r"(?<![a-z])(?:([ap])\.?m|o([os]))(?![a-z])")
"""AM, PM; ÖÖ, ÖS."""
_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+")
_NOON: Final = 12
_HALF: Final = 30
_HEADS: Final = (
    # Word in a head without its blanks and Turkish letters → what the column is; the first that fits. What is
    # given back to the grid is another column.
    (("veris", "verilen", "uretim", "export", "ihrac"), ""),
    (("enduktif", "induktif", "inductive"), INDUCTIVE),
    (("kapasitif", "capacitive"), CAPACITIVE),
    (("kvarh", "reaktif", "reactive"), INDUCTIVE),
    (("kwh", "aktif", "active", "tuketim", "cekis", "consumption"), ACTIVE),
    (("saat", "hour", "time"), "hour"),
    (("tarih", "date", "gun", "day", "zaman"), "date"),
)
_MULTIPLIED: Final = "carpanli"
"""Word of a head whose numbers are those behind the transformers: it counts before another of its kind."""
_CODES: Final = (
    # Codes and short names in a head without Turkish letters, which count before its words: of what is given
    # back (A-, Q2, Q3), of a band's register, of an index and of a power nothing is taken.
    (re.compile(r"(?<![\d.])(?:1\.8\.[1-9]|[267]\.8\.\d)(?!\d)"), ""),
    (re.compile(r"(?<![a-z])(?:a ?-|- ?a|q ?[23])(?![a-z])"), ""),
    (
        re.compile(
            r"^(?!.*(?:wh|varh)).*"
            r"(?:(?<![a-z])k?(?:w|va|var)(?![a-z/]|[ .·-]?(?:h|saat))|guc|demand|talep)"
        ),
        "",
    ),
    (
        re.compile(
            r"(?<![a-z])(?:ri ?-|- ?ri|rc ?\+|\+ ?rc)(?![a-z])|^(?!.*(?:tarih|saat)).*(?:[ei]ndeks|index)"
        ),
        "",
    ),
    (re.compile(r"(?<![\d.])1\.8\.0(?!\d)|(?<![a-z])(?:a ?\+|\+ ?a)(?![a-z])"), ACTIVE),
    (re.compile(r"(?<![\d.])[35]\.8\.0(?!\d)|(?<![a-z])(?:ri|q ?1)(?![a-z])"), INDUCTIVE),
    (re.compile(r"(?<![\d.])[48]\.8\.0(?!\d)|(?<![a-z])(?:rc|q ?4)(?![a-z])"), CAPACITIVE),
)
_BANDS: Final = re.compile(r"(?<![a-z])t ?[123](?!\d)|gunduz|puant|gece")
_TOTAL: Final = re.compile(r"toplam|total|t ?1 ?\+ ?t ?2")
_SUMS: Final = frozenset({"toplam", "total", "geneltoplam"})
"""Heads that say nothing but that they are the whole."""
_SCALES: Final = {"mwh": 1000.0, "mvarh": 1000.0, "wh": 0.001, "varh": 0.001}
"""Unit that is a word of a head → what its numbers are multiplied by to be kWh or kvarh."""


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """From `start` (ms UTC) on: kWh, and kvarh by kind, by the name of the amount."""

    start: int
    amounts: dict[str, float]


@dataclass(slots=True)
class LoadProfile:
    """`minutes` that a row lasts; `not_understood`: what is wrong with which line."""

    rows: list[ProfileRow]
    minutes: int
    not_understood: list[Problem]


def read_profile(path: Path, zone: ZoneInfo) -> LoadProfile:
    """Read a file. Raises GatewayError when nothing of it can be used."""
    try:
        content = read_given(path, _MOST)
    except OSError as error:
        if error.errno == errno.EFBIG:
            text = _("%(path)s is too large") % {"path": path}
            raise GatewayError(text, hint=_("one year is enough")) from error
        raise unreadable(path, error.strerror or "") from error
    if content.startswith(_WORKBOOKS):
        text = _("%(path)s is an Excel workbook") % {"path": path}
        raise GatewayError(text, hint=_("open it in Excel or LibreOffice, and save it as CSV"))
    lines = [line.rstrip("\r") for line in _decoded(content).split("\n")]
    head = next((number for number, line in enumerate(lines) if _columns(line)), None)
    if head is None:
        text = _("%(path)s has no line with the heads of a load profile") % {"path": path}
        hint = _("write one like: date;hour;kWh;inductive kvarh;capacitive kvarh")
        raise GatewayError(text, hint=hint)
    return _profile(path, lines, head, zone)


def _decoded(content: bytes) -> str:
    if content.startswith(_WIDE):
        return content.decode("utf-16", errors="replace")
    for encoding in _ENCODINGS[:-1]:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode(_ENCODINGS[-1], errors="replace")


def _separator(line: str) -> str:
    return max(";\t,", key=line.count)


def _cells(line: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:
        return []


def _letters(head: str) -> str:
    return re.sub(r"[^a-z0-9]", "", head.translate(_PLAIN).lower())


def _scale(head: str) -> float:
    """What a column's numbers are multiplied by to be kWh or kvarh."""
    words = re.findall(r"[a-z]+", head.translate(_PLAIN).lower())
    return next((_SCALES[word] for word in words if word in _SCALES), 1.0)


def _what(head: str) -> str:
    """What a column is, by its head; empty for nothing of a profile."""
    plain, letters = head.translate(_PLAIN).lower(), _letters(head)
    by_code = next((what for code, what in _CODES if code.search(plain)), None)
    by_word = next((what for words, what in _HEADS if any(word in letters for word in words)), None)
    found = by_word if by_code is None else by_code
    if found in {None, ACTIVE} and _BANDS.search(plain) and not _TOTAL.search(plain):
        return BAND
    return ACTIVE if found is None and letters in _SUMS else found or ""


def _columns(line: str) -> Columns:
    """What each column is, by its head; empty when the line is no head of a profile."""
    found: dict[str, list[int]] = {}
    multiplied: dict[str, list[int]] = {}
    for number, cell in enumerate(_cells(line, _separator(line))):
        if what := _what(cell):
            kept = multiplied if _MULTIPLIED in _letters(cell) else found
            kept.setdefault(what, []).append(number)
    found |= multiplied
    if "date" not in found and "hour" in found:
        found["date"] = found["hour"]
    bands = found.pop(BAND, [])
    columns: Columns = {what: (places[0],) for what, places in found.items()}
    if bands:
        columns.setdefault(ACTIVE, tuple(bands))
    return columns if {"date", ACTIVE} <= columns.keys() else {}


def _profile(path: Path, lines: Sequence[str], head: int, zone: ZoneInfo) -> LoadProfile:
    columns, separator = _columns(lines[head]), _separator(lines[head])
    heads, table = _cells(lines[head], separator), [_cells(line, separator) for line in lines[head + 1 :]]
    wanted = [what for what in columns if what in {ACTIVE, INDUCTIVE, CAPACITIVE}]
    places = [place for what in wanted for place in columns[what]]
    numbers = [cells[place] for cells in table for place in places if len(cells) > place]
    mark = _decimal_mark(numbers, whole=all(_scale(heads[place]) < 1 for place in places))
    bad: list[Problem] = []
    found: list[tuple[int, datetime, dict[str, float]]] = []
    ends = False
    for number, cells in enumerate(table, head + 2):
        if not any(cells):
            continue
        if any(cells[len(heads) :]):
            # 12,5 between commas is two columns: not 12.
            bad.append(_bad(path, number, _("it has more columns than there are heads")))
            continue
        try:
            at, midnight = _time(cells, columns, zone)
            amounts = {what: _amount(cells, heads, columns[what], mark) for what in wanted}
        except IndexError:
            bad.append(_bad(path, number, _("it has too few columns")))
            continue
        except ValueError as error:
            bad.append(_bad(path, number, str(error)))
            continue
        ends = ends or midnight
        found.append((number, at, amounts))
    if not found or len(bad) > len(found):
        text = _("%(path)s: %(bad)s of %(all)s lines were not understood") % {
            "path": path, "bad": len(bad), "all": len(bad) + len(found),
        }  # fmt: skip
        first = str(bad[0]) if bad else _("write its quarter hours below the heads")
        raise GatewayError(text, hint=first)
    times = sorted(at for _number_of, at, _amounts in found)
    minutes = _minutes(times)
    length = timedelta(minutes=minutes)
    # A day that begins with 00:15 and ends with 00:00 is one of ends, as is one that has 24:00.
    ends = ends or (times[0] - length).time() == times[-1].time() == datetime.min.time()
    back = length if ends else timedelta()
    rows: dict[int, ProfileRow] = {}
    for number, at, amounts in found:
        start = next((each for each in _starts(at, back, zone) if each not in rows), None)
        if start is None:
            bad.append(_bad(path, number, _("its time stands there twice")))
            continue
        rows[start] = ProfileRow(start, amounts)
    return LoadProfile([rows[start] for start in sorted(rows)], minutes, sorted(bad))


def _bad(path: Path, number: int, what: str) -> Problem:
    return Problem(str(path), number, "", what, _("correct the line, or leave it out"))


def _starts(at: datetime, back: timedelta, zone: ZoneInfo) -> list[int]:
    """When a row with the local time `at` may begin (ms UTC), `back` before it: of an hour that is there
    twice, when the clock is set back, both.
    """
    first, second = (round(at.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    times = [first, second] if second > first else [first]
    return [(each - round(back.total_seconds())) * 1000 for each in times]


def _time(cells: Sequence[str], columns: Columns, zone: ZoneInfo) -> tuple[datetime, bool]:
    """When a row is by the building's clock, and whether it calls the end of a day 24: then all times are
    ends. Raises ValueError.
    """
    (place,) = columns["date"]
    text = cells[place]
    day = _DAY.search(text)
    if day is None:
        raise _no_date(text)
    year, month, date, *other = day.groups()
    year, month, date = (year, month, date) if year else reversed(other)
    try:
        midnight = datetime(int(year), int(month), int(date))  # noqa: DTZ001 - the zone comes when all are read
    except ValueError:
        midnight = datetime.min  # noqa: DTZ901
    if midnight.year not in _YEARS:
        raise _no_date(text)
    (clock_place,) = columns.get("hour", columns["date"])
    rest = cells[clock_place] if clock_place != place else text[day.end() :]
    plain = rest.translate(_PLAIN).lower()
    clock, half = _CLOCK.search(plain), _HALF_DAY.search(plain)
    if clock is None:
        raise _no_time(rest)
    hour, minute, second = (int(part or 0) for part in clock.groups()[:3])
    if hour > 24 or minute > 59 or hour * 60 + minute > 24 * 60:
        raise _no_time(rest)
    if half and hour <= _NOON:  # 13:15 PM is 13:15
        hour = hour % _NOON + _NOON * ((half[1] or half[2]) in {"p", "s"})
    at = midnight + timedelta(hours=hour, minutes=minute + (second >= _HALF))
    if clock[4] or (clock[5] and (clock[3] or rest[:1] in "Tt")):  # 00:00-01:00 is an hour
        sign = -1 if (clock[5] or "").startswith("-") else 1
        apart = sign * timedelta(hours=abs(int(clock[5] or 0)), minutes=int(clock[6] or 0))
        at = (at - apart).replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    return at, hour == 24


def _no_time(text: str) -> ValueError:
    return ValueError(_("%(word)s is not a time like 13:15") % {"word": repr(text.strip())[:30]})


def _no_date(text: str) -> ValueError:
    return ValueError(_("%(word)s is not a date like 2026-10-29 or 29.10.2026") % {"word": repr(text)[:30]})


def _decimal_mark(cells: Sequence[str], *, whole: bool) -> str:
    """What stands before decimals in a file: the comma where one stands behind every point of its number,
    and where the numbers are `whole` ones of Wh or varh, and each point stands before three digits.
    """
    if any("," in cell and cell.rfind(",") > cell.rfind(".") for cell in cells):
        return ","
    pointed = [cell for cell in cells if "." in cell]
    thousands = (
        whole
        and all(_THOUSANDS.fullmatch(cell) for cell in pointed)
        and any(not cell.endswith(".000") for cell in pointed)
    )
    return "," if thousands else "."


def _number(text: str, mark: str) -> float:
    """1.234,5 and 1234,5, or 1,234.5 and 1234.5; a thousands sign stands before three digits and behind no
    0. Raises ValueError.
    """
    plain = text.replace("\xa0", "").replace(" ", "")
    thousands = "." if mark == "," else ","
    shape = rf"(?:[1-9]\d{{0,2}}(?:[{thousands}]\d{{3}})+|\d+)(?:[{mark}]\d*)?"
    if not re.fullmatch(shape, plain, re.ASCII):
        raise ValueError(_("%(word)s is not a number") % {"word": repr(text)[:30]})
    return float(plain.replace(thousands, "").replace(mark, "."))


def _amount(cells: Sequence[str], heads: Sequence[str], places: Sequence[int], mark: str) -> float:
    """The kWh or kvarh of a row; of several bands those that do not run may be empty. Raises ValueError,
    IndexError.
    """
    said = [place for place in places if cells[place]] or places[:1]
    return sum(_number(cells[place], mark) * _scale(heads[place]) for place in said)


def _minutes(times: Sequence[datetime]) -> int:
    """How long a row lasts: what most lie apart. Raises GatewayError."""
    apart = Counter(int((b - a).total_seconds() // 60) for a, b in pairwise(sorted(set(times))))
    found = next(iter(apart.most_common(1)), (60, 1))[0]
    if found not in _LENGTHS:
        text = _("the lines lie %(minutes)s minutes apart") % {"minutes": found}
        raise GatewayError(text, hint=_("a load profile has 15, 30 or 60 minutes"))
    return found
