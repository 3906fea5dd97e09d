"""What is no longer in the journal, and why: the answer to whoever asks for it, and the events that say so unasked."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.errors import JournalDamaged
from gateway.journal.store import Store
from gateway.model import Event, Ranges

DELIVERED, THINNED, DAMAGED, UNKNOWN = "delivered", "thinned", "damaged", "unknown"

Gone = tuple[str, int, int, str]
"""(epoch, first, last, reason)."""

REASONS = (DELIVERED, THINNED, DAMAGED)
"""What the table may say."""

TELL = 200
"""Ranges told with one commit: the rest waits for the next."""


def note(store: Store, what: Gone, readings: int, *, told: bool) -> None:
    """Record a range within a transaction; it melts into the one before it when that says the same."""
    epoch, first, last, reason = what
    name = bytes.fromhex(epoch)
    before = store.query(
        "SELECT first, readings FROM gone WHERE epoch = ? AND last = ? AND reason = ? AND told = ?", (name, first - 1, reason, told)
    )
    after = store.query(
        "SELECT first, last, readings FROM gone WHERE epoch = ? AND first = ? AND reason = ? AND told = ?", (name, last + 1, reason, told)
    )
    if after:
        store.execute("DELETE FROM gone WHERE epoch = ? AND first = ?", (name, after[0][0]))
        last, readings = after[0][1], readings + after[0][2]
    if before:
        first, readings = before[0][0], readings + before[0][1]
    store.execute("INSERT OR REPLACE INTO gone VALUES (?,?,?,?,?,?)", (name, first, last, readings, reason, told))


def check(store: Store) -> None:
    """The whole table: small, and without checksums. Raises JournalDamaged for an entry that cannot have been written."""
    sql = """SELECT 1 FROM gone WHERE reason NOT IN (?,?,?) OR typeof(epoch) != 'blob' OR length(epoch) != 8
             OR typeof(first) != 'integer' OR typeof(last) != 'integer' OR typeof(readings) != 'integer'
             OR first < 1 OR last < first OR readings < 0 OR told NOT IN (0, 1) LIMIT 1"""
    if store.query(sql, REASONS):
        raise _damaged(store)


def _damaged(store: Store) -> JournalDamaged:
    return JournalDamaged(f"{store.path}: the table of what is gone holds nonsense", hint="the file is moved aside and salvaged")


def untold(store: Store) -> list[Gone]:
    """Ranges that no event has named yet. Raises JournalDamaged for a reason that does not exist."""
    rows = store.query("SELECT epoch, first, last, reason FROM gone WHERE told = 0 ORDER BY epoch, first LIMIT ?", (TELL,))
    if any(row[3] not in REASONS for row in rows):
        raise _damaged(store)
    return [(epoch.hex(), first, last, reason) for epoch, first, last, reason in rows]


def events(ranges: Iterable[Gone], uptime: int) -> list[Event]:
    """An event per range; its kind is the reason."""
    return [Event(reason, uptime, {"epoch": epoch, "from": first, "to": last}) for epoch, first, last, reason in ranges]


def tell(store: Store, ranges: Iterable[Gone]) -> None:
    """Mark ranges as told, in the transaction that commits their events."""
    for epoch, first, last, reason in ranges:
        name = bytes.fromhex(epoch)
        found = store.query("SELECT readings FROM gone WHERE epoch = ? AND first = ?", (name, first))
        if found:
            store.execute("DELETE FROM gone WHERE epoch = ? AND first = ?", (name, first))
            note(store, (epoch, first, last, reason), found[0][0], told=True)


def tell_again(store: Store, epoch: str, last: int) -> None:
    """The batch that told of what is gone up to `last` is gone itself: say it all again, melted into few ranges."""
    name = bytes.fromhex(epoch)
    told = store.query(
        "SELECT first, last, readings, reason FROM gone WHERE epoch = ? AND last <= ? AND told = 1 AND reason != ?", (name, last, DELIVERED)
    )
    for first, end, readings, reason in told:
        store.execute("DELETE FROM gone WHERE epoch = ? AND first = ?", (name, first))
        note(store, (epoch, first, end, reason), readings, told=False)


def between(store: Store, first: int, last: int) -> tuple[int, int]:
    """(batches, readings) of this file that are gone between two numbers."""
    sql = "SELECT COALESCE(SUM(last - first + 1), 0), COALESCE(SUM(readings), 0) FROM gone WHERE first > ? AND last < ? AND reason != ?"
    found: tuple[int, int] = store.query(sql, (first, last, DAMAGED))[0]
    return found


def explained(store: Store, epoch: str, first: int, last: int) -> bool:
    """Whether any of these numbers is recorded as gone."""
    return bool(store.query("SELECT 1 FROM gone WHERE epoch = ? AND last >= ? AND first <= ? LIMIT 1", (bytes.fromhex(epoch), first, last)))


def explain(store: Store, epoch: str, asked: Ranges) -> list[tuple[int, int, str]]:
    """(first, last, reason) for everything of `asked`, oldest first; what nobody knows is `unknown`. Raises as `untold`."""
    answer: list[tuple[int, int, str]] = []
    for first, last in asked:
        unknown = Ranges([(first, last)])
        sql = "SELECT first, last, reason FROM gone WHERE epoch = ? AND last >= ? AND first <= ? ORDER BY first"
        for start, end, reason in store.query(sql, (bytes.fromhex(epoch), first, last)):
            if reason not in REASONS:
                raise _damaged(store)
            answer.append((max(first, start), min(last, end), reason))
            unknown.discard(start, end)
        answer += [(start, end, UNKNOWN) for start, end in unknown]
    return sorted(answer)
