"""The cheapest set of reads for a set of rows. Pure.

Dynamic programming over the rows in the order of their addresses: for disjoint rows the best partition into
reads is always one of neighbours, so the minimum found is the minimum there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from gateway.catalogue import Keyed, ReadLimits, Row, Span
from gateway.field.bus.cost import Cost

WORTH = 0.05
"""A plan is exchanged only for a gain over this share."""
MOST_AROUND = 4
"""Times that keys are read around keys: more than any table needs that names no two rows by each other."""

Parted = tuple[tuple[Row, tuple[Keyed, ...]], ...]
"""Rows that may be judged together, each with what of it comes with several reads: no key of one is a number
of another.
"""


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

    def meets(self, other: Read) -> bool:
        """Whether both fetch a register."""
        return self.function == other.function and self.address < other.end and other.address < self.end

    def covers(self, span: Span) -> bool:
        """Whether these registers are among those that it fetches."""
        return span.comes_with(self.function, self.address, self.end)

    @property
    def place(self) -> tuple[int, int, int]:
        """Function, address and count."""
        return self.function, self.address, self.count


def spans_of(rows: Sequence[Row]) -> tuple[Span, ...]:
    """What has to be read for these rows, each span once, in order."""
    return tuple(sorted({span for row in rows for span in row.spans}))


def keyed_of(rows: Sequence[Row]) -> tuple[Keyed, ...]:
    """Which of these rows' registers must be of one moment."""
    return tuple(sorted({pair for row in rows for pair in row.keyed}))


def poll_reads(
    spans: Iterable[Span], rules: Rules, cost: Cost, keyed: Sequence[Keyed] = ()
) -> tuple[Read, ...]:
    """The reads of a poll, in the order in which they go out.

    The first one finds out that the meter has died: the shorter it is, the less that costs the others. Two of
    one length do not follow each other if that can be helped: a second copy of an answer would fit the next
    question. What a number is keyed by comes with it in one read, wherever one may fetch both; else it is
    read both before and after it, once more if need be. A ratio is read after it alone: what it was before is
    known from the poll before. What is read once more may be a number itself, or bring one: then its keys
    are read around that, outermost those that have none.
    """
    stretches = [_stretch(pair) for pair in keyed if pair.kind != "ratio" and pair.number[0] == pair.key[0]]
    reads = _shortest_first(plan(spans, rules, cost, stretches))
    parted = apart(keyed, reads)
    if not parted:
        return reads
    ratios = {pair.key for pair in parted if pair.kind == "ratio"}
    reads = tuple(sorted(reads, key=lambda read: any(map(read.covers, ratios))))
    for _ in range(MOST_AROUND):
        before, after = _missing(parted, reads)
        if not before and not after:
            break
        reads = (*plan(before, rules, cost), *reads, *plan(after, rules, cost))
    return reads


def _missing(parted: Iterable[Keyed], reads: Sequence[Read]) -> tuple[set[Span], set[Span]]:
    """The keys that are not read before the number that they say something about, and those that are not
    read after it.
    """
    before: set[Span] = set()
    after: set[Span] = set()
    for pair in parted:
        numbers, keys, powers = (
            [at for at, read in enumerate(reads) if read.covers(span)]
            for span in (pair.number, pair.key, pair.power)
        )
        if numbers and keys:
            number = pair.place(numbers, powers)
            if keys[0] > number and pair.kind != "ratio":
                before.add(pair.key)
            if keys[-1] < number:
                after.add(pair.key)
    return before, after


def apart(keyed: Iterable[Keyed], reads: Sequence[Read]) -> tuple[Keyed, ...]:
    """Those of which no read holds both."""
    return tuple(
        pair
        for pair in keyed
        if not any(read.covers(pair.number) and read.covers(pair.key) for read in reads)
    )


def parted_rows(rows: Sequence[Row], reads: Sequence[Read]) -> tuple[Parted, ...]:
    """The rows whose registers come with several reads although they must be of one moment."""
    parted = {*apart(keyed_of(rows), reads)}
    if not parted:
        return ()
    both = [(row, tuple(pair for pair in row.keyed if pair in parted)) for row in rows]
    keys = {pair.key for pair in parted}
    together: list[tuple[Row, tuple[Keyed, ...]]] = []
    alone: list[Parted] = []
    for row, pairs in both:
        if {*row.spans}.difference(pair.key for pair in pairs) & keys:
            alone += [((row, pairs),)] if pairs else []
        elif pairs:
            together.append((row, pairs))
    return tuple(filter(None, (tuple(together), *alone)))


def probes_of(spans: Sequence[Span], rules: Rules) -> tuple[tuple[int, int, int], ...]:
    """Reads (function, address, count) of different lengths, cut between rows, that may serve to
    re-synchronise: shortest first, of each length the first, one in the middle and the last, for a meter may
    be silent about some registers.
    """
    probes: dict[int, list[tuple[int, int, int]]] = {}
    spans = [span for span in spans if not span.alone]
    for first in spans:
        end = first.end
        for last in spans:
            if last.function != first.function or last.address < first.address:
                continue
            end = max(end, last.end)
            if last.address > first.address and (last.starts or last.address > end):
                break
            begin, behind = rules.bounds(first.address, end)
            if not rules.allow(first.function, begin, behind):
                break
            probes.setdefault(behind - begin, []).append((first.function, begin, behind - begin))
    alike = [probes[count] for count in sorted(probes)]
    return tuple(
        probe for each in alike for probe in dict.fromkeys((each[0], each[len(each) // 2], each[-1]))
    )


def single_rows(spans: Sequence[Span], rules: Rules) -> tuple[Read, ...]:
    """Each span by itself: reads to find a meter by."""
    return tuple(_read((span,), rules) for span in spans if not span.alone)


def _stretch(pair: Keyed) -> Span:
    first = min(pair.number.address, pair.key.address)
    return Span(pair.key.function, first, max(pair.number.end, pair.key.end) - first)


def _shortest_first(reads: Sequence[Read]) -> tuple[Read, ...]:
    rest = sorted(reads, key=lambda read: read.count)
    order: list[Read] = []
    while rest:
        chosen = next((read for read in rest if not order or read.count != order[-1].count), rest[0])
        rest.remove(chosen)
        order.append(chosen)
    return tuple(order)


def plan(spans: Iterable[Span], rules: Rules, cost: Cost, together: Iterable[Span] = ()) -> tuple[Read, ...]:
    """The reads with the least total time, by function and address. Rows that no legal read can fetch are
    left out.

    `together`: stretches from the first to the last register of what must be of one moment. Each comes in one
    read, wherever one may fetch it.
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
