"""Drafts become rows: identity, wall time, wire bytes. Pure."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.journal.rows import Row
from gateway.model import ClockState, Draft, Event, Sealed
from gateway.wire import Batch, compress, decode, split


@dataclass(frozen=True, slots=True)
class Stamp:
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


def seal(draft: Draft, stamp: Stamp, base: int, seq: int, total: int) -> list[Row]:
    """The rows of a draft, counting up from `seq`; `base` is their uptime, `total` the sum of all readings before them."""
    header = Batch(stamp.gateway, stamp.epoch, seq, max(0, base + stamp.offset), base, stamp.clock)
    plains = split(draft, header)
    rows = []
    for index, plain in enumerate(plains):
        # Only a draft that was split must be counted part by part.
        part = (
            replace(header, readings=draft.readings, events=draft.events, intervals=draft.intervals) if len(plains) == 1 else decode(plain)
        )
        keep = draft.keep or bool(part.events) or bool(part.intervals)
        total += len(part.readings)
        sealed = Sealed(
            stamp.epoch, seq + index, stamp.boot, header.t0, base, stamp.clock, len(part.readings), part.values, keep, compress(plain)
        )  # fmt: skip
        rows.append(Row(sealed, total, ""))
    return rows


def write_carry(settled: dict[str, list[list[int]]], carried: dict[str, Any], synced: Sequence[Any] | None) -> str:
    """The carry column: settled ranges by uplink, what the caller gave along, (t0, uptime, boot) of the newest synced batch."""
    parts = {"settled": settled, "with": carried, "synced": synced}
    return json.dumps({key: value for key, value in parts.items() if value}, separators=(",", ":"), ensure_ascii=False)


def read_carry(text: str) -> tuple[dict[str, Any], dict[str, Any], tuple[int, int, str] | None]:
    """(settled, carried, newest synced) of a carry column; empty for anything malformed."""
    try:
        data = json.loads(text)
        settled, carried, synced = data.get("settled", {}), data.get("with", {}), data.get("synced")
    except (ValueError, AttributeError):
        return {}, {}, None
    well = isinstance(synced, list) and [type(item) for item in synced] == [int, int, str]
    return settled if isinstance(settled, dict) else {}, carried if isinstance(carried, dict) else {}, tuple(synced) if well else None


def started(previous: str, last: int, reason: str, uptime: int) -> Event:
    """The event with which an epoch opens: it names the one before and its last seq, so that the platform can tell an end from a gap."""
    return Event("epoch_started", uptime, {"previous": previous or None, "last": last, "reason": reason})
