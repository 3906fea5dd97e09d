"""One process per journal directory: also when the file in it is damaged, absent, or being moved aside."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from gateway.errors import JournalBusy, JournalError


class Lock:
    """An flock on the directory; the kernel lets go of it when the process ends, however it ends. `journal.lock` says who has it.

    Raises JournalBusy, and JournalError for a directory that may not be read.
    """

    def __init__(self, directory: Path) -> None:
        name = directory / "journal.lock"
        try:
            # The directory itself: it can be locked on a full and on a read-only disk, too.
            self._handle: int | None = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise JournalError(
                f"{directory} cannot be opened: {error.strerror}", hint="use sudo, or mend the rights of the folder"
            ) from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            holder = ""
            with suppress(OSError):
                holder = name.read_text(encoding="ascii", errors="replace")[:20].strip()
            raise JournalBusy(
                f"the journal in {directory} is held by another process{f' ({holder})' if holder else ''}",
                hint="stop that gateway first, or ask it: `submeter status`, `submeter journal status`",
            ) from error
        with suppress(OSError):
            name.write_text(f"pid {os.getpid()}\n", encoding="ascii")

    def release(self) -> None:
        """Let others in."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
