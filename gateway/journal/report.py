"""The journal's state in one snapshot, for the page, the metrics and the commands."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.journal.keeper import Keeper
from gateway.journal.pace import room_days
from gateway.journal.rights import blocked
from gateway.journal.stats import Backlog, JournalStats


def _room(keeper: Keeper, held: int, backlogs: Mapping[str, Backlog]) -> float | None:
    """Days; a file that is full has none, and for one that cannot be written nobody knows."""
    if keeper.state != "ok":
        return 0.0 if keeper.state == "full" else None
    return room_days(keeper.pace, keeper.space.budget, keeper.used, held, backlogs)


def snapshot(keeper: Keeper) -> JournalStats:
    """How the journal is; may be taken from any thread."""
    shelf, space, memory = keeper.shelf, keeper.space, keeper.memory
    held, oldest = (shelf.tally.held, shelf.tally.oldest) if shelf else ((0, 0), None)
    times = (memory.thinned or (None,) * 4)[1:]
    backlogs = dict(shelf.tally.backlogs) if shelf else {}
    return JournalStats(
        epoch=memory.epoch,
        seq=memory.seq,
        oldest_seq=oldest[0] if oldest else None,
        oldest_t0=oldest[1] if oldest else None,
        batches=held[0],
        readings=held[1],
        bytes=keeper.upkeep.disk or keeper.used,
        budget=space.budget,
        room_days=_room(keeper, held[0], backlogs),
        room_basis=keeper.pace.basis,
        taken=memory.total,
        waiting=keeper.waiting.late,
        dropped=keeper.waiting.dropped,
        thinned=shelf.thinned[0] if shelf else 0,
        thinned_readings=shelf.thinned[1] if shelf else 0,
        thinned_since=times[0],
        thinned_until=times[1],
        thinned_at=times[2],
        state=keeper.state,
        error=keeper.error,
        cause="permission" if keeper.state == "failing" and blocked(keeper.path) is not None else "",
        damaged=tuple(case.progress() for case in list(keeper.evidence.cases)),
        walked=keeper.upkeep.walked,
        backlog=backlogs,
        salvaged=dict(shelf.saved.counts) if shelf else {},
    )
