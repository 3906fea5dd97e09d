"""Certificates that end: told a month ahead on the page and as an event, while they can be renewed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.check import validities
from gateway.config import Config
from gateway.host import Clock
from gateway.model import Event

log = logging.getLogger(__name__)

EVERY = 3600.0
"""s between two looks at the files."""
DAY_MS = 86_400_000
STEPS = (30, 14, 7, 3, 1, 0)
"""Days before the end at which it is told, and at the end."""


def certificate_ends(config: Config) -> Iterator[tuple[str, str, int]]:
    """(uplink, cert or ca, end in UTC ms) of each certificate that an uplink names. Reads files.

    Of several authorities one may be old: the newest counts. A client's own certificate stands first.
    """
    for uplink in config.uplinks:
        for key, path in (("cert", uplink.cert), ("ca", uplink.ca)):
            try:
                found = [ends for _, ends in validities(Path(path))] if path else []
            except (OSError, ValueError):
                continue  # told by who cannot use the file
            if found:
                chosen = found[0] if key == "cert" else max(found)
                yield uplink.name, key, int(chosen.timestamp() * 1000)


class CertificateWatch:
    """Looks at the files of the present configuration once an hour."""

    def __init__(
        self, config: Callable[[], Config], clock: Callable[[], Clock], tell: Callable[[Event], None]
    ) -> None:
        self._config = config
        self._clock = clock
        self._tell = tell
        self._told: dict[tuple[str, str, int], int] = {}
        self.ends: dict[str, int] = {}
        """By uplink: when the first of its certificates ends, UTC in ms."""

    async def run(self) -> None:
        """Check the certificates of all uplinks every `EVERY` s until cancelled."""
        while True:
            await self.check_files()
            await asyncio.sleep(EVERY)

    async def check_files(self) -> None:
        """Look now, and tell what is new."""
        found = await asyncio.to_thread(lambda: list(certificate_ends(self._config())))
        self.ends = {}
        for uplink, key, ends in found:
            self.ends[uplink] = min(ends, self.ends.get(uplink, ends))
            self._judge(uplink, key, ends)

    def _judge(self, uplink: str, key: str, ends: int) -> None:
        clock = self._clock()
        left = (ends - clock.wall()) / DAY_MS
        step = min((days for days in STEPS if left <= days), default=None)
        # By a clock that nobody vouches for nothing is too old.
        if step is None or not clock.synced or step >= self._told.get((uplink, key, ends), STEPS[0] + 1):
            return
        self._told[uplink, key, ends] = step
        day = f"{datetime.fromtimestamp(ends / 1000, UTC):%Y-%m-%d}"
        verb = "ends" if left > 0 else "ended"
        log.warning(
            "uplink %s: its %s %s on %s → submeter enroll, or ask the platform", uplink, key, verb, day
        )
        fields: dict[str, Any] = {"uplink": uplink, "file": key, "until": ends, "days": max(0, int(left))}
        self._tell(Event("certificate_ends", clock.uptime(), fields))
