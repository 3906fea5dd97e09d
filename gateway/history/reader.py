"""A look at history.db while a gateway writes it: for page, API and commands. Nothing is changed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.energy import (
    BuildingRegisters,
    BuildingSeries,
    Calendar,
    DaySum,
    Interval,
    KeptFinding,
    Manifest,
    PollHours,
    Register,
)
from gateway.errors import HistoryError
from gateway.history.day import Day
from gateway.history.events.findings import unpacked_findings
from gateway.history.schema import FILE, SUMS, VERSION, translate
from gateway.history.sums import BUILDING, building_until, kept_directions, of_day, until_of
from gateway.history.values import unpacked_polls

_DAY_SUM = partial(tuple.__new__, DaySum)
"""A row of all its columns as one: years of them by its own constructor take twice as long."""


@dataclass(frozen=True, slots=True)
class Holiday:
    """A public holiday by its names; `half`: it begins at 13:00."""

    tr: str
    en: str
    half: bool


@dataclass(frozen=True, slots=True)
class DayValues:
    """A local day of a register from `start` (ms UTC): whole base units and a letter of quality for each
    quarter hour, "" where it is missing.
    """

    day: date
    start: int
    values: list[int]
    quality: Sequence[str]


class HistoryReader:
    """Opens the history of a directory to be read. Raises HistoryError when there is none or it cannot be
    read.

    It may be used by one thread at a time; a slow reader delays no writer. With `untouched` nothing in the
    folder is made or changed while nobody has the history open, unless a killed gateway has left its log
    there: for a command, which ends soon.
    """

    def __init__(self, directory: Path | str, *, untouched: bool = False) -> None:
        self.path = Path(directory) / FILE
        try:
            there = self.path.exists()
        except PermissionError as error:
            raise HistoryError(f"you may not open {directory}", hint="use sudo") from error
        if not there:
            raise HistoryError(
                f"there is no history in {directory} yet",
                hint="the gateway makes it within a minute of its start",
            )
        name = f"file:{quote(str(self.path))}?mode=ro"
        if untouched and not self.path.with_name(f"{FILE}-wal").exists():
            name += "&immutable=1"  # else SQLite makes a log and an index beside it, and leaves them there
        try:
            self._conn = sqlite3.connect(
                name, uri=True, isolation_level=None, timeout=5, check_same_thread=False
            )
            self._conn.execute("PRAGMA query_only = ON")
            # What is read is read once: pages that are kept would only be memory of the daemon.
            self._conn.execute("PRAGMA cache_size = -256")
            version = self._conn.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        if version > VERSION:
            raise HistoryError(
                f"{self.path} was written by a newer version of this program",
                hint="install that version again",
            )
        self._has_sums = version >= SUMS

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._conn.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise translate(error, self.path) from error

    def _days(
        self, columns: str, meter: str, quantity: str, first: date, last: date
    ) -> list[tuple[Any, ...]]:
        """By date. A look-up for each day: the rows of a register lie far apart."""
        span = self.span()
        if span is None:
            return []
        sql = (  # of our own words alone
            "WITH RECURSIVE wanted(day) AS (SELECT ? UNION ALL SELECT day + 1 FROM wanted WHERE day < ?) "
            "SELECT COLUMNS FROM wanted CROSS JOIN day ON day.day = wanted.day "
            "AND day.series = (SELECT id FROM series WHERE meter = ? AND quantity = ?)"
        ).replace("COLUMNS", columns)
        begin, end = max(first, span[0]).toordinal(), min(last, span[1]).toordinal()
        return self._rows(sql, begin, end, meter, quantity) if begin <= end else []

    def registers(self) -> list[tuple[str, str]]:
        """Meter and quantity of everything that has a day."""
        rows = self._rows("SELECT meter, quantity FROM series ORDER BY id")
        return [(str(meter), str(quantity)) for meter, quantity in rows]

    def span(self) -> tuple[date, date] | None:
        """First and last local day with an interval."""
        first, last = self._rows("SELECT (SELECT min(day) FROM day), (SELECT max(day) FROM day)")[0]
        return None if first is None else (date.fromordinal(first), date.fromordinal(last))

    def intervals(self, meter: str, quantity: str, first: date, last: date) -> Iterator[Interval]:
        """The newest version of each interval of some local days, by start; what has none is missing."""
        for (data,) in self._days("data", meter, quantity, first, last):
            day = Day.unpack(data)
            for index in range(day.n):
                interval = day.interval(index, meter, quantity)
                if interval is not None:
                    yield interval

    def manifests(self, meter: str, quantity: str, first: date, last: date) -> Iterator[Manifest]:
        """The manifest of each local day of which one was published, as it would be sent again; by date."""
        for number, version, data in self._days("day.day, manifest, data", meter, quantity, first, last):
            if version:
                day = Day.unpack(data)
                yield day.manifest_of(meter, quantity, date.fromordinal(number), version)

    def days(self, meter: str, quantity: str, first: date, last: date) -> Iterator[DayValues]:
        """The local days that have an interval, by date: for who needs many of them."""
        for day, data in self._days("day.day, data", meter, quantity, first, last):
            yield DayValues(date.fromordinal(day), *Day.values_of(data))

    def sums(
        self,
        meter: str,
        quantity: str,
        first: date,
        last: date,
        calendar: Calendar | None = None,
        *,
        unmeasured: bool = False,
    ) -> list[DaySum]:
        """A sum for each local day that has an interval, by date; those alone of which something is
        `unmeasured`. Days of which no sum is kept have their hours by `calendar`, without one none.
        """
        with self._moment():
            until = until_of(self._conn) if self._has_sums else 0
            sql = "SELECT id FROM series WHERE meter = ? AND quantity = ?"
            series = next((number for (number,) in self._rows(sql, meter, quantity)), 0)
            found = self._kept_sums(series, first, last, until, unmeasured=unmeasured)
            since = max(first, date.fromordinal(max(1, until)))
            rows = self._days("day.day, data", meter, quantity, since, last) if since <= last else []
        live = (of_day(day, Day.unpack(data), calendar) for day, data in rows)
        return [*found, *(one for one in live if not unmeasured or one.measured < one.intervals)]

    def counted(self, meter: str, quantity: str, first: date, last: date) -> tuple[int, int]:
        """What a register took on some local days, and of how many intervals that is known."""
        with self._moment():
            until = date.fromordinal(max(1, until_of(self._conn) if self._has_sums else 0))
            sql = (
                "SELECT coalesce(sum(sum), 0), coalesce(sum(intervals), 0) FROM day_sum "
                "WHERE day BETWEEN ? AND ? "
                "AND series = (SELECT id FROM series WHERE meter = ? AND quantity = ?)"
            )
            found = (
                self._days("sum, intervals", meter, quantity, max(first, until), last)
                if until <= last
                else []
            )
            end = min(last, until - timedelta(1)) if until > date.min else date.min
            if self._has_sums and first <= end:
                found += self._rows(sql, first.toordinal(), end.toordinal(), meter, quantity)
        return sum(value for value, _ in found), sum(known for _, known in found)

    def building_sums(
        self, series: BuildingSeries, registers: BuildingRegisters, first: date, last: date
    ) -> tuple[list[DaySum], date]:
        """The kept sums of a building of these registers, by date, and the local day from which on none are
        kept.
        """
        with self._moment():
            until = building_until(self._conn, registers.text) if self._has_sums else 0
            found = self._kept_sums(BUILDING[series], first, last, until)
        return found, date.fromordinal(max(1, until))

    def begins(self) -> dict[Register, date]:
        """The first local day of each register."""
        # Each looked up by itself: who groups all sums of five years by series reads them all.
        kept = "(SELECT min(day) FROM day_sum WHERE series = id)" if self._has_sums else "NULL"
        with self._moment():
            until = until_of(self._conn) if self._has_sums else 0
            days = "SELECT series, min(day) FROM day WHERE day >= ? GROUP BY series"
            found = dict(self._conn.execute(days, (until,)).fetchall())
            rows = self._conn.execute(f"SELECT id, meter, quantity, {kept} FROM series").fetchall()  # noqa: S608
        begins = {(meter, name): first or found.get(key) for key, meter, name, first in rows}
        return {register: date.fromordinal(first) for register, first in begins.items() if first}

    def directions(self) -> dict[str, str]:
        """Plant → the direction that counts its yield, import or export, as its days have told it."""
        with self._moment():
            return kept_directions(self._conn) if self._has_sums else {}

    def _kept_sums(
        self, series: int, first: date, last: date, until: int, *, unmeasured: bool = False
    ) -> list[DaySum]:
        """Within a `_moment`: years of days are not held as rows, too."""
        sql = (
            "SELECT day, sum, intervals, measured, estimated, suspect, edited, quarters, data FROM day_sum "
            "WHERE series = ? AND day BETWEEN ? AND ? AND (? OR measured < intervals)"
        )
        end = min(last.toordinal(), until - 1)
        if end < first.toordinal():
            return []
        return list(map(_DAY_SUM, self._conn.execute(sql, (series, first.toordinal(), end, not unmeasured))))

    @contextmanager
    def _moment(self) -> Iterator[None]:
        """What is read within is of one moment, whatever is written meanwhile. Raises HistoryError."""
        try:
            self._conn.execute("BEGIN")
            yield
        except sqlite3.DatabaseError as error:
            raise translate(error, self.path) from error
        finally:
            self._conn.rollback()  # nothing was changed; of what failed SQLite may have ended all by itself

    def lost(self) -> list[tuple[date, date]]:
        """First and last of the local days whose intervals went with a damaged file."""
        rows = self._rows("SELECT first, last FROM lost ORDER BY first")
        return [(date.fromordinal(first), date.fromordinal(last)) for first, last in rows]

    def polls(self, meter: str) -> PollHours:
        """How a meter answered, hour by hour, of the last week."""
        return unpacked_polls(self._known("polls")).of(meter)

    def findings(self) -> list[KeptFinding]:
        """The newest findings of each meter, by the time at which they were so last."""
        return unpacked_findings(self._known("findings"))

    def steps(self) -> dict[Register, int]:
        """The step of each register, in whole base units, where a quarter hour brings less than one."""
        try:
            told = json.loads(self._known("steps") or b"{}")
            return {
                (meter, name): ceil(step) for meter, names in told.items() for name, step in names.items()
            }
        except (ValueError, AttributeError, TypeError):
            return {}

    def _known(self, name: str) -> bytes | None:
        rows = self._rows("SELECT value FROM known WHERE name = ?", name)
        return rows[0][0] if rows else None

    def holidays(self) -> dict[date, Holiday]:
        """The known public holidays."""
        rows = self._rows("SELECT day, tr, en, half FROM holiday")
        return {date.fromordinal(day): Holiday(tr, en, bool(half)) for day, tr, en, half in rows}

    def close(self) -> None:
        """Close the file."""
        self._conn.close()
