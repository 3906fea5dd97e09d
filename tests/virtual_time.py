"""Time that passes at once: a loop that jumps to its next timer instead of waiting for it. For tests without
threads and sockets.

`@pytest.mark.virtual_time` runs an async test on it, with time.monotonic() as the loop's time. Sleeps then
last exactly as long as they say, however slow the machine is, and cost nothing.
"""

from __future__ import annotations

import asyncio
import selectors
import time

TURN = 1e-5
"""s that one turn of the loop takes: time goes on for those too who never sleep."""


WAIT = 0.02
"""Real s at most until it is looked again whether the time may go on."""


class Jumping(selectors.DefaultSelector):
    """A selector that lets the time pass instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = time.monotonic()
        self.waited_for = 0
        """How many things outside of the loop, a thread at work, are waited for in real time."""

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; without anything to wait for, it waits as any other."""
        if timeout is None:
            return super().select(None)
        if self.waited_for:
            self.now += TURN
            return super().select(min(timeout, WAIT))
        self.now += max(timeout, TURN)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time."""

    def __init__(self) -> None:
        self.jumping = Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        """Virtual monotonic seconds."""
        return self.jumping.now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Threads end in real time: on virtual time any bound would be over at once."""
        del timeout
        await super().shutdown_default_executor()


def monotonic() -> float:
    """time.monotonic() for whoever runs on a virtual loop; the real one elsewhere."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _REAL()
    return loop.time() if isinstance(loop, VirtualLoop) else _REAL()


def sleep(seconds: float) -> None:
    """time.sleep() that lets the time of a virtual loop pass; the real one elsewhere."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _REAL_SLEEP(seconds)
    return loop.jumping.pass_by(seconds) if isinstance(loop, VirtualLoop) else _REAL_SLEEP(seconds)


_REAL, _REAL_SLEEP = time.monotonic, time.sleep
