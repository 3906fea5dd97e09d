"""What every database of the platform does alike: batches once, ranges, conflicts, totals.

The SQL here is what SQLite and PostgreSQL have in common.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from pydantic_core import to_json

from gateway.receiver.gaps import AskedReplay
from gateway.receiver.ledger import GatewayLedger
from gateway.receiver.store.arrivals import Arrival, PendingRows, Taken, hour_of
from gateway.receiver.store.events import EventRules
from gateway.receiver.store.intervals import Intervals
from gateway.receiver.store.ledgers import known_gateways, load_ledgers
from gateway.receiver.store.schema.rollups import CHANGED_HOURS
from gateway.receiver.store.sql import Sql
from gateway.wire import State, decompress, digest

VERSIONS = 8
"""Contradicting versions of one batch that are kept: more would be a way to fill the disk."""
DESCRIPTIONS = 32
"""Descriptions of a gateway's meters that are kept, the newest ones."""


class Store(ABC):
    """The platform's database. One thread; `name` is what people call it."""

    def __init__(self, conn: Sql, name: str) -> None:
        self.conn = conn
        self.name = name
        self.intervals = Intervals(conn)
        self._events = EventRules(conn, self.ledger, self.intervals, self._date)

    # -- what each database does its own way -----------------------------------------------------------------

    @property
    @abstractmethod
    def leads(self) -> bool:
        """Whether this receiver looks for gaps: one of all that share a database."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection, and let another receiver have the database."""

    @abstractmethod
    def atomic(self, gateways: Iterable[str] = ()) -> AbstractContextManager[None]:
        """One durable transaction that speaks about these gateways. When it fails, nothing of it is
        remembered.
        """

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """One moment of the database for all that is read inside."""

    @abstractmethod
    def ledger(self, gateway: str) -> GatewayLedger:
        """What is held of a gateway."""

    @abstractmethod
    def insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """PendingRows in the order of their columns."""

    @abstractmethod
    def upsert(self, table: str, columns: str, rows: list[tuple[Any, ...]], otherwise: str) -> None:
        """Rows of these columns, all of them in one statement where the database can; `otherwise` says what
        becomes of one whose key is there. No key may stand in two of the rows.
        """

    @abstractmethod
    def grow(self, group: PendingRows) -> None:
        """Write that the new batches of a commit are held; the ledgers know it."""

    @abstractmethod
    def make_room(self, table: str, times: Iterable[int]) -> None:
        """Rows of these times (UTC ms) are about to come into `reading` or `interval`."""

    @abstractmethod
    def date_readings(self, gateway: str, epoch: str, offset: int) -> None:
        """Readings of an epoch whose time was unknown were taken at their uptime + `offset` (UTC ms)."""

    @abstractmethod
    def failed(self, error: Exception) -> bool:
        """Whether the database failed, not what was to be written."""

    @abstractmethod
    def describe(self, gateway: str, description: str, at: int) -> bool:
        """Keep a P/meters if it differs from the newest one; whether it did."""

    @abstractmethod
    def note_state(self, gateway: str, state: State, at: int) -> None:
        """The newest P/state. A Last Will names no epoch: then what was known of it stays."""

    @abstractmethod
    def asked(self, id_: str, gateway: str, ask: AskedReplay, at: int) -> None:
        """Note a replay that is about to be asked for."""

    @abstractmethod
    def answered(self, id_: str, ok: bool, answer: str, at: int) -> None:
        """Note the answer to a replay that was asked for."""

    @abstractmethod
    def rows(self, table: str, gateway: str) -> list[dict[str, Any]]:
        """PendingRows of a small table about one gateway, for the report."""

    @abstractmethod
    def all_refused(self) -> list[dict[str, Any]]:
        """Every kind of message that could not be used, by sender."""

    # -- what all do alike -----------------------------------------------------------------------------------

    def refuse(self, gateway: str, reason: str, count: int, at: int, example: str) -> None:
        """Count what could not be used."""
        sql = """INSERT INTO refused VALUES (?, ?, ?, ?, ?) ON CONFLICT (gateway, reason) DO UPDATE SET
            count = refused.count + excluded.count, at = excluded.at, example = excluded.example"""
        self.conn.execute(sql, (gateway, reason, count, at, example[:200]))

    def gateways(self) -> list[str]:
        """Every gateway that ever sent a batch or a state."""
        return known_gateways(self.conn)

    def load(self, gateways: Sequence[str]) -> dict[str, GatewayLedger]:
        """What is held of each, as it stands in the database."""
        return load_ledgers(self.conn, gateways)

    def take(self, arrivals: Iterable[Arrival]) -> Taken:
        """Store what is new, count what is known, keep what contradicts. Call it within `atomic`."""
        taken, group = Taken(), PendingRows()
        for arrival in arrivals:
            batch = arrival.batch
            key = (batch.gateway, batch.epoch)
            ledger = self.ledger(batch.gateway).epoch(batch.epoch)
            taken.seqs.setdefault(key, set()).add(batch.seq)
            totals = group.totals.setdefault(key, Counter())
            if batch.seq not in ledger.stored:
                taken.batches += 1
                taken.values += batch.values
                if batch.seq + 1 in ledger.stored:
                    group.joined.add(key)
                group.seqs.setdefault(key, []).append(batch.seq)
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
        return arrival.mark == mark or digest(decompress(arrival.body)) == content(body)

    def digest_of(self, gateway: str, epoch: str, seq: int) -> str:
        """The digest of what is stored under a number, header times aside."""
        sql = "SELECT body FROM batch WHERE gateway = ? AND epoch = ? AND seq = ?"
        return content(self.conn.execute(sql, (gateway, epoch, seq)).fetchone()[0])

    def _keep_conflict(self, arrival: Arrival) -> int:
        b, plain = arrival.batch, decompress(arrival.body)
        row = (b.gateway, b.epoch, b.seq, digest(plain), arrival.received, plain.decode())
        kept = "SELECT count(*) FROM conflict WHERE gateway = ? AND epoch = ? AND seq = ?"
        if self.conn.execute(kept, row[:3]).fetchone()[0] >= VERSIONS:
            return 0
        sql = "INSERT INTO conflict VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        return self.conn.execute(sql, row).rowcount

    def _gather(self, group: PendingRows, arrival: Arrival, totals: Counter[str]) -> None:
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
            t = offset + r.uptime
            if clock != "unsynced":
                group.hours.add((b.gateway, hour_of(t)))
            group.readings.append(
                (
                    b.gateway,
                    r.meter,
                    t,
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

    def _write(self, group: PendingRows, taken: Taken) -> None:
        self.insert("batch", group.batches)
        self.insert("reading", group.readings)
        self.insert("event", group.events)
        self.insert(CHANGED_HOURS, sorted(group.hours))
        self.grow(group)
        self._count(group)
        self.make_room("interval", {each.start for arrival in group.told for each in arrival.batch.intervals})
        for arrival in group.told:
            batch = arrival.batch
            self.intervals.store(batch)
            for event in batch.events:
                if not self._events.understand(batch, arrival.received, event.kind, event.fields):
                    what = f"event {event.kind} of {batch.epoch}/{batch.seq}"
                    taken.flaws.append((batch.gateway, what))

    def _count(self, group: PendingRows) -> None:
        unknown = (None,) * 4
        rows = [
            (*key, *(totals[name] for name in _TOTALS), *group.spans.get(key, unknown))
            for key, totals in group.totals.items()
        ]
        self.upsert("epoch", f"gateway, epoch, {_COUNTED}, {', '.join(_SPAN)}", rows, _SUMMED)

    def _date(self, gateway: str, epoch: str, offset: int) -> None:
        """Date the readings of an epoch, as `date_readings`; the hours that they come into have changed."""
        sql = """SELECT DISTINCT t - t % 3600000 FROM (SELECT ? + uptime AS t FROM reading
            WHERE gateway = ? AND epoch = ? AND clock = 'unsynced') AS dated ORDER BY 1"""
        hours = [hour for (hour,) in self.conn.execute(sql, (offset, gateway, epoch)).fetchall()]
        self.make_room("reading", hours)
        self.insert(CHANGED_HOURS, [(gateway, hour) for hour in hours])
        self.date_readings(gateway, epoch, offset)

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


def content(body: bytes) -> str:
    """The digest of what a stored batch says, header times aside. Where its readings were dropped, `body` is
    that digest itself (ASCII): a message begins with `{` or with the `x` of zlib.
    """
    kept = bytes(body)
    return digest(decompress(kept)) if kept[:1] in {b"{", b"x"} else kept.decode()


def _json(value: object) -> str | None:
    return to_json(value).decode() if value else None


def bounded(number: int | None) -> int | None:
    """A whole number as JSON can carry it."""
    return None if number is None else min(number, 2**53 - 1)


def _extreme(name: str, than: str) -> str:
    """The new one where it is smaller or larger, or where there was none."""
    new, old = f"excluded.{name}", f"epoch.{name}"
    return f"{name} = CASE WHEN {old} IS NULL OR {new} {than} {old} THEN {new} ELSE {old} END"


_TOTALS = ("batches", "readings", "values", "duplicates", "conflicts", "synced", "anchored", "unsynced")
_COUNTED = ", ".join(f'"{name}"' for name in _TOTALS)
_SPAN = ("first_t", "last_t", "first_received", "last_received")
_SUMMED = f"""(gateway, epoch) DO UPDATE SET
    {", ".join(f'"{name}" = epoch."{name}" + excluded."{name}"' for name in _TOTALS)},
    {_extreme("first_t", "<")}, {_extreme("last_t", ">")},
    first_received = coalesce(epoch.first_received, excluded.first_received),
    last_received = coalesce(excluded.last_received, epoch.last_received)"""
"""What a commit adds to the running totals of an epoch."""
