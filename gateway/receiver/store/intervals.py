"""Energy per quarter hour as the platform holds it: of each interval the highest version, what contradicts
it, and the manifests that say what a day must hold.

A manifest is an event of the gateway (docs/energy.md): of a local day of one register how many intervals
were published, their sum, and a SHA-256 over their lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gateway.receiver.store.sql import Sql
from gateway.wire import Batch, DayManifest

COMPLETE, INCOMPLETE, CONTRADICTED = "complete", "incomplete", "contradicted"
STATES = (COMPLETE, INCOMPLETE, CONTRADICTED)
"""The better before the worse."""
_MANIFESTS = """SELECT meter, quantity, day, version, first, last, count, sum, sha256, contradicted, seq
    FROM manifest WHERE gateway = ?"""


@dataclass(frozen=True, slots=True)
class DayVerdict:
    """Whether the platform has what a day's newest manifest says. `stored` of `count` intervals are here."""

    meter: str
    quantity: str
    day: str
    state: str
    version: int
    count: int
    stored: int


class Intervals:
    """The tables `interval`, `contradiction` and `manifest`. What changes them stands in a transaction."""

    def __init__(self, conn: Sql) -> None:
        self._conn = conn

    def store(self, batch: Batch) -> None:
        """The highest version of an interval counts; an equal one that says something else is kept beside it,
        the first of each version.
        """
        if not batch.intervals:
            return
        differs = """INSERT INTO contradiction
            SELECT gateway, meter, quantity, start, version, value, quality, :value, :quality, :epoch, :seq
            FROM "interval"
            WHERE gateway = :gateway AND meter = :meter AND quantity = :quantity AND start = :start
            AND version = :version AND (seconds, value, quality) IS DISTINCT FROM (:seconds, :value, :quality)
            ON CONFLICT DO NOTHING"""
        newest = """INSERT INTO "interval" AS old
            VALUES (:gateway, :meter, :quantity, :start, :seconds, :value, :quality, :version, :epoch, :seq)
            ON CONFLICT (gateway, meter, quantity, start) DO UPDATE SET
            (seconds, value, quality, version, epoch, seq) = (excluded.seconds, excluded.value,
            excluded.quality, excluded.version, excluded.epoch, excluded.seq)
            WHERE old.version < excluded.version"""
        names = ("meter", "quantity", "start", "seconds", "value", "quality", "version")
        of = {"gateway": batch.gateway, "epoch": batch.epoch, "seq": batch.seq}
        rows = [{**of, **{name: getattr(one, name) for name in names}} for one in batch.intervals]
        twice = len({(row["meter"], row["quantity"], row["start"]) for row in rows}) < len(rows)
        for part in [[row] for row in rows] if twice else [rows]:
            self._conn.executemany(differs, part)
            self._conn.executemany(newest, part)
        starts = [one.start for one in batch.intervals]
        self._changed(batch.gateway, min(starts), max(starts))

    def _changed(self, gateway: str, first: int, last: int) -> None:
        """What manifests say of this time is to be looked at again."""
        sql = "INSERT INTO changed_day (gateway, first, last) VALUES (?, ?, ?)"
        self._conn.execute(sql, (gateway, first, last))

    def note_manifest(self, batch: Batch, fields: dict[str, Any]) -> bool:
        """Keep a manifest that is newer than the known one; an equal version that says something else
        contradicts it. False when it is none.
        """
        try:
            told = DayManifest.model_validate(fields)
        except ValidationError:
            return False
        contradicts = """UPDATE manifest SET contradicted = 1
            WHERE gateway = :gateway AND meter = :meter AND quantity = :quantity AND day = :day
            AND version = :version
            AND (first, last, count, sum, sha256) IS DISTINCT FROM (:first, :last, :count, :sum, :sha256)"""
        newest = """INSERT INTO manifest AS old
            VALUES (:gateway, :meter, :quantity, :day, :version, :first, :last, :count, :sum, :sha256, 0,
            :epoch, :seq) ON CONFLICT (gateway, meter, quantity, day) DO UPDATE SET
            (version, first, last, count, sum, sha256, contradicted, epoch, seq) = (excluded.version,
            excluded.first, excluded.last, excluded.count, excluded.sum, excluded.sha256, 0, excluded.epoch,
            excluded.seq) WHERE old.version < excluded.version"""
        names = ("meter", "quantity", "day", "version", "first", "last", "count", "sum", "sha256")
        row = {name: getattr(told, name) for name in names}
        row |= {"gateway": batch.gateway, "epoch": batch.epoch, "seq": batch.seq}
        self._conn.execute(contradicts, row)
        self._conn.execute(newest, row)
        self._changed(batch.gateway, told.first, told.last)
        return True

    def verdicts(self, gateway: str, *, whole_stream: bool) -> Iterator[DayVerdict]:
        """Each day of each register against its newest manifest, by meter and day. `whole_stream`: no
        batch of the gateway is missing.

        Complete: count, sum and SHA-256 agree. Contradicted: two manifests, or two intervals, of one
        version say different things; or all is here, nothing is on its way, and it is not what the
        manifest says. Else incomplete: an interval is missing, or one is newer than the manifest, whose
        successor is still to come.
        """
        sql = f"{_MANIFESTS} ORDER BY meter, day, quantity"
        for row in self._conn.execute(sql, (gateway,)).fetchall():
            yield self._judge(gateway, row, whole_stream=whole_stream)

    def day(self, gateway: str, meter: str, day: str, *, whole_stream: bool) -> list[DayVerdict]:
        """One day of one meter: the verdict of each register that has a manifest."""
        rows = self._conn.execute(f"{_MANIFESTS} AND meter = ? AND day = ?", (gateway, meter, day)).fetchall()
        return [self._judge(gateway, row, whole_stream=whole_stream) for row in rows]

    def _judge(self, gateway: str, row: Sequence[Any], *, whole_stream: bool) -> DayVerdict:
        meter, quantity, day, version, first, last, count, total, sha256, contradicted, seq = row
        span = (gateway, meter, quantity, first, last)
        stored, newest, sums = self._stored(span)
        if contradicted or self._contradicted(span):
            state = CONTRADICTED
        elif (len(stored), sums, _digest(stored)) == (count, total, sha256):
            state = COMPLETE
        elif len(stored) < count or newest > seq or not whole_stream:
            state = INCOMPLETE
        else:
            state = CONTRADICTED
        return DayVerdict(meter, quantity, day, state, version, count, len(stored))

    def _stored(self, span: tuple[Any, ...]) -> tuple[list[str], int, int]:
        """The lines of the intervals from one edge to another, the highest seq that brought one, and their
        sum.
        """
        sql = """SELECT start, value, quality, version, seq FROM "interval"
            WHERE gateway = ? AND meter = ? AND quantity = ? AND start >= ? AND start < ? ORDER BY start"""
        rows = self._conn.execute(sql, span).fetchall()
        lines = [f"{start},{value},{quality},{version}\n" for start, value, quality, version, _ in rows]
        return lines, max((row[4] for row in rows), default=0), sum(row[1] for row in rows)

    def _contradicted(self, span: tuple[Any, ...]) -> bool:
        sql = """SELECT 1 FROM contradiction JOIN "interval" USING (gateway, meter, quantity, start, version)
            WHERE gateway = ? AND meter = ? AND quantity = ? AND start >= ? AND start < ? LIMIT 1"""
        return self._conn.execute(sql, span).fetchone() is not None

    def contradictions(self, gateway: str, most: int) -> list[dict[str, Any]]:
        """The newest intervals of which one version came with two values, at most `most`."""
        names = "meter, quantity, start, version, value, quality, other_value, other_quality"
        sql = f"""SELECT {names} FROM contradiction WHERE gateway = ?
            ORDER BY start DESC, meter, quantity LIMIT ?"""  # noqa: S608 - the names are the constant above
        rows = self._conn.execute(sql, (gateway, most)).fetchall()
        return [dict(zip(names.split(", "), row, strict=True)) for row in rows]

    def count(self, gateway: str) -> int:
        """How many intervals are held."""
        sql = 'SELECT count(*) FROM "interval" WHERE gateway = ?'
        return int(self._conn.execute(sql, (gateway,)).fetchone()[0])


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("".join(lines).encode()).hexdigest()
