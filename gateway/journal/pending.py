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
    outcome: Future[list[Sealed]] = field(default_factory=Future)
    packed: bytes = b""
    readings: int = 0
    keep: bool = False


def unpacked(waiting: PendingDraft) -> Draft:
    """The draft itself."""
    if waiting.draft is not None:
        return waiting.draft
    draft: Draft = pickle.loads(zlib.decompress(waiting.packed))  # noqa: S301 - packed by this process a moment ago
    return draft


def answer(
    waiting: PendingDraft, *, sealed: list[Sealed] | None = None, error: Exception | None = None
) -> bool:
    """Tell whoever waits for it what became of it; False when nobody waits any more."""
    if waiting.outcome.done():
        return False
    if error is not None:
        waiting.outcome.set_exception(error)
    else:
        waiting.outcome.set_result(sealed or [])
    return True


class Pending:
    """First in, first out; bytes of what had to wait are bounded. Added to from any thread, taken from by the
    journal thread.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._drafts: deque[PendingDraft] = deque()
        self._lock = threading.Lock()
        self.packed = 0
        self.late = 0
        """Readings that wait because a commit failed."""
        self.dropped = 0
        """Readings that were let go."""
        self.untold = 0
        """Of those, the ones that no event has named yet."""

    def add(self, draft: PendingDraft) -> None:
        """Put a draft at the end."""
        draft.readings = len(draft.draft.readings) if draft.draft else 0
        draft.keep = bool(draft.draft and (draft.draft.keep or draft.draft.events))
        with self._lock:
            self._drafts.append(draft)

    def head(self, count: int) -> list[PendingDraft]:
        """The oldest drafts; they stay until they are `committed`."""
        with self._lock:
            return [self._drafts[index] for index in range(min(count, len(self._drafts)))]

    def committed(self, drafts: Iterable[PendingDraft]) -> None:
        """These drafts are on the disk: they leave memory."""
        with self._lock:
            for draft in drafts:
                self._forget(draft)

    def lose(self, draft: PendingDraft) -> None:
        """This one cannot be committed."""
        with self._lock:
            self._forget(draft)
            self._count(draft)

    def pack_all(self) -> list[PendingDraft]:
        """No commit was possible: everything is packed, and what does not fit is let go. Whom to tell of it:
        all of them.
        """
        with self._lock:
            everybody = list(self._drafts)
            for draft in everybody:
                if draft.draft is not None:
                    draft.packed, draft.draft = zlib.compress(pickle.dumps(draft.draft), 1), None
                    self.packed += len(draft.packed)
                    self.late += draft.readings
            while self.packed > self._most:
                # The oldest that is not spared; the spared ones when nothing else is left.
                least = next((draft for draft in self._drafts if not draft.keep), self._drafts[0])
                self._forget(least)
                self._count(least)
            return everybody

    def _count(self, draft: PendingDraft) -> None:
        self.dropped += draft.readings
        self.untold += draft.readings

    def _forget(self, draft: PendingDraft) -> None:
        try:
            self._drafts.remove(draft)
        except ValueError:  # let go meanwhile
            return
        if draft.packed:
            self.packed -= len(draft.packed)
            self.late -= draft.readings

    @property
    def pressed(self) -> bool:
        """More than half of the memory is used: time to give up something older instead."""
        return self.packed > self._most // 2

    def __len__(self) -> int:
        return len(self._drafts)
