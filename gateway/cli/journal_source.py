"""Where `submeter journal` gets its rows: from the running daemon, or from the files when none runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gateway.cli.client import ControlClient

PAGE = 100
"""Batches that are asked for at once."""


class JournalSource(Protocol):
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
        """As JournalSource."""
        return self._client.journal()

    def rows(self, first: int, last: int, epoch: str | None) -> Iterator[dict[str, Any]]:
        """As JournalSource."""
        for found in self.status()["epochs"]:
            at, end = max(first, found["first"]), min(last, found["last"])
            while epoch in {None, found["epoch"]} and at <= end:
                page = self._client.journal_rows(at, end, PAGE, found["epoch"])
                yield from page
                at = page[-1]["seq"] + 1 if page else end + 1


class FileSource:
    """Looks at the files of a gateway that does not run, and changes none. Raises JournalBusy,
    JournalTooNew, JournalError.
    """

    def __init__(self, directory: Path) -> None:
        from gateway.journal import JournalReader

        self._reader = JournalReader(directory)

    def status(self) -> dict[str, Any]:
        """As JournalSource."""
        return self._reader.stats().to_json()

    def rows(self, first: int, last: int, epoch: str | None) -> Iterator[dict[str, Any]]:
        """As JournalSource."""
        from gateway.journal import batch_json

        for name, low, high in self._reader.epochs():
            at, end = max(first, low), min(last, high)
            while epoch in {None, name} and at <= end:
                page = self._reader.find(name, at, end, PAGE)
                yield from map(batch_json, page)
                at = page[-1].seq + 1 if page else end + 1

    def close(self) -> None:
        """Close the file. Raises JournalBusy when a gateway was started meanwhile: what was read may not
        fit together.
        """
        try:
            self._reader.must_rest()
        finally:
            self._reader.close()
