"""Where a file ends: what must be known to go on in another one when it is found damaged, and the column
`carry` that says it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.journal.file.store import JournalStore


class Synced(NamedTuple):
    """The newest batch that was taken with a synced clock: a floor for wall time (`t0`, ms UTC), and an
    anchor (`uptime`, ms) within its boot.
    """

    t0: int
    uptime: int
    boot: str


class Thinned(NamedTuple):
    """What had to make room undelivered: the highest seq, t0 of the oldest and of the newest such batch, and
    UTC of the last time, in ms.
    """

    upto: int
    since: int
    until: int
    at: int


LOST_TOGETHER_MS = 7 * 86_400_000
"""What is lost within so many ms of each other is told as one."""


class Lost(NamedTuple):
    """What was lost for good, in ms; 0 where it is not known.

    With a damaged or missing file: how many batches, the time that they were of (`since` the newest batch
    before, `until` the oldest after), and UTC of the moment when that was found. Because the disk refused for
    longer than memory holds: how many readings were let go, and UTC of the commit that told it.
    """

    batches: int = 0
    since: int = 0
    until: int = 0
    at: int = 0
    let_go: int = 0
    let_go_at: int = 0

    def told(self, let_go: int, now: int, *, synced: bool) -> Lost:
        """As a commit at `now` (UTC in ms) tells it, with so many readings let go; dated by a right clock."""
        known = self
        if let_go:
            recent = self.let_go if now - self.let_go_at < LOST_TOGETHER_MS else 0
            known = self._replace(let_go=let_go + recent, let_go_at=0)
        if not synced:
            return known
        at, let_go_at = known.at or now * bool(known.batches), known.let_go_at or now * bool(known.let_go)
        return known._replace(at=at, let_go_at=let_go_at)

    def more(self, batches: int, since: int, until: int, at: int) -> Lost:
        """With batches of another file; what was found within a week is one."""
        if self.batches and (not self.at or not at or at - self.at < LOST_TOGETHER_MS):
            batches += self.batches
            since, until = min(since, self.since), max(until, self.until) if until else 0
        return self._replace(batches=batches, since=since, until=until, at=at)


NOTHING = Lost()


@dataclass(slots=True)
class ResumePoint:
    """The end of the journal so far: newest identity, running total, and what the newest row carried."""

    epoch: str = ""
    boot: str = ""
    seq: int = 0
    total: int = 0
    settled: dict[str, list[list[int]]] = field(default_factory=dict)
    carried: dict[str, Any] = field(default_factory=dict)
    synced: Synced | None = None
    thinned: Thinned | None = None
    lost: Lost = NOTHING


def recall(store: JournalStore) -> ResumePoint | None:
    """What the newest row of a file and the newest carry say; None when the file is empty."""
    newest = next(iter(store.newest()), None)
    if newest is None:
        return None
    found = store.query("SELECT carry FROM batch WHERE carry != '' ORDER BY seq DESC LIMIT 1")
    settled, carried, synced, thinned, lost = read_carry(found[0][0] if found else "")
    if newest.sealed.clock == "synced":
        synced = Synced(newest.sealed.t0, newest.sealed.uptime, newest.sealed.boot)
    return ResumePoint(
        newest.sealed.epoch,
        newest.sealed.boot,
        newest.seq,
        newest.total,
        settled,
        carried,
        synced,
        thinned,
        lost,
    )


def write_carry(
    settled: dict[str, list[list[int]]],
    carried: dict[str, Any],
    synced: Synced | None,
    thinned: Thinned | None = None,
    lost: Lost = NOTHING,
) -> str:
    """The carry column: settled ranges by uplink, what the caller gave along, the newest synced batch,
    what was thinned, what was lost.
    """
    parts: dict[str, Any] = {"settled": settled, "with": carried, "synced": synced, "thinned": thinned}
    if lost != NOTHING:
        parts["lost"] = lost
    return json.dumps(
        {key: value for key, value in parts.items() if value}, separators=(",", ":"), ensure_ascii=False
    )


def read_carry(
    text: str,
) -> tuple[dict[str, Any], dict[str, Any], Synced | None, Thinned | None, Lost]:
    """(settled, carried, newest synced, thinned, lost) of a carry column; empty for anything malformed."""
    try:
        data = json.loads(text)
        settled, carried = data.get("settled", {}), data.get("with", {})
        synced, thinned, lost = data.get("synced"), data.get("thinned"), data.get("lost")
    except (ValueError, AttributeError):
        return {}, {}, None, None, NOTHING
    return (
        settled if isinstance(settled, dict) else {},
        carried if isinstance(carried, dict) else {},
        Synced(*synced) if _is(synced, int, int, str) else None,
        Thinned(*thinned) if _is(thinned, int, int, int, int) else None,
        Lost(*lost) if _is(lost, *[int] * len(Lost._fields)) else NOTHING,
    )


def _is(value: Any, *types: type) -> bool:
    return isinstance(value, list) and [type(item) for item in value] == list(types)
