"""What the platform holds of a gateway, epoch by epoch, and what is therefore missing. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.model import Ranges
from gateway.wire import Receipt

MAX_RANGES = 1000
MAX_BYTES = 15_000
"""A receipt stays below the 16 KiB that a gateway is willing to read."""

_ALL = 2**53


@dataclass(slots=True)
class EpochLedger:
    """One epoch of one gateway.

    `first` is known once its batch with the event `epoch_started` is here. `open_explained` are explanations whose event
    named no epoch: seqs below `first` then speak of the epochs before. `anchors` are (uptime, t) in ms.
    """

    held: Ranges = field(default_factory=Ranges)
    first: int | None = None
    previous: str | None = None
    previous_last: int | None = None
    explained: Ranges = field(default_factory=Ranges)
    open_explained: Ranges = field(default_factory=Ranges)
    conflicts: set[int] = field(default_factory=set)
    anchors: list[tuple[int, int]] = field(default_factory=list)

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
        ends = {e.previous: e.previous_last for e in self.epochs.values() if e.previous and e.previous_last}
        if self.newest and self.newest[1] > 0:
            ends[self.newest[0]] = max(self.newest[1], ends.get(self.newest[0]) or 0)
        found: dict[str, Missing] = {}
        for name in {**self.epochs, **dict.fromkeys(ends)}:
            gap = self._missing(name, ends.get(name) or 0)
            if gap:
                found[name] = gap
        return found

    def _missing(self, name: str, end: int) -> Missing:
        ledger = self.epochs.get(name) or EpochLedger()
        ranges = list(ledger.held)
        last = max(end, ranges[-1][1] if ranges else 0)
        if not last:
            return Missing()
        known = ledger.first if ledger.first is not None else (ranges[0][0] if ranges else last)
        certain = ledger.held.gaps(known, last)
        beginning = Ranges() if ledger.first is not None or known == 1 else Ranges([(1, known - 1)])
        for first, final in self.explanations(name):
            certain.discard(first, final)
            beginning.discard(first, final)
        return Missing(certain, beginning)

    def explanations(self, name: str) -> Iterable[tuple[int, int]]:
        """Ranges of an epoch that are explained, also by events of the epochs that followed it."""
        ledger = self.epochs.get(name) or EpochLedger()
        yield from ledger.explained
        yield from ledger.open_explained
        after = {e.previous: key for key, e in self.epochs.items() if e.previous}
        seen, below = {name}, _ALL
        while (name := after.get(name, "")) and name not in seen:
            seen.add(name)
            later = self.epochs[name]
            below = min(below, (later.first if later.first is not None else (later.previous_last or 0) + 1) - 1)
            yield from later.open_explained.within(1, below)


def receipts(epoch: str, ledger: EpochLedger, lately: Iterable[int] = (), *, pages: int = 1) -> list[Receipt]:
    """What is held of an epoch, in at most `pages` receipts; ranges with a seq of `lately` go first when they are many.

    Only what is held is receipted, never what is merely explained: a thinned range may have spared batches inside that
    are still on their way. A seq in conflict is not receipted either, so that nobody takes the other content for delivered.
    """
    held = ledger.held
    if ledger.conflicts:
        held = Ranges(ledger.held)
        for seq in ledger.conflicts:
            held.discard(seq)
    start = held.around(ledger.first) if ledger.first is not None else None
    upto = start[1] if start else 0
    ranges = [pair for pair in held if pair != start]
    if len(ranges) > MAX_RANGES:
        touched = {pair for pair in map(held.around, lately) if pair and pair != start}
        ranges.sort(key=lambda pair: (pair not in touched, -pair[1]))
    conflicts = sorted(ledger.conflicts & set(lately) or ledger.conflicts)[-MAX_RANGES // 4 :]
    answer: list[Receipt] = []
    while len(answer) < pages and (ranges or not answer):
        page, size = 0, 20 * len(conflicts)
        while page < min(len(ranges), MAX_RANGES) and size < MAX_BYTES:
            size += len(f"[{ranges[page][0]},{ranges[page][1]}],")
            page += 1
        have = sorted([first, last] for first, last in ranges[:page])
        answer.append(Receipt(epoch=epoch, upto=upto, have=have, conflicts=conflicts or None))
        del ranges[:page]
    return answer
