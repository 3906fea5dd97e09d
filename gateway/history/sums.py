"""Daily sums beside the intervals: of each register, and of the building as a whole. They are kept for every
local day before a mark, written with the intervals that they add up, and absent from the mark on: there the
intervals themselves are added up by who reads them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from gateway.energy import (
    EXPORT,
    IMPORT,
    NOT_YET,
    QUARTER,
    SERIES,
    BuildingRegisters,
    BuildingSeries,
    Calendar,
    DayQuarters,
    DaySum,
    Register,
    consumption,
    day_sum,
    sum_of_quarters,
)
from gateway.history.day import Day

Key = tuple[int, int]
"""Local day (counted from 0001-01-01) and series."""
BUILDING: Final[Mapping[BuildingSeries, int]] = {name: -1 - place for place, name in enumerate(SERIES)}
"""The series of the building, by the number that a register never has."""
_SIDES: Final = {IMPORT: "import", EXPORT: "export"}
"""The direction of a plant by the register that counts its yield."""
_TELLING: Final = 4
"""Newest days that tell which register of a plant counts its yield."""
_INSERT: Final = "INSERT OR REPLACE INTO day_sum VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class BuildingMeters:
    """The meters at the top of the tree, and the plants with the direction that counts their yield: import,
    export or auto.
    """

    roots: tuple[str, ...] = ()
    plants: tuple[tuple[str, str], ...] = ()


def of_day(day: int, data: Day, calendar: Calendar | None) -> DaySum:
    """The sum of a register's day."""
    return day_sum(date.fromordinal(day), data.values, data.quality, calendar)


def until_of(conn: sqlite3.Connection) -> int:
    """The local day from which on there are no sums of registers."""
    found = conn.execute("SELECT value FROM known WHERE name = 'sums'").fetchone()
    return int(found[0]) if found else 0


def building_until(conn: sqlite3.Connection, text: str) -> int:
    """The local day from which on there are no sums of a building of these registers."""
    kept, until = _building(conn)
    return until if kept == text else 0


def kept_directions(conn: sqlite3.Connection) -> dict[str, str]:
    """Plant → the direction that counts its yield, as the sums of the building have it."""
    building = BuildingRegisters.from_text(_building(conn)[0])
    return {plant: _SIDES[quantity] for (plant, quantity), _ in building.plants}


def _building(conn: sqlite3.Connection) -> tuple[str, int]:
    """The registers of which there are sums of the building, as text, and the local day from which on there
    are none.
    """
    found = conn.execute("SELECT value FROM known WHERE name = 'building_sums'").fetchone()
    kept, until = json.loads(found[0]) if found else ("", 0)
    return str(kept), int(until)


def forget(conn: sqlite3.Connection) -> None:
    """The days are others now. Within the caller's transaction."""
    conn.execute("DELETE FROM day_sum")
    conn.execute("DELETE FROM known WHERE name IN ('sums', 'building_sums')")


@dataclass(frozen=True, slots=True)
class _Marks:
    """As the file has them: the local days from which on there are no sums of registers, and none of the
    building; and the registers of which that has sums.
    """

    until: int
    building_until: int
    building: BuildingRegisters


