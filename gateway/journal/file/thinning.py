"""Room in the journal: what may go first when the budget is met. Everything here runs inside the caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from gateway.journal.file import epochs, missing
from gateway.journal.file.settled import Settled
from gateway.journal.file.store import JournalStore

MOST = 1000
"""Rows that one transaction deletes at most: few enough for a slow card."""

PART = 50
"""A lot is at least this part of the budget: many rows enough for few ranges, and never more than must be."""

OVERHEAD = 150
"""Bytes of a row beside its body."""


class Room(Enum):
    """How much a commit may delete: nothing, what every uplink has settled, or undelivered rows too."""

    ENOUGH = "enough"
    DELIVERED = "delivered"
    THIN = "thin"


@dataclass(frozen=True, slots=True)
class Lot:
    """What one transaction deleted: how many rows, and which numbers of the file itself.

    Of those that were given up undelivered: how many batches and readings, t0 (ms) of the oldest and the
    newest, and up to which number only `keep` rows are left.
    """

    rows: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)
    thinned: int = 0
    readings: int = 0
    oldest: int = 0
    newest: int = 0
    thinned_to: int = 0


@dataclass(frozen=True, slots=True)
class Victim:
    """A row that goes."""

    seq: int
    epoch: str
    readings: int
    t0: int
    size: int


def drop(store: JournalStore, settled: Settled, behind: int, newest: int, size: int, *, thin: bool) -> Lot:
    """Delete some `size` bytes, one row at least.

    Delivered ones; if there are none and `thin`, the oldest not `keep` behind a number; `keep` ones last.
    """
    victims = _delivered(store, settled, newest, size)
    if victims or not thin:
        return Lot(len(victims), _delete(store, victims, missing.DELIVERED, tell=False))
    tell = bool(settled.active)
    victims = _victims(
        store, "seq > ? AND seq < ? AND NOT keep ORDER BY seq LIMIT ?", (behind, newest, MOST), size
    )
    spared = not victims
    if spared:
        victims = _victims(store, "seq < ? ORDER BY seq LIMIT ?", (newest, MOST), size)
    ranges = _delete(store, victims, missing.THINNED, tell=tell)
    return thinned(victims, ranges, victims[-1].seq if victims and not spared else 0)


def thinned(victims: list[Victim], ranges: list[tuple[int, int]], upto: int = 0) -> Lot:
    """The lot of rows that were given up undelivered."""
    dates = [victim.t0 for victim in victims]
    readings = sum(victim.readings for victim in victims)
    return Lot(
        len(victims), ranges, len(victims), readings, min(dates, default=0), max(dates, default=0), upto
    )


def any_delivered(store: JournalStore, settled: Settled, newest: int) -> bool:
    """Whether a row is there that every uplink has settled."""
    return bool(_delivered(store, settled, newest, 1))


def enough(victims: Iterable[Victim], size: int) -> list[Victim]:
    """The first ones, one at least, that make up `size` bytes."""
    found: list[Victim] = []
    for victim in victims:
        found.append(victim)
        size -= victim.size + OVERHEAD
        if size <= 0:
            break
    return found


def _delivered(store: JournalStore, settled: Settled, newest: int, size: int) -> list[Victim]:
    # The newest row stays whatever happens: it is the high-water mark of the numbers.
    found: list[Victim] = []
    for first, last in settled.by_all(1, newest - 1) if settled.active else ():
        more = _victims(
            store, "seq BETWEEN ? AND ? ORDER BY seq LIMIT ?", (first, last, MOST - len(found)), size
        )
        found += more
        size -= sum(victim.size + OVERHEAD for victim in more)
        if size <= 0 or len(found) >= MOST:
            break
    return found


def _victims(store: JournalStore, where: str, parameters: tuple[int, ...], size: int) -> list[Victim]:
    sql = f"SELECT seq, epoch, readings, t0, length(body) FROM batch WHERE {where}"  # noqa: S608 - conditions of our own
    return enough(
        (Victim(seq, epoch.hex(), *more) for seq, epoch, *more in store.rows(sql, parameters)), size
    )


def _delete(
    store: JournalStore, victims: Iterable[Victim], reason: str, *, tell: bool
) -> list[tuple[int, int]]:
    """Delete rows and record their numbers with the reason; `tell`: an event shall say so, and whatever
    they said is said again.
    """
    ranges = []
    for run in _runs(victims):
        first, last = run[0].seq, run[-1].seq
        store.execute("DELETE FROM batch WHERE seq BETWEEN ? AND ?", (first, last))
        told = missing.UNTOLD if tell else missing.NOBODY
        missing.note(
            store, (run[0].epoch, first, last, reason), sum(victim.readings for victim in run), told=told
        )
        missing.tellers_gone(store, first, last, heard=not tell)
        epochs.tellers_gone(store, first, last, heard=not tell)
        ranges.append((first, last))
    return ranges


def _runs(victims: Iterable[Victim]) -> Iterator[list[Victim]]:
    run: list[Victim] = []
    for victim in victims:
        if run and (victim.seq != run[-1].seq + 1 or victim.epoch != run[-1].epoch):
            yield run
            run = []
        run.append(victim)
    if run:
        yield run
