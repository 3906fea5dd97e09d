"""Where `submeter journal` gets its rows: from the running daemon, or from the files when none runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gateway.errors import JournalDamaged, JournalError

if TYPE_CHECKING:
    from gateway.cli.client import ControlClient
    from gateway.model import Sealed

PAGE = 100
"""Batches that are asked for at once."""


class Source(Protocol):
    """Answers as JSON values, the same from either side."""

    def status(self) -> dict[str, Any]:
        """The fields of JournalStats, and `epochs`."""

    def rows(self, first: int, last: int, epoch: str | None) -> Iterator[dict[str, Any]]:
        """Batches with their header, `bytes`, and `batch`; by epoch, oldest first."""


class DaemonSource:
    """Asks the daemon, a page at a time: its memory stays small, and its bus is not kept waiting."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def status(self) -> dict[str, Any]:
        """As Source."""
        return self._client.journal()

    def rows(self, first: int, last: int, epoch: str | None) -> Iterator[dict[str, Any]]:
        """As Source."""
        for found in self.status()["epochs"]:
            at, end = max(first, found["first"]), min(last, found["last"])
            while epoch in {None, found["epoch"]} and at <= end:
                page = self._client.journal_rows(at, end, PAGE, found["epoch"])
                yield from page
                at = page[-1]["seq"] + 1 if page else end + 1


class FileSource:
    """Opens the files itself. Raises JournalBusy, JournalTooNew, JournalDamaged, JournalError."""

    def __init__(self, directory: Path) -> None:
        from gateway.journal.evidence import Evidence  # noqa: PLC0415 - a command without this verb need not load SQLite
        from gateway.journal.lock import Lock  # noqa: PLC0415 - see above
        from gateway.journal.places import size_of  # noqa: PLC0415 - see above
        from gateway.journal.shelf import Shelf  # noqa: PLC0415 - see above

        path = directory / "journal.db"
        try:
            if size_of(path) is None:
                raise JournalError(f"there is no journal in {directory}", hint="name its folder with --directory")
            self._lock = Lock(directory)
        except PermissionError as error:
            raise JournalError(f"you may not open {directory}", hint="use sudo") from error
        try:
            self._shelf = Shelf(path, "", ())
            self._shelf.settled.activate(self._shelf.memory.settled)
            self._shelf.tally.count(self._shelf.last)
        except JournalDamaged as error:
            self._lock.release()
            hint = f"start the gateway, it moves the file aside and salvages it; or look into it: submeter journal salvage {path}"
            raise JournalError(error.message, hint=hint) from error
        except sqlite3.OperationalError as error:
            self._lock.release()
            raise JournalError(f"{path} cannot be opened: {error}", hint="use sudo; is the disk readable?") from error
        except BaseException:
            self._lock.release()
            raise
        evidence = Evidence(directory)
        evidence.read()
        self._cases = [asdict(case.progress()) for case in evidence.cases]
        self._path = path

    def status(self) -> dict[str, Any]:
        """As Source."""
        from gateway.journal.stats import JournalStats  # noqa: PLC0415 - see above

        shelf, oldest = self._shelf, self._shelf.tally.oldest
        stats = JournalStats(
            epoch=shelf.memory.epoch,
            seq=shelf.last,
            oldest_seq=oldest[0] if oldest else None,
            oldest_t0=oldest[1] if oldest else None,
            batches=shelf.tally.held[0],
            readings=shelf.tally.held[1],
            bytes=shelf.store.size,
            budget=shelf.store.size,
            room_days=None,
            taken=shelf.memory.total,
            backlog=shelf.tally.backlogs,
            thinned=shelf.thinned[0],
            thinned_readings=shelf.thinned[1],
            thinned_since=shelf.memory.thinned[1] if shelf.memory.thinned else None,
            thinned_until=shelf.memory.thinned[2] if shelf.memory.thinned else None,
            thinned_at=shelf.memory.thinned[3] if shelf.memory.thinned else None,
        )
        epochs = [{"epoch": epoch, "first": first, "last": last} for epoch, first, last in shelf.epochs()]
        return asdict(stats) | {"damaged": self._cases, "epochs": epochs}

    def rows(self, first: int, last: int, epoch: str | None) -> Iterator[dict[str, Any]]:
        """As Source."""
        for name, low, high in self._shelf.epochs():
            at, end = max(first, low), min(last, high)
            while epoch in {None, name} and at <= end:
                page = self._shelf.find(name, at, end, PAGE)
                yield from map(_row, page)
                at = page[-1].seq + 1 if page else end + 1

    def close(self) -> None:
        """Close the file and let others in."""
        self._shelf.store.close()
        self._lock.release()


def _row(sealed: Sealed) -> dict[str, Any]:
    from gateway.wire import decompress  # noqa: PLC0415 - see above

    header = {field.name: getattr(sealed, field.name) for field in fields(sealed) if field.name != "body"}
    return {**header, "bytes": len(sealed.body), "batch": json.loads(decompress(sealed.body))}
