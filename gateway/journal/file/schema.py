"""The tables of journal.db and how a file is opened. Each version that was ever shipped stays in the tests
and must upgrade.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sqlite_utils import Database, Migrations

from gateway.common.file_versions import WRITABLE, newest_writable
from gateway.errors import JournalError, JournalTooNew
from gateway.journal.damage import DAMAGE, DISK, damaged, primary, translate
from gateway.journal.paths import read_regular, real

FILE = "journal.db"
VERSION = WRITABLE[FILE][1]
"""PRAGMA user_version of what this program writes, but for a trial."""

PAGE = 1024
"""Of a new file; one that was begun with others keeps them. Small, because a commit writes three or four
pages, and rows pack better. The figures stand in docs/journal.md.
"""

CHECKPOINT = 1000
"""WAL pages after which SQLite copies them into the file: about 1 MB, reused from then on."""

TABLES = ("batch", "epoch", "gone", "salvage", "salvage_settled")

Synchronous = Literal["FULL", "NORMAL"]
"""FULL is the promise. NORMAL exists for the proof that the promise is tested: it must lose."""

migrations = Migrations("journal")

_ROW = """epoch BLOB NOT NULL, boot BLOB NOT NULL, readings INTEGER NOT NULL, vals INTEGER NOT NULL, \
total INTEGER NOT NULL,
    t0 INTEGER NOT NULL, uptime INTEGER NOT NULL, clock INTEGER NOT NULL, keep INTEGER NOT NULL, \
