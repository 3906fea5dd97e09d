"""Opens the journal's file, moves a damaged one aside, and knows whether the names still lead to what is
open.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

from gateway.errors import JournalError, JournalTooNew
from gateway.journal.clocklike import ClockLike
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.resume import ResumePoint
from gateway.journal.file.schema import Synchronous
from gateway.journal.lock import FolderLock
from gateway.journal.paths import beside, clear, real
from gateway.journal.recovery.cases import DamagedCases
from gateway.journal.recovery.examine import examine
from gateway.journal.recovery.scan import glance

logger = logging.getLogger(__name__)

Identity = tuple[int, int]
"""Device and inode."""


class CurrentFile:
    """The folder and what is in it. `memory` is the end of the journal when no file is open: it outlives
    them.
    """

    def __init__(self, directory: Path, synchronous: Synchronous) -> None:
        self.directory = directory
        self.path = directory / "journal.db"
        self.cases = DamagedCases(directory)
        self.resume: ResumePoint | None = None
        self._synchronous = synchronous
        self._lock: FolderLock | None = None
        self._file: Identity | None = None
        self._wal: Identity | None = None

    def enter(self) -> None:
        """Have the folder, alone. Raises JournalBusy, and JournalError for a folder that cannot be made or
        read.
        """
        if self._lock is not None and self._lock.same(self.directory):
            return
        self.leave()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(
                f"{self.directory} cannot be made: {error.strerror}",
                hint="write another journal: directory: or create it with the rights of the service; "
                "readings wait in memory until then",
            ) from error
        self._lock = FolderLock(self.directory)
        self.cases.read()

    def leave(self) -> None:
        """Let others in."""
        if self._lock:
            self._lock.release()
            self._lock = None

    def open(self, clock: ClockLike, uplinks: tuple[str, ...]) -> JournalFile:
        """The open file, or a new one. Raises JournalDamaged, JournalTooNew, sqlite3.OperationalError."""
        clear(beside(self.path, "-shm"))
        clear(beside(self.path, "-journal"))
        try:
            examine(self.path)
        except JournalTooNew:
            # What it carries still holds: registers go on where they were.
            self.resume = self.resume or glance(self.path)
            raise
        mark = self._lock.mark if self._lock else None
        file = JournalFile(
            self.path, clock.boot, uplinks, before=self.resume, mark=mark, synchronous=self._synchronous
        )
        if file.missing:
            logger.error(
                "%s %s: batches %d to %d of epoch %s had been taken and are not in it; what of them was "
                "not delivered is lost, and told",
                self.path,
                "is older than the journal that was here" if file.epochs() else "was gone",
                *file.missing[1:],
                file.missing[0],
            )
        self.resume = file.resume
        self.note(file)
        self._file, self._wal = identity(self.path), identity(beside(self.path, "-wal"))
        return file

    def note(self, file: JournalFile) -> None:
        """Write the newest number down beside the file: one that is put back later, or is gone, is known
        by it.
        """
        if self._lock and (spans := file.epochs()) and spans[-1][2] == file.last:
            self._lock.note(spans[-1])

    def remember(self, file: JournalFile) -> None:
        """A file is let go: what is known of it stays."""
        self.resume = file.resume
        self.resume.settled = file.settled.to_json()

    def move_aside(self, reason: str, file: JournalFile | None, clock: ClockLike) -> None:
        """Move the damaged file aside, and close it. Raises OSError, and JournalError when that happens
        too often.
        """
        if self.cases.storm(clock.boot, clock.uptime()):
            raise JournalError(
                f"{self.path} was damaged again ({reason}), the third time within ten minutes",
                hint="the storage is failing: replace the card or disk; until then readings wait in memory",
            )
        if file:
            self.remember(file)
        self.resume = self.resume or glance(self.path)
        mark = self._lock.mark if self._lock else None
        spans = []
        if mark and mark[2] > self.resume.seq:
            # Nothing that is left says so, but these numbers had been given out.
            spans = [] if self.resume.seq else [mark]
            self.resume.epoch, self.resume.seq = mark[0], mark[2]
        try:
            # Moved first, closed then: closing would otherwise tidy the WAL of the evidence away.
            self.cases.move_aside(
                self.path, reason, self.resume, spans, boot=clock.boot, uptime=clock.uptime()
            )
        finally:
            if file:
                with suppress(sqlite3.Error):
                    file.store.close()

    # ── whether what is open can be found by its name after a restart ──

    def lost(self) -> str:
        """In words, why the open file would not be found again; empty when it would."""
        if self._lock is not None and not self._lock.same(self.directory):
            return f"{self.directory} is no longer the folder that was opened"
        if self._file is not None and identity(self.path) != self._file:
            what = "was removed or renamed" if not self.path.exists() else "was replaced by another file"
            return f"{self.path} {what} while it was open"
        return ""

    def lost_wal(self) -> bool:
        """Whether the open WAL would not be found again."""
        now = identity(beside(self.path, "-wal"))
        self._wal = self._wal or now
        return now != self._wal

    def part(self, folder: Path) -> None:
        """The open file has lost its name: what else of it still has one goes into `folder`, or the next
        file would take it for its own.
        """
        wal = beside(self.path, "-wal")
        if self._wal is not None and identity(wal) == self._wal:
            wal.rename(folder / "journal.db-wal")


def identity(path: Path) -> Identity | None:
    """Which file a name leads to; None when it leads to none."""
    try:
        found = real(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
