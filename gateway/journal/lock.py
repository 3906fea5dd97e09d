"""One process per journal directory: also when the file in it is damaged, absent, or being moved aside."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from gateway.errors import JournalBusy, JournalError
from gateway.journal.places import clear, read_regular


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
                holder = read_regular(name, 20).decode("ascii", errors="replace").strip()
            raise JournalBusy(
                f"the journal in {directory} is held by another process{f' ({holder})' if holder else ''}",
                hint="stop that gateway first, or ask it: `submeter status`, `submeter journal status`",
            ) from error
        clear(name)
        with suppress(OSError):
            write(name, f"pid {os.getpid()}\n")

    def same(self, directory: Path) -> bool:
        """Whether the name still leads to the folder that is locked."""
        try:
            now = directory.stat()
        except OSError:
            return False
        return self._handle is not None and os.path.samestat(os.fstat(self._handle), now)

    def release(self) -> None:
        """Let others in."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def write(path: Path, text: str) -> None:
    """Write a small file, never through a link, never into a FIFO. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
