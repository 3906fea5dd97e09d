"""One process per journal directory: also when the file in it is damaged, absent, or being moved aside."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from gateway.errors import JournalBusy


class Lock:
    """An flock on `journal.lock`; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        path = directory / "journal.lock"
        self._handle: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._handle, 20).decode("ascii", "replace").strip()
            self.release()
            raise JournalBusy(
                f"the journal in {directory} is held by another process{f' ({holder})' if holder else ''}",
                hint="stop that gateway first, or ask it: `submeter status`, `submeter journal status`",
            ) from error
        with suppress(OSError):  # the name is a courtesy; on a full disk the lock alone will do
            os.ftruncate(self._handle, 0)
            os.write(self._handle, f"pid {os.getpid()}\n".encode())

    def release(self) -> None:
        """Let others in."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
