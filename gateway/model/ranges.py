"""Sets of whole numbers kept as sorted, disjoint, inclusive ranges: what is settled, held, or missing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """A set of integers as inclusive ranges.

    >>> r = Ranges([(1, 3)]); r.add(5); r.add(4); list(r)
    [(1, 5)]
    """

    __slots__ = ("_first", "_last")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int | None = None) -> None:
        """Add `first`, or every number from `first` to `last`. Raises ValueError when last < first."""
        last = first if last is None else last
        if last < first:
            raise ValueError(f"a range runs upwards, not from {first} to {last}")
        # Every range that touches [first-1, last+1] melts into one.
        low = bisect_left(self._last, first - 1)
        high = bisect_right(self._first, last + 1)
        if low < high:
            first = min(first, self._first[low])
            last = max(last, self._last[high - 1])
        self._first[low:high] = [first]
        self._last[low:high] = [last]

    def update(self, other: Iterable[tuple[int, int]]) -> None:
        """Add every range of `other`."""
        for first, last in other:
            self.add(first, last)

    def discard(self, first: int, last: int | None = None) -> None:
        """Take `first`, or every number from `first` to `last`, out; absent numbers are no error."""
        last = first if last is None else last
        low = bisect_left(self._last, first)
        high = bisect_right(self._first, last)
        if low >= high:
            return
        left = (self._first[low], first - 1)
        right = (last + 1, self._last[high - 1])
        rest = [pair for pair in (left, right) if pair[0] <= pair[1]]
        self._first[low:high] = [pair[0] for pair in rest]
        self._last[low:high] = [pair[1] for pair in rest]

    def without(self, other: Iterable[tuple[int, int]]) -> Ranges:
        """What is in this set and in none of `other`, which is sorted. One walk over both, however many
        ranges they have.
        """
        rest = Ranges()
        gone = iter(other)
        cut = next(gone, None)
        for first, last in zip(self._first, self._last, strict=True):
            at = first
            while cut is not None and cut[1] < at:
                cut = next(gone, None)
            while cut is not None and cut[0] <= last and at <= last:
                if cut[0] > at:
                    rest._append(at, cut[0] - 1)
                at = max(at, cut[1] + 1)
                if cut[1] > last:
                    break
                cut = next(gone, None)
            if at <= last:
                rest._append(at, last)
        return rest

    def common(self, other: Ranges) -> Ranges:
        """What is in both. One walk over both."""
        both = Ranges()
        theirs = iter(other)
        part = next(theirs, None)
        for first, last in zip(self._first, self._last, strict=True):
            while part is not None and part[0] <= last:
                if part[1] >= first:
                    both._append(max(first, part[0]), min(last, part[1]))
                if part[1] > last:
                    break
                part = next(theirs, None)
        return both

    def _append(self, first: int, last: int) -> None:
        if self._last and self._last[-1] >= first - 1:
            self._last[-1] = max(self._last[-1], last)
        else:
            self._first.append(first)
            self._last.append(last)

    def newest_gaps(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The numbers from `first` to `last` that are not in the set, from the highest down, as far as
        somebody asks.
        """
        at = last
        for index in range(bisect_right(self._first, last) - 1, -1, -1):
            start, end = self._first[index], self._last[index]
            if end < first:
                break
            if end < at:
                yield end + 1, at
            at = min(at, start - 1)
        if at >= first:
            yield first, at

    def limit(self, most: int) -> None:
        """Keep `most` ranges and forget the shortest, never the newest nor the oldest: what is forgotten
        is sent again, never lost.
        """
        count = len(self._first)
        if count <= most:
            return
        ends = {count - 1, 0} if most > 1 else {count - 1}
        longest = sorted(
            range(count),
            key=lambda index: (index in ends, self._last[index] - self._first[index], -index),
            reverse=True,
        )
        kept = sorted(longest[:most])
        self._first[:] = [self._first[index] for index in kept]
        self._last[:] = [self._last[index] for index in kept]

    def gaps(self, first: int, last: int) -> Ranges:
        """The numbers from `first` to `last` that are not in the set."""
        missing = Ranges()
        at = first
        for index in range(bisect_left(self._last, first), len(self._first)):
            start, end = self._first[index], self._last[index]
            if start > last:
                break
            if start > at:
                missing.add(at, start - 1)
            at = max(at, end + 1)
        if at <= last:
            missing.add(at, last)
        return missing

    def within(self, first: int, last: int) -> Ranges:
        """The part of the set between `first` and `last`."""
        part = Ranges()
        for index in range(bisect_left(self._last, first), len(self._first)):
            if self._first[index] > last:
                break
            part.add(max(first, self._first[index]), min(last, self._last[index]))
        return part

    @property
    def span(self) -> tuple[int, int] | None:
        """The lowest and the highest number; None when empty."""
        return (self._first[0], self._last[-1]) if self._first else None

    def around(self, number: int) -> tuple[int, int] | None:
        """The range that holds `number`; None when it is not in the set."""
        index = bisect_left(self._last, number)
        if index < len(self._first) and self._first[index] <= number:
            return self._first[index], self._last[index]
        return None

    def __contains__(self, number: int) -> bool:
        index = bisect_left(self._last, number)
        return index < len(self._first) and self._first[index] <= number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._first, self._last, strict=True)))

    def __reversed__(self) -> Iterator[tuple[int, int]]:
        for index in range(len(self._first) - 1, -1, -1):
            yield self._first[index], self._last[index]

    def __len__(self) -> int:
        """How many ranges, not how many numbers: see `count`."""
        return len(self._first)

    @property
    def count(self) -> int:
        """How many numbers lie in all ranges together."""
        return sum(self._last) - sum(self._first) + len(self._first)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # a mutable set is not a key

    def __repr__(self) -> str:
        return f"Ranges({list(self)})"
