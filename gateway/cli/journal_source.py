"""Where `submeter journal` gets its rows: from the running daemon, or from the files when none runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from gateway.cli import later
from gateway.cli.client import ControlClient, control_client
from gateway.cli.language import _
from gateway.cli.prose import say
from gateway.config import load_config
from gateway.host import STATE

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
        """The state of the journal, as JSON values."""
        return self._client.journal()

    def rows(self, first: int, last: int, epoch: str | None) -> Iterator[dict[str, Any]]:
        """Batches from `first` to `last`, oldest first, as JSON values."""
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
        self._reader = later.journal.JournalReader(directory)

    def status(self) -> dict[str, Any]:
        """The state of the journal, as JSON values."""
        return self._reader.stats().to_json()

    def rows(self, first: int, last: int, epoch: str | None) -> Iterator[dict[str, Any]]:
        """Batches from `first` to `last`, oldest first, as JSON values."""
        for name, low, high in self._reader.epochs():
            at, end = max(first, low), min(last, high)
            while epoch in {None, name} and at <= end:
                page = self._reader.find(name, at, end, PAGE)
                yield from map(later.journal.batch_json, page)
                at = page[-1].seq + 1 if page else end + 1

    def close(self) -> None:
        """Close the file. Raises JournalBusy when a gateway was started meanwhile: what was read may not
        fit together.
        """
        try:
            self._reader.must_rest()
        finally:
            self._reader.close()


@contextmanager
def journal_source(
    socket: Path | None, directory: Path | None, config: Path | None
) -> Iterator[JournalSource]:
    """The rows of the running gateway, or of the files of one that does not run. Raises GatewayError."""
    client = control_client(socket)
    if client is not None:
        with client:
            if config is not None:
                client.must_run(config)
            yield DaemonSource(client)
    else:
        place = directory or _folder(config)
        with closing(FileSource(place)) as source:
            say(
                _("no gateway runs: this is a look at the files in %(folder)s, none of them is changed")
                % {"folder": place},
                err=True,
            )
            yield source


def _folder(config: Path | None) -> Path:
    """The journal's folder by a configuration. Raises ConfigError."""
    if config is None:
        return STATE
    return Path(load_config(config).journal.directory)


def newest_batches(source: JournalSource, hours: float) -> Iterator[dict[str, Any]]:
    """The batches of the last hours before the newest one, oldest first, as they were sent."""
    state = source.status()
    newest, floor = state["seq"], min((epoch["first"] for epoch in state["epochs"]), default=1)
    at, step, last = newest, PAGE, None
    while at > floor:
        found = next(source.rows(at, at, None), None)
        if found is not None:
            last = found["t0"] if last is None else last
            if last - found["t0"] > hours * 3_600_000:
                break
        at, step = max(floor, at - step), 2 * step
    for row in source.rows(max(at, floor), newest, None):
        if last is None or last - row["t0"] <= hours * 3_600_000:
            yield row["batch"]
