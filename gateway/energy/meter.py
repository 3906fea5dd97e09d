"""One meter: its counters, and the powers read beside them that say whether a register stands still or
counts something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from gateway.energy.edges import AROUND, QUARTER
from gateway.energy.series import Outcome, Series
from gateway.energy.shape import Calendar
from gateway.energy.units import HOUR
from gateway.energy.validation import Context

COMPANIONS: Final = {
    "active_energy_import": ("active_power", 1),
    "active_energy_export": ("active_power", -1),
    "apparent_energy": ("apparent_power", 1),
    "heat_energy": ("heat_power", 1),
    "volume": ("volume_flow", 1),
}
"""Counter → the gauge that is its rate, and which sign of it counts. Kept in grains an hour: kW as kWh,
m³/h as m³.
"""
GAUGES: Final = {gauge: counter for counter, (gauge, _) in COMPANIONS.items()}
"""Gauge → a counter whose unit is that of the gauge times an hour."""
_KEPT: Final = 16
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

    def energy(self, sign: int, start: int) -> int | None:
        """Grains of one sign in a quarter hour; None unless it was read throughout."""
        sums = self._quarters.get(start)
        return None if sums is None or sums[2] < QUARTER else sums[0 if sign > 0 else 1] // HOUR


class MeterSeries:
    """The series of one meter. `context` gives what is known of each of its counters."""

    def __init__(self, context: Callable[[str], Context], calendar: Calendar) -> None:
        self._context = context
        self._calendar = calendar
        self._powers: dict[str, Power] = {}
        self._series: dict[str, Series] = {}

    def take(self, quantity: str, t: int, value: int | None) -> Iterator[tuple[str, Outcome]]:
        """Take in a reading of a counter, or of a gauge in GAUGES (grains); yields (quantity, interval or
        finding).
        """
        if quantity in GAUGES:
            self._powers.setdefault(quantity, Power()).take(t, value)
            return
        for outcome in self._of(quantity).take(t, value):
            yield quantity, outcome

    def swap(self, t: int) -> Iterator[tuple[str, Outcome]]:
        """The meter was exchanged at `t`: all its registers are others from then on."""
        for quantity, series in self._series.items():
            for outcome in series.swap(t):
                yield quantity, outcome

    def close(self) -> Iterator[tuple[str, Outcome]]:
        """There are no more readings."""
        for quantity, series in self._series.items():
            for outcome in series.close():
                yield quantity, outcome

    def _of(self, quantity: str) -> Series:
        series = self._series.get(quantity)
        if series is None:
            gauge, sign = COMPANIONS.get(quantity, ("", 1))
            series = Series(self._context(quantity), self._calendar, partial(self._energy, gauge, sign))
            self._series[quantity] = series
        return series

    def _energy(self, gauge: str, sign: int, start: int) -> int | None:
        power = self._powers.get(gauge)
        return None if power is None else power.energy(sign, start)
