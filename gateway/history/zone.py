"""Another time zone: the same quarter hours belong to other local days, so every day is cut anew."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from datetime import date

from gateway.energy import QUARTER, Calendar
from gateway.errors import HistoryDamaged
from gateway.history.day import Day
from gateway.history.schema import SUMS
from gateway.history.sums import forget

log = logging.getLogger(__name__)


def is_of_other_zone(conn: sqlite3.Connection, calendar: Calendar) -> bool:
    """Whether the days of a history are not those of the calendar: judged by the newest one of each
    half year.
    """
    sql = "SELECT max(day), data FROM day GROUP BY day / 183"
    for day, data in conn.execute(sql):
        # A day that cannot be read is told when it is asked for.
        with contextlib.suppress(HistoryDamaged):
            if Day.unpack(data).start != calendar.quarters(date.fromordinal(day))[0]:
                return True
    return False


def recut(conn: sqlite3.Connection, calendar: Calendar) -> None:
    """Put every quarter hour into the local day that it belongs to now. Within the caller's transaction.

    A day that was told by a manifest is told again, under the next version.
    """
    log.warning("the time zone is %s now: the days of the history are cut anew", calendar.zone)
    conn.execute("CREATE TEMP TABLE cut AS SELECT * FROM day WHERE false")
    for (series,) in conn.execute("SELECT id FROM series").fetchall():
        for ordinal, day in _days(conn, series, calendar):
            conn.execute(
                "INSERT INTO cut VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (ordinal, series, *day.row())
            )
    conn.execute("DELETE FROM day")
    conn.execute("INSERT INTO day SELECT * FROM cut ORDER BY day, series")
    conn.execute("DROP TABLE cut")
    if conn.execute("PRAGMA user_version").fetchone()[0] >= SUMS:
        forget(conn)


def _days(conn: sqlite3.Connection, series: int, calendar: Calendar) -> Iterator[tuple[int, Day]]:
    """The new days of a register, by date. A new day holds pieces of two old ones, or of three."""
    manifests = dict(conn.execute("SELECT day, manifest FROM day WHERE series = ?", (series,)))
    made: dict[int, Day] = {}
    for ordinal, data in conn.execute("SELECT day, data FROM day WHERE series = ? ORDER BY day", (series,)):
        old = Day.unpack(data)
        for index, letter in enumerate(old.quality):
            if letter:
                _move(old, index, made, calendar)
        for done in [each for each in made if each < ordinal - 1]:
            yield done, _told(made.pop(done), manifests.get(done, 0))
    for left in sorted(made):
        yield left, _told(made[left], manifests.get(left, 0))


def _told(day: Day, manifest: int) -> Day:
    day.manifest = manifest
    day.due = any(day.version)
    return day


def _move(old: Day, index: int, made: dict[int, Day], calendar: Calendar) -> None:
    start = old.start + index * QUARTER
    local, _ = calendar.place(start)
    day = made.get(local.toordinal())
    if day is None:
        quarters = calendar.quarters(local)
        day = made[local.toordinal()] = Day(quarters[0], len(quarters))
    place = (start - day.start) // QUARTER
    day.values[place], day.quality[place] = old.values[index], old.quality[index]
    day.version[place] = old.version[index]
    if index in old.pending:
        day.pending[place] = old.pending[index]
