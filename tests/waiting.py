"""Waits that end: for what must happen, however busy the machine is."""

import asyncio
import time

LATE = "it did not happen in time"


async def until(condition, seconds=60.0):
    """What `condition` gives as soon as that is true; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, LATE
        await asyncio.sleep(0.01)
    return found


def wait_until(condition, seconds=60.0):
    """The same where no event loop runs."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, LATE
        time.sleep(0.01)
    return found
