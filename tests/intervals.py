"""The judge of intervals: what the platform holds of every counter against the registers that the
meters served.

It knows nothing of the engine. From the readings at the platform, which the account of
gateway.demo.show holds against the simulator's own log, it computes the register at each quarter hour
in fractions; the sum of the intervals between any two of them must be their difference, in whole Wh,
with no quarter hour missing, none twice and none under two values. Where the wall clock was stepped,
what lies between is judged by its sum.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path

from gateway.receiver.report import build

QUARTER = 900_000
LONG = 7_200_000
"""ms between two readings from which on the edges between them follow a shape."""
STEP = 500
"""ms by which the wall clock may leave CLOCK_BOOTTIME between two readings."""
AROUND, NEAR = 180_000, 15_000
COUNTERS = ("active_energy", "reactive_energy", "apparent_energy")
Register = tuple[str, str]


@dataclass(frozen=True)
class Read:
    """A register as it was read: ms UTC, ms of CLOCK_BOOTTIME, Wh or varh."""

    t: int
    uptime: int
    total: Fraction


@dataclass
class Held:
    """An interval at the platform."""

    value: int
    quality: str
    version: int


@dataclass
class IntervalAccount:
    """`problems` says in words what is wrong; the rest is how much was judged."""

    registers: int = 0
    intervals: int = 0
    exact: int = 0
    """Differences of two known edges that were compared."""
    wh: int = 0
    """Sum of all intervals between the outer edges."""
    days: int = 0
    """Days of registers that a manifest calls complete."""
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.problems


def judge_intervals(database: Path, *, least: int = 0) -> IntervalAccount:
    """Of everything in a platform's database; `least`: intervals without which it judged nothing."""
    account = IntervalAccount()
    held, served = intervals(database), registers(database)
    for register in sorted(served.keys() | held.keys()):
        account.registers += 1
        _judge(account, register, served.get(register, []), held.get(register, {}))
    report = build(database)
    for gateway in report["gateways"]:
        for one in gateway["contradictions"]:
            account.problems.append(f"two values under one version: {one}")
        newest = max((day["day"] for day in gateway["days"]), default="")
        for day in gateway["days"]:
            for quantity, told in day["quantities"].items():
                if told["state"] == "complete":
                    account.days += 1
                elif told["state"] == "contradicted" or day["day"] < newest:
                    account.problems.append(f"{day['meter']} {quantity} on {day['day']}: {told}")
    if account.intervals < least:
        account.problems.append(f"only {account.intervals} intervals are at the platform, {least} were to be")
    return account


def _judge(account: IntervalAccount, register: Register, reads: list[Read], held: dict[int, Held]) -> None:
    known = edges(reads)
    # The newest reading waits for the one after it: what it closes may be missing.
    owed = edges(reads[:-1])
    name = " ".join(register)
    starts = sorted(held)
    account.intervals += len(starts)
    if not starts:
        if len(owed) > 1:
            account.problems.append(f"{name}: no interval, though {len(owed)} edges are known")
        return
    holes = sorted(set(range(starts[0], starts[-1], QUARTER)) - held.keys())
    if holes:
        account.problems.append(f"{name}: {len(holes)} quarter hours are missing, the first is {holes[0]}")
    if owed and (min(owed) < starts[0] or max(owed) > starts[-1] + QUARTER):
        account.problems.append(
            f"{name}: {min(owed)} to {max(owed)} were to be, {starts[0]} to {starts[-1]} are"
        )
    inside = [q for q in sorted(known) if starts[0] <= q <= starts[-1] + QUARTER]
    for a, b in pairwise(inside):
        mine = [held[start] for start in range(a, b, QUARTER) if start in held]
        account.exact += 1
        total = sum(each.value for each in mine)
        if total != known[b][0] - known[a][0]:
            gained = known[b][0] - known[a][0]
            account.problems.append(
                f"{name}: from {a} to {b} {total} at the platform, {gained} by the register"
            )
        elif b - a == QUARTER and mine and mine[0].quality == "m" and not (known[a][1] and known[b][1]):
            account.problems.append(f"{name}: the quarter hour at {a} is called measured, and is not")
    if len(inside) > 1:
        account.wh += known[inside[-1]][0] - known[inside[0]][0]


def edges(reads: list[Read]) -> dict[int, tuple[int, bool]]:
    """The register at each quarter hour (rounded half up, whether it was read near it) that follows
    from the two readings around it alone.
    """
    found: dict[int, tuple[int, bool]] = {}
    disputed: list[tuple[int, int]] = []
    for a, b in pairwise(reads):
        if abs((b.t - a.t) - (b.uptime - a.uptime)) > STEP or b.t <= a.t:
            # From here on the same times may come again, or were never there.
            disputed.append((min(a.t, b.t) - QUARTER, max(a.t, b.t) + QUARTER))
        elif b.t - a.t <= LONG:
            for q in range((a.t // QUARTER + 1) * QUARTER, b.t + 1, QUARTER):
                total = a.total + (b.total - a.total) * (q - a.t) / (b.t - a.t)
                near = b.t - a.t <= AROUND or q - a.t <= NEAR or b.t - q <= NEAR
                found[q] = (floor(total + Fraction(1, 2)), near)
    return {q: edge for q, edge in found.items() if not any(low <= q <= high for low, high in disputed)}


def intervals(database: Path) -> dict[Register, dict[int, Held]]:
    """What the platform holds: register → start → its highest version."""
    found: dict[Register, dict[int, Held]] = {}
    for meter, quantity, start, value, quality, version in _rows(
        database, "SELECT meter, quantity, start, value, quality, version FROM interval"
    ):
        found.setdefault((meter, quantity), {})[start] = Held(value, quality, version)
    return found


def registers(database: Path) -> dict[Register, list[Read]]:
    """What the meters served, in Wh and varh, in the order in which it was read; what is suspect is no
    reading.
    """
    found: dict[Register, list[Read]] = {}
    sql = (
        "SELECT meter, t, uptime, \"values\", suspect FROM reading WHERE clock != 'unsynced' ORDER BY uptime"
    )
    for meter, t, uptime, values, suspect in _rows(database, sql):
        doubted = set(json.loads(suspect or "[]"))
        for quantity, value in json.loads(values, parse_float=Decimal, parse_int=Decimal).items():
            if quantity.startswith(COUNTERS) and quantity not in doubted:
                found.setdefault((meter, quantity), []).append(Read(t, uptime, Fraction(value) * 1000))
    return found


def lacking(database: Path) -> int:
    """Quarter hours that are not at the platform, of those that its own readings make."""
    held, count = intervals(database), 0
    for register, reads in registers(database).items():
        known = edges(reads[:-1])
        mine = held.get(register, {})
        count += sum(1 for q in known if q + QUARTER in known and q not in mine)
    return count


def _rows(database: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as db:
        return db.execute(sql).fetchall()
