"""The journal's state in one snapshot, for the page, the metrics and the commands."""

from __future__ import annotations

from gateway.journal.keeper import Keeper
from gateway.journal.pace import room_days
from gateway.journal.stats import JournalStats


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
        room_days=room_days(keeper.pace, space.budget, keeper.used, held[0], backlogs),
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
        damaged=tuple(case.progress() for case in list(keeper.evidence.cases)),
        walked=keeper.upkeep.walked,
        backlog=backlogs,
        salvaged=dict(shelf.saved.counts) if shelf else {},
    )
