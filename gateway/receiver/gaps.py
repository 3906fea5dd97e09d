"""Which missing batches to ask for, and when: one replay at a time, bounded tries. Pure: time is given,
nothing is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import merge
from math import inf

from gateway.common.backoff import Backoff
from gateway.model import Ranges
from gateway.receiver.ledger import Missing

AGE = 60.0
"""Seconds a gap must be old: what is still on its way is no gap."""
ANSWER = 60.0
"""Seconds within which an asked replay must have been answered and its batches must have come."""
SPACING = 5.0
"""Seconds between two replays to one gateway, whatever it answers."""
SPAN = 1000
"""Seqs of one replay."""
TRIES = 5
"""Replays of one range that bring nothing; then it is asked for again only when the gateway comes online
anew.
"""


@dataclass(frozen=True, slots=True)
class AskedReplay:
    """A replay of seqs `first` to `last`."""

    epoch: str
    first: int
    last: int


@dataclass(slots=True)
class _Deferred:
    backoff: Backoff
    until: float = 0.0


@dataclass(slots=True)
class Gaps:
    """The gaps of one gateway. Times are monotonic seconds."""

    age: float = AGE
    answer: float = ANSWER
    spacing: float = SPACING
    open: AskedReplay | None = None
    _asked: float = float("-inf")
    _seen: dict[str, list[tuple[float, Ranges]]] = field(default_factory=dict)
    _deferred: dict[AskedReplay, _Deferred] = field(default_factory=dict)

    def online(self) -> None:
        """The gateway came online anew: it may have what it did not have before."""
        self._deferred.clear()
        self.open = None

    def next_ask(self, missing: dict[str, Missing], now: float, *, ready: bool) -> AskedReplay | None:
        """The replay to ask for now, if any. `ready`: the gateway is online and its backlog is 0."""
        self._remember(missing, now)
        if self.open is not None:
            left = missing.get(self.open.epoch, Missing())
            whole = Ranges(merge(left.beginning, left.certain)).within(self.open.first, self.open.last)
            if len(whole) and now - self._asked < self.answer:
                return None
            if whole.count == self.open.last - self.open.first + 1:
                deferred = self._deferred.setdefault(self.open, _Deferred(Backoff(2 * self.answer, inf)))
                wait = deferred.backoff.next()
                deferred.until = now + wait if deferred.backoff.failures < TRIES else inf
            self.open = None
        if not ready or now - self._asked < self.spacing:
            return None
        ask = self._choose(now)
        if ask:
            self.open, self._asked = ask, now
        return ask

    def deferred(self, epoch: str, now: float) -> Ranges:
        """What is not asked for at the moment because it was in vain."""
        return Ranges(
            sorted(
                (ask.first, ask.last)
                for ask, put_off in self._deferred.items()
                if ask.epoch == epoch and put_off.until > now
            )
        )

    def answered(self) -> None:
        """The open replay was answered with nothing to come: what is still missing of it counts as a try
        at once.
        """
        self._asked = min(self._asked, self._asked - self.answer + self.spacing)

    def _remember(self, missing: dict[str, Missing], now: float) -> None:
        # A seq keeps the time at which it was first seen missing, however its gap is cut or grows. All that
        # is old enough melts.
        seen: dict[str, list[tuple[float, Ranges]]] = {}
        for epoch, gap in missing.items():
            rest = Ranges(merge(gap.beginning, gap.certain))
            entries: dict[float, Ranges] = {}
            for since, ranges in self._seen.get(epoch, ()):
                still = rest.common(ranges)
                rest = rest.without(still)
                key = since if now - since < self.age else float("-inf")
                entries[key] = Ranges(merge(entries[key], still)) if key in entries else still
            if len(rest):
                entries[now] = rest
            seen[epoch] = [(since, ranges) for since, ranges in entries.items() if len(ranges)]
        self._seen = seen

    def _choose(self, now: float) -> AskedReplay | None:
        for epoch, entries in self._seen.items():
            old = Ranges(merge(*(ranges for since, ranges in entries if now - since >= self.age)))
            # From the newest down: of an epoch whose first seq is unknown, the next lower batches are the
            # ones that exist.
            for first, last in reversed(old.without(self.deferred(epoch, now))):
                return AskedReplay(epoch, max(first, last - SPAN + 1), last)
        return None
