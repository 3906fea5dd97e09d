"""A row of the journal: a batch with everything that is needed to send it, to check it, and to find it
again in a damaged file; and how a draft becomes rows (identity, wall time, wire bytes). Pure.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model import ClockState, Draft, Event, Sealed
from gateway.wire import Batch, compress, decode, decompress, split

COLUMNS = "seq, epoch, boot, readings, vals, total, t0, uptime, clock, keep, crc, carry, body"
"""Every column, in the order of the table; short ones first, so that a header is read without the body's
overflow pages.
"""

CLOCKS: tuple[ClockState, ...] = ("unsynced", "synced", "anchored")
_IDENTITY = struct.Struct(">q8s16sqqqqqbb")


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One committed batch. `total` counts all readings that the file ever took, this row's included: sums
    without a scan.
    """

    sealed: Sealed
    total: int
    carry: str

    @property
    def seq(self) -> int:
        """Its number, unique within the file."""
        return self.sealed.seq

    @property
    def crc(self) -> int:
        """CRC-32 over identity, carry and body."""
        s = self.sealed
        flags = (CLOCKS.index(s.clock), int(s.keep))
        head = _IDENTITY.pack(
            s.seq,
            bytes.fromhex(s.epoch),
            bytes.fromhex(s.boot),
            s.readings,
            s.values,
            self.total,
            s.t0,
            s.uptime,
            *flags,
        )
        return zlib.crc32(s.body, zlib.crc32(self.carry.encode(), zlib.crc32(head)))

    @property
    def record(self) -> tuple[Any, ...]:
        """The values of its columns."""
        s = self.sealed
        epoch, boot, clock = bytes.fromhex(s.epoch), bytes.fromhex(s.boot), CLOCKS.index(s.clock)
        return (
            s.seq,
            epoch,
            boot,
            s.readings,
            s.values,
            self.total,
            s.t0,
            s.uptime,
            clock,
            int(s.keep),
            self.crc,
            self.carry,
            s.body,
        )


def from_record(record: Sequence[Any]) -> BatchRow | None:
    """The row of these column values; None when they are not a sound row (wrong types, wrong CRC)."""
    try:
        seq, epoch, boot, readings, values, total, t0, uptime, clock, keep, crc, carry, body = record
        if not isinstance(body, bytes):  # a number would be taken for a length
            return None
        sealed = Sealed(
            epoch.hex(), seq, boot.hex(), t0, uptime, CLOCKS[clock], readings, values, bool(keep), body
        )
        row = BatchRow(sealed, total, carry)
        # The widths of the two columns.
        return row if len(epoch) == 8 and len(boot) == 16 and row.crc == crc else None
    except (ValueError, TypeError, IndexError, AttributeError, struct.error):
        return None


@dataclass(frozen=True, slots=True)
class CommitStamp:
    """What identifies and dates the rows of one commit: `offset` is wall minus uptime in ms."""

    gateway: str
    epoch: str
    boot: str
    offset: int
    clock: ClockState


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
