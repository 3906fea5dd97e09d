"""What the page needs from whoever runs it: a snapshot of now, a sign when something changed, and the last
hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from gateway.status.energy.facts import EnergyHistory
from gateway.status.snapshot import Snapshot
from gateway.status.trend import Trend


class Changes:
    """Tells any number of listeners that something has changed. Everything happens on one event loop."""

    def __init__(self) -> None:
        self._version = 0
        self._closed = False
        self._closings = 0
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def version(self) -> int:
        """A number that grows with each change of the snapshot."""
        return self._version

    @property
    def closed(self) -> bool:
        """Whether every listener has been told to end."""
        return self._closed

    def notify(self) -> None:
        """Something has changed: cheap, call it for every reading and every commit."""
        self._version += 1
        self._wake()

    def close(self) -> None:
        """End every listener: streams must not hold up a shutdown."""
        self._closed = True
        self._closings += 1
        self._wake()

    def reopen(self) -> None:
        """Take listeners again, for the next page; those that were told to end do so all the same."""
        self._closed = False

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, seen: int, timeout: float) -> int:
        """The version as soon as it is not `seen`, at the latest after `timeout` s."""
        if self._version == seen and not self._closed:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait([waiter], timeout=timeout)
            finally:
                self._waiters.discard(waiter)
                waiter.cancel()
        return self._version

    async def follow(self, pause: float, idle: float) -> AsyncIterator[int]:
        """A version at once, then one per change, at most one every `pause` s, at least one every `idle`
        s, until closed.
        """
        seen, mine = self._version, self._closings
        while not self._closed and self._closings == mine:
            yield seen
            await self._sleep(pause)
            if not self._closed and self._closings == mine:
                seen = await self.wait(seen, max(idle - pause, 0.0))

    async def _sleep(self, seconds: float) -> None:
        # A pause that `close` cuts short: `wait` alone would return on every change.
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self._closed and (rest := end - loop.time()) > 0:
            await self.wait(self._version, rest)


class Source(Protocol):
    """The daemon, as the page sees it. Everything is called on the event loop."""

    @property
    def changes(self) -> Changes:
        """Notified for every reading and every commit, closed before the page stops."""

    @property
    def trend(self) -> Trend:
        """The last hour's active power."""

    def energy_history(self) -> EnergyHistory | None:
        """The building and its history; None where no energy is computed."""

    def snapshot(self) -> Snapshot:
        """The facts of now; called for every request, so it should cost little."""
