"""What must be seen before SQLite opens a file: it passes over some kinds of damage in silence, and it
changes what it opens.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from gateway.journal.damage import damaged
from gateway.journal.file.schema import TABLES, VERSION, too_new
from gateway.journal.paths import beside, read_regular, real, size_of, standing
from gateway.journal.recovery import pages
from gateway.journal.recovery.scan import PageScan, newest_rows

_MAGIC = b"SQLite format 3\0"
_STEP = re.compile(rb"journal(?:v(\d{1,6})_)")
_HEAD = 64
"""Pages at the beginning of a file among which the list of its steps stands."""


def examine(path: Path) -> None:
    """Raise JournalDamaged for a file that must be moved aside, JournalTooNew for one of a newer version;
    touches nothing.
    """
    wal = beside(path, "-wal")
    for file in (path, wal):
        if what := standing(file, link=file is path):
            raise damaged(path, f"{what} stands in the place of {file}")
    size, logged = size_of(path), size_of(wal) or 0
    if size is None and not logged:
        return
    head = _head(path)
    if logged and not size:
        state = "missing" if size is None else "empty"
        raise damaged(path, f"it is {state}, but {wal.name} holds what was to go into it")
    if logged and head[: len(_MAGIC)] != _MAGIC:
        raise damaged(path, f"it is no SQLite file, but {wal.name} holds what was to go into it")
    if logged and not pages.log_page_size(begin := _head(wal)) and any(begin[:32]):
        raise damaged(path, f"{wal} is no write-ahead log")
    with PageScan(path) as scan:
        _check_version(path, scan)
        if wal_is_damaged(path, scan):
            raise damaged(path, f"{wal} holds batches behind a damaged place")
    if foreign(path):
        raise damaged(path, "it is a file of another program")


def _head(path: Path) -> bytes:
    try:
        return read_regular(path, 100)
    except OSError:
        return b""


def _check_version(path: Path, scan: PageScan) -> None:
    first = scan.newest(1)
    version = int.from_bytes(first[60:64], "big") if first[: len(_MAGIC)] == _MAGIC else 0
    if version <= VERSION:
        return
    # A newer program has left a step here that is unknown; a flipped bit in the number has not.
    looked = [*scan.wal.sound.values(), *(scan.newest(number) for number in range(1, _HEAD + 1))]
    if any(int(step) > VERSION for page in looked for step in _STEP.findall(page)):
        raise too_new(path, version)


def foreign(path: Path) -> bool:
    """Whether the file itself, without its WAL, has tables and none of them is ours."""
    if size_of(path) is None:
        return False
    try:
        with closing(sqlite3.connect(f"file:{quote(str(real(path)))}?immutable=1", uri=True)) as conn:
            names = {
                name
                for (name,) in conn.execute(
                    "SELECT CAST(name AS BLOB) FROM sqlite_master WHERE type = 'table'"
                )
            }
    except (sqlite3.Error, ValueError):
        return False  # SQLite says the same when it opens it
    return bool(names) and not names & {name.encode() for name in (*TABLES, "_sqlite_migrations")}


def wal_is_damaged(path: Path, scan: PageScan) -> bool:
    """Whether the WAL holds commits that SQLite would silently leave out.

    A power cut leaves at most one transaction half-written, the last. More commits behind a wrong checksum
    are rot.
    """
    wal = scan.wal
    if not wal.loose_commits:
        return False
    loose = dict(wal.loose)
    newest = max((row.seq for row in newest_rows(path)[0]), default=0)

    def highest(pages_: Iterable[tuple[int, bytes]], read: pages.ReadPage) -> int:
        return max(
            (
                one.row.seq
                for number, page in pages_
                for one in pages.rows(page, number, read)
                if one and one.own
            ),
            default=0,
        )

    newest = max(newest, highest(wal.sound.items(), lambda number: wal.sound.get(number, b"")))
    return wal.loose_commits > 1 and highest(wal.loose, lambda number: loose.get(number, b"")) > newest + 1
