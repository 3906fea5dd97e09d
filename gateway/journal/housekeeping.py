"""What is done between commits, a slice at a time: verifying the file, salvage, ballast, damaged files."""

from __future__ import annotations

import logging
import sqlite3
import time

from gateway.common.text import counted
from gateway.errors import GatewayError
from gateway.journal.current import CurrentFile
from gateway.journal.disk import Disk
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.verify import Verification
from gateway.journal.paths import beside, size_of
from gateway.journal.recovery.cases import MOST_BYTES, Case
from gateway.journal.recovery.moved import OpenFileScan
from gateway.journal.recovery.rescue import Rescue
from gateway.journal.recovery.scan import PageScan
from gateway.model import Event

log = logging.getLogger(__name__)

SLICE = 0.025
"""Seconds of work at a time: well below the 50 ms that a commit may have to wait."""

PAUSE = 0.05
"""Seconds between slices: the rest of the machine has meters to read."""

CALM = 1.0
"""Seconds between looks when there is nothing to do."""

DISK_CHECK = 10.0
"""Seconds between looks at the disk."""

FINISH = 3.0
"""Seconds that the end may take for files that lost their name."""

NOTE = 600.0
"""Seconds between two notes of the newest number, each one more small write; the first comes with the
first look.
"""

REST = 30.0
"""Seconds before housekeeping tries again after the disk refused."""


class Housekeeping:
    """`slice` may raise JournalDamaged (a row that does not fit), sqlite3.OperationalError, OSError."""

    def __init__(self, current: CurrentFile, disk: Disk) -> None:
        self._current = current
        self._disk = disk
        self._verification: Verification | None = None
        self._rescue: Rescue | None = None
        self._measure_at = 0.0
        self._note_at = 0.0
        self._rest_until = 0.0
        self.bytes = 0
        """On disk: file, WAL, ballast, damaged files."""

    @property
    def walked(self) -> float:
        """Part of the rows that were checked, 0 to 1."""
        return self._verification.part if self._verification else 1.0

    def opened(self, file: JournalFile) -> None:
        """Another file is open: it is verified from the newest row on; a rescue starts over, for its rows
        went into the old one.
        """
        self._verification = Verification(file.store, file.last)
        self.close()
        # The first commits come before everything else.
        self._measure_at = time.monotonic() + CALM

    def slice(self) -> float:
        """Do a little; seconds until the next slice."""
        current, now = self._current, time.monotonic()
        file = current.file
        if file is None or now < self._rest_until:
            return CALM
        if now >= self._measure_at:
            self._measure_at = now + DISK_CHECK
            current.check_names()
            if current.file is not file:
                return PAUSE
            self._measure(file)
            if now >= self._note_at and file.last:
                self._note_at = now + NOTE
                current.note()
        if self._verification and not self._verification.done:
            self._verification.step(SLICE)
            return PAUSE
        return self._salvage(file)

    def _measure(self, file: JournalFile) -> None:
        disk, current = self._disk, self._current
        cases = current.cases
        disk.measure(file.store.size)
        disk.load()
        cases.prune(min(MOST_BYTES, disk.budget))
        own = sum(size_of(path) or 0 for path in (current.path, beside(current.path, "-wal")))
        self.bytes = own + disk.ballast_bytes() + sum(cases.size(case) for case in cases.all)

    def _salvage(self, file: JournalFile) -> float:
        current = self._current
        clock, case = current.clock, current.cases.pending()
        if case is None:
            return CALM
        if self._rescue is None:
            self._rescue = Rescue(case, self._scan(case))
        if self._rescue.step(file, SLICE / 2, self._disk.budget, clock.wall(), synced=clock.synced):
            self._rescue.close()
            self._rescue = None
            if old := current.unnamed.pop(case.folder, None):
                old.close()
            fields = {"file": case.folder.name, "rows": case.rows, "reason": case.reason}
            current.notices.append((Event("salvaged", clock.uptime(), fields), case))
            log.warning("salvage of %s is done: %s came back", case.folder, counted(case.rows, "batch"))
            case.write()
        return PAUSE

    def _scan(self, case: Case) -> OpenFileScan | PageScan:
        current = self._current
        old = current.unnamed.get(case.folder)
        return OpenFileScan(old.store, old.last) if old else PageScan(case.path)

    def finish(self, seconds: float = FINISH) -> None:
        """The end: what lost its name is written again, as far as that can be done in a few seconds.
        Raises nothing.
        """
        end = time.monotonic() + seconds
        current = self._current
        file = current.file
        try:
            while file and current.unnamed and time.monotonic() < end:
                self._salvage(file)
        except (GatewayError, sqlite3.Error, OSError) as error:
            log.warning("not everything of a file without a name could be written again: %s", error)

    def rest(self, error: Exception | None) -> None:
        """The disk refused: leave it alone for a while."""
        if error is not None:
            log.warning("housekeeping of the journal waits: %s", error)
        self._rest_until = time.monotonic() + REST
        self.close()

    def close(self) -> None:
        """Let go of the damaged file."""
        if self._rescue:
            self._rescue.close()
            self._rescue = None
