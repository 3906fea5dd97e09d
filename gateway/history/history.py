"""history.db: what every register took in every quarter hour, by local day, with what was published of it.

It is a projection of committed batches: rows, what the engine knows, and the number of the newest batch in it
(`known("watermark")`) are written in one commit. It belongs to one thread; others look at it by
HistoryReader.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from gateway.energy import QUARTER, Calendar, Manifest, Register
from gateway.errors import HistoryDamaged, HistoryError
from gateway.history.beside.copies import restore, set_aside
from gateway.history.day import Day
from gateway.history.schema import FILE, SUMS, connect, translate
from gateway.history.sums import DaySums
from gateway.history.zone import is_of_other_zone, recut
from gateway.model import Interval

log = logging.getLogger(__name__)

KEPT: Final = 400
"""Days in memory behind a commit; more are forgotten again."""
RUN_BYTES: Final = 110
VALUE_BYTES: Final = 2
LONGEST: Final = 20
"""On the wire: a run of intervals beside its names, a value beside its digits, a value at most."""
SURE: Final = 900.0
"""s after which what was offered and never came back is offered again, under a higher version."""
CLOSES: Final = 20 * 60_000
"""ms after midnight at which a day is closed."""


@dataclass(frozen=True, slots=True)
class Found:
    """How a file was found. `lost`: first and last local date whose intervals went with it."""

    damaged: str = ""
    copy_of: int | None = None
    """Number of the newest batch in the copy that took its place."""


class History:
    """Opens the file of a directory, or its copy, or makes a new one: see `found`. Raises HistoryError."""

    def __init__(self, directory: Path, calendar: Calendar, *, distrust: str = "") -> None:
        """`distrust`: what is wrong with the file although it does not contradict itself."""
        self.path = directory / FILE
        self.calendar = calendar
        self.found = Found(distrust)
        if not distrust:
            try:
                self._db = connect(self.path)
            except HistoryDamaged as error:
                self.found = Found(error.message)
        if self.found.damaged:
            log.error("%s", self.found.damaged)
            set_aside(self.path)
            restored = restore(self.path)
            self._db = connect(self.path)
            self.found = Found(self.found.damaged, self.watermark[1] if restored else None)
        self._recut()
        self._ids: dict[Register, int] = {}
        self._names: dict[int, Register] = {}
        for number, meter, quantity in self._rows("SELECT id, meter, quantity FROM series"):
            self._ids[meter, quantity] = number
            self._names[number] = (meter, quantity)
        here = next(self._rows("PRAGMA user_version"))[0] >= SUMS
        self.sums = DaySums(self._conn, self._ids, here=here)
        self._days: dict[tuple[int, int], Day] = {}
        self._dirty: set[tuple[int, int]] = set()
        self._absent: set[tuple[int, int]] = set()
        """Days that are known not to be in the file."""
        self._waiting: dict[tuple[int, int], int] = {}
        """Days with intervals to publish, and how many."""
        self._due: set[tuple[int, int]] = set()
        sql = "SELECT day, series, pending, due FROM day WHERE pending > 0 OR due > 0"
        for day, series, pending, due in self._rows(sql):
            if pending:
                self._waiting[day, series] = pending
            if due:
                self._due.add((day, series))
        self.offered: dict[tuple[int, int], tuple[int, float]] = {}
        """(series, start or −day) → version that is under way, and since when (s, monotonic)."""

    def _recut(self) -> None:
        """Where the file was written in another time zone."""
        with self._atomic():
            if is_of_other_zone(self._conn, self.calendar):
                recut(self._conn, self.calendar)

    @property
    def _conn(self) -> sqlite3.Connection:
        conn: sqlite3.Connection = self._db.conn
        return conn

    @contextmanager
    def _atomic(self) -> Iterator[None]:
        """One transaction. Raises HistoryError, and nothing of it was written."""
        try:
            with self._db.atomic():
                yield
        except sqlite3.DatabaseError as error:
            raise translate(error, self.path) from error

    def _rows(self, sql: str, values: tuple[object, ...] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._conn.execute(sql, values)
        except sqlite3.DatabaseError as error:
            raise translate(error, self.path) from error

    # ── what is known beside the days ──

    @property
    def watermark(self) -> tuple[str, int]:
        """(epoch, seq) of the newest batch that is in the file; ("", 0) for none."""
        text = self.known("watermark")
        epoch, _, seq = (text or b" 0").decode().partition(" ")
        return epoch, int(seq)

    def known(self, name: str) -> bytes | None:
        """A value that was saved by its name."""
        rows = self._rows("SELECT value FROM known WHERE name = ?", (name,))
        return next((bytes(value) for (value,) in rows), None)

    @property
    def newest_day(self) -> date | None:
        """The newest local day with an interval in the file."""
        day = next(self._rows("SELECT max(day) FROM day"))[0]
        return None if day is None else date.fromordinal(day)

    def lose(self, first: date, last: date) -> None:
        """The intervals of these local days were lost with a file."""
        with self._atomic():
            self._conn.execute("INSERT INTO lost VALUES (?, ?)", (first.toordinal(), last.toordinal()))

    def holidays(self, country: str, first: int, last: int) -> dict[date, bool] | None:
        """Public holidays of a country → whether it is half a day; None: those years were not looked up."""
        if self.known("holidays") != f"{country} {first} {last}".encode():
            return None
        rows = self._rows("SELECT day, half FROM holiday")
        return {date.fromordinal(day): bool(half) for day, half in rows}

    def keep_holidays(
        self, country: str, first: int, last: int, rows: Sequence[tuple[int, str, str, bool]]
    ) -> None:
        """Public holidays as they were looked up."""
        years = f"{country} {first} {last}".encode()
        with self._atomic():
            self._conn.executemany("INSERT OR REPLACE INTO holiday VALUES (?, ?, ?, ?)", rows)
            self._conn.execute("INSERT OR REPLACE INTO known VALUES ('holidays', ?)", (years,))

    def note_lost(self, until: date) -> None:
        """The days from what the file holds to `until`, where the journal begins, are lost: shown as
        missing.
        """
        since = self.newest_day
        if since is None or since < until:
            log.warning("the history of intervals from %s to %s was lost", since or "its beginning", until)
            self.lose(since or date.min, until)

    # ── days ──

    def past(self, meter: str, quantity: str) -> RegisterPast:
        """What the engine needs to know of a register, and where it tells what is new."""
        return RegisterPast(self, (meter, quantity))

    @property
    def registers(self) -> Collection[Register]:
        """Those that have intervals."""
        return self._ids.keys()

    def register_intervals(self, meter: str, quantity: str, first: int, last: int) -> list[Interval]:
        """The intervals of a register from `first` until `last` (ms UTC); what is missing is left out."""
        past = self.past(meter, quantity)
        found = (past.get(start) for start in range(-(-first // QUARTER) * QUARTER, last, QUARTER))
        return [interval for interval in found if interval is not None]

    def day(self, register: Register, day: date) -> Day | None:
        """A day of a register; None where there is nothing."""
        return self._day((day.toordinal(), self._ids.get(register, 0)))

    def _day(self, key: tuple[int, int]) -> Day | None:
        day = self._days.get(key)
        if day is None and key not in self._absent:
            sql = "SELECT data, manifest, due FROM day WHERE day = ? AND series = ?"
            for data, manifest, due in self._rows(sql, key):
                day = Day.unpack(data)
                day.manifest, day.due = manifest, bool(due)
                self._days[key] = day
                return day
            self._absent.add(key)
        return day

    def _id(self, register: Register) -> int:
        number = self._ids.get(register)
        if number is None:
            number = len(self._ids) + 1
            with self._atomic():
                self._conn.execute("INSERT INTO series VALUES (?, ?, ?)", (number, *register))
            self._ids[register], self._names[number] = number, register
        return number

    def place(
        self, register: Register, start: int, *, make: bool = False
    ) -> tuple[tuple[int, int], Day, int] | None:
        """(key, day, index) of a quarter hour; None where its day has no row and none is made."""
        if start % QUARTER:
            return None
        date_, _ = self.calendar.place(start)
        if not make and register not in self._ids:
            return None
        key = (date_.toordinal(), self._id(register) if make else self._ids[register])
        day = self._day(key)
        if day is None:
            if not make:
                return None
            quarters = self.calendar.quarters(date_)
            day = self._days[key] = Day(quarters[0], len(quarters))
            self._absent.discard(key)
        index = (start - day.start) // QUARTER
        return (key, day, index) if 0 <= index < day.n else None

    def touched(self, key: tuple[int, int], day: Day) -> None:
        """A day is another one now: it is written with the next commit."""
        self._dirty.add(key)
        if day.pending:
            self._waiting[key] = len(day.pending)
        else:
            self._waiting.pop(key, None)
        if day.due:
            self._due.add(key)
        else:
            self._due.discard(key)

    def published(self, interval: Interval) -> bool:
        """An interval stands in a committed batch; whether that is news. It is a fact: nothing
        computed changes it.
        """
        place = self.place((interval.meter, interval.quantity), interval.start, make=True)
        if place is None or interval.seconds * 1000 != QUARTER:
            return False
        key, day, index = place
        offered = self.offered.get((key[1], interval.start))
        if offered and offered[0] <= interval.version:
            del self.offered[key[1], interval.start]
        news = day.publish(index, interval.value, interval.quality, interval.version)
        if news:
            self.touched(key, day)
        return news

    def adopt(self, register: Register, start: int, values: Sequence[int], letters: str) -> None:
        """Neighbouring quarter hours of a register from `start` on (ms UTC) that are known from elsewhere, as
        whole base units and a letter of quality each: they count as published.
        """
        at = 0
        while at < len(values):
            place = self.place(register, start + at * QUARTER, make=True)
            if place is None:
                raise HistoryError(f"{start} is no quarter hour of the building's days")
            key, day, index = place
            upto = at + min(day.n - index, len(values) - at)
            these = slice(index, index + upto - at)
            day.values[these], day.quality[these] = values[at:upto], list(letters[at:upto])
            day.version[these] = [1] * (upto - at)
            self.touched(key, day)
            at = upto

    def manifest_published(self, manifest: Manifest) -> None:
        """A manifest stands in a committed batch."""
        series = self._ids.get((manifest.meter, manifest.quantity))
        key = (manifest.day.toordinal(), series or 0)
        day = self._day(key)
        if day is None or manifest.version <= day.manifest:
            return
        self.offered.pop((key[1], -key[0]), None)
        day.manifest = manifest.version
        day.due = self._manifest(key, day, manifest.version) != manifest
        self.touched(key, day)

    # ── what is to be published ──

    @property
    def behind(self) -> int:
        """Intervals that are known here and were not published yet."""
        return sum(self._waiting.values())

    def offers(self, now: float, most: int, room: int = 1 << 20) -> Iterator[Interval]:
        """Intervals to publish, under their version: the newest day first, a register's neighbours
        together; at most so many, and as many as fit into `room` bytes on the wire.

        `now`: monotonic s. What is given here counts as under way until it is found in a committed batch.
        """
        left = most
        for key in sorted(self._waiting, reverse=True):
            day = self._day(key)
            if day is None:
                del self._waiting[key]
                continue
            meter, quantity = self._names[key[1]]
            run, after = RUN_BYTES + len(meter) + len(quantity), (0, 0)
            for index in sorted(day.pending):
                if left <= 0 or room < run + LONGEST:
                    return
                interval = day.interval(index, meter, quantity)
                if interval is None:
                    break
                version = self._next((key[1], interval.start), day.version[index], now)
                if version:
                    begins = after != (interval.start, version)
                    left, room = left - 1, room - run * begins - VALUE_BYTES - len(str(interval.value))
                    after = (interval.start + QUARTER, version)
                    yield replace(interval, version=version)

    def _next(self, key: tuple[int, int], published: int, now: float) -> int:
        """The version of what goes out next; 0 while one is under way."""
        version, since = self.offered.get(key, (0, -SURE))
        if now - since < SURE:
            return 0
        version = max(version, published) + 1
        self.offered[key] = (version, now)
        return version

    def manifests(self, wall: int, now: float, most: int) -> Iterator[Manifest]:
        """Manifests to publish: of days that are closed (20 minutes past midnight) or whole, with nothing
        that waits.

        `wall`: UTC in ms.
        """
        left = most
        for key in sorted(self._due, reverse=True):
            if left <= 0:
                return
            day = self._day(key)
            if day is None:
                self._due.discard(key)
                continue
            closed = wall >= day.start + day.n * QUARTER + CLOSES
            if day.pending or not (closed or day.complete):
                continue
            version = self._next((key[1], -key[0]), day.manifest, now)
            if version:
                left -= 1
                yield self._manifest(key, day, version)

    def _manifest(self, key: tuple[int, int], day: Day, version: int) -> Manifest:
        return day.manifest_of(*self._names[key[1]], date.fromordinal(key[0]), version)

    # ── writing ──

    def save(self, **known: bytes) -> None:
        """Write what has changed, with what else is to be known, in one commit. Raises HistoryError."""
        with self._atomic():
            rows = [(*key, *self._days[key].row()) for key in sorted(self._dirty)]
            self._conn.executemany(
                "INSERT OR REPLACE INTO day VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )
            self.sums.renew({key: self._days[key] for key in sorted(self._dirty)}, self.calendar)
            self._conn.executemany("INSERT OR REPLACE INTO known VALUES (?, ?)", list(known.items()))
        self._dirty.clear()
        self._absent.clear()
        while len(self._days) > KEPT:
            del self._days[next(iter(self._days))]

    def sum_up(self, days: int) -> bool:
        """Add up so many more local days that are over; whether there are more. Raises HistoryError."""
        with self._atomic():
            return self.sums.go_on(days, self.calendar)

    def close(self) -> None:
        """Close the file; what was not saved is made again from the journal."""
        self._conn.close()


class RegisterPast:
    """A Past (gateway.energy) in the history."""

    def __init__(self, history: History, register: Register) -> None:
        self._history = history
        self._register = register

    def get(self, start: int) -> Interval | None:
        place = self._history.place(self._register, start)
        return place and place[1].interval(place[2], *self._register)

    def put(self, interval: Interval, *, corrected: bool) -> None:
        place = self._history.place(self._register, interval.start, make=True)
        if place is None:
            raise HistoryError(f"{interval.start} is no quarter hour of the building's days")
        key, day, index = place
        day.put(index, interval.value, interval.quality, corrected=corrected)
        self._history.touched(key, day)
