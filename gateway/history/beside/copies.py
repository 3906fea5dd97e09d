"""The copy of last night, and what becomes of a damaged file."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from gateway.common.files import put_in_place
from gateway.errors import HistoryError
from gateway.history.schema import check, translate

log = logging.getLogger(__name__)


def copy_of(path: Path) -> Path:
    """Where the copy of a history stands."""
    return path.with_name(f"{path.name}.1")


def make_copy(path: Path) -> None:
    """Copy a history beside itself; the one before stays until the new one is whole and on disk.

    Raises HistoryError: HistoryDamaged when the history itself contradicts itself.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        with _opened(path, read_only=True) as source, _opened(new) as target:
            source.backup(target, pages=500, sleep=0.005)
            target.execute("PRAGMA journal_mode = DELETE")
            check(target, path)
        put_in_place(new, copy_of(path))
    except sqlite3.DatabaseError as error:
        raise translate(error, path) from error
    except OSError as error:
        raise HistoryError(f"{copy_of(path)} cannot be written: {error}", hint="is the disk full?") from error
    finally:
        _without(new)


def set_aside(path: Path) -> None:
    """Move a damaged history, or what stands in its place, aside for who wants to look at it. A file that
    was moved there before goes; a folder may hold somebody's files: it stays, and the new one gets a number.
    Raises HistoryError.
    """
    try:
        aside = next(name for name in _names_aside(path) if not name.is_dir())
        if path.is_dir():
            aside.unlink(missing_ok=True)
        path.replace(aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise HistoryError(
            f"{path} is damaged and cannot be moved aside: {error}",
            hint="let the service write to its folder, or delete the file: it is made again",
        ) from error


def _names_aside(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.damaged")
    for number in count(2):
        yield path.with_name(f"{path.name}.damaged-{number}")


def _without(new: Path) -> None:
    """No file that was only half written stays; what is no file is not ours."""
    with suppress(OSError):
        new.unlink(missing_ok=True)


def restore(path: Path) -> bool:
    """Put the copy in the place of a history that was moved aside; whether there was a sound one."""
    copy = copy_of(path)
    if not copy.exists():
        return False
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        with _opened(copy, read_only=True) as source, _opened(new) as target:
            source.backup(target)
            check(target, copy)
        put_in_place(new, path)
    except (sqlite3.DatabaseError, HistoryError, OSError) as error:
        log.error("%s cannot take the place of %s: %s", copy, path, error)  # noqa: TRY400 - no trace of ours
        return False
    finally:
        _without(new)
    return True


class _opened:  # noqa: N801 - used like a function
    """A connection that is closed at the end."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        name = f"file:{path}?mode=ro" if read_only else f"file:{path}"
        self._conn = sqlite3.connect(name, uri=True, isolation_level=None, timeout=5)

    def __enter__(self) -> sqlite3.Connection:
        return self._conn

    def __exit__(self, *_: object) -> None:
        self._conn.close()
