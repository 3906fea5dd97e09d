"""Takes drafts whatever happens to the disk: commits them, makes room or opens the file anew when that fails,
and keeps them in memory when nothing helps. Everything here runs in the journal thread.
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

from gateway.common.troubles import Troubles
from gateway.errors import JournalBusy, JournalDamaged, JournalError, JournalTooNew
from gateway.journal.current import CurrentFile, Doubt
from gateway.journal.damage import primary, refusal
from gateway.journal.disk import Disk
from gateway.journal.file.batches import Groups, JournalFile
from gateway.journal.file.schema import Synchronous
from gateway.journal.file.thinning import PART, MayDelete
from gateway.journal.housekeeping import Housekeeping
from gateway.journal.paths import blocked
from gateway.journal.pending import Pending, PendingDraft, answer, unpacked
from gateway.journal.stats import DAY_MS, CommitState, Growth, JournalStats, file_stats, room_days
from gateway.model import ClockLike, Event, Sealed

log = logging.getLogger(__name__)
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
    """Raises JournalBusy when it is made; everything else it deals with itself.

    `stats` is the one thing that other threads read: replaced as a whole, and before anybody is told of what
    it says. `late(draft, batches)` is called for a draft that is committed and for which nobody waits any
    more.
    """

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
        self.pending = Pending()
        self.disk = Disk(directory, budget)
        self.current = CurrentFile(
            directory, clock=clock, uplinks=uplinks, synchronous=synchronous, opened=self._file_opened
        )
        self.housekeeping = Housekeeping(self.current, self.disk)
        self.used = 0
        """Bytes of the file that hold something, at the last commit."""
        self._gateway = gateway
        self._late = late
        self._growth = Growth()
        self._troubles = Troubles(log)
        self._state: CommitState = "ok"
        self._error = ""
        self._gave_up_at = 0
        """UTC in ms at which batches last made room undelivered, as far as that was looked at."""
        self._retry_at = 0.0
        self._closed = False
        self.stats = self._as_of_now(None)
        try:
            self._attach()
        except JournalBusy:
            self.current.leave()
            raise
        except Exception as error:  # noqa: BLE001 - said there; meters are polled whatever the data look like
            self._refuse(error)
        self.publish()

    def _file_opened(self, file: JournalFile) -> None:
        self.used = file.store.used
        self.disk.measure(file.store.size)
        self._growth.seed(file.uptimes(file.boot), file.tally.stored[0], self.used)
        self.housekeeping.opened(file)

    def _attach(self) -> JournalFile:
        file = self.current.attach()
        if made := self.current.resolve():
            self._finish(made.drafts, made.batches)
        return file

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
            drafts: list[PendingDraft] = []
            try:
                file = self._attach()
                drafts = self.pending.head(together)
                if drafts:  # opening may have found that the last attempt was written after all
                    self._finish(drafts, self._write(file, drafts))
                tries = 0
            except JournalDamaged as error:
                tries += 1
                if tries > TRIES or not self._replace(error):
                    return
            except (JournalError, sqlite3.Error, OSError) as error:
                tries += 1
                if tries > TRIES or not self._mend(error, drafts, first=tries == 1):
                    self._refuse(error)
                    return
            except Exception as error:
                if not drafts:  # it was not about a draft
                    raise
                if len(drafts) > 1:
                    together = 1  # alone, each shows whether it is the one
                    continue
                log.exception("a batch cannot be encoded and is let go: it must not hold up the others")
                self.pending.lose(drafts[0])
                self._answer(drafts, error=error)

    def _finish(self, drafts: list[PendingDraft], groups: Groups) -> None:
        self._troubles.end("disk", "the journal takes readings again", level=logging.WARNING)
        self._state, self._error = "ok", ""
        self.pending.committed(drafts)
        self.publish()
        for draft, sealed in zip(drafts, groups, strict=True):
            if not answer(draft, sealed=sealed):
                self._late(draft, sealed)

    def _answer(self, drafts: list[PendingDraft], error: Exception) -> None:
        self.publish()
        for draft in drafts:
            answer(draft, error=error)

    def _write(self, file: JournalFile, waiting: list[PendingDraft]) -> Groups:
        current, clock = self.current, self.current.clock
        drafts = [unpacked(draft) for draft in waiting]
        carry = next((draft.carry for draft in reversed(waiting) if draft.carry), None)
        (wall, now), untold = clock.moment(), self.pending.untold
        notices = tuple(current.notices)
        events = [event for event, _ in notices]
        events += [Event("not_taken", now, {"readings": untold})] if untold else []
        if events:
            drafts[0] = replace(drafts[0], events=[*drafts[0].events, *events])
        self.used = file.store.used
        groups = file.write(
            drafts,
            self._gateway,
            wall - now,
            synced=clock.synced,
            carry=carry,
            now=now,
            may=self._may_delete(file),
            lot=self._lot(),
            let_go=untold,
        )
        self._say_what_was_given_up(file)
        current.told(notices)
        self.pending.untold -= untold
        # Of the time that they were read at: what has waited in memory comes all at once.
        read_at = max((sealed.uptime for group in groups for sealed in group), default=now)
        self._growth.add(file.last, read_at, file.tally.stored[0], self.used)
        return groups

    # ── room ──

    def _may_delete(self, file: JournalFile) -> MayDelete:
        if self.used > self.disk.budget:
            return MayDelete.UNDELIVERED
        # On a full disk the file must not grow: delivered rows make way before it has to.
        full = self.disk.tight and file.store.free // file.store.page < SPARE
        return MayDelete.DELIVERED if full else MayDelete.NOTHING

    def _lot(self) -> int:
        """Bytes that go at a time when room must be made."""
        budget = self.disk.budget
        return max(budget // PART, self.used - budget)

    def _mend(self, error: Exception, drafts: list[PendingDraft], *, first: bool) -> bool:
        """Make another attempt worth while; False when there is nothing to be done."""
        current = self.current
        file = current.file
        if file is None or not isinstance(error, sqlite3.OperationalError):
            return False
        if primary(error) != sqlite3.SQLITE_FULL:
            current.let_go(Doubt(drafts, file.attempt, file.opening) if file.attempt else None)
            return first
        may = MayDelete.UNDELIVERED if self.pending.pressed else MayDelete.DELIVERED
        if not file.can_make_room(may):
            return False
        self.disk.tight = True
        # The ballast is for this alone: deleting and moving the WAL need room before they give any.
        self.disk.drop()
        deleted = 0
        try:
            file.store.checkpoint()
            deleted = file.make_room(may, self._lot(), current.clock.wall())
            self._say_what_was_given_up(file)
            file.store.checkpoint()
        except sqlite3.OperationalError as refused:
            log.warning("no room could be made in %s: %s", current.path, refused)
        self.disk.reload()
        return deleted > 0

    def _say_what_was_given_up(self, file: JournalFile) -> None:
        """One line when batches make room undelivered: the first time, and the first time after a day."""
        thinned = file.resume.thinned
        if thinned is None or thinned.at == self._gave_up_at:
            return
        anew, self._gave_up_at = thinned.at - self._gave_up_at > DAY_MS, thinned.at
        if anew:
            log.warning(
                "%s has met its budget of %d bytes: the oldest batches make room undelivered, %d (%d "
                "readings) so far; the first readings of quarter hours and all events stay → mend the "
                "uplinks, or raise journal: budget",
                self.current.path,
                self.disk.budget,
                *file.thinned,
            )

    # ── when nothing can be committed ──

    def _replace(self, error: JournalDamaged) -> bool:
        """Damage was found while the file was open: a new one takes over; False when that is refused."""
        try:
            self.current.replace(error.message)
        except Exception as refused:  # noqa: BLE001 - said there; whoever waits must be told
            self._refuse(refused)
            return False
        return True

    def _refuse(self, error: Exception) -> None:
        """Nothing can be committed at the moment: say so once, and keep what waits."""
        newer = isinstance(error, JournalTooNew)
        state: CommitState = (
            "full" if primary(error) == sqlite3.SQLITE_FULL else "newer" if newer else "failing"
        )
        told = refusal(error, self.current.path)
        unforeseen = None if isinstance(error, (JournalError, sqlite3.Error, OSError)) else error
        what = f"the journal takes no readings: {told}"
        self._troubles.begin("disk", what, kind=state, level=logging.ERROR, cause=unforeseen)
        self._state, self._error = state, str(told)
        self._retry_at = time.monotonic() + (REFLECT if newer else RETRY)
        self._answer(self.pending.pack_all(), error=told)

    # ── asking, changing ──

    def ask(self, question: Callable[[JournalFile], T]) -> T:
        """An answer from the open file; damage that shows is dealt with, and the question asked again.

        Raises JournalError when there is no answer: nothing found and nothing known are not the same.
        """
        current = self.current
        for _ in range(2):
            if current.file is None:
                break
            try:
                return question(current.file)
            except JournalDamaged as error:
                self._replace(error)
            except sqlite3.Error as error:
                raise JournalError(
                    f"{current.path} cannot be read: {error}",
                    hint="check the card or disk; it is asked again soon",
                ) from error
        raise JournalError(
            f"{current.path} is not open: {self._error or 'it is being opened anew'}",
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
        current, disk = self.current, self.disk
        self._gateway = gateway or self._gateway
        current.clock = clock or current.clock
        if budget is not None:
            disk.limit = budget
        if uplinks is not None:
            current.uplinks = uplinks
        if current.file:
            current.file.settled.activate(current.uplinks)
            with suppress(JournalError):  # a file that is opened later is counted then
                self.ask(lambda file: disk.measure(file.store.size))
                self.ask(JournalFile.count)

    # ── between commits ──

    def idle(self) -> float:
        """One slice of housekeeping; seconds until the next."""
        if self._closed:
            return RETRY
        if (len(self.pending) or self.current.file is None) and time.monotonic() >= self._retry_at:
            self._try_again()
        try:
            return self.housekeeping.slice()
        except JournalDamaged as error:
            self._replace(error)
        except (sqlite3.Error, OSError) as error:
            self.housekeeping.rest(error)
        except Exception:
            log.exception("housekeeping of the journal failed")
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
            self._state, self._error = "ok", ""

    def close(self) -> None:
        """A last attempt to commit what waits; then the file is closed."""
        with suppress(JournalError, sqlite3.Error, OSError):
            self.current.check_names()
        if len(self.pending):
            self.flush()
        self.housekeeping.finish()
        self.housekeeping.close()
        self.current.close()
        self._closed = True

    # ── what others may know ──

    def publish(self) -> None:
        """Bring `stats` up to date."""
        self.stats = self._as_of_now(self.stats)

    def _as_of_now(self, before: JournalStats | None) -> JournalStats:
        current, growth, disk, pending = self.current, self._growth, self.disk, self.pending
        known = file_stats(current.file, current.resume)
        if current.file is None and before is not None:
            # A file that is closed for a moment is not an empty one.
            known |= {name: getattr(before, name) for name in ("backlog", "epochs", "known_uplinks")}
        if self._state == "ok":
            days = room_days(growth, disk.budget, self.used, known["batches"], known.get("backlog", {}))
        else:
            # A file that is full has no room, and for one that cannot be written nobody knows.
            days = 0.0 if self._state == "full" else None
        barred = self._state == "failing" and blocked(current.path) is not None
        return JournalStats(
            **known,
            bytes=self.housekeeping.bytes or self.used,
            budget=disk.budget,
            room_days=days,
            room_basis=growth.basis,
            waiting=pending.late,
            dropped=pending.dropped,
            state=self._state,
            unopened=current.file is None and self._state in {"failing", "newer"} and not known.get("epochs"),
            error=self._error,
            cause="permission" if barred else "",
            damaged=tuple(case.progress() for case in current.cases.all),
            walked=self.housekeeping.walked,
        )
