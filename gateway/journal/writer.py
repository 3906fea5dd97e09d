"""The journal's heart: takes drafts whatever happens to the disk, and looks after the file between commits.

Everything here runs in the journal thread, except what is said to be read from others.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gateway.errors import JournalBusy, JournalDamaged, JournalError, JournalTooNew
from gateway.journal.clocklike import ClockLike
from gateway.journal.current import CurrentFile
from gateway.journal.disk import Disk
from gateway.journal.file.batches import Groups, JournalFile
from gateway.journal.file.resume import ResumePoint
from gateway.journal.file.schema import Synchronous, full, primary
from gateway.journal.file.thinning import PART, Room
from gateway.journal.housekeeping import Housekeeping
from gateway.journal.loss import Loss
from gateway.journal.pace import Growth
from gateway.journal.paths import aside, beside
from gateway.journal.pending import Pending, PendingDraft, settle
from gateway.journal.stats import Backlog, State
from gateway.model import Event, Sealed

logger = logging.getLogger(__name__)
T = TypeVar("T")

TRIES = 6
"""Attempts to commit the same drafts before they have to wait."""

SPARE = 64
"""Free pages within the file that are kept while the disk is full."""

TOGETHER = 32
"""Drafts that one transaction commits at most."""

RETRY = 2.0
"""Seconds between attempts to commit what waits, when no new draft brings one."""

REFLECT = 30.0
"""Seconds between looks at a file that only a person can change."""


class Writer:
    """Raises JournalBusy when it is made; everything else it deals with itself."""

    def __init__(
        self,
        directory: Path,
        *,
        gateway: str,
        clock: ClockLike,
        budget: int,
        uplinks: tuple[str, ...],
        synchronous: Synchronous,
        late: Callable[[PendingDraft, list[Sealed]], None],
    ) -> None:
        self._current = CurrentFile(directory, synchronous)
        self.path = self._current.path
        self.gateway = gateway
        self.clock = clock
        self.uplinks = uplinks
        self._late = late
        self.disk = Disk(directory, budget)
        self.pending = Pending()
        self.state: State = "ok"
        self.error = ""
        self.file: JournalFile | None = None
        self.pace = Growth()
        self.used = 0
        """Bytes of the file that hold something, at the last commit."""
        self.notices: list[Event] = []
        """Events of the journal's own that go with the next batch."""
        self._backlogs: dict[str, Backlog] = {}
        """As they were when the file was let go: a file that is closed for a moment is not an empty one."""
        self._loss = Loss()
        self._doubt: tuple[list[PendingDraft], Groups, str | None] | None = None
        self._retry_at = 0.0
        self._closed = False
        self.cases = self._current.cases
        self.housekeeping = Housekeeping(self)
        try:
            self._attach()
        except JournalBusy:
            self._current.leave()
            raise
        except Exception as error:  # noqa: BLE001 - said there; meters are polled whatever the data look like
            self._refuse(error)

    # ── opening, replacing ──

    def _attach(self) -> JournalFile:
        """The open file; opens it, or a new one in the place of a damaged one. Raises for what the file
        system refuses.
        """
        if self._closed:
            raise JournalError("the journal is closed", hint="readings are taken again after a start")
        if self.file is None:
            self._current.enter()
            self.housekeeping.begin(self._current.part)
            try:
                self._open()
            except JournalDamaged as error:
                self._move_aside(error.message)
                self._open()
        assert self.file is not None
        self._resolve(self.file)
        return self.file

    def _open(self) -> None:
        self.file = self._current.open(self.clock, self.uplinks)
        self.used = self.file.store.used
        self.disk.look(self.file.store.size)
        self.pace.seed(self.file.uptimes(self.clock.boot), self.file.tally.held[0], self.used)
        self.housekeeping.opened(self.file)

    def _move_aside(self, reason: str) -> None:
        file, self.file = self.file, None
        self._current.move_aside(reason, file, self.clock)

    def replace(self, error: JournalDamaged) -> bool:
        """Damage was found while the file was open: a new file takes over; False when even that is
        refused.
        """
        try:
            self._move_aside(error.message)
            self._open()
        except Exception as refused:  # noqa: BLE001 - said there; whoever waits must be told
            self._refuse(refused)
            return False
        return True

    def look(self) -> None:
        """Whether a start would find what is open. Raises sqlite3.Error, OSError, JournalError."""
        file = self.file
        if file is None:
            return
        if what := self._current.lost():
            logger.error(
                "%s; what was taken is written into a new file, or it would be lost at the next start", what
            )
            self._part(file, what)
        elif self._current.lost_wal():
            logger.error(
                "%s-wal was removed or replaced while it was open; what is in it goes into the file at once",
                self.path,
            )
            file.store.checkpoint("TRUNCATE")
            with suppress(OSError):
                aside(beside(self.path, "-wal"))
            self._let_go(file)
            self._attach()

    def note(self) -> None:
        """Write down which batch is the newest."""
        if self.file:
            self._current.note(self.file)

    def _part(self, file: JournalFile, what: str) -> None:
        self._backlogs = dict(file.tally.backlogs)
        self._current.remember(file)
        self.file = None
        self.housekeeping.parted(file, what)
        self._attach()

    def _resolve(self, file: JournalFile) -> None:
        """After a failed sync the batches may be in the file all the same: make durable what is there, and
        see.
        """
        if self._doubt is None:
            return
        entries, groups, opening = self._doubt
        file.store.checkpoint("TRUNCATE")
        if file.holds([sealed for group in groups for sealed in group]):
            self._finish(entries, groups)
        elif opening and not file.opening:
            file.begin_epoch(opening)
        self._doubt = None

    # ── taking ──

    def flush(self) -> None:
        """Commit everything that waits, oldest first. Never raises: whoever waits is told."""
        try:
            self._flush()
        except Exception as error:  # noqa: BLE001 - said there
            self._refuse(error)

    def _flush(self) -> None:
        together, tries = TOGETHER, 0
        while len(self.pending):
            chunk: list[PendingDraft] = []
            try:
                file = self._attach()
                chunk = self.pending.head(together)
                if chunk:  # opening may have found that the last attempt was written after all
                    self._finish(chunk, self._write(file, chunk))
                tries = 0
            except JournalDamaged as error:
                tries += 1
                if tries > TRIES or not self.replace(error):
                    return
            except (JournalError, sqlite3.Error, OSError) as error:
                tries += 1
                if tries > TRIES or not self._mend(error, chunk, first=tries == 1):
                    self._refuse(error)
                    return
            except Exception as error:
                if not chunk:  # it was not about a draft
                    raise
                if len(chunk) > 1:
                    together = 1  # alone, each shows whether it is the one
                    continue
                logger.exception("a batch cannot be encoded and is let go: it must not hold up the others")
                self.pending.lose(chunk[0])
                settle(chunk[0], error=error)

    def _finish(self, entries: list[PendingDraft], groups: Groups) -> None:
        if self.state != "ok":
            logger.warning("the journal takes readings again")
            self.state, self.error = "ok", ""
        self.pending.done(entries)
        for entry, sealed in zip(entries, groups, strict=True):
            if not settle(entry, sealed=sealed):
                self._late(entry, sealed)

    def _write(self, file: JournalFile, chunk: list[PendingDraft]) -> Groups:
        drafts = [entry.open() for entry in chunk]
        carry = next((entry.carry for entry in reversed(chunk) if entry.carry), None)
        now = self.clock.uptime()
        untold = self.pending.untold
        notices = [*self.notices, *([Event("not_taken", now, {"readings": untold})] if untold else [])]
        if notices:
            drafts[0] = replace(drafts[0], events=[*drafts[0].events, *notices])
        self.used, spare = file.store.used, file.store.free // file.store.page
        # On a full disk the file must not grow: delivered rows make way before it has to.
        room = (
            Room.THIN
            if self.used > self.disk.budget
            else Room.DELIVERED
            if self.disk.tight and spare < SPARE
            else Room.ENOUGH
        )
        groups = file.write(
            drafts,
            self.gateway,
            self.clock.wall() - now,
            synced=self.clock.synced,
            carry=carry,
            now=now,
            room=room,
            lot=self._lot(),
        )
        self._loss.look(self.path, self.disk.budget, file)
        self.notices = [event for event in self.notices if event not in notices]
        self.pending.untold -= untold
        self.pace.add(file.last, now, file.tally.held[0], self.used)
        return groups

    def _mend(self, error: Exception, chunk: list[PendingDraft], *, first: bool) -> bool:
        """Make another attempt worth while; False when there is nothing to be done."""
        file = self.file
        if file is None or not isinstance(error, sqlite3.OperationalError):
            return False
        if primary(error) != sqlite3.SQLITE_FULL:
            self._doubt = (chunk, file.attempt, file.opening) if file.attempt else self._doubt
            self._let_go(file)
            return first
        room = Room.THIN if self.pending.pressed else Room.DELIVERED
        if not file.can_make_room(room):
            return False
        self.disk.tight = True
        # The ballast is for this alone: deleting and moving the WAL need room before they give any.
        self.disk.drop()
        deleted = 0
        try:
            file.store.checkpoint()
            deleted = file.make_room(room, self._lot(), self.clock.wall())
            self._loss.look(self.path, self.disk.budget, file)
            file.store.checkpoint()
        except sqlite3.OperationalError as refused:
            logger.warning("no room could be made in %s: %s", self.path, refused)
        self.disk.reload()
        return deleted > 0

    def _lot(self) -> int:
        """Bytes that go at a time when room must be made."""
        return max(self.disk.budget // PART, self.used - self.disk.budget)

    def _let_go(self, file: JournalFile) -> None:
        # After a failed write or sync nothing that is in memory can be trusted: the file is opened anew.
        self._current.remember(file)
        self._backlogs = dict(file.tally.backlogs)
        self.file = None
        with suppress(sqlite3.Error):
            file.store.close()

    # ── state ──

    def _refuse(self, error: Exception) -> None:
        """Nothing can be committed at the moment: say so once, and keep what waits."""
        newer = isinstance(error, JournalTooNew)
        state: State = "full" if primary(error) == sqlite3.SQLITE_FULL else "newer" if newer else "failing"
        told = full(error, self.path)
        if state != self.state:
            unforeseen = None if isinstance(error, (JournalError, sqlite3.Error, OSError)) else error
            logger.error("the journal takes no readings: %s", told, exc_info=unforeseen)
        self.state, self.error = state, str(told)
        self.pending.refuse(told)
        self._retry_at = time.monotonic() + (REFLECT if newer else RETRY)

    # ── asking ──

    def ask(self, question: Callable[[JournalFile], T]) -> T:
        """An answer from the open file; damage that shows is dealt with, and the question asked again.

        Raises JournalError when there is no answer: nothing found and nothing known are not the same.
        """
        for _ in range(2):
            if self.file is None:
                break
            try:
                return question(self.file)
            except JournalDamaged as error:
                self.replace(error)
            except sqlite3.Error as error:
                raise JournalError(
                    f"{self.path} cannot be read: {error}",
                    hint="check the card or disk; it is asked again soon",
                ) from error
        raise JournalError(
            f"{self.path} is not open: {self.error or 'it is being opened anew'}",
            hint="it is asked again soon",
        )

    def new_epoch(self, reason: str) -> None:
        """Draw a new epoch for the batches from here on. Raises JournalError when no file is open."""
        self.ask(lambda file: file.begin_epoch(reason))

    def configure(
        self,
        gateway: str | None,
        budget: int | None,
        uplinks: tuple[str, ...] | None,
        clock: ClockLike | None,
    ) -> None:
        """Take over what a reload changed."""
        self.gateway = gateway or self.gateway
        self.clock = clock or self.clock
        if budget is not None:
            self.disk.limit = budget
        if uplinks is not None:
            self.uplinks = uplinks
        if self.file:
            self.file.settled.activate(self.uplinks)
            with suppress(JournalError):  # a file that is opened later is counted then
                self.ask(lambda file: self.disk.look(file.store.size))
                self.ask(JournalFile.count)

    # ── between commits ──

    def idle(self) -> float:
        """One slice of upkeep; seconds until the next."""
        if self._closed:
            return RETRY
        if (len(self.pending) or self.file is None) and time.monotonic() >= self._retry_at:
            self._try_again()
        try:
            return self.housekeeping.slice()
        except JournalDamaged as error:
            self.replace(error)
        except (sqlite3.Error, OSError) as error:
            self.housekeeping.rest(error)
        except Exception:
            logger.exception("upkeep of the journal failed")
            self.housekeeping.rest(None)
        return RETRY

    def _try_again(self) -> None:
        try:
            self._attach()
        except Exception as error:  # noqa: BLE001 - said there, and tried again
            self._refuse(error)
            return
        self.flush()
        if not len(self.pending):
            self.state, self.error = "ok", ""

    def close(self) -> None:
        """A last attempt to commit what waits; then the file is closed."""
        with suppress(JournalError, sqlite3.Error, OSError):
            self.look()
        if len(self.pending):
            self.flush()
        self.housekeeping.finish()
        self.note()
        self.housekeeping.close()
        file, self.file = self.file, None
        if file:
            self._current.remember(file)
            with suppress(sqlite3.Error):
                file.store.close()
        self._closed = True
        self._current.leave()

    # ── looking: from any thread ──

    @property
    def resume(self) -> ResumePoint:
        """The end of the journal."""
        file = self.file
        return (file.resume if file else self._current.resume) or ResumePoint()

    @property
    def epoch(self) -> str:
        """The epoch of the next batch."""
        file = self.file
        return file.epoch if file else self.resume.epoch

    def epochs(self) -> list[tuple[str, int, int]]:
        """(epoch, first, last), oldest first."""
        file = self.file
        return file.epochs() if file else []

    def backlog(self, uplink: str) -> Backlog:
        """What an uplink has not settled; while no file is open, what it was."""
        file = self.file
        return (file.tally.backlogs if file else self._backlogs).get(uplink, Backlog())
