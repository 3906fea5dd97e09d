"""The gateway's own lamps, button and relay on pins of the Raspberry Pi, as the configuration names them.

A lamp says one thing: steady, it is well; blinking, it is not, or not yet; off, there is none of it, or
nothing runs. `lamps` says so of a snapshot, `Panel` shows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from gateway import status
from gateway.common.troubles import Troubles
from gateway.config import Config, PinsSection
from gateway.host import OutputPin, Pins, PinsError
from gateway.status import Snapshot

log = logging.getLogger(__name__)

TICK = 0.1
"""s; lamps change at its multiples."""
BLINK, FLASH = 1.0, 0.2
"""s of a period: of a lamp that blinks, and of all of them while the gateway shows which one it is."""
EVERY = 2.0
"""s between two looks at how the gateway is."""
IDLE = 5.0
"""s between two looks at a configuration without pins."""
TEST, SHOWN = 1.0, 60.0
"""s that a press lights all lamps, and that they then show how it is, where they are else dark."""
SHORT = (0.05, 2.0)
"""s that a press may take; what is shorter is a contact that bounces."""
LONG_PRESS = 5.0
"""s after which a button is held."""
PATIENCE = 60.0
"""s that trouble must last before the relay falls."""
RETRY = 60.0


class Lamp(StrEnum):
    """What one lamp does."""

    OFF = "off"
    STEADY = "steady"
    BLINKING = "blinking"


class PanelSource(Protocol):
    """The daemon whose state the panel shows."""

    @property
    def config(self) -> Config:
        """The configuration that runs."""

    def snapshot(self) -> Snapshot:
        """The facts of now."""


def lamps(now: Snapshot) -> tuple[dict[str, Lamp], bool]:
    """What each lamp says of a snapshot, and whether there is trouble."""
    verdict = status.judge(now)
    ill = {finding.part for finding in verdict.findings if finding.level in {"bad", "warn", "busy"}}

    def lamp(there: bool, *parts: str) -> Lamp:
        return Lamp.OFF if not there else Lamp.BLINKING if ill.intersection(parts) else Lamp.STEADY

    polled = any(meter.state != "disabled" for meter in now.meters)
    shown = {
        "power": lamp(True, "journal", "gateway", "clock"),
        "buses": lamp(polled, "meter", "bus"),
        "uplink": lamp(bool(now.uplinks), "uplink"),
    }
    return shown, verdict.state == "trouble"


class Panel:
    """Runs lamps, button and relay as `source.config.pins` says, over every reload. `on_long_press` is called
    when the button is held, `on_press` at each short press.
    """

    def __init__(self, source: PanelSource, pins: Pins | None = None) -> None:
        self._source = source
        self._pins = pins or Pins()
        self._running: PinsSection | None = None
        self._lamps: dict[str, OutputPin] = {}
        self._relay: OutputPin | None = None
        self._shown: dict[str, Lamp] = {}
        self._troubles = Troubles(log)
        self._test_until = self._shown_until = self._flash_until = 0.0
        self._trouble_since: float | None = 0.0
        """Monotonic s; at the start nobody has said that all is well."""
        self._judged_at = self._tried_at = -RETRY
        self._pressed_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.on_long_press: Callable[[], None] = lambda: None
        self.on_press: Callable[[], None] = lambda: None

    def identify(self, seconds: float) -> bool:
        """Let all lamps flash for so long; whether there are any."""
        self._flash_until = time.monotonic() + seconds
        return bool(self._lamps)

    async def run(self) -> None:
        """Show how the gateway is, until cancelled; then everything is off."""
        try:
            while True:
                config = self._source.config
                wanted = config.pins
                if wanted != self._running and time.monotonic() - self._tried_at >= RETRY:
                    await self._use(wanted)
                if not (self._lamps or self._relay):
                    await asyncio.sleep(IDLE)
                    continue
                now = time.monotonic()
                if now - self._judged_at >= EVERY:
                    self._judged_at = now
                    self._judge(now)
                self._show(now)
                await asyncio.sleep(TICK - now % TICK)
        finally:
            self._all_off()

    async def _use(self, wanted: PinsSection) -> None:
        """Open the pins of a configuration. What cannot be used is said once, and tried again."""
        self._all_off()
        self._lamps, self._relay, self._running = {}, None, None
        try:
            await asyncio.to_thread(self._open, wanted, asyncio.get_running_loop())
        except PinsError as error:
            self._tried_at = time.monotonic()
            self._troubles.begin("pins", f"lamps, button and relay: {error.message}", error.hint)
            return
        self._troubles.end("pins", "lamps, button and relay are there")
        self._running, self._tried_at = wanted, -RETRY

    def _open(self, wanted: PinsSection, loop: asyncio.AbstractEventLoop) -> None:
        lamps = {name: self._pins.output(pin) for name, pin in wanted.leds.pins().items()}
        relay = None if wanted.relay is None else self._pins.output(wanted.relay)

        def edge(_pin: int, level: bool, tick: int | None) -> None:
            if tick is None:
                return  # how it was found: a button that is stuck was not pressed
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._edge, level)

        if wanted.button is not None:
            self._pins.open(wanted.button, "up", edge)
        self._pins.only([] if wanted.button is None else [wanted.button])
        self._lamps, self._relay = lamps, relay

    def _judge(self, now: float) -> None:
        self._shown, trouble = lamps(self._source.snapshot())
        if not trouble:
            self._trouble_since = None
        elif self._trouble_since is None:
            self._trouble_since = now

    def _show(self, now: float) -> None:
        wired = self._running
        always = wired is not None and wired.leds.always
        for name, pin in self._lamps.items():
            if now < self._flash_until:
                lit = now % FLASH < FLASH / 2
            elif now < self._test_until:
                lit = True
            elif not always and now >= self._shown_until:
                lit = False
            else:
                lamp = self._shown.get(name, Lamp.OFF)
                lit = lamp is Lamp.STEADY or (lamp is Lamp.BLINKING and now % BLINK < BLINK / 2)
            self._set(pin, high=lit)
        if self._relay is not None:
            since = self._trouble_since
            self._set(self._relay, high=since is None or (since > 0.0 and now - since < PATIENCE))

    def _set(self, pin: OutputPin, *, high: bool) -> None:
        try:
            pin.set(high=high)
        except PinsError as error:
            self._troubles.note(f"pin {pin.number}", error.message, every=RETRY)

    def _all_off(self) -> None:
        for pin in (*self._lamps.values(), *([self._relay] if self._relay else [])):
            self._set(pin, high=False)

    # -- the button: pressed while its pin is low

    def _edge(self, level: bool) -> None:
        now = time.monotonic()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        began, self._pressed_at = self._pressed_at, None
        if not level:
            self._pressed_at = now
            self._timer = asyncio.get_running_loop().call_later(LONG_PRESS, self._long_press)
        elif began is not None and SHORT[0] <= now - began <= SHORT[1]:
            self._test_until = now + TEST
            self._shown_until = self._test_until + SHOWN
            self.on_press()

    def _long_press(self) -> None:
        self._timer = self._pressed_at = None
        self._test_until = time.monotonic() + TEST
        self.on_long_press()
