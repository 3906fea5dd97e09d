"""The watchdog is fed by signs of life, not by success: a week without meters or broker must not restart
us.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from gateway.common.troubles import Troubles
from gateway.host import notify, watchdog_seconds
from gateway.status import Beat

log = logging.getLogger(__name__)

LOOP_LIMIT = 15.0
THREAD_LIMIT = 90.0
"""A journal may wait long for a dying card, a TLS handshake for a dying line; beyond this a thread is
stuck.
"""


class Watchdog:
    """Gathers heartbeats (monotonic s) and feeds the service manager's watchdog while all are fresh."""

    def __init__(self, status_line: Callable[[], str]) -> None:
        self._sources: dict[str, tuple[Callable[[], float], float]] = {}
        self._status_line = status_line
        self._loop_beat = time.monotonic()
        self._troubles = Troubles(log)
        self.watch("loop", lambda: self._loop_beat, LOOP_LIMIT)

    def watch(self, name: str, beat: Callable[[], float], limit: float = THREAD_LIMIT) -> None:
        """Count `beat` (the monotonic time of the last sign of life) among those that must be fresh."""
        self._sources[name] = (beat, limit)

    def beats(self) -> tuple[Beat, ...]:
        """Every sign of life with its age in s."""
        now = time.monotonic()
        return tuple(
            Beat(name, max(0.0, now - beat()), limit) for name, (beat, limit) in self._sources.items()
        )

    async def run(self) -> None:
        """Beat, and feed the watchdog, until cancelled."""
        period = min(watchdog_seconds() or 5.0, 5.0)
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                self._loop_beat = time.monotonic()
                silent = [beat for beat in self.beats() if not beat.alive]
                if silent:
                    who = ", ".join(f"{beat.name} ({beat.age:.0f} s)" for beat in silent)
                    what = f"no sign of life from {who}: the service manager will restart the gateway"
                    self._troubles.begin("life", f"{what} unless it comes back", level=logging.ERROR)
                else:
                    self._troubles.end("life", "all parts give signs of life again", level=logging.WARNING)
                    notify("WATCHDOG=1", f"STATUS={self._status_line()}")
                await asyncio.sleep(period)
