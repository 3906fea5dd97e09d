"""Drafts that are not committed yet. They wait in bounded memory; what has to be let go is counted: it was
never taken.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
import zlib
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from gateway.model import Draft, Sealed

MOST_BYTES = 8 << 20
"""Memory for drafts that had to wait, packed: about 40 000 readings of 34 values."""


@dataclass(slots=True, eq=False)
class PendingDraft:
    """A draft on its way, who waits for it, and what it carries. After a failed commit it is kept packed."""

    draft: Draft | None
    carry: dict[str, Any] | None
    loop: asyncio.AbstractEventLoop | None = None
    done: Future[list[Sealed]] = field(default_factory=Future)
    packed: bytes = b""
    readings: int = 0
    keep: bool = False

    def open(self) -> Draft:
        """The draft itself."""
        if self.draft is not None:
            return self.draft
        draft: Draft = pickle.loads(zlib.decompress(self.packed))  # noqa: S301 - packed by this process a moment ago
        return draft

    def pack(self) -> None:
        """Make it small: it will be here for a while."""
        if self.draft is not None:
            self.packed = zlib.compress(pickle.dumps(self.draft), 1)
            self.draft = None


class Pending:
    """First in, first out; `late` bytes are bounded. Added to from any thread, taken from by the journal
    thread.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._entries: deque[PendingDraft] = deque()
        self._lock = threading.Lock()
        self.packed = 0
        self.late = 0
        """Readings that wait because a commit failed."""
        self.dropped = 0
        """Readings that were let go."""
        self.untold = 0
        """Of those, the ones that no event has named yet."""

    def add(self, entry: PendingDraft) -> None:
        """Put an entry at the end."""
        entry.readings = len(entry.draft.readings) if entry.draft else 0
        entry.keep = bool(entry.draft and (entry.draft.keep or entry.draft.events))
        with self._lock:
            self._entries.append(entry)

    def head(self, count: int) -> list[PendingDraft]:
        """The oldest entries; they stay until `done`."""
        with self._lock:
            return [self._entries[index] for index in range(min(count, len(self._entries)))]

    def done(self, entries: Iterable[PendingDraft]) -> None:
        """These are committed."""
        with self._lock:
            for entry in entries:
                self._forget(entry)

    def lose(self, entry: PendingDraft) -> None:
        """This one cannot be committed."""
        with self._lock:
            self._forget(entry)
            self._count(entry)

    def refuse(self, error: Exception) -> None:
        """No commit was possible: whoever waits is told, everything is packed, and what does not fit is
        let go.
        """
        with self._lock:
            for entry in self._entries:
                if not entry.packed:
                    entry.pack()
                    self.packed += len(entry.packed)
                    self.late += entry.readings
            while self.packed > self._most:
                # The oldest that is not spared; the spared ones when nothing else is left.
                victim = next((entry for entry in self._entries if not entry.keep), self._entries[0])
                self._forget(victim)
                self._count(victim)
                settle(victim, error=error)
            entries = list(self._entries)
        for entry in entries:
            settle(entry, error=error)

    def _count(self, entry: PendingDraft) -> None:
        self.dropped += entry.readings
        self.untold += entry.readings

    def _forget(self, entry: PendingDraft) -> None:
        try:
            self._entries.remove(entry)
        except ValueError:  # let go meanwhile
            return
        if entry.packed:
            self.packed -= len(entry.packed)
            self.late -= entry.readings

    @property
    def pressed(self) -> bool:
        """More than half of the memory is used: time to give up something older instead."""
        return self.packed > self._most // 2

    def __len__(self) -> int:
        return len(self._entries)


def settle(
    entry: PendingDraft, *, sealed: list[Sealed] | None = None, error: Exception | None = None
) -> bool:
    """Tell whoever waits for an entry; False when nobody does any more."""
    if entry.done.done():
        return False
    if error is not None:
        entry.done.set_exception(error)
    else:
        entry.done.set_result(sealed or [])
    return True
