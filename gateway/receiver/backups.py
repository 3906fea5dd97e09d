"""The small backups of gateways, as they sent them: files that only their key opens, three of each."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from gateway.errors import GatewayError

KEPT = 3
MOST = 64 * 1024
"""Bytes of one."""
BEGINS = b"submeter-backup/"
ENDING = ".submeter-backup"
_NAMED = re.compile(rf"(.+)-\d{{8}}-\d{{6}}-\d{{3}}{re.escape(ENDING)}")


class BackupFolder:
    """`<gateway>-<UTC>.submeter-backup` in one folder, which one receiver fills; files may be taken away."""

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
        known = {file: content for file in self.of(gateway) if (content := _content(file))}
        if payload in known.values():
            return  # the broker keeps it, and gives it to everybody who comes
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now / 1000))
        target = self._folder / f"{gateway}-{stamp}-{now % 1000:03}{ENDING}"
        fresh = target.with_suffix(".new")
        fresh.write_bytes(payload)
        fresh.replace(target)
        files = [*known, target]
        self._files[gateway] = files[-KEPT:]
        for old in files[:-KEPT]:
            old.unlink(missing_ok=True)

    def of(self, gateway: str) -> list[Path]:
        """Those of a gateway, the oldest first."""
        return self._files.get(gateway, [])

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        """By gateway. The folder of a city has thousands: it is looked through once, not for each message."""
        found: dict[str, list[Path]] = {}
        for file in sorted(self._folder.iterdir()):
            if named := _NAMED.fullmatch(file.name):
                found.setdefault(named[1], []).append(file)
        return found


def _content(file: Path) -> bytes:
    """Nothing where it was taken away."""
    with suppress(FileNotFoundError):
        return file.read_bytes()
    return b""
