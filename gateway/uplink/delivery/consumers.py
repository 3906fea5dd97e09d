"""Whose receipts decide, one by one: who is silent, and what a slow one still has to get. No I/O; times are
monotonic seconds.

The flow is controlled by the fastest consumer. What another one lacks stays unsettled in the journal; when
that one is heard of and still lacks it after a while, it is read from the journal once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.model import Ranges
from gateway.uplink.delivery.receipts import Receipts, both

LAG = 10.0
"""Seconds by which one consumer's receipts may come later than another's before what it lacks is sent
again.
"""


@dataclass(slots=True)
class _Consumer:
    heard_at: float | None = None
    waits_since: float | None = None
    """Since when something is in the broker's custody that it has not confirmed, and it has said nothing."""
    lacked: dict[str, Ranges] = field(default_factory=dict)
    """What it lacked at the last look."""


class Consumers:
    """`silence` is the time without any receipt after which a consumer that is owed one counts as silent."""

    def __init__(self, ledger: Receipts, silence: float) -> None:
        self._ledger = ledger
        self._silence = silence
        self._all = {name: _Consumer() for name in ledger.consumers}
        self._owed: dict[str, Ranges] = {}
        self._look_at = 0.0

    def in_custody(self, now: float) -> None:
        """The broker has a batch: everybody should confirm it."""
        for consumer in self._all.values():
            if consumer.waits_since is None:
                consumer.waits_since = now

    def heard(self, name: str, now: float, *, waiting: bool) -> None:
        """A receipt came; `waiting` says whether more is expected of it."""
        if name in self._all:
            self._all[name].heard_at = now
            self._all[name].waits_since = now if waiting else None

    def silent(self, now: float) -> dict[str, float | None]:
        """Who owes a receipt for too long, with the time of its last one."""
        return {
            name: consumer.heard_at
            for name, consumer in self._all.items()
            if consumer.waits_since is not None and now - consumer.waits_since > self._silence
        }

    def waits_for_silent_alone(self, epoch: str, seq: int, silent: dict[str, float | None]) -> bool:
        """Whether only silent consumers lack a batch that another one has."""
        lacking = [name for name in self._all if not self._ledger.has(name, epoch, seq)]
        return len(lacking) < len(self._all) and all(name in silent for name in lacking)

    def owes(self, epoch: str, seq: int) -> bool:
        """Whether a batch that somebody has must go again for another one."""
        return seq in self._owed.get(epoch, ())

    def sent(self, epoch: str, seq: int) -> None:
        """It is on its way."""
        if epoch in self._owed:
            self._owed[epoch].discard(seq)

    def look(self, now: float) -> bool:
        """Every LAG seconds: whether something must be read from the journal again for a consumer that is
        heard of.
        """
        if len(self._all) < 2 or now < self._look_at:  # one has nobody to lag behind
            return False
        self._look_at = now + LAG
        silent = self.silent(now)
        for name, consumer in self._all.items():
            if name in silent or consumer.heard_at is None:
                consumer.lacked = {}
                continue
            lacks = self._ledger.lacking(name)
            for epoch, ranges in lacks.items():
                still = both(ranges, consumer.lacked.get(epoch, Ranges()))
                if still:
                    self._owed.setdefault(epoch, Ranges()).update(still)
            consumer.lacked = lacks
        self._owed = {epoch: ranges for epoch, ranges in self._owed.items() if ranges}
        return bool(self._owed)
