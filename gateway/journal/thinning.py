"""Room in the journal: what may go first when the budget is met. Everything here runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from gateway.journal import gone
from gateway.journal.settled import Settled
from gateway.journal.store import Store

FEWEST, MOST = 64, 1000
"""Rows that one transaction deletes: many enough for few ranges, few enough for a slow card."""


class Room(Enum):
    """How much a commit may delete: nothing, what every uplink has settled, or undelivered rows too."""

    ENOUGH = "enough"
    DELIVERED = "delivered"
    THIN = "thin"


@dataclass(frozen=True, slots=True)
class Lot:
    """What one transaction deleted: how many rows, and up to which number only `keep` rows are left."""

    rows: int = 0
    thinned_to: int = 0


@dataclass(frozen=True, slots=True)
class Victim:
    """A row that goes."""

    seq: int
    epoch: str
    readings: int
    keep: bool


def drop(store: Store, settled: Settled, behind: int, newest: int, most: int, *, thin: bool) -> Lot:
    """Delete up to `most` rows: delivered ones; if there are none and `thin`, the oldest not `keep` behind a number; `keep` ones last."""
    victims = _delivered(store, settled, newest, most)
    if victims or not thin:
        _delete(store, victims, gone.DELIVERED, tell=False)
        return Lot(len(victims))
    tell = bool(settled.active)
    victims = _victims(store, "seq > ? AND seq < ? AND NOT keep ORDER BY seq LIMIT ?", (behind, newest, most))
    if victims:
        _delete(store, victims, gone.THINNED, tell=tell)
        return Lot(len(victims), victims[-1].seq)
    victims = _victims(store, "seq < ? ORDER BY seq LIMIT ?", (newest, most))
    _delete(store, victims, gone.THINNED, tell=tell)
    return Lot(len(victims))


def any_delivered(store: Store, settled: Settled, newest: int) -> bool:
    """Whether a row is there that every uplink has settled."""
    return bool(_delivered(store, settled, newest, 1))


def _delivered(store: Store, settled: Settled, newest: int, most: int) -> list[Victim]:
    # The newest row stays whatever happens: it is the high-water mark of the numbers.
    found: list[Victim] = []
    for first, last in settled.by_all(1, newest - 1) if settled.active else ():
        found += _victims(store, "seq BETWEEN ? AND ? ORDER BY seq LIMIT ?", (first, last, most - len(found)))
        if len(found) >= most:
            break
    return found


def _victims(store: Store, where: str, parameters: tuple[int, ...]) -> list[Victim]:
    rows = store.query(f"SELECT seq, epoch, readings, keep FROM batch WHERE {where}", parameters)  # noqa: S608 - conditions of our own
    return [Victim(seq, epoch.hex(), readings, bool(keep)) for seq, epoch, readings, keep in rows]


def _delete(store: Store, victims: Iterable[Victim], reason: str, *, tell: bool) -> None:
    """Delete rows and record their numbers with the reason; `tell`: an event shall say so."""
    for run in _runs(victims):
        store.execute("DELETE FROM batch WHERE seq BETWEEN ? AND ?", (run[0].seq, run[-1].seq))
        gone.note(store, (run[0].epoch, run[0].seq, run[-1].seq, reason), sum(victim.readings for victim in run), told=not tell)
        if tell and any(victim.keep for victim in run):
            gone.tell_again(store, run[0].epoch, run[-1].seq)


def _runs(victims: Iterable[Victim]) -> Iterator[list[Victim]]:
    run: list[Victim] = []
    for victim in victims:
        if run and (victim.seq != run[-1].seq + 1 or victim.epoch != run[-1].epoch):
            yield run
            run = []
        run.append(victim)
    if run:
        yield run
