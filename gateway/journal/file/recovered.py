"""Rows that came back from damaged files: held under their old identity, with settled marks of their own."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator

from gateway.journal.file import missing
from gateway.journal.file.rows import BatchRow
from gateway.journal.file.store import JournalStore
from gateway.journal.file.thinning import MOST, OVERHEAD, Lot, Victim, enough, thinned
from gateway.model import Ranges, Sealed


class Recovered:
    """The tables `salvage` and `salvage_settled`, with an index of them in memory."""

    def __init__(self, store: JournalStore) -> None:
        self._store = store
        self._held: dict[str, Ranges] = {}
        self._marks: dict[tuple[str, str], Ranges] = {}
        self._changed: set[tuple[str, str]] = set()
        self.counts: dict[str, int] = {}
        """Rows that each uplink has not settled; replaced as a whole, so that other threads may read it."""
        self.spans: list[tuple[str, int, int]] = []
        """(epoch, first, last) of what is held; replaced as a whole."""
        self.reload()
        for uplink, epoch, text in store.query("SELECT uplink, epoch, ranges FROM salvage_settled"):
            self._marks[uplink, epoch.hex()] = read_marks(uplink, epoch, text)

    def recount(self, uplinks: Iterable[str]) -> None:
        """Bring `counts` and `spans` up to date after a change."""
        spans = [(epoch, list(held)) for epoch, held in self._held.items() if held]
        self.spans = [(epoch, ranges[0][0], ranges[-1][1]) for epoch, ranges in spans]
        self.counts = (
            {uplink: sum(last - first + 1 for _, first, last in self.waiting(uplink)) for uplink in uplinks}
            if spans
            else {}
        )

    def holds(self, epoch: str) -> Ranges:
        """Which numbers of an epoch are held."""
        return self._held.get(epoch, Ranges())

    def marks(self, uplink: str, epoch: str) -> Ranges:
        """Which of them an uplink has settled."""
        return self._marks.setdefault((uplink, epoch), Ranges())

    def add(self, rows: list[BatchRow]) -> int:
        """Take rows in, within a transaction; how many were new."""
        once = {(row.sealed.epoch, row.seq): row for row in rows}
        fresh = [row for (epoch, seq), row in once.items() if seq not in self.holds(epoch)]
        self._store.insert(fresh, "salvage")
        for row in fresh:
            self._held.setdefault(row.sealed.epoch, Ranges()).add(row.seq)
        return len(fresh)

    def settle(self, uplink: str, epoch: str, ranges: Iterable[tuple[int, int]]) -> bool:
        """Note what need not be sent any more; it is written with the next commit. Whether the epoch is
        held here.
        """
        if epoch not in self._held:
            return False
        self.marks(uplink, epoch).update(ranges)
        self._changed.add((uplink, epoch))
        return True

    def write_marks(self) -> None:
        """Write the marks that changed, within a transaction. Losing them costs a resend."""
        for uplink, epoch in self._changed:
            name = bytes.fromhex(epoch)
            text = write_marks(uplink, name, self.marks(uplink, epoch))
            self._store.execute("INSERT OR REPLACE INTO salvage_settled VALUES (?,?,?)", (uplink, name, text))

    def marks_written(self) -> None:
        """The transaction of `write_marks` has committed."""
        self._changed.clear()

    def waiting(self, uplink: str) -> Iterable[tuple[str, int, int]]:
        """(epoch, first, last) of what an uplink has not settled."""
        for epoch, held in self._held.items():
            for first, last in held:
                for start, end in self.marks(uplink, epoch).gaps(first, last):
                    yield epoch, start, end

    def unsettled(self, uplink: str, limit: int) -> list[Sealed]:
        """Rows that an uplink has not settled, by epoch and number."""
        found: list[Sealed] = []
        for epoch, first, last in self.waiting(uplink):
            if len(found) >= limit:
                break
            found += self.find(epoch, first, last, limit - len(found))
        return found

    def find(self, epoch: str, first: int, last: int, limit: int) -> list[Sealed]:
        """What is held of an epoch between two numbers."""
        where = "WHERE epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
        return [
            row.sealed
            for row in self._store.select(where, (bytes.fromhex(epoch), first, last, limit), "salvage")
        ]

    def make_room(self, uplinks: tuple[str, ...], size: int, *, thin: bool) -> Lot:
        """Delete some `size` bytes within a transaction: delivered rows; with `thin`, the oldest, `keep`
        ones last.
        """
        done = self._delivered(uplinks, size)
        if done or not thin:
            return Lot(done)
        for condition in ("NOT keep", "1"):
            sql = (
                f"SELECT seq, epoch, readings, t0, length(body) FROM salvage WHERE {condition} ORDER BY "  # noqa: S608
                f"id LIMIT {MOST}"
            )
            victims = enough(
                (Victim(seq, epoch.hex(), *more) for seq, epoch, *more in self._store.rows(sql)), size
            )
            for victim in victims:
                what = (victim.epoch, victim.seq, victim.seq, missing.THINNED)
                self._delete(victim.epoch, victim.seq, victim.seq)
                missing.note(
                    self._store, what, victim.readings, told=missing.UNTOLD if uplinks else missing.NOBODY
                )
            if victims:
                return thinned(victims, [])
        return Lot()

    def reload(self) -> None:
        """Read again what is held: a transaction was rolled back."""
        self._held.clear()
        for epoch, seq in self._store.query("SELECT epoch, seq FROM salvage ORDER BY epoch, seq"):
            self._held.setdefault(epoch.hex(), Ranges()).add(seq)

    def any_delivered(self, uplinks: tuple[str, ...]) -> bool:
        """Whether a row is there that every uplink has settled."""
        return any(True for _ in self._by_all(uplinks))

    def _by_all(self, uplinks: tuple[str, ...]) -> Iterator[tuple[str, int, int]]:
        for epoch, held in list(self._held.items()) if uplinks else ():
            for first, last in held:
                both = Ranges([(first, last)])
                for uplink in uplinks:
                    for start, end in self.marks(uplink, epoch).gaps(first, last):
                        both.discard(start, end)
                for start, end in both:
                    yield epoch, start, end

    def _delivered(self, uplinks: tuple[str, ...], size: int) -> int:
        done = 0
        for epoch, start, end in self._by_all(uplinks):
            where = "epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
            sql = f"SELECT seq, epoch, readings, t0, length(body) FROM salvage WHERE {where}"  # noqa: S608 - a text of our own
            found = self._store.rows(sql, (bytes.fromhex(epoch), start, end, MOST))
            victims = enough((Victim(seq, epoch, *more) for seq, _, *more in found), size)
            if not victims:
                continue
            self._delete(epoch, start, victims[-1].seq)
            missing.note(
                self._store, (epoch, start, victims[-1].seq, missing.DELIVERED), 0, told=missing.NOBODY
            )
            done += len(victims)
            size -= sum(victim.size + OVERHEAD for victim in victims)
            if size <= 0 or done >= MOST:
                break
        return done

    def _delete(self, epoch: str, first: int, last: int) -> None:
        self._store.execute(
            "DELETE FROM salvage WHERE epoch = ? AND seq BETWEEN ? AND ?", (bytes.fromhex(epoch), first, last)
        )
        self._held[epoch].discard(first, last)


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
