"""Damaged files, moved aside: never deleted before they are salvaged, then the newest three, within
bounds.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from gateway.common.files import sync_folder, write_durably
from gateway.journal.file.resume import NOTHING, Lost, ResumePoint, Synced, Thinned
from gateway.journal.paths import beside, clear, read_regular, real, size_of, standing
from gateway.journal.stats import SalvageProgress

log = logging.getLogger(__name__)

NEWEST = 3
"""Cases that are kept once they are salvaged."""

MOST_BYTES = 1_000_000_000
"""What salvaged cases may hold together; of a case that is larger alone, the report stays."""

FOLDERS = 9
"""Names that are tried for the folder of damaged files."""

MOST_REPORT = 4 << 20
"""Bytes of a report that are read."""

STORM, STORM_MS = 3, 600_000
"""So many files damaged within ten minutes of one boot: the storage is sick, another new file would only
be the next one.
"""


@dataclass(slots=True)
class Case:
    """One damaged file: its folder, and what the report in it says. `uptime` in ms, `at` UTC in ms, as far
    as the clock was right.
    """

    folder: Path
    reason: str = "unknown: the report was lost"
    boot: str = ""
    uptime: int = 0
    at: int = 0
    pages: int = 0
    page: int = 0
    rows: int = 0
    done: bool = False
    """Everything that can come back has."""
    told: bool = False
    """A committed batch says so: only then its report calls it done. What power cuts off before that begins
    again.
    """
    lost: Lost = NOTHING
    """With it, all that was lost for good; for the commit that is to tell it."""
    resume: ResumePoint = field(default_factory=ResumePoint)
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    """(epoch, first, last) of what the file had, where that is known: what does not come back of it is
    lost.
    """

    @property
    def path(self) -> Path:
        """The damaged file."""
        return self.folder / "journal.db"

    def progress(self) -> SalvageProgress:
        """How far its salvage is, as pages and commands show it."""
        return SalvageProgress(self.folder.name, self.reason, self.pages, self.page, self.rows, self.done)

    def write(self) -> None:
        """Write the report. Raises OSError."""
        data = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name not in {"folder", "resume", "told", "lost"}
        }
        data["done"] = self.told
        # Without what is empty: a version before need not know it.
        if self.lost != NOTHING and not self.told:
            data["lost"] = self.lost
        memory = asdict(self.resume)
        data["memory"] = {name: value for name, value in memory.items() if value not in (None, NOTHING)}
        write_durably(self.folder / "report.json", json.dumps(data, indent=1, ensure_ascii=False).encode())


def read_case(folder: Path) -> Case:
    """The case in a folder; with defaults for whatever its report does not say."""
    case = Case(folder)
    try:
        data = json.loads(read_regular(folder / "report.json", MOST_REPORT))
        resume = ResumePoint(**data.pop("memory"))
        resume.synced = Synced(*resume.synced) if resume.synced else None
        resume.thinned = Thinned(*resume.thinned) if resume.thinned else None
        resume.lost = Lost(*resume.lost)
        lost = Lost(*data.pop("lost", NOTHING))
        return Case(folder, **data, told=data["done"], lost=lost, resume=resume)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return case


def _into(path: Path, to: Path) -> None:
    # A link is evidence, but nothing to read: it may lead to the very file that takes over.
    if os.path.lexists(path):
        path.rename(to.with_name(to.name + ".link") if path.is_symlink() else to)


class DamagedCases:
    """The folder `damaged` beside the journal; another one beside it when that cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.all: list[Case] = []

    def read(self) -> None:
        """Look what is there, and put what belongs together. Only for whoever has the lock."""
        self.find()
        self._adopt_stray_wal()

    def find(self) -> None:
        """Look what is there; nothing is changed."""
        self.all = sorted(self._read(), key=lambda case: int(case.folder.name))

    def _folders(self) -> list[Path]:
        return [
            self._directory / ("damaged" if number == 1 else f"damaged-{number}")
            for number in range(1, FOLDERS + 1)
        ]

    def _read(self) -> Iterator[Case]:
        for folder in self._folders():
            with suppress(OSError):
                for found in folder.iterdir():
                    if found.name.isdecimal() and not standing(found, kind=stat.S_IFDIR):
                        yield read_case(found)

    def _adopt_stray_wal(self) -> None:
        # A power cut between the two renames of `move_aside` leaves a WAL without its file.
        path = self._directory / "journal.db"
        wal = self._directory / "journal.db-wal"
        case = self.all[-1] if self.all else None
        if case is None or case.done or os.path.lexists(path) or not size_of(wal) or standing(wal):
            return
        if os.path.lexists(case.path) and not os.path.lexists(case.folder / "journal.db-wal"):
            with suppress(OSError):
                wal.rename(case.folder / "journal.db-wal")

    def storm(self, boot: str, uptime: int) -> bool:
        """Whether files are being damaged one after the other."""
        return sum(case.boot == boot and uptime - case.uptime < STORM_MS for case in self.all) >= STORM

    def move_aside(
        self,
        path: Path,
        reason: str,
        resume: ResumePoint,
        spans: Sequence[tuple[str, int, int]] = (),
        *,
        boot: str,
        uptime: int,
    ) -> Case:
        """Move what stands under a file's name, and its WAL, into a folder of their own. Raises OSError."""
        case = self.begin(reason, resume, boot=boot, uptime=uptime)
        case.spans = list(spans)
        extra = {suffix: beside(path, suffix) for suffix in ("-wal", "-journal")}
        if path.is_symlink() and not standing(path, link=True):
            case.path.symlink_to(real(path))
            path.unlink()
        else:
            _into(path, case.path)
        for suffix, file in extra.items():
            _into(file, case.path.with_name(case.path.name + suffix))
        sync_folder(case.folder)
        sync_folder(self._directory)
        log.error(
            "the journal was damaged and moved to %s (%s); a new file takes over, its rows are being "
            "salvaged",
            case.folder,
            reason,
        )
        with suppress(OSError):
            case.write()
        return case

    def begin(self, reason: str, resume: ResumePoint, *, boot: str, uptime: int) -> Case:
        """A new case in a folder of its own. Raises OSError when no folder can be made."""
        number = 1 + max((int(case.folder.name) for case in self.all), default=0)
        refused = OSError(0, "there is no folder for damaged files")
        for folder in self._folders():
            try:
                clear(folder, link=True, kind=stat.S_IFDIR)
                (folder / f"{number:04d}").mkdir(parents=True, exist_ok=True)
                case = Case(
                    folder / f"{number:04d}", reason, boot, uptime, time.time_ns() // 1_000_000, resume=resume
                )
                sync_folder(folder)
                sync_folder(self._directory)
            except OSError as error:
                refused = error
            else:
                self.all.append(case)
                return case
        raise refused

    def pending(self) -> Case | None:
        """The oldest case that is not salvaged."""
        return next((case for case in self.all if not case.done), None)

    def size(self, case: Case) -> int:
        """Bytes that a case holds."""
        total = 0
        with suppress(OSError):
            total = sum(file.stat().st_size for file in case.folder.iterdir())
        return total

    def prune(self, most: int = MOST_BYTES) -> None:
        """Delete salvaged cases beyond the newest three or beyond `most` bytes together, oldest first."""
        finished = [case for case in self.all if case.told]
        for case in finished[:-NEWEST]:
            shutil.rmtree(case.folder, ignore_errors=True)
            self.all.remove(case)
        room = most
        for case in reversed(finished[-NEWEST:]):
            room -= self.size(case)
            if room < 0:
                for name in ("journal.db", "journal.db-wal"):
                    with suppress(OSError):
                        (case.folder / name).unlink(missing_ok=True)
