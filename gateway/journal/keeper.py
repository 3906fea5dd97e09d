"""The journal's heart: takes drafts, knows epochs, what is settled and what is gone. Synchronous; lives in the journal thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from gateway.journal.rows import Row
from gateway.journal.schema import Synchronous
from gateway.journal.seal import Stamp, carry_json, new_epoch, read_carry, seal, started
from gateway.journal.settled import Settled
from gateway.journal.stats import Backlog, JournalStats
from gateway.journal.store import Store
from gateway.model import Draft, Ranges, Sealed


class ClockLike(Protocol):
    """What the journal asks a clock: ms, UTC and CLOCK_BOOTTIME, this boot's name, and whether somebody vouches for the time."""

    boot: str
    synced: bool

    def wall(self) -> int:
        """UTC in ms."""

    def uptime(self) -> int:
        """CLOCK_BOOTTIME in ms."""


class Keeper:
    """One journal file and what must be remembered about it."""

    def __init__(self, path: Path, gateway: str, boot: str, uplinks: Sequence[str], budget: int, synchronous: Synchronous = "FULL") -> None:
        self.gateway = gateway
        self.boot = boot
        self.budget = budget
        self.settled = Settled(uplinks)
        self.carried: dict[str, Any] = {}
        self.store = Store(path, synchronous)
        self.store.check_schema()
        self._epochs = self.store.epochs()
        self.newest: Row | None = next(iter(self.store.newest()), None)
        self._pending: str | None = None
        if self.newest:
            ranges, self.carried = read_carry(self._newest_carry())
            self.settled.load(ranges)
        if not self.newest or not self._epochs:
            self.begin_epoch("new_file")
        elif self.newest.sealed.boot != boot:
            self.begin_epoch("boot")
        else:
            self.epoch = self.newest.sealed.epoch

    def _newest_carry(self) -> str:
        found = self.store.query("SELECT carry FROM batch WHERE carry != '' ORDER BY seq DESC LIMIT 1")
        return str(found[0][0]) if found else ""

    def begin_epoch(self, reason: str) -> None:
        """Draw a new epoch; it is written with its first batch."""
        self.epoch = new_epoch()
        self._pending = reason

    @property
    def last(self) -> int:
        """The newest seq; 0 in an empty file."""
        return self.newest.seq if self.newest else 0

    def commit(self, drafts: Iterable[Draft], offset: int, *, synced: bool, carry: dict[str, Any], uptime: int) -> list[list[Sealed]]:
        """Write drafts in one transaction; the batches of each. When this returns they are taken."""
        carried = carry or self.carried
        text = carry_json(self.settled.to_json(), carried)
        stamp = Stamp(self.gateway, self.epoch, self.boot, offset, "synced" if synced else "unsynced")
        groups: list[list[Row]] = []
        last = self.newest
        for draft in drafts:
            if self._pending is not None and not groups:
                previous = last.sealed.epoch if last else ""
                draft.events.insert(0, started(previous, last.seq if last else 0, self._pending, _earliest(draft, uptime)))
            rows = seal(draft, stamp, (last.seq if last else 0) + 1, last.total if last else 0, text)
            groups.append(rows)
            last = rows[-1]
        rows = [row for group in groups for row in group]
        with self.store.transaction():
            if self._pending is not None:
                self.store.execute("INSERT INTO epoch VALUES (?,?,?)", (rows[0].seq, bytes.fromhex(self.epoch), self._pending))
            self.store.insert(rows)
        if self._pending is not None:
            self._epochs.append((self.epoch, rows[0].seq, self._pending))
            self._pending = None
        self.newest = rows[-1]
        self.carried = carried
        return [[row.sealed for row in group] for group in groups]

    def epochs(self) -> list[tuple[str, int, int]]:
        """(epoch, first seq, last seq) of this file, oldest first; only epochs that have a batch."""
        ends = [first - 1 for _, first, _ in self._epochs[1:]] + [self.last]
        return [(epoch, first, last) for (epoch, first, _), last in zip(self._epochs, ends, strict=True)]

    def span(self, epoch: str) -> Ranges:
        """Which numbers belong to an epoch."""
        return Ranges((first, last) for name, first, last in self.epochs() if name == epoch)

    def settle(self, uplink: str, epoch: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Note what an uplink need not send any more: only numbers that were given out under this epoch."""
        for first, last in self.span(epoch):
            self.settled.add(uplink, Ranges(ranges).within(first, last))

    def unsettled(self, uplink: str, after: int, limit: int, max_bytes: int) -> list[Sealed]:
        """The oldest batches behind `after` that an uplink has not settled; always at least one if there is any."""
        found: list[Sealed] = []
        room = max_bytes
        for first, last in self.settled.of(uplink).gaps(after + 1, self.last):
            at = first
            while at <= last and len(found) < limit:
                rows = self.store.between(at, last, min(50, limit - len(found)))
                if not rows:
                    break
                for row in rows:
                    room -= len(row.sealed.body)
                    if room < 0 and found:
                        return found
                    found.append(row.sealed)
                at = rows[-1].seq + 1
        return found

    def find(self, epoch: str, first: int, last: int, limit: int) -> list[Sealed]:
        """What is still held of an epoch between two numbers, oldest first."""
        found: list[Sealed] = []
        for low, high in self.span(epoch).within(first, last):
            found += [row.sealed for row in self.store.between(low, high, limit - len(found))]
        return found

    def backlog(self, uplink: str) -> Backlog:
        """Count what waits, from running totals: no scan."""
        batches = readings = 0
        oldest: int | None = None
        for first, last in self.settled.of(uplink).gaps(1, self.last):
            low = self.store.edge(first, last)
            high = self.store.edge(first, last, newest=True)
            if low and high:
                gone = self.store.query(
                    "SELECT COALESCE(SUM(last - first + 1), 0), COALESCE(SUM(readings), 0) FROM gone WHERE first > ? AND last < ?",
                    (low[0], high[0]),
                )[0]
                batches += high[0] - low[0] + 1 - gone[0]
                readings += high[2] - low[2] + low[1] - gone[1]
                oldest = low[3] if oldest is None else oldest
        return Backlog(batches, readings, oldest)

    def stats(self) -> JournalStats:
        """A snapshot."""
        oldest = self.store.edge(1, self.last)
        batches = readings = 0
        if oldest and self.newest:
            gone = self.store.query(
                "SELECT COALESCE(SUM(last - first + 1), 0), COALESCE(SUM(readings), 0) FROM gone WHERE first > ?", (oldest[0],)
            )[0]
            batches = self.last - oldest[0] + 1 - gone[0]
            readings = self.newest.total - oldest[2] + oldest[1] - gone[1]
        return JournalStats(
            epoch=self.epoch, seq=self.last, oldest_seq=oldest[0] if oldest else None, oldest_t0=oldest[3] if oldest else None,
            batches=batches, readings=readings, bytes=self.store.used, budget=self.budget, room_days=None,
            taken=self.newest.total if self.newest else 0, backlog={name: self.backlog(name) for name in self.settled.active},
        )  # fmt: skip

    def close(self) -> None:
        """Close the file."""
        self.store.close()


def _earliest(draft: Draft, uptime: int) -> int:
    return min((reading.uptime for reading in draft.readings), default=uptime)
