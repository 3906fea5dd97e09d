"""Readings become batches: a slot closes when all meters due in it have answered or been given up, at the
latest at its end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from gateway.common.wait import wait_for_event
from gateway.errors import GatewayError
from gateway.model import QUANTITIES, Draft, Event, Reading

log = logging.getLogger(__name__)

QUARTER_MS = 15 * 60 * 1000
SAME = 0.1
"""s; a poll that is due at the slot's end may be computed a moment before it, from another reading of the
clocks.
"""
BURST = 0.02
"""s in which readings are gathered before it is asked whether the slot is complete."""
MOST_READINGS = 20_000
"""Readings that may wait for a journal that does not answer; beyond, the newest are refused and counted."""

_COUNTERS = frozenset(name for name, word in QUANTITIES.items() if word.is_register)


class SlotCollector:
    """Gathers what the buses give and commits it slot by slot.

    `next_due` gives, for every bus, the monotonic time of its earliest poll that is due or running, or None.
    `commit` returns when the batch is durable. `wall` is UTC in ms: slots end at its multiples.
    """

    def __init__(
        self,
        interval: float,
        commit: Callable[[Draft], Awaitable[None]],
        next_due: Callable[[], Iterable[float | None]],
        wall: Callable[[], int],
    ) -> None:
        self.interval = interval
        self._commit = commit
        self._next_due = next_due
        self._wall = wall
        self._draft = Draft()
        self._woken = asyncio.Event()
        self._quarters: dict[str, int] = {}
        self._stopping, self._stopped = False, asyncio.Event()
        self.refused = 0

    @property
    def pending(self) -> int:
        """Readings in the open slot: read, but not on disk yet."""
        return len(self._draft.readings)

    def add(self, reading: Reading) -> None:
        """Take a reading into the open slot."""
        readings = self._draft.readings
        if len(readings) >= MOST_READINGS:
            self.refused += 1
            return
        readings.append(reading)
        quarter = self._wall() // QUARTER_MS
        if self._quarters.get(reading.meter) != quarter and not _COUNTERS.isdisjoint(reading.values):
            self._quarters[reading.meter] = quarter
            self._draft.keep = True
        self._woken.set()

    def tell(self, event: Event) -> None:
        """Take an event into the open slot; such a batch is spared when room runs out."""
        draft = self._draft
        draft.events.append(event)
        draft.keep = True
        self._woken.set()

    def inherit(self, older: SlotCollector) -> None:
        """Take over what was told to a collector after it had stopped."""
        left, older._draft = older._draft, Draft()
        self._draft.readings += left.readings
        self._draft.events += left.events
        self._draft.keep |= left.keep

    async def run(self) -> None:
        """Close slot after slot until `stop`."""
        while not self._stopping:
            end = self._slot_end()
            await self._wait_for(end)
            await self.flush()
            if not self._stopping:
                await self._rest_until(end)

    async def stop(self) -> None:
        """Let `run` end; what the open slot holds is committed."""
        self._stopping = True
        self._stopped.set()
        self._woken.set()
        await self.flush()

    async def flush(self) -> GatewayError | None:
        """Commit what the open slot holds; why it is not on disk yet, None when it is."""
        if self._draft.empty:
            return None
        draft, self._draft = self._draft, Draft()
        try:
            await self._commit(draft)
        except GatewayError as error:
            # The journal keeps what it can in memory and says so itself; polling goes on.
            log.debug("a batch is not on disk yet: %s", error)
            return error
        return None

    def _slot_end(self) -> float:
        """Monotonic time of the next multiple of the interval on the wall clock, at least a tenth of a
        slot away.
        """
        now = self._wall() / 1000.0
        left = self.interval - now % self.interval
        if left < self.interval * 0.1:
            left += self.interval
        return time.monotonic() + left

    async def _wait_for(self, end: float) -> None:
        while not self._stopping:
            left = end - time.monotonic()
            if left <= 0:
                return
            if not self._draft.empty and self._complete(end):
                return
            self._woken.clear()
            await wait_for_event(self._woken, left)
            # Fifty meters answer in a burst: one look at all buses serves them all.
            await asyncio.sleep(min(BURST, max(0.0, end - time.monotonic())))

    def _complete(self, end: float) -> bool:
        """Nothing more can come before the slot ends."""
        return all(due is None or due >= end - SAME for due in self._next_due())

    async def _rest_until(self, end: float) -> None:
        # A slot that closed early has no second batch: it would cost a page of the card for nothing.
        await wait_for_event(self._stopped, end - time.monotonic())
