"""What the fleet page and the metrics ask: all gateways in sum, a page of them, one of them and its past."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.receiver.fleet.problems import DAY, LATELY, SEVERITY, forks
from gateway.receiver.fleet.reader import FleetReader
from gateway.receiver.fleet.rows import COLUMNS, FleetRow, folded, row_of
from gateway.receiver.fleet.today import shares
from gateway.receiver.store.intervals import Intervals
from gateway.receiver.upkeep.readings import meters_of, unread

MOST = 100
"""Of anything that is listed about one gateway."""


@dataclass(frozen=True, slots=True)
class FleetTotals:
    """All gateways together. `at` is when the one that was looked at longest ago was (UTC ms); `changed` are
    notes of days that the upkeep has not held against their manifests yet.
    """

    gateways: int
    online: int
    backlog: int
    missing: int
    conflicts: int
    complete: int
    incomplete: int
    contradicted: int
    at: int | None
    last_received: int | None
    changed: int
    problems: dict[str, int]
    """How many gateways have each."""
    well: int


@dataclass(slots=True)
class DayHistory:
    """How a gateway was on a day, as far as it was noted: samples of its state, polls, days of its meters."""

    samples: int = 0
    online: int = 0
    backlog: int = 0
    readings: int = 0
    missing: int = 0
    states: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class GatewayHistory:
    """One gateway: `days` from the oldest on, `open_days` (meter, day, state), the newest first; `conflicts`
    (epoch, seq, received), `contradictions` as Intervals tells them, `forks` as `problems.forks`; `unread`
    (meter, the newest hour in which it gave something, UTC ms, None: not in the last five weeks).
    """

    row: FleetRow
    days: dict[str, DayHistory]
    open_days: list[tuple[str, str, str]]
    conflicts: list[tuple[str, int, int]]
    contradictions: list[dict[str, Any]]
    forks: list[tuple[str, str, str, int]]
    refused: list[tuple[str, int, int, str]]
    unread: list[tuple[str, int | None]]


class FleetView:
    """Asks over a `FleetReader`, each time of one moment. Raises JournalError."""

    def __init__(self, reader: FleetReader) -> None:
        self._reader = reader
        self._conn = reader.conn

    def totals(self) -> FleetTotals:
        """Counts of all gateways together."""
        names = ("online", "backlog", "missing", "conflicts", "complete", "incomplete", "contradicted")
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in names)
        with self._reader.asking():
            sql = f"SELECT count(*), {sums}, min(at), max(last_received) FROM fleet"  # noqa: S608 - ours
            count, *values, at, last = self._conn.execute(sql).fetchone()
            sql = "SELECT problems, count(*) FROM fleet GROUP BY problems"
            kinds = self._conn.execute(sql).fetchall()
            changed = self._conn.execute("SELECT count(*) FROM changed_day").fetchone()[0]
        of: Counter[str] = Counter()
        for problems, some in kinds:
            of.update({name: some for name in SEVERITY if f'"{name}"' in problems})
        well = sum(some for problems, some in kinds if problems == "[]")
        told = dict(zip(names, map(int, values), strict=True))
        return FleetTotals(
            gateways=count, at=at, last_received=last, changed=changed, problems=dict(of), well=well, **told
        )

    def page(self, search: str, problem: str, first: int, most: int) -> tuple[list[FleetRow], int]:
        """Gateways from number `first` on (the first is 0), the worst first, and how many there are in all;
        `search` is a part of id or name, `problem` one of SEVERITY; empty: any.
        """
        where, parameters = ["1 = 1"], []
        if search:
            where.append("sought LIKE ? ESCAPE '!'")
            parameters.append(f"%{_escaped(folded(search))}%")
        if problem:
            where.append("problems LIKE ?")
            parameters.append(f'%"{problem}"%')
        among = " AND ".join(where)
        with self._reader.asking():
            sql = f"SELECT count(*) FROM fleet WHERE {among}"  # noqa: S608 - constants
            (count,) = self._conn.execute(sql, parameters).fetchone()
            sql = f"""SELECT {", ".join(COLUMNS)} FROM fleet WHERE {among}
                ORDER BY severity DESC, gateway LIMIT ? OFFSET ?"""  # noqa: S608 - constants
            rows = self._conn.execute(sql, [*parameters, most, first]).fetchall()
        return [row_of(row) for row in rows], count

    def today(self, midnights: Mapping[str, int], now: int) -> dict[str, float]:
        """Which part (0 to 1) of what it should have read today is here, of each gateway of which it can be
        told; `midnights` are when its day began (UTC ms).
        """
        with self._reader.asking():
            return shares(self._conn, midnights, now)

    def gateway(self, name: str, now: int, day_of: Callable[[str, int], str]) -> GatewayHistory | None:
        """One gateway; None when there is none of that name. `day_of(time zone, UTC ms)` is the local day, as
        YYYY-MM-DD.
        """
        with self._reader.asking():
            sql = f"SELECT {', '.join(COLUMNS)} FROM fleet WHERE gateway = ?"  # noqa: S608 - constants
            found = self._conn.execute(sql, (name,)).fetchone()
            if found is None:
                return None
            row = row_of(found)
            return GatewayHistory(
                row,
                self._days(row, now, lambda t: day_of(row.timezone, t)),
                *self._open(name),
                Intervals(self._conn).contradictions(name, MOST),
                self._forks(name),
                self._refused(name),
                self._unread(name, now) if row.unread else [],
            )

    def _days(self, row: FleetRow, now: int, day_of: Callable[[int], str]) -> dict[str, DayHistory]:
        since = now - LATELY
        days = {day_of(t): DayHistory() for t in range(since, now + 1, DAY // 2)}
        sql = "SELECT t, samples, online, backlog FROM state_hour WHERE gateway = ? AND t >= ?"
        for t, samples, online, backlog in self._conn.execute(sql, (row.gateway, since)).fetchall():
            if day := days.get(day_of(t)):
                day.samples, day.online = day.samples + samples, day.online + online
                day.backlog = max(day.backlog, backlog)
        sql = "SELECT t, readings, missing FROM reading_hour WHERE gateway = ? AND meter = ? AND t >= ?"
        for meter in meters_of(self._conn, row.gateway, "reading_hour"):
            for t, readings, missing in self._conn.execute(sql, (row.gateway, meter, since)).fetchall():
                if day := days.get(day_of(t)):
                    day.readings, day.missing = day.readings + readings, day.missing + missing
        sql = "SELECT day, state, count(*) FROM meter_day WHERE gateway = ? AND day >= ? GROUP BY day, state"
        for told, state, count in self._conn.execute(sql, (row.gateway, day_of(since))).fetchall():
            if day := days.get(told):
                day.states[state] += count
        return days

    def _open(self, name: str) -> tuple[list[tuple[str, str, str]], list[tuple[str, int, int]]]:
        sql = """SELECT meter, day, state FROM meter_day WHERE gateway = ? AND state <> 'complete'
            ORDER BY day DESC, meter LIMIT ?"""
        days = [tuple(row) for row in self._conn.execute(sql, (name, MOST)).fetchall()]
        sql = """SELECT epoch, seq, min(received) FROM conflict WHERE gateway = ? GROUP BY epoch, seq
            ORDER BY 3 DESC LIMIT ?"""
        conflicts = [tuple(row) for row in self._conn.execute(sql, (name, MOST)).fetchall()]
        return days, conflicts

    def _forks(self, name: str) -> list[tuple[str, str, str, int]]:
        sql = """SELECT epoch, previous, reason, last_received FROM epoch WHERE gateway = ?
            ORDER BY last_received DESC LIMIT 1000"""
        return forks(self._conn.execute(sql, (name,)).fetchall())[:MOST]

    def _refused(self, name: str) -> list[tuple[str, int, int, str]]:
        sql = "SELECT reason, count, at, example FROM refused WHERE gateway = ? ORDER BY at DESC LIMIT ?"
        return [tuple(row) for row in self._conn.execute(sql, (name, MOST)).fetchall()]

    def _unread(self, name: str, now: int) -> list[tuple[str, int | None]]:
        sql = """SELECT max(t) FROM reading_hour
            WHERE gateway = ? AND meter = ? AND t >= ? AND missing < readings"""
        return [
            (meter, self._conn.execute(sql, (name, meter, now - LATELY)).fetchone()[0])
            for _gateway, meter in unread(self._conn, now, name)[:MOST]
        ]


def _escaped(text: str) -> str:
    """As a part of a LIKE pattern whose escape is `!`."""
    for sign in "!%_":
        text = text.replace(sign, f"!{sign}")
    return text
