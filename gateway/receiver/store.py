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
from typing import IO, Any, TypeGuard

from pydantic_core import to_json
from sqlite_utils import Database

from gateway.common.text import visible
from gateway.errors import JournalBusy, JournalError
from gateway.receiver.gaps import Ask
from gateway.receiver.ledger import GatewayLedger
from gateway.receiver.schema import migrations
from gateway.wire import Batch, State, decompress, digest

GONE = frozenset({"thinned", "damaged"})
"""Events that name a range of seqs which will not come, and why."""

VERSIONS = 8
"""Contradicting versions of one batch that are kept: more would be a way to fill the disk."""
DESCRIPTIONS = 32
"""Descriptions of a gateway's meters that are kept, the newest ones."""
ANCHORS = 1000
"""Clock anchors of one epoch: each says the same, give or take the drift."""


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
    intervals: list[tuple[Any, ...]] = field(default_factory=list)
    told: list[Arrival] = field(default_factory=list)
    totals: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    spans: dict[tuple[str, str], list[int]] = field(default_factory=dict)


class Store:
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
        group.intervals += [
            (
                b.gateway,
                i.meter,
                i.quantity,
                i.start,
                i.seconds,
                i.value,
                i.quality,
                i.version,
                b.epoch,
                b.seq,
            )
            for i in b.intervals
        ]
        if b.events:
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
        many("INSERT INTO interval VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", group.intervals)
        for (gateway, epoch), totals in group.totals.items():
            self._hold(gateway, epoch, (seq for g, e, seq in group.fresh if (g, e) == (gateway, epoch)))
            self._count(gateway, epoch, totals, group.spans.get((gateway, epoch)))
        for arrival in group.told:
            for event in arrival.batch.events:
                if not self._understand(arrival, event.kind, event.fields):
                    taken.flaws.append(
                        (
                            arrival.batch.gateway,
                            f"event {event.kind} of {arrival.batch.epoch}/{arrival.batch.seq}",
                        )
                    )

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

    def _understand(self, arrival: Arrival, kind: str, fields: dict[str, Any]) -> bool:
        """Apply an event that speaks about batches; False when it says nothing usable."""
        batch = arrival.batch
        if kind == "epoch_started":
            return self._start(batch, fields)
        if kind in GONE:
            first, last, epoch = fields.get("from"), fields.get("to"), fields.get("epoch")
            if not (_whole(first, 1) and _whole(last, first)):
                return False
            self.explain(
                batch.gateway,
                epoch if _epoch(epoch) else batch.epoch,
                (first, last),
                kind,
                arrival.received,
                spills=not _epoch(epoch),
            )
        if kind == "clock_anchor":
            epoch, uptime, t = fields.get("epoch", batch.epoch), fields.get("uptime"), fields.get("t")
            if not (_epoch(epoch) and _whole(uptime) and _whole(t)):
                return False
            self._anchor(batch.gateway, epoch, uptime, t)
        return True

    def _start(self, batch: Batch, fields: dict[str, Any]) -> bool:
        # Said again in a later batch, of this epoch or another, because the first one had to make room.
        epoch, first = fields.get("epoch", batch.epoch), fields.get("first", batch.seq)
        if not (_epoch(epoch) and _whole(first, 1)):
            return False
        ledger = self.ledger(batch.gateway).epoch(epoch)
        if ledger.first is not None and ledger.first <= first:
            return True
        previous, last, reason = fields.get("previous"), fields.get("last"), fields.get("reason")
        ledger.first = first
        ledger.previous = previous if _epoch(previous) and previous != epoch else None
        ledger.previous_last = last if ledger.previous and _whole(last, 1) else None
        sql = """INSERT INTO epoch (gateway, epoch, first, previous, previous_last, reason) VALUES (?, ?,
            ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET (first, previous, previous_last, reason) =
            (excluded.first, excluded.previous, excluded.previous_last, excluded.reason)"""
        told = visible(reason, 64) if isinstance(reason, str) else None
        self.conn.execute(
            sql, (batch.gateway, epoch, ledger.first, ledger.previous, ledger.previous_last, told)
        )
        return previous is None or ledger.previous is not None

    def explain(
        self, gateway: str, epoch: str, seqs: tuple[int, int], reason: str, at: int, *, spills: bool = False
    ) -> None:
        """These seqs, (first, last), will never come. `spills`: those below the epoch's first belong to
        the epochs before.
        """
        first, last = seqs
        self.ledger(gateway).epoch(epoch).explain(first, last, spills=spills)
        self.conn.execute(
            "INSERT OR IGNORE INTO explained VALUES (?, ?, ?, ?, ?, ?, ?)",
            (gateway, epoch, first, last, reason, spills, at),
        )

    def _anchor(self, gateway: str, epoch: str, uptime: int, t: int) -> None:
        ledger = self.ledger(gateway).epoch(epoch)
        if len(ledger.anchors) >= ANCHORS:
            return
        if not self.conn.execute(
            "INSERT OR IGNORE INTO anchor VALUES (?, ?, ?, ?)", (gateway, epoch, uptime, t)
        ).rowcount:
            return
        ledger.anchors.append((uptime, t))
        where, of = (
            "clock = 'anchored' WHERE gateway = ? AND epoch = ? AND clock = 'unsynced'",
            (t, uptime, gateway, epoch),
        )
        self.conn.execute(f"UPDATE reading SET t = ? + uptime - ?, {where}", of)  # noqa: S608 - a constant
        self.conn.execute(f"UPDATE event SET t = ? + uptime - ?, {where}", of)  # noqa: S608 - a constant
        if repaired := self.conn.execute(f"UPDATE batch SET t0 = ? + uptime - ?, {where}", of).rowcount:  # noqa: S608 - a constant
            sql = """UPDATE epoch SET anchored = anchored + ?, unsynced = unsynced - ?,
                (first_t, last_t) = (SELECT min(t0), max(t0) FROM batch b WHERE b.gateway = epoch.gateway
                AND b.epoch = epoch.epoch)
                WHERE gateway = ? AND epoch = ?"""
            self.conn.execute(sql, (repaired, repaired, gateway, epoch))

    def state(self, gateway: str, state: State, at: int) -> None:
        """The newest P/state. A Last Will names no epoch: then what was known of it stays."""
        seq, backlog = (None if n is None else min(n, 2**53 - 1) for n in (state.seq, state.backlog))
        if state.epoch:
            self.ledger(gateway).newest = (state.epoch, seq or 0)
        sql = """INSERT INTO state VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (gateway) DO UPDATE
            SET online = excluded.online, at = excluded.at, epoch = coalesce(excluded.epoch, epoch),
            seq = iif(excluded.epoch IS NULL, seq, excluded.seq), backlog = iif(excluded.epoch IS NULL,
            backlog, excluded.backlog),
            version = coalesce(excluded.version, version)"""
        self.conn.execute(sql, (gateway, state.online, state.epoch, seq, backlog, state.version, at))

    def describe(self, gateway: str, description: str, at: int) -> bool:
        """Keep a P/meters if it differs from the newest one; whether it did."""
        sql = """INSERT INTO meters SELECT ?1, ?2, ?3 WHERE ?3 IS NOT
            (SELECT description FROM meters WHERE gateway = ?1 ORDER BY received DESC, rowid DESC LIMIT 1)"""
        changed = self.conn.execute(sql, (gateway, at, description)).rowcount > 0
        if changed:
            old = """DELETE FROM meters WHERE gateway = ?1 AND rowid NOT IN
                (SELECT rowid FROM meters WHERE gateway = ?1 ORDER BY received DESC, rowid DESC LIMIT ?2)"""
            self.conn.execute(old, (gateway, DESCRIPTIONS))
        return changed

    def refuse(self, gateway: str, reason: str, count: int, at: int, example: str) -> None:
        """Count what could not be used."""
        sql = """INSERT INTO refused VALUES (?, ?, ?, ?, ?) ON CONFLICT (gateway, reason) DO UPDATE SET
            count = count + excluded.count, at = excluded.at, example = excluded.example"""
        self.conn.execute(sql, (gateway, reason, count, at, example[:200]))

    def asked(self, id_: str, gateway: str, ask: Ask, at: int) -> None:
        """Note a replay that is about to be asked for."""
        sql = "INSERT INTO replay (id, gateway, epoch, first, last, asked) VALUES (?, ?, ?, ?, ?, ?)"
        self.conn.execute(sql, (id_, gateway, ask.epoch, ask.first, ask.last, at))

    def answered(self, id_: str, ok: bool, answer: str, at: int) -> None:
        """Note the answer to a replay."""
        self.conn.execute(
            "UPDATE replay SET answered = ?, ok = ?, answer = ? WHERE id = ?", (at, ok, answer[:2000], id_)
        )

    def rows(self, table: str, gateway: str) -> list[dict[str, Any]]:
        """Rows of a small table about one gateway, for the report."""
        return list(
            self.db[table].rows_where(
                "gateway = ?", [gateway], order_by="rowid" if table == "meters" else None
            )
        )

    def all_refused(self) -> list[dict[str, Any]]:
        """Every kind of message that could not be used, by sender."""
        return list(self.db["refused"].rows_where(order_by="gateway, reason"))


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


def _whole(value: object, least: int = 0) -> TypeGuard[int]:
    return type(value) is int and least <= value < 2**53


def _epoch(value: object) -> TypeGuard[str]:
    # 64 bits in hex.
    return isinstance(value, str) and len(value) == 16 and set(value) <= set("0123456789abcdef")
