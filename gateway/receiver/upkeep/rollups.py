"""Hours of readings: of each meter and quantity how many values, the smallest, the largest, their mean.

A commit notes which hours of which gateways it brought readings for (table `changed_hour`); here such an hour
is made anew from all its readings once it is over. So it does not matter how late, how often or in what order
they come. Where the readings were dropped, a late one is added to what the hour holds, and goes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

from gateway.receiver.store.arrivals import HOUR
from gateway.receiver.store.base import content
from gateway.receiver.store.sql import Sql
from gateway.receiver.upkeep.readings import GRACE, dropped_before, meters_of
from gateway.receiver.upkeep.work import Work

log = logging.getLogger(__name__)

NOTES = 5000
"""Of one hour that are worked off at once."""

HourRow = tuple[str, int, int, dict[str, list[Any]]]
"""Meter, readings, how many of them brought nothing, and of each quantity [count, suspect, minimum, maximum,
mean].
"""


class Rollups:
    """Makes the hours that have changed, the newest first."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._conn = work.conn

    def due(self, now: int, before: int | None = None) -> tuple[str, int] | None:
        """The next hour that is out of date, as gateway and its beginning; of hours before `before` alone."""
        end = now - HOUR - GRACE if before is None else min(before, now) - HOUR
        sql = "SELECT gateway, hour FROM changed_hour WHERE hour <= ? ORDER BY hour DESC, gateway LIMIT 1"
        found = self._conn.execute(sql, (end,)).fetchone()
        return (found[0], found[1]) if found else None

    def turn(self, now: int, before: int | None = None) -> bool:
        """Make the hour that is due; whether there was one. Errors of the database."""
        due = self.due(now, before)
        if due is None:
            return False
        try:
            self.make(*due)
        except Exception as error:
            if self._work.failed(error):
                raise
            # One gateway's nonsense must not keep the readings of all others from being dropped.
            log.exception("the hour from %d ms of gateway %s is left out of the rollups", due[1], due[0])
            with self._work.writing():
                self._conn.execute("DELETE FROM changed_hour WHERE gateway = ? AND hour = ?", due)
        return True

    def make(self, gateway: str, hour: int) -> None:
        """Bring one hour up to date. Errors of the database."""
        if hour < dropped_before(self._conn, gateway):
            self._add_late(gateway, hour)
            return
        with self._work.snapshot():
            notes = self._notes(gateway, hour)
            hours = list(self._hours(gateway, hour))
        with self._work.writing():
            self._write(gateway, hour, hours)
            self._done(notes)

    def _add_late(self, gateway: str, hour: int) -> None:
        with self._work.writing():
            notes = self._notes(gateway, hour)
            hours = [self._merged(gateway, hour, late) for late in self._hours(gateway, hour)]
            self._write(gateway, hour, hours)
            self._drop(gateway, hour)
            self._done(notes)

    def _notes(self, gateway: str, hour: int) -> list[tuple[int]]:
        sql = "SELECT id FROM changed_hour WHERE hour = ? AND gateway = ? LIMIT ?"
        return list(self._conn.execute(sql, (hour, gateway, NOTES)).fetchall())

    def _done(self, notes: list[tuple[int]]) -> None:
        self._conn.executemany("DELETE FROM changed_hour WHERE id = ?", notes)

    def _hours(self, gateway: str, hour: int) -> Iterator[HourRow]:
        within = "gateway = ? AND meter = ? AND t >= ? AND t < ? AND clock <> 'unsynced'"
        counts = f"SELECT count(*), count(missing) FROM reading WHERE {within}"  # noqa: S608 - a constant
        # What no meter can have measured is doubted too: a mean of such numbers has no representation.
        values = f"""SELECT quantity, sum(good), sum(1 - good), min(CASE WHEN good = 1 THEN value END),
            max(CASE WHEN good = 1 THEN value END), avg(CASE WHEN good = 1 THEN value END)
            FROM (SELECT quantity, value, CASE WHEN suspect OR abs(value) > 1e100 THEN 0 ELSE 1 END AS good
            FROM value WHERE {within}) AS judged GROUP BY quantity ORDER BY quantity"""  # noqa: S608 - a constant
        for meter in meters_of(self._conn, gateway):
            span = (gateway, meter, hour, hour + HOUR)
            readings, missing = self._conn.execute(counts, span).fetchone()
            if readings:
                rows = self._conn.execute(values, span).fetchall()
                yield meter, readings, missing, {row[0]: [int(row[1]), int(row[2]), *row[3:]] for row in rows}

    def _merged(self, gateway: str, hour: int, late: HourRow) -> HourRow:
        meter, readings, missing, values = late
        sql = 'SELECT readings, missing, "values" FROM reading_hour WHERE gateway = ? AND meter = ? AND t = ?'
        if (row := self._conn.execute(sql, (gateway, meter, hour)).fetchone()) is None:
            return late
        known: dict[str, list[Any]] = json.loads(row[2]) if isinstance(row[2], str) else row[2]
        whole = known | {
            quantity: merged(known[quantity], more) if quantity in known else more
            for quantity, more in values.items()
        }
        return meter, readings + row[0], missing + row[1], whole

    def _write(self, gateway: str, hour: int, hours: list[HourRow]) -> None:
        sql = """INSERT INTO reading_hour VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (gateway, meter, t) DO UPDATE
            SET readings = excluded.readings, missing = excluded.missing, "values" = excluded."values" """
        rows = [
            (gateway, meter, hour, readings, missing, json.dumps(values, separators=(",", ":")))
            for meter, readings, missing, values in hours
        ]
        self._conn.executemany(sql, rows)

    def _drop(self, gateway: str, hour: int) -> None:
        """Readings that came after their time was dropped, and what their batches say."""
        within = "gateway = ? AND t >= ? AND t < ? AND clock <> 'unsynced' AND meter = ?"
        came = f"SELECT DISTINCT epoch, seq FROM reading WHERE {within}"  # noqa: S608 - a constant
        for meter in list(meters_of(self._conn, gateway)):
            of = (gateway, hour, hour + HOUR, meter)
            empty(self._conn, gateway, self._conn.execute(came, of).fetchall())
            self._conn.execute(f"DELETE FROM reading WHERE {within}", of)  # noqa: S608 - a constant


def merged(one: list[Any], other: list[Any]) -> list[Any]:
    """The same of both: [count, suspect, minimum, maximum, mean]; without a count there is none of the rest.

    >>> merged([3, 0, 1.0, 5.0, 2.0], [1, 1, 9.0, 9.0, 6.0])
    [4, 1, 1.0, 9.0, 3.0]
    """
    if not (one[0] and other[0]):
        whole = one if one[0] else other
        return [whole[0], one[1] + other[1], *whole[2:]]
    count = one[0] + other[0]
    mean = one[4] + (other[4] - one[4]) * (other[0] / count)
    return [count, one[1] + other[1], min(one[2], other[2]), max(one[3], other[3]), mean]


def empty(conn: Sql, gateway: str, batches: list[tuple[str, int]]) -> None:
    """Of these batches (epoch, seq) keep only the digest: what comes again under their number is still told
    from another.
    """
    get = "SELECT body FROM batch WHERE gateway = ? AND epoch = ? AND seq = ?"
    put = "UPDATE batch SET body = ? WHERE gateway = ? AND epoch = ? AND seq = ?"
    rows = [
        (content(conn.execute(get, (gateway, *key)).fetchone()[0]).encode(), gateway, *key) for key in batches
    ]
    conn.executemany(put, rows)
