"""What damage of a file is, how it is told from a file system that refuses, and what is said of either."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import JournalBusy, JournalDamaged, JournalError, JournalFull, JournalTooNew
from gateway.journal.paths import blocked, not_ours

DISK = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
}
"""The file system, or somebody else, refuses: the file may be sound."""

DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_CONSTRAINT}

_UNREADABLE = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
"""A sector that cannot be read is damage like any other: what lies beside it comes back by salvage."""

_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What comes of values that SQLite reads without complaint and that nobody has written."""


def damaged(path: Path, what: str) -> JournalDamaged:
    """The error for a file that must be moved aside; `what` is wrong with it, in words."""
    return JournalDamaged(
        f"{path} is not a sound journal: {what}",
        hint="it is moved aside and salvaged; polling goes on in a new file",
    )


@contextmanager
def only_what_was_written(path: Path) -> Iterator[None]:
    """Around whatever is made of a file's contents: values that make no sense are damage. Raises
    JournalDamaged.
    """
    try:
        yield
    except _NONSENSE as error:
        raise damaged(path, f"it holds what no journal holds: {type(error).__name__}: {error}") from error


def primary(error: BaseException) -> int:
    """SQLite's primary result code of an error; 0 when it has none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def translate(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """Our error for SQLite's, or the same one when it is the file system that refused."""
    code = primary(error)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return JournalBusy(
            f"{path} is held by another process",
            hint="stop the other gateway, or ask it through `submeter status`",
        )
    unreadable = getattr(error, "sqlite_errorcode", 0) in _UNREADABLE
    # Python's own verdict on what it read has no code; nor has a call on a closed file, but that says nothing
    # of the file.
    undecoded = not hasattr(error, "sqlite_errorcode") and not isinstance(error, sqlite3.ProgrammingError)
    nonsense = code == sqlite3.SQLITE_ERROR and any(
        word in str(error) for word in ("no such", "unsupported file format", "malformed")
    )
    if code in DAMAGE or unreadable or undecoded or nonsense:
        return damaged(path, str(error))
    return error


def refusal(error: Exception, path: Path) -> JournalFull:
    """What to tell those whose readings cannot be committed at the moment."""
    if primary(error) == sqlite3.SQLITE_FULL:
        return JournalFull(
            f"the disk of {path.parent} is full", hint="make room on it; readings wait in memory until then"
        )
    if not isinstance(error, (JournalTooNew, JournalDamaged)) and (place := blocked(path)) is not None:
        return not_ours(path, place)
    if isinstance(error, JournalError):
        return JournalFull(error.message, hint=error.hint)
    return JournalFull(
        f"{path} cannot be written: {error}",
        hint="check the card or disk; readings wait in memory until then",
    )
