"""Today in numbers, as far as the history knows it: the part of the lobby screen that changes slowly."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from gateway.energy import Calendar
from gateway.errors import HistoryError
from gateway.status.energy.facts import EnergyHistory
from gateway.status.energy.figures import QUARTER, Figures
from gateway.status.energy.today import DayLoads, loads_of_today, usual_today
from gateway.status.screen.power import NO_SOURCES, PowerSources, power_sources
from gateway.status.snapshot import Snapshot

KEPT = 60_000
"""ms that what was read is shown: a quarter hour changes slowly."""
_LATE = 1
"""Quarter hours that may still be on their way from meter to history."""


@dataclass(frozen=True, slots=True)
class ScreenDay:
    """Energies in Wh, powers in kW, CO2 in kg; None: not known.

    `sources` are the meters whose power is that of the building. `missing` counts quarter hours of today of
    which nothing is known, `until` is when the newest known one ends (ms). `usual` is the mean of the like
    days by now. `drawn` is what came from the grid, `saved` the CO2 that the plant kept away.
    """

    sources: PowerSources = NO_SOURCES
    progress: float = 1.0
    loads: DayLoads | None = None
    until: int | None = None
    missing: int = 0
    used: int | None = None
    usual: int | None = None
    unusual: bool = False
    sun: int | None = None
    fed: int | None = None
    drawn: int | None = None
    co2: float | None = None
    co2_source: str = ""
    saved: float | None = None

    def usual_power(self, slot: int) -> tuple[float, float] | None:
        """The lowest and the highest kW of the like days in a quarter hour of the day."""
        return self.loads.usual(slot) if self.loads else None


class ScreenDays:
    """Reads it at most once a minute; for the page's worker thread."""

    def __init__(self) -> None:
        self._kept: tuple[int, ScreenDay] | None = None

    def get(self, history: EnergyHistory | None, now: Snapshot) -> ScreenDay:
        """Today; empty while nothing is known."""
        if self._kept is not None and 0 <= now.taken - self._kept[0] < KEPT:
            return self._kept[1]
        day = ScreenDay() if history is None else _read(history, now)
        self._kept = (now.taken, day)
        return day


def _read(history: EnergyHistory, now: Snapshot) -> ScreenDay:
    facts = history.facts
    try:
        with closing(history.open()) as reader:
            figures = Figures(facts, reader, Calendar(ZoneInfo(now.timezone)), now.taken)
            sources = power_sources(facts, figures)
            # Without a clock nobody knows which day it is.
            if not now.clock.synced or not figures.known:
                return ScreenDay(sources, history.progress)
            return _day(figures, sources, history.progress)
    except HistoryError:
        return ScreenDay(power_sources(facts), history.progress)


def _day(figures: Figures, sources: PowerSources, progress: float) -> ScreenDay:
    today = figures.today
    used = figures.used(today, today)
    known = figures.quarters(used)
    expected = sum(1 for quarter in figures.calendar.quarters(today) if quarter + QUARTER <= figures.end)
    if not known:
        return ScreenDay(sources, progress, missing=expected)
    usual = usual_today(figures, "")
    # What is fed in comes from all plants, also from one that is in no sum.
    tells_fed = figures.knows_fed(today, today) and not figures.lacks_plant(today)
    gave, fed, drawn = (
        figures.generated(today, today),
        figures.total(figures.fed_in(today, today)) if tells_fed else None,
        figures.total(figures.drawn(today, today)),
    )
    rules = figures.facts.rules
    factor = rules.co2("consumption", today) if rules else None
    avoided = rules.co2("avoided", today) if rules else None
    sun = None if gave is None else figures.total(gave)
    missing = expected - len(known)
    return ScreenDay(
        sources,
        progress,
        loads_of_today(figures, ""),
        max(known) + QUARTER,
        missing if missing > _LATE else 0,
        sum(known.values()),
        usual.mean if usual else None,
        usual is not None and usual.is_unusual,
        sun,
        fed,
        drawn,
        # t/MWh is kg/kWh.
        None if factor is None else drawn / 1000 * factor.value,
        factor.source if factor else "",
        None if avoided is None or sun is None else sun / 1000 * avoided.value,
    )
