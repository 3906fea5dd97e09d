"""What the platform holds of a gateway, epoch by epoch, and what is therefore missing. Pure: no I/O, no
clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from gateway.model import Ranges
from gateway.wire import MAX_SMALL, Receipt

MAX_RANGES = 1000
MAX_CONFLICTS = 250
MOST_GAPS = 500
"""Ranges that one look for gaps of a gateway takes up."""
NEWEST = 1000
"""Epochs, the newest ones, whose gaps are asked for."""
FOLLOWED = 200
"""Epochs after one in which explanations for it are looked for."""
BESIDE = 120
"""Bytes of a receipt beside its ranges and numbers, at most."""
RANGE_BYTES = 36
CONFLICT_BYTES = 20
LATELY_PAGES = 64
"""Receipts for what one commit has stored, at most."""

_ALL = 2**53


@dataclass(slots=True)
class EpochLedger:
    """One epoch of one gateway, kept up step by step: an outage of a year leaves tens of thousands of ranges.

    `first` is known once its batch with the event `epoch_started` is here. `good` is `stored` without
    `conflicts`, `covered` is `stored` and `explained`. `open_explained` are explanations whose event named no
    epoch: seqs below `first` then speak of the epochs before. `anchors` are (uptime, t) in ms.
    """

    stored: Ranges = field(default_factory=Ranges)
    good: Ranges = field(default_factory=Ranges)
    covered: Ranges = field(default_factory=Ranges)
    first: int | None = None
    previous: str | None = None
    previous_last: int | None = None
    explained: Ranges = field(default_factory=Ranges)
    open_explained: Ranges = field(default_factory=Ranges)
    conflicts: Ranges = field(default_factory=Ranges)
    anchors: list[tuple[int, int]] = field(default_factory=list)

    def store(self, first: int, last: int) -> None:
        """Batches `first` to `last` are stored."""
        for ranges in (self.stored, self.good, self.covered):
            ranges.add(first, last)

    def restate(self, stored: Ranges) -> None:
        """Nothing else is stored than these batches, whatever was known."""
        self.stored = stored
        self.good = stored.without(self.conflicts)
        self.covered = Ranges(stored)
        self.covered.update([*self.explained, *self.open_explained])

    def contradict(self, seq: int) -> None:
        """A stored batch of which other content came too."""
        self.conflicts.add(seq)
        self.good.discard(seq)

    def explain(self, first: int, last: int, *, spills: bool) -> None:
        """Batches that will never come; `spills`: the event named no epoch."""
        (self.open_explained if spills else self.explained).add(first, last)
        self.covered.add(first, last)

    def anchored(self, uptime: int) -> int | None:
        """Wall time in ms for an uptime of this epoch by the nearest anchor; None without one."""
        if not self.anchors:
            return None
        at, t = min(self.anchors, key=lambda anchor: abs(anchor[0] - uptime))
        return t + uptime - at


@dataclass(slots=True)
class Missing:
    """Seqs that must exist and are not here; and those before an epoch's lowest batch while its first seq
    is unknown.
    """

    certain: Ranges = field(default_factory=Ranges)
    beginning: Ranges = field(default_factory=Ranges)

    def __bool__(self) -> bool:
        return bool(len(self.certain) or len(self.beginning))


@dataclass(slots=True)
class Links:
    """How the epochs of a gateway follow one another."""

    ends: dict[str, int]
    """The last seq that an epoch must have, as its follower or P/state says."""
    after: dict[str, str]
    """Which epoch follows."""
    spilling: bool
    """Whether any has explanations that may speak of the epochs before it."""


class GatewayLedger:
    """Every epoch of one gateway; `newest` is (epoch, seq) as its P/state tells."""

    def __init__(self) -> None:
        self.epochs: dict[str, EpochLedger] = {}
        self.newest: tuple[str, int] | None = None

    def epoch(self, epoch: str) -> EpochLedger:
        """The ledger of an epoch, made when it is new."""
        return self.epochs.setdefault(epoch, EpochLedger())

    def links(self, names: Iterable[str] | None = None) -> Links:
        """How the epochs (or those of `names`) follow one another: one walk, to be shared by all who ask
        for each of them.
        """
        links = Links({}, {}, spilling=False)
        for name in self.epochs if names is None else names:
            ledger = self.epochs[name]
            links.spilling |= bool(len(ledger.open_explained))
            if ledger.previous:
                links.after[ledger.previous] = name
                if ledger.previous_last:
                    links.ends[ledger.previous] = max(
                        ledger.previous_last, links.ends.get(ledger.previous, 0)
                    )
        if self.newest:
            links.ends[self.newest[0]] = max(self.newest[1], links.ends.get(self.newest[0], 0))
        return links

    def missing(self) -> dict[str, Missing]:
        """What is missing per epoch, explained seqs aside; epochs that miss nothing are left out. Grows
        with all that is held.
        """
        links = self.links()
        found = {name: self._missing(name, links) for name in {**self.epochs, **links.ends}}
        return {name: gap for name, gap in found.items() if gap}

    def newest_missing(self, skip: Callable[[str], Ranges]) -> dict[str, Missing]:
        """The newest of what is missing: at most MOST_GAPS ranges of NEWEST epochs, without those of
        `skip(epoch)`.

        A look at it costs the same however much a gateway has sent: whoever asks for gaps begins with the
        newest anyway.
        """
        links = self.links(islice(reversed(self.epochs), NEWEST))
        found: dict[str, Missing] = {}
        left = MOST_GAPS
        for name in dict.fromkeys([*links.ends, *islice(reversed(self.epochs), NEWEST)]):
            first, known, last = self._bounds(name, links)
            covered = self.epochs[name].covered if name in self.epochs else Ranges()
            leave = skip(name)
            gap = Missing()
            for start, end in islice(covered.newest_gaps(first, last) if last else (), left):
                left -= 1
                for part in leave.gaps(start, end):
                    if part[1] >= known:
                        gap.certain.add(max(part[0], known), part[1])
                    if part[0] < known:
                        gap.beginning.add(part[0], min(part[1], known - 1))
            spilt = list(islice(self._spilt(name, links), MOST_GAPS)) if gap and links.spilling else []
            gap = self._less(gap, spilt)
            if gap:
                found[name] = gap
            if left <= 0:
                break
        return found

    def _bounds(self, name: str, links: Links) -> tuple[int, int, int]:
        """The first seq that may be missing, the first that must exist, the last that must exist; 0 when
        nothing is known.
        """
        ledger = self.epochs.get(name) or EpochLedger()
        span = ledger.stored.span
        last = max(links.ends.get(name, 0), span[1] if span else 0)
        if ledger.first is not None:
            return ledger.first, ledger.first, last
        return 1, span[0] if span else last, last

    def _missing(self, name: str, links: Links) -> Missing:
        first, known, last = self._bounds(name, links)
        if not last:
            return Missing()
        covered = self.epochs[name].covered if name in self.epochs else Ranges()
        certain = covered.gaps(known, last)
        beginning = covered.gaps(first, known - 1) if known > first else Ranges()
        return self._less(Missing(certain, beginning), self._spilt(name, links))

    def _less(self, gap: Missing, spilt: Iterable[tuple[int, int]]) -> Missing:
        gone = list(Ranges(sorted(spilt)))
        return Missing(gap.certain.without(gone), gap.beginning.without(gone)) if gone else gap

    def explanations(self, name: str, links: Links | None = None) -> Iterator[tuple[int, int]]:
        """Ranges of an epoch that are explained, also by events of the epochs that followed it."""
        if ledger := self.epochs.get(name):
            yield from ledger.explained
            yield from ledger.open_explained
        yield from self._spilt(name, links or self.links())

    def _spilt(self, name: str, links: Links) -> Iterator[tuple[int, int]]:
        if not links.spilling:
            return
        seen, below = {name}, _ALL
        while (name := links.after.get(name, "")) and name not in seen and len(seen) <= FOLLOWED:
            seen.add(name)
            later = self.epochs[name]
            below = min(
                below, (later.first if later.first is not None else (later.previous_last or 0) + 1) - 1
            )
            yield from later.open_explained.within(1, below)


def receipts(
    epoch: str, ledger: EpochLedger, lately: Iterable[int] = (), *, pages: int = 1, most: int = MAX_SMALL
) -> list[Receipt]:
    """All of `receipt_pages` at once."""
    return list(receipt_pages(epoch, ledger, lately, pages=pages, most=most))


def receipt_pages(
    epoch: str, ledger: EpochLedger, lately: Iterable[int] = (), *, pages: int = 1, most: int = MAX_SMALL
) -> Iterator[Receipt]:
    """What is held of an epoch, in at most `pages` receipts of at most `most` bytes; when one is wanted and
    the ranges are too many for it, those with `lately` alone, in as many as they need.

    Only what is held is receipted, never what is merely explained: a thinned range may have spared batches
    inside that are still on their way. A seq in conflict is not receipted either, so that nobody takes the
    other content for delivered.
    """
    good = ledger.good
    start = good.around(ledger.first) if ledger.first is not None else None
    room = max(RANGE_BYTES, most - BESIDE)
    told = [seq for seq in sorted(lately) if seq in ledger.conflicts] or list(
        _newest(ledger.conflicts, MAX_CONFLICTS)
    )
    conflicts = sorted(told[: min(MAX_CONFLICTS, room // (2 * CONFLICT_BYTES))])
    if pages == 1 and not _fit(good, room - CONFLICT_BYTES * len(conflicts)):
        pages = LATELY_PAGES
        ranges = sorted({pair for pair in map(good.around, lately) if pair and pair != start})
    else:
        ranges = [pair for pair in good if pair != start]
    at = 0
    for page in range(pages):
        if page and at >= len(ranges):
            return
        begin, size = at, CONFLICT_BYTES * len(conflicts)
        while at < min(len(ranges), begin + MAX_RANGES) and (at == begin or size + RANGE_BYTES <= room):
            size += _bytes_of(ranges[at])
            at += 1
        have = [[first, last] for first, last in ranges[begin:at]]
        yield Receipt(epoch=epoch, upto=start[1] if start else 0, have=have, conflicts=conflicts or None)


def _fit(ranges: Ranges, room: int) -> bool:
    """Whether one receipt has room for all of them."""
    if len(ranges) > MAX_RANGES:
        return False
    return len(ranges) * RANGE_BYTES <= room or sum(map(_bytes_of, ranges)) <= room - RANGE_BYTES


def _bytes_of(pair: tuple[int, int]) -> int:
    return len(f"[{pair[0]},{pair[1]}],")


def _newest(ranges: Ranges, most: int) -> Iterator[int]:
    numbers = (seq for first, last in reversed(ranges) for seq in range(last, first - 1, -1))
    return islice(numbers, most)
