"""Salvage of one case beside the running journal: rows go into the table `salvage`, what is lost for good
is declared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from gateway.journal.file import missing
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.resume import NOTHING
from gateway.journal.file.settled import Settled
from gateway.journal.file.thinning import PART, MayDelete
from gateway.journal.recovery.cases import Case
from gateway.journal.recovery.moved import OpenFileScan
from gateway.journal.recovery.pages import FoundRow
from gateway.journal.recovery.scan import PageScan
from gateway.model import Ranges

AT_ONCE = 128
"""Rows that one slice takes in: writing them takes about as long as finding them."""


class Rescue:
    """Works in slices; `step` returns True when the case is done. Starting over is harmless, also in another
    process and after the end: a row is taken in once, and what was found to be lost stands in the report.
    """

    def __init__(self, case: Case, scan: PageScan | OpenFileScan) -> None:
        self.case = case
        self._resume = case.resume
        self._scan = scan
        self._pages = self._scan.found()
        self._epochs: dict[str, Ranges] = {}
        self._came: dict[str, Ranges] = {}
        """What came back, also when an earlier start had taken it in."""
        self._first = False
        """Whether the very first row of the file is there: nothing is missing before it."""
        case.pages, case.page, case.rows = self._scan.pages, 0, 0

    def step(self, file: JournalFile, seconds: float, budget: int, wall: int, *, synced: bool) -> bool:
        """One slice; `wall` is UTC in ms, right when `synced`. Raises JournalDamaged,
        sqlite3.OperationalError of the new file, OSError of the report; then the rescue starts over.
        """
        end = time.monotonic() + seconds
        found: list[FoundRow] = []
        ended = True
        for rows in self._pages:
            found += rows
            if time.monotonic() > end or len(found) >= AT_ONCE:
                ended = False
                break
        settled = Settled(file.settled.active)
        settled.load(self._resume.settled)
        self._take(file, found, settled, budget, wall)
        self.case.page = self._scan.page
        if ended:
            self._declare_lost(file, settled, wall if synced else 0)
            self._scan.close()
            self.case.done = True
        return ended

    def _take(
        self, file: JournalFile, found: list[FoundRow], settled: Settled, budget: int, wall: int
    ) -> None:
        if (over := file.store.used - budget) > 0:
            file.make_room(MayDelete.UNDELIVERED, max(over, budget // PART), wall)
        roomy = file.store.used < budget // 2
        wanted = []
        for one in found:
            seq = one.row.seq
            if one.own:
                self._epochs.setdefault(one.row.sealed.epoch, Ranges()).add(seq)
                self._first |= one.row.total == one.row.sealed.readings
            delivered = one.own and bool(settled.active) and bool(settled.by_all(seq, seq))
            # What everybody has is kept for replays only while there is ample room.
            if roomy or not delivered:
                wanted.append(one)
        if not wanted:
            return
        file.recover(
            (one.row, [uplink for uplink in settled.active if one.own and one.row.seq in settled.of(uplink)])
            for one in wanted
        )
        for one in wanted:
            self._came.setdefault(one.row.sealed.epoch, Ranges()).add(one.row.seq)
        self.case.rows = sum(came.count for came in self._came.values())

    def _declare_lost(self, file: JournalFile, settled: Settled, now: int) -> None:
        """Record what is gone and why; `now` is UTC in ms, 0 when nobody knows it."""
        case, resume = self.case, self._resume
        known = Ranges()
        for ranges in self._epochs.values():
            known.update(ranges)
        ours = {*self._epochs, *(epoch for epoch, *_ in case.spans)}
        known.update((first, last) for epoch, first, last, *_ in self._scan.gone if epoch in ours)
        bounds = [(first, last) for _, first, last in case.spans] or [known.span or (1, 0)]
        lowest = bounds[0][0] if self._scan.whole or self._first or case.spans else 1
        highest = max(resume.seq, bounds[-1][1], (known.span or (0, 0))[1])
        if highest < lowest or not (ours or resume.epoch):
            return
        if settled.active:
            # Up to where rows had to make room, what counts as settled need not have been delivered.
            upto = resume.thinned.upto if resume.thinned else 0
            known.update(settled.by_all(max(lowest, upto + 1), highest))
        lost = [
            owned
            for first, last in known.gaps(lowest, highest)
            for owners in self._owners(first, last)
            for owned in _not_here(file, *owners)
            if not missing.explained(file.store, *owned)
        ]
        if lost and case.lost == NOTHING:
            # Before anything else says so: were it recorded first, nobody would find it lost any more.
            numbers = Ranges((first, last) for _, first, last in lost)
            since, until = self._time_of(numbers, file)
            case.lost = file.resume.lost.more(numbers.count, since, until, now)
            case.write()
        told = missing.UNTOLD if settled.active else missing.NOBODY
        with file.store.transaction():
            for epoch, first, last, readings, reason in sorted(self._scan.gone):
                if epoch in ours and not missing.explained(file.store, epoch, first, last):
                    # Who told of it may be lost itself: it is said again.
                    missing.note(
                        file.store,
                        (epoch, first, last, reason),
                        readings,
                        told=missing.NOBODY if reason == missing.DELIVERED else told,
                    )
            for owned in lost:
                missing.note(file.store, (*owned, missing.DAMAGED), 0, told=told)
        if case.lost[:3] not in {NOTHING[:3], file.resume.lost[:3]}:
            file.resume.lost = case.lost

    def _time_of(self, lost: Ranges, file: JournalFile) -> tuple[int, int]:
        """(since, until) of lost numbers, as Lost has them: between the nearest batches that came back and
        whose time is right; at the end of the file, the moment when its damage was found.
        """
        first, last = lost.span or (0, 0)
        sql = "SELECT t0 FROM salvage WHERE epoch = ? AND seq {} ? AND clock != 0 ORDER BY seq {} LIMIT 1"
        before, after = [], []
        for epoch in map(bytes.fromhex, self._epochs):
            before += [t0 for (t0,) in file.store.query(sql.format("<", "DESC"), (epoch, first))]
            after += [t0 for (t0,) in file.store.query(sql.format(">", "ASC"), (epoch, last))]
        since = max(before, default=0)
        return since, min(after, default=self.case.at if self.case.at > since else 0)

    def _owners(self, first: int, last: int) -> Iterator[tuple[str, int, int]]:
        """(epoch, first, last) of lost numbers."""
        if self.case.spans:
            for epoch, low, high in self.case.spans:
                if max(first, low) <= min(last, high):
                    yield epoch, max(first, low), min(last, high)
            return
        # Between two epochs nobody can say whose the lost numbers were: both say that they are lost.
        before = {epoch for epoch, ranges in self._epochs.items() if first - 1 in ranges}
        after = {epoch for epoch, ranges in self._epochs.items() if last + 1 in ranges}
        for epoch in before | after or {self._resume.epoch} - {""}:
            yield epoch, first, last

    def close(self) -> None:
        """Let go of the file."""
        self._scan.close()


def _not_here(file: JournalFile, epoch: str, first: int, last: int) -> Iterator[tuple[str, int, int]]:
    """What of an epoch's numbers no other damaged file has given back: where one file stood in the place of
    another, both are thought to have had them.
    """
    sql = "SELECT seq FROM salvage WHERE epoch = ? AND seq BETWEEN ? AND ?"
    here = Ranges((seq, seq) for (seq,) in file.store.query(sql, (bytes.fromhex(epoch), first, last)))
    for low, high in here.gaps(first, last):
        yield epoch, low, high
