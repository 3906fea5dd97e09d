"""The platform asks for batches again: what is there is sent, what is gone is explained. Rate-limited."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field

from gateway.common.text import flaw
from gateway.errors import WireError
from gateway.model import Sealed
from gateway.uplink.journal_port import JournalPort
from gateway.uplink.outgoing.rate import TokenBucket
from gateway.wire import Replay, Reply, parse

MAX_PENDING = 8
COMMANDS_PER_SECOND = 2.0
COMMANDS_AT_ONCE = 10.0
MAX_GONE = 100
"""Explained ranges in one reply."""
CHUNK = 50
NO_ID = "?"
"""Under what a command is answered in which no id can be read."""


@dataclass(slots=True)
class _Job:
    command: Replay
    next: int
    sent: int = 0
    rows: deque[Sealed] = field(default_factory=deque)
    left_out: list[tuple[int, int, str]] = field(default_factory=list)


class Replays:
    """Commands in the order of arrival, one at a time."""

    def __init__(self, journal: JournalPort, now: float) -> None:
        self._journal = journal
        self._bucket = TokenBucket(COMMANDS_PER_SECOND, now, burst=COMMANDS_AT_ONCE)
        # Answers to what is no command are limited too, and on their own account: nonsense keeps nobody from
        # asking.
        self._refusals = TokenBucket(COMMANDS_PER_SECOND, now, burst=COMMANDS_AT_ONCE)
        self._jobs: deque[_Job] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def clear(self) -> None:
        """The connection is gone: the platform will ask again."""
        self._jobs.clear()

    def command(self, payload: bytes, now: float) -> Reply | None:
        """Accept a command, or the reply that says why not; None also when too many come to answer each.
        Raises WireError.
        """
        try:
            command = parse(Replay, payload)
        except WireError as error:
            if not self._refusals.spend(now):
                raise
            return Reply(id=_id_of(payload) or NO_ID, ok=False, error=error.message[:500])
        if not self._bucket.spend(now):
            raise WireError(
                "replay commands come faster than they are answered",
                hint="ask for one range at a time and wait for the reply",
            )
        if command.from_ > command.to:
            return Reply(
                id=command.id,
                ok=False,
                epoch=command.epoch,
                error=f"the range runs backwards: from {command.from_} to {command.to}",
            )
        if len(self._jobs) >= MAX_PENDING:
            return Reply(
                id=command.id,
                ok=False,
                epoch=command.epoch,
                error=f"busy: {MAX_PENDING} replays are waiting; ask again later",
            )
        self._jobs.append(_Job(command, command.from_))
        return None

    def next(self) -> Sealed | None:
        """The next batch to send again."""
        if not self._jobs or not self._jobs[0].rows:
            return None
        job = self._jobs[0]
        job.sent += 1
        return job.rows.popleft()

    def left_out(self, sealed: Sealed, reason: str) -> None:
        """What `next` gave last could not be sent."""
        if self._jobs and self._jobs[0].command.epoch == sealed.epoch:
            self._jobs[0].sent -= 1
            if reason and len(self._jobs[0].left_out) < MAX_GONE:
                self._jobs[0].left_out.append((sealed.seq, sealed.seq, reason))

    @property
    def ready(self) -> bool:
        """Whether `next` has something."""
        return bool(self._jobs and self._jobs[0].rows)

    async def work(self) -> Reply | None:
        """Read ahead for the current command; its reply when it is done. Raises whatever the journal
        raises.
        """
        if not self._jobs or self._jobs[0].rows:
            return None
        job = self._jobs[0]
        wanted = job.command
        rows = (
            await self._journal.find(wanted.epoch, job.next, wanted.to, CHUNK)
            if job.next <= wanted.to
            else ()
        )
        if rows:
            job.rows.extend(rows)
            job.next = rows[-1].seq + 1
            return None
        gone = [*job.left_out, *await self._journal.explain(wanted.epoch, wanted.from_, wanted.to)]
        if self._jobs and self._jobs[0] is job:
            self._jobs.popleft()
        return Reply(
            id=wanted.id,
            ok=True,
            epoch=wanted.epoch,
            sent=job.sent,
            gone=[(a, b, why) for a, b, why in gone[:MAX_GONE]],
        )


def _id_of(payload: bytes) -> str | None:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    asked = found.get("id") if isinstance(found, dict) else None
    # As in Replay.
    return asked if isinstance(asked, str) and 1 <= len(asked) <= 64 and flaw(asked) is None else None
