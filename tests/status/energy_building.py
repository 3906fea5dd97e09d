"""A town hall with a history, for the tests of the pages of energy: a plant on the roof, a reactive breach
coming, a sub meter with a gap, a load at night.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.config.rules import load_rules
from gateway.energy import Calendar, DatedRules, Finding, PollCounts
from gateway.history import History, HistoryReader, bills
from gateway.history.events.findings import Findings
from gateway.history.values import packed_polls
from gateway.model import Reading
from gateway.status.energy.facts import BuildingFacts, EnergyHistory, EnergyMeter

ZONE = ZoneInfo("Europe/Istanbul")
QUARTER = 900_000
RULES = Path(__file__).parents[2] / "config" / "rules" / "tr.yaml"

METERS = (
    EnergyMeter("main", "Ana sayaç", class_="B", assumed=False),
    EnergyMeter("sockets", "Prizler panosu", "main"),
    EnergyMeter("server", "Sunucu odası", "sockets"),
    EnergyMeter("heat", "Isı pompası", "main"),
    EnergyMeter("lighting", "Aydınlatma", "main"),
    EnergyMeter("kitchen", "Yemekhane", "main"),
    EnergyMeter("pv", "Çatı güneş", "main", generates="import"),
)


def facts(**more) -> BuildingFacts:
    fields = {
        "meters": METERS,
        "area": 4200.0,
        "installed_kva": 250.0,
        "contract_kw": 160.0,
        "tariff": "tr-three-time",
        "rules": DatedRules(load_rules(RULES)),
    }
    return BuildingFacts(**{**fields, **more})


def power(meter: str, local_hour: float, day: date, rng: random.Random) -> float:
    """Mean kW of a quarter hour."""
    working = day.weekday() < 5
    at_work = 1 / (1 + math.exp(-(local_hour - 8) * 2)) - 1 / (1 + math.exp(-(local_hour - 17.5) * 2))
    at_work = at_work if working else 0.04
    season = 1 + 0.25 * math.cos((day.timetuple().tm_yday - 15) / 365 * 2 * math.pi)
    wobble = 1 + rng.gauss(0, 0.03)
    match meter:
        case "server":
            return 6.0 * wobble
        case "sockets":
            return 6.0 + (2 + 18 * at_work) * wobble
        case "heat":
            return (3 + 24 * at_work) * season * wobble
        case "lighting":
            return (1 + 14 * at_work) * wobble
        case "kitchen":
            return (0.4 + 9 * math.exp(-(((local_hour - 12.2) / 1.2) ** 2)) * (1 if working else 0)) * wobble
        case "pv":
            sun = max(0.0, math.sin((local_hour - 6.5) / 12 * math.pi)) if 6.5 < local_hour < 18.5 else 0.0
            return 32 * sun * (0.6 + 0.4 * rng.random()) / season
        case _:
            return 0.0


def make_history(
    directory: Path,
    now: int,
    days: int = 120,
    *,
    gap: Callable[[str, date], bool] = lambda _m, _d: False,
    hole: Callable[[str, date, float], bool] = lambda _m, _d, _h: False,
) -> None:
    """A history as the engine leaves it, of so many days until `now` (ms UTC), without what `gap` names by
    meter and day, and `hole` by the hour.
    """
    calendar = Calendar(ZONE)
    history = History(directory, calendar)
    rng = random.Random(7)
    today = calendar.place(now // QUARTER * QUARTER)[0]
    subs = ("sockets", "heat", "lighting", "kitchen")
    for number in range(days, -1, -1):
        day = today - timedelta(number)
        for start in calendar.quarters(day):
            if start + QUARTER > now:
                break
            hour = calendar.place(start)[1] / 4
            values = {meter: power(meter, hour, day, rng) for meter in (*subs, "server", "pv")}
            used = sum(values[meter] for meter in subs) * 1.03
            drawn, fed = max(0.0, used - values["pv"]), max(0.0, values["pv"] - used)
            share = 0.15 if number > 12 else 0.42
            rows = {
                ("main", "active_energy_import"): drawn,
                ("main", "active_energy_export"): fed,
                ("main", "reactive_energy_q1"): drawn * share,
                ("main", "reactive_energy_q4"): drawn * 0.02,
                ("pv", "active_energy_import"): values["pv"],
                ("pv", "active_energy_export"): 0.0,
            }
            rows |= {(meter, "active_energy_import"): values[meter] for meter in (*subs, "server")}
            for register, kw in rows.items():
                if gap(register[0], day) or hole(register[0], day, hour):
                    continue
                placed = history.place(register, start, make=True)
                assert placed is not None
                key, row, index = placed
                estimated = register[0] == "main" and number == 13 and 8 <= hour < 10
                row.put(index, round(kw * 250), "e" if estimated else "m", corrected=False)
                row.publish(index, row.values[index], row.quality[index], 1)
                history.touched(key, row)
    history.keep_holidays("TR", 2025, 2027, HOLIDAYS)
    history.save()
    history.close()


def keep_polls(directory: Path, now: int, meter: str, hours: int, failed: Mapping[int, int | None]) -> None:
    """A meter was polled 360 times in each of so many hours until `now`; `failed`: hours ago → how many polls
    brought nothing, None for an hour of which nothing is known.
    """
    counts = PollCounts()
    for ago in range(hours, -1, -1):
        lost = failed.get(ago, 0)
        if lost is not None:
            readings = [Reading(meter, 0, missing="timeout" if at < lost else "") for at in range(360)]
            counts.count(readings, now // 3_600_000 * 3_600_000 - ago * 3_600_000)
    history = History(directory, Calendar(ZONE))
    history.save(polls=packed_polls(counts))
    history.close()


HOLIDAYS = [
    (date(2026, 10, 28).toordinal(), "Cumhuriyet Bayramı arifesi", "Eve of Republic Day", True),
    (date(2026, 10, 29).toordinal(), "Cumhuriyet Bayramı", "Republic Day", False),
]


def keep_findings(directory: Path, now: int, *found: tuple[str, str, Finding, int]) -> None:
    """The checks found something: meter, quantity, finding, and for how many hours it has been over."""
    findings = Findings()
    for meter, quantity, finding, _ in found:
        findings.add(meter, quantity, finding)
    for meter, quantity, finding, hours in found:
        findings.lasts(meter, quantity, [finding.kind], now - hours * 3_600_000)
    history = History(directory, Calendar(ZONE))
    history.save(**findings.packed())
    history.close()


def energy_history(directory: Path, **more) -> EnergyHistory:
    kept = more.pop("bills", partial(bills, directory))
    return EnergyHistory(facts(**more), partial(HistoryReader, directory), bills=kept)
