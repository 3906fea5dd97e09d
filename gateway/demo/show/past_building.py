"""What the demo's building used, quarter hour by quarter hour, over the months before the demo began:
seasons, a PV roof, a night load and a cistern that runs and nobody has noticed yet, and capacitors that have
begun to fail.

Deterministic by seed. Powers in kW and kvar, registers in whole Wh, varh and ml.
"""

from __future__ import annotations

import calendar as months_of_years
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from gateway.demo.simulator.building import LEFT_ON, sun, winter
from gateway.demo.simulator.water import DRIP, WATER_MEAN
from gateway.energy import QUARTER, Calendar, Register

SILENT: Final = ("kitchen", 9, range(40, 64))
"""A sub meter that did not answer: its id, days before the end, and the quarter hours of that day."""
NIGHT: Final = ("hvac", 12, LEFT_ON)
"""What somebody has left on at night: the meter, since how many days, kW."""
DRIPS: Final = 6
"""Days since which a cistern runs."""
FAILING: Final = 45
"""Days since which a stage of the capacitors is missing."""
BREACH: Final = 5
"""Months before this one in which the limit was passed: the one breach that the distributor disregarded."""
LIMIT: Final = 0.20
"""Of inductive to active energy, for 50 kVA and more."""
_SOUND, _CAPACITIVE = 0.145, 0.055
_WEIGHTS: Final = (1.0, 1.0, 1.0, 1.0, 1.0, 0.55, 0.4)
"""Of the days of a week, by what is drawn."""
_POWER: Final[dict[str, Callable[[float, float, float], float]]] = {
    "hvac": lambda work, season, _hour: 3.0 + 18.0 * work * season,
    "lighting": lambda work, season, _hour: 0.8 + 8.5 * work * (0.6 + 0.4 * season),
    "sockets": lambda work, _season, _hour: 1.4 + 12.0 * work,
    "server": lambda _work, _season, _hour: 3.2,
    "elevator": lambda work, _season, _hour: 0.25 + 2.2 * work,
    "kitchen": lambda work, _season, hour: 0.4 + 9.0 * math.exp(-(((hour - 12.2) / 0.9) ** 2)) * work,
    "ev": lambda work, _season, _hour: 0.05 + 4.0 * work,
}
"""Mean kW of a meter by how full the building is (0 to 1), the season (1 in winter and in high summer)
and the hour.
"""
_UNMETERED: Final = 1.03
REGISTERS: Final[tuple[Register, ...]] = (
    ("main", "active_energy_import"),
    ("main", "active_energy_export"),
    ("main", "reactive_energy_q1"),
    ("main", "reactive_energy_q4"),
    ("pv", "active_energy_export"),
    *((name, "active_energy_import") for name in _POWER),
    ("water", "volume"),
)


@dataclass(frozen=True, slots=True)
class PastQuarter:
    """A quarter hour from `start` (ms UTC): what each register gained in it, in Wh, varh and ml."""

    start: int
    gained: Mapping[Register, int]
    silent: str
    """The meter that was not read at its end."""


def quarters(calendar: Calendar, until: int, months: int, seed: int) -> Iterator[PastQuarter]:
    """From the first of the month so many months ago until the last whole quarter hour before `until` (ms
    UTC).
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable weather, not secrets
    taps = random.Random(f"{seed}/water")  # noqa: S311 - likewise
    today = calendar.place(until // QUARTER * QUARTER)[0]
    day = months_before(today, months)
    while day <= today:
        clouds = 0.5 + 0.5 * rng.random()
        season = _season(day)
        inductive = _inductive(day, today) * (0.97 + 0.06 * rng.random())
        night = NIGHT[2] if day > today - timedelta(NIGHT[1]) else 0.0
        closed = day in calendar.holidays
        silent, dripping = day == today - timedelta(SILENT[1]), day > today - timedelta(DRIPS)
        for slot, start in enumerate(calendar.quarters(day)):
            if start + QUARTER > until:
                return
            hour = slot / 4
            work = presence(hour, 6 if closed else day.weekday())
            power = {name: of(work, season, hour) * rng.uniform(0.93, 1.07) for name, of in _POWER.items()}
            power[NIGHT[0]] += night * (1.0 - work)
            gained = _gained(power, 28.0 * clouds * sun(hour, _winter(day)), inductive)
            flow = WATER_MEAN * work * taps.uniform(0.6, 1.4) + (DRIP if dripping else 0.0)
            gained["water", "volume"] = round(flow * 250) * 1000  # its register shows litres
            yield PastQuarter(start, gained, SILENT[0] if silent and slot in SILENT[2] else "")
        day += timedelta(1)


def _gained(power: dict[str, float], gave: float, inductive: float) -> dict[Register, int]:
    used = sum(power.values()) * _UNMETERED
    drawn, fed_in = max(0.0, used - gave), max(0.0, gave - used)
    # Reactive energy is counted in quadrants 1 and 4: while energy is drawn.
    kilo = {
        ("main", "active_energy_import"): drawn,
        ("main", "active_energy_export"): fed_in,
        ("main", "reactive_energy_q1"): drawn * inductive,
        ("main", "reactive_energy_q4"): drawn * _CAPACITIVE,
        ("pv", "active_energy_export"): gave,
    }
    kilo |= {(name, "active_energy_import"): kw for name, kw in power.items()}
    return {register: round(kw * 250) for register, kw in kilo.items()}


def _inductive(day: date, today: date) -> float:
    """The part of the drawn energy: since the capacitors fail as much as leads to a breach by the end
    of this month, and not yet to one today.
    """
    if day > today - timedelta(FAILING):
        return LIMIT * max(1.03, min(1.14, 0.97 / _used_by_then(today)))
    return LIMIT * 1.12 if (day.year, day.month) == _month(today, BREACH) else _SOUND


def _used_by_then(today: date) -> float:
    """What part of its month's energy a building has used at the end of a day: weekends take little."""
    length = months_of_years.monthrange(today.year, today.month)[1]
    weights = [_WEIGHTS[today.replace(day=n).weekday()] for n in range(1, length + 1)]
    return sum(weights[: today.day]) / sum(weights)


def breach(until: int, calendar: Calendar) -> str:
    """The month whose breach was disregarded, like 2026-03."""
    return "{}-{:02}".format(*_month(calendar.place(until // QUARTER * QUARTER)[0], BREACH))


def _month(day: date, before: int) -> tuple[int, int]:
    first = months_before(day, before)
    return first.year, first.month


def months_before(day: date, months: int) -> date:
    """The first of the month so many months before a day's."""
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def _winter(day: date) -> float:
    return winter(day.timetuple().tm_yday)


def _season(day: date) -> float:
    """How much is heated or cooled: 1 in January, 0.8 in July, 0.35 in between."""
    cold = _winter(day)
    return max(0.35, cold, 0.8 * (1.0 - cold))


def presence(hour: float, weekday: int) -> float:
    """How full the building is, 0 to 1."""
    if weekday == 6:
        return 0.03
    rise, fall = 1 / (1 + math.exp(-(hour - 7.8) * 3.5)), 1 / (1 + math.exp((hour - 18.0) * 2.5))
    return 0.02 + 0.98 * rise * fall * (0.3 if weekday == 5 else 1.0)
