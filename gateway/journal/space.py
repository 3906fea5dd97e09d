"""Room on the disk: how large the journal may grow, and the ballast that is thrown overboard when the disk is full."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

LARGEST, SMALLEST = 8 << 20, 1 << 20
"""Bytes of ballast: room for the WAL to grow by some thousand pages, so that rows can be deleted and the WAL be moved."""


class Space:
    """The budget of a directory. `limit` is the configured one, `budget` what holds now, both in bytes."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._ballast = directory / "journal.ballast"
        self.limit = limit
        self.budget = limit
        self.free = 0

    @property
    def ballast(self) -> int:
        """Bytes that the ballast should have."""
        return max(SMALLEST, min(LARGEST, self.limit // 64))

    def look(self, own: int) -> None:
        """Ask the file system how much is free; `own` are the bytes of the journal's file.

        The budget is the smaller of the configured one and half of what was free without us; what we hold is never called
        too much because another program fills the disk, and a disk that is full is no reason to thin: it may be mended.
        """
        try:
            found = os.statvfs(self._directory)
        except OSError:
            return
        self.free = found.f_bavail * found.f_frsize
        if self.free > self.ballast:
            self.budget = min(self.limit, max(own, (own + self.free) // 2))

    def held(self) -> int:
        """Bytes of ballast on board."""
        try:
            return self._ballast.stat().st_size
        except OSError:
            return 0

    def load(self) -> bool:
        """Take ballast on board if there is ample room; whether it is on board now."""
        if self.held() == self.ballast:
            return True
        if self.free < 4 * self.ballast:
            return False
        try:
            handle = os.open(self._ballast, os.O_RDWR | os.O_CREAT, 0o640)
            try:
                os.posix_fallocate(handle, 0, self.ballast)
                os.truncate(handle, self.ballast)
            finally:
                os.close(handle)
        except OSError:
            self.drop()
            return False
        return True

    def drop(self) -> bool:
        """Throw the ballast overboard; whether that made room."""
        had = self.held()
        with suppress(OSError):
            self._ballast.unlink(missing_ok=True)
        if had:
            logger.warning("the disk of %s is full: %d bytes of ballast were given up to make room", self._directory, had)
        return had > 0
