"""The platform's database in one SQLite file: one process, one thread."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sqlite_utils import Database

from gateway.errors import JournalBusy, JournalError
from gateway.receiver.ledger import GatewayLedger
from gateway.receiver.store.arrivals import PendingRows
from gateway.receiver.store.base import Store
from gateway.receiver.store.schema.sqlite import migrations
from gateway.receiver.store.sqlite_tables import SqliteTables


class SqliteStore(SqliteTables, Store):
    """The file and, in memory, the ledger of every gateway: the two change together or not at all."""

    leads = True

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Open or create. Raises JournalBusy when another receiver uses the file, JournalError when it
        cannot be opened.
        """
        self.path = path
        self._lock: IO[bytes] | None = None if readonly else _lock(path)
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}", uri=True, timeout=10
            )
            self.db = Database(connection)
            self._connection = connection
            if readonly:
                connection.execute("SELECT 1 FROM batch LIMIT 1")
            else:
                for pragma in (
                    "journal_mode=WAL",
                    "synchronous=FULL",
                    "wal_autocheckpoint=4000",
                    "temp_store=MEMORY",
                ):
                    connection.execute(f"PRAGMA {pragma}").fetchall()
                migrations.apply(self.db)
        except sqlite3.Error as error:
            for part in (connection, self._lock):
                if part:
                    part.close()
            raise JournalError(
                f"{path}: {error}",
                hint="name a database of `submeter receive`, in a directory that may be written",
            ) from error
        self._ledgers: dict[str, GatewayLedger] = {}
        super().__init__(connection, str(path))

    def close(self) -> None:
        """Close the file; its -wal goes with the last connection."""
        self._connection.close()
        if self._lock:
            self._lock.close()

    @contextmanager
    def atomic(self, gateways: Iterable[str] = ()) -> Iterator[None]:
        """One durable transaction. When it fails, what the ledgers learnt in it is forgotten too."""
        del gateways  # no other receiver writes
        try:
            # Upkeep does: what is read here must still stand when something is written.
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            self._ledgers.clear()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One moment of the file for all that is read inside."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()

    def ledger(self, gateway: str) -> GatewayLedger:
        """What is held of a gateway; read from the file at first sight."""
        ledger = self._ledgers.get(gateway)
        if ledger is None:
            ledger = self._ledgers[gateway] = self.load([gateway])[gateway]
        return ledger

    def insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """Rows in the order of their columns."""
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self.conn.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - ours

    def upsert(self, table: str, columns: str, rows: list[tuple[Any, ...]], otherwise: str) -> None:
        """Rows of these columns; `otherwise` says what becomes of one whose key is there."""
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            into = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - ours
            self.conn.executemany(f"{into} ON CONFLICT {otherwise}", rows)

    def grow(self, group: PendingRows) -> None:
        """A row for each range: most only grow at their end."""
        spans, absorbing = [], []
        for key, seqs in group.seqs.items():
            stored = self.ledger(key[0]).epoch(key[1]).stored
            grown = [(*key, *pair) for pair in {pair for pair in map(stored.around, seqs) if pair}]
            spans += grown
            absorbing += grown if key in group.joined else []
        if absorbing:
            within = "DELETE FROM held WHERE gateway = ? AND epoch = ? AND first > ? AND first <= ?"
            self.conn.executemany(within, absorbing)
        self.upsert("held", "gateway, epoch, first, last", spans, _GROWN)

    def make_room(self, table: str, times: Iterable[int]) -> None:
        """There is always room."""

    def date_readings(self, gateway: str, epoch: str, offset: int) -> None:
        """Where they are."""
        sql = """UPDATE reading SET t = ? + uptime, clock = 'anchored'
            WHERE gateway = ? AND epoch = ? AND clock = 'unsynced'"""
        self.conn.execute(sql, (offset, gateway, epoch))

    def failed(self, error: Exception) -> bool:
        """Constraint and type errors are subclasses of their own."""
        return type(error) in {sqlite3.OperationalError, sqlite3.DatabaseError}


_GROWN = "(gateway, epoch, first) DO UPDATE SET last = excluded.last"


def _lock(path: Path) -> IO[bytes]:
    # A second receiver on the same file would answer from a ledger that does not know what the first one
    # stores.
    try:
        lock = path.with_name(f"{path.name}.lock").open("ab")
    except OSError as error:
        raise JournalError(
            f"{path}: {error.strerror}", hint="name a file in a directory that may be written"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise JournalBusy(
            f"{path}: another receiver uses this database", hint="stop it, or name another file"
        ) from error
    return lock
