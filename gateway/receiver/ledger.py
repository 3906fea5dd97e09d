"""What the platform holds of a gateway, epoch by epoch, and what is therefore missing. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from gateway.model import Ranges
from gateway.wire import Receipt

MAX_RANGES = 1000
MAX_CONFLICTS = 250
MAX_BYTES = 15_000
"""A receipt stays below the 16 KiB that a gateway is willing to read."""

_ALL = 2**53


@dataclass(slots=True)
class EpochLedger:
    """One epoch of one gateway, kept up step by step: an outage of a year leaves tens of thousands of ranges.

    `first` is known once its batch with the event `epoch_started` is here. `good` is `held` without `conflicts`, `covered` is
    `held` and `explained`. `open_explained` are explanations whose event named no epoch: seqs below `first` then speak of the
    epochs before. `anchors` are (uptime, t) in ms.
    """

    held: Ranges = field(default_factory=Ranges)
    good: Ranges = field(default_factory=Ranges)
    covered: Ranges = field(default_factory=Ranges)
    first: int | None = None
    previous: str | None = None
    previous_last: int | None = None
    explained: Ranges = field(default_factory=Ranges)
    open_explained: Ranges = field(default_factory=Ranges)
    conflicts: Ranges = field(default_factory=Ranges)
    anchors: list[tuple[int, int]] = field(default_factory=list)

    def hold(self, first: int, last: int) -> None:
        """Batches that are stored."""
        for ranges in (self.held, self.good, self.covered):
            ranges.add(first, last)

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
    """Seqs that must exist and are not here; and those before an epoch's lowest batch while its first seq is unknown."""

    certain: Ranges = field(default_factory=Ranges)
    beginning: Ranges = field(default_factory=Ranges)

    def __bool__(self) -> bool:
        return bool(len(self.certain) or len(self.beginning))


class GatewayLedger:
    """Every epoch of one gateway; `newest` is (epoch, seq) as its P/state tells."""

    def __init__(self) -> None:
        self.epochs: dict[str, EpochLedger] = {}
        self.newest: tuple[str, int] | None = None

    def epoch(self, epoch: str) -> EpochLedger:
        """The ledger of an epoch, made when it is new."""
        return self.epochs.setdefault(epoch, EpochLedger())

    def missing(self) -> dict[str, Missing]:
        """What is missing per epoch, explained seqs aside; epochs that miss nothing are left out."""
        ends: dict[str, int] = {}
        for ledger in self.epochs.values():
            if ledger.previous and ledger.previous_last:
                ends[ledger.previous] = max(ledger.previous_last, ends.get(ledger.previous, 0))
        if self.newest:
            ends[self.newest[0]] = max(self.newest[1], ends.get(self.newest[0], 0))
        found = {name: self._missing(name, ends.get(name, 0)) for name in {**self.epochs, **ends}}
        return {name: gap for name, gap in found.items() if gap}

    def _missing(self, name: str, end: int) -> Missing:
        ledger = self.epochs.get(name) or EpochLedger()
        span = ledger.held.span
        last = max(end, span[1] if span else 0)
        if not last:
            return Missing()
        known = ledger.first if ledger.first is not None else (span[0] if span else last)
        certain = ledger.covered.gaps(known, last)
        beginning = ledger.covered.gaps(1, known - 1) if ledger.first is None and known > 1 else Ranges()
        for first, final in self._spilt(name):
            certain.discard(first, final)
            beginning.discard(first, final)
        return Missing(certain, beginning)

    def explanations(self, name: str) -> Iterator[tuple[int, int]]:
        """Ranges of an epoch that are explained, also by events of the epochs that followed it."""
        if ledger := self.epochs.get(name):
            yield from ledger.explained
            yield from ledger.open_explained
        yield from self._spilt(name)

    def _spilt(self, name: str) -> Iterator[tuple[int, int]]:
        if not any(len(ledger.open_explained) for ledger in self.epochs.values()):
            return
        after = {e.previous: key for key, e in self.epochs.items() if e.previous}
        seen, below = {name}, _ALL
        while (name := after.get(name, "")) and name not in seen:
            seen.add(name)
            later = self.epochs[name]
            below = min(below, (later.first if later.first is not None else (later.previous_last or 0) + 1) - 1)
            yield from later.open_explained.within(1, below)


def receipts(epoch: str, ledger: EpochLedger, lately: Iterable[int] = (), *, pages: int = 1) -> list[Receipt]:
    """What is held of an epoch, in at most `pages` receipts; when the ranges are too many for one, those with `lately` alone.

    Only what is held is receipted, never what is merely explained: a thinned range may have spared batches inside that
    are still on their way. A seq in conflict is not receipted either, so that nobody takes the other content for delivered.
    """
    good = ledger.good
    start = good.around(ledger.first) if ledger.first is not None else None
    if pages == 1 and len(good) > MAX_RANGES:
        ranges = sorted({pair for pair in map(good.around, lately) if pair and pair != start})
    else:
        ranges = [pair for pair in good if pair != start]
    told = [seq for seq in sorted(lately) if seq in ledger.conflicts] or list(_newest(ledger.conflicts, MAX_CONFLICTS))
    conflicts = sorted(told[:MAX_CONFLICTS])
    answer: list[Receipt] = []
    while len(answer) < pages and (ranges or not answer):
        page, size = 0, 20 * len(conflicts)
        while page < min(len(ranges), MAX_RANGES) and size < MAX_BYTES:
            size += len(f"[{ranges[page][0]},{ranges[page][1]}],")
            page += 1
        have = [[first, last] for first, last in ranges[:page]]
        answer.append(Receipt(epoch=epoch, upto=start[1] if start else 0, have=have, conflicts=conflicts or None))
        del ranges[:page]
    return answer


def _newest(ranges: Ranges, most: int) -> Iterator[int]:
    numbers = (seq for first, last in reversed(list(ranges)) for seq in range(last, first - 1, -1))
    return islice(numbers, most)
