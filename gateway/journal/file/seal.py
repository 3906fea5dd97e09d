"""Drafts become rows: identity, wall time, wire bytes. Pure."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.journal.file.resume import Synced, Thinned
from gateway.journal.file.rows import BatchRow
from gateway.model import ClockState, Draft, Event, Sealed
from gateway.wire import Batch, compress, decode, decompress, split


@dataclass(frozen=True, slots=True)
class CommitStamp:
    """What identifies and dates the rows of one commit: `offset` is wall minus uptime in ms."""

    gateway: str
    epoch: str
    boot: str
    offset: int
    clock: ClockState


def new_epoch() -> str:
    """A name that was never used before: 64 random bits, 16 hex digits."""
    return secrets.token_hex(8)


def earliest(draft: Draft, otherwise: int) -> int:
    """Uptime (ms) of its first reading, or event: the time from which the others are counted."""
    readings = [reading.uptime for reading in draft.readings]
    return min(readings or [event.uptime for event in draft.events], default=otherwise)


def seal(draft: Draft, stamp: CommitStamp, base: int, seq: int, total: int) -> list[BatchRow]:
    """The rows of a draft, counting up from `seq`; `base` is their uptime, `total` the sum of all readings
    before them.
    """
    header = Batch(stamp.gateway, stamp.epoch, seq, max(0, base + stamp.offset), base, stamp.clock)
    rows = []
    for index, (part, plain) in enumerate(split(draft, header)):
        keep = draft.keep or bool(part.events) or bool(part.intervals)
        total += len(part.readings)
        values = sum(len(reading.values) for reading in part.readings)
        sealed = Sealed(
            stamp.epoch,
            seq + index,
            stamp.boot,
            header.t0,
            base,
            stamp.clock,
            len(part.readings),
            values,
            keep,
            compress(plain),
        )
        rows.append(BatchRow(sealed, total, ""))
    return rows


def write_carry(
    settled: dict[str, list[list[int]]],
    carried: dict[str, Any],
    synced: Synced | None,
    thinned: Thinned | None = None,
) -> str:
    """The carry column: settled ranges by uplink, what the caller gave along, the newest synced batch,
    what was thinned.
    """
    parts = {"settled": settled, "with": carried, "synced": synced, "thinned": thinned}
    return json.dumps(
        {key: value for key, value in parts.items() if value}, separators=(",", ":"), ensure_ascii=False
    )


def read_carry(text: str) -> tuple[dict[str, Any], dict[str, Any], Synced | None, Thinned | None]:
    """(settled, carried, newest synced, thinned) of a carry column; empty for anything malformed."""
    try:
        data = json.loads(text)
        settled, carried, synced, thinned = (
            data.get("settled", {}),
            data.get("with", {}),
            data.get("synced"),
            data.get("thinned"),
        )
    except (ValueError, AttributeError):
        return {}, {}, None, None
    return (
        settled if isinstance(settled, dict) else {},
        carried if isinstance(carried, dict) else {},
        (synced[0], synced[1], synced[2]) if _is(synced, int, int, str) else None,
        (thinned[0], thinned[1], thinned[2], thinned[3]) if _is(thinned, int, int, int, int) else None,
    )


def _is(value: object, *types: type) -> bool:
    return isinstance(value, list) and [type(item) for item in value] == list(types)


def tellers(rows: Sequence[BatchRow], events: Sequence[Event]) -> list[int]:
    """The number of the batch that holds each of these events: a draft that was split has several."""
    if len(rows) == 1:
        return [rows[0].seq] * len(events)
    said = [
        (row.seq, [(event.kind, event.fields) for event in decode(decompress(row.sealed.body)).events])
        for row in rows
    ]
    return [
        next((seq for seq, held in said if (event.kind, event.fields) in held), rows[0].seq)
        for event in events
    ]
