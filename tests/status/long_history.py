"""Years of history within seconds: whole days of each register, made of a few templates."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.energy import Calendar
from gateway.history import BuildingMeters, History

ZONE = ZoneInfo("Europe/Istanbul")
QUARTER = 900_000
MINE = 200
"""Days between two commits."""


def shape(kw: float, night: float, *, sun: bool = False) -> list[float]:
    """Mean kW of the quarter hours of a working day: `night` is the part that never rests."""
    found = []
    for slot in range(100):
        hour = slot / 4
        if sun:
            found.append(kw * max(0.0, math.sin((hour - 6.5) / 12 * math.pi)) if 6.5 < hour < 18.5 else 0.0)
            continue
        work = 1 / (1 + math.exp(-(hour - 8) * 2)) - 1 / (1 + math.exp(-(hour - 17.5) * 2))
        found.append(kw * (night + (1 - night) * work))
    return found


def write_years(
    directory: Path, now: int, days: int, registers: Mapping[tuple[str, str], list[float]], seed: int = 3
) -> None:
    """`registers`: meter and quantity → mean kW of each quarter hour of a working day. Ends at `now` (ms)."""
    calendar = Calendar(ZONE)
    history = History(directory, calendar)
    rng = random.Random(seed)
    today = calendar.place(now // QUARTER * QUARTER)[0]
    for number in range(days, -1, -1):
        day = today - timedelta(number)
        quarters = calendar.quarters(day)
        over = sum(1 for start in quarters if start + QUARTER <= now)
        if not over:
            continue
        weather = 0.85 + 0.3 * rng.random()
        for register, powers in registers.items():
            rest = 1.0 if day.weekday() < 5 else 0.3
            placed = history.place(register, quarters[0], make=True)
            assert placed is not None
            key, row, _ = placed
            row.values[:over] = [round(kw * 250 * weather * rest) for kw in powers[:over]]
            row.quality[:over] = ["m"] * over
            row.version[:over] = [1] * over
            history.touched(key, row)
        if number % MINE == 0:
            history.save()
    history.save()
    history.sums.meters = BuildingMeters(("main",), (("pv", "import"),))
    while history.sum_up(50):
        pass
    history.close()


def day_of(year: int, month: int, day: int, hour: float) -> int:
    """A local time in ms UTC."""
    start = Calendar(ZONE).quarters(date(year, month, day))[0]
    return start + round(hour * 3_600_000)
