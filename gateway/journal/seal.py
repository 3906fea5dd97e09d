"""Drafts become rows: identity, wall time, wire bytes. Pure."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
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


def seal(draft: Draft, stamp: Stamp, seq: int, total: int, carry: str) -> list[Row]:
    """The rows of a draft, counting up from `seq`; `total` is the sum of readings before it. The last row has the carry."""
    times = [item.uptime for item in (*draft.readings, *draft.events)]
    base = min((reading.uptime for reading in draft.readings), default=min(times, default=0))
    header = Batch(stamp.gateway, stamp.epoch, seq, max(0, base + stamp.offset), base, stamp.clock)
    keep = draft.keep or bool(draft.events) or bool(draft.intervals)
    plains = split(draft, header)
    rows = []
    for index, plain in enumerate(plains):
        # Only a draft that was split must be counted part by part.
        part = Batch(stamp.gateway, stamp.epoch, seq, 0, 0, stamp.clock, draft.readings) if len(plains) == 1 else decode(plain)
        total += len(part.readings)
        body = compress(plain)
        sealed = Sealed(stamp.epoch, seq + index, stamp.boot, header.t0, base, stamp.clock, len(part.readings), part.values, keep, body)
        rows.append(Row(sealed, total, carry if index == len(plains) - 1 else ""))
    return rows


def carry_json(settled: dict[str, list[list[int]]], carried: dict[str, Any]) -> str:
    """The carry column: settled ranges by uplink and whatever the caller gave along."""
    return json.dumps({"settled": settled, **({"with": carried} if carried else {})}, separators=(",", ":"), ensure_ascii=False)


def read_carry(text: str) -> tuple[Any, dict[str, Any]]:
    """(settled, carried) of a carry column; empty for anything malformed."""
    try:
        data = json.loads(text)
        carried = data.get("with", {})
        return data.get("settled"), carried if isinstance(carried, dict) else {}
    except (ValueError, AttributeError):
        return None, {}


def started(previous: str, last: int, reason: str, uptime: int) -> Event:
    """The event with which an epoch opens: it names the one before and its last seq, so that the platform can tell an end from a gap."""
    return Event("epoch_started", uptime, {"previous": previous or None, "last": last, "reason": reason})
