"""Waiting on the event loop: for something to happen, but not for ever."""

from __future__ import annotations

import asyncio
from math import inf


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
