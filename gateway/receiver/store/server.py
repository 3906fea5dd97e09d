"""A connection to PostgreSQL, and the tables of months that whoever has one may make."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateway.receiver.store.schema.hypertable import KIND
from gateway.receiver.store.schema.partitions import new_partition, partition_of
from gateway.receiver.store.sql import Results

CONNECT = 10
"""s for a connection."""
KEY = 0x5375626D
"""Of the advisory locks: the tables are made, and gaps asked for, by one receiver at a time."""
_DURABLE = b"""SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'"""
"""A receipt says that a batch is on the disk; a server may be set up to say so before it is."""
_NAMED = re.compile(r"(?<!:):(\w+)")


@lru_cache(maxsize=200)
def _postgres(sql: str) -> str:
    """The common form of a statement as psycopg wants it: `?` is %s, `:name` is %(name)s."""
    return _NAMED.sub(r"%(\1)s", sql.replace("%", "%%").replace("?", "%s"))


class ServerConnection:
    """Statements in the common form, on a connection that is made when it is needed."""

    def __init__(self, address: str, prepare: bytes = _DURABLE) -> None:
        """`prepare` is said on each new connection."""
        self._address = address
        self._prepare = prepare
        self._open: psycopg.Connection[Any] | None = None

    @property
    def raw(self) -> psycopg.Connection[Any]:
        """The connection. Raises psycopg.Error."""
        if self._open is None or self._open.closed or self._open.broken:
            self._open = psycopg.connect(self._address, autocommit=True, connect_timeout=CONNECT)
            self._open.execute(self._prepare)
        return self._open

    @property
    def server_version(self) -> int:
        """The server's version. Raises psycopg.Error."""
        return int(self.execute("SHOW server_version_num").fetchone()[0]) // 10_000

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Results:
        """Execute one statement, with SQLite's placeholders; its rows. Raises psycopg.Error."""
        return self.raw.execute(_postgres(sql).encode(), parameters)

    def executemany(self, sql: str, parameters: Any, /) -> object:
        """One statement for each of the parameters, in one round trip."""
        with self.raw.cursor() as cursor:
            cursor.executemany(_postgres(sql).encode(), parameters)
        return None

    def dicts(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows by the names of their columns."""
        with self.raw.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_postgres(sql).encode(), parameters).fetchall()

    def transaction(self) -> AbstractContextManager[Any]:
        """A transaction: everything inside it is committed, or nothing."""
        return self.raw.transaction()

    def literally(self, statement: str) -> None:
        """A statement without parameters, as it stands."""
        self.raw.execute(statement.encode())

    def copy(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Many rows at once, in the order of their columns."""
        with self.raw.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()


def is_hypertable(sql: ServerConnection) -> bool:
    """Whether the readings are in one of TimescaleDB, not in monthly tables. Raises psycopg.Error."""
    (kind,) = sql.execute(KIND).fetchone()
    return kind in {"r", b"r"}


def make_partition(sql: ServerConnection, table: str, month: int) -> None:
    """The table for a month of another one, unless it is there; what of it lies elsewhere moves there. Raises
    LockNotAvailable, and nothing has happened, when that would mean to wait.
    """
    name = partition_of(table, month)
    # Of the catalogue's own table: a name that was looked up in vain is remembered by a connection, whoever
    # has made the table while it waited for the lock.
    there = """SELECT EXISTS (SELECT FROM pg_class WHERE relname = ?
        AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'reading'::regclass))"""
    if sql.execute(there, (name,)).fetchone()[0]:
        return
    with sql.transaction():
        sql.literally("SET LOCAL lock_timeout = '100ms'")
        sql.execute("SELECT pg_advisory_xact_lock(?)", (KEY,))
        if not sql.execute(there, (name,)).fetchone()[0]:
            for statement in new_partition(table, month):
                sql.literally(statement)
        sql.literally("SET LOCAL lock_timeout = DEFAULT")
