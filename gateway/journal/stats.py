"""How the journal is, in numbers that a person or a page can use, and how long its room will last."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gateway.journal.file.batch_table import Seqs
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.resume import ResumePoint, Synced
from gateway.model import Backlog

CommitState = Literal["ok", "full", "failing", "newer"]
"""ok: commits return. full: no room; failing: the file system refuses; newer: a newer program wrote the file.
In these, readings wait in memory.
"""


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
    """The journal as of one moment; the journal's thread replaces it as a whole after each job.

    Times in ms UTC, sizes in bytes, counts of readings unless said otherwise.
    """

    epoch: str
    """Of the newest batch; empty when there is none."""
    seq: int
    """The number of the newest batch; 0 when there is none."""
    oldest_seq: int | None
    oldest_t0: int | None
    batches: int
    """Batches that the file holds, delivered or not."""
    readings: int
    bytes: int
    """On disk: file, WAL, ballast, damaged files."""
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
    lost: int = 0
    """Batches that were lost for good with a damaged or missing file, the newest time that this happened."""
    lost_since: int | None = None
    """The time that they were of, as far as it is known, and when it was found."""
    lost_until: int | None = None
    lost_at: int | None = None
    let_go: int = 0
    """Readings that were let go because the disk refused for longer than memory holds, the newest time, and
    when that was told; also before a restart.
    """
    let_go_at: int | None = None
    room_basis: float | None = None
    """The s over which the pace was measured."""
    state: CommitState = "ok"
    unopened: bool = False
    """The file could not be opened: what it holds, and what of that waits, is not known."""
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

    next_epoch: str = ""
    """The epoch of the next batch."""
    epochs: tuple[Seqs, ...] = ()
    """(epoch, first seq, last seq), oldest first, those of damaged files in front."""
    carried: Mapping[str, Any] = field(default_factory=dict)
    """What the newest batch carried for its caller."""
    synced: Synced | None = None
    """The newest batch that was taken with a synced clock."""
    known_uplinks: tuple[str, ...] = ()
    """Uplinks that something was settled for, also those that are not configured any more."""

    @property
    def not_taken(self) -> int:
        """Readings that are not on disk: waiting or let go."""
        return self.waiting + self.dropped

    def to_json(self) -> dict[str, Any]:
        """For the API and `submeter journal status`: without what is only the daemon's own."""
        said = {name: value for name, value in asdict(self).items() if name not in _OWN}
        names = ("epoch", "first", "last")
        return {**said, "epochs": [dict(zip(names, span, strict=True)) for span in self.epochs]}


_OWN = {"next_epoch", "carried", "synced", "known_uplinks"}


def file_stats(file: JournalFile | None, resume: ResumePoint) -> dict[str, Any]:
    """The fields of JournalStats that an open file says; what is known without one when there is none."""
    since, until, at = resume.thinned[1:] if resume.thinned else (None, None, None)
    lost = resume.lost
    found: dict[str, Any] = {
        "epoch": resume.epoch,
        "seq": resume.seq,
        "taken": resume.total,
        "thinned_since": since,
        "thinned_until": until,
        "thinned_at": at,
        "lost": lost.batches,
        "lost_since": lost.since or None,
        "lost_until": lost.until or None,
        "lost_at": lost.at or None,
        "let_go": lost.let_go,
        "let_go_at": lost.let_go_at or None,
        "next_epoch": resume.epoch,
        "carried": resume.carried,
        "synced": resume.synced,
        "oldest_seq": None,
        "oldest_t0": None,
        "batches": 0,
        "readings": 0,
    }
    if file is not None:
        oldest, (batches, readings) = file.tally.oldest, file.tally.stored
        if oldest:
            found["oldest_seq"], found["oldest_t0"] = oldest
        found["batches"], found["readings"] = batches, readings
        found["thinned"], found["thinned_readings"] = file.thinned
        found["backlog"] = dict(file.tally.backlogs)
        found["salvaged"] = file.recovered.counts
        found["next_epoch"] = file.epoch
        found["epochs"] = tuple(file.epochs())
        found["known_uplinks"] = file.settled.known
    return found


DAY_MS = 86_400_000
POINTS = 200
"""Commits that are remembered: the pace of a day, in steps of seven minutes, and the newest hundred of
them at first.
"""
STEP_MS = DAY_MS // POINTS
FIRST = 100
SURE = 20
"""Batches after which their mean size is believed: each sixth has the slow values too, the first ones
describe every meter.
"""
MANY = 1000
"""Batches beside which what a file holds beyond its rows is nothing."""
EMPTY_BYTES = 12 * 1024
"""What a file without batches holds: a page for each table and index, and the schema."""


class Growth:
    """When batches were committed (uptime in ms), and how the file grew with them (bytes that hold
    something).
    """

    def __init__(self) -> None:
        self._times: deque[tuple[int, int]] = deque(maxlen=POINTS)
        self._base = (0, EMPTY_BYTES)
        self._now = (0, 0)

    def seed(self, uptimes: list[int], stored: int = 0, used: int = 0) -> None:
        """Begin with the batches that are there, newest first; `stored` of them in a file that uses so many
        bytes.
        """
        self._times.clear()
        self._times.extend((-index, uptime) for index, uptime in reversed(list(enumerate(uptimes))))
        self._base = (0, EMPTY_BYTES) if stored >= SURE else (stored, used)
        self._now = (stored, used)

    def add(self, seq: int, uptime: int, stored: int = 0, used: int = 0) -> None:
        """A commit whose newest batch has this number, of `stored` batches in `used` bytes."""
        if self._times and seq <= self._times[-1][0]:
            self._times.clear()
        if self._times and self._times[-1][0] <= 0:
            # The seed counts backwards from zero: go on from there.
            shift = seq - 1
            moved = [(at + shift, when) for at, when in self._times]
            self._times.clear()
            self._times.extend(moved)
        if len(self._times) > FIRST and self._times[-1][1] - self._times[-2][1] < STEP_MS:
            self._times.pop()  # the newest is always there, those before it stand a step apart
        self._times.append((seq, uptime))
        if stored <= 2 or stored < self._base[0]:
            self._base = (stored, used) if stored <= 2 else (0, EMPTY_BYTES)
        self._now = (stored, used)

    @property
    def basis(self) -> float | None:
        """The s over which the pace was measured; None while too little is known."""
        if len(self._times) < 2:
            return None
        return max(0.0, (self._times[-1][1] - self._times[0][1]) / 1000)

    def per_day(self) -> float | None:
        """Batches a day; None while too little is known."""
        if not self.basis:
            return None
        return (self._times[-1][0] - self._times[0][0]) * DAY_MS / (1000 * self.basis)

    def batch_bytes(self) -> float | None:
        """What one more batch takes in the file; None while too few are known."""
        stored, used = self._now
        first, begun = (0, EMPTY_BYTES) if stored >= MANY else self._base
        return max(1.0, (used - begun) / (stored - first)) if stored - first >= SURE else None


def room_days(
    pace: Growth, budget: int, used: int, stored: int, backlogs: Mapping[str, Backlog]
) -> float | None:
    """Days until what nobody has fetched meets the budget; delivered batches make way. None while the pace
    is not known.
    """
    rate, each = pace.per_day(), pace.batch_bytes()
    if not rate or not each or not stored:
        return None
    waiting = max((backlog.batches for backlog in backlogs.values()), default=stored)
    beside = max(0.0, used - stored * each)
    return max(0.0, ((budget - beside) / each - waiting) / rate)
