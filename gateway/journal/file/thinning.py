"""Room in the journal: what goes first when the budget is met, whichever table it is in. Everything here runs
inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from gateway.journal.file import epochs, missing
from gateway.journal.file.batch_table import BatchTable, Seqs
from gateway.model import Ranges

MOST = 1000
"""Rows that one transaction deletes at most: few enough for a slow card."""

PART = 50
"""A lot is at least this part of the budget: many rows enough for few ranges, and never more than must be."""

OVERHEAD = 150
"""Bytes of a row beside its body."""


class MayDelete(Enum):
    """How much a commit may delete: nothing, what every uplink has settled, or undelivered rows too."""

    NOTHING = "nothing"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


@dataclass(slots=True)
class Deleted:
    """What one transaction deleted: how many rows and bytes, and which numbers of the file's own batches.

    Of those that were given up undelivered: how many batches and readings, and t0 (ms) of the oldest and the
    newest.
    """

    rows: int = 0
    size: int = 0
    own: Ranges = field(default_factory=Ranges)
    thinned: int = 0
    readings: int = 0
    oldest: int = 0
    newest: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    seq: int
    epoch: str
    readings: int
    t0: int
    size: int


def drop(
    recovered: BatchTable, own: BatchTable, uplinks: Sequence[str], size: int, may: MayDelete
) -> Deleted:
    """Delete some `size` bytes, one row at least if there is one that may go.

    Delivered ones first. If there are none and undelivered ones may go: those that are not `keep`, oldest
    first, as far as they are not spared for being new; then the oldest ones.
    """
    deleted = Deleted()
    tables = (recovered, own)
    for table in tables if may is not MayDelete.NOTHING else ():
        if deleted.size < size:
            rows = _first(table, _upto(table.delivered(uplinks), table.deletable), size - deleted.size)
            _delete(table, rows, deleted, missing.DELIVERED, tell=False)
    if deleted.rows or may is not MayDelete.UNDELIVERED:
        return deleted
    for table in tables:
        if deleted.size < size:
            old = _upto(table.spans(), table.thinnable)
            plain = [(epoch, max(first, table.only_kept_to + 1), last) for epoch, first, last in old]
            rows = _first(table, plain, size - deleted.size, but_kept=True)
            _delete(table, rows, deleted, missing.THINNED, tell=bool(uplinks))
            table.only_kept_to = max([table.only_kept_to, *(row.seq for row in rows)])
    for table in tables if not deleted.rows else ():
        if deleted.size < size:
            rows = _first(table, _upto(table.spans(), table.deletable), size - deleted.size)
            _delete(table, rows, deleted, missing.THINNED, tell=bool(uplinks))
    return deleted


def any_delivered(table: BatchTable, uplinks: Sequence[str]) -> bool:
    """Whether a row is there that may go because every uplink has settled it."""
    return bool(_first(table, _upto(table.delivered(uplinks), table.deletable), 1))


def _upto(spans: Iterable[Seqs], highest: int) -> Iterator[Seqs]:
    return ((epoch, first, min(last, highest)) for epoch, first, last in spans)


def _first(table: BatchTable, spans: Iterable[Seqs], size: int, *, but_kept: bool = False) -> list[_Row]:
    """The first rows of some numbers, one at least, that make up `size` bytes."""
    found: list[_Row] = []
    condition = "epoch = ? AND seq BETWEEN ? AND ?" + (" AND NOT keep" if but_kept else "")
    sql = f"SELECT seq, readings, t0, length(body) FROM {table.name} WHERE {condition} ORDER BY seq LIMIT ?"  # noqa: S608 - words of our own
    for epoch, first, last in spans:
        name = bytes.fromhex(epoch)
        for seq, readings, t0, length in (
            table.store.rows(sql, (name, first, last, MOST - len(found))) if first <= last else ()
        ):
            found.append(_Row(seq, epoch, readings, t0, length + OVERHEAD))
            size -= length + OVERHEAD
            if size <= 0:
                return found
        if len(found) >= MOST:
            break
    return found


def _delete(table: BatchTable, rows: Sequence[_Row], deleted: Deleted, reason: str, *, tell: bool) -> None:
    """Delete rows and record their numbers with the reason; `tell`: an event shall say so, and whatever they
    said is said again.
    """
    store = table.store
    for run in _runs(rows):
        epoch, first, last = run[0].epoch, run[0].seq, run[-1].seq
        readings = sum(row.readings for row in run)
        where = "epoch = ? AND seq BETWEEN ? AND ?"
        store.execute(f"DELETE FROM {table.name} WHERE {where}", (bytes.fromhex(epoch), first, last))  # noqa: S608 - words of our own
        told = missing.UNTOLD if tell else missing.NOBODY
        missing.note(store, (epoch, first, last, reason), readings, told=told)
        if table.name == "batch":
            missing.tellers_gone(store, first, last, heard=not tell)
            epochs.tellers_gone(store, first, last, heard=not tell)
            deleted.own.add(first, last)
        table.forget(epoch, first, last)
        if reason == missing.THINNED:
            deleted.thinned += len(run)
            deleted.readings += readings
            dates = [row.t0 for row in run]
            deleted.oldest = min(dates if deleted.thinned == len(run) else [deleted.oldest, *dates])
            deleted.newest = max(deleted.newest, *dates)
    deleted.rows += len(rows)
    deleted.size += sum(row.size for row in rows)


def _runs(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    run: list[_Row] = []
    for row in rows:
        if run and (row.seq != run[-1].seq + 1 or row.epoch != run[-1].epoch):
            yield run
            run = []
        run.append(row)
    if run:
        yield run
