"""The page and the control socket of the daemon."""

from __future__ import annotations

import logging
from pathlib import Path

from gateway.errors import ControlError
from gateway.status.control.actions import Actions
from gateway.status.control.app import create_control
from gateway.status.page.app import create_page
from gateway.status.server import ControlServer, PageServer
from gateway.status.source import Source
from gateway.status.technician.window import TechnicianDesk

Address = tuple[str, int]
"""Host and port."""
log = logging.getLogger(__name__)


class Servers:
    """Both servers; neither is a reason for the daemon to end, but another live daemon on the socket is."""

    def __init__(
        self, source: Source, actions: Actions, socket: Path, desk: TechnicianDesk | None = None
    ) -> None:
        self._source, self._rows, self._desk = source, actions.journal_rows, desk
        self._page: PageServer | None = None
        self._listen: Address | None = None
        self._names: tuple[str, ...] = ()
        self._control = ControlServer(create_control(source.snapshot, actions), socket)

    async def start(self, listen: Address | None, names: tuple[str, ...]) -> None:
        """Open both; the page only where `listen` says."""
        try:
            await self._control.start()
        except ControlError as error:
            log.warning("%s; the commands of this machine cannot ask the daemon", error)
        await self.reconfigure(listen, names)

    async def reconfigure(self, listen: Address | None, names: tuple[str, ...]) -> None:
        """Serve the page there, under these names too, leaving it alone if that has not changed."""
        if (listen, names) == (self._listen, self._names) and (self._page is None) == (listen is None):
            return
        changes = self._source.changes
        if self._page is not None:
            await self._page.stop()
            self._page = None
            changes.reopen()
        self._listen, self._names = listen, names
        if listen is not None:
            page = create_page(self._source, names, self._rows, self._desk)
            self._page = PageServer(page, *listen, ending=changes.close)
            if await self._page.start():
                log.info(
                    "the page is at http://%s:%d",
                    "localhost" if listen[0] in {"0.0.0.0", "::"} else listen[0],  # noqa: S104
                    self._page.port,
                )

    async def stop(self) -> None:
        """Stop the page and the control socket."""
        if self._page is not None:
            await self._page.stop()
        await self._control.stop()
