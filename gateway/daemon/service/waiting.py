"""Before there is a configuration: the service is up, says on its page what it waits for, and begins by
itself.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

from gateway import status
from gateway.common.wait import wait_for_event
from gateway.config import StatusSection
from gateway.daemon.changes import load_good
from gateway.errors import ConfigError
from gateway.host import notify

log = logging.getLogger(__name__)

EVERY = 1.0
"""s between two looks for the file."""


class Waiting:
    """Waits while there is no file at `path`; then until what is there can be used."""

    def __init__(self, path: Path, listen: tuple[str, int] | None = None) -> None:
        self._path = path
        self._listen = listen or StatusSection().address
        self._ended = False
        self._woken = asyncio.Event()
        self._problems: tuple[str, ...] = ()

    async def run(self) -> bool:
        """True when there is a configuration: at once when the file is there, good or not (the daemon says
        what is wrong with it), else when it has come and is good. False when told to end (SIGTERM, SIGINT).
        """
        if await asyncio.to_thread(self._path.exists):
            return True
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._woken.set)
        server = await asyncio.to_thread(getattr, status, "PageServer")
        page = server(status.create_waiting(lambda: self._problems), *self._listen)
        await page.start()
        notify("READY=1", "STATUS=waits for its configuration: sudo submeter setup")
        log.warning("there is no %s: the gateway waits for it; sudo submeter setup makes it", self._path)
        try:
            while not self._ended and not await self._good():
                notify("WATCHDOG=1")
                await wait_for_event(self._woken, EVERY)
                self._woken.clear()
        finally:
            await page.stop()
            for number in (*numbers, signal.SIGHUP):
                loop.remove_signal_handler(number)
        return not self._ended

    async def _good(self) -> bool:
        if not await asyncio.to_thread(self._path.exists):
            self._problems = ()
            return False
        try:
            await asyncio.to_thread(load_good, self._path)
        except ConfigError as error:
            problems = tuple(map(str, error.problems))
            if problems != self._problems:
                log.warning("%s cannot be used yet:\n%s", self._path, error)
            self._problems = problems
            return False
        return True

    def _end(self) -> None:
        self._ended = True
        self._woken.set()
