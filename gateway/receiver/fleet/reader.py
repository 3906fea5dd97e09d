"""A connection that only reads, each time for two seconds at most: a visitor costs the receivers nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from gateway.errors import JournalError
from gateway.receiver.store import is_server, shown
from gateway.receiver.store.sql import Sql

PATIENCE = 2.0
"""s for all that is asked at once."""
STEPS = 20_000
"""Of SQLite's machine, between two looks at the clock."""


class FleetReader(Protocol):
    """One thread at a time."""

    @property
    def conn(self) -> Sql:
        """Statements in the common form."""

    def asking(self) -> AbstractContextManager[None]:
        """One moment of the database. Raises JournalError when it takes too long, or the database is away."""

    def close(self) -> None:
        """Close the connection."""


class SqliteReader:
    """Reads a SQLite file through a connection that cannot write."""

    def __init__(self, path: Path) -> None:
        self._name = str(path)
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self.conn = sqlite3.connect(
            uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        self._deadline = 0.0
        self.conn.set_progress_handler(lambda: time.monotonic() > self._deadline, STEPS)

    @contextmanager
    def asking(self) -> Iterator[None]:
        self._deadline = time.monotonic() + PATIENCE
        try:
            self.conn.execute("BEGIN")
            yield
        except sqlite3.Error as error:
            raise _unreadable(self._name, error) from error
        finally:
            self.conn.rollback()

    def close(self) -> None:
        self.conn.close()


def open_reader(database: Path | str) -> FleetReader:
    """Of a database that a receiver has made. Raises JournalError."""
    if is_server(database):
        from gateway.receiver.fleet.postgres import PostgresReader  # noqa: PLC0415 - needs its library

        return PostgresReader(str(database), shown(database))
    try:
        return SqliteReader(Path(database))
    except sqlite3.Error as error:
        raise _unreadable(str(database), error) from error


def _unreadable(name: str, error: Exception) -> JournalError:
    return JournalError(
        f"{name}: {error}",
        hint="is a receiver at work on it? it makes the tables; else try again in a minute",
    )
