"""What ties a gateway to its platform beside readings, for as long as the daemon lives."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config import RemoteSection
from gateway.daemon import later
from gateway.daemon.assembly import Assembly, keep_running
from gateway.daemon.remote.certificates import CertificateWatch
from gateway.daemon.remote.host import GatewayHost, TiedDaemon
from gateway.status import RemoteView
from gateway.uplink import Forwarder
from gateway.wire import Topics

if TYPE_CHECKING:
    from gateway.remote.care import CareService, Renewal


class RemoteParts:
    """Care, enrolment and renewal of certificates, as configured; they outlive a reload."""

    def __init__(self, daemon: TiedDaemon) -> None:
        self._daemon = daemon
        self._certificates = CertificateWatch(lambda: daemon.config, lambda: daemon.clock, daemon.tell)
        self._forwarder: Forwarder | None = None
        self._section = RemoteSection()
        self._configured = asyncio.Event()
        self._files_changed = asyncio.Event()
        self._care: CareService | None = None
        self._early: deque[tuple[str, bytes]] = deque(maxlen=8)
        """What came before it was loaded."""
        self._renewal: Renewal | None = None

    @property
    def certificate_ends(self) -> dict[str, int]:
        """By uplink: when the first of its certificates ends, UTC in ms."""
        return self._certificates.ends

    @property
    def view(self) -> RemoteView | None:
        """For page, status and metrics; None while nothing is on."""
        section = self._section
        if section.uplink is None:
            return None
        counts = Counter(self._care.counts) if self._care else Counter[str]()
        done, failed = counts.pop("done", 0), counts.pop("failed", 0)
        trial = self._care.on_trial if self._care else ""
        return RemoteView(section.uplink, section.commands, done, failed, dict(counts), trial)

    def attach(self, assembly: Assembly) -> None:
        """Let the commands that are on reach this gateway through the uplink that carries them."""
        self._section = section = assembly.config.remote
        named = (each for each in assembly.forwarders if each.name == section.uplink)
        self._forwarder = forwarder = next(named, None)
        if self._care is not None and self._renewal is not None:
            self._care.section = self._renewal.section = section
        if forwarder is None:
            return
        topics = Topics(assembly.config.gateway.id)
        for command in section.commands:
            forwarder.commands[topics.command(command)] = functools.partial(self._command, command)
        if section.renew is not None:
            forwarder.commands[topics.enrolment_answer] = self._enrolment_answer
        self._configured.set()

    def _command(self, command: str, payload: bytes) -> None:
        if self._care is None:
            self._early.append((command, payload))
        else:
            self._care.received(command, payload)

    def _enrolment_answer(self, payload: bytes) -> None:
        if self._renewal is not None:
            self._renewal.received(payload)

    async def run(self) -> None:
        """Run every part, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_running("certificates", self._watch_certificates))
            group.create_task(keep_running("remote care", self._serve))

    async def _watch_certificates(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._certificates.run())
            while True:
                await self._files_changed.wait()
                self._files_changed.clear()
                await self._certificates.check_files()

    async def _serve(self) -> None:
        await self._configured.wait()
        daemon = self._daemon
        assembly = daemon.assembly
        await assembly.first_batch()  # care is loaded where it is configured, and no reading waits for it
        care = await asyncio.to_thread(getattr, later, "care")
        host = GatewayHost(daemon, lambda: self._forwarder, self._files_changed.set)
        directory = Path(assembly.config.journal.directory)
        service = care.CareService(host, directory, self._section)
        renewal = care.Renewal(host, self._section)
        self._care, self._renewal = service, renewal
        while self._early:
            service.received(*self._early.popleft())
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_running("commands", service.run))
            group.create_task(keep_running("renewal", renewal.run))
