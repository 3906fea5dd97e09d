"""Batches that came back from damaged files, under their old identity, with settled marks of their own."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable

from gateway.journal.file.batch_table import BatchTable, Seqs
from gateway.journal.file.rows import BatchRow
from gateway.journal.file.store import JournalStore, TableName
from gateway.model import Ranges


class Recovered(BatchTable):
    """The tables `salvage` and `salvage_settled`, with an index of them in memory."""

    name: TableName = "salvage"

    def __init__(self, store: JournalStore) -> None:
        super().__init__(store)
        self._numbers: dict[str, Ranges] = {}
        self._marks: dict[tuple[str, str], Ranges] = {}
        self._changed: set[tuple[str, str]] = set()
        self.counts: dict[str, int] = {}
        """Batches that each uplink has not settled; replaced as a whole."""
        self.reload()
        for uplink, epoch, text in store.query("SELECT uplink, epoch, ranges FROM salvage_settled"):
            self._marks[uplink, epoch.hex()] = read_marks(uplink, epoch, text)

    def reload(self) -> None:
        """Read again what is held: at the start, and when a transaction was rolled back."""
        self._numbers.clear()
        self.only_kept_to = 0
        for epoch, seq in self.store.query("SELECT epoch, seq FROM salvage ORDER BY epoch, seq"):
            self._numbers.setdefault(epoch.hex(), Ranges()).add(seq)

    def spans(self) -> list[Seqs]:
        """Each epoch of which rows came back, with its lowest and highest number."""
        found = [(epoch, numbers.span) for epoch, numbers in self._numbers.items()]
        return sorted(((epoch, *span) for epoch, span in found if span), key=lambda span: span[1:])

    def numbers(self, epoch: str) -> Ranges:
        """Exactly those that are here."""
        return self._numbers.get(epoch, Ranges())

    def settled_by(self, uplink: str, epoch: str) -> Ranges:
        """Which of them need not be sent to an uplink any more."""
        return self._marks.setdefault((uplink, epoch), Ranges())

    def forget(self, epoch: str, first: int, last: int) -> None:
        """These numbers were deleted, within a transaction."""
        self._numbers[epoch].discard(first, last)

    def recount(self, uplinks: Iterable[str]) -> None:
        """Bring `counts` up to date after a change."""
        self.counts = (
            {uplink: sum(last - first + 1 for _, first, last in self.waiting(uplink)) for uplink in uplinks}
            if self.spans()
            else {}
        )

    def add(self, rows: list[BatchRow]) -> int:
        """Take rows in, within a transaction; how many were new."""
        once = {(row.sealed.epoch, row.seq): row for row in rows}
        fresh = [row for (epoch, seq), row in once.items() if seq not in self.numbers(epoch)]
        self.store.insert(fresh, self.name)
        for row in fresh:
            self._numbers.setdefault(row.sealed.epoch, Ranges()).add(row.seq)
        self.only_kept_to = min([self.only_kept_to, *(row.seq - 1 for row in fresh)])
        return len(fresh)

    def settle(self, uplink: str, epoch: str, ranges: Iterable[tuple[int, int]]) -> bool:
        """Note what need not be sent any more; it is written with the next commit. Whether the epoch is
        held here.
        """
        if epoch not in self._numbers:
            return False
        self.settled_by(uplink, epoch).update(ranges)
        self._changed.add((uplink, epoch))
        return True

    def write_marks(self) -> None:
        """Write the marks that changed, within a transaction. Losing them costs a resend."""
        for uplink, epoch in self._changed:
            name = bytes.fromhex(epoch)
            text = write_marks(uplink, name, self.settled_by(uplink, epoch))
            self.store.execute("INSERT OR REPLACE INTO salvage_settled VALUES (?,?,?)", (uplink, name, text))

    def marks_written(self) -> None:
        """The transaction of `write_marks` has committed."""
        self._changed.clear()


def write_marks(uplink: str, epoch: bytes, ranges: Ranges) -> str:
    """The column `ranges`: JSON, and behind a space its CRC-32, for a flipped digit would settle what was
    never delivered.
    """
    text = json.dumps(list(ranges), separators=(",", ":"))
    return f"{text} {_crc(uplink, epoch, text):08x}"


def read_marks(uplink: str, epoch: bytes, text: str) -> Ranges:
    """What a column `ranges` says; nothing for what is malformed or does not fit its checksum: that costs
    a resend.
    """
    data, _, crc = text.partition(" ")
    try:
        if crc and int(crc, 16) != _crc(uplink, epoch, data):
            return Ranges()
        return Ranges((int(first), int(last)) for first, last in json.loads(data))
    except (TypeError, ValueError, OverflowError):
        return Ranges()


def _crc(uplink: str, epoch: bytes, text: str) -> int:
    return zlib.crc32(text.encode(), zlib.crc32(uplink.encode() + epoch))
