"""One process per journal directory: also when the file in it is damaged, absent, or being moved aside."""

from __future__ import annotations

import fcntl
import os
import zlib
from contextlib import suppress
from pathlib import Path

from gateway.errors import JournalBusy, JournalError
from gateway.journal.paths import clear, read_regular

Mark = tuple[str, int, int]
"""An epoch, its first number, and its newest."""


def write_mark(mark: Mark) -> str:
    """The line of a mark, with its CRC-32."""
    text = f"newest {mark[0]} {mark[1]} {mark[2]}"
    return f"{text} {zlib.crc32(text.encode()):08x}\n"


def read_mark(path: Path) -> Mark | None:
    """The mark in a file; None when there is none, or one that is not sound."""
    try:
        line = read_regular(path, 200).decode("ascii").splitlines()[1]
        _, epoch, first, last, _ = line.split(" ")
        mark = (epoch, int(first), int(last))
    except (OSError, ValueError, LookupError):
        return None
    return mark if write_mark(mark) == line + "\n" and 0 < mark[1] <= mark[2] < 1 << 53 else None


class FolderLock:
    """An flock on the directory; the kernel lets go of it when the process ends, however it ends.
    `journal.lock` says who has it.

    Raises JournalBusy, and JournalError for a directory that may not be read.
    """

    def __init__(self, directory: Path) -> None:
        name = directory / "journal.lock"
        try:
            # The directory itself: it can be locked on a full and on a read-only disk, too.
            self._handle: int | None = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise JournalError(
                f"{directory} cannot be opened: {error.strerror}",
                hint="use sudo, or mend the rights of the folder",
            ) from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise busy(directory) from error
        clear(name)
        self._name = name
        self.mark = read_mark(name)
        """The newest batch that the folder is known to have had; None when nothing is known."""
        self.note(self.mark)

    def note(self, mark: Mark | None) -> None:
        """Write down who has the journal, and its newest batch. As far as that can be done: nothing
        depends on it but a warning.
        """
        self.mark = mark or self.mark
        with suppress(OSError):
            write(self._name, f"pid {os.getpid()}\n" + (write_mark(self.mark) if self.mark else ""))

    def same(self, directory: Path) -> bool:
        """Whether the name still leads to the folder that is locked."""
        try:
            now = directory.stat()
        except OSError:
            return False
        return self._handle is not None and os.path.samestat(os.fstat(self._handle), now)

    def release(self) -> None:
        """Let another process have the journal."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def busy(directory: Path) -> JournalBusy:
    """What to tell when another process has the journal."""
    holder = ""
    with suppress(OSError):
        holder = (
            read_regular(directory / "journal.lock", 20)
            .decode("ascii", errors="replace")
            .partition("\n")[0]
            .strip()
        )
    return JournalBusy(
        f"the journal in {directory} is held by another process{f' ({holder})' if holder else ''}",
        hint="stop that gateway first, or ask it: `submeter status`, `submeter journal status`",
    )


def is_locked(directory: Path) -> bool:
    """Whether another process has the journal. Nothing is written, and the folder is not kept. Raises
    OSError.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def write(path: Path, text: str) -> None:
    """Write a small file, never through a link, never into a FIFO. Raises OSError."""
    # Not truncated first: ext4 would write it through at once.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.truncate()
