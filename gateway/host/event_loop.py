"""The loop that polls, and threads that compute beside it.

One thread at a time runs Python. A loop that sends ten requests hands the interpreter over at each of them,
and has it back after `sys.getswitchinterval`: a thread that computes for minutes makes the tenth late by all
of these. So it looks, after each piece of its work, whether the loop has something to do, and waits for that.
"""

from __future__ import annotations

import asyncio
import selectors
import time

HAND_OVER = 0.00005
"""s that a thread sleeps so that a loop which waits for the interpreter has it."""
NAP = 0.001
"""s between two looks at a busy loop."""
AT_MOST = 0.02
"""s for which a loop that is never done is given way to."""


class _Selector(selectors.DefaultSelector):
    """What the loop waits with."""

    busy = False
    """Whether the loop has something to do; false while it waits."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0.0:
            return super().select(timeout)
        self.busy = False
        try:
            return super().select(timeout)
        finally:
            self.busy = True


class PollingLoop(asyncio.SelectorEventLoop):
    """An event loop that others can give way to."""

    def __init__(self) -> None:
        self._waits_with = _Selector()
        super().__init__(self._waits_with)

    @property
    def busy(self) -> bool:
        """Whether it has something to do."""
        return self._waits_with.busy


def give_way(loop: asyncio.AbstractEventLoop) -> None:
    """Wait, in another thread than the loop's, while that has something to do."""
    if not isinstance(loop, PollingLoop):
        return
    time.sleep(HAND_OVER)
    end = time.monotonic() + AT_MOST
    while loop.busy and time.monotonic() < end:
        time.sleep(NAP)
