"""Waits that end: for what must happen, however busy the machine is."""

import asyncio
import time


async def until(condition, seconds=30.0):
    """What `condition` gives as soon as that is true; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)
    return found
