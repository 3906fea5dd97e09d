"""One open journal file with what is remembered about it: epochs, settled ranges, running counts. Lives in
the journal thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import JournalDamaged
from gateway.journal.damage import damaged, only_what_was_written
from gateway.journal.file import epochs, missing
from gateway.journal.file.batch_table import BatchTable, Seqs, Tally
from gateway.journal.file.epochs import EpochStart, ToTell, new_epoch
from gateway.journal.file.recovered import Recovered
from gateway.journal.file.resume import ResumePoint, Synced, Thinned, recall, write_carry
from gateway.journal.file.rows import BatchRow, CommitStamp, earliest, seal, tellers
from gateway.journal.file.schema import Synchronous
from gateway.journal.file.settled import Settled
from gateway.journal.file.store import JournalStore, TableName
from gateway.journal.file.thinning import OVERHEAD, Deleted, MayDelete, any_delivered, drop
from gateway.model import Draft, Ranges, Sealed

if TYPE_CHECKING:
    from sqlite_utils import Database

Groups = list[list[Sealed]]

NEWEST_PART = 8
"""One in so many batches, the newest ones, is given up only when nothing else is left: what has just been
taken reaches a platform that is there, whatever another one has left to wait.
"""


class JournalFile(BatchTable):
    """Opens a file and picks the epoch.

    `before` is what was known of the journal when it had to be reopened or replaced, `mark` the newest batch
    that stood here once, `db` the file when it is open already: for a look, which gives neither of the two,
    so that nothing is written.
    """

    name: TableName = "batch"

    def __init__(
        self,
        path: Path,
        boot: str,
        uplinks: Sequence[str],
        *,
        before: ResumePoint | None = None,
        mark: Seqs | None = None,
        synchronous: Synchronous = "FULL",
        db: Database | None = None,
    ) -> None:
        with only_what_was_written(path):
            super().__init__(JournalStore(path, synchronous, db=db))
        try:
            with only_what_was_written(path):
                self.store.check()
                missing.check(self.store)
                self._open(boot, uplinks, before, mark)
        except BaseException:
            self.store.close()
            raise

    def _open(self, boot: str, uplinks: Sequence[str], before: ResumePoint | None, mark: Seqs | None) -> None:
        self.boot = boot
        self.recovered = Recovered(self.store)
        self.settled = Settled(uplinks, missing.own(self.store))
        self._epochs = epochs.firsts(self.store)
        found = recall(self.store)
        self._check_epochs(found.seq if found else 0)
        self.resume = found or before or ResumePoint()
        self.opening: str | None = None
        self.attempt: Groups = []
        """What a commit that has not returned tries to write: after a failed sync it may be in the file all
        the same.
        """
        self.epoch = self.resume.epoch
        if found:
            self.settled.load(found.settled | (before.settled if before else {}))
        self.missing: Seqs | None = None
        """(epoch, first, last) that stood here once and does not any more: an older file, or none, is in
        its place.
        """
        if before is None and mark and mark[2] > (found.seq if found else 0):
            self.missing = (mark[0], max(mark[1], found.seq + 1 if found else 1), mark[2])
            before = replace(found or ResumePoint(), epoch=mark[0], seq=mark[2])
            with self.store.transaction():
                missing.note(
                    self.store,
                    (*self.missing, missing.DAMAGED),
                    0,
                    told=missing.UNTOLD if uplinks else missing.NOBODY,
                )
            self.settled.gone([self.missing[1:]])
        if before and (found is None or found.seq < before.seq):
            # Batches that were taken are not here: their numbers must never be used again under their epoch.
            self.resume = before
            self.begin_epoch("damage")
        elif found is None or not self._epochs:
            self.begin_epoch("new_file")
        elif found.boot != boot:
            self.begin_epoch("boot")
        self.tally = Tally(self.store, self.settled, self.last)
        self.recovered.recount(self.settled.active)
        self.thinned = missing.thinned(self.store)
        """(batches, readings) that had to make room undelivered."""
        self.only_kept_to = missing.thinned_to(self.store)

    def _check_epochs(self, last: int) -> None:
        """The table `epoch` has no checksums; the rows have: at both ends of a span they must agree with
        it. Raises JournalDamaged.
        """
        sql = "SELECT epoch FROM batch WHERE seq BETWEEN ? AND ? ORDER BY seq"
        sound = not self._epochs or not self.store.query(f"{sql} LIMIT 1", (1, self._epochs[0][1] - 1))
        for epoch, first, end in self._spans(last):
            ends = [self.store.query(f"{sql} {order} LIMIT 1", (first, end)) for order in ("ASC", "DESC")]
            sound = sound and all(row[0].hex() == epoch for rows in ends for row in rows)
        if not sound:
            raise damaged(self.store.path, "its epochs are not those of its rows")

    @property
    def last(self) -> int:
        """The newest seq; 0 when there never was one."""
        return self.resume.seq

    def begin_epoch(self, reason: str) -> None:
        """Draw a new epoch; it is written with its first batch."""
        self.epoch, self.opening = new_epoch(), reason

    def _spans(self, newest: int) -> list[Seqs]:
        ends = [min(first - 1, newest) for _, first in self._epochs[1:]] + [newest]
        return [
            (epoch, first, last)
            for (epoch, first), last in zip(self._epochs, ends, strict=False)
            if last >= first
        ]

    # ── its batches ──

    @property
    def deletable(self) -> int:
        """The newest batch stays whatever happens: it is the high-water mark of the numbers."""
        return self.last - 1

    @property
    def thinnable(self) -> int:
        """All but the newest batches."""
        return self.last - max(1, self.tally.stored[0] // NEWEST_PART)

    def spans(self) -> list[Seqs]:
        """Each epoch of which batches are left, with its lowest and highest number; oldest first."""
        oldest = self.tally.oldest[0] if self.tally.oldest else self.last + 1
        return [span for span in self._spans(self.last) if span[2] >= oldest]

    def numbers(self, epoch: str) -> Ranges:
        """The numbers that were given out under an epoch, also when they are gone."""
        return Ranges((first, last) for name, first, last in self._spans(self.last) if name == epoch)

    def forget(self, epoch: str, first: int, last: int) -> None:
        """Nothing: what is counted and settled follows the transaction."""

    def settled_by(self, uplink: str, epoch: str) -> Ranges:  # noqa: ARG002 - numbers go on across epochs
        """Which numbers need not be sent to an uplink any more, whatever the epoch."""
        return self.settled.of(uplink)

    def uptimes(self, boot: str) -> list[int]:
        """When the newest hundred batches of a boot were committed (CLOCK_BOOTTIME, ms), newest first."""
        return [row.sealed.uptime for row in self.store.newest(100) if row.sealed.boot == boot]

    def epochs(self) -> list[Seqs]:
        """(epoch, first seq, last seq), oldest first: recovered ones, then those of this file that have a
        batch.
        """
        return self.recovered.spans() + self._spans(self.last)

    def close(self) -> None:
        """Close it; SQLite moves the WAL into the file if it can. Raises sqlite3.Error."""
        self.store.close()

    # ── taking ──

    def write(
        self,
        drafts: Iterable[Draft],
        gateway: str,
        offset: int,
        *,
        synced: bool,
        carry: dict[str, Any] | None,
        now: int,
        may: MayDelete = MayDelete.NOTHING,
        lot: int = 0,
        let_go: int = 0,
    ) -> Groups:
        """Commit drafts in one transaction; the batches of each. `offset` is wall minus uptime, `now` the
        uptime, in ms.

        `may` says what may be deleted for it, `lot` how many bytes at a time; never less than what comes in.
        `let_go` readings are told with it as lost for good.

        When this returns they are taken. When it raises (JournalDamaged, sqlite3.OperationalError) nothing
        has changed.
        """
        self.attempt = []
        stamp = CommitStamp(gateway, self.epoch, self.boot, offset, "synced" if synced else "unsynced")
        tell = ToTell()
        groups: list[list[BatchRow]] = []
        seq, total = self.last, self.resume.total
        for draft in drafts:
            base = earliest(draft, now)
            extra = [start.event(base) for start in self._opening() if not groups]
            if not tell and (draft.keep or draft.events or draft.intervals or extra):
                # What is gone is told with a batch that is spared anyway: no batch becomes a kept one for
                # that alone.
                tell = ToTell(epochs.untold(self.store), missing.untold(self.store))
                extra += tell.events(base)
            full = replace(draft, events=[*extra, *draft.events]) if extra else draft
            rows = seal(full, stamp, base, seq + 1, total)
            if tell and not tell.tellers:
                tell.tellers = tellers(rows, tell.events(base))
            groups.append(rows)
            seq, total = rows[-1].seq, rows[-1].total
        self.attempt = [[row.sealed for row in group] for group in groups]
        rows = [row for group in groups for row in group]
        size = sum(len(row.sealed.body) + OVERHEAD for row in rows)
        deleted = self._commit(rows, carry, tell, may, max(lot, size), let_go=let_go)
        self._dropped(deleted, offset + now)
        written, self.attempt = self.attempt, []
        return written

    def _opening(self) -> list[EpochStart]:
        """The epoch that the next commit begins, if it does."""
        return (
            []
            if self.opening is None
            else [EpochStart(self.epoch, self.last + 1, self.opening, self.resume.epoch, self.last)]
        )

    def _commit(
        self,
        rows: list[BatchRow],
        carry: dict[str, Any] | None,
        tell: ToTell,
        may: MayDelete,
        size: int,
        *,
        let_go: int,
    ) -> Deleted:
        newest = rows[-1].sealed
        synced: Synced | None = (
            Synced(newest.t0, newest.uptime, newest.boot) if newest.clock == "synced" else self.resume.synced
        )
        carried = carry or self.resume.carried
        resume = self.resume
        thinned = resume.thinned
        lost = resume.lost.told(let_go, newest.t0, synced=newest.clock == "synced")
        # A synced row is its own anchor: only others need to carry one.
        text = write_carry(
            self.settled.to_json(), carried, synced if newest.clock != "synced" else None, thinned, lost
        )
        rows = [*rows[:-1], replace(rows[-1], carry=text)]
        with self.undo(), self.store.transaction():
            for start in self._opening():
                epochs.insert(self.store, start)
            self.store.insert(rows)
            tell.write(self.store)
            self.recovered.write_marks()
            deleted = self._drop(may, size)
        if self.opening is not None:
            self._epochs.append((self.epoch, rows[0].seq))
            self.opening = None
        self.resume = ResumePoint(
            self.epoch,
            self.boot,
            rows[-1].seq,
            rows[-1].total,
            self.settled.to_json(),
            carried,
            synced,
            thinned,
            lost,
        )
        self.recovered.marks_written()
        self.tally.taken(rows[0].seq, rows[0].sealed.t0, [row.sealed.readings for row in rows])
        return deleted

    def recover(self, rows: Iterable[tuple[BatchRow, Sequence[str]]]) -> int:
        """Take in rows of a damaged file, each with the uplinks that had settled it; how many were new.
        Raises as `write`.
        """
        recovered = self.recovered
        found = list(rows)
        with self.undo(), self.store.transaction():
            count = recovered.add([row for row, _ in found])
            for row, uplinks in found:
                for uplink in uplinks:
                    recovered.settle(uplink, row.sealed.epoch, [(row.seq, row.seq)])
            recovered.write_marks()
        recovered.marks_written()
        recovered.recount(self.settled.active)
        return count

    def lose(self, batches: int, since: int, until: int, at: int) -> None:
        """Keep in mind what was found to be lost for good, as Lost has it; with what was found within a week
        before. It is written with the next commit.
        """
        resume = self.resume
        resume.lost = resume.lost.more(batches, since, until, at)

    def contains(self, rows: Iterable[Sealed]) -> bool:
        """Whether all these batches are in the file as they are."""
        return all(
            [row] == [found.sealed for found in self.store.between(row.seq, row.seq, 1)] for row in rows
        )

    # ── making room ──

    def count(self) -> None:
        """Count anew what is held and what waits for each uplink."""
        self.tally.count(self.last)
        self.recovered.recount(self.settled.active)

    def can_make_room(self, may: MayDelete) -> bool:
        """Whether there is anything to delete; reads only."""
        if may is MayDelete.UNDELIVERED:
            return self.tally.stored[0] > 1 or bool(self.recovered.spans())
        return any(any_delivered(table, self.settled.active) for table in (self.recovered, self))

    def make_room(self, may: MayDelete, size: int, wall: int) -> int:
        """Delete one lot of rows, some `size` bytes, in a transaction of its own; how many went. `wall` is
        UTC in ms.
        """
        with self.undo(), self.store.transaction():
            deleted = self._drop(may, size)
        self._dropped(deleted, wall)
        return deleted.rows

    @contextmanager
    def undo(self) -> Iterator[None]:
        """Around a transaction: when it fails, what is remembered follows."""
        try:
            yield
        except BaseException:
            with suppress(JournalDamaged, sqlite3.Error):
                self.recovered.reload()
                self.recovered.recount(self.settled.active)
                self.only_kept_to = missing.thinned_to(self.store)
            raise

    def _drop(self, may: MayDelete, size: int) -> Deleted:
        return drop(self.recovered, self, self.settled.active, size, may)

    def _dropped(self, deleted: Deleted, wall: int) -> None:
        self.settled.gone(deleted.own)
        if deleted.rows:
            self.count()
        if deleted.thinned:
            self.thinned = (self.thinned[0] + deleted.thinned, self.thinned[1] + deleted.readings)
            before = self.resume.thinned or Thinned(0, deleted.oldest, 0, 0)
            upto = max(self.only_kept_to, (deleted.own.span or (0, 0))[1])
            since, until = min(before.since, deleted.oldest), max(before.until, deleted.newest)
            self.resume.thinned = Thinned(upto, since, until, wall)

    # ── asking ──

    def settle(self, uplink: str, epoch: str, ranges: Sequence[tuple[int, int]]) -> None:
        """Note what an uplink need not send any more: only numbers that were given out under this epoch."""
        if self.recovered.settle(uplink, epoch, ranges):
            self.recovered.recount(self.settled.active)
        for first, last in self.numbers(epoch):
            self.settled.add(uplink, Ranges(ranges).within(first, last))
        self.tally.settled(uplink, self.last)

    def find(self, epoch: str, first: int, last: int, limit: int) -> list[Sealed]:
        """What is still held of an epoch between two numbers, oldest first; also of what was recovered."""
        found = self.recovered.rows(epoch, first, last, limit)
        for low, high in self.numbers(epoch).within(first, last):
            found += self.rows(epoch, low, high, limit - len(found))
        return found

    def explain(self, epoch: str, first: int, last: int) -> list[tuple[int, int, str]]:
        """(first, last, reason) of what is not held between two numbers."""
        asked = Ranges([(first, last)])
        for low, high in self.recovered.numbers(epoch):
            asked.discard(low, high)
        for low, high in self.numbers(epoch).within(first, last):
            asked.discard(low, high)
            for row in self.store.query(
                "SELECT first, last FROM gone WHERE epoch = ? AND last >= ? AND first <= ?",
                (bytes.fromhex(epoch), low, high),
            ):
                asked.add(max(low, row[0]), min(high, row[1]))
        return missing.explain(self.store, epoch, asked)
