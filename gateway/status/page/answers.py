"""Answers that cost something are made once and shared: many visitors, or a hostile one, cost no more than
one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from gateway.status.energy.facts import EnergyHistory
from gateway.status.snapshot import Snapshot
from gateway.status.source import Source

Made = TypeVar("Made")

AT_LEAST = 0.25
"""s that an answer is shared whatever happens."""
AT_MOST = 1.0
"""s that it is shared while nothing changes: ages go on."""


class SharedAnswers:
    """The newest snapshot and what was made of it, in one worker thread, so that the loop is free for the
    meters.
    """

    def __init__(self, source: Source) -> None:
        self._source, self._changes = source, source.changes
        self._worker = ThreadPoolExecutor(1, "page")
        self._snapshot: tuple[float, int, Snapshot] | None = None
        self._made: dict[Hashable, asyncio.Task[Any]] = {}

    def snapshot(self) -> Snapshot:
        """The facts of now, not older than a second."""
        now, version = asyncio.get_running_loop().time(), self._changes.version
        if self._snapshot is not None:
            at, seen, snapshot = self._snapshot
            if now - at < (AT_MOST if seen == version else AT_LEAST):
                return snapshot
        snapshot = self._source.snapshot()
        self._snapshot = (now, version, snapshot)
        # What was made of the old one is of no use, and would keep it in memory.
        self._made.clear()
        return snapshot

    def energy_history(self) -> EnergyHistory | None:
        """The building and its history."""
        return self._source.energy_history()

    async def make(self, key: Hashable, maker: Callable[[Snapshot], Made]) -> Made:
        """What `maker` makes of the newest snapshot, in the worker thread; `key` names maker and
        arguments.
        """
        snapshot = self.snapshot()
        task = self._made.get(key)
        if task is None:
            task = self._made[key] = asyncio.create_task(self._run(maker, snapshot))
        # One visitor that leaves must not take the answer from the others.
        made: Made = await asyncio.shield(task)
        return made

    async def _run(self, maker: Callable[[Snapshot], Made], snapshot: Snapshot) -> Made:
        return await asyncio.get_running_loop().run_in_executor(self._worker, maker, snapshot)
