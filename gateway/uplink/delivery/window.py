"""What was handed over and is not settled yet: the flow control. Pure bookkeeping, no I/O; times are
monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from math import inf

from gateway.model import Ranges, Sealed

MAX_BATCHES = 400
MAX_BYTES = 2_000_000
GRACE = 5.0
"""Seconds by which a receipt may be late beside those of later batches before its batch counts as lost on the
way: several receivers share the work, and each has a queue of its own.
"""

Key = tuple[str, int]
"""Epoch and seq as the journal knows them."""


def key_of(sealed: Sealed) -> Key:
    """The journal's identity of a batch."""
    return (sealed.epoch, sealed.seq)


@dataclass(slots=True)
class Entry:
    """One batch on its way. `order` counts hand-overs; `again`: an earlier one may still arrive; `replay`
    needs no receipt: whoever asked will ask again. `due`: when its receipt should have come, had its way
    been as long as that of a later batch.
    """

    sealed: Sealed
    order: int
    sent_at: float
    again: bool = False
    acked: bool = False
    replay: bool = False
    due: float = inf


class Window:
    """At most `unacked` batches without PUBACK, and, with receipts, MAX_BATCHES or MAX_BYTES without
    receipt.
    """

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self._order = 0
        self._bytes = 0
        self._unacked = 0
        self._perhaps = 0
        """Hand-overs before this one are lost, unless it was an earlier one of its batch that arrived."""
        self._news_at = -inf

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

    def sent(self, sealed: Sealed, now: float, *, again: bool = False, replay: bool = False) -> None:
        """A batch was handed to the connection, for the first time or `again`."""
        key = key_of(sealed)
        before = self._entries.pop(key, None)  # sent again: it goes to the end, the order of hand-overs
        if before is None:
            self._bytes += len(sealed.body)
            self._unacked += 1
        elif before.acked:
            self._unacked += 1
        self._order += 1
        replay = replay and (before is None or before.replay)
        self._entries[key] = Entry(sealed, self._order, now, again or before is not None, replay=replay)

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

    def leave(self, epoch: str, confirmed: Ranges, now: float) -> list[Entry]:
        """The entries of an epoch that a consumer has: they leave, and say what is overdue.

        MQTT keeps the order of one publisher's messages, so what was handed over before one that arrived has
        arrived too, or never will.
        """
        covered = [
            entry
            for entry in self._entries.values()
            if entry.sealed.epoch == epoch and entry.sealed.seq in confirmed
        ]
        for entry in covered:
            self.drop(key_of(entry.sealed))
        if covered:
            self._perhaps, self._news_at = max(self._perhaps, covered[-1].order), now
        if newest := next((entry for entry in reversed(covered) if not entry.again), None):
            for entry in takewhile(lambda entry: entry.order < newest.order, self._entries.values()):
                entry.due = min(entry.due, entry.sent_at + now - newest.sent_at)
        return covered

    def lost(self, now: float) -> list[Sealed]:
        """Take out what has its PUBACK and was lost on the way: its receipt is overdue, or it was handed over
        before one that was offered again and arrived, and nothing more has come since.
        """
        before = self._perhaps if now - self._news_at > GRACE else 0
        late = [
            entry
            for entry in self._entries.values()
            if entry.acked and (now - entry.due > GRACE or entry.order < before)
        ]
        for entry in late:
            self.drop(key_of(entry.sealed))
        return [entry.sealed for entry in late if not entry.replay]

    def probe(self) -> Sealed | None:
        """What to offer again when no receipts come: the newest in the broker's custody, since its receipt
        says what became of all before it; when all were offered again, the one that waits longest.
        """
        held = [entry for entry in self._entries.values() if entry.acked and not entry.replay]
        fresh = [entry for entry in held if not entry.again]
        return (fresh[-1] if fresh else held[0]).sealed if held else None
