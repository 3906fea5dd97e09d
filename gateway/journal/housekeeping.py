"""What is done between commits, a slice at a time: the walk through the file, salvage, ballast, cases."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gateway.errors import GatewayError
from gateway.journal.clocklike import ClockLike
from gateway.journal.disk import Disk
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.verify import Verification
from gateway.journal.paths import beside, size_of
from gateway.journal.recovery.cases import MOST_BYTES, Case, DamagedCases
from gateway.journal.recovery.moved import OpenFileScan
from gateway.journal.recovery.rescue import Rescue
from gateway.journal.recovery.scan import PageScan
from gateway.model import Event

logger = logging.getLogger(__name__)

SLICE = 0.025
"""Seconds of work at a time: well below the 50 ms that a commit may have to wait."""

PAUSE = 0.05
"""Seconds between slices: the rest of the machine has meters to read."""

CALM = 1.0
"""Seconds between looks when there is nothing to do."""

LOOK = 10.0
"""Seconds between looks at the disk."""

FINISH = 3.0
"""Seconds that the end may take for files that lost their name."""

NOTE = 600.0
"""Seconds between two notes of the newest number, each one more small write; the first comes with the
first look.
"""

REST = 30.0
"""Seconds before upkeep tries again after the disk refused."""


class Host(Protocol):
    """What upkeep needs of the writer."""

    path: Path
    disk: Disk
    cases: DamagedCases
    notices: list[Event]
    clock: ClockLike

    @property
    def file(self) -> JournalFile | None:
        """The open file."""

    def look(self) -> None:
        """Whether a start would find what is open; acts when it would not."""

    def note(self) -> None:
        """Write down which batch is the newest."""


class Housekeeping:
    """`slice` may raise JournalDamaged (a row that does not fit), sqlite3.OperationalError, OSError."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._walk: Verification | None = None
        self._rescue: Rescue | None = None
        self._look_at = 0.0
        self._note_at = 0.0
        self._rest_until = 0.0
        self.bytes = 0
        self._parted: list[tuple[JournalFile, str]] = []
        """Files that lost their name and have no case yet."""
        self._open: dict[Path, JournalFile] = {}
        """Those that have one, by its folder: they are read through the open handle."""

    @property
    def walked(self) -> float:
        """Part of the rows that were checked, 0 to 1."""
        return self._walk.part if self._walk else 1.0

    def opened(self, file: JournalFile) -> None:
        """Another file is open: walk it from the newest row on; a rescue starts over, for its rows went
        into the old one.
        """
        self._walk = Verification(file.store, file.last)
        self.close()
        # The first commits come before everything else.
        self._look_at = time.monotonic() + CALM

    def slice(self) -> float:
        """Do a little; seconds until the next slice."""
        file = self._host.file
        now = time.monotonic()
        if file is None or now < self._rest_until:
            return CALM
        if now >= self._look_at:
            self._look_at = now + LOOK
            self._host.look()
            if self._host.file is not file:
                return PAUSE
            self._look(file)
            if now >= self._note_at and file.last:
                self._note_at = now + NOTE
                self._host.note()
        if self._walk and not self._walk.done:
            self._walk.step(SLICE)
            return PAUSE
        return self._salvage(file)

    def _look(self, file: JournalFile) -> None:
        self._host.disk.look(file.store.size)
        self._host.disk.load()
        self._host.cases.prune(min(MOST_BYTES, self._host.disk.budget))
        files = [self._host.path, beside(self._host.path, "-wal")]
        self.bytes = sum(size_of(file) or 0 for file in files) + self._host.disk.held()
        self.bytes += sum(self._host.cases.size(case) for case in self._host.cases.all)

    def _salvage(self, file: JournalFile) -> float:
        case = self._host.cases.pending()
        if case is None:
            return CALM
        if self._rescue is None:
            self._rescue = Rescue(case, self._scan(case))
        if self._rescue.step(file, SLICE / 2, self._host.disk.budget, self._host.clock.wall()):
            self._rescue.close()
            self._rescue = None
            if old := self._open.pop(case.folder, None):
                old.store.close()
            event = Event(
                "salvaged",
                self._host.clock.uptime(),
                {"file": case.folder.name, "rows": case.rows, "reason": case.reason},
            )
            self._host.notices.append(event)
            logger.warning("salvage of %s is done: %d batches came back", case.folder, case.rows)
            case.write()
        return PAUSE

    def _scan(self, case: Case) -> OpenFileScan | PageScan:
        old = self._open.get(case.folder)
        return OpenFileScan(old.store, old.last) if old else PageScan(case.path)

    def parted(self, file: JournalFile, what: str) -> None:
        """A file lost its name while it was open: it is read like a damaged one as soon as another is
        open.
        """
        self._parted.append((file, what))
        self._rescue = None

    def begin(self, part: Callable[[Path], None]) -> None:
        """Before another file is opened: each gets its case; `part` moves what of it still has a name.
        Raises OSError.
        """
        while self._parted:
            file, what = self._parted[0]
            case = self._host.cases.begin(what, file.resume, boot=file.boot, uptime=self._host.clock.uptime())
            self._open[case.folder] = file
            case.spans = file.epochs()
            del self._parted[0]
            part(case.folder)
            case.write()

    def finish(self, seconds: float = FINISH) -> None:
        """The end: what lost its name is written again, as far as that can be done in a few seconds.
        Raises nothing.
        """
        end = time.monotonic() + seconds
        file = self._host.file
        try:
            while file and self._open and time.monotonic() < end:
                self._salvage(file)
        except (GatewayError, sqlite3.Error, OSError) as error:
            logger.warning("not everything of a file without a name could be written again: %s", error)

    def rest(self, error: Exception | None) -> None:
        """The disk refused: leave it alone for a while."""
        if error is not None:
            logger.warning("upkeep of the journal waits: %s", error)
        self._rest_until = time.monotonic() + REST
        self.close()

    def close(self) -> None:
        """Let go of the damaged file."""
        if self._rescue:
            self._rescue.close()
            self._rescue = None
