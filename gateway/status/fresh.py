"""Answers that cost something are made once and shared: many visitors, or a hostile one, cost no more than one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from gateway.status.snapshot import Snapshot
from gateway.status.source import Source

Made = TypeVar("Made")

AT_LEAST = 0.25
"""s that an answer is shared whatever happens."""
AT_MOST = 1.0
"""s that it is shared while nothing changes: ages go on."""
MAX_ANSWERS = 512


class Fresh:
    """The newest snapshot and what was made of it, in one worker thread, so that the loop is free for the meters."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._worker = ThreadPoolExecutor(1, "page")
        self._snapshot: tuple[float, int, Snapshot] | None = None
        self._made: dict[Hashable, tuple[Snapshot, asyncio.Task[Any]]] = {}

    def snapshot(self) -> Snapshot:
        """The facts of now, not older than a second."""
        now, version = asyncio.get_running_loop().time(), self._source.changes.version
        if self._snapshot is not None:
            at, seen, snapshot = self._snapshot
            if now - at < (AT_MOST if seen == version else AT_LEAST):
                return snapshot
        snapshot = self._source.snapshot()
        self._snapshot = (now, version, snapshot)
        return snapshot

    async def make(self, key: Hashable, maker: Callable[[Snapshot], Made]) -> Made:
        """What `maker` makes of the newest snapshot, in the worker thread; `key` names maker and arguments."""
        snapshot = self.snapshot()
        known = self._made.get(key)
        if known is None or known[0] is not snapshot:
            if len(self._made) >= MAX_ANSWERS:
                self._made.clear()
            task = asyncio.create_task(self._run(maker, snapshot))
            self._made[key] = known = (snapshot, task)
        # One visitor that leaves must not take the answer from the others.
        made: Made = await asyncio.shield(known[1])
        return made

    async def _run(self, maker: Callable[[Snapshot], Made], snapshot: Snapshot) -> Made:
        return await asyncio.get_running_loop().run_in_executor(self._worker, maker, snapshot)
