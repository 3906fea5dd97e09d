"""One meter: its counters, and the powers read beside them that say whether a register stands still or
counts something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from gateway.energy.calendar import Calendar
from gateway.energy.checks.register import Context
from gateway.energy.engine.edges import AROUND, QUARTER
from gateway.energy.engine.intervals import Memory, Past
from gateway.energy.engine.series import Outcome, Series
from gateway.energy.engine.units import HOUR

COMPANIONS: Final = {
    "active_energy_import": ("active_power", 1),
    "active_energy_export": ("active_power", -1),
    "active_energy_total": ("active_power", 0),
    "apparent_energy": ("apparent_power", 1),
    "heat_energy": ("heat_power", 1),
    "volume": ("volume_flow", 1),
}
"""Counter → the gauge that is its rate, and which sign of it counts (0: how a total counts what is fed in
differs from meter to meter; it is judged while nothing is). Kept in grains an hour: kW as kWh,
m³/h as m³.
"""
GAUGES: Final = {gauge: counter for counter, (gauge, _) in COMPANIONS.items()}
"""Gauge → a counter whose unit is that of the gauge times an hour."""
_KEPT: Final = 8
"""Quarter hours of power that are remembered."""


class Power:
    """A gauge integrated per quarter hour: each reading holds until the next, at most three minutes."""

    def __init__(self) -> None:
        self._t: int | None = None
        self._value = 0
        self._quarters: dict[int, list[int]] = {}
        """Start → grains·ms of positive and of negative power, ms covered."""

    def take(self, t: int, value: int | None) -> None:
        """Take in a reading (ms, grains an hour); None: it failed."""
        if value is None or (self._t is not None and t <= self._t):
            return
        if self._t is not None and t - self._t <= AROUND:
            start = self._t
            while start < t:
                quarter = start // QUARTER * QUARTER
                end = min(t, quarter + QUARTER)
                sums = self._quarters.setdefault(quarter, [0, 0, 0])
                sums[0 if self._value >= 0 else 1] += abs(self._value) * (end - start)
                sums[2] += end - start
                start = end
            while len(self._quarters) > _KEPT:
                del self._quarters[next(iter(self._quarters))]
        self._t, self._value = t, value

    def state(self) -> list[Any]:
        """As JSON values."""
        return [self._t, self._value, [[start, *sums] for start, sums in self._quarters.items()]]

    def restore(self, state: list[Any]) -> None:
        """Know what `state` gave."""
        self._t, self._value, quarters = state
        self._quarters = {start: sums for start, *sums in quarters}

    def energy(self, sign: int, start: int) -> int | None:
        """Grains of one sign in a quarter hour, of none (0) where there is a negative part none at all; None
        unless it was read throughout.
        """
        sums = self._quarters.get(start)
        if sums is None or sums[2] < QUARTER or (sign == 0 and sums[1]):
            return None
        return sums[1 if sign < 0 else 0] // HOUR


class MeterSeries:
    """The series of one meter. `context` gives what is known of each of its counters, `past` what
    each took.
    """

    def __init__(
        self,
        context: Callable[[str], Context],
        calendar: Calendar,
        meter: str = "",
        past: Callable[[str], Past] = lambda _: Memory(),
    ) -> None:
        self.meter = meter
        self._context = context
        self._calendar = calendar
        self._past = past
        self._powers: dict[str, Power] = {}
        self._series: dict[str, Series] = {}
        self._newest: int | None = None

    def take(self, quantity: str, t: int, value: int | None) -> list[tuple[str, Outcome]]:
        """Take in a reading of a counter, or of a gauge in GAUGES (grains); gives (quantity, interval or
        finding).
        """
        if quantity in GAUGES:
            power = self._powers.get(quantity)
            if power is None:
                power = self._powers[quantity] = Power()
            power.take(t, value)
            return []
        self._newest = t if self._newest is None else max(self._newest, t)
        return [(quantity, outcome) for outcome in self._of(quantity).take(t, value)]

    def swap(
        self, t: int, closing: Mapping[str, int] | None = None, opening: Mapping[str, int] | None = None
    ) -> Iterator[tuple[str, Outcome]]:
        """The meter was exchanged at `t`: all its registers are others from then on. `closing` and `opening`:
        what the old and the new ones showed then, by quantity (grains), as far as it is known.
        """
        for quantity, series in self._series.items():
            ends, begins = (closing or {}).get(quantity), (opening or {}).get(quantity)
            for outcome in series.swap(t, ends, begins):
                yield quantity, outcome

    def step_back(self, t: int, by: int | None = None) -> Iterator[tuple[str, Outcome]]:
        """The clock was set back: see Series."""
        self._powers.clear()
        for quantity, series in self._series.items():
            for outcome in series.step_back(t, by):
                yield quantity, outcome
        self._find_newest()

    def _find_newest(self) -> None:
        times = (series.newest for series in self._series.values() if series.newest)
        self._newest = max(times, default=None)

    @property
    def newest(self) -> int | None:
        """The newest time that was said of any of its readings (ms)."""
        return self._newest

    @property
    def quantities(self) -> tuple[str, ...]:
        """Its counters that were read at least once."""
        return tuple(self._series)

    @property
    def stands_still(self) -> bool:
        """Whether a counter does not count although there is power."""
        return any(series.stands_still for series in self._series.values())

    def series(self, quantity: str) -> Series | None:
        """One counter; None: it was never read."""
        return self._series.get(quantity)

    def state(self) -> dict[str, Any]:
        """Everything that it knows, as JSON values."""
        series = {quantity: each.state() for quantity, each in self._series.items()}
        return {"series": series, "powers": {gauge: power.state() for gauge, power in self._powers.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Know what `state` gave."""
        for gauge, power in state["powers"].items():
            self._powers.setdefault(gauge, Power()).restore(power)
        for quantity, series in state["series"].items():
            self._of(quantity).restore(series)
        self._find_newest()

    def close(self) -> Iterator[tuple[str, Outcome]]:
        """There are no more readings."""
        for quantity, series in self._series.items():
            for outcome in series.close():
                yield quantity, outcome

    def _of(self, quantity: str) -> Series:
        series = self._series.get(quantity)
        if series is None:
            gauge, sign = COMPANIONS.get(quantity, ("", 1))
            series = Series(
                self._context(quantity),
                self._calendar,
                partial(self._energy, gauge, sign),
                name=(self.meter, quantity),
                past=self._past(quantity),
            )
            self._series[quantity] = series
        return series

    def _energy(self, gauge: str, sign: int, start: int) -> int | None:
        power = self._powers.get(gauge)
        return None if power is None else power.energy(sign, start)
