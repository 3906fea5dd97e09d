"""What one simulated gateway holds: a journal that makes its batches anew from the seed whenever they are
asked for, and forgets none before it is settled.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice

from gateway.demo.fleet.seeded import SeededReadings
from gateway.model import Backlog, Ranges, Sealed

AT_ONCE = 10
"""Batches that are made at a time: a fleet's backlog is not held in memory."""


class SeededJournal:
    """A JournalPort. `waiting`: batches that are there at the start; `settled_one(seq)` hears of each that is
    settled.
    """

    def __init__(
        self, readings: SeededReadings, meters: int, waiting: int, settled_one: Callable[[int], None]
    ) -> None:
        self._readings = readings
        self._meters = meters
        self._settled_one = settled_one
        self.taken = waiting
        self.settled = Ranges()
        self.began: list[tuple[int, str]] = [(1, readings.first_epoch)]
        """(first seq, epoch), oldest first."""

    def commit(self) -> Sealed:
        """Commit the next batch."""
        self.taken += 1
        return self._sealed(self.taken)

    @property
    def open(self) -> int:
        """Batches that are not settled."""
        return self.taken - self.settled.count

    def epoch_of(self, seq: int) -> str:
        """Under which epoch a batch goes."""
        return self.began[bisect_right(self.began, (seq, "~")) - 1][1]

    def plain(self, seq: int) -> bytes:
        """The JSON of a batch."""
        epoch = self.epoch_of(seq)
        return self._readings.plain(epoch, seq, (seq, epoch) in self.began)

    def _sealed(self, seq: int) -> Sealed:
        epoch = self.epoch_of(seq)
        return self._readings.sealed(epoch, seq, (seq, epoch) in self.began)

    # -- what an uplink asks ---------------------------------------------------------------------------------

    @property
    def newest(self) -> tuple[str, int]:
        """Epoch and seq of the newest batch."""
        return self.began[-1][1], self.taken

    async def unsettled(self, _uplink: str, /, *, after: int = 0, limit: int = 50) -> Sequence[Sealed]:
        """Oldest first, few at a time."""
        await asyncio.sleep(0)
        left = self.settled.gaps(after + 1, self.taken) if after < self.taken else ()
        seqs = (seq for first, last in left for seq in range(first, last + 1))
        return [self._sealed(seq) for seq in islice(seqs, min(limit, AT_ONCE))]

    async def salvaged(self, _uplink: str, /, *, limit: int = 50) -> Sequence[Sealed]:  # noqa: ARG002 - the port's
        """No file of it is ever damaged."""
        return []

    async def settle(self, _uplink: str, epoch: str, settled: Ranges, /) -> None:
        """Delivered: never offered again."""
        for first, last in settled:
            for seq in range(first, min(last, self.taken) + 1):
                if self.epoch_of(seq) == epoch and seq not in self.settled:
                    self.settled.add(seq)
                    self._settled_one(seq)

    async def find(self, epoch: str, first: int, last: int, limit: int, /) -> Sequence[Sealed]:
        """Settled or not, oldest first."""
        await asyncio.sleep(0)
        return [self._sealed(seq) for seq in islice(self._of(epoch, first, last), min(limit, AT_ONCE))]

    def _of(self, epoch: str, first: int, last: int) -> Iterator[int]:
        return (seq for seq in range(max(first, 1), min(last, self.taken) + 1) if self.epoch_of(seq) == epoch)

    async def explain(self, epoch: str, first: int, last: int, /) -> Sequence[tuple[int, int, str]]:
        """What was never taken under this epoch."""
        there = Ranges((seq, seq) for seq in self._of(epoch, first, last))
        return [(start, end, "unknown") for start, end in there.gaps(first, last)]

    async def new_epoch(self, _reason: str, /) -> None:
        """The platform contradicted: the batches from here on cannot be mistaken for others."""
        mark = f"{self.began[-1][1]} {self.taken}".encode()
        self.began.append((self.taken + 1, blake2b(mark, digest_size=8).hexdigest()))

    def epochs(self) -> Sequence[tuple[str, int, int]]:
        """(epoch, first seq, last seq), oldest first."""
        ends = [first - 1 for first, _ in self.began[1:]] + [self.taken]
        return [(epoch, first, end) for (first, epoch), end in zip(self.began, ends, strict=True)]

    def backlog(self, _uplink: str, /) -> Backlog:
        """What is not settled."""
        if not self.open:
            return Backlog()
        oldest = next(iter(self.settled.gaps(1, self.taken)))[0]
        return Backlog(self.open, self.open * self._meters, self._readings.time(oldest))
