"""One open journal file with what is remembered about it: epochs, settled ranges, running counts. Lives in
the journal thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import JournalDamaged
from gateway.journal.file import epochs, missing, thinning
from gateway.journal.file.epochs import EpochStart
from gateway.journal.file.recovered import Recovered
from gateway.journal.file.resume import ResumePoint, Synced
from gateway.journal.file.rows import BatchRow
from gateway.journal.file.schema import Synchronous
from gateway.journal.file.seal import CommitStamp, earliest, new_epoch, read_carry, seal, tellers, write_carry
from gateway.journal.file.settled import Settled
from gateway.journal.file.store import JournalStore
from gateway.journal.file.tally import Tally
from gateway.journal.file.thinning import Lot, Room
from gateway.journal.lock import Mark
from gateway.model import Draft, Event, Ranges, Sealed

if TYPE_CHECKING:
    from sqlite_utils import Database

Groups = list[list[Sealed]]

_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What comes of values that SQLite reads without complaint and that nobody has written."""


class JournalFile:
    """Opens a file and picks the epoch.

    `before` is what was known of the journal when it had to be reopened or replaced, `mark` the newest batch
    that stood here once, `db` the file when it is open already: for a look, which gives neither of the two,
    so that nothing is written.
    """

    def __init__(
        self,
        path: Path,
        boot: str,
        uplinks: Sequence[str],
        *,
        before: ResumePoint | None = None,
        mark: Mark | None = None,
        synchronous: Synchronous = "FULL",
        db: Database | None = None,
    ) -> None:
        try:
            self.store = JournalStore(path, synchronous, db=db)
        except _NONSENSE as error:
            raise _unreadable(path, error) from error
        try:
            self.store.check()
            missing.check(self.store)
            self._open(boot, uplinks, before, mark)
        except _NONSENSE as error:
            self.store.close()
            raise _unreadable(path, error) from error
        except BaseException:
            self.store.close()
            raise

    def _open(self, boot: str, uplinks: Sequence[str], before: ResumePoint | None, mark: Mark | None) -> None:
        self.boot = boot
        self.recovered = Recovered(self.store)
        self.settled = Settled(uplinks, missing.own(self.store))
        self._epochs = epochs.firsts(self.store)
        found = recall(self.store)
        self._check_epochs(found.seq if found else 0)
        self.resume = found or before or ResumePoint()
        self.opening: str | None = None
        self.attempt: Groups = []
        """What the last commit tried to write: after a failed sync it may be in the file all the same."""
        self.epoch = self.resume.epoch
        if found:
            self.settled.load(found.settled | (before.settled if before else {}))
        self.missing: Mark | None = None
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
        # Whatever lies before the last thinned number was looked at already.
        self._thinned_to: int = self.store.query(
            "SELECT COALESCE(MAX(last), 0) FROM gone WHERE reason = ?", (missing.THINNED,)
        )[0][0]

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
            raise JournalDamaged(
                f"{self.store.path}: its epochs are not those of its rows",
                hint="the file is moved aside and salvaged",
            )

    @property
    def last(self) -> int:
        """The newest seq; 0 when there never was one."""
        return self.resume.seq

    def begin_epoch(self, reason: str) -> None:
        """Draw a new epoch; it is written with its first batch."""
        self.epoch, self.opening = new_epoch(), reason

    def _spans(self, newest: int) -> list[tuple[str, int, int]]:
        ends = [min(first - 1, newest) for _, first in self._epochs[1:]] + [newest]
        return [
            (epoch, first, last)
            for (epoch, first), last in zip(self._epochs, ends, strict=False)
            if last >= first
        ]

    def uptimes(self, boot: str) -> list[int]:
        """When the newest hundred batches of a boot were committed (CLOCK_BOOTTIME, ms), newest first."""
        return [row.sealed.uptime for row in self.store.newest(100) if row.sealed.boot == boot]

    def epochs(self) -> list[tuple[str, int, int]]:
        """(epoch, first seq, last seq), oldest first: saved ones, then those of this file that have a
        batch.
        """
        return self.recovered.spans + self._spans(self.last)

    def span(self, epoch: str) -> Ranges:
        """Which numbers of this file belong to an epoch."""
        return Ranges((first, last) for name, first, last in self._spans(self.last) if name == epoch)

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
        room: Room = Room.ENOUGH,
        lot: int = 0,
    ) -> Groups:
        """Commit drafts in one transaction; the batches of each. `offset` is wall minus uptime, `now` the
        uptime, in ms.

        `room` says what may be deleted for it, `lot` how many bytes at a time; never less than what comes in.

        When this returns they are taken. When it raises (JournalDamaged, sqlite3.OperationalError) nothing
        has changed.
        """
        stamp = CommitStamp(gateway, self.epoch, self.boot, offset, "synced" if synced else "unsynced")
        tell = _Tell()
        groups: list[list[BatchRow]] = []
        seq, total = self.last, self.resume.total
        for draft in drafts:
            base = earliest(draft, now)
            extra = [start.event(base) for start in self._opening() if not groups]
            if not tell and (draft.keep or draft.events or draft.intervals or extra):
                # What is gone is told with a batch that is spared anyway: no batch becomes a kept one for
                # that alone.
                tell = _Tell(epochs.untold(self.store), missing.untold(self.store))
                extra += tell.events(base)
            full = replace(draft, events=[*extra, *draft.events]) if extra else draft
            rows = seal(full, stamp, base, seq + 1, total)
            if tell and not tell.tellers:
                tell.tellers = tellers(rows, tell.events(base))
            groups.append(rows)
            seq, total = rows[-1].seq, rows[-1].total
        self.attempt = [[row.sealed for row in group] for group in groups]
        rows = [row for group in groups for row in group]
        size = sum(len(row.sealed.body) + thinning.OVERHEAD for row in rows)
        self._dropped(self._commit(rows, carry, tell, room, max(lot, size)), offset + now)
        return self.attempt

    def _opening(self) -> list[EpochStart]:
        """The epoch that the next commit begins, if it does."""
        return (
            []
            if self.opening is None
            else [EpochStart(self.epoch, self.last + 1, self.opening, self.resume.epoch, self.last)]
        )

    def _commit(
        self, rows: list[BatchRow], carry: dict[str, Any] | None, tell: _Tell, room: Room, size: int
    ) -> Lot:
        newest = rows[-1].sealed
        synced: Synced | None = (
            (newest.t0, newest.uptime, newest.boot) if newest.clock == "synced" else self.resume.synced
        )
        carried = carry or self.resume.carried
        # A synced row is its own anchor: only others need to carry one.
        text = write_carry(
            self.settled.to_json(), carried, synced if newest.clock != "synced" else None, self.resume.thinned
        )
        rows = [*rows[:-1], replace(rows[-1], carry=text)]
        with self.undo(), self.store.transaction():
            for start in self._opening():
                epochs.insert(self.store, start)
            self.store.insert(rows)
            tell.write(self.store)
            self.recovered.write_marks()
            lot = self._drop(room, size)
        if self.opening is not None:
            self._epochs.append((self.epoch, rows[0].seq))
            self.opening = None
        thinned = self.resume.thinned
        self.resume = ResumePoint(
            self.epoch,
            self.boot,
            rows[-1].seq,
            rows[-1].total,
            self.settled.to_json(),
            carried,
            synced,
            thinned,
        )
        self.recovered.marks_written()
        self.tally.taken(rows)
        return lot

    def holds(self, rows: Iterable[Sealed]) -> bool:
        """Whether all these batches are in the file as they are."""
        return all(
            [row] == [found.sealed for found in self.store.between(row.seq, row.seq, 1)] for row in rows
        )

    # ── making room ──

    def count(self) -> None:
        """Count anew what is held and what waits for each uplink."""
        self.tally.count(self.last)
        self.recovered.recount(self.settled.active)

    def can_make_room(self, room: Room) -> bool:
        """Whether there is anything to delete; reads only."""
        if room is Room.THIN:
            return self.tally.held[0] > 1 or bool(self.recovered.spans)
        return self.recovered.any_delivered(self.settled.active) or thinning.any_delivered(
            self.store, self.settled, self.last
        )

    def make_room(self, room: Room, size: int, wall: int) -> int:
        """Delete one lot of rows, some `size` bytes, in a transaction of its own; how many went. `wall` is
        UTC in ms.
        """
        with self.undo(), self.store.transaction():
            lot = self._drop(room, size)
        self._dropped(lot, wall)
        return lot.rows

    @contextmanager
    def undo(self) -> Iterator[None]:
        """Around a transaction: when it fails, what is remembered follows."""
        try:
            yield
        except BaseException:
            with suppress(JournalDamaged, sqlite3.Error):
                self.recovered.reload()
                self.recovered.recount(self.settled.active)
            raise

    def _drop(self, room: Room, size: int) -> Lot:
        if room is Room.ENOUGH:
            return Lot()
        thin = room is Room.THIN
        if (
            self.recovered.spans
            and (lot := self.recovered.make_room(self.settled.active, size, thin=thin)).rows
        ):
            return lot
        return thinning.drop(self.store, self.settled, self._thinned_to, self.last, size, thin=thin)

    def _dropped(self, lot: Lot, wall: int) -> None:
        self._thinned_to = max(self._thinned_to, lot.thinned_to)
        self.settled.gone(lot.ranges)
        if lot.rows:
            self.count()
        if lot.thinned:
            self.thinned = (self.thinned[0] + lot.thinned, self.thinned[1] + lot.readings)
            _, since, until, _ = self.resume.thinned or (0, lot.oldest, 0, 0)
            upto = max([self._thinned_to, *(last for _, last in lot.ranges)])
            self.resume.thinned = (upto, min(since, lot.oldest), max(until, lot.newest), wall)

    # ── asking ──

    def settle(self, uplink: str, epoch: str, ranges: Sequence[tuple[int, int]]) -> None:
        """Note what an uplink need not send any more: only numbers that were given out under this epoch."""
        if self.recovered.settle(uplink, epoch, ranges):
            self.recovered.recount(self.settled.active)
        for first, last in self.span(epoch):
            self.settled.add(uplink, Ranges(ranges).within(first, last))
        self.tally.settled(uplink, self.last)

    def unsettled(self, uplink: str, after: int, limit: int, max_bytes: int) -> list[Sealed]:
        """The oldest batches behind `after` that an uplink has not settled; at least one if there is any."""
        found: list[Sealed] = []
        for first, last in self.settled.of(uplink).gaps(after + 1, self.last):
            at = first
            while at <= last and len(found) < limit:
                rows = self.store.between(at, last, min(50, limit - len(found)))
                for row in rows:
                    max_bytes -= len(row.sealed.body)
                    if max_bytes < 0 and found:
                        return found
                    found.append(row.sealed)
                at = rows[-1].seq + 1 if rows else last + 1
        return found

    def find(self, epoch: str, first: int, last: int, limit: int) -> list[Sealed]:
        """What is still held of an epoch between two numbers, oldest first."""
        found = self.recovered.find(epoch, first, last, limit)
        for low, high in self.span(epoch).within(first, last):
            found += [row.sealed for row in self.store.between(low, high, limit - len(found))]
        return found

    def explain(self, epoch: str, first: int, last: int) -> list[tuple[int, int, str]]:
        """(first, last, reason) of what is not held between two numbers."""
        asked = Ranges([(first, last)])
        for low, high in self.recovered.holds(epoch):
            asked.discard(low, high)
        for low, high in self.span(epoch).within(first, last):
            asked.discard(low, high)
            for row in self.store.query(
                "SELECT first, last FROM gone WHERE epoch = ? AND last >= ? AND first <= ?",
                (bytes.fromhex(epoch), low, high),
            ):
                asked.add(max(low, row[0]), min(high, row[1]))
        return missing.explain(self.store, epoch, asked)


