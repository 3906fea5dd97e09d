"""Rows back out of a damaged file: page by page, in slices, whatever is left of its tree. A row is sound
when its CRC is.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from gateway.journal.file.resume import ResumePoint, Synced, read_carry
from gateway.journal.file.rows import COLUMNS, BatchRow, from_record
from gateway.journal.file.schema import text
from gateway.journal.paths import beside, open_regular, read_regular, real, size_of
from gateway.journal.recovery import pages
from gateway.journal.recovery.pages import FoundRow, Wal

SAMPLES, SAMPLE = 64, 1 << 16
"""How many pieces of how many bytes of a file without a header are looked at."""

MOST_LOG = 64 << 20
"""Bytes of a WAL that are read: one of ours has about 1 MB."""


class PageScan:
    """Every sound row of a file and of its WAL, and what the file knew to be gone. `page` of `pages` are
    read.
    """

    def __init__(self, path: Path) -> None:
        self._handle: int | None = None
        self.page = 0
        self.whole = False
        """Whether the file itself has a row: then it is one of ours, and what it lacks is not all that was
        ever in it.
        """
        self.gone: set[tuple[str, int, int, int, str]] = set()
        with suppress(OSError):
            self._handle = open_regular(path)
        log = b""
        with suppress(OSError):
            log = read_regular(beside(path, "-wal"), MOST_LOG)
        length = os.fstat(self._handle).st_size if self._handle is not None else 0
        self.size = pages.page_size(self._piece(0, 100)) or pages.log_page_size(log) or self._guess(length)
        self.pages = -(-length // self.size)
        self.wal = Wal(log, self.size)

    def _guess(self, length: int) -> int:
        """Without a sound header: the size at whose multiples the most pages of rows begin."""
        step = max(SAMPLE, length // SAMPLES // SAMPLE * SAMPLE)
        seen = [self._piece(at, SAMPLE) for at in range(0, length, step)]
        return max(pages.SIZES, key=lambda size: sum(pages.leaves(piece, size) for piece in seen))

    def _piece(self, at: int, length: int) -> bytes:
        try:
            return os.pread(self._handle, length, at) if self._handle is not None else b""
        except OSError:
            return b""

    def read(self, number: int) -> bytes:
        """A page as the file alone has it; empty when it is not there in full or cannot be read."""
        page = self._piece((number - 1) * self.size, self.size) if number > 0 else b""
        return page if len(page) == self.size else b""

    def newest(self, number: int) -> bytes:
        """A page as the WAL has it, or else the file; empty when neither has it."""
        pages = self.wal.sound
        return pages.get(number) or self.read(number)

    def found(self) -> Iterator[list[FoundRow]]:
        """The rows, a few at a time: the WAL's committed pages first, then the file, then pages of the WAL
        that nothing vouches for.
        """
        pages = self.wal.sound
        for number, page in pages.items():
            yield from self._rows(page, number, self.newest)
        # The newest page is at the end of a file that grows.
        for number in range(self.pages, 0, -1):
            for found in self._rows(self.read(number), number, self.newest):
                self.whole |= any(one.own for one in found)
                yield found
            self.page += 1
        loose = dict(self.wal.loose)
        for number, page in self.wal.loose:
            yield from self._rows(page, number, lambda follow: loose.get(follow) or self.newest(follow))

    def _rows(self, page: bytes, number: int, read: pages.ReadPage) -> Iterator[list[FoundRow]]:
        self.gone.update(pages.gone(page))
        yield []
        for one in pages.rows(page, number, read):
            yield [one] if one else []

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def newest_in(path: Path, seconds: float = 1.0) -> ResumePoint:
    """The newest row that can be found in a short time, and what the newest carry says: enough to go on
    without a break.
    """
    resume = ResumePoint()
    carrier = 0
    end = time.monotonic() + seconds
    with PageScan(path) as scan:
        sound, claimed = newest_rows(path)
        for rows in chain([sound], ([one.row for one in found if one.own] for found in scan.found())):
            for row in rows:
                if row.seq > resume.seq:
                    resume.epoch, resume.boot, resume.seq, resume.total = (
                        row.sealed.epoch,
                        row.sealed.boot,
                        row.seq,
                        row.total,
                    )
                if row.carry and row.seq > carrier:
                    carrier = row.seq
                    resume.settled, resume.carried, resume.synced, resume.thinned, resume.lost = read_carry(
                        row.carry
                    )
                    if row.sealed.clock == "synced":
                        resume.synced = Synced(row.sealed.t0, row.sealed.uptime, row.sealed.boot)
            if time.monotonic() > end:
                break
    # A newest row that is not sound was taken all the same: its number is not given out again, and it can be
    # declared lost.
    for seq in sorted(claimed):
        resume.seq += seq == resume.seq + 1
    return resume


def newest_rows(path: Path) -> tuple[list[BatchRow], list[int]]:
    """The sound ones of the newest rows, and the numbers of all of them."""
    if size_of(path) is None:
        return [], []
    # Immutable: SQLite looks at the file alone, without its WAL, and changes nothing.
    try:
        with closing(sqlite3.connect(f"file:{quote(str(real(path)))}?immutable=1", uri=True)) as conn:
            conn.text_factory = text
            records = conn.execute(f"SELECT {COLUMNS} FROM batch ORDER BY seq DESC LIMIT 40").fetchall()  # noqa: S608 - names of our own
    except (sqlite3.Error, ValueError):  # ValueError: SQLite complains of a name that is no UTF-8
        return [], []
    return [row for row in map(from_record, records) if row], [record[0] for record in records]
