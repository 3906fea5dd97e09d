"""What is no longer in the journal, and why: the answer to whoever asks for it, and the events that say so
unasked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.journal.damage import damaged
from gateway.journal.file.store import JournalStore
from gateway.model import Event, Ranges

DELIVERED, THINNED, DAMAGED, UNKNOWN = "delivered", "thinned", "damaged", "unknown"

Gone = tuple[str, int, int, str]
"""(epoch, first, last, reason)."""

REASONS = (DELIVERED, THINNED, DAMAGED)
"""What the table may say."""

UNTOLD, NOBODY = 0, -1
"""In the column `told`, instead of the number of the batch that told: nobody has told it yet; nobody needs
to hear it (any more).
"""

_NONSENSE = "the table of what is gone holds nonsense"

TELL = 200
"""Ranges told with one commit: the rest waits for the next."""


def note(store: JournalStore, what: Gone, readings: int, *, told: int) -> None:
    """Record a range within a transaction; it melts into its neighbours when they say the same."""
    epoch, first, last, reason = what
    name = bytes.fromhex(epoch)
    sql = "SELECT first, last, readings, reason, told FROM gone WHERE epoch = ? AND first"
    before = store.query(f"{sql} < ? ORDER BY first DESC LIMIT 1", (name, first))
    after = store.query(f"{sql} = ?", (name, last + 1))
    if after and after[0][3:] == (reason, told):
        store.execute("DELETE FROM gone WHERE epoch = ? AND first = ?", (name, after[0][0]))
        last, readings = after[0][1], readings + after[0][2]
    if before and before[0][1] == first - 1 and before[0][3:] == (reason, told):
        first, readings = before[0][0], readings + before[0][2]
    store.execute(
        "INSERT OR REPLACE INTO gone VALUES (?,?,?,?,?,?)", (name, first, last, readings, reason, told)
    )


def check(store: JournalStore) -> None:
    """The whole table: small, and without checksums. Raises JournalDamaged for an entry that cannot have
    been written.
    """
    sql = """SELECT 1 FROM gone WHERE reason NOT IN (?,?,?) OR typeof(epoch) != 'blob' OR length(epoch) != 8
             OR typeof(first) != 'integer' OR typeof(last) != 'integer' OR typeof(readings) != 'integer'
             OR first < 1 OR last < first OR readings < 0 OR typeof(told) != 'integer' OR told < ? LIMIT 1"""
    if store.query(sql, (*REASONS, NOBODY)):
        raise damaged(store.path, _NONSENSE)


def untold(store: JournalStore) -> list[Gone]:
    """Ranges that no event has named yet. Raises JournalDamaged for a reason that does not exist."""
    # `told >= 0` names the index, which has nothing of what nobody needs to hear.
    sql = (
        "SELECT epoch, first, last, reason FROM gone WHERE told = 0 AND told >= 0 ORDER BY epoch, first "
        "LIMIT ?"
    )
    rows = store.query(sql, (TELL,))
    if any(row[3] not in REASONS for row in rows):
        raise damaged(store.path, _NONSENSE)
    return [(epoch.hex(), first, last, reason) for epoch, first, last, reason in rows]


def events(ranges: Iterable[Gone], uptime: int) -> list[Event]:
    """An event per range; its kind is the reason."""
    return [
        Event(reason, uptime, {"epoch": epoch, "from": first, "to": last})
        for epoch, first, last, reason in ranges
    ]


def tell(store: JournalStore, ranges: Iterable[Gone], tellers: Sequence[int]) -> None:
    """Mark ranges as told by the batches of these numbers, in the transaction that commits their events."""
    for (epoch, first, last, reason), teller in zip(ranges, tellers, strict=True):
        name = bytes.fromhex(epoch)
        found = store.query("SELECT readings FROM gone WHERE epoch = ? AND first = ?", (name, first))
        if found:
            store.execute("DELETE FROM gone WHERE epoch = ? AND first = ?", (name, first))
            note(store, (epoch, first, last, reason), found[0][0], told=teller)


def tellers_gone(store: JournalStore, first: int, last: int, *, heard: bool) -> None:
    """The batches from `first` to `last` go, in this transaction: `heard` by everybody, or what they told
    must be told again.
    """
    sql = (
        "SELECT epoch, first, last, readings, reason FROM gone WHERE told BETWEEN ? AND ? AND told >= 0 "
        "ORDER BY epoch, first"
    )
    for name, start, end, readings, reason in store.query(sql, (first, last)):
        store.execute("DELETE FROM gone WHERE epoch = ? AND first = ?", (name, start))
        note(store, (name.hex(), start, end, reason), readings, told=NOBODY if heard else UNTOLD)


_OWN = "epoch IN (SELECT epoch FROM epoch)"
"""Numbers of this very file: those of damaged ones may be the same."""


def between(store: JournalStore, first: int, last: int) -> tuple[int, int]:
    """(batches, readings) of this file that are gone between two numbers."""
    sql = (
        f"SELECT COALESCE(SUM(last - first + 1), 0), COALESCE(SUM(readings), 0) FROM gone WHERE first > "  # noqa: S608
        f"? AND last < ? AND {_OWN}"
    )
    found: tuple[int, int] = store.query(sql, (first, last))[0]
    return found


def own(store: JournalStore) -> list[tuple[int, int]]:
    """(first, last) of everything that is gone of this file."""
    return store.query(f"SELECT first, last FROM gone WHERE {_OWN} ORDER BY first")  # noqa: S608 - a text of our own


def thinned(store: JournalStore) -> tuple[int, int]:
    """(batches, readings) that had to make room undelivered, of damaged files too."""
    sql = "SELECT COALESCE(SUM(last - first + 1), 0), COALESCE(SUM(readings), 0) FROM gone WHERE reason = ?"
    found: tuple[int, int] = store.query(sql, (THINNED,))[0]
    return found


def thinned_to(store: JournalStore) -> int:
    """The highest number of this file that had to make room undelivered; 0 when none had to."""
    sql = f"SELECT COALESCE(MAX(last), 0) FROM gone WHERE reason = ? AND {_OWN}"  # noqa: S608 - a text of our own
    found: int = store.query(sql, (THINNED,))[0][0]
    return found


def explained(store: JournalStore, epoch: str, first: int, last: int) -> bool:
    """Whether any of these numbers is recorded as gone."""
    return bool(
        store.query(
            "SELECT 1 FROM gone WHERE epoch = ? AND last >= ? AND first <= ? LIMIT 1",
            (bytes.fromhex(epoch), first, last),
        )
    )


def explain(store: JournalStore, epoch: str, asked: Ranges) -> list[tuple[int, int, str]]:
    """(first, last, reason) for everything of `asked`, oldest first; what nobody knows is `unknown`.
    Raises as `untold`.
    """
    answer: list[tuple[int, int, str]] = []
    for first, last in asked:
        unknown = Ranges([(first, last)])
        sql = (
            "SELECT first, last, reason FROM gone WHERE epoch = ? AND last >= ? AND first <= ? ORDER BY first"
        )
        for start, end, reason in store.query(sql, (bytes.fromhex(epoch), first, last)):
            if reason not in REASONS:
                raise damaged(store.path, _NONSENSE)
            answer.append((max(first, start), min(last, end), reason))
            unknown.discard(start, end)
        answer += [(start, end, UNKNOWN) for start, end in unknown]
    return _melted(sorted(answer))


def _melted(answer: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    # Told by different batches, but the same to whoever asks.
    whole: list[tuple[int, int, str]] = []
    for first, last, reason in answer:
        if whole and whole[-1][2] == reason and whole[-1][1] >= first - 1:
            whole[-1] = (whole[-1][0], max(last, whole[-1][1]), reason)
        else:
            whole.append((first, last, reason))
    return whole
