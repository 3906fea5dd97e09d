"""Where the next batch comes from: live ones first, then what must go again, the backlog oldest first,
rows of damaged files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gateway.common.backoff import Backoff
from gateway.model import Sealed
from gateway.uplink.journal_port import JournalPort

CHUNK = 200
"""Batches read from the journal at a time."""
MAX_LIVE = 100
"""Live batches that wait for room; beyond that they are backlog like any other."""
SALVAGE_EVERY = 2.0
"""Seconds between looks for rows of damaged files when there was nothing new."""

STALLED = 30.0
"""Seconds with nothing in hand while the journal counts a backlog: then it is read anew, each time after
twice as long.
"""
LONGEST = 3600.0


class Queues:
    """Queues of one connection; everything in them is in the journal too and may be forgotten at any time."""

    def __init__(self, uplink: str, journal: JournalPort, skip: Callable[[Sealed], bool]) -> None:
        self._uplink = uplink
        self._journal = journal
        self._skip = skip
        self._live: deque[tuple[float, Sealed]] = deque()
        self._chunk: deque[Sealed] = deque()
        self._again: deque[Sealed] = deque()
        self._epoch = ""
        self._cursor = 0
        self._until = 0
        self._salvage_at = 0.0
        self._patience = Backoff(STALLED, LONGEST)
        self._idle_since: float | None = None

    def begin(self) -> None:
        """A new connection: the backlog is everything up to now, what is committed from here on is live."""
        self._again.clear()
        self._live.clear()
        self.rewind()

    def rewind(self) -> None:
        """Read the backlog from its beginning again."""
        self._chunk.clear()
        self._cursor = 0
        self._salvage_at = 0.0
        self._epoch, self._until = self._journal.newest

    def offer_again(self, sealed: Sealed) -> None:
        """It must go again: refused, lost on the way, or under another epoch."""
        self._again.append(sealed)

    def read_again(self, backlog: int, now: float) -> None:
        """Nothing is in hand and `backlog` batches were never sent: something was left out, so it is read
        from the beginning.
        """
        if backlog <= 0 or self.waiting or self._live or self.low:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= self._patience.wait:
            self._idle_since = None
            self._patience.next()
            self.rewind()

    def committed(self, sealed: Sealed, at: float) -> None:
        """A live batch, to be sent at monotonic time `at`."""
        if sealed.epoch != self._epoch or len(self._live) >= MAX_LIVE:
            # A new epoch may count in a new file; a full queue means that live batches are not so live any
            # more.
            self._live.clear()
            self.rewind()
            self._epoch = sealed.epoch
        if sealed.seq > self._until:
            self._live.append((at, sealed))

    @property
    def live(self) -> int:
        """How many live batches wait."""
        return len(self._live)

    @property
    def live_at(self) -> float | None:
        """When the next live batch is due."""
        return self._live[0][0] if self._live else None

    @property
    def waiting(self) -> bool:
        """Whether there is something beside live batches to send right now."""
        return bool(self._again or self._chunk)

    @property
    def low(self) -> bool:
        """Time to read ahead."""
        return len(self._chunk) < CHUNK // 2 and self._cursor < self._until

    def next_live(self, now: float) -> Sealed | None:
        """The next live batch that is due."""
        while self._live and self._live[0][0] <= now:
            sealed = self._live.popleft()[1]
            if not self._skip(sealed):
                return sealed
        return None

    def next_waiting(self) -> Sealed | None:
        """The next batch beside the live ones."""
        for queue in (self._again, self._chunk):
            while queue:
                sealed = queue.popleft()
                if queue is self._again or not self._skip(sealed):
                    self._patience.reset()
                    return sealed
        return None

    async def refill(self, now: float) -> None:
        """Read ahead of the backlog. Raises whatever the journal raises."""
        if self.low:
            cursor = self._cursor
            rows = await self._journal.unsettled(self._uplink, after=cursor, limit=CHUNK)
            if cursor != self._cursor:
                return  # rewound meanwhile
            self._chunk += [row for row in rows if row.seq <= self._until and not self._skip(row)]
            self._cursor = min(rows[-1].seq, self._until) if rows else self._until
        elif not self._chunk and self._cursor >= self._until and now >= self._salvage_at:
            rows = await self._journal.salvaged(self._uplink, limit=CHUNK)
            found = [row for row in rows if not self._skip(row)]
            self._chunk += found
            self._salvage_at = now + SALVAGE_EVERY * (not found)
