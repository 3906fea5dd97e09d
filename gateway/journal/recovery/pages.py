"""SQLite's file format, as much of it as salvage needs: rows out of single pages, whatever became of the
rest. Pure.

https://www.sqlite.org/fileformat2.html - sections 1.6 (b-tree pages), 2.1 (records), 4 (the write-ahead log).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.journal.file.rows import BatchRow, from_record
from gateway.journal.file.schema import PAGE

LEAF, INDEX_LEAF = 0x0D, 0x0A
MAX_ROW = 256 << 10
"""A payload that claims more bytes than this is not one of ours."""

MAX_HEADER = 40
"""Bytes of a record's header, at most, in any table of ours."""

SIZES = (PAGE, 4096)
"""Bytes of a page in the files that were ever written: guessed among when the header does not say."""

ReadPage = Callable[[int], bytes]
"""Page number (from 1) to its bytes; empty when there is no such page."""

_INT_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_COLUMNS = 13
"""Of the table `batch`. A row of `salvage` has one more in front."""


def page_size(header: bytes) -> int:
    """Bytes of a page, by a file's first 100 bytes; 0 when they are no header."""
    if header[:16] != b"SQLite format 3\0" or len(header) < 100:  # the header's size
        return 0
    said = int.from_bytes(header[16:18], "big")
    return _power(1 << 16 if said == 1 else said)


def _power(size: int) -> int:
    return size if 512 <= size <= 1 << 16 and size & (size - 1) == 0 else 0  # the smallest page there is


def leaves(data: bytes, size: int) -> int:
    """At how many multiples of `size` a page of a table begins whose cells all lie within so many bytes."""
    found = 0
    for at in range(0, len(data) - size + 1, size):
        count = int.from_bytes(data[at + 3 : at + 5], "big")
        start = 8 + 2 * count
        if data[at] == LEAF and count > 0 and start < size:
            places = struct.unpack_from(f">{count}H", data, at + 8)
            found += start <= min(places) and max(places) < size
    return found


def varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, next position). Raises IndexError at the end of the data."""
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # the bit that says that more follows
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9


def record(payload: bytes) -> list[Any]:
    """The values of a record. Raises IndexError, ValueError for what is none."""
    end, at = varint(payload, 0)
    sizes = []
    while at < end:
        kind, at = varint(payload, at)
        # Serial types.
        sizes.append((kind, _INT_SIZES.get(kind, 8 if kind == 7 else 0 if kind < 12 else (kind - 12) // 2)))
    if at != end or end + sum(size for _, size in sizes) != len(payload):
        raise ValueError("the record does not fill its payload")
    values: list[Any] = []
    at = end
    for kind, size in sizes:
        chunk = payload[at : at + size]
        at += size
        if kind in _INT_SIZES:
            values.append(int.from_bytes(chunk, "big", signed=True))
        elif kind == 7:  # serial type of a float
            values.append(struct.unpack(">d", chunk)[0])
        elif kind < 12:  # NULL, 0, 1
            values.append({8: 0, 9: 1}.get(kind))
        else:
            values.append(chunk.decode(errors="replace") if kind % 2 else chunk)
    return values


def payload(page: bytes, at: int, size: int, read: ReadPage) -> bytes:
    """A cell's payload of `size` bytes that begins at `at`, overflow pages included. Raises ValueError,
    IndexError, struct.error.
    """
    whole = len(page)
    largest = whole - 35
    local = size
    if size > largest:
        smallest = (whole - 12) * 32 // 255 - 23
        local = smallest + (size - smallest) % (whole - 4)
        local = local if local <= largest else smallest
    parts = [page[at : at + local]]
    missing = size - local
    if missing:
        follow = struct.unpack_from(">I", page, at + local)[0]
        while missing > 0:
            extra = read(follow)
            if len(extra) != whole:
                raise ValueError("an overflow page is missing")
            parts.append(extra[4 : 4 + min(missing, whole - 4)])
            missing -= whole - 4
            follow = struct.unpack_from(">I", extra)[0]
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A sound row; `own` says that it stood in the table `batch`, not among those saved from an older
    file.
    """

    row: BatchRow
    own: bool


