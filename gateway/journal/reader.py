"""A look at the files of a gateway that does not run: nothing in their folder is made, changed, moved or
removed.
"""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import fields
from pathlib import Path
from typing import Any

from gateway.errors import JournalBusy, JournalDamaged, JournalError
from gateway.journal.file.batch_table import Seqs
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.schema import connect_to_read
from gateway.journal.lock import busy, is_locked
from gateway.journal.paths import beside, open_regular, real, size_of
from gateway.journal.recovery.cases import DamagedCases
from gateway.journal.recovery.examine import examine
from gateway.journal.recovery.scan import PageScan
from gateway.journal.stats import JournalStats, file_stats
from gateway.model import Sealed
from gateway.wire import decompress

_States = tuple[tuple[int, int] | None, ...]
"""Size and time of the last change (ns), by file."""


class JournalReader:
    """Opens the journal of a directory, also that of an older version, to be read; what is missing of its
    rights is its owner's affair.

    Raises JournalBusy when a gateway has it, JournalTooNew, and JournalError when there is none, it is
    damaged or cannot be read.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        self.path = self.directory / "journal.db"
        try:
            names = os.listdir(self.directory) if self.directory.is_dir() else []  # noqa: PTH208 - names, and PermissionError
            if not {self.path.name, f"{self.path.name}-wal"} & set(names):
                raise JournalError(
                    f"there is no journal in {self.directory}",
                    hint="name its folder with --directory, or its configuration with -c",
                )
            if is_locked(self.directory):
                raise busy(self.directory)
            self._seen = self._states()
            self._file = self._open()
        except JournalDamaged as error:
            hint = (
                f"start the gateway, it moves the file aside and salvages it; or look into it: submeter "
                f"journal salvage {self.path}"
            )
            raise JournalError(error.message, hint=hint) from error
        except PermissionError as error:
            raise JournalError(f"you may not open {self.directory}", hint="use sudo") from error
        except (sqlite3.OperationalError, OSError) as error:
            raise JournalError(
                f"{self.path} cannot be opened: {error}", hint="use sudo; is the disk readable?"
            ) from error

    def _open(self) -> JournalFile:
        for path in (self.path, beside(self.path, "-wal")):
            if size_of(path) is not None:
                os.close(open_regular(path))  # SQLite does not say why it may not
        examine(self.path)
        with PageScan(self.path) as scan:
            logged = bool(scan.wal.sound)
        file = JournalFile(self.path, "", (), db=connect_to_read(self.path, logged=logged))
        # Every platform that something was ever settled for is told of: nobody says here which ones are
        # configured.
        file.settled.activate(file.resume.settled)
        file.count()
        return file

    def _states(self) -> _States:
        found = [
            path.stat() if path.exists() else None for path in (real(self.path), beside(self.path, "-wal"))
        ]
        return tuple((each.st_size, each.st_mtime_ns) if each else None for each in found)

    def must_rest(self) -> None:
        """Raises JournalBusy when the files have changed since they were opened: what was read may be
        torn.
        """
        if self._states() != self._seen or is_locked(self.directory):
            raise JournalBusy(
                f"a gateway was started on {self.directory} meanwhile: what was read may not fit together",
                hint="ask again: the running gateway answers",
            )

    def stats(self) -> JournalStats:
        """How the journal is; nobody knows how long the room lasts while nothing is written."""
        file, cases = self._file, DamagedCases(self.directory)
        cases.find()
        return JournalStats(
            **file_stats(file, file.resume),
            bytes=file.store.size,
            budget=file.store.size,
            room_days=None,
            damaged=tuple(case.progress() for case in cases.all),
        )

    def epochs(self) -> list[Seqs]:
        """(epoch, first seq, last seq), oldest first, those of damaged files in front."""
        return self._file.epochs()

    def find(self, epoch: str, first: int, last: int, limit: int) -> list[Sealed]:
        """What is held of an epoch between two numbers, oldest first. Raises JournalError for a row that
        is damaged.
        """
        try:
            return self._file.find(epoch, first, last, limit)
        except (JournalDamaged, sqlite3.Error) as error:
            self.must_rest()
            raise JournalError(
                f"{self.path}: {error}", hint=f"look into it: submeter journal salvage {self.path}"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def batch_json(sealed: Sealed) -> dict[str, Any]:
    """A batch for the API and `submeter journal`: its header, `bytes` of its body, and the `batch` itself."""
    header = {field.name: getattr(sealed, field.name) for field in fields(sealed) if field.name != "body"}
    return {**header, "bytes": len(sealed.body), "batch": json.loads(decompress(sealed.body))}
