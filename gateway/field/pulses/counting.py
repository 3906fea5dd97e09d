"""Meters with a pulse output: edges are counted in a thread of their own, readings are made on the event
loop.

What rides in the journal and what was read are the same by construction: a reading and the carried state are
made in one step on the event loop (`_read_all`), from one count. So `carry()` at the moment a batch is handed
over describes exactly the newest reading of each input that is in this batch or in an earlier one. A power
cut costs the pulses counted after that reading: those of the open slot. The counting thread only ever adds to
its own integers, which the loop only reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.common.troubles import Troubles
from gateway.common.wait import wait_for_event
from gateway.config import Pulse
from gateway.errors import GatewayError
from gateway.field.pulses.input import Kept, PulseHealth, PulseInput
from gateway.field.schedule import boundary_after
from gateway.host import Pins, PinsError, PinSource, uptime_ms
from gateway.model import QUANTITIES, Event, Reading

__all__ = ["PulseHealth", "PulseInputs"]

log = logging.getLogger(__name__)

RETRY = 60.0
"""s between two attempts to open a pin."""
MOST_REMOVED = 64
"""Inputs that are not in the configuration any more, and whose registers are kept in case they come back."""


class PulseInputs:
    """Counts the pulses of all inputs and gives a reading of each at the multiples of `interval` (s) on the
    wall clock.

    `carried` is what `carry()["pulses"]` was at the newest batch. `events` gets what else should be known.
    `pins` outlives this object when a reload makes another: then no pulse is lost between the two. `uptime`
    is CLOCK_BOOTTIME in ms, `wall` UTC in s.
    """

    def __init__(
        self,
        pulses: Sequence[Pulse],
        sink: Callable[[Reading], None],
        carried: Mapping[str, Any] | None = None,
        events: Callable[[Event], None] = lambda _: None,
        *,
        pins: PinSource | None = None,
        interval: float = 10.0,
        uptime: Callable[[], int] = uptime_ms,
        wall: Callable[[], float] = time.time,
    ) -> None:
        carried = carried if isinstance(carried, Mapping) else {}
        self._pins = pins or Pins()
        self.inputs = {pulse.id: self._input(pulse, carried.get(pulse.id)) for pulse in pulses}
        removed = [(name, state) for name, state in carried.items() if name not in self.inputs]
        self._removed = dict(removed[-MOST_REMOVED:])
        self._sink, self._events = sink, events
        self._told = False
        self._interval, self._uptime, self._wall = interval, uptime, wall
        self._edges: queue.SimpleQueue[tuple[PulseInput, bool, int, bool] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._count, name="pulses", daemon=True)
        self._opening = asyncio.Lock()
        self._open_at = 0.0
        self._due: float | None = None
        self._woken = asyncio.Event()
        self._stopping = False
        self._troubles = Troubles(log)
        self._silent: set[str] = set()
        """Inputs that do not count, as it was last said."""

    def _input(self, pulse: Pulse, carried: object) -> PulseInput:
        pins = self._pins.kept
        kept = pins.get(pulse.pin)
        made = PulseInput(pulse, carried, kept if isinstance(kept, Kept) else None)
        pins[pulse.pin] = made.kept
        return made

    async def run(self) -> None:
        """Count until `stop`."""
        loop = asyncio.get_running_loop()
        self._tell_beginnings()
        if not self._stopping and self._thread.ident is None:
            self._thread.start()
        while not self._stopping:
            self._due = loop.time()
            await self._open()
            if self._stopping:
                return
            self._read_all()
            self._due = boundary_after(self._interval, loop.time(), self._wall() - loop.time())
            await wait_for_event(self._woken, self._due - loop.time())

    async def stop(self) -> None:
        """End `run`; what was counted until now is in a last reading."""
        if self._stopping:
            return
        self._stopping = True
        self._woken.set()
        async with self._opening:
            if self._thread.ident is None:
                return
            self._pins.pause()
            self._edges.put(None)
            await asyncio.to_thread(self._thread.join)
        for entry in self.inputs.values():
            if entry.count != entry.newest["count"]:
                self._sink(entry.read(self._uptime()))

    def next_due(self) -> float | None:
        """Monotonic time of the next reading; None before the start."""
        return self._due

    def carry(self) -> dict[str, Any]:
        """What must ride with the next batch: the newest reading of each input, and the registers of
        inputs that are gone.
        """
        return {"pulses": {**self._removed, **{name: entry.newest for name, entry in self.inputs.items()}}}

    def set(self, meter: str, value: float) -> dict[str, Any]:
        """The meter's display shows `value` now. A reading and an event say so at once. Raises
        GatewayError.
        """
        entry = self._find(meter)
        quantity = QUANTITIES[entry.config.quantity]
        if not math.isfinite(value) or not 0.0 <= value <= quantity.high:
            raise GatewayError(
                f"{value} is not what a register can show",
                hint=f"write a number of {quantity.unit} from 0 to {quantity.high:g}",
            )
        count = entry.count
        old = entry.register.at(count)
        entry.register.set(count, value)
        reading = self.poll(meter)
        fields = {
            "meter": meter,
            "quantity": quantity.name,
            "old": old,
            "new": value,
            "pulse_count": count,
            "why": "set",
        }
        self._events(Event("pulse_register_set", reading.uptime, fields))
        log.info("pulse input %s: its register was %s, is set to %s %s", meter, old, value, quantity.unit)
        return fields

    def began(self, why: str, *, doubt: bool = True) -> None:
        """Tell why the registers may not go on where they were; `doubt` asks for the displays to be read."""
        for entry in self.inputs.values():
            self._tell_beginning(entry, why, doubt=doubt)

    def _tell_beginnings(self) -> None:
        """Once: which registers begin without a past, and which the configuration has moved."""
        if self._told:
            return
        self._told = True
        for entry in self.inputs.values():
            register, count = entry.register, entry.count
            if register.began:
                self._tell_beginning(entry, register.began, doubt=register.doubt == register.began)
            if register.changed:
                fields = {
                    "meter": entry.config.id,
                    "quantity": register.quantity,
                    **register.changed,
                    "pulse_count": count,
                }
                self._events(Event("pulse_register_set", self._uptime(), fields))
                log.warning(
                    "pulse input %s: %s; its register was %s, is %s %s",
                    entry.config.id,
                    fields["why"],
                    fields["old"],
                    fields["new"],
                    QUANTITIES[register.quantity].unit,
                )

    def _tell_beginning(self, entry: PulseInput, why: str, *, doubt: bool = True) -> None:
        count, name = entry.count, entry.config.id
        register, unit = entry.register.at(count), QUANTITIES[entry.config.quantity].unit
        fields = {"meter": name, "count": count, "register": register, "why": why}
        self._events(Event("pulse_register_started", self._uptime(), fields))
        if not doubt:
            return
        entry.register.doubt = why
        log.warning(
            "pulse input %s: its register goes on from %s %s at pulse %s: %s → %s",
            name,
            register,
            unit,
            count,
            why,
            f"read the display and set it: submeter pulses set {name} VALUE",
        )

    def poll(self, meter: str) -> Reading:
        """A reading of now, beside those that are due. Raises GatewayError when there is no such input."""
        reading = self._find(meter).read(self._uptime())
        self._sink(reading)
        return reading

    def health(self) -> tuple[PulseHealth, ...]:
        """The health of every input, in the order of the configuration."""
        now = time.monotonic()
        return tuple(entry.health(now) for entry in self.inputs.values())

    def _find(self, meter: str) -> PulseInput:
        if meter not in self.inputs:
            raise GatewayError(
                f"there is no pulse input {meter!r}",
                hint=f"the pulse inputs are: {', '.join(self.inputs) or 'none'}",
            )
        return self.inputs[meter]

    def _put(self, entry: PulseInput, _pin: int, level: bool, tick: int | None) -> None:
        # What was found has no time of its own: it dates from now, on the clock of the edges.
        self._edges.put((entry, level, time.monotonic_ns() if tick is None else tick, tick is None))

    def _count(self) -> None:
        while (item := self._edges.get()) is not None:
            entry, level, tick, found = item
            entry.edge(level, tick, found=found)

    def _read_all(self) -> None:
        now, uptime = time.monotonic(), self._uptime()
        for entry in self.inputs.values():
            entry.sample(now)
            reading = entry.read(uptime)
            self._sink(reading)
            if reading.suspect and not entry.fast:
                log.warning("%s", _too_fast(entry))
                if entry.too_fast:
                    entry.register.doubt = "pulses came faster than its limits let them be counted"
            entry.fast = bool(reading.suspect)

    async def _open(self) -> None:
        """Open the pins that are not open, now and then."""
        now = time.monotonic()
        closed = [entry for entry in self.inputs.values() if entry.state != "counting"]
        if not closed or now < self._open_at:
            return
        async with self._opening:
            if self._stopping:
                return
            # The library takes its time to load.
            await asyncio.to_thread(self._open_pins, closed)
        self._open_at = now + RETRY
        self._say()

    def _open_pins(self, entries: Sequence[PulseInput]) -> None:
        # All lines settle together.
        for entry in entries:
            with contextlib.suppress(PinsError):  # said below
                self._pins.claim(entry.config.pin, entry.config.pull)
        for entry in entries:
            try:
                self._pins.open(entry.config.pin, entry.config.pull, functools.partial(self._put, entry))
            except PinsError as error:
                entry.state, entry.error = "failed", str(error)
            else:
                entry.state, entry.error = "counting", ""
        self._pins.only({entry.config.pin for entry in self.inputs.values()})

    def _say(self) -> None:
        """Say what keeps inputs from counting, those with the same trouble together, and who counts again."""
        failed: dict[str, list[str]] = {}
        for entry in self.inputs.values():
            if entry.error:
                failed.setdefault(entry.error, []).append(entry.config.id)
        for error in set(self._troubles.open) - set(failed):
            self._troubles.forget(error)
        for error, names in failed.items():
            self._troubles.begin(error, _problem(names, error), kind=tuple(names))
        silent = {name for names in failed.values() for name in names}
        for name in self._silent - silent:
            log.info("pulse input %s counts again", name)
        self._silent = silent


def _problem(names: Sequence[str], error: str) -> str:
    return (
        f"pulse input {names[0]} does not count: {error}"
        if len(names) == 1
        else f"pulse inputs {', '.join(names)} do not count: {error}"
    )


def _too_fast(entry: PulseInput) -> str:
    name, (width, gap, rate) = entry.config.id, entry.config.limits
    if entry.too_fast:
        rejected, most = entry.filter.rejected, entry.config.fastest
        return (
            f"pulse input {name} gets even pulses that its limits reject (too short: {rejected.short}, gap "
            f"too short: {rejected.gap}): "
            f"min_width {width:g} s and min_gap {gap:g} s allow {most:.3g} a second "
            "→ make them smaller if the meter is that fast, else look for mains hum on its cable"
        )
    return (
        f"pulse input {name} gives more than {rate:g} pulses a second: those are not counted → is "
        f"max_rate right?"
    )
