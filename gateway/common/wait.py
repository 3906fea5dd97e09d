"""Waiting on the event loop: for something to happen, but not for ever."""

from __future__ import annotations

import asyncio
import time
from math import inf


class Alarm:
    """What one task sleeps on, until a time or until it is woken. Much cheaper than an event with a limit of
    time, for whoever sleeps after every poll.
    """

    __slots__ = ("_sleeper", "_woken")

    def __init__(self) -> None:
        self._woken = False
        self._sleeper: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """End the sleep, or the next one."""
        self._woken = True
        if self._sleeper is not None:
            _end(self._sleeper)

    async def sleep_until(self, at: float) -> None:
        """Sleep until then (the loop's time in s) at the latest; others get a turn in any case."""
        if self._woken or at <= time.monotonic():
            self._woken = False
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        self._sleeper = loop.create_future()
        timer = loop.call_at(at, _end, self._sleeper)
        try:
            await self._sleeper
        finally:
            timer.cancel()
            self._sleeper, self._woken = None, False


def _end(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


TICK = 0.001
"""s that the loop's timers count in: a selector rounds what is left up to whole ones."""


SLICE = 0.0002
"""s that nobody else has a turn in, at the end of an exact sleep."""


async def sleep_exactly(until: float) -> None:
    """Sleep until then (the loop's time in s), and not up to a tick longer: the last one passes in slices,
    between which others have a turn, as they have in any case. Turns alone would cost half a millisecond of
    the processor each time.
    """
    await asyncio.sleep(max(0.0, until - TICK - time.monotonic()))
    while (rest := until - time.monotonic()) > 0.0:
        time.sleep(min(rest, SLICE))  # noqa: ASYNC251 - finer than the loop can wait
        await asyncio.sleep(0)


_wall = time.time
MOMENT = 0.005
"""s after a multiple of its period that what is done periodically waits: what begins with it goes first."""


def until_next(period: float) -> float:
    """Seconds until the next multiple of `period` (s) on the wall clock, and a moment; at least a tenth of
    the period.

    Polls begin at such multiples: what else is done periodically need not wake the processor once more.
    """
    left = period - (_wall() - MOMENT) % period
    return left if left >= period / 10 else left + period


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Return as soon as `event` is set, at the latest after `seconds`; whether it is set.

    Others get a turn also when there is no time left.
    """
    if event.is_set():
        return True
    try:
        async with asyncio.timeout(None if seconds == inf else max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        pass
    return event.is_set()
