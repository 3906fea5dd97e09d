"""Upkeep of a PostgreSQL database: a month of readings goes by dropping its table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from gateway.receiver.store.schema.hypertable import CHUNK, CHUNKS, DROP
from gateway.receiver.store.schema.partitions import DIVIDED, PARTITION, SPAN, month_of, month_start
from gateway.receiver.store.server import KEY, ServerConnection, is_hypertable, make_partition

_PREPARE = b"SET synchronous_commit = off; SET lock_timeout = '200ms'; SET statement_timeout = '5min'"
"""What a power cut takes of it is done again. Whoever commits waits behind whoever waits for the table."""
_KEPT = """r.clock = 'unsynced' AND EXISTS (SELECT 1 FROM epoch e
    WHERE e.gateway = r.gateway AND e.epoch = r.epoch AND e.last_received >= ?)"""
"""Of a reading: its time is unknown, so it lies where its clock put it and goes by when it was received."""


class PostgresWork:
    """`address` is a connection URI, `name` what people are shown of it."""

    def __init__(self, address: str, name: str) -> None:
        self.name = name
        self.conn = ServerConnection(address, _PREPARE)
        self._leader: psycopg.Connection[Any] | None = None

    @property
    def leads(self) -> bool:
        raw = self.conn.raw
        if self._leader is not raw:
            (got,) = self.conn.execute("SELECT pg_try_advisory_lock(?)", (KEY + 2,)).fetchone()
            self._leader = raw if got else None
        return self._leader is raw

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self.conn.transaction():
            self.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self.conn.transaction():
            self.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield

    def make_room(self, now: int) -> None:
        """The tables of this month and the next, and of all whose rows had to go elsewhere."""
        present = month_of(now)
        for table, time in DIVIDED.items():
            if table == "reading" and is_hypertable(self.conn):
                continue
            first, last = SPAN
            sql = f"SELECT min({time}) FROM {table}_other WHERE {time} >= ? AND {time} < ?"  # noqa: S608 - ours
            while (t := self.conn.execute(sql, (first, last)).fetchone()[0]) is not None:
                month = month_of(t)
                assert month is not None
                make_partition(self.conn, table, month)
                first = month_start(month + 1)
            for month in () if present is None else (present, present + 1):
                make_partition(self.conn, table, month)

    def drop(self, gateways: Sequence[str], limit: int) -> Iterator[None]:
        """A month or a chunk at a time, of all gateways at once; one stays until all of it is before
        `limit`.
        """
        del gateways
        month, chunk = month_of(limit), limit - limit % CHUNK
        while month is not None and self._drop_next(
            chunk if is_hypertable(self.conn) else month_start(month), limit
        ):
            yield

    def _drop_next(self, before: int, limit: int) -> bool:
        """The oldest part that has ended before a time and holds what may go; whether there was one."""
        with self.conn.transaction():
            chunks = is_hypertable(self.conn)
            parts = self._chunks(before) if chunks else self._months(before)
            some = next((each for each in parts if self._may_go(each[0], limit)), None)
            if some:
                name, first, before = some
                self.conn.literally("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE")
                # Whoever was storing has committed: all that is to be rolled up is seen.
                due = "SELECT 1 FROM changed_hour WHERE hour < ? LIMIT 1"
                if self.conn.execute(due, (before,)).fetchone():
                    return False
                if chunks:
                    self._drop_chunk(name, (first, before), limit)
                else:
                    self._drop_month(name, limit)
            note = """INSERT INTO dropped VALUES ('', ?) ON CONFLICT (gateway) DO UPDATE SET
                "before" = excluded."before" WHERE dropped."before" < excluded."before" """
            self.conn.execute(note, (before,))
        return some is not None

    def _may_go(self, name: str, limit: int) -> bool:
        """Whether a part is empty, or not all of its readings are to be kept: to take those out and put them
        back again and again would keep everybody from storing.
        """
        sql = f"""SELECT NOT EXISTS (SELECT 1 FROM {name}) OR EXISTS
            (SELECT 1 FROM {name} r WHERE NOT ({_KEPT}))"""  # noqa: S608 - a name of ours
        (may,) = self.conn.execute(sql, (limit,)).fetchone()
        return bool(may)

    def _chunks(self, before: int) -> list[tuple[str, int, int]]:
        """The chunks of a hypertable, as `_months`; not those of clocks that were wrong."""
        found = self.conn.execute(CHUNKS).fetchall()
        return [(name, first, end) for name, first, end in found if SPAN[0] <= first and end <= before]

    def _drop_chunk(self, name: str, span: tuple[int, int], limit: int) -> None:
        keep = f"""CREATE TEMPORARY TABLE kept ON COMMIT DROP AS
            SELECT * FROM {name} r WHERE {_KEPT}"""  # noqa: S608 - a name of the extension's
        self.conn.execute(keep, (limit,))
        self.conn.execute(DROP, (span[1], span[0]))
        self.conn.literally("INSERT INTO reading SELECT * FROM kept")

    def _months(self, before: int) -> list[tuple[str, int, int]]:
        """The tables of months that have ended by then, the oldest first, each with its beginning and end."""
        sql = """SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'reading'::regclass ORDER BY 1"""
        found = []
        for (name,) in self.conn.execute(sql).fetchall():
            if parts := re.fullmatch(PARTITION, name):
                year, number = map(int, parts.groups())
                month = year * 12 + number - 1
                if (end := month_start(month + 1)) <= before:
                    found.append((name, month_start(month), end))
        return found

    def _drop_month(self, name: str, limit: int) -> None:
        self.conn.literally(f"ALTER TABLE reading DETACH PARTITION {name}")
        keep = f"INSERT INTO reading SELECT * FROM {name} r WHERE {_KEPT}"  # noqa: S608 - a name of ours
        self.conn.execute(keep, (limit,))
        self.conn.literally(f"DROP TABLE {name}")

    def drop_undated(self, gateway: str, epoch: str, most: int) -> int:
        del most
        sql = "DELETE FROM reading WHERE gateway = ? AND epoch = ? AND clock = 'unsynced'"
        return self.conn.execute(sql, (gateway, epoch)).rowcount

    def failed(self, error: Exception) -> bool:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))

    def close(self) -> None:
        self.conn.close()
