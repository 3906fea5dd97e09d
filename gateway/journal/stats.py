"""How the journal is, in numbers that a person or a page can use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

State = Literal["ok", "full", "failing", "newer"]
"""ok: commits return. full: no room; failing: the file system refuses; newer: a newer program wrote the file.
In these, readings wait in memory.
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an uplink has not settled: batches, readings, and the wall time (ms) of the oldest; None when
    nothing waits.
    """

    batches: int = 0
    readings: int = 0
    oldest_t0: int | None = None


@dataclass(frozen=True, slots=True)
class SalvageProgress:
    """A damaged file on its way back: its folder's name, why it was moved aside, pages read of all, rows
    that came back.
    """

    name: str
    reason: str
    pages: int
    page: int
    rows: int
    done: bool


@dataclass(frozen=True, slots=True)
class JournalStats:
    """A snapshot. Times in ms UTC, sizes in bytes, counts of readings unless said otherwise."""

    epoch: str
    seq: int
    oldest_seq: int | None
    oldest_t0: int | None
    batches: int
    """Batches that the file holds, delivered or not."""
    readings: int
    bytes: int
    """On disk: file, WAL, ballast, cases of damage."""
    budget: int
    """What the journal may grow to at the moment."""
    room_days: float | None
    """Days until the budget is met at the pace of the last `room_basis` s; 0 when it is full, None while
    that is not known.
    """
    taken: int
    """Readings committed since this file was begun."""
    waiting: int = 0
    """Readings in memory that could not be committed yet: not taken."""
    dropped: int = 0
    """Readings that had to be let go since the start, because memory is bounded: never taken."""
    thinned: int = 0
    """Batches that had to make room undelivered, since the journal was begun."""
    thinned_readings: int = 0
    thinned_since: int | None = None
    """Time of the oldest batch that was given up so, of the newest, and when that happened last."""
    thinned_until: int | None = None
    thinned_at: int | None = None
    room_basis: float | None = None
    state: State = "ok"
    cause: str = ""
    """Why it cannot be written, as far as that is known: permission."""
    error: str = ""
    """What is wrong and what to do, in words for a person; empty when nothing is."""
    damaged: tuple[SalvageProgress, ...] = ()
    walked: float = 1.0
    """Part of the rows whose checksums were verified since the start."""
    backlog: dict[str, Backlog] = field(default_factory=dict)
    salvaged: dict[str, int] = field(default_factory=dict)
    """Rows from damaged files that each uplink has not settled."""

    @property
    def not_taken(self) -> int:
        """Readings that are not on disk: waiting or let go."""
        return self.waiting + self.dropped
