"""What a local day of one register must hold, so that a receiver can prove that it does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.model import Interval


@dataclass(frozen=True, slots=True)
class Manifest:
    """`first` and `last`: first and last edge (ms UTC) of `count` published intervals with the sum `sum`, 0
    where there are none; `sha256` over their lines `start,value,quality,version`, ASCII, each with a line
    feed, by start.
    """

    meter: str
    quantity: str
    day: date
    version: int
    first: int
    last: int
    count: int
    sum: int
    sha256: str

    @classmethod
    def of(
        cls, meter: str, quantity: str, day: date, version: int, intervals: Sequence[Interval]
    ) -> Manifest:
        """Of a day's published intervals, the newest version of each, by start."""
        first = intervals[0].start if intervals else 0
        last = intervals[-1].start + intervals[-1].seconds * 1000 if intervals else 0
        lines = "".join(f"{each.start},{each.value},{each.quality},{each.version}\n" for each in intervals)
        total = sum(each.value for each in intervals)
        digest = hashlib.sha256(lines.encode("ascii")).hexdigest()
        return cls(meter, quantity, day, version, first, last, len(intervals), total, digest)

    def fields(self) -> dict[str, Any]:
        """As fields of an event."""
        return {
            "meter": self.meter,
            "quantity": self.quantity,
            "day": self.day.isoformat(),
            "version": self.version,
            "first": self.first,
            "last": self.last,
            "count": self.count,
            "sum": self.sum,
            "sha256": self.sha256,
        }

    @classmethod
    def told(cls, fields: dict[str, Any]) -> Manifest | None:
        """What `fields` gave; None for anything else."""
        try:
            numbers = [fields[name] for name in ("version", "first", "last", "count", "sum")]
            texts = [fields[name] for name in ("meter", "quantity", "sha256")]
            whole = all(type(number) is int for number in numbers)
            if not whole or not all(type(text) is str for text in texts):
                return None
            day = date.fromisoformat(fields["day"])
        except (KeyError, ValueError, TypeError):
            return None
        version, first, last, count, total = numbers
        return cls(texts[0], texts[1], day, version, first, last, count, total, texts[2])