crc INTEGER NOT NULL,
    carry TEXT NOT NULL, body BLOB NOT NULL"""


@migrations()
def v1_batches(db: Database) -> None:
    """Batches, the epochs they belong to, what is gone and why, and rows saved from damaged files."""
    for statement in (
        f"CREATE TABLE batch (seq INTEGER PRIMARY KEY, {_ROW}) STRICT",
        "CREATE TABLE epoch (first INTEGER PRIMARY KEY, epoch BLOB NOT NULL, reason TEXT NOT NULL) STRICT",
        """CREATE TABLE gone (epoch BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, \
readings INTEGER NOT NULL,
           reason TEXT NOT NULL, told INTEGER NOT NULL, PRIMARY KEY (epoch, first)) STRICT, WITHOUT ROWID""",
        f"CREATE TABLE salvage (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, {_ROW}) STRICT",
        "CREATE UNIQUE INDEX salvage_identity ON salvage (epoch, seq)",
        """CREATE TABLE salvage_settled (uplink TEXT NOT NULL, epoch BLOB NOT NULL, ranges TEXT NOT NULL,
           PRIMARY KEY (uplink, epoch)) STRICT, WITHOUT ROWID""",
        "PRAGMA user_version = 1",
    ):
        db.conn.execute(statement)


@migrations()
def v2_who_told(db: Database) -> None:
    """Who told of what is gone and of where an epoch begins: the number of that batch, 0 for nobody yet,
    -1 for nobody needs it.
    """
    for statement in (
        "ALTER TABLE epoch ADD COLUMN previous BLOB",
        "ALTER TABLE epoch ADD COLUMN last INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE epoch ADD COLUMN told INTEGER NOT NULL DEFAULT -1",
        """UPDATE epoch SET last = first - 1,
           previous = (SELECT e.epoch FROM epoch e WHERE e.first < epoch.first ORDER BY e.first DESC LIMIT 1)
           WHERE first > (SELECT MIN(first) FROM epoch)""",
        # Of a file that followed a damaged one, nobody knows any more what came before its first epoch.
        """UPDATE epoch SET told = CASE
           WHEN first IN (SELECT seq FROM batch) THEN first
           WHEN first IN (SELECT e.first FROM epoch e JOIN gone g ON g.epoch = e.epoch AND e.first BETWEEN \
g.first AND g.last
                          WHERE g.reason = 'thinned') THEN 0
           ELSE -1 END
           WHERE previous IS NOT NULL OR reason = 'new_file'""",
        # The batch that told was not noted: whatever somebody may still need to hear is said once more.
        "UPDATE gone SET told = CASE reason WHEN 'delivered' THEN -1 ELSE 0 END",
        "CREATE INDEX gone_told ON gone (told) WHERE told >= 0",
        "PRAGMA user_version = 2",
    ):
        db.conn.execute(statement)


def connect(path: Path, synchronous: Synchronous = "FULL") -> Database:
    """The opened, migrated file; creates it when absent. A migration that fails leaves the file as it was.

    Raises JournalBusy, JournalTooNew, JournalDamaged, and sqlite3.OperationalError for what the file system
    refuses.
    """
    _check_header(path)
    conn = sqlite3.connect(
        path, isolation_level=None, timeout=2, check_same_thread=False, cached_statements=64
    )
    conn.text_factory = text
    try:
        version = _prepare(conn, path, synchronous)
        db = Database(conn, execute_plugins=False)
        waits = VERSION - newest_writable(FILE, VERSION)
        if len(migrations.pending(db)) > waits:
            _migrate(db, path, version, VERSION - waits)
    except sqlite3.DatabaseError as error:
        conn.close()
        raise translate(error, path) from error
    except BaseException:
        conn.close()
        raise
    return db


def connect_to_read(path: Path, *, logged: bool) -> Database:
    """The opened file, of this version or an older one, and nothing of it is ever written: no lock, no -shm,
    no migration, no checkpoint.

    `logged`: whether its WAL holds commits. Only then SQLite is shown the WAL: it removes one that holds
    nothing when it closes.
    Raises JournalDamaged, sqlite3.OperationalError.
    """
    _check_header(path)
    # Without locks of its own (nobody else has the file), exclusive mode keeps the WAL's index in memory;
    # what is opened for reading alone cannot be checkpointed, also not when it is closed.
    # https://www.sqlite.org/vfs.html, https://www.sqlite.org/uri.html
    how = "mode=ro&vfs=unix-none" if logged else "mode=ro&immutable=1"
    conn = sqlite3.connect(
        f"file:{quote(str(real(path)))}?{how}", uri=True, isolation_level=None, check_same_thread=False
    )
    conn.text_factory = text
    try:
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "cell_size_check = ON",
            "temp_store = MEMORY",
            "query_only = ON",
        ):
            conn.execute(f"PRAGMA {pragma}")
        version: int = conn.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        conn.close()
        raise translate(error, path) from error
    if version > VERSION:
        conn.close()
        raise damaged(
            path, f"it claims file version {version}, and all its steps are those of version {VERSION}"
        )
    return Database(conn, execute_plugins=False)


def _check_header(path: Path) -> None:
    """SQLite takes a file whose format numbers are too high for one that it must not write: here that is a
    flipped bit.

    Read before SQLite has it open: closing a second handle would let go of its locks.
    """
    try:
        header = read_regular(path, 20)
    except OSError:
        return  # SQLite will say the same, with its code
    # https://www.sqlite.org/fileformat2.html, 1.3.3
    if len(header) == 20 and not set(header[18:20]) <= {1, 2}:
        raise damaged(path, f"its header asks for file format {max(header[18:20])}")


def text(raw: bytes) -> str:
    """A TEXT column. Bytes that are no UTF-8 are damage: they become marks that fit no checksum, instead
    of an error without a code.
    """
    return raw.decode(errors="replace")


def _prepare(conn: sqlite3.Connection, path: Path, synchronous: Synchronous) -> int:
    """Set the connection up; the file's version. Raises JournalTooNew, JournalDamaged."""
    # The order matters: exclusive before the first access keeps SQLite from making a -shm file.
    for pragma in (
        "locking_mode = EXCLUSIVE",
        f"page_size = {PAGE}",
        "cell_size_check = ON",
        "secure_delete = OFF",
        "temp_store = MEMORY",
    ):
        conn.execute(f"PRAGMA {pragma}")
    version: int = conn.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        # A newer program has left a step here that is unknown; a flipped bit in the number has not.
        steps = {step.name for step in migrations.applied(Database(conn, execute_plugins=False))}
        if steps <= {step.name for step in migrations._migrations}:  # noqa: SLF001 - they are listed nowhere else
            raise damaged(
                path, f"it claims file version {version}, and all its steps are those of version {VERSION}"
            )
        raise too_new(path, version)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute(f"PRAGMA synchronous = {synchronous}")
    conn.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
    conn.execute("PRAGMA cache_size = -512")
    return version


def too_new(path: Path, version: int) -> JournalTooNew:
    """What to tell of a file that a newer program has written."""
    return JournalTooNew(
        f"{path} was written by a newer version of this program (file version {version}, known up to "
        f"{VERSION})",
        hint="install that version again, or move the file away to start an empty journal; it was not "
        "touched",
    )


def _migrate(db: Database, path: Path, version: int, to: int) -> None:
    """All steps up to a version, or none. Raises JournalError for a step that fails; what the disk refuses
    stays what it is.
    """
    steps = [step.name for step in migrations._migrations]  # noqa: SLF001 - they are listed nowhere else
    if {step.name for step in migrations.applied(db)} != set(steps[:version]):
        raise damaged(path, "its list of steps does not name those that made it")
    try:
        with db.atomic():
            migrations.apply(db, stop_before=steps[to:])
    except sqlite3.DatabaseError as error:
        if primary(error) in DISK | DAMAGE - {sqlite3.SQLITE_CONSTRAINT}:
            raise
        raise _unmigrated(path, error) from error
    except Exception as error:
        raise _unmigrated(path, error) from error


def _unmigrated(path: Path, error: Exception) -> JournalError:
    return JournalError(
        f"{path} could not be brought to file version {VERSION}: {error}",
        hint="the file is as it was: install the version before and keep a copy of it for whoever mends "
        "this; readings wait in memory",
    )
