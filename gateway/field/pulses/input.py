"""One pulse input: its filter, its register, and how both are doing."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

from gateway.config import Pulse
from gateway.field.pulses.filter import PulseFilter, Rejected
from gateway.field.pulses.register import PulseRegister
from gateway.model import QUANTITIES, Reading

MINUTE = 60.0
MOST_REJECTED = 20
"""Evenly spaced pulses that may be rejected within a minute before the contact is called too fast for its
limits.
"""

PulseState = Literal["starting", "counting", "failed"]


@dataclass(frozen=True, slots=True)
class PulseHealth:
    """One input. `count` and `register` (in `unit`) are those of now; `short`, `gap` and `rate` count what
    was rejected, by reason.

    `per_minute` is over the last minute, None while nobody knows; `age` in s since the newest pulse of this
    run; `closed` whether the contact is closed now. `doubt` is why the display should be read and the
    register set, `fast` whether the contact gives pulses that its limits reject.
    """

    id: str
    label: str
    pin: int
    state: PulseState
    error: str
    quantity: str
    unit: str
    count: int
    register: float
    short: int
    gap: int
    rate: int
    per_minute: float | None
    age: float | None
    closed: bool
    doubt: str = ""
    fast: bool = False


@dataclass(slots=True)
class Kept:
    """What a reload leaves of a pin for the next counter: the filter goes on in the middle of a pulse,
    whoever it is counted for.
    """

    id: str
    pull: str
    filter: PulseFilter
    newest: float | None = None


class PulseInput:
    """One input: the filter belongs to the counting thread, all else to the event loop."""

    def __init__(self, config: Pulse, carried: object, kept: Kept | None) -> None:
        self.config = config
        self.register = PulseRegister(config, carried)
        if kept is None or kept.pull != config.pull:
            kept = Kept(config.id, config.pull, PulseFilter(*config.limits))
        self.kept = kept
        self.filter = kept.filter
        self.filter.limit(*config.limits)
        if self.kept.id != config.id:  # another meter on the same pin
            self.kept.id, self.kept.newest, self.filter.rejected = config.id, None, Rejected()
        self.state: PulseState = "starting"
        self.error = ""
        self._before = self.register.carried - self.filter.count
        self.newest = self.register.carry(self.register.carried)
        """The newest reading, as the next batch carries it."""
        self.fast = False
        """Faster than its meter or its limits can be, at the last reading."""
        rejected = self.filter.rejected
        self._too_many = rejected.rate
        """Pulses that the rate had rejected at the last reading."""
        self._samples: deque[tuple[float, int, int, int]] = deque()

    @property
    def count(self) -> int:
        """Pulses ever counted."""
        return self._before + self.filter.count

    def edge(self, level: bool, tick: int, *, found: bool) -> None:
        """Take an edge, in the counting thread: a contact pulls its pin to ground unless the pin is pulled
        down.
        """
        closed = level == (self.config.pull == "down")
        if found:
            self.filter.found(closed, tick)
        elif self.filter.edge(closed, tick):
            self.kept.newest = time.monotonic()

    def read(self, uptime: int) -> Reading:
        """A reading of now; it is what the next batch carries."""
        self.newest = self.register.carry(self.count)
        if self.state != "counting":
            return Reading(self.config.id, uptime, missing="not_available")
        values = {"pulse_count": self.newest["count"], self.config.quantity: self.newest["register"]}
        rejected, before = self.filter.rejected, self._too_many
        self._too_many = rejected.rate
        suspect = self._too_many > before or self.too_fast
        return Reading(self.config.id, uptime, values, suspect=tuple(values) if suspect else ())

    def sample(self, now: float) -> None:
        """Remember the counts for the rates."""
        rejected = self.filter.rejected
        self._samples.append((now, self.count, rejected.short + rejected.gap, self.filter.regular))
        while len(self._samples) > 1 and self._samples[1][0] <= now - MINUTE:
            self._samples.popleft()

    @property
    def too_fast(self) -> bool:
        """Whether its limits reject pulses that came evenly over the last minute, as only a meter or the
        mains gives them.

        From a tenth of what was counted on: a register that misses so much is wrong.
        """
        if not self._samples:
            return False
        rejected, (_, count, other, regular) = self.filter.rejected, self._samples[0]
        noise, even = rejected.short + rejected.gap - other, self.filter.regular - regular
        return even >= MOST_REJECTED and 4 * even > noise and 10 * even > self.count - count

    def health(self, now: float) -> PulseHealth:
        """How it is now."""
        config, rejected, count = self.config, self.filter.rejected, self.count
        then, before = self._samples[0][:2] if self._samples else (now, count)
        newest = self.kept.newest
        return PulseHealth(
            id=config.id,
            label=config.label,
            pin=config.pin,
            state=self.state,
            error=self.error,
            quantity=config.quantity,
            unit=QUANTITIES[config.quantity].unit,
            count=count,
            register=self.register.at(count),
            short=rejected.short,
            gap=rejected.gap,
            rate=rejected.rate,
            per_minute=(count - before) / (now - then) * MINUTE
            if now - then >= 1.0 and self.state == "counting"
            else None,
            age=None if newest is None else now - newest,
            closed=self.filter.closed,
            doubt=self.register.doubt,
            fast=self.fast,
        )
