"""The tables of history.db and how the file is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from sqlite_utils import Database, Migrations

from gateway.common.file_versions import WRITABLE, newest_writable
from gateway.errors import HistoryDamaged, HistoryError

FILE: Final = "history.db"
VERSION: Final = WRITABLE[FILE][1]
"""PRAGMA user_version of what this program writes, but for a trial."""
SUMS: Final = 2
"""The version that has daily sums beside the intervals."""

migrations = Migrations("history")


@migrations()
def v1_days(db: Database) -> None:
    """A row per local day and register, what the engine knows, and what was lost with a file."""
    for statement in (
        """CREATE TABLE series (
           id INTEGER PRIMARY KEY, meter TEXT NOT NULL, quantity TEXT NOT NULL,
           UNIQUE (meter, quantity)) STRICT""",
        # By day first: a quarter hour changes rows that lie beside each other. `day` counts from 0001-01-01.
        """CREATE TABLE day (
           day INTEGER NOT NULL, series INTEGER NOT NULL, sum INTEGER NOT NULL, intervals INTEGER NOT NULL,
           measured INTEGER NOT NULL, estimated INTEGER NOT NULL, suspect INTEGER NOT NULL,
           edited INTEGER NOT NULL, pending INTEGER NOT NULL, manifest INTEGER NOT NULL, due INTEGER NOT NULL,
           data BLOB NOT NULL, PRIMARY KEY (day, series)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX day_waits ON day (day, series) WHERE pending > 0 OR due > 0",
        "CREATE TABLE known (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE lost (first INTEGER NOT NULL, last INTEGER NOT NULL) STRICT",
        """CREATE TABLE holiday (
           day INTEGER PRIMARY KEY, tr TEXT NOT NULL, en TEXT NOT NULL, half INTEGER NOT NULL) STRICT""",
        "PRAGMA user_version = 1",
    ):
        db.conn.execute(statement)


@migrations()
def v2_sums(db: Database) -> None:
    """A row per register and local day that is over, with what it took hour by hour (history/sums)."""
    # By series first: who looks at years of a register reads them in one piece.
    db.conn.execute(
        """CREATE TABLE day_sum (
           series INTEGER NOT NULL, day INTEGER NOT NULL, sum INTEGER NOT NULL, intervals INTEGER NOT NULL,
           measured INTEGER NOT NULL, estimated INTEGER NOT NULL, suspect INTEGER NOT NULL,
           edited INTEGER NOT NULL, quarters INTEGER NOT NULL, data BLOB NOT NULL,
           PRIMARY KEY (series, day)) STRICT, WITHOUT ROWID"""
    )
    db.conn.execute("PRAGMA user_version = 2")


def connect(path: Path) -> Database:
    """The opened, checked, migrated file; creates it when absent.

    Raises HistoryDamaged for a file that is none or fails its check, HistoryError for one of a newer version
    and for what the file system refuses.
    """
    if path.exists() and not path.is_file():
        raise HistoryDamaged(f"{path} is no file", hint="its copy of last night takes its place")
    try:
        conn = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
    except sqlite3.Error as error:
        raise HistoryError(
            f"{path} cannot be opened: {error}",
            hint="look at the rights of its folder, and whether the disk is full (df, df -i)",
        ) from error
    try:
        return _prepared(conn, path)
    except BaseException as error:
        conn.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise translate(error, path) from error
        raise


def _prepared(conn: sqlite3.Connection, path: Path) -> Database:
    # Pages of 4 kB: a row of a few hundred bytes in a table without rowid must fit a quarter of its page.
    for pragma in (
        "page_size = 4096",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "wal_autocheckpoint = 250",
        "cache_size = -512",
    ):
        conn.execute(f"PRAGMA {pragma}")
    _not_newer(conn.execute("PRAGMA user_version").fetchone()[0], path)
    check(conn, path)
    conn.execute("PRAGMA shrink_memory")  # the whole file was read, of which little is needed again
    db = Database(conn, execute_plugins=False)
    steps = [step.name for step in migrations._migrations]  # noqa: SLF001 - they are listed nowhere else
    waiting = {step.name for step in migrations.pending(db)} & {*steps[newest_writable(FILE, VERSION) :]}
    migrations.apply(db, stop_before=waiting)
    return db


def _not_newer(version: int, path: Path) -> None:
    if version > VERSION:
        raise HistoryError(
            f"{path} was written by a newer version of this program", hint="install that version again"
        )


def check(conn: sqlite3.Connection, path: Path) -> None:
    """Raises HistoryDamaged when the file contradicts itself."""
    said = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        raise HistoryDamaged(f"{path} is damaged: {said}", hint="its copy of last night takes its place")


def translate(error: sqlite3.Error, path: Path) -> HistoryError:
    """What SQLite says, as one of ours: a disk that is full or refuses is no damage."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}:
        return HistoryDamaged(f"{path} is damaged: {error}", hint="its copy of last night takes its place")
    return HistoryError(
        f"{path} cannot be used at the moment: {error}", hint="is the disk full? It is tried again"
    )
