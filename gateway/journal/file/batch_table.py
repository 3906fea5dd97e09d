"""What a file holds: batches of either table, which of them wait for whom, and running counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from gateway.journal.file import missing
from gateway.journal.file.settled import Settled
from gateway.journal.file.store import JournalStore, TableName
from gateway.model import Backlog, Ranges, Sealed

Seqs = tuple[str, int, int]
"""(epoch, first, last)."""

HIGHEST = 1 << 53
"""No number is as high: a JSON number would not be whole."""

PIECE = 50
"""Rows that are read at a time while their bytes are counted."""


class BatchTable(ABC):
    """The batches of one table, and what of them each uplink has settled.

    Two of them make a file: its own batches (`batch`), and those that came back from damaged files
    (`salvage`).
    """

    name: TableName

    def __init__(self, store: JournalStore) -> None:
        self.store = store
        self.only_kept_to = 0
        """Up to this number only `keep` batches are left: nothing else is looked for there again."""

    @property
    def deletable(self) -> int:
        """The highest number that may make room at all."""
        return HIGHEST

    @property
    def thinnable(self) -> int:
        """The highest number up to which batches go before any `keep` one does."""
        return HIGHEST

    @abstractmethod
    def forget(self, epoch: str, first: int, last: int) -> None:
        """These numbers were deleted, within a transaction."""

    @abstractmethod
    def spans(self) -> list[Seqs]:
        """Each epoch once, with its lowest and its highest number; oldest first."""

    @abstractmethod
    def numbers(self, epoch: str) -> Ranges:
        """Which numbers of an epoch belong here."""

    @abstractmethod
    def settled_by(self, uplink: str, epoch: str) -> Ranges:
        """Which of them need not be sent to an uplink any more."""

    def waiting(self, uplink: str, after: int = 0) -> Iterator[Seqs]:
        """What an uplink has not settled, of the numbers behind `after`."""
        for epoch, _, highest in self.spans():
            for first, last in self.numbers(epoch).within(after + 1, highest) if highest > after else ():
                for start, end in self.settled_by(uplink, epoch).gaps(first, last):
                    yield epoch, start, end

    def delivered(self, uplinks: Sequence[str]) -> Iterator[Seqs]:
        """What every one of these uplinks has settled; nothing when there is no uplink."""
        for epoch, _, _ in self.spans() if uplinks else ():
            common = self.numbers(epoch)
            for uplink in uplinks:
                common = common.common(self.settled_by(uplink, epoch))
            for first, last in common:
                yield epoch, first, last

    def rows(self, epoch: str, first: int, last: int, limit: int) -> list[Sealed]:
        """What is held of an epoch between two numbers, oldest first. Raises JournalDamaged."""
        where = "WHERE epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
        found = self.store.select(where, (bytes.fromhex(epoch), first, last, limit), self.name)
        return [row.sealed for row in found]

    def unsettled(self, uplink: str, after: int, limit: int, max_bytes: int) -> list[Sealed]:
        """The oldest batches behind `after` that an uplink has not settled; at least one if there is any."""
        found: list[Sealed] = []
        for epoch, first, last in self.waiting(uplink, after):
            at = first
            while at <= last and len(found) < limit:
                rows = self.rows(epoch, at, last, min(PIECE, limit - len(found)))
                for row in rows:
                    max_bytes -= len(row.body)
                    if max_bytes < 0 and found:
                        return found
                    found.append(row)
                at = rows[-1].seq + 1 if rows else last + 1
        return found


class Tally:
    """Counts of a file's own batches: `oldest` is the (seq, t0) of one, `stored` (batches, readings)."""

    def __init__(self, store: JournalStore, settled: Settled, last: int) -> None:
        self._store = store
        self._settled = settled
        self.backlogs: dict[str, Backlog] = {}
        self.count(last)

    def count(self, last: int) -> None:
        """Count everything anew, up to seq `last`."""
        low = self._store.edge(1, last)
        self.oldest = (low[0], low[3]) if low else None
        self.stored = self._between(1, last)
        self.backlogs = {uplink: self._backlog(uplink, last) for uplink in self._settled.active}

    def settled(self, uplink: str, last: int) -> None:
        """Count anew what waits for one uplink."""
        if uplink in self._settled.active:
            self.backlogs[uplink] = self._backlog(uplink, last)

    def taken(self, seq: int, t0: int, counts: list[int]) -> None:
        """Add batches that were committed and that nobody has settled: number and time of the first, and how
        many readings each has.
        """
        batches, readings = len(counts), sum(counts)
        self.oldest = self.oldest or (seq, t0)
        self.stored = (self.stored[0] + batches, self.stored[1] + readings)
        for uplink, before in self.backlogs.items():
            first = t0 if before.oldest_t0 is None else before.oldest_t0
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
