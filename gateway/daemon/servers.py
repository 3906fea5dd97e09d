"""The page and the control socket of the daemon."""

from __future__ import annotations

import logging
from pathlib import Path

from gateway.config import Config
from gateway.errors import ControlError
from gateway.status import Actions, ControlServer, PageServer, Source, create_control, create_page

log = logging.getLogger(__name__)


class Servers:
    """Both servers; neither is a reason for the daemon to end, but another live daemon on the socket is."""

    def __init__(self, source: Source, actions: Actions, socket: Path) -> None:
        self._source = source
        self._page: PageServer | None = None
        self._listen: tuple[str, int] | None = None
        self._names: tuple[str, ...] = ()
        self._control = ControlServer(create_control(source.snapshot, actions), socket)

    async def start(self, config: Config) -> None:
        """Open both."""
        try:
            await self._control.start()
        except ControlError as error:
            log.warning("%s; the commands of this machine cannot ask the daemon", error)
        await self.reconfigure(config)

    async def reconfigure(self, config: Config) -> None:
        """Serve the page where the configuration says, leaving it alone if that has not changed."""
        wanted = config.status.address if config.status.enabled else None
        if (wanted, config.status.names) == (self._listen, self._names) and (self._page is None) == (
            wanted is None
        ):
            return
        if self._page is not None:
            await self._page.stop()
            self._page = None
            self._source.changes.reopen()
        self._listen, self._names = wanted, config.status.names
        if wanted is not None:
            self._page = PageServer(
                create_page(self._source, self._names), *wanted, ending=self._source.changes.close
            )
            if await self._page.start():
                log.info(
                    "the page is at http://%s:%d",
                    "localhost" if wanted[0] in {"0.0.0.0", "::"} else wanted[0],  # noqa: S104
                    self._page.port,
                )

    async def stop(self) -> None:
        """Close both."""
        if self._page is not None:
            await self._page.stop()
        await self._control.stop()
