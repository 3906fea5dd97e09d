"""The part of the journal that an uplink needs, and an in-memory stand-in for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.model import Backlog, Ranges, Sealed


class JournalPort(Protocol):
    """Committed batches on their way to a platform. Only `settle` takes one off the way."""

    @property
    def newest(self) -> tuple[str, int]:
        """Epoch and seq of the newest committed batch; seq 0 when the journal is empty."""

    async def unsettled(self, uplink: str, /, *, after: int = 0, limit: int = 50) -> Sequence[Sealed]:
        """Oldest first, seq > `after`, not settled for this uplink."""

    async def salvaged(self, uplink: str, /, *, limit: int = 50) -> Sequence[Sealed]:
        """Rows saved from damaged files, under their old identity, not settled for this uplink."""

    async def settle(self, uplink: str, epoch: str, settled: Ranges, /) -> None:
        """Delivered, or declared gone: never offered to this uplink again."""

    async def find(self, epoch: str, first: int, last: int, limit: int, /) -> Sequence[Sealed]:
        """Rows of an epoch from `first` to `last`, settled or not, oldest first."""

    async def explain(self, epoch: str, first: int, last: int, /) -> Sequence[tuple[int, int, str]]:
        """What of it cannot be sent any more, and why: (first, last, reason)."""

    async def new_epoch(self, reason: str, /) -> object:
        """Draw a new epoch: the batches from here on cannot be mistaken for others."""

    def epochs(self) -> Sequence[tuple[str, int, int]]:
        """(epoch, first seq, last seq), oldest first; never blocks."""

    def backlog(self, uplink: str, /) -> Backlog:
        """What waits for this uplink; never blocks."""


class MemoryJournal:
    """An JournalPort in memory, with the journal's rules: seq goes on across epochs, settled rows stay to be
    replayed.
    """

    def __init__(self, epoch: str = "00000000000000a1") -> None:
        self.rows: list[Sealed] = []
        self.rescued: list[Sealed] = []
        self.settled: dict[tuple[str, str], Ranges] = {}
        self.gone: list[tuple[str, int, int, str]] = []
        self.reasons: list[str] = []
        self.epoch = epoch

    def commit(self, row: Sealed) -> None:
        """Append one row; its seq must be above all others."""
        assert not self.rows or row.seq > self.rows[-1].seq, "seq goes up"
        self.rows.append(row)
        self.epoch = row.epoch

    @property
    def newest(self) -> tuple[str, int]:
        """Epoch and seq of the newest row."""
        return (self.rows[-1].epoch, self.rows[-1].seq) if self.rows else (self.epoch, 0)

    def is_settled(self, uplink: str, row: Sealed) -> bool:
        """Whether the row was delivered to this uplink."""
        return row.seq in self.settled.get((uplink, row.epoch), ())

    async def unsettled(self, uplink: str, /, *, after: int = 0, limit: int = 50) -> Sequence[Sealed]:
        found = []
        for row in self.rows[self._index(after + 1) :]:
            if not self.is_settled(uplink, row):
                found.append(row)
                if len(found) == limit:
                    break
        return found

    def _index(self, seq: int) -> int:
        low, high = 0, len(self.rows)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.rows[middle].seq < seq else (low, middle)
        return low

    async def salvaged(self, uplink: str, /, *, limit: int = 50) -> Sequence[Sealed]:
        return [row for row in self.rescued if not self.is_settled(uplink, row)][:limit]

    async def settle(self, uplink: str, epoch: str, settled: Ranges, /) -> None:
        given = [row.seq for row in (*self.rescued, *self.rows) if row.epoch == epoch and row.seq in settled]
        if given:
            self.settled.setdefault((uplink, epoch), Ranges()).update(Ranges((seq, seq) for seq in given))

    async def find(self, epoch: str, first: int, last: int, limit: int, /) -> Sequence[Sealed]:
        rescued = [row for row in self.rescued if first <= row.seq <= last]
        return [
            row
            for row in (*rescued, *self.rows[self._index(first) : self._index(last + 1)])
            if row.epoch == epoch
        ][:limit]

    async def explain(self, epoch: str, first: int, last: int, /) -> Sequence[tuple[int, int, str]]:
        there = Ranges((row.seq, row.seq) for row in await self.find(epoch, first, last, 1_000_000))
        said = [
            (max(a, first), min(b, last), why)
            for e, a, b, why in self.gone
            if e == epoch and a <= last and b >= first
        ]
        for a, b, _ in said:
            there.add(a, b)
        return sorted(said + [(a, b, "unknown") for a, b in there.gaps(first, last)])

    async def new_epoch(self, reason: str, /) -> None:
        self.reasons.append(reason)
        self.epoch = f"{int(self.epoch, 16) + 1:016x}"

    def epochs(self) -> Sequence[tuple[str, int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for row in (*self.rescued, *self.rows):
            found[row.epoch] = (found.get(row.epoch, (row.seq, 0))[0], row.seq)
        return [(epoch, first, last) for epoch, (first, last) in found.items()]

    def backlog(self, uplink: str, /) -> Backlog:
        waiting = [row for row in self.rows if not self.is_settled(uplink, row)]
        return Backlog(len(waiting), sum(row.readings for row in waiting), waiting[0].t0 if waiting else None)
