"""The journal as the rest of the gateway sees it: awaitable, one thread behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.journal.keeper import ClockLike, Keeper
from gateway.journal.schema import Synchronous
from gateway.journal.stats import Backlog, JournalStats
from gateway.journal.thread import PULSE, JournalThread
from gateway.model import Draft, Ranges, Sealed


class Journal:
    """Readings on disk. *Taken* means that `commit` has returned."""

    def __init__(self, thread: JournalThread, keeper: Keeper, clock: ClockLike) -> None:
        self._thread = thread
        self._keeper = keeper
        self._clock = clock

    @classmethod
    def open(
        cls,
        directory: Path | str,
        *,
        gateway: str,
        clock: ClockLike,
        budget: int = 4_000_000_000,
        uplinks: Sequence[str] = (),
        synchronous: Synchronous = "FULL",
    ) -> Journal:
        """Open or create the journal of a directory. Raises JournalBusy, JournalTooNew; damage is dealt with."""
        path = Path(directory) / "journal.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        thread = JournalThread(lambda: PULSE)
        try:
            keeper = thread.call(Keeper, path, gateway, clock.boot, tuple(uplinks), budget, synchronous).result()
        except BaseException:
            thread.stop()
            raise
        return cls(thread, keeper, clock)

    async def commit(self, draft: Draft, carry: dict[str, Any] | None = None) -> list[Sealed]:
        """Take a draft: returns its batches after the COMMIT."""
        uptime = self._clock.uptime()
        offset = self._clock.wall() - uptime
        job = self._thread.call(self._keeper.commit, [draft], offset, synced=self._clock.synced, carry=carry or {}, uptime=uptime)
        groups = await asyncio.shield(asyncio.wrap_future(job))
        return groups[0]

    async def unsettled(self, uplink: str, after: int = 0, limit: int = 50, max_bytes: int = 2_000_000) -> list[Sealed]:
        """The oldest batches with seq > `after` that this uplink has not settled."""
        return await asyncio.wrap_future(self._thread.call(self._keeper.unsettled, uplink, after, limit, max_bytes))

    async def settle(self, uplink: str, epoch: str, ranges: Ranges) -> None:
        """Delivered ∪ declared gone; it is written with the next batch."""
        await asyncio.wrap_future(self._thread.call(self._keeper.settle, uplink, epoch, list(ranges)))

    async def find(self, epoch: str, first: int, last: int, limit: int = 50) -> list[Sealed]:
        """What is still held of an epoch between two numbers."""
        return await asyncio.wrap_future(self._thread.call(self._keeper.find, epoch, first, last, limit))

    async def new_epoch(self, reason: str) -> None:
        """Draw a new epoch, for instance after a conflict."""
        await asyncio.wrap_future(self._thread.call(self._keeper.begin_epoch, reason))

    async def salvaged(self, uplink: str, limit: int = 50) -> list[Sealed]:  # noqa: ARG002 - filled by salvage
        """Rows of damaged files, under their old identity."""
        return []

    async def explain(self, epoch: str, first: int, last: int) -> list[tuple[int, int, str]]:
        """What of a range is gone, and why."""
        return await asyncio.wrap_future(self._thread.call(self._explain, epoch, first, last))

    def _explain(self, epoch: str, first: int, last: int) -> list[tuple[int, int, str]]:
        return [
            (max(a, first), min(b, last), reason)
            for a, b, reason in self._keeper.store.query(
                "SELECT first, last, reason FROM gone WHERE epoch = ? AND last >= ? AND first <= ? ORDER BY first",
                (bytes.fromhex(epoch), first, last),
            )
        ]

    @property
    def newest(self) -> tuple[str, int]:
        """(epoch, seq) of the newest batch; this boot's epoch and 0 in an empty file."""
        row = self._keeper.newest
        return (row.sealed.epoch, row.seq) if row else (self._keeper.epoch, 0)

    @property
    def epoch(self) -> str:
        """The epoch of the next batch."""
        return self._keeper.epoch

    def epochs(self) -> list[tuple[str, int, int]]:
        """(epoch, first seq, last seq), oldest first."""
        return self._keeper.epochs()

    def backlog(self, uplink: str) -> Backlog:
        """What this uplink has not settled."""
        return self._thread.call(self._keeper.backlog, uplink).result()

    def stats(self) -> JournalStats:
        """How the journal is."""
        return self._thread.call(self._keeper.stats).result()

    @property
    def carried(self) -> dict[str, Any]:
        """What the newest batch carried for its caller."""
        return dict(self._keeper.carried)

    @property
    def heartbeat(self) -> float:
        """time.monotonic() at the last sign of life of the journal thread."""
        return self._thread.heartbeat

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        await asyncio.wrap_future(self._thread.call(self._keeper.close))
        await asyncio.to_thread(self._thread.stop)
