"""The epochs of a file: which numbers belong to which, and the event with which each begins, until
somebody has heard it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.journal.file import missing
from gateway.journal.file.missing import NOBODY, TELL, UNTOLD
from gateway.journal.file.store import JournalStore
from gateway.model import Event


def new_epoch() -> str:
    """A name that was never used before: 64 random bits, 16 hex digits."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class EpochStart:
    """An epoch whose beginning is said: its first number, which one it follows (empty: none), and where
    that ended.
    """

    epoch: str
    first: int
    reason: str
    previous: str
    last: int

    def event(self, uptime: int, *, again: bool = False) -> Event:
        """What the platform needs to tell an end from a gap; `again`: in a batch that is not the first
        one, which had to make room.
        """
        fields = {"previous": self.previous or None, "last": self.last, "reason": self.reason}
        return Event(
            "epoch_started", uptime, {"epoch": self.epoch, "first": self.first, **fields} if again else fields
        )


def firsts(store: JournalStore) -> list[tuple[str, int]]:
    """(epoch, first number), oldest first."""
    return [
        (epoch.hex(), first) for first, epoch in store.query("SELECT first, epoch FROM epoch ORDER BY first")
    ]


def insert(store: JournalStore, start: EpochStart) -> None:
    """A new epoch, within the transaction of its first batch, which says so."""
    name, previous = bytes.fromhex(start.epoch), bytes.fromhex(start.previous) or None
    store.execute(
        "INSERT INTO epoch VALUES (?,?,?,?,?,?)",
        (start.first, name, start.reason, previous, start.last, start.first),
    )


def untold(store: JournalStore) -> list[EpochStart]:
    """Epochs whose beginning must be said again, oldest first."""
    sql = "SELECT epoch, first, reason, previous, last FROM epoch WHERE told = ? ORDER BY first LIMIT ?"
    return [
        EpochStart(epoch.hex(), first, reason, previous.hex() if previous else "", last)
        for epoch, first, reason, previous, last in store.query(sql, (UNTOLD, TELL))
    ]


def tell(store: JournalStore, start: EpochStart, teller: int) -> None:
    """The batch of this number says it, in this transaction."""
    store.execute("UPDATE epoch SET told = ? WHERE first = ?", (teller, start.first))


def tellers_gone(store: JournalStore, first: int, last: int, *, heard: bool) -> None:
    """The batches from `first` to `last` go, in this transaction: `heard` by everybody, or what they said
    must be said again.
    """
    store.execute(
        "UPDATE epoch SET told = ? WHERE told BETWEEN ? AND ?", (NOBODY if heard else UNTOLD, first, last)
    )


@dataclass(slots=True)
class ToTell:
    """What a commit says of the past, and the numbers of the batches that hold it: of each epoch, then of
    each range.
    """

    starts: Sequence[EpochStart] = ()
    ranges: Sequence[missing.Gone] = ()
    tellers: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.starts or self.ranges)

    def events(self, uptime: int) -> list[Event]:
        """An event for each, that is dated `uptime` (ms)."""
        return [
            *(start.event(uptime, again=True) for start in self.starts),
            *missing.events(self.ranges, uptime),
        ]

    def write(self, store: JournalStore) -> None:
        """Note who told, in the transaction that commits the events."""
        for start, teller in zip(self.starts, self.tellers, strict=False):
            tell(store, start, teller)
        missing.tell(store, self.ranges, self.tellers[len(self.starts) :])
