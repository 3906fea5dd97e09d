"""What ties a gateway to its platform beside readings, for as long as the daemon lives."""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.config import Config
from gateway.daemon.assembly import keep_running
from gateway.daemon.remote.certificates import CertificateWatch
from gateway.host import Clock
from gateway.model import Event


class TiedDaemon(Protocol):
    """What is asked of the daemon."""

    clock: Clock

    @property
    def config(self) -> Config:
        """What runs."""

    def tell(self, event: Event) -> None:
        """Put an event into the next batch."""


class RemoteParts:
    """Outlives a reload."""

    def __init__(self, daemon: TiedDaemon) -> None:
        self._daemon = daemon
        self._certificates = CertificateWatch(lambda: daemon.config, lambda: daemon.clock, daemon.tell)

    @property
    def certificate_ends(self) -> dict[str, int]:
        """By uplink: when the first of its certificates ends, UTC in ms."""
        return self._certificates.ends

    async def run(self) -> None:
        """Run every part, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_running("certificates", self._certificates.run))
