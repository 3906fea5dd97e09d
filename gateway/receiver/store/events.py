"""Events that speak about batches: where an epoch begins, what will never come, when an unsynced clock was
right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from gateway.common.text import visible
from gateway.receiver.ledger import GatewayLedger
from gateway.receiver.store.intervals import Intervals
from gateway.receiver.store.sql import Sql
from gateway.wire import Batch

GONE = frozenset({"thinned", "damaged"})
"""Events that name a range of seqs which will not come, and why."""
ANCHORS = 1000
"""Clock anchors of one epoch: each says the same, give or take the drift."""


class EventRules:
    """Applies events to the ledgers and to the tables behind them. Within a transaction."""

    def __init__(
        self,
        conn: Sql,
        ledger: Callable[[str], GatewayLedger],
        intervals: Intervals,
        date: Callable[[str, str, int], None],
    ) -> None:
        self._conn = conn
        self._ledger = ledger
        self._intervals = intervals
        self._date = date

    def understand(self, batch: Batch, received: int, kind: str, fields: dict[str, Any]) -> bool:
        """Apply an event that speaks about batches; False when it says nothing usable."""
        if kind == "epoch_started":
            return self._start(batch, fields)
        if kind in GONE:
            first, last, epoch = fields.get("from"), fields.get("to"), fields.get("epoch")
            if not (_whole(first, 1) and _whole(last, first)):
                return False
            self.explain(
                batch.gateway,
                epoch if _is_epoch(epoch) else batch.epoch,
                (first, last),
                kind,
                received,
                spills=not _is_epoch(epoch),
            )
        if kind == "manifest":
            return self._intervals.note_manifest(batch, fields)
        if kind == "clock_anchor":
            epoch, uptime, t = fields.get("epoch", batch.epoch), fields.get("uptime"), fields.get("t")
            if not (_is_epoch(epoch) and _whole(uptime) and _whole(t)):
                return False
            self._anchor(batch.gateway, epoch, uptime, t)
        return True

    def _start(self, batch: Batch, fields: dict[str, Any]) -> bool:
        # Said again in a later batch, of this epoch or another, because the first one had to make room.
        epoch, first = fields.get("epoch", batch.epoch), fields.get("first", batch.seq)
        if not (_is_epoch(epoch) and _whole(first, 1)):
            return False
        ledger = self._ledger(batch.gateway).epoch(epoch)
        if ledger.first is not None and ledger.first <= first:
            return True
        previous, last, reason = fields.get("previous"), fields.get("last"), fields.get("reason")
        ledger.first = first
        ledger.previous = previous if _is_epoch(previous) and previous != epoch else None
        ledger.previous_last = last if ledger.previous and _whole(last, 1) else None
        sql = """INSERT INTO epoch (gateway, epoch, first, previous, previous_last, reason) VALUES (?, ?,
            ?, ?, ?, ?)
            ON CONFLICT (gateway, epoch) DO UPDATE SET (first, previous, previous_last, reason) =
            (excluded.first, excluded.previous, excluded.previous_last, excluded.reason)"""
        told = visible(reason, 64) if isinstance(reason, str) else None
        self._conn.execute(
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
        self._ledger(gateway).epoch(epoch).explain(first, last, spills=spills)
        self._conn.execute(
            "INSERT INTO explained VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (gateway, epoch, first, last, reason, int(spills), at),
        )

    def _anchor(self, gateway: str, epoch: str, uptime: int, t: int) -> None:
        ledger = self._ledger(gateway).epoch(epoch)
        if len(ledger.anchors) >= ANCHORS:
            return
        if not self._conn.execute(
            "INSERT INTO anchor VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (gateway, epoch, uptime, t)
        ).rowcount:
            return
        ledger.anchors.append((uptime, t))
        self._date(gateway, epoch, t - uptime)
        where, of = (
            "clock = 'anchored' WHERE gateway = ? AND epoch = ? AND clock = 'unsynced'",
            (t, uptime, gateway, epoch),
        )
        self._conn.execute(f"UPDATE event SET t = ? + uptime - ?, {where}", of)  # noqa: S608 - a constant
        if repaired := self._conn.execute(f"UPDATE batch SET t0 = ? + uptime - ?, {where}", of).rowcount:  # noqa: S608 - a constant
            sql = """UPDATE epoch SET anchored = anchored + ?, unsynced = unsynced - ?,
                (first_t, last_t) = (SELECT min(t0), max(t0) FROM batch b WHERE b.gateway = epoch.gateway
                AND b.epoch = epoch.epoch)
                WHERE gateway = ? AND epoch = ?"""
            self._conn.execute(sql, (repaired, repaired, gateway, epoch))


def _is_epoch(value: object) -> TypeGuard[str]:
    # 64 bits in hex.
    return isinstance(value, str) and len(value) == 16 and set(value) <= set("0123456789abcdef")


def _whole(value: object, least: int = 0) -> TypeGuard[int]:
    return type(value) is int and least <= value < 2**53
