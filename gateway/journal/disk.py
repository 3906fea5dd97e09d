"""Room on the disk: how large the journal may grow, and the ballast that is thrown overboard when the disk
is full.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from gateway.journal.paths import clear, size_of, standing

LARGEST, SMALLEST = 8 << 20, 1 << 20
"""Bytes of ballast: room for the WAL to grow by some thousand pages, so that rows can be deleted and the
WAL be moved.
"""


def _largest_file() -> int:
    """What this process may let a file grow to (RLIMIT_FSIZE), with room for the pages on their way out of
    the WAL.
    """
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return sys.maxsize if most == resource.RLIM_INFINITY else max(most // 2, most - 2 * SMALLEST)


class Disk:
    """The budget of a directory. `limit` is the configured one, `budget` what holds now, both in bytes."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._ballast = directory / "journal.ballast"
        self.limit = limit
        self.budget = limit
        self.free = 0
        self.tight = False
        """The disk was full a moment ago."""

    @property
    def ballast(self) -> int:
        """Bytes that the ballast should have."""
        return max(SMALLEST, min(LARGEST, self.limit // 64))

    def measure(self, own: int) -> None:
        """Ask the file system how much is free; `own` are the bytes of the journal's file.

        The budget is the smaller of the configured one and half of what was free without us; what we hold is
        never called too much because another program fills the disk, and a disk that is full is no reason to
        thin: it may be mended.
        """
        if not self._ask_free():
            return
        limit = min(self.limit, _largest_file())
        self.tight = self.tight and self.free < 4 * self.ballast
        if self.free > self.ballast:
            self.budget = min(limit, max(own, (own + self.free) // 2))

    def ballast_bytes(self) -> int:
        """Bytes of ballast on board."""
        return 0 if standing(self._ballast) else size_of(self._ballast) or 0

    def load(self) -> bool:
        """Take ballast on board if there is ample room; whether it is on board now."""
        if self.ballast_bytes() == self.ballast:
            return True
        return self._ask_free() and self.free > 4 * self.ballast and self._allocate(self.ballast)

    def reload(self) -> None:
        """Take back as much ballast as a full disk still has room for, before somebody else does."""
        any(self._allocate(self.ballast >> halved) for halved in range(4))

    def _allocate(self, size: int) -> bool:
        clear(self._ballast)
        try:
            handle = os.open(
                self._ballast, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o640
            )
            try:
                os.posix_fallocate(handle, 0, size)
                os.truncate(handle, size)
            finally:
                os.close(handle)
        except OSError:
            self.drop()
            return False
        return True

    def drop(self) -> None:
        """Delete the ballast file, so that a full disk has room for the next commit."""
        with suppress(OSError):
            self._ballast.unlink(missing_ok=True)

    def _ask_free(self) -> bool:
        try:
            found = os.statvfs(self._directory)
        except OSError:
            return False
        self.free = found.f_bavail * found.f_frsize
        return True
