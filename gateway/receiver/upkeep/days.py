"""Local days of meters against their manifests: looked at when an interval or a manifest has come, and again
while they are not complete.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.receiver.store.intervals import COMPLETE, STATES, Intervals
from gateway.receiver.store.ledgers import load_ledgers
from gateway.receiver.upkeep.work import Work

AT_ONCE = 30
"""Days of meters in one piece of work."""
NOTES = 1000
AGAIN = 6 * 3_600_000
"""ms until a day that is not complete is looked at again: a batch that was missing may have come."""


class MeterDays:
    """Keeps the table `meter_day`: each local day of a meter with its state, judged against its manifest."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._conn = work.conn
        self._intervals = Intervals(work.conn)
        self._gateway = ""
        self._notes: list[tuple[int]] = []
        self._left: list[tuple[str, str]] = []

    def turn(self, now: int) -> bool:
        """Some days of one gateway that have changed, or that are not complete; whether there were any."""
        return self._changed(now) or self._again(now)

    def _changed(self, now: int) -> bool:
        if not self._notes:
            self._begin()
        if not self._notes:
            return False
        some, self._left = self._left[:AT_ONCE], self._left[AT_ONCE:]
        with self._work.snapshot():
            rows = self._judged(self._gateway, some, now)
        with self._work.writing():
            self._write(rows)
            if not self._left:
                self._conn.executemany("DELETE FROM changed_day WHERE id = ?", self._notes)
        if not self._left:
            self._notes = []
        return True

    def _begin(self) -> None:
        """The next gateway: what was noted of it, and which days that means."""
        row = self._conn.execute("SELECT gateway FROM changed_day ORDER BY gateway LIMIT 1").fetchone()
        if row is None:
            return
        (self._gateway,) = row
        sql = "SELECT id, first, last FROM changed_day WHERE gateway = ? ORDER BY id LIMIT ?"
        notes = self._conn.execute(sql, (self._gateway, NOTES)).fetchall()
        self._notes = [(note[0],) for note in notes]
        span = (min(note[1] for note in notes), max(note[2] for note in notes))
        sql = """SELECT DISTINCT meter, day FROM manifest WHERE gateway = ? AND last >= ? AND first <= ?
            ORDER BY day DESC, meter"""
        self._left = [
            (meter, day) for meter, day in self._conn.execute(sql, (self._gateway, *span)).fetchall()
        ]

    def _again(self, now: int) -> bool:
        sql = """SELECT gateway, meter, day FROM meter_day WHERE state <> 'complete' AND checked < ?
            ORDER BY checked LIMIT ?"""
        found = self._conn.execute(sql, (now - AGAIN, AT_ONCE)).fetchall()
        if not found:
            return False
        gateway = found[0][0]
        with self._work.snapshot():
            rows = self._judged(gateway, [(meter, day) for of, meter, day in found if of == gateway], now)
        with self._work.writing():
            self._write(rows)
        return True

    def _judged(self, gateway: str, days: Iterable[tuple[str, str]], now: int) -> list[tuple[object, ...]]:
        days = list(days)
        if not days:
            return []
        whole = not load_ledgers(self._conn, [gateway])[gateway].missing()
        rows: list[tuple[object, ...]] = []
        for meter, day in days:
            states = [one.state for one in self._intervals.day(gateway, meter, day, whole_stream=whole)]
            state = max(states, key=STATES.index)
            rows.append((gateway, meter, day, state, len(states), states.count(COMPLETE), now))
        return rows

    def _write(self, rows: list[tuple[object, ...]]) -> None:
        sql = """INSERT INTO meter_day VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (gateway, meter, day)
            DO UPDATE SET (state, registers, complete, checked) = (excluded.state, excluded.registers,
            excluded.complete, excluded.checked)"""
        self._conn.executemany(sql, rows)
