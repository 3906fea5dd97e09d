"""The small backups of gateways, as they sent them: files that only their key opens, three of each."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.errors import GatewayError

KEPT = 3
MOST = 64 * 1024
"""Bytes of one."""
BEGINS = b"submeter-backup/"
ENDING = ".submeter-backup"


class BackupFolder:
    """`<gateway>-<UTC>.submeter-backup` in one folder."""

    def __init__(self, folder: Path) -> None:
        """Raises GatewayError for a folder that cannot be used."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise GatewayError(
                f"--backups {folder}: {error.strerror}", hint="name a folder that this user may write"
            ) from error
        self._folder = folder

    def keep(self, gateway: str, payload: bytes, now: int) -> None:
        """Keep one that came at `now` (ms); what is there already, or is none, changes nothing. Raises
        OSError.
        """
        if not payload.startswith(BEGINS) or len(payload) > MOST:
            return
        known = self.of(gateway)
        if any(file.read_bytes() == payload for file in known):
            return  # the broker keeps it, and gives it to everybody who comes
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now / 1000))
        target = self._folder / f"{gateway}-{stamp}-{now % 1000:03}{ENDING}"
        fresh = target.with_suffix(".new")
        fresh.write_bytes(payload)
        fresh.replace(target)
        for old in [*known, target][:-KEPT]:
            old.unlink(missing_ok=True)

    def of(self, gateway: str) -> list[Path]:
        """Those of a gateway, the oldest first."""
        named = self._folder.glob(f"{gateway}-????????-??????-???{ENDING}")
        return sorted(file for file in named if file.name[: len(gateway) + 1] == f"{gateway}-")
