"""What the daemon gives the technician's window, which the button opens and ends."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.daemon.actions import DaemonActions
from gateway.daemon.remote.host import GatewayHost, TiedDaemon
from gateway.daemon.service.panel import Panel
from gateway.model import Event
from gateway.status import WINDOW_SECONDS, TechnicianWindow

FLASHES = 30.0
"""s that the lamps flash."""
MOST_LINES = 200


class Technician:
    """The window of a daemon; `panel` has its button."""

    def __init__(self, daemon: TiedDaemon, panel: Panel) -> None:
        self._daemon, self._panel = daemon, panel
        self._actions = DaemonActions(daemon)
        self._host = GatewayHost(daemon, lambda: None, lambda: None)
        self._timer: asyncio.TimerHandle | None = None
        self.window = TechnicianWindow(self._tell)
        panel.on_long_press, panel.on_press = self.long_pressed, self.pressed

    def long_pressed(self) -> None:
        """The button was held: it opens, or ends."""
        if self.window.is_open:
            self.pressed()
            return
        self.window.open()
        self._timer = asyncio.get_running_loop().call_later(WINDOW_SECONDS, self._over)

    def pressed(self) -> None:
        """The button was pressed: what is open ends."""
        self._cancel()
        self.window.end("pressed")

    def stop(self) -> None:
        """The gateway ends: so does an open window."""
        self._cancel()
        self.window.end("stopped")

    def _over(self) -> None:
        self._timer = None
        self.window.end("over")

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, kind: str, fields: dict[str, Any]) -> None:
        daemon = self._daemon
        daemon.tell(Event(kind, daemon.clock.uptime(), fields))

    # -- what the pages ask

    async def lines(self) -> list[str]:
        """The last lines of the log: as the bundle has them, which takes every secret out."""
        lines: list[str] = (await self.bundle())["log"]
        return lines[-MOST_LINES:]

    async def bundle(self) -> dict[str, Any]:
        """Everything without secrets."""
        return await self._host.diagnostics()

    async def read(self, meter: str) -> dict[str, Any]:
        """Poll a meter now. Raises GatewayError."""
        return await self._actions.poll(meter)

    def identify(self) -> bool:
        """Let the lamps flash; whether there are any."""
        return self._panel.identify(FLASHES)
