"""The platform's database: SQLite embedded, every statement of the receiver here, every table in schema.
One thread.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pydantic_core import to_json
from sqlite_utils import Database

from gateway.errors import JournalBusy, JournalError
from gateway.receiver.events import EventRules
from gateway.receiver.intervals import Intervals
from gateway.receiver.ledger import GatewayLedger
from gateway.receiver.schema import migrations
from gateway.receiver.tables import Tables
from gateway.wire import Batch, State, decompress, digest

VERSIONS = 8
"""Contradicting versions of one batch that are kept: more would be a way to fill the disk."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A batch that came in: `body` are the bytes of its message, `mark` a hash of their JSON, `received`
    UTC in ms.
    """

    batch: Batch
    mark: bytes
    body: bytes
    received: int


@dataclass(slots=True)
class Taken:
    """What one commit did, per (gateway, epoch): the seqs it answers for, and counts."""

    seqs: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    batches: int = 0
    values: int = 0
    duplicates: int = 0
    conflicts: int = 0
    flaws: list[tuple[str, str]] = field(default_factory=list)
    """(gateway, what) of events that could not be understood."""


@dataclass(slots=True)
class _Group:
    """Rows on their way into one transaction."""

    fresh: dict[tuple[str, str, int], Arrival] = field(default_factory=dict)
    batches: list[tuple[Any, ...]] = field(default_factory=list)
    readings: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    told: list[Arrival] = field(default_factory=list)
    totals: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    spans: dict[tuple[str, str], list[int]] = field(default_factory=dict)


class Store(Tables):
    """The receiver's database and, in memory, the ledger of every gateway: the two change together or not
    at all.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Open or create. Raises JournalBusy when another receiver uses the file, JournalError when it
        cannot be opened.
        """
        self.path = path
        self._lock: IO[bytes] | None = None if readonly else _lock(path)
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}", uri=True, timeout=10
            )
            self.db = Database(connection)
            self.conn = connection
            if readonly:
                connection.execute("SELECT 1 FROM batch LIMIT 1")
            else:
                for pragma in (
                    "journal_mode=WAL",
                    "synchronous=FULL",
                    "wal_autocheckpoint=4000",
                    "temp_store=MEMORY",
                ):
                    connection.execute(f"PRAGMA {pragma}").fetchall()
                migrations.apply(self.db)
        except sqlite3.Error as error:
            for part in (connection, self._lock):
                if part:
                    part.close()
            raise JournalError(
                f"{path}: {error}",
                hint="name a database of `submeter receive`, in a directory that may be written",
            ) from error
        self._ledgers: dict[str, GatewayLedger] = {}
        self.intervals = Intervals(connection)
        self._events = EventRules(connection, self.ledger, self.intervals)

    def close(self) -> None:
        """Close the file; its -wal goes with the last connection."""
        self.conn.close()
        if self._lock:
            self._lock.close()

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """One durable transaction. When it fails, what the ledgers learnt in it is forgotten too."""
        try:
            with self.db.atomic():
                yield
        except BaseException:
            self._ledgers.clear()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One moment of the file for all that is read inside."""
        self.conn.execute("BEGIN")
        try:
            yield
        finally:
            self.conn.rollback()

    def gateways(self) -> list[str]:
        """Every gateway that ever sent a batch or a state."""
        return [
            g
            for (g,) in self.conn.execute(
                "SELECT gateway FROM epoch UNION SELECT gateway FROM state ORDER BY 1"
            )
        ]

    def ledger(self, gateway: str) -> GatewayLedger:
        """What is held of a gateway; read from the file at first sight."""
        ledger = self._ledgers.get(gateway)
        if ledger is None:
            ledger = self._ledgers[gateway] = self._load(gateway)
        return ledger

    def _load(self, gateway: str) -> GatewayLedger:
        ledger = GatewayLedger()

        def rows(sql: str) -> Iterator[tuple[Any, ...]]:
            return iter(self.conn.execute(sql, (gateway,)))

        for epoch, first, previous, last in rows(
            "SELECT epoch, first, previous, previous_last FROM epoch WHERE gateway = ? ORDER BY last_received"
        ):
            known = ledger.epoch(epoch)
            known.first, known.previous, known.previous_last = first, previous, last
        for epoch, first, last in rows(
            "SELECT epoch, first, last FROM held WHERE gateway = ? ORDER BY epoch, first"
        ):
            ledger.epoch(epoch).store(first, last)
        for epoch, first, last, spills in rows(
            "SELECT epoch, first, last, open FROM explained WHERE gateway = ?"
        ):
            ledger.epoch(epoch).explain(first, last, spills=bool(spills))
        for epoch, uptime, t in rows("SELECT epoch, uptime, t FROM anchor WHERE gateway = ? ORDER BY uptime"):
            ledger.epoch(epoch).anchors.append((uptime, t))
        for epoch, seq in rows("SELECT DISTINCT epoch, seq FROM conflict WHERE gateway = ?"):
            ledger.epoch(epoch).contradict(seq)
        for epoch, seq in rows("SELECT epoch, seq FROM state WHERE gateway = ? AND epoch IS NOT NULL"):
            ledger.newest = (epoch, seq or 0)
        return ledger

    def take(self, arrivals: Iterable[Arrival]) -> Taken:
        """Store what is new, count what is known, keep what contradicts. Call it within `atomic`."""
        taken, group = Taken(), _Group()
        for arrival in arrivals:
            batch = arrival.batch
            key = (batch.gateway, batch.epoch)
            ledger = self.ledger(batch.gateway).epoch(batch.epoch)
            taken.seqs.setdefault(key, set()).add(batch.seq)
            totals = group.totals.setdefault(key, Counter())
            if batch.seq not in ledger.held:
                taken.batches += 1
                taken.values += batch.values
                ledger.store(batch.seq, batch.seq)
                self._gather(group, arrival, totals)
            elif self._same(arrival, group.fresh.get((*key, batch.seq))):
                taken.duplicates += 1
                totals["duplicates"] += 1
            else:
                taken.conflicts += 1
                totals["conflicts"] += self._keep_conflict(arrival)
                ledger.contradict(batch.seq)
        self._write(group, taken)
        return taken

    def _same(self, arrival: Arrival, stored: Arrival | None) -> bool:
        """Whether a batch says what the one with its number says, header times aside: equal bytes spare
        the parsing.
        """
        if stored:
            mark, body = stored.mark, stored.body
        else:
            key = (arrival.batch.gateway, arrival.batch.epoch, arrival.batch.seq)
            sql = "SELECT mark, body FROM batch WHERE gateway = ? AND epoch = ? AND seq = ?"
            mark, body = self.conn.execute(sql, key).fetchone()
        return arrival.mark == mark or digest(decompress(arrival.body)) == digest(decompress(body))

    def digest_of(self, gateway: str, epoch: str, seq: int) -> str:
        """The digest of what is stored under a number, header times aside."""
        sql = "SELECT body FROM batch WHERE gateway = ? AND epoch = ? AND seq = ?"
        return digest(decompress(self.conn.execute(sql, (gateway, epoch, seq)).fetchone()[0]))

    def _keep_conflict(self, arrival: Arrival) -> int:
        b, plain = arrival.batch, decompress(arrival.body)
        row = (b.gateway, b.epoch, b.seq, digest(plain), arrival.received, plain.decode(), VERSIONS)
        sql = """INSERT OR IGNORE INTO conflict SELECT ?1, ?2, ?3, ?4, ?5, ?6
            WHERE (SELECT count(*) FROM conflict WHERE gateway = ?1 AND epoch = ?2 AND seq = ?3) < ?7"""
        return self.conn.execute(sql, row).rowcount

    def _gather(self, group: _Group, arrival: Arrival, totals: Counter[str]) -> None:
        b = arrival.batch
        key = (b.gateway, b.epoch)
        clock, t0 = b.clock, b.t0
        anchored = self.ledger(b.gateway).epoch(b.epoch).anchored(b.uptime) if clock == "unsynced" else None
        if anchored is not None:
            clock, t0 = "anchored", anchored
        offset = t0 - b.uptime
        group.fresh[*key, b.seq] = arrival
        counts = (len(b.readings), b.values)
        group.batches.append(
            (*key, b.seq, t0, b.uptime, clock, *counts, arrival.received, arrival.mark, arrival.body)
        )
        for n, r in enumerate(b.readings):
            # JSON of one flat object of floats: the fastest encoder at hand, twice as fast as json.dumps
            values, absent, suspect = to_json(r.values).decode(), _json(r.absent), _json(r.suspect)
            group.readings.append(
                (
                    b.gateway,
                    r.meter,
                    offset + r.uptime,
                    b.epoch,
                    b.seq,
                    n,
                    r.uptime,
                    clock,
                    values,
                    absent,
                    suspect,
                    r.missing or None,
                )
            )
        group.events += [
            (
                *key,
                b.seq,
                offset + e.uptime,
                e.uptime,
                clock,
                e.kind,
                json.dumps(e.fields, ensure_ascii=False),
            )
            for e in b.events
        ]
        if b.events or b.intervals:
            group.told.append(arrival)
        totals.update({"batches": 1, "readings": len(b.readings), "values": b.values, clock: 1})
        span = group.spans.setdefault(key, [t0, t0, arrival.received, arrival.received])
        span[:] = [
            min(span[0], t0),
            max(span[1], t0),
            min(span[2], arrival.received),
            max(span[3], arrival.received),
        ]

    def _write(self, group: _Group, taken: Taken) -> None:
        many = self.conn.executemany
        many("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", group.batches)
        many("INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", group.readings)
        many("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)", group.events)
        for (gateway, epoch), totals in group.totals.items():
            self._hold(gateway, epoch, (seq for g, e, seq in group.fresh if (g, e) == (gateway, epoch)))
            self._count(gateway, epoch, totals, group.spans.get((gateway, epoch)))
        for arrival in group.told:
            batch = arrival.batch
            self.intervals.store(batch)
            for event in batch.events:
                if not self._events.understand(batch, arrival.received, event.kind, event.fields):
                    what = f"event {event.kind} of {batch.epoch}/{batch.seq}"
                    taken.flaws.append((batch.gateway, what))

    def _hold(self, gateway: str, epoch: str, seqs: Iterable[int]) -> None:
        held = self.ledger(gateway).epoch(epoch).held
        for first, last in {pair for pair in map(held.around, seqs) if pair}:
            between = "DELETE FROM held WHERE gateway = ? AND epoch = ? AND first BETWEEN ? AND ?"
            self.conn.execute(between, (gateway, epoch, first, last))
            self.conn.execute("INSERT INTO held VALUES (?, ?, ?, ?)", (gateway, epoch, first, last))

    def _count(self, gateway: str, epoch: str, totals: Counter[str], span: Sequence[int] | None) -> None:
        names = (
            "batches",
            "readings",
            '"values"',
            "duplicates",
            "conflicts",
            "synced",
            "anchored",
            "unsynced",
        )
        counts = [totals[name.strip('"')] for name in names]
        sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in names)
        sql = f"""INSERT INTO epoch (gateway, epoch, {", ".join(names)}, first_t, last_t, first_received,
            last_received)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (gateway,
            epoch) DO UPDATE SET {sums},
            first_t = min(coalesce(first_t, excluded.first_t), coalesce(excluded.first_t, first_t)),
            last_t = max(coalesce(last_t, excluded.last_t), coalesce(excluded.last_t, last_t)),
            first_received = coalesce(first_received, excluded.first_received),
            last_received = coalesce(excluded.last_received, last_received)"""  # noqa: S608 - the names are the constants above
        self.conn.execute(sql, (gateway, epoch, *counts, *(span or (None,) * 4)))

    def explain(
        self, gateway: str, epoch: str, seqs: tuple[int, int], reason: str, at: int, *, spills: bool = False
    ) -> None:
        """These seqs, (first, last), will never come, and why; `spills` as in EventRules."""
        self._events.explain(gateway, epoch, seqs, reason, at, spills=spills)

    def state(self, gateway: str, state: State, at: int) -> None:
        """The newest P/state."""
        if state.epoch:
            self.ledger(gateway).newest = (state.epoch, min(state.seq or 0, 2**53 - 1))
        self.note_state(gateway, state, at)


def _lock(path: Path) -> IO[bytes]:
    # A second receiver on the same file would answer from a ledger that does not know what the first one
    # stores.
    try:
        lock = path.with_name(f"{path.name}.lock").open("ab")
    except OSError as error:
        raise JournalError(
            f"{path}: {error.strerror}", hint="name a file in a directory that may be written"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise JournalBusy(
            f"{path}: another receiver uses this database", hint="stop it, or name another file"
        ) from error
    return lock


def _json(value: object) -> str | None:
    return to_json(value).decode() if value else None
