"""Who has what: a receipt settles only what this process has sent, and a batch only when every named consumer
has it. No I/O; times are monotonic seconds.

The flow is controlled by the fastest consumer. What another one lacks stays unsettled in the journal; when
that one is heard of and still lacks it after a while, it is read from the journal once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from gateway.model import Ranges
from gateway.wire import Receipt

LAG = 10.0
"""Seconds by which one consumer's receipts may come later than another's before what it lacks is sent
again.
"""


@dataclass(slots=True)
class _Consumer:
    heard_at: float | None = None
    waits_since: float | None = None
    """Since when something is in the broker's custody that it has not confirmed, and it has said nothing."""
    confirmed: dict[str, Ranges] = field(default_factory=dict)
    """By epoch, what it said that it has."""
    lacked: dict[str, Ranges] = field(default_factory=dict)
    """What it lacked at the last look."""


class Receipts:
    """Per epoch as it stands on the wire: sent by this process, confirmed by each consumer, delivered.

    `silence` is the time without any receipt after which a consumer that is owed one counts as silent.
    """

    def __init__(self, consumers: Iterable[str], silence: float = inf) -> None:
        self._consumers = {name: _Consumer() for name in consumers}
        self._silence = silence
        self._sent: dict[str, Ranges] = {}
        self._delivered: dict[str, Ranges] = {}
        self._owed: dict[str, Ranges] = {}
        self._check_at = 0.0
        self.news = Ranges()
        """What the consumer of the newest receipt had not said before."""

    @property
    def consumers(self) -> tuple[str, ...]:
        """Whose receipts decide."""
        return tuple(self._consumers)

    # -- what was sent, and who has it -----------------------------------------------------------------------

    def sent(self, epoch: str, seq: int) -> None:
        """A batch was handed over under this identity."""
        self._sent.setdefault(epoch, Ranges()).add(seq)
        if epoch in self._owed:
            self._owed[epoch].discard(seq)

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
        return self.confirm(consumer, receipt.epoch, covered)

    def confirm(self, consumer: str, epoch: str, covered: Ranges) -> Ranges:
        """A consumer has these: what of it, sent by this process, is thereby delivered. `news` is what it
        had not said before.
        """
        self.news = Ranges()
        sent = self._sent.get(epoch)
        if sent is None or consumer not in self._consumers:
            return Ranges()
        held = self._consumers[consumer].confirmed.setdefault(epoch, Ranges())
        self.news = everywhere = covered.common(sent).without(held)
        held.update(self.news)
        for other in self._consumers.values():
            everywhere = everywhere.common(other.confirmed.get(epoch, Ranges()))
        return self.deliver(epoch, everywhere)

    def somewhere(self, epoch: str, seq: int) -> bool:
        """Whether any consumer said that it has a batch."""
        return any(seq in consumer.confirmed.get(epoch, ()) for consumer in self._consumers.values())

    def partly(self) -> int:
        """How many batches some consumers have and others not."""
        if len(self._consumers) < 2:  # one is all
            return 0
        union: dict[str, Ranges] = {}
        for consumer in self._consumers.values():
            for epoch, held in consumer.confirmed.items():
                union.setdefault(epoch, Ranges()).update(held)
        return sum(held.without(self._delivered.get(epoch, Ranges())).count for epoch, held in union.items())

    def forget(self, epoch: str, seq: int) -> None:
        """It counts as not sent and not delivered: another batch bears this number at the platform."""
        held = [consumer.confirmed.get(epoch) for consumer in self._consumers.values()]
        for ranges in (self._sent.get(epoch), self._delivered.get(epoch), *held):
            if ranges is not None:
                ranges.discard(seq)

    # -- who is silent, and what a slow one still has to get -------------------------------------------------

    def in_custody(self, epoch: str, seq: int, now: float) -> None:
        """The broker has a batch: whoever has not confirmed it yet should; a receipt can be here before."""
        for consumer in self._consumers.values():
            if consumer.waits_since is None and seq not in consumer.confirmed.get(epoch, ()):
                consumer.waits_since = now

    def heard(self, name: str, now: float, *, waiting: bool) -> None:
        """A receipt came; `waiting` says whether more is expected of it."""
        if name in self._consumers:
            self._consumers[name].heard_at = now
            self._consumers[name].waits_since = now if waiting else None

    def silent(self, now: float) -> dict[str, float | None]:
        """Who owes a receipt for too long, with the time of its last one."""
        return {
            name: consumer.heard_at
            for name, consumer in self._consumers.items()
            if consumer.waits_since is not None and now - consumer.waits_since > self._silence
        }

    def waits_for_silent_alone(self, epoch: str, seq: int, silent: dict[str, float | None]) -> bool:
        """Whether only silent consumers lack a batch that another one has."""
        lacking = [name for name, one in self._consumers.items() if seq not in one.confirmed.get(epoch, ())]
        return len(lacking) < len(self._consumers) and all(name in silent for name in lacking)

    def owes(self, epoch: str, seq: int) -> bool:
        """Whether a batch that somebody has must go again for another one."""
        return seq in self._owed.get(epoch, ())

    def tick(self, now: float) -> bool:
        """Every LAG seconds: whether something must be read from the journal again for a consumer that is
        heard of.
        """
        if len(self._consumers) < 2 or now < self._check_at:  # one has nobody to lag behind
            return False
        self._check_at = now + LAG
        silent = self.silent(now)
        for name, consumer in self._consumers.items():
            if name in silent or consumer.heard_at is None:
                consumer.lacked = {}
                continue
            lacks = self._lacking(consumer)
            for epoch, ranges in lacks.items():
                still = ranges.common(consumer.lacked.get(epoch, Ranges()))
                if still:
                    self._owed.setdefault(epoch, Ranges()).update(still)
            consumer.lacked = lacks
        self._owed = {epoch: ranges for epoch, ranges in self._owed.items() if ranges}
        return bool(self._owed)

    def _lacking(self, consumer: _Consumer) -> dict[str, Ranges]:
        """By epoch, what another consumer has and this one does not."""
        lacks: dict[str, Ranges] = {}
        for other in self._consumers.values():
            for epoch, held in other.confirmed.items() if other is not consumer else ():
                lacks.setdefault(epoch, Ranges()).update(
                    held.without(consumer.confirmed.get(epoch, Ranges()))
                )
        return {epoch: ranges for epoch, ranges in lacks.items() if ranges}