def cell(page: bytes, at: int, read: ReadPage) -> FoundRow | None:
    """The sound row in the cell at `at`; None for a record that is none. Its checksum makes the guess
    certain.

    Raises ValueError, IndexError, struct.error when there is no record at all.
    """
    size, at = varint(page, at)
    rowid, at = varint(page, at)
    # The length of the record's header, before anything is read: 13 or 14 columns take 14 to 40 bytes, other
    # tables less.
    if size > MAX_ROW or page[at] > MAX_HEADER:
        raise ValueError("no table of ours has such a record")
    values = record(payload(page, at, size, read))
    if len(values) not in {_COLUMNS, _COLUMNS + 1}:
        return None
    own = len(values) == _COLUMNS
    row = from_record([rowid, *values[1:]] if own else values[1:])
    return FoundRow(row, own) if row else None


def rows(page: bytes, number: int, read: ReadPage) -> Iterator[FoundRow | None]:
    """Every sound row of a page; when its own directory of cells is damaged, every place is tried.

    That takes a while: a None now and then lets the caller look at the clock.
    """
    head = 100 if number == 1 else 0
    if not page or page[head] != LEAF:
        return
    count = struct.unpack_from(">H", page, head + 3)[0]
    whole = head + 8 + 2 * count <= len(page)
    seen = set()
    for place in struct.unpack_from(f">{count}H", page, head + 8) if whole else ():
        try:
            one = cell(page, place, read)
        except (IndexError, ValueError, struct.error):
            whole = False
            continue
        if one:
            seen.add(one.row.seq)
            yield one
    for place in () if whole else range(head + 8, len(page) - _COLUMNS):
        if place % 256 == 0:
            yield None
        try:
            one = cell(page, place, read)
        except (IndexError, ValueError, struct.error):
            continue
        if one and one.row.seq not in seen:
            seen.add(one.row.seq)
            yield one


def gone(page: bytes) -> Iterator[tuple[str, int, int, int, str]]:
    """(epoch, first, last, readings, reason) of every plausible entry of the table `gone` in a page."""
    if not page or page[0] != INDEX_LEAF:
        return
    count = struct.unpack_from(">H", page, 3)[0]
    if 8 + 2 * count > len(page):
        return
    for place in struct.unpack_from(f">{count}H", page, 8):
        try:
            size, at = varint(page, place)
            epoch, first, last, readings, reason, _ = record(page[at : at + size])
            if (
                len(epoch) == 8
                and 0 < first <= last < 2**53
                and 0 <= readings < 2**53
                and reason in {"delivered", "thinned", "damaged"}
            ):
                yield epoch.hex(), first, last, readings, reason
        except (IndexError, ValueError, TypeError, struct.error):
            continue


class Wal:
    """The pages of a write-ahead log: `sound` by number (the newest of each that is checksummed and
    committed), `loose` the others.

    `size` of a page is believed when the log's own header is not sound.
    """

    def __init__(self, data: bytes, size: int = PAGE) -> None:
        self.sound: dict[int, bytes] = {}
        self.loose: list[tuple[int, bytes]] = []
        self.loose_commits = 0
        order, check, said = _log_header(data)
        salt, good = data[16:24], said > 0
        size = said or size
        pending: list[tuple[int, bytes]] = []
        for at in range(32, len(data) - size - 23, size + 24):
            number, commit = struct.unpack_from(">2I", data, at)
            page = data[at + 24 : at + 24 + size]
            if good:
                check = _checksum(page, order, _checksum(data[at : at + 8], order, check))
                good = data[at + 8 : at + 16] == salt and check == struct.unpack_from(">2I", data, at + 16)
            if not good:
                if data[at + 8 : at + 16] == salt or not self.sound:
                    self.loose.append((number, page))
                    self.loose_commits += commit > 0
                continue
            pending.append((number, page))
            if commit:
                self.sound.update(pending)
                pending.clear()


def _log_header(data: bytes) -> tuple[str, tuple[int, int], int]:
    """(byte order of the checksums, the header's own, bytes of a page); 0 bytes when the header is not
    sound.
    """
    order = "<" if data[:4] == b"\x37\x7f\x06\x82" else ">"
    check = _checksum(data[:24], order, (0, 0))
    good = len(data) >= 32 and check == struct.unpack_from(">2I", data, 24)  # the header's size
    return order, check, _power(struct.unpack_from(">I", data, 8)[0]) if good else 0


def log_page_size(data: bytes) -> int:
    """Bytes of a page, by a write-ahead log's header; 0 when it is not sound."""
    return _log_header(data)[2]


def _checksum(data: bytes, order: str, start: tuple[int, int]) -> tuple[int, int]:
    one, two = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data[: len(data) // 4 * 4])
    for index in range(0, len(words) - 1, 2):
        one = (one + words[index] + two) & 0xFFFFFFFF
        two = (two + words[index + 1] + one) & 0xFFFFFFFF
    return one, two
