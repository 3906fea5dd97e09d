"""What a configuration will cost before anything is plugged in: time on the bus, bytes to the platform,
writes to the card. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.config import Bus, Meter
from gateway.field.bus.cost import prior, wire_of
from gateway.field.facts import Fact
from gateway.field.learnt import Learnt
from gateway.field.meter.planner import Read, Rules, keyed_of, poll_reads, seconds, spans_of
from gateway.field.meter.reader import MeterTask
from gateway.model import OWN_QUANTITIES

BATCH_BYTES = 490
VALUE_BYTES = 3.2
"""A batch on the wire, compressed: 4.6 bytes a value at 340 values, 3.4 at 2040 (docs/performance.md)."""
TRANSPORT_BYTES = 300
"""Beside each batch: topic, MQTT and TLS records, TCP/IP headers, PUBACK, a share of the receipt."""
ROW_BYTES = 800
STORED_BYTES = 2.6
"""A batch in the journal's file, and a value in it: 31, 4.6 and 3.0 bytes a value with 34, 340 and 2040 of
them (docs/journal.md).
"""
COMMIT_BYTES = 19230
"""What a commit writes beside its row: parts of pages, and most of all ext4's own journal, in blocks of 4096
bytes as a card has them, checkpoints included. 71 GB a year at 340 values every 10 s (docs/journal.md).
"""
REMOUNTED_BYTES = 7910
"""The same where the file system's own journal is written once a minute (card.remount): 36 GB a year."""
MONTH = 30 * 86400
YEAR = 365 * 86400
QUARTERS = 1 / 900
NAMED = 5
"""Meters that are named in a refusal."""


@dataclass(frozen=True, slots=True)
class MeterForecast:
    """One meter: its reads in a fast poll and in one with the slow class, and their time in s."""

    meter: Meter
    fast: tuple[Read, ...]
    both: tuple[Read, ...]
    fast_time: float
    both_time: float
    fast_values: int
    slow_values: int
    unknown: bool
    """The driver must look at the meter before its registers are known."""
    facts: tuple[Fact, ...] = ()

    @property
    def load(self) -> float:
        """The share of the bus's time; 0 when it is polled without pause."""
        return self.load_at(self.meter.interval) if self.meter.interval else 0.0

    def load_at(self, interval: float) -> float:
        """The share at another interval."""
        return self.fast_time / interval + (self.both_time - self.fast_time) * self._slow_rate(interval)

    def values_per_second(self, cycle: float) -> float:
        """What goes to the journal, at its interval or, without pause, once in a cycle of its bus."""
        interval = self.meter.interval or max(cycle, 0.001)
        return self.fast_values / interval + self.slow_values * self._slow_rate(interval)

    def _slow_rate(self, interval: float) -> float:
        """Slow reads per second: at `slow`, and each quarter hour that is not one of its multiples."""
        slow = max(self.meter.slow, interval)
        return 1 / slow if QUARTERS**-1 % slow == 0 else 1 / slow + QUARTERS


