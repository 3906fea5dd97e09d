"""How much a file holds and what waits for each uplink, kept by running totals: no scan, however large the
file.
"""

from __future__ import annotations

from gateway.journal.file import missing
from gateway.journal.file.rows import BatchRow
from gateway.journal.file.settled import Settled
from gateway.journal.file.store import JournalStore
from gateway.journal.stats import Backlog


class Tally:
    """Counts of one file. `oldest` is (seq, t0) of its oldest batch, `held` (batches, readings)."""

    def __init__(self, store: JournalStore, settled: Settled, last: int) -> None:
        self._store = store
        self._settled = settled
        self.backlogs: dict[str, Backlog] = {}
        self.count(last)

    def count(self, last: int) -> None:
        """Count everything anew, up to seq `last`."""
        low = self._store.edge(1, last)
        self.oldest = (low[0], low[3]) if low else None
        self.held = self._between(1, last)
        self.backlogs = {uplink: self._backlog(uplink, last) for uplink in self._settled.active}

    def settled(self, uplink: str, last: int) -> None:
        """Count anew what waits for one uplink."""
        if uplink in self._settled.active:
            self.backlogs[uplink] = self._backlog(uplink, last)

    def taken(self, rows: list[BatchRow]) -> None:
        """Add rows that were committed and that nobody has settled."""
        batches, readings = len(rows), sum(row.sealed.readings for row in rows)
        self.oldest = self.oldest or (rows[0].seq, rows[0].sealed.t0)
        self.held = (self.held[0] + batches, self.held[1] + readings)
        for uplink, before in self.backlogs.items():
            first = rows[0].sealed.t0 if before.oldest_t0 is None else before.oldest_t0
            self.backlogs[uplink] = Backlog(before.batches + batches, before.readings + readings, first)

    def _between(self, first: int, last: int) -> tuple[int, int]:
        low = self._store.edge(first, last)
        high = self._store.edge(first, last, "DESC")
        if not low or not high:
            return 0, 0
        batches, readings = missing.between(self._store, low[0], high[0])
        return high[0] - low[0] + 1 - batches, high[2] - low[2] + low[1] - readings

    def _backlog(self, uplink: str, last: int) -> Backlog:
        batches = readings = 0
        oldest: int | None = None
        for start, end in self._settled.of(uplink).gaps(1, last):
            low = self._store.edge(start, end)
            if low:
                oldest = low[3] if oldest is None else oldest
                more = self._between(low[0], end)
                batches, readings = batches + more[0], readings + more[1]
        return Backlog(batches, readings, oldest)
