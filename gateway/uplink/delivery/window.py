"""What was handed over and is not settled yet: the flow control. Pure bookkeeping, no I/O; times are
monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.model import Ranges, Sealed

MAX_BATCHES = 400
MAX_BYTES = 2_000_000
GRACE = 5.0
"""Seconds by which a receipt may come out of order before the older batch counts as lost on the way."""

Key = tuple[str, int]
"""Epoch and seq as the journal knows them."""


def key_of(sealed: Sealed) -> Key:
    """The journal's identity of a batch."""
    return (sealed.epoch, sealed.seq)


@dataclass(slots=True)
class Entry:
    """One batch on its way. `order` counts hand-overs; `replay` needs no receipt: whoever asked will ask
    again.
    """

    sealed: Sealed
    order: int
    sent_at: float
    acked: bool = False
    replay: bool = False


class Window:
    """At most `unacked` batches without PUBACK, and, with receipts, MAX_BATCHES or MAX_BYTES without
    receipt.
    """

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self._order = 0
        self._bytes = 0
        self._unacked = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    @property
    def unacked(self) -> int:
        """How many have no PUBACK."""
        return self._unacked

    @property
    def undelivered(self) -> int:
        """How many of them are the gateway's own to deliver, replays aside."""
        return sum(not entry.replay for entry in self._entries.values())

    @property
    def full(self) -> bool:
        """Nothing more may be sent until receipts come."""
        return len(self._entries) >= MAX_BATCHES or self._bytes >= MAX_BYTES

    def sent(self, sealed: Sealed, now: float, *, replay: bool = False) -> None:
        """A batch was handed to the connection, for the first time or again."""
        key = key_of(sealed)
        before = self._entries.pop(key, None)  # sent again: it goes to the end, the order of hand-overs
        if before is None:
            self._bytes += len(sealed.body)
            self._unacked += 1
        elif before.acked:
            self._unacked += 1
        self._order += 1
        self._entries[key] = Entry(
            sealed, self._order, now, replay=replay and (before is None or before.replay)
        )

    def acked(self, key: Key) -> Entry | None:
        """The broker has it. None when it is not expected."""
        entry = self._entries.get(key)
        if entry is None or entry.acked:
            return None
        entry.acked = True
        self._unacked -= 1
        return entry

    def drop(self, key: Key) -> Entry | None:
        """Settled, refused, or to be sent again: it leaves the window."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry.sealed.body)
            self._unacked -= not entry.acked
        return entry

    def disconnected(self) -> None:
        """What has no PUBACK died with the connection; the journal still has it. The rest is in the
        broker's custody.
        """
        for entry in list(self._entries.values()):
            if not entry.acked or entry.replay:
                self.drop(key_of(entry.sealed))

    def leave(self, epoch: str, held: Ranges) -> list[Entry]:
        """The entries of an epoch that a consumer has: they leave."""
        covered = [
            entry
            for entry in self._entries.values()
            if entry.sealed.epoch == epoch and entry.sealed.seq in held
        ]
        for entry in covered:
            self.drop(key_of(entry.sealed))
        return covered

    def overtaken(self, order: int, now: float) -> list[Sealed]:
        """Take out what was handed over before `order`, has its PUBACK, and should have been receipted by
        now: lost on the way.

        MQTT keeps the order of one publisher's messages, so a receipt for a later one says that the earlier
        one never arrived.
        """
        late = [e for e in self._entries.values() if e.order < order and e.acked and now - e.sent_at > GRACE]
        for entry in late:
            self.drop(key_of(entry.sealed))
        return [entry.sealed for entry in late if not entry.replay]

    def oldest(self, chosen: Callable[[Entry], bool]) -> Entry | None:
        """The entry handed over first among those that `chosen` accepts."""
        return next((entry for entry in self._entries.values() if chosen(entry)), None)
