"""A row of the journal: a batch with everything that is needed to send it, to check it, and to find it
again in a damaged file. Pure.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model import ClockState, Sealed

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