@dataclass(slots=True)
class _Tell:
    """What a commit says of the past, and the numbers of the batches that hold it: of each epoch, then of
    each range.
    """

    starts: Sequence[EpochStart] = ()
    ranges: Sequence[missing.Gone] = ()
    tellers: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.starts or self.ranges)

    def events(self, uptime: int) -> list[Event]:
        return [
            *(start.event(uptime, again=True) for start in self.starts),
            *missing.events(self.ranges, uptime),
        ]

    def write(self, store: JournalStore) -> None:
        for start, teller in zip(self.starts, self.tellers, strict=False):
            epochs.tell(store, start, teller)
        missing.tell(store, self.ranges, self.tellers[len(self.starts) :])


def _unreadable(path: Path, error: Exception) -> JournalDamaged:
    return JournalDamaged(
        f"{path} holds what no journal holds: {type(error).__name__}: {error}",
        hint="it is moved aside and salvaged; polling goes on in a new file",
    )


def recall(store: JournalStore) -> ResumePoint | None:
    """What the newest row of a file and the newest carry say; None when the file is empty."""
    newest = next(iter(store.newest()), None)
    if newest is None:
        return None
    found = store.query("SELECT carry FROM batch WHERE carry != '' ORDER BY seq DESC LIMIT 1")
    settled, carried, synced, thinned = read_carry(found[0][0]) if found else ({}, {}, None, None)
    if newest.sealed.clock == "synced":
        synced = (newest.sealed.t0, newest.sealed.uptime, newest.sealed.boot)
    return ResumePoint(
        newest.sealed.epoch, newest.sealed.boot, newest.seq, newest.total, settled, carried, synced, thinned
    )
