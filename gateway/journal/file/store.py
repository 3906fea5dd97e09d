"""One open journal file: rows in and out. Synchronous, used by the journal thread alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gateway.journal.damage import damaged, translate
from gateway.journal.file.rows import COLUMNS, BatchRow, from_record
from gateway.journal.file.schema import TABLES, Synchronous, connect

if TYPE_CHECKING:
    from sqlite_utils import Database

TableName = Literal["batch", "salvage"]

_MARKS = ",".join("?" * (COLUMNS.count(",") + 1))


class JournalStore:
    """The tables of one file. Every read checks the rows' CRC and raises JournalDamaged for one that does
    not fit.
    """

    def __init__(self, path: Path, synchronous: Synchronous = "FULL", *, db: Database | None = None) -> None:
        self.path = path
        self.db = db or connect(path, synchronous)
        self.conn: sqlite3.Connection = self.db.conn
        self.page = int(self.query("PRAGMA page_size")[0][0])
        """Bytes of a page: a file that was begun with others keeps them."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction: one COMMIT, one fdatasync. Raises JournalDamaged, or sqlite3.OperationalError
        (disk full, I/O).
        """
        try:
            with self.db.atomic():
                yield
        except sqlite3.DatabaseError as error:
            raise translate(error, self.path) from error

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query. Raises as `transaction`."""
        try:
            return self.conn.execute(sql, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise translate(error, self.path) from error

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """The rows of a query one by one, for whoever may stop early. Raises as `transaction`."""
        try:
            with closing(self.conn.execute(sql, parameters)) as cursor:
                yield from cursor
        except sqlite3.DatabaseError as error:
            raise translate(error, self.path) from error

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement within a transaction; how many rows it changed."""
        return self.conn.execute(sql, parameters).rowcount

    def insert(self, rows: Iterable[BatchRow], table: TableName = "batch") -> int:
        """Add rows within a transaction; how many were new. A salvaged row that is there already stays."""
        verb = "INSERT" if table == "batch" else "INSERT OR IGNORE"
        sql = f"{verb} INTO {table} ({COLUMNS}) VALUES ({_MARKS})"
        return self.conn.executemany(sql, [row.record for row in rows]).rowcount

    def select(
        self, where: str, parameters: Sequence[Any] = (), table: TableName = "batch"
    ) -> list[BatchRow]:
        """Rows by condition (and order, and limit). Raises JournalDamaged when one fails its CRC."""
        return [
            self._sound(record)
            for record in self.query(f"SELECT {COLUMNS} FROM {table} {where}", parameters)  # noqa: S608
        ]

    def _sound(self, record: Sequence[Any]) -> BatchRow:
        row = from_record(record)
        if row is None:
            raise damaged(self.path, f"batch {record[0]} does not fit its checksum")
        return row

    def newest(self, count: int = 1) -> list[BatchRow]:
        """The newest batches, newest first."""
        return self.select("ORDER BY seq DESC LIMIT ?", (count,))

    def between(self, first: int, last: int, limit: int) -> list[BatchRow]:
        """The batches from `first` to `last`, oldest first."""
        return self.select("WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?", (first, last, limit))

    def edge(
        self, first: int, last: int, order: Literal["ASC", "DESC"] = "ASC"
    ) -> tuple[int, int, int, int] | None:
        """(seq, readings, total, t0) of the oldest (or newest) batch that still exists between two
        numbers.
        """
        sql = (
            f"SELECT seq, readings, total, t0 FROM batch WHERE seq BETWEEN ? AND ? ORDER BY seq {order} "  # noqa: S608
            f"LIMIT 1"
        )
        found = self.query(sql, (first, last))
        return found[0] if found else None

    def check(self) -> None:
        """Read the schema and the newest hundred batches. Raises JournalDamaged, also for a disk that
        cannot read them.
        """
        try:
            for table in TABLES:
                self.conn.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()  # noqa: S608 - names of our own
        except sqlite3.DatabaseError as error:
            raise damaged(self.path, str(error)) from error
        self.newest(100)

    @property
    def size(self) -> int:
        """Bytes of the file, free pages included."""
        return int(self.query("PRAGMA page_count")[0][0]) * self.page

    @property
    def free(self) -> int:
        """Bytes of the file that hold nothing: they are used before it grows."""
        return int(self.query("PRAGMA freelist_count")[0][0]) * self.page

    @property
    def used(self) -> int:
        """Bytes of the file that hold something."""
        return self.size - self.free

    def checkpoint(self, mode: Literal["PASSIVE", "TRUNCATE"] = "PASSIVE") -> None:
        """Copy the WAL into the file. Raises sqlite3.OperationalError when the disk refuses."""
        self.query(f"PRAGMA wal_checkpoint({mode})")

    def close(self) -> None:
        """Close; SQLite moves the WAL into the file if it can."""
        self.conn.close()
