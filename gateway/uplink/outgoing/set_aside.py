"""Batches that cannot go to this broker although others can: counted, explained, and tried again when that
may have changed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.model import Ranges
from gateway.uplink.delivery import Key

AGAIN = 3600.0
"""Seconds until what the broker refused for its content is offered again."""
TOO_LARGE = "too_large"
REFUSED = "refused"


class SetAside:
    """Numbers by epoch and reason; ranges, because a whole outage may be larger than a new broker takes."""

    def __init__(self) -> None:
        self._sets: dict[tuple[str, str], Ranges] = {}
        self._until: float | None = None
        self.example: tuple[Key, int] | None = None
        """The newest batch that was set aside for its size, and the bytes of its packet."""

    def put(self, key: Key, reason: str, *, size: int = 0, now: float = 0.0) -> bool:
        """Set aside; whether this is news. `size`: bytes of its packet."""
        news = key not in self
        self._sets.setdefault((key[0], reason), Ranges()).add(key[1])
        if reason == TOO_LARGE:
            self.example = (key, size)
        elif self._until is None:
            self._until = now + AGAIN
        return news

    def reason(self, key: Key) -> str:
        """Why it is here; empty when it is not."""
        return next(
            (why for (epoch, why), ranges in self._sets.items() if epoch == key[0] and key[1] in ranges), ""
        )

    def __contains__(self, key: Key) -> bool:
        return bool(self._sets) and bool(self.reason(key))

    def __len__(self) -> int:
        return sum(ranges.count for ranges in self._sets.values())

    def __iter__(self) -> Iterator[tuple[str, str, Ranges]]:
        """(epoch, reason, numbers)."""
        return iter([(epoch, reason, ranges) for (epoch, reason), ranges in self._sets.items()])

    def count(self, reason: str) -> int:
        """How many are aside for this reason."""
        return sum(ranges.count for _, why, ranges in self if why == reason)

    @property
    def cause(self) -> str:
        """Why the broker does not take them, as a word of reasons.MEANINGS; empty while there are none."""
        return TOO_LARGE if self.count(TOO_LARGE) else "payload" if len(self) else ""

    def forget(self, reason: str) -> bool:
        """What was set aside for this reason may be tried again; whether there was any."""
        found = [key for key in self._sets if key[1] == reason]
        return sum(self._sets.pop(key).count for key in found) > 0

    def hurry(self) -> None:
        """What was refused for its content is offered again at the next tick."""
        if self._until is not None:
            self._until = 0.0

    def tick(self, now: float) -> bool:
        """Time to offer again what was refused for its content; whether there is any."""
        if self._until is None or now < self._until:
            return False
        self._until = None
        return self.forget(REFUSED)
