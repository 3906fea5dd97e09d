"""Thirteen months of history of the simulated building: whoever tries the gateway sees every view at once.

The demo says that it is simulated.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.energy import QUARTER, Calendar
from gateway.history import FILE, History

ZONE = ZoneInfo("Europe/Istanbul")
MONTHS = 13
Register = tuple[str, str]
"""Meter and quantity."""
_GAP = ("kitchen", 9, range(40, 64))
"""A sub meter that was silent: its id, days before the end, and quarter hours of that day, of which what it
counted was shared out afterwards."""
_POWER: dict[str, Callable[[float, float, float], float]] = {
    "hvac": lambda work, season, _hour: 3.0 + 18.0 * work * season,
    "lighting": lambda work, season, _hour: 0.8 + 8.5 * work * (0.6 + 0.4 * season),
    "sockets": lambda work, _season, _hour: 1.4 + 12.0 * work,
    "server": lambda _work, _season, _hour: 3.2,
    "elevator": lambda work, _season, _hour: 0.25 + 2.2 * work,
    "kitchen": lambda work, _season, hour: 0.4 + 9.0 * math.exp(-(((hour - 12.2) / 0.9) ** 2)) * work,
    "ev": lambda work, _season, _hour: 0.05 + 4.0 * work,
}
"""Mean kW of a meter by how full the building is (0 to 1), the season (1 in winter) and the hour."""


def make_past(directory: Path, until: int, *, months: int = MONTHS, seed: int = 1) -> int:
    """Write history.db into `directory`, of so many months until `until` (ms UTC); gives the quarter hours
    that it has. A history that is there already is left alone.
    """
    if (directory / FILE).exists():
        return 0
    calendar = Calendar(ZONE)
    history = History(directory, calendar)
    registers: dict[Register, float] = {}
    made = 0
    for start, readings in _building(calendar, until, months, seed):
        for register, (kwh, quality) in readings.items():
            before = registers.get(register, 0.0)
            registers[register] = before + kwh * 1000
            placed = history.place(register, start, make=True)
            if placed is not None:
                key, day, index = placed
                # Whole edges, so that neighbouring quarter hours add up to the difference of the register.
                day.put(index, round(registers[register]) - round(before), quality, corrected=False)
                day.publish(index, day.values[index], quality, 1)
                history.touched(key, day)
                made += 1
    history.save()
    history.close()
    return made


def _building(
    calendar: Calendar, until: int, months: int, seed: int
) -> Iterator[tuple[int, dict[Register, tuple[float, str]]]]:
    """For each quarter hour what every register took, in kWh, and its quality."""
    rng = random.Random(seed)  # noqa: S311 - repeatable weather, not secrets
    today = calendar.place(until // QUARTER * QUARTER)[0]
    day = _months_before(today, months)
    while day <= today:
        clouds = 0.5 + 0.5 * rng.random()
        season = 0.5 + 0.5 * math.cos((day.timetuple().tm_yday - 15) / 365 * 2 * math.pi)
        silent = day == today - timedelta(_GAP[1])
        for slot, start in enumerate(calendar.quarters(day)):
            if start + QUARTER > until:
                return
            work = _presence(slot / 4, day.weekday())
            power = {
                name: of(work, season, slot / 4) * rng.uniform(0.93, 1.07) for name, of in _POWER.items()
            }
            used = sum(power.values()) * 1.03
            sun = 28.0 * clouds * _sun(slot / 4) * (1.15 - 0.5 * season)
            readings = {
                ("main", "active_energy_import"): max(0.0, used - sun) / 4,
                ("main", "active_energy_export"): max(0.0, sun - used) / 4,
                ("pv", "active_energy_export"): sun / 4,
            }
            readings |= {(name, "active_energy_import"): kw / 4 for name, kw in power.items()}
            gap = _GAP[0] if silent and slot in _GAP[2] else ""
            yield start, {of: (kwh, "e" if of[0] == gap else "m") for of, kwh in readings.items()}
        day += timedelta(1)


def _presence(hour: float, weekday: int) -> float:
    """How full the building is, 0 to 1."""
    if weekday == 6:
        return 0.03
    rise, fall = 1 / (1 + math.exp(-(hour - 7.8) * 3.5)), 1 / (1 + math.exp((hour - 18.0) * 2.5))
    return 0.02 + 0.98 * rise * fall * (0.3 if weekday == 5 else 1.0)


def _sun(hour: float) -> float:
    return math.sin(math.pi * (hour - 6.5) / 12.0) ** 1.3 if 6.5 < hour < 18.5 else 0.0


def _months_before(day: date, months: int) -> date:
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)
