"""A file that lost its name while it was open: its rows are read through the open handle and written
again, like those of a damaged one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress

from gateway.journal.file.rows import COLUMNS, from_record
from gateway.journal.file.store import JournalStore
from gateway.journal.recovery.pages import FoundRow

CHUNK = 32
"""Rows that are read at a time."""


class OpenFileScan:
    """As PageScan, of a file that is still open; `close` leaves it open, for whoever starts over."""

    def __init__(self, store: JournalStore, newest: int) -> None:
        self._store = store
        self._newest = newest
        self.page = 0
        self.whole = True
        self.pages = newest
        self.gone: set[tuple[str, int, int, int, str]] = set()
        with suppress(sqlite3.Error):
            rows = store.conn.execute("SELECT epoch, first, last, readings, reason FROM gone").fetchall()
            self.gone = {(epoch.hex(), *more) for epoch, *more in rows}

    def found(self) -> Iterator[list[FoundRow]]:
        """The rows, newest first, a few at a time; those that had been saved from an older file at the
        end.
        """
        yield from self._rows("batch", "seq", self._newest)
        yield from self._rows("salvage", "id", 1 << 62)

    def _rows(self, table: str, key: str, highest: int) -> Iterator[list[FoundRow]]:
        at, own, conn = highest + 1, table == "batch", self._store.conn
        sql = f"SELECT {key}, {COLUMNS} FROM {table} WHERE {key} < ? ORDER BY {key} DESC LIMIT {CHUNK}"  # noqa: S608 - names of our own
        while True:
            try:
                records = conn.execute(sql, (at,)).fetchall()
            except sqlite3.Error:
                return  # what cannot be read is declared lost, like any other
            if not records:
                return
            at = records[-1][0]
            if own:
                self.page = self._newest - at + 1
            yield [FoundRow(row, own) for record in records if (row := from_record(record[1:]))]

    def close(self) -> None:
        """Nothing to let go of."""
