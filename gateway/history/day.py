"""A local day of one register: value, quality and published version of each quarter hour, packed into a few
hundred bytes.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from gateway.energy import QUARTER, Manifest
from gateway.errors import HistoryDamaged
from gateway.model import Interval

_HEAD: Final = struct.Struct("<qBB")
_WIDTHS: Final = (("b", 7), ("h", 15), ("i", 31), ("q", 63))
"""Letter of struct, and bits of a value without its sign."""
LETTERS: Final = ("m", "e", "s", "d")
REVISED: Final = (0, "")
"""Stands in `pending` for what was revised before its first publication, which may be under way."""


class Day:
    """`n` quarter hours from `start` (ms UTC): 92, 96 or 100.

    `pending`: index → what was published last of an interval that is another one now; None or REVISED where
    nothing was.
    """

    __slots__ = ("due", "manifest", "n", "pending", "quality", "start", "values", "version")

    def __init__(self, start: int, n: int) -> None:
        self.start = start
        self.n = n
        self.values = [0] * n
        self.quality = [""] * n
        self.version = [0] * n
        self.pending: dict[int, tuple[int, str] | None] = {}
        self.manifest = 0
        """The highest version of a manifest that was published."""
        self.due = False
        """Something was published since that manifest."""

    def interval(self, index: int, meter: str, quantity: str) -> Interval | None:
        """What is known of a quarter hour; None where there is nothing. `version` 0: not published yet."""
        letter = self.quality[index]
        if not letter:
            return None
        start = self.start + index * QUARTER
        return Interval(meter, quantity, start, self.values[index], letter, self.version[index])

    @property
    def known(self) -> list[int | None]:
        """The value of each quarter hour, None where there is nothing."""
        if all(self.quality):
            return list(self.values)
        return [value if letter else None for value, letter in zip(self.values, self.quality, strict=True)]

    def put(self, index: int, value: int, quality: str, *, corrected: bool) -> None:
        """A quarter hour has this value now; it waits to be published unless that was published last."""
        if self.version[index]:
            now = (self.values[index], self.quality[index])
            published = self.pending.get(index) or now
            if published == (value, quality):
                self.pending.pop(index, None)
            else:
                self.pending[index] = published
        else:
            self.pending[index] = REVISED if corrected else self.pending.get(index)
        self.values[index], self.quality[index] = value, quality

    def publish(self, index: int, value: int, quality: str, version: int) -> bool:
        """It was published; whether that is news. What differs from it and waits, waits on."""
        if version <= self.version[index]:
            return False
        differs = (self.values[index], self.quality[index]) != (value, quality)
        self.version[index] = version
        self.due = True
        if differs and self.pending.get(index) is not None:
            self.pending[index] = (value, quality)
        else:
            # The first publication is a fact: what was computed of it by itself does not count.
            self.values[index], self.quality[index] = value, quality
            self.pending.pop(index, None)
        return True

    def published(self) -> Iterator[tuple[int, int, str, int]]:
        """(index, value, quality, version) of what the platform has been given, by start."""
        for index, version in enumerate(self.version):
            if version:
                now = (self.values[index], self.quality[index])
                value, quality = self.pending.get(index) or now
                yield index, value, quality, version

    def manifest_of(self, meter: str, quantity: str, day: date, version: int) -> Manifest:
        """What the platform must hold of it."""
        intervals = [
            Interval(meter, quantity, self.start + index * QUARTER, value, quality, number)
            for index, value, quality, number in self.published()
        ]
        return Manifest.of(meter, quantity, day, version, intervals)

    @property
    def complete(self) -> bool:
        """Every quarter hour was published, and nothing waits."""
        return not self.pending and all(self.version)

    def sums(self) -> tuple[int, int, int, int, int, int]:
        """(sum, intervals, measured, estimated, suspect, edited)."""
        letters = [self.quality.count(letter) for letter in LETTERS]
        return (sum(self.values), sum(letters), *letters)  # type: ignore[return-value]

    def row(self) -> tuple[object, ...]:
        """As the table has it, behind day and series."""
        return (*self.sums(), len(self.pending), self.manifest, int(self.due), self.pack())

    def pack(self) -> bytes:
        """The bytes that `unpack` reads, compressed."""
        widest = max(*self.values, -min(self.values))
        width = next(k for k, (_, bits) in enumerate(_WIDTHS) if widest < 2**bits)
        waiting = [[index, *(published or ())] for index, published in self.pending.items()]
        plain = b"".join(
            (
                _HEAD.pack(self.start, self.n, width),
                "".join(letter or "-" for letter in self.quality).encode(),
                struct.pack(f"<{self.n}I", *self.version),
                struct.pack(f"<{self.n}{_WIDTHS[width][0]}", *self.values),
                json.dumps(waiting, separators=(",", ":")).encode() if waiting else b"",
            )
        )
        return zlib.compress(plain, 6)

    @classmethod
    def unpack(cls, data: bytes) -> Day:
        """What `pack` gave. Raises HistoryDamaged."""
        try:
            plain = zlib.decompress(data)
            start, values, quality, at = _read(plain)
            day = cls(start, n := len(values))
            day.values, day.quality = values, [*quality]
            day.version = list(struct.unpack_from(f"<{n}I", plain, _HEAD.size + n))
            if at < len(plain):
                for index, *published in json.loads(plain[at:]):
                    day.pending[index] = (published[0], published[1]) if published else None
        except (zlib.error, struct.error, ValueError, LookupError, TypeError) as error:
            raise _unreadable(error) from error
        return day

    @staticmethod
    def values_of(data: bytes) -> tuple[int, list[int], Sequence[str]]:
        """Start, values and letters of what `pack` gave, for who needs no more of many days. Raises
        HistoryDamaged.
        """
        try:
            start, values, quality, _ = _read(zlib.decompress(data))
        except (zlib.error, struct.error, ValueError, LookupError) as error:
            raise _unreadable(error) from error
        return start, values, quality


def _read(plain: bytes) -> tuple[int, list[int], Sequence[str], int]:
    """Start, values, letters, and where what follows them begins."""
    start, n, width = _HEAD.unpack_from(plain)
    at = _HEAD.size
    letters = plain[at : at + n].decode()
    letter, bits = _WIDTHS[width]
    values = list(struct.unpack_from(f"<{n}{letter}", plain, at + 5 * n))
    quality = ["" if letter == "-" else letter for letter in letters] if "-" in letters else letters
    return start, values, quality, at + 5 * n + n * (bits + 1) // 8


def _unreadable(error: Exception) -> HistoryDamaged:
    return HistoryDamaged(
        f"a day of the history cannot be read: {error}",
        hint="the running gateway makes it again, from its copy and the stored readings",
    )
