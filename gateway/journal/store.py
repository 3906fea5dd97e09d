"""One open journal file: its rows in and out. Synchronous, used by the journal thread alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.errors import JournalDamaged
from gateway.journal.rows import COLUMNS, Row, from_record
from gateway.journal.schema import PAGE, Synchronous, connect, translate

_INSERT = f"INSERT INTO batch ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 - column names of our own
_SELECT = f"SELECT {COLUMNS} FROM batch "  # noqa: S608 - column names of our own


class Store:
    """The tables of one file. Every read checks the rows' CRC and raises JournalDamaged for one that does not fit."""

    def __init__(self, path: Path, synchronous: Synchronous = "FULL") -> None:
        self.path = path
        self.db = connect(path, synchronous)
        self.conn = self.db.conn

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction: one COMMIT, one fdatasync. Raises JournalDamaged, or sqlite3.OperationalError (disk full, I/O)."""
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

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement within a transaction; how many rows it changed."""
        return self.conn.execute(sql, parameters).rowcount

    def insert(self, rows: Iterable[Row]) -> None:
        """Add batches, within a transaction."""
        self.conn.executemany(_INSERT, [row.record() for row in rows])

    def select(self, where: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Batches by condition (and order, and limit). Raises JournalDamaged when one fails its CRC."""
        return [self._sound(record) for record in self.query(_SELECT + where, parameters)]

    def _sound(self, record: Sequence[Any]) -> Row:
        row = from_record(record)
        if row is None:
            raise JournalDamaged(f"{self.path}: batch {record[0]} does not fit its checksum", hint="the file is moved aside and salvaged")
        return row

    def newest(self, count: int = 1) -> list[Row]:
        """The newest batches, newest first."""
        return self.select("ORDER BY seq DESC LIMIT ?", (count,))

    def between(self, first: int, last: int, limit: int) -> list[Row]:
        """The batches from `first` to `last`, oldest first."""
        return self.select("WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?", (first, last, limit))

    def edge(self, first: int, last: int, *, newest: bool = False) -> tuple[int, int, int, int] | None:
        """(seq, readings, total, t0) of the oldest or the newest batch that still exists between two numbers."""
        order = "DESC" if newest else "ASC"
        found = self.query(
            f"SELECT seq, readings, total, t0 FROM batch WHERE seq BETWEEN ? AND ? ORDER BY seq {order} LIMIT 1", (first, last)
        )  # noqa: S608 - one of two words
        return found[0] if found else None

    def epochs(self) -> list[tuple[str, int, str]]:
        """(epoch, first seq, reason), oldest first."""
        return [
            (epoch.hex(), first, reason) for first, epoch, reason in self.query("SELECT first, epoch, reason FROM epoch ORDER BY first")
        ]

    def check_schema(self) -> None:
        """Read the schema and the newest hundred batches. Raises JournalDamaged."""
        try:
            for table in ("batch", "epoch", "gone", "salvage", "salvage_settled"):
                self.conn.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()  # noqa: S608 - table names of our own
        except sqlite3.DatabaseError as error:
            raise JournalDamaged(f"{self.path}: {error}", hint="the file is moved aside and salvaged") from error
        self.newest(100)

    def pages(self) -> tuple[int, int]:
        """(pages of the file, pages of it that are free)."""
        return int(self.query("PRAGMA page_count")[0][0]), int(self.query("PRAGMA freelist_count")[0][0])

    @property
    def used(self) -> int:
        """Bytes of the file that hold something."""
        total, free = self.pages()
        return (total - free) * PAGE

    def checkpoint(self, mode: str = "PASSIVE") -> bool:
        """Copy the WAL into the file; whether all of it went. Raises sqlite3.OperationalError when the disk refuses."""
        busy, in_wal, moved = self.query(f"PRAGMA wal_checkpoint({mode})")[0]
        return busy == 0 and in_wal == moved

    def close(self) -> None:
        """Close; SQLite moves the WAL into the file."""
        self.conn.close()
