"""The page in a thread and on an event loop of its own, beside a receiver or alone."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from pathlib import Path

from gateway.errors import GatewayError
from gateway.platform.app import Live, create_platform_page
from gateway.status import PageServer

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
OPTION = "--page"


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of `8090`, `HOST:8090` or `[::1]:8090`; without a host this machine alone. Raises
    GatewayError.
    """
    found = re.fullmatch(r"(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:/\[\]]+)):)?(\d{1,5})", text)
    if found is None or not int(found[3]) < 2**16:
        raise GatewayError(
            f"{OPTION} {text}: not an address to listen on", hint="write a port, like 8090, or HOST:8090"
        )
    return found[1] or found[2] or LOOPBACK, int(found[3])


class PlatformPage:
    """Serves until `stop`. A port that is taken is said in the log and tried again."""

    def __init__(
        self, database: Path | str, listen: tuple[str, int], live: Live | None, names: tuple[str, ...] = ()
    ) -> None:
        self._app = create_platform_page(database, live, frozenset(names))
        self._listen = listen
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._up = threading.Event()
        self.port = 0
        """Where it listens; 0 while it does not."""

    def start(self) -> None:
        """Begin; returns when it listens or has said why not."""
        self._thread.start()
        self._up.wait()

    def stop(self) -> None:
        """Stop serving; returns when the thread has ended."""
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = PageServer(self._app, *self._listen, option=OPTION)
        if await server.start():
            self.port = server.port
            host = f"[{self._listen[0]}]" if ":" in self._listen[0] else self._listen[0]
            log.info("the page of the gateways is at http://%s:%d", host, server.port)
        self._up.set()
        await self._end.wait()
        await server.stop()
