"""Lamps, button and relay on pins in memory: what each of them says of which gateway."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
from gpiozero.pins.mock import MockFactory

from gateway.config import parse_config
from gateway.daemon.service import panel as panel_module
from gateway.daemon.service.panel import Lamp, Panel, lamps
from gateway.host import Pins
from gateway.status import (
    BusView,
    ClockView,
    JournalView,
    MeterView,
    Snapshot,
    UplinkView,
    ValueView,
)
from tests.waiting import until

NOW = 1_800_000_000_000
POWER, BUSES, UPLINK, BUTTON, RELAY = 5, 6, 13, 26, 16
WIRED = "pins: {leds: {power: 5, buses: 6, uplink: 13}, button: 26, relay: 16}\n"
WHOLE = Snapshot(
    gateway="g", name="G", version="1", timezone="UTC", language="en",
    taken=NOW, booted=10**9, uptime=90_000.0,
    clock=ClockView(synced=True), journal=JournalView("e", 7, newest=NOW),
    meters=(MeterView("m", "M", "answering", "line", 1, "d", values=(ValueView("active_power", 1.0, 1.0),)),),
    buses=(BusView("line", "serial", "/dev/x", "open"),),
    uplinks=(UplinkView("city", "h:1", "connected", last_receipt=NOW, last_delivery=NOW),),
)  # fmt: skip
STEADY, BLINKING, OFF = Lamp.STEADY, Lamp.BLINKING, Lamp.OFF
LOST = replace(WHOLE.meters[0], state="lost", missing="timeout")


@pytest.mark.parametrize(
    ("now", "said", "trouble"),
    [
        (WHOLE, (STEADY, STEADY, STEADY), False),
        (replace(WHOLE, meters=(LOST,)), (STEADY, BLINKING, STEADY), True),
        (replace(WHOLE, meters=(replace(LOST, state="disabled"),)), (BLINKING, OFF, STEADY), False),
        (replace(WHOLE, meters=(), buses=(), uplinks=()), (BLINKING, OFF, OFF), False),
        (replace(WHOLE, uplinks=()), (STEADY, STEADY, OFF), False),
        (
            replace(WHOLE, uplinks=(replace(WHOLE.uplinks[0], state="refused"),)),
            (STEADY, STEADY, BLINKING),
            True,
        ),
        (replace(WHOLE, journal=replace(WHOLE.journal, state="failed")), (BLINKING, STEADY, STEADY), True),
        (replace(WHOLE, clock=ClockView(synced=False)), (BLINKING, STEADY, STEADY), False),
    ],
)
def test_what_each_lamp_says(now, said, trouble) -> None:
    shown, bad = lamps(now)
    assert tuple(shown.values()) == said
    assert bad is trouble


class Gateway:
    """A gateway whose snapshot and configuration a test sets."""

    def __init__(self, text: str = WIRED) -> None:
        self.now = WHOLE
        self.factory = MockFactory()
        self.configure(text)
        self.held: list[str] = []
        self.panel = Panel(self, Pins(self.factory))
        self.panel.on_long_press = lambda: self.held.append("held")
        self.panel.on_press = lambda: self.held.append("pressed")

    def configure(self, text: str) -> None:
        self.config = parse_config(f"gateway: {{id: g}}\n{text}")

    def snapshot(self) -> Snapshot:
        return self.now

    def lit(self, pin: int) -> bool:
        return bool(self.factory.pin(pin).state)


@pytest.fixture
def quick(monkeypatch):
    for name, value in {"EVERY": 0.05, "TICK": 0.01, "IDLE": 0.02, "RETRY": 0.1, "PATIENCE": 0.3}.items():
        monkeypatch.setattr(panel_module, name, value)


async def changes(gateway: Gateway, pin: int, times: int = 4) -> None:
    for _ in range(times):
        before = gateway.lit(pin)
        await until(lambda before=before: gateway.lit(pin) is not before)


@pytest.fixture
async def gateway(quick):
    made = Gateway()
    task = asyncio.create_task(made.panel.run())
    await until(lambda: made.lit(POWER))
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not any(map(made.lit, (POWER, BUSES, UPLINK, RELAY)))  # off is off, when nothing runs


async def test_steady_and_blinking(gateway) -> None:
    await until(lambda: all(map(gateway.lit, (POWER, BUSES, UPLINK))))
    gateway.now = replace(WHOLE, meters=(LOST,))
    await changes(gateway, BUSES)
    assert gateway.lit(POWER)
    assert gateway.lit(UPLINK)
    gateway.now = WHOLE
    await until(lambda: gateway.panel._shown["buses"] is STEADY)
    await until(lambda: gateway.lit(BUSES))


async def test_the_relay_falls_when_trouble_lasts_and_is_held_again_after_it(gateway) -> None:
    await until(lambda: gateway.lit(RELAY))
    gateway.now = replace(WHOLE, meters=(LOST,))
    await until(lambda: not gateway.lit(RELAY))
    gateway.now = WHOLE
    await until(lambda: gateway.lit(RELAY))


async def test_trouble_that_passes_does_not_move_the_relay(gateway, monkeypatch) -> None:
    monkeypatch.setattr(panel_module, "PATIENCE", 60.0)
    await until(lambda: gateway.lit(RELAY))
    gateway.now = replace(WHOLE, meters=(LOST,))
    await until(lambda: gateway.panel._trouble_since is not None)
    await asyncio.sleep(0.1)
    assert gateway.lit(RELAY)


async def test_at_the_start_nobody_has_said_that_all_is_well(quick) -> None:
    made = Gateway()
    made.now = replace(WHOLE, meters=(LOST,))
    task = asyncio.create_task(made.panel.run())
    await until(lambda: made.panel._shown)
    assert not made.lit(RELAY)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def press(gateway: Gateway) -> None:
    gateway.factory.pin(BUTTON).drive_low()


def release(gateway: Gateway) -> None:
    gateway.factory.pin(BUTTON).drive_high()


async def test_a_short_press_is_heard_once_however_the_contact_bounces(gateway, monkeypatch) -> None:
    monkeypatch.setattr(panel_module, "SHORT", (0.05, 30.0))
    for _ in range(3):  # bounces
        press(gateway)
        release(gateway)
    press(gateway)
    await asyncio.sleep(0.2)
    assert not gateway.held
    release(gateway)
    await until(lambda: gateway.held)
    press(gateway)
    release(gateway)
    await asyncio.sleep(0.1)
    assert gateway.held == ["pressed"]


async def test_held_long_enough_it_is_held_and_not_pressed(gateway, monkeypatch) -> None:
    monkeypatch.setattr(panel_module, "LONG_PRESS", 0.1)
    press(gateway)
    await until(lambda: gateway.held)
    release(gateway)
    await asyncio.sleep(0.1)
    assert gateway.held == ["held"]


async def test_a_button_that_is_stuck_at_the_start_was_not_pressed(quick, monkeypatch) -> None:
    monkeypatch.setattr(panel_module, "LONG_PRESS", 0.05)
    made = Gateway()
    made.factory.pin(BUTTON).drive_low()
    task = asyncio.create_task(made.panel.run())
    await until(lambda: made.lit(POWER))
    await asyncio.sleep(0.2)
    assert not made.held
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_dark_lamps_show_how_it_is_after_a_press(quick, monkeypatch) -> None:
    monkeypatch.setattr(panel_module, "SHORT", (0.0, 30.0))
    monkeypatch.setattr(panel_module, "TEST", 0.05)
    monkeypatch.setattr(panel_module, "SHOWN", 0.5)
    made = Gateway("pins: {leds: {power: 5, always: false}, button: 26}\n")
    task = asyncio.create_task(made.panel.run())
    await until(lambda: made.panel._shown)
    await asyncio.sleep(0.1)
    assert not made.lit(POWER)
    press(made)
    release(made)
    await until(lambda: made.lit(POWER))
    await until(lambda: not made.lit(POWER))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_which_gateway_it_is(gateway) -> None:
    assert gateway.panel.identify(30.0)
    await changes(gateway, UPLINK)
    assert not Gateway("").panel.identify(1.0)


async def test_a_reload_moves_the_lamps(gateway) -> None:
    gateway.configure("pins: {leds: {power: 21}}\n")
    await until(lambda: gateway.lit(21))
    assert not any(map(gateway.lit, (POWER, BUSES, UPLINK, RELAY)))
    gateway.configure("")
    await until(lambda: not gateway.lit(21))


async def test_a_machine_without_pins_is_said_once_and_tried_again(quick, caplog, monkeypatch) -> None:
    tries = []

    def machine():
        tries.append(1)
        raise panel_module.PinsError("this machine has no GPIO: it is not a Raspberry Pi", hint="move them")

    monkeypatch.setattr("gateway.host.pins._machine", machine)
    made = SimpleNamespace(config=parse_config("gateway: {id: g}\n" + WIRED), snapshot=lambda: WHOLE)
    task = asyncio.create_task(Panel(made, Pins()).run())
    await until(lambda: len(tries) > 2)
    assert caplog.text.count("lamps, button and relay: this machine has no GPIO") == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
