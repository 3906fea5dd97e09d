"""What the gateway offers to the platform's commands."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from gateway import __version__, status
from gateway.common.files import read_regular
from gateway.config import Config, Uplink
from gateway.daemon import later
from gateway.daemon.actions import DaemonActions, RunningDaemon
from gateway.daemon.remote.certificates import certificate_ends
from gateway.daemon.service.log_lines import RecentLines
from gateway.errors import GatewayError
from gateway.model import Event
from gateway.status import Snapshot
from gateway.uplink import Forwarder
from gateway.wire import Topics

log = logging.getLogger(__name__)

MAX_LEARNT = 256 * 1024
MOST_READ = 64
"""Meters of one command."""


class TiedDaemon(RunningDaemon, Protocol):
    """What is asked of the daemon."""

    @property
    def config(self) -> Config:
        """The configuration that runs."""

    @property
    def log_lines(self) -> RecentLines:
        """The newest lines of its log."""

    def tell(self, event: Event) -> None:
        """Put an event into the next batch."""

    def snapshot(self) -> Snapshot:
        """The facts of now."""


class GatewayHost:
    """Answers for the present assembly, whichever that is."""

    def __init__(
        self, daemon: TiedDaemon, forwarder: Callable[[], Forwarder | None], files_changed: Callable[[], None]
    ) -> None:
        """`forwarder` is that of the uplink of remote care; `files_changed` is told of a new certificate."""
        self._daemon = daemon
        self._forwarder = forwarder
        self._files_changed = files_changed
        self._actions = DaemonActions(daemon)

    @property
    def gateway(self) -> str:
        """The id of this gateway."""
        config = self._daemon.config
        return config.gateway.id

    @property
    def epoch(self) -> str:
        """The epoch of the next batch."""
        journal = self._daemon.journal
        return journal.epoch

    def now(self) -> int | None:
        """UTC in ms; None while nobody vouches for the clock."""
        clock = self._daemon.clock
        return clock.wall() if clock.synced else None

    async def audit(self, kind: str, fields: dict[str, Any]) -> None:
        """An event that is on disk when this returns. Raises GatewayError."""
        daemon = self._daemon
        daemon.tell(Event(kind, daemon.clock.uptime(), fields))
        slots = daemon.assembly.slots
        if (refused := await slots.flush()) is not None:
            raise refused

    def reply(self, payload: bytes) -> None:
        """Say something on P/reply."""
        self._say(Topics(self.gateway).reply, payload)

    def _say(self, topic: str, payload: bytes) -> None:
        if (forwarder := self._forwarder()) is not None:
            forwarder.say(topic, payload)

    async def read(self, meters: list[str]) -> dict[str, Any]:
        """Poll meters now, all when none is named; a meter that fails gives `error`."""
        config = self._daemon.config
        known = [meter.id for meter in config.meters if meter.enabled]
        known += [pulse.id for pulse in config.pulses]
        names = list(dict.fromkeys(meters)) or known
        if len(names) > MOST_READ:
            raise GatewayError(f"{len(names)} meters are more than {MOST_READ}", hint="name some of them")
        return dict(zip(names, await asyncio.gather(*map(self._poll, names)), strict=True))

    async def _poll(self, meter: str) -> dict[str, Any]:
        try:
            reading = await self._actions.poll(meter)
        except GatewayError as error:
            return {"error": error.message, "hint": error.hint}
        # Registers are for the wire next to them.
        return {name: value for name, value in reading.items() if name != "registers"}

    async def diagnostics(self) -> dict[str, Any]:
        """The bundle without secrets."""
        daemon = self._daemon
        facts = {
            "gateway": self.gateway,
            "version": __version__,
            "status": status.as_json(daemon.snapshot()),
            "journal": daemon.journal.stats().to_json(),
            "log": daemon.log_lines.lines,
        }
        return await asyncio.to_thread(_bundle, daemon.config, facts)

    # -- renewal

    def uplink(self) -> Uplink | None:
        """The uplink of remote care."""
        config = self._daemon.config
        return next((each for each in config.uplinks if each.name == config.remote.uplink), None)

    def left(self) -> float | None:
        """Seconds until its own certificate ends."""
        uplink, now = self.uplink(), self.now()
        if uplink is None or now is None:
            return None
        ends = {key: at for name, key, at in certificate_ends(self._daemon.config) if name == uplink.name}
        return (ends["cert"] - now) / 1000 if "cert" in ends else None

    def connected(self) -> bool:
        """Whether the uplink of remote care is connected."""
        forwarder = self._forwarder()
        return forwarder is not None and forwarder.stats().connected

    def ask(self, payload: bytes) -> None:
        """Say something on P/enroll/request."""
        self._say(Topics(self.gateway).enrolment_request, payload)

    async def renewed(self, kind: str, fields: dict[str, Any]) -> None:
        """What came of a renewal; the next connection uses the new files."""
        daemon = self._daemon
        daemon.tell(Event(kind, daemon.clock.uptime(), fields))
        self._files_changed()


def _bundle(config: Config, facts: dict[str, Any]) -> dict[str, Any]:
    learnt = Path(config.journal.directory) / "learnt.json"
    try:
        facts["learnt"] = json.loads(read_regular(learnt, MAX_LEARNT))
    except (OSError, ValueError):
        facts["learnt"] = None
    return later.bundle.make_bundle(config, facts)
