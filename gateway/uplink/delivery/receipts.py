"""Who has what: a receipt settles only what this process has sent, and a batch only when every named
consumer has it.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.model import Ranges
from gateway.wire import Receipt

MAX_CONFLICTS = 1000
"""Conflicts that are remembered; a receipt that names more than these says nothing new."""


def without(one: Ranges, other: Ranges) -> Ranges:
    """The numbers of `one` that are not in `other`."""
    rest = Ranges()
    for first, last in one:
        rest.update(other.gaps(first, last))
    return rest


def both(one: Ranges, other: Ranges) -> Ranges:
    """The numbers that are in both sets."""
    common = Ranges()
    for first, last in one:
        common.update(other.within(first, last))
    return common


class Receipts:
    """Per epoch as it stands on the wire: sent by this process, held by each consumer, delivered."""

    def __init__(self, consumers: Iterable[str]) -> None:
        self.consumers = tuple(dict.fromkeys(consumers))
        self.news = Ranges()
        """What the consumer of the newest receipt had not said before."""
        self._sent: dict[str, Ranges] = {}
        self._held: dict[tuple[str, str], Ranges] = {}
        self._delivered: dict[str, Ranges] = {}

    def sent(self, epoch: str, seq: int) -> None:
        """A batch was handed over under this identity."""
        self._sent.setdefault(epoch, Ranges()).add(seq)

    def was_sent(self, epoch: str, seq: int) -> bool:
        """Whether this process handed it over."""
        return seq in self._sent.get(epoch, ())

    def is_delivered(self, epoch: str, seq: int) -> bool:
        """Whether it needs no sending."""
        return seq in self._delivered.get(epoch, ())

    def deliver(self, epoch: str, delivered: Ranges) -> Ranges:
        """Mark as delivered; what of it is new."""
        known = self._delivered.setdefault(epoch, Ranges())
        new = Ranges()
        for first, last in delivered:
            new.update(known.gaps(first, last))
        known.update(new)
        return new

    def receipt(self, consumer: str, receipt: Receipt) -> Ranges:
        """What this receipt makes delivered for the first time. Raises WireError for ranges that run
        backwards.
        """
        covered = receipt.covers(1)
        for seq in receipt.conflicts or ():
            covered.discard(seq)
        return self.hold(consumer, receipt.epoch, covered)

    def hold(self, consumer: str, epoch: str, covered: Ranges) -> Ranges:
        """A consumer has these: what of it, sent by this process, is thereby delivered. `news` is what it
        had not said before.
        """
        self.news = Ranges()
        sent = self._sent.get(epoch)
        if sent is None or consumer not in self.consumers:
            return Ranges()
        held = self._held.setdefault((consumer, epoch), Ranges())
        self.news = everywhere = without(both(covered, sent), held)
        held.update(self.news)
        for other in self.consumers:
            everywhere = both(everywhere, self._held.get((other, epoch), Ranges()))
        return self.deliver(epoch, everywhere)

    def has(self, consumer: str, epoch: str, seq: int) -> bool:
        """Whether a consumer said that it has a batch."""
        return seq in self._held.get((consumer, epoch), ())

    def somewhere(self, epoch: str, seq: int) -> bool:
        """Whether any consumer said that it has a batch."""
        return any(self.has(consumer, epoch, seq) for consumer in self.consumers)

    def lacking(self, consumer: str) -> dict[str, Ranges]:
        """By epoch, what another consumer has and this one does not."""
        lacks: dict[str, Ranges] = {}
        for (other, epoch), held in self._held.items():
            if other != consumer:
                lacks.setdefault(epoch, Ranges()).update(
                    without(held, self._held.get((consumer, epoch), Ranges()))
                )
        return {epoch: ranges for epoch, ranges in lacks.items() if ranges}

    def partly(self) -> int:
        """How many batches some consumers have and others not."""
        if len(self.consumers) < 2:  # one is all
            return 0
        union: dict[str, Ranges] = {}
        for (_, epoch), held in self._held.items():
            union.setdefault(epoch, Ranges()).update(held)
        return sum(without(held, self._delivered.get(epoch, Ranges())).count for epoch, held in union.items())

    def forget(self, epoch: str, seq: int) -> None:
        """It counts as not sent and not delivered: another batch bears this number at the platform."""
        for ranges in (
            self._sent.get(epoch),
            self._delivered.get(epoch),
            *(self._held.get((c, epoch)) for c in self.consumers),
        ):
            if ranges is not None:
                ranges.discard(seq)
