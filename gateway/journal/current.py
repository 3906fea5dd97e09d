"""The file that batches go into: opened, replaced when it is damaged, let go when the disk refuses, and
written again when it has lost its name.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.errors import JournalDamaged, JournalError, JournalTooNew
from gateway.journal.file.batch_table import Seqs
from gateway.journal.file.batches import Groups, JournalFile
from gateway.journal.file.resume import ResumePoint
from gateway.journal.file.schema import Synchronous
from gateway.journal.lock import FolderLock
from gateway.journal.paths import aside, beside, clear, real
from gateway.journal.pending import PendingDraft
from gateway.journal.recovery.cases import Case, DamagedCases
from gateway.journal.recovery.examine import examine
from gateway.journal.recovery.scan import newest_in
from gateway.model import ClockLike, Event

log = logging.getLogger(__name__)

FileIdentity = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A commit that failed at its sync: its batches may be in the file all the same. `opening` is why it was
    to begin an epoch, None when it was not.
    """

    drafts: list[PendingDraft]
    batches: Groups
    opening: str | None


class CurrentFile:
    """The folder of the journal, which it has alone, and the open file in it; everything in the journal
    thread.

    `file` is None while none is open; `opened` is called with each one. What is known of the journal's end
    (`resume`) outlives the files. `notices` are events of the journal's own that go with the next batch, each
    with the case that it tells of.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: ClockLike,
        uplinks: tuple[str, ...],
        synchronous: Synchronous,
        opened: Callable[[JournalFile], None],
    ) -> None:
        self.directory = directory
        self.path = directory / "journal.db"
        self.clock = clock
        self.uplinks = uplinks
        self.cases = DamagedCases(directory)
        self.file: JournalFile | None = None
        self.notices: list[tuple[Event, Case]] = []
        self.unnamed: dict[Path, JournalFile] = {}
        """Files that lost their name and have a case, by its folder: they are read through the open handle.
        """
        self._nameless: list[tuple[JournalFile, str]] = []
        """Those that have no case yet."""
        self._synchronous = synchronous
        self._opened = opened
        self._resume: ResumePoint | None = None
        self._doubt: Doubt | None = None
        self._lock: FolderLock | None = None
        self._named: FileIdentity | None = None
        self._wal: FileIdentity | None = None
        self._closed = False

    @property
    def resume(self) -> ResumePoint:
        """The end of the journal."""
        return (self.file.resume if self.file else self._resume) or ResumePoint()

    # ── opening ──

    def attach(self) -> JournalFile:
        """The open file; opens it, or a new one in the place of a damaged one. Raises JournalBusy, and
        whatever the file system refuses.
        """
        if self._closed:
            raise JournalError("the journal is closed", hint="readings are taken again after a start")
        if self.file is None:
            self._enter()
            self._begin_cases()
            try:
                self._open()
            except JournalDamaged as error:
                self._move_aside(error.message)
                self._open()
        assert self.file is not None
        return self.file

    def _enter(self) -> None:
        """Have the folder, alone."""
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
        """Let others have the folder."""
        if self._lock:
            self._lock.release()
            self._lock = None

    def _open(self) -> None:
        clear(beside(self.path, "-shm"))
        clear(beside(self.path, "-journal"))
        try:
            examine(self.path)
        except JournalTooNew:
            # What it carries still holds: registers go on where they were.
            self._resume = self._resume or newest_in(self.path)
            raise
        file = JournalFile(
            self.path,
            self.clock.boot,
            self.uplinks,
            before=self._resume or self._of_damaged(),
            mark=self._lock.mark if self._lock else None,
            synchronous=self._synchronous,
        )
        if file.missing:
            log.error(
                "%s %s: batches %d to %d of epoch %s had been taken and are not in it; what of them was not "
                "delivered is lost, and told",
                self.path,
                "is older than the journal that was here" if file.epochs() else "was gone",
                *file.missing[1:],
                file.missing[0],
            )
            newest = file.store.edge(1, file.missing[1] - 1, "DESC")
            since, now = newest[3] if newest else 0, self.clock.wall() if self.clock.synced else 0
            file.lose(file.missing[2] - file.missing[1] + 1, since, now, now)
        self.file, self._resume = file, file.resume
        self.note()
        self._named, self._wal = identity(self.path), identity(beside(self.path, "-wal"))
        self._opened(file)

    def note(self) -> None:
        """Write the newest number down beside the file: one that is put back later, or is gone, is known by
        it.
        """
        file = self.file
        if file and self._lock and (spans := file.epochs()) and spans[-1][2] == file.last:
            self._lock.note(spans[-1])

    def told(self, notices: Sequence[tuple[Event, Case]]) -> None:
        """These were committed: the salvage that they tell of need not be done again."""
        self.notices = self.notices[len(notices) :]
        for _, case in notices:
            case.told = True
            with suppress(OSError):
                case.write()

    # ── letting go, replacing ──

    def let_go(self, doubt: Doubt | None = None) -> None:
        """Close the file: after a failed write or sync nothing that is in memory can be trusted, it is opened
        anew. `doubt` is the commit that failed; without one, an earlier doubt stays.
        """
        self._doubt = doubt or self._doubt
        _close(self._forget())

    def _forget(self) -> JournalFile | None:
        """No file is open any more; what is known of it stays. The file, which still has to be closed."""
        file, self.file = self.file, None
        if file:
            self._resume = file.resume
            self._resume.settled = file.settled.to_json()
        return file

    def replace(self, reason: str) -> None:
        """Damage was found while the file was open: a new file takes over. Raises OSError, JournalError,
        sqlite3.Error when even that is refused.
        """
        self._move_aside(reason)
        self._open()

    def _move_aside(self, reason: str) -> None:
        file = self._forget()
        clock = self.clock
        if self.cases.storm(clock.boot, clock.uptime()):
            _close(file)
            raise JournalError(
                f"{self.path} was damaged again ({reason}), the third time within ten minutes",
                hint="the storage is failing: replace the card or disk; until then readings wait in memory",
            )
        resume = self._resume = self._resume or newest_in(self.path)
        spans = self._up_to_mark(resume)
        try:
            # Moved first, closed then: closing would otherwise tidy the WAL of the evidence away.
            self.cases.move_aside(self.path, reason, resume, spans, boot=clock.boot, uptime=clock.uptime())
        finally:
            _close(file)

    def _up_to_mark(self, resume: ResumePoint) -> list[Seqs]:
        """Let what is known of a damaged file end where the note beside it says; the numbers that nothing
        else says had been given out.
        """
        mark = self._lock.mark if self._lock else None
        if mark is None or mark[2] <= resume.seq:
            return []
        spans = [] if resume.seq else [mark]
        resume.epoch, resume.seq = mark[0], mark[2]
        return spans

    def _of_damaged(self) -> ResumePoint | None:
        """After a start: the end of a damaged file whose salvage nothing tells of yet. The file that took
        over need not have a batch, and nothing is missing from it.
        """
        case = next((case for case in reversed(self.cases.all) if not case.told), None)
        if case is None:
            return None
        if not case.resume.seq:
            case.resume = newest_in(case.path)
            case.spans = self._up_to_mark(case.resume)
        # What is settled stands in the newest carry, or comes with its rows.
        return replace(case.resume, settled={})

    def resolve(self) -> Doubt | None:
        """After a failed sync the batches may be in the file all the same: make durable what is there, and
        see. The commit that was doubtful, when it was made after all. Raises JournalDamaged, sqlite3.Error.
        """
        doubt, file = self._doubt, self.file
        if doubt is None or file is None:
            return None
        file.store.checkpoint("TRUNCATE")
        made = file.contains([sealed for group in doubt.batches for sealed in group])
        if not made and doubt.opening and not file.opening:
            file.begin_epoch(doubt.opening)
        self._doubt = None
        return doubt if made else None

    def close(self) -> None:
        """The end: the file is closed, and others may have the folder."""
        self.note()
        self.let_go()
        self._closed = True
        self.leave()

    # ── whether what is open can be found by its name after a restart ──

    def check_names(self) -> None:
        """Whether a start would find what is open; when it would not, another file takes over. Raises
        sqlite3.Error, OSError, JournalError.
        """
        file = self.file
        if file is None:
            return
        if what := self._lost():
            log.error(
                "%s; what was taken is written into a new file, or it would be lost at the next start", what
            )
            self._forget()
            self._nameless.append((file, what))
            self.attach()
        elif self._lost_wal():
            log.error(
                "%s-wal was removed or replaced while it was open; what is in it goes into the file at once",
                self.path,
            )
            file.store.checkpoint("TRUNCATE")
            with suppress(OSError):
                aside(beside(self.path, "-wal"))
            self.let_go()
            self.attach()

    def _lost(self) -> str:
        """In words, why the open file would not be found again; empty when it would."""
        if self._lock is not None and not self._lock.same(self.directory):
            return f"{self.directory} is no longer the folder that was opened"
        if self._named is not None and identity(self.path) != self._named:
            what = "was removed or renamed" if not self.path.exists() else "was replaced by another file"
            return f"{self.path} {what} while it was open"
        return ""

    def _lost_wal(self) -> bool:
        """Whether the open WAL would not be found again."""
        now = identity(beside(self.path, "-wal"))
        self._wal = self._wal or now
        return now != self._wal

    def _begin_cases(self) -> None:
        """Before another file is opened: each that lost its name gets its case. What else of it still has a
        name goes into its folder, or the next file would take it for its own. Raises OSError.
        """
        while self._nameless:
            file, what = self._nameless[0]
            case = self.cases.begin(what, file.resume, boot=file.boot, uptime=self.clock.uptime())
            self.unnamed[case.folder] = file
            case.spans = file.epochs()
            del self._nameless[0]
            wal = beside(self.path, "-wal")
            if self._wal is not None and identity(wal) == self._wal:
                wal.rename(case.folder / "journal.db-wal")
            case.write()


def identity(path: Path) -> FileIdentity | None:
    """Which file a name leads to; None when it leads to none."""
    try:
        found = real(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close(file: JournalFile | None) -> None:
    if file:
        with suppress(sqlite3.Error):
            file.close()
