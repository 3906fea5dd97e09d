"""Damaged files, moved aside: never deleted before they are salvaged, then the newest three, within bounds."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.journal.memory import Memory
from gateway.journal.stats import SalvageProgress

logger = logging.getLogger(__name__)

NEWEST = 3
"""Cases that are kept once they are salvaged."""

MOST_BYTES = 1_000_000_000
"""What salvaged cases may hold together; of a case that is larger alone, the report stays."""

STORM, STORM_MS = 3, 600_000
"""So many files damaged within ten minutes of one boot: the storage is sick, another new file would only be the next one."""


@dataclass(slots=True)
class Case:
    """One damaged file: its folder, and what the report in it says. `uptime` in ms, `at` UTC in ms, as far as the clock was right."""

    folder: Path
    reason: str = "unknown: the report was lost"
    boot: str = ""
    uptime: int = 0
    at: int = 0
    pages: int = 0
    page: int = 0
    rows: int = 0
    done: bool = False
    memory: Memory = field(default_factory=Memory)

    @property
    def path(self) -> Path:
        """The damaged file."""
        return self.folder / "journal.db"

    def progress(self) -> SalvageProgress:
        """For those who look."""
        return SalvageProgress(self.folder.name, self.reason, self.pages, self.page, self.rows, self.done)

    def write(self) -> None:
        """Write the report. Raises OSError."""
        data = {key: value for key, value in asdict(self).items() if key != "folder"}
        new = self.folder / "report.json.new"
        with new.open("w", encoding="utf-8") as file:
            json.dump(data, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.folder / "report.json")
        sync(self.folder)


def read_case(folder: Path) -> Case:
    """The case in a folder; with defaults for whatever its report does not say."""
    case = Case(folder)
    try:
        data = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        memory = Memory(**data.pop("memory"))
        if memory.synced:
            memory.synced = (memory.synced[0], memory.synced[1], memory.synced[2])
        if memory.thinned:
            memory.thinned = (memory.thinned[0], memory.thinned[1], memory.thinned[2], memory.thinned[3])
        return Case(folder, **data, memory=memory)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return case


def sync(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Evidence:
    """The folder `damaged` beside the journal."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folder = directory / "damaged"
        self.cases = list(self._read())
        self._adopt_stray_wal()

    def _read(self) -> Iterator[Case]:
        with suppress(OSError):
            for folder in sorted(self._folder.iterdir()):
                if folder.name.isdigit():
                    yield read_case(folder)

    def _adopt_stray_wal(self) -> None:
        # A power cut between the two renames of `move_aside` leaves a WAL without its file.
        path = self._directory / "journal.db"
        wal = self._directory / "journal.db-wal"
        if self.cases and not path.exists() and wal.exists():
            with suppress(OSError):
                wal.rename(self.cases[-1].folder / "journal.db-wal")

    def storm(self, boot: str, uptime: int) -> bool:
        """Whether files are being damaged one after the other."""
        return sum(case.boot == boot and uptime - case.uptime < STORM_MS for case in self.cases) >= STORM

    def move_aside(self, path: Path, reason: str, memory: Memory, *, boot: str, uptime: int) -> Case:
        """Move a damaged file and its WAL into a folder of their own. Raises OSError."""
        number = 1 + max((int(case.folder.name) for case in self.cases), default=0)
        folder = self._folder / f"{number:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        case = Case(folder, reason, boot, uptime, time.time_ns() // 1_000_000, memory=memory)
        sync(self._directory)
        path.rename(case.path)
        wal = path.with_name(path.name + "-wal")
        if wal.exists():
            wal.rename(folder / "journal.db-wal")
        sync(folder)
        sync(self._directory)
        self.cases.append(case)
        logger.error("the journal was damaged and moved to %s (%s); a new file takes over, its rows are being salvaged", folder, reason)
        with suppress(OSError):
            case.write()
        return case

    def pending(self) -> Case | None:
        """The oldest case that is not salvaged."""
        return next((case for case in self.cases if not case.done), None)

    def size(self, case: Case) -> int:
        """Bytes that a case holds."""
        total = 0
        with suppress(OSError):
            total = sum(file.stat().st_size for file in case.folder.iterdir())
        return total

    def prune(self, most: int = MOST_BYTES) -> None:
        """Delete salvaged cases beyond the newest three or beyond `most` bytes together, oldest first."""
        finished = [case for case in self.cases if case.done]
        for case in finished[:-NEWEST]:
            shutil.rmtree(case.folder, ignore_errors=True)
            self.cases.remove(case)
        room = most
        for case in reversed(finished[-NEWEST:]):
            room -= self.size(case)
            if room < 0:
                for name in ("journal.db", "journal.db-wal"):
                    with suppress(OSError):
                        (case.folder / name).unlink(missing_ok=True)
