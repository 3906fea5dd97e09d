"""Readings that are older than is to be kept go, and with them what their batches say; never intervals, never
what proves that a batch is held: its ranges, its mark and the digest of its content.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from gateway.receiver.store.base import content
from gateway.receiver.upkeep.readings import dropped_before
from gateway.receiver.upkeep.rollups import Rollups
from gateway.receiver.upkeep.work import Work

LOT = 200
"""Batches, or readings of unknown time, in one transaction."""


class Retention:
    """Works through all gateways, again and again, a small transaction at a time."""

    def __init__(self, work: Work, rollups: Rollups, keep: int) -> None:
        """`keep` ms of readings stay."""
        self._work = work
        self._conn = work.conn
        self._rollups = rollups
        self._keep = keep

    def round(self, now: int) -> Iterator[None]:
        """One look at everything; a transaction has ended at each yield. `now` is UTC in ms."""
        limit = now - self._keep
        while self._rollups.turn(now, limit):
            yield
        sql = "SELECT DISTINCT gateway FROM epoch ORDER BY gateway"
        gateways = [gateway for (gateway,) in self._conn.execute(sql).fetchall()]
        yield from self._work.drop(gateways, limit)
        for gateway in gateways:
            yield from self._undated(gateway, limit)
            yield from self._bodies(gateway, dropped_before(self._conn, gateway))
            yield

    def _undated(self, gateway: str, limit: int) -> Iterator[None]:
        sql = "SELECT epoch FROM epoch WHERE gateway = ? AND unsynced > 0 AND last_received < ?"
        for (epoch,) in self._conn.execute(sql, (gateway, limit)).fetchall():
            while self._work.drop_undated(gateway, epoch, LOT) >= LOT:
                yield

    def _bodies(self, gateway: str, limit: int) -> Iterator[None]:
        """Batches go by number from the oldest one: the first that is to be kept ends it."""
        sql = """SELECT e.epoch, coalesce(d.seq, 0) FROM epoch e
            LEFT JOIN emptied d ON d.gateway = e.gateway AND d.epoch = e.epoch
            WHERE e.gateway = ? AND e.first_t < ?"""
        for epoch, emptied in self._conn.execute(sql, (gateway, limit)).fetchall():
            upto: int | None = emptied
            while upto is not None:
                upto = self._empty_lot(gateway, epoch, upto, limit)
                yield

    def _empty_lot(self, gateway: str, epoch: str, upto: int, limit: int) -> int | None:
        """How far it came; None when there is no more to do."""
        # No reading is younger than its batch was received, whatever its clock said.
        sql = """SELECT seq, body,
            CASE WHEN clock = 'unsynced' OR received < t0 THEN received ELSE t0 END FROM batch
            WHERE gateway = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?"""
        lot = self._conn.execute(sql, (gateway, epoch, upto, LOT)).fetchall()
        old = list(takewhile(lambda row: row[2] < limit, lot))
        if not old:
            return None
        digests = [(content(body).encode(), gateway, epoch, seq) for seq, body, _ in old]
        last = old[-1][0]
        with self._work.writing():
            put = "UPDATE batch SET body = ? WHERE gateway = ? AND epoch = ? AND seq = ?"
            self._conn.executemany(put, digests)
            note = """INSERT INTO emptied VALUES (?, ?, ?) ON CONFLICT (gateway, epoch) DO UPDATE SET
                seq = excluded.seq"""
            self._conn.execute(note, (gateway, epoch, last))
        return int(last) if len(old) == LOT else None