@dataclass(frozen=True, slots=True)
class BusForecast:
    """One bus and its meters."""

    bus: Bus
    meters: tuple[MeterForecast, ...]
    facts: tuple[Fact, ...] = ()

    @property
    def load(self) -> float:
        """The share of its time that the polls at their intervals need."""
        return sum(meter.load for meter in self.meters)

    @property
    def cycle(self) -> float:
        """Seconds to poll every meter's fast class once."""
        return sum(meter.fast_time for meter in self.meters)

    def fits(self) -> float | None:
        """The shortest interval in whole seconds that all meters with a shorter one could keep; None when
        theirs fit.
        """
        if self.load <= 1.0:
            return None
        timed = [meter for meter in self.meters if meter.meter.interval]
        low, high = 0.0, 1.0
        while self._load_with(timed, high) > 1.0:
            low, high = high, 2 * high
        while high - low > 0.01:  # s
            middle = (low + high) / 2
            low, high = (low, middle) if self._load_with(timed, middle) <= 1.0 else (middle, high)
        return float(math.ceil(high - 0.01))

    @staticmethod
    def _load_with(meters: Iterable[MeterForecast], interval: float) -> float:
        return sum(meter.load_at(max(interval, meter.meter.interval)) for meter in meters)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What all meters together cause: MB a month to each platform, GB a year to the card."""

    batches_per_second: float
    values_per_second: float
    mb_per_month: float
    gb_per_year: float


@dataclass(frozen=True, slots=True)
class Overload:
    """A bus whose intervals cannot be held: the meters whose interval is too short, and (what is wrong,
    what to write).
    """

    meters: tuple[Meter, ...]
    words: tuple[str, str]


def overload(forecast: BusForecast) -> Overload | None:
    """Why the intervals of a bus cannot be held, and which one fits; None when they can."""
    fits = forecast.fits()
    if fits is None:
        return None
    short = tuple(meter.meter for meter in forecast.meters if 0 < meter.meter.interval < fits)
    names = ", ".join(meter.id for meter in short[:NAMED]) + (
        f" and {len(short) - NAMED} more" if len(short) > NAMED else ""
    )
    what = f"the intervals of bus {forecast.bus.name} need {forecast.load:.0%} of its time and cannot be held"
    return Overload(
        short, (what, f"write interval: {fits:g}s for {names}, raise the baud rate, or use more lines")
    )


def forecast_bus(bus: Bus, tasks: Sequence[MeterTask], learnt: Learnt | None = None) -> BusForecast:
    """The reads of a bus's meters by the prior cost model, with what has been learnt about them."""
    home = learnt or Learnt()
    mine = [task for task in tasks if task.config.bus == bus.name and task.config.enabled]
    return BusForecast(bus, tuple(_forecast(bus, task, home) for task in mine), home.bus(bus).known())


def _forecast(bus: Bus, task: MeterTask, learnt: Learnt) -> MeterForecast:
    driver = task.driver
    facts = learnt.meter(bus, task.config)
    silence = max(driver.limits.min_gap, learnt.bus(bus).silence, wire_of(bus).gap)
    cost = prior(bus, max(silence, facts.pause))
    rules = Rules.of(driver.limits, facts.skipped, facts.max_registers)
    spare = max(0.0, facts.pause - silence)
    fast_rows = [row for row in driver.rows if row.pace == "fast"]
    slow_rows = [row for row in driver.rows if row.pace == "slow"]
    fast = poll_reads(spans_of(fast_rows), rules, cost, keyed_of(fast_rows))
    rows = [*fast_rows, *slow_rows]
    both = poll_reads(spans_of(rows), rules, cost, keyed_of(rows))
    return MeterForecast(
        task.config,
        fast,
        both,
        seconds(fast, cost, spare),
        seconds(both, cost, spare),
        sum(not row.attribute for row in fast_rows),
        sum(not row.attribute for row in slow_rows),
        driver.dynamic,
        facts.known(),
    )


def traffic(
    buses: Sequence[BusForecast],
    commit_interval: float,
    *,
    own: float | None = None,
    remounted: bool = False,
) -> Traffic:
    """Batches close with their slot; a slot in which nobody is polled makes none. `own`: s between two
    readings of the gateway itself, if it takes any. `remounted`: with card.remount.
    """
    meters = [(meter, bus.cycle) for bus in buses for meter in bus.meters]
    intervals = [meter.meter.interval for meter, _ in meters] + ([own] if own else [])
    if not intervals:
        return Traffic(0.0, 0.0, 0.0, 0.0)
    batches = 1 / max(commit_interval, min(intervals))
    values = sum(meter.values_per_second(cycle) for meter, cycle in meters)
    values += len(OWN_QUANTITIES) / own if own else 0.0
    sent = batches * (BATCH_BYTES + TRANSPORT_BYTES) + values * VALUE_BYTES
    # Every row goes to the log and, later, to the file.
    commit = REMOUNTED_BYTES if remounted else COMMIT_BYTES
    written = batches * (commit + 2 * ROW_BYTES) + 2 * values * STORED_BYTES
    return Traffic(batches, values, sent * MONTH / 1e6, written * YEAR / 1e9)


def stored_per_day(
    buses: Sequence[BusForecast], commit_interval: float, *, own: float | None = None
) -> float:
    """Bytes that a day of readings takes in the journal's file; `own` as in `traffic`."""
    total = traffic(buses, commit_interval, own=own)
    return 86400 * (total.batches_per_second * ROW_BYTES + total.values_per_second * STORED_BYTES)
