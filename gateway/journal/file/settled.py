"""What need not be sent any more: per uplink at most 64 ranges of seq, carried in the next row. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.model import Ranges

MOST = 64
"""Ranges per uplink. Beyond that the shortest are forgotten, never the newest: that costs a resend, never
a reading.
"""

DORMANT = 8
"""Uplinks that are no longer configured and whose ranges are still carried, in case one comes back."""


class Settled:
    """Ranges of seq by uplink; the uplinks of `active` are the ones that hold rows in the journal.

    Numbers that are gone need no sending: what is settled on both sides of them melts into one range, so that
    nothing but a row that is still to be sent ever parts two ranges.
    """

    def __init__(self, active: Iterable[str] = (), gone: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges: dict[str, Ranges] = {}
        self._gone = Ranges(gone)
        self.active: tuple[str, ...] = ()
        self.activate(active)

    def activate(self, uplinks: Iterable[str]) -> None:
        """Set which uplinks count; the others sleep, and the oldest sleepers are forgotten."""
        self.active = tuple(uplinks)
        for name in self.active:
            plain, at, _ = name.partition("@")
            if at and not self._ranges.get(name) and plain in self._ranges and plain not in self.active:
                self._ranges[name] = self._ranges.pop(
                    plain
                )  # an older version knew uplinks by their name alone
            self._ranges.setdefault(name, Ranges())
        asleep = [name for name in self._ranges if name not in self.active]
        for name in asleep[: max(0, len(asleep) - DORMANT)]:
            del self._ranges[name]

    @property
    def known(self) -> tuple[str, ...]:
        """Every uplink that something was settled for, active or asleep."""
        return tuple(name for name, ranges in self._ranges.items() if ranges)

    def of(self, uplink: str) -> Ranges:
        """The settled numbers of one uplink."""
        return self._ranges.setdefault(uplink, Ranges())

    def add(self, uplink: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Settle, and forget the shortest ranges beyond MOST."""
        mine = self.of(uplink)
        for first, last in ranges:
            mine.add(first, last)
            for end in (first - 1, last + 1):
                if beside := self._gone.around(end):
                    mine.add(*beside)
        mine.limit(MOST)

    def gone(self, ranges: Iterable[tuple[int, int]]) -> None:
        """These numbers are not in the journal any more: there is nothing left to send, to nobody."""
        for first, last in ranges:
            self._gone.add(first, last)
            low, high = self._gone.around(first) or (first, last)
            for mine in self._ranges.values():
                if mine.around(low - 1) or mine.around(high + 1):
                    mine.add(low, high)

    def by_all(self, first: int, last: int) -> Ranges:
        """The numbers between `first` and `last` that every active uplink has settled; all of them when
        there is no uplink.
        """
        common = Ranges([(first, last)]) if first <= last else Ranges()
        for name in self.active:
            for start, end in self.of(name).gaps(first, last):
                common.discard(start, end)
        return common

    def to_json(self) -> dict[str, list[list[int]]]:
        """By uplink the settled ranges [first, last], as the carry column of a row has them."""
        return {
            name: [[first, last] for first, last in ranges] for name, ranges in self._ranges.items() if ranges
        }

    def load(self, data: Any) -> None:
        """Take over what a row carried; anything malformed is left out, which costs a resend."""
        if not isinstance(data, dict):
            return
        for name, pairs in data.items():
            try:
                ranges = Ranges((int(first), int(last)) for first, last in pairs)
            except (TypeError, ValueError, OverflowError):
                continue
            self._ranges[name] = Ranges()
            self.add(name, ranges)
        self.activate(self.active)
