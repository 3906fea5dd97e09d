"""The journal's state in one snapshot, for the page, the metrics and the commands."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.journal.pace import room_days
from gateway.journal.rights import blocked
from gateway.journal.stats import Backlog, JournalStats
from gateway.journal.writer import Writer


def _room(writer: Writer, held: int, backlogs: Mapping[str, Backlog]) -> float | None:
    """Days; a file that is full has none, and for one that cannot be written nobody knows."""
    if writer.state != "ok":
        return 0.0 if writer.state == "full" else None
    return room_days(writer.pace, writer.disk.budget, writer.used, held, backlogs)


def snapshot(writer: Writer) -> JournalStats:
    """How the journal is; may be taken from any thread."""
    file, disk, resume = writer.file, writer.disk, writer.resume
    held, oldest = (file.tally.held, file.tally.oldest) if file else ((0, 0), None)
    times = (resume.thinned or (None,) * 4)[1:]
    backlogs = dict(file.tally.backlogs) if file else {}
    return JournalStats(
        epoch=resume.epoch,
        seq=resume.seq,
        oldest_seq=oldest[0] if oldest else None,
        oldest_t0=oldest[1] if oldest else None,
        batches=held[0],
        readings=held[1],
        bytes=writer.housekeeping.bytes or writer.used,
        budget=disk.budget,
        room_days=_room(writer, held[0], backlogs),
        room_basis=writer.pace.basis,
        taken=resume.total,
        waiting=writer.pending.late,
        dropped=writer.pending.dropped,
        thinned=file.thinned[0] if file else 0,
        thinned_readings=file.thinned[1] if file else 0,
        thinned_since=times[0],
        thinned_until=times[1],
        thinned_at=times[2],
        state=writer.state,
        error=writer.error,
        cause="permission" if writer.state == "failing" and blocked(writer.path) is not None else "",
        damaged=tuple(case.progress() for case in list(writer.cases.all)),
        walked=writer.housekeeping.walked,
        backlog=backlogs,
        salvaged=dict(file.recovered.counts) if file else {},
    )
