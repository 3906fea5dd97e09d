"""The cheapest set of reads for a set of rows. Pure.

Dynamic programming over the rows in the order of their addresses: for disjoint rows the best partition into
reads is always one of neighbours, so the minimum found is the minimum there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from gateway.catalogue import ReadLimits, Span
from gateway.field.bus.cost import Cost

WORTH = 0.05
"""A plan is exchanged only for a gain over this share."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a meter allows: the driver's limits, and the ranges (function, first, end) that the meter has
    refused.

    No read may touch a hole (inclusive range of addresses), or contain a range that was refused.
    """

    max_registers: int = 125
    holes: tuple[tuple[int, int], ...] = ()
    even: bool = False
    illegal: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def of(
        cls, limits: ReadLimits, illegal: Iterable[tuple[int, int, int]] = (), longest: int | None = None
    ) -> Rules:
        """The rules of a driver, with what its meter has taught us: ranges that it refuses, the longest
        read that it answers.
        """
        return cls(
            min(limits.max_registers, longest or limits.max_registers),
            limits.holes,
            limits.even,
            tuple(sorted(illegal)),
        )

    def bounds(self, first: int, end: int) -> tuple[int, int]:
        """What a read of [first, end) has to fetch."""
        return (first - first % 2, end + end % 2) if self.even else (first, end)

    def allow(self, function: int, first: int, end: int) -> bool:
        """Whether one read may fetch [first, end)."""
        first, end = self.bounds(first, end)
        return (
            end - first <= self.max_registers
            and not any(a < end and first <= b for a, b in self.holes)
            and not any(f == function and first <= a and b <= end for f, a, b in self.illegal)
        )


@dataclass(frozen=True, slots=True)
class Read:
    """One request: which registers, and the rows that it serves."""

    function: int
    address: int
    count: int
    spans: tuple[Span, ...] = field(compare=False)

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.count

    @property
    def place(self) -> tuple[int, int, int]:
        """Function, address and count."""
        return self.function, self.address, self.count


def plan(spans: Iterable[Span], rules: Rules, cost: Cost, together: Iterable[Span] = ()) -> tuple[Read, ...]:
    """The reads with the least total time, by function and address. Rows that no legal read can fetch are
    left out.

    `together`: stretches from the first to the last register of what must be of one moment, a value and its
    power of ten. Each comes in one read, wherever one may fetch it.
    """
    reads: list[Read] = []
    by_function: dict[int, list[Span]] = {}
    wanted = set(spans)
    stretches = {span for span in together if span not in wanted and not _crossed(span, wanted)}
    for span in sorted(wanted | stretches):
        if rules.allow(span.function, span.address, span.end):
            if span.alone:
                reads.append(_read((span,), rules))
            else:
                by_function.setdefault(span.function, []).append(span)
    for group in by_function.values():
        reads += _cheapest(group, rules, cost)
    if stretches:
        reads = [replace(read, spans=tuple(span for span in read.spans if span in wanted)) for read in reads]
    return tuple(sorted(reads, key=lambda read: (read.function, read.address, read.count)))


def _crossed(stretch: Span, spans: Iterable[Span]) -> bool:
    """Whether a read must begin within a stretch, or one of its registers is read alone."""
    return any(
        span.alone or (span.starts and span.address > stretch.address)
        for span in spans
        if span.function == stretch.function and stretch.address <= span.address < stretch.end
    )


def unreachable(spans: Iterable[Span], rules: Rules) -> list[Span]:
    """The rows that no legal read can fetch: refused by the meter, in a hole, or longer than a read."""
    return [span for span in spans if not rules.allow(span.function, span.address, span.end)]


def seconds(reads: Iterable[Read], cost: Cost, spare: float = 0.0) -> float:
    """What the reads take together, one after the other; `spare` s less, for the meter's own gap after the
    last one.
    """
    total = sum(cost.time(read.count) for read in reads)
    return max(0.0, total - spare)


def worth_it(old: Sequence[Read], new: Sequence[Read], cost: Cost) -> bool:
    """Whether the new plan is enough better than the old one, under today's cost, to be exchanged for it."""
    return seconds(new, cost) < (1.0 - WORTH) * seconds(old, cost)


def halves(read: Read, rules: Rules) -> tuple[Read, Read] | None:
    """A refused read in two, between rows, near its middle; None when it is a single row."""
    addresses = sorted({span.address for span in read.spans})
    if len(addresses) < 2:  # one row, or rows that share their registers
        return None
    middle = read.address + read.count / 2
    cut = min(addresses[1:], key=lambda address: abs(address - middle))
    return _read([s for s in read.spans if s.address < cut], rules), _read(
        [s for s in read.spans if s.address >= cut], rules
    )


def between(left: Read, right: Read) -> tuple[int, int, int]:
    """The range that a refused read has and neither of its halves: the step across the cut."""
    return left.function, left.end - 1, right.address + 1


def _read(spans: Sequence[Span], rules: Rules) -> Read:
    first, end = rules.bounds(spans[0].address, max(span.end for span in spans))
    return Read(spans[0].function, first, end - first, tuple(spans))


def _cheapest(spans: list[Span], rules: Rules, cost: Cost) -> list[Read]:
    """Least cost over all partitions of neighbours; best[j] is the least for the first j rows."""
    best = [0.0] + [float("inf")] * len(spans)
    cut = [0] * (len(spans) + 1)
    for i, first in enumerate(spans):
        end = first.end
        for j in range(i, len(spans)):
            last = spans[j]
            if last.starts and last.address != first.address:
                break
            end = max(end, last.end)
            if not rules.allow(first.function, first.address, end):
                break  # a longer read contains this one: it is no more legal
            begin, behind = rules.bounds(first.address, end)
            total = best[i] + cost.time(behind - begin)
            if total < best[j + 1]:
                best[j + 1], cut[j + 1] = total, i
    reads: list[Read] = []
    j = len(spans)
    while j:
        reads.append(_read(spans[cut[j] : j], rules))
        j = cut[j]
    return reads[::-1]