class DaySums:
    """Writes the sums of an open history; each method within the caller's transaction, on what the file says:
    nothing of it is in memory, where a commit that failed would leave it.

    `ids`: register → series, as the history goes on filling it. `here`: whether the file has a table for
    sums; one of before keeps none.
    """

    def __init__(self, conn: sqlite3.Connection, ids: Mapping[Register, int], *, here: bool) -> None:
        self.meters = BuildingMeters()
        self._conn = conn
        self._ids = ids
        self._here = here

    def _marks(self) -> _Marks:
        text, until = _building(self._conn)
        return _Marks(until_of(self._conn), until, BuildingRegisters.from_text(text))

    def plants(self) -> dict[str, tuple[Register, Register] | None]:
        """Of each plant the register that counts its yield, and that of the other direction; None: it cannot
        be told yet.
        """
        kept = {own[0]: (own, other) for own, other in self._marks().building.plants}
        found = {}
        for plant, said in self.meters.plants:
            told = BuildingRegisters.of((), [(plant, "" if said == "auto" else said)], ()).plants
            found[plant] = told[0] if told else kept.get(plant)
        return found

    def renew(self, days: Mapping[Key, Day], calendar: Calendar) -> None:
        """Those days are others now, and stand in the file as they are here."""
        if not self._here:
            return
        marks = self._marks()
        takes = {self._ids.get(each, 0) for each in marks.building.registers}
        rows, of_building = [], set()
        for (day, series), held in days.items():
            if day < marks.until:
                rows.append(_row(series, of_day(day, held, calendar)))
            if day < marks.building_until and series in takes:
                of_building.add(day)
        begins = any(
            not self._begun(series, day + 1) for day, series in days if day in of_building and series in takes
        )
        self._write(rows)
        if begins:  # days behind it on which it was silent were those of a building without it
            self._keep_mark(marks.building, 0)
            return
        for day in sorted(of_building):
            self._write(self._of_building(marks.building, day, calendar))

    def go_on(self, days: int, calendar: Calendar) -> bool:
        """Add up so many more days that are over; whether there are more of them."""
        if not self._here:
            return False
        newest = self._conn.execute("SELECT max(day) FROM day").fetchone()[0] or 0
        before, left = self._marks(), days
        until, building_until, building = before.until, before.building_until, before.building
        while left and (day := self._next(until, newest)) is not None:
            held = self._conn.execute("SELECT series, data FROM day WHERE day = ?", (day,)).fetchall()
            self._write([_row(series, of_day(day, Day.unpack(data), calendar)) for series, data in held])
            until, left = day + 1, left - 1
        if left:  # the building comes last: until then its registers need not be known
            registers = self._registers(newest, calendar)
            if registers.text != _building(self._conn)[0]:
                self._conn.execute("DELETE FROM day_sum WHERE series < 0")
                building, building_until = registers, 0
        while left and (day := self._next(building_until, until)) is not None:
            self._write(self._of_building(building, day, calendar))
            building_until, left = day + 1, left - 1
        if before != _Marks(until, building_until, building):
            self._mark("sums", str(until))
            self._keep_mark(building, building_until)
        ahead = ((until, newest), (building_until, until))
        return any(self._next(*each) is not None for each in ahead)

    def _keep_mark(self, building: BuildingRegisters, until: int) -> None:
        """Of these registers there are sums of the building, and none from a day on."""
        if not until:
            self._conn.execute("DELETE FROM day_sum WHERE series < 0")
        self._mark("building_sums", json.dumps([building.text, until]))

    def _mark(self, name: str, value: str) -> None:
        self._conn.execute("INSERT OR REPLACE INTO known VALUES (?, ?)", (name, value.encode()))

    def _next(self, since: int, before: int) -> int | None:
        """The first day that has intervals, of some."""
        sql = "SELECT min(day) FROM day WHERE day >= ? AND day < ?"
        found: int | None = self._conn.execute(sql, (since, before)).fetchone()[0]
        return found

    def _write(self, rows: list[tuple[object, ...]]) -> None:
        # What says the same is not written again: a manifest changes a day, and not its sums.
        kept = "SELECT * FROM day_sum WHERE series = ? AND day = ?"
        news = [row for row in rows if self._conn.execute(kept, row[:2]).fetchone() != row]
        self._conn.executemany(_INSERT, news)

    # ── the building ──

    def _of_building(
        self, building: BuildingRegisters, day: int, calendar: Calendar
    ) -> list[tuple[object, ...]]:
        """The rows of the series that take more than one register."""
        held: dict[Register, DayQuarters | None] = {}

        def quarters(register: Register) -> DayQuarters | None:
            if register not in held:
                sql = "SELECT data FROM day WHERE day = ? AND series = ?"
                series = self._ids.get(register, 0)
                found = self._conn.execute(sql, (day, series)).fetchone()
                none = None if self._begun(series, day) else NOT_YET
                held[register] = Day.unpack(found[0]).known if found else none
            return held[register]

        rows = []
        for name, series in BUILDING.items():
            if building.alone(name) is None:
                values = building.quarters(name, quarters)
                if values is not None and any(value is not None for value in values):
                    one = sum_of_quarters(date.fromordinal(day), values, calendar)
                    rows.append(_row(series, one))
                else:
                    self._conn.execute("DELETE FROM day_sum WHERE series = ? AND day = ?", (series, day))
        return rows

    def _begun(self, series: int, day: int) -> bool:
        """Whether a register has a day before this one: its sums are there before the building's."""
        sql = "SELECT 1 FROM day_sum WHERE series = ? AND day < ? LIMIT 1"
        return self._conn.execute(sql, (series, day)).fetchone() is not None

    def _registers(self, newest: int, calendar: Calendar) -> BuildingRegisters:
        """Those of the building; a plant whose newest days tell nothing (snow) goes on as it is kept."""
        before = kept_directions(self._conn)
        plants = []
        for plant, said in self.meters.plants:
            told = said if said != "auto" else self._told(plant, newest, calendar)
            plants.append((plant, told or before.get(plant, "")))
        return BuildingRegisters.of(self.meters.roots, plants, self._ids.keys())

    def _told(self, plant: str, newest: int, calendar: Calendar) -> str:
        """Which register of a plant grows by day and not by night, by its newest days."""
        sides: dict[str, dict[int, int]] = {}
        sql = "SELECT data FROM day WHERE day > ? AND series = ?"
        for quantity in _SIDES:
            values: dict[int, int] = {}
            series = self._ids.get((plant, quantity), 0)
            for (data,) in self._conn.execute(sql, (newest - _TELLING, series)):
                held = Day.unpack(data)
                starts = range(held.start, held.start + held.n * QUARTER, QUARTER)
                values |= {q: value for q, value in zip(starts, held.known, strict=True) if value is not None}
            sides[quantity] = values
        return consumption.yield_direction(sides[IMPORT], sides[EXPORT], calendar) or ""


def _row(series: int, one: DaySum) -> tuple[object, ...]:
    return (series, *one)
