"""The journal as the rest of the gateway sees it: awaitable, with one thread behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from gateway.errors import JournalError
from gateway.journal.file.batch_table import Seqs
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.resume import Synced
from gateway.journal.file.schema import Synchronous
from gateway.journal.pending import PendingDraft
from gateway.journal.stats import JournalStats
from gateway.journal.thread import JournalThread
from gateway.journal.writer import Writer
from gateway.model import Backlog, ClockLike, Draft, Ranges, Sealed

T = TypeVar("T")


class Journal:
    """Readings on disk. *Taken* means that `commit` has returned; nothing is sent, counted or shown as stored
    before that.

    `on_late(batches)` is called on the event loop for drafts whose `commit` had raised JournalFull and that
    are taken now.
    """

    def __init__(self, directory: Path, **options: Any) -> None:
        self.on_late: Callable[[list[Sealed]], None] | None = None
        self._made: Writer | None = None
        self._thread = JournalThread(self._idle, self._ended)
        try:
            self._made = self._thread.call(Writer, directory, late=self._late, **options).result()
        except BaseException:
            self._thread.stop()
            raise

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
        """Open or create the journal of a directory; blocks for a moment.

        Raises JournalBusy. Damage, a full disk, a disk that refuses, a folder that cannot be made and the
        file of a newer version are no reason not to start: see `stats`. `synchronous` other than FULL is for
        the test that must fail.
        """
        return cls(
            Path(directory),
            gateway=gateway,
            clock=clock,
            budget=budget,
            uplinks=tuple(uplinks),
            synchronous=synchronous,
        )

    def _idle(self) -> float:
        return self._made.idle() if self._made else 0.01

    def _ended(self) -> None:
        if self._made:
            self._made.publish()

    def _late(self, draft: PendingDraft, sealed: list[Sealed]) -> None:
        callback = self.on_late
        if callback and draft.loop and not draft.loop.is_closed():
            draft.loop.call_soon_threadsafe(callback, sealed)

    @property
    def _writer(self) -> Writer:
        assert self._made is not None
        return self._made

    async def _ask(self, question: Callable[[JournalFile], T]) -> T:
        return await _outcome(self._thread.call(self._writer.ask, question))

    # ── taking and giving: JournalError, too, when the file cannot be asked at the moment ──

    async def commit(self, draft: Draft, carry: dict[str, Any] | None = None) -> list[Sealed]:
        """Take a draft; its batches, after the COMMIT. `carry` rides along and is repeated until the next.

        Raises JournalFull when the disk refuses: the journal keeps the draft in bounded memory and tries
        again by itself.
        """
        if draft.empty:
            return []
        writer, waiting = self._writer, PendingDraft(draft, carry or None, asyncio.get_running_loop())
        writer.pending.add(waiting)
        _alive(self._thread.call(writer.flush))
        return await _outcome(waiting.outcome)

    async def unsettled(
        self, uplink: str, after: int = 0, limit: int = 50, max_bytes: int = 2_000_000
    ) -> list[Sealed]:
        """The oldest batches with seq > `after` that this uplink has not settled; at least one if there is
        any.
        """
        return await self._ask(lambda file: file.unsettled(uplink, after, limit, max_bytes))

    async def salvaged(self, uplink: str, limit: int = 50, max_bytes: int = 2_000_000) -> list[Sealed]:
        """Rows of damaged files under their old identity that this uplink has not settled."""
        return await self._ask(lambda file: file.recovered.unsettled(uplink, 0, limit, max_bytes))

    async def settle(self, uplink: str, epoch: str, ranges: Ranges) -> None:
        """Delivered ∪ declared gone; written with the next batch. Numbers that were never given out settle
        nothing.
        """
        pairs = list(ranges)
        await self._ask(lambda file: file.settle(uplink, epoch, pairs))

    async def find(self, epoch: str, first: int, last: int, limit: int = 50) -> list[Sealed]:
        """What is still held of an epoch between two numbers, oldest first; also from damaged files."""
        return await self._ask(lambda file: file.find(epoch, first, last, limit))

    async def explain(self, epoch: str, first: int, last: int) -> list[tuple[int, int, str]]:
        """(first, last, reason) of what is not held between two numbers: thinned, damaged, delivered,
        unknown.
        """
        return await self._ask(lambda file: file.explain(epoch, first, last))

    async def new_epoch(self, reason: str) -> None:
        """Draw a new epoch: the batches from here on cannot be mistaken for others."""
        await _outcome(self._thread.call(self._writer.new_epoch, reason))

    async def configure(
        self,
        *,
        gateway: str | None = None,
        budget: int | None = None,
        uplinks: Sequence[str] | None = None,
        clock: ClockLike | None = None,
    ) -> None:
        """Take over what a reload changed; what is not named stays."""
        names = None if uplinks is None else tuple(uplinks)
        await _outcome(self._thread.call(self._writer.configure, gateway, budget, names, clock))

    # ── looking: never blocks ──

    @property
    def newest(self) -> tuple[str, int]:
        """(epoch, seq) of the newest batch; ("", 0) when there is none."""
        stats = self.stats()
        return stats.epoch, stats.seq

    @property
    def epoch(self) -> str:
        """The epoch of the next batch."""
        return self.stats().next_epoch

    def epochs(self) -> list[Seqs]:
        """(epoch, first seq, last seq), oldest first, those of damaged files in front."""
        return list(self.stats().epochs)

    def backlog(self, uplink: str) -> Backlog:
        """What this uplink has not settled."""
        return self.stats().backlog.get(uplink, Backlog())

    def known_uplinks(self) -> tuple[str, ...]:
        """Uplinks that something was settled for, also those that are not configured any more."""
        return self.stats().known_uplinks

    @property
    def carried(self) -> dict[str, Any]:
        """What the newest batch carried for its caller."""
        return dict(self.stats().carried)

    @property
    def synced(self) -> Synced | None:
        """The newest batch that was taken with a synced clock."""
        return self.stats().synced

    def stats(self) -> JournalStats:
        """How the journal is: as of the end of the thread's last job."""
        return self._writer.stats

    @property
    def heartbeat(self) -> float:
        """time.monotonic() at the last sign of life of the journal thread."""
        return self._thread.heartbeat

    async def close(self) -> None:
        """Commit what waits, if the disk lets us, and close the file."""
        await _outcome(self._thread.call(self._writer.close))
        await asyncio.to_thread(self._thread.stop)


def _alive(future: Future[T]) -> Future[T]:
    if future.cancelled():
        raise JournalError("the journal is closed", hint="readings are taken again after a start")
    return future


async def _outcome(future: Future[T]) -> T:
    # Shielded: a caller who is cancelled must not undo what the thread is about to do.
    return await asyncio.shield(asyncio.wrap_future(_alive(future)))
