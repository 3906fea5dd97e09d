"""Reads every row of a file once, newest first, in slices between commits: damage is found before the row
is needed.
"""

from __future__ import annotations

import time
from itertools import pairwise

from gateway.journal.damage import damaged
from gateway.journal.file.store import JournalStore, TableName

CHUNK = 16
"""Rows between two looks at the clock."""


class Verification:
    """`step` raises JournalDamaged at the first row that does not fit its checksum, or that SQLite cannot
    reach.
    """

    def __init__(self, store: JournalStore, newest: int) -> None:
        self._store = store
        self._highest = max(1, newest)
        self._at = newest + 1
        self._table: TableName | None = "batch"

    @property
    def part(self) -> float:
        """How much of the numbers has been walked, 0 to 1."""
        return (
            1.0
            if self._table is None
            else 1 - max(0, self._at - 1) / self._highest
            if self._table == "batch"
            else 0.99
        )

    @property
    def done(self) -> bool:
        """Whether every row was read and found sound."""
        return self._table is None

    def step(self, seconds: float) -> None:
        """One slice of about so many seconds."""
        end = time.monotonic() + seconds
        while self._table is not None and time.monotonic() < end:
            key = "seq" if self._table == "batch" else "id"
            records = self._store.query(
                f"SELECT {key} FROM {self._table} WHERE {key} < ? ORDER BY {key} DESC LIMIT {CHUNK}",  # noqa: S608
                (self._at,),
            )
            if not records:
                self._at = 1 << 62
                self._table = "salvage" if self._table == "batch" else None
                continue
            keys = [self._at, *(record[0] for record in records)]
            if any(after >= before for before, after in pairwise(keys)):
                raise damaged(self._store.path, f"the rows near {keys[-1]} are out of order")
            self._store.select(
                f"WHERE {key} BETWEEN ? AND ? ORDER BY {key}", (keys[-1], self._at - 1), self._table
            )
            self._at = keys[-1]
