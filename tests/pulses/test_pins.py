"""The adapter to gpiozero: forced to lgpio, clear about a machine without GPIO, lossless over a pause."""

import asyncio
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.exc import PinUnknownPi
from gpiozero.pins import local

from gateway.config.schema import Pulse
from gateway.field.pulses.counting import PulseInputs
from gateway.host import pins as pins_module
from gateway.host.pins import Pins, PinsError

HAS_GPIO = Path("/dev/gpiochip0").exists() or Path("/proc/device-tree/system/linux,revision").exists()


@pytest.fixture(autouse=True)
def no_factory(monkeypatch):
    """Each test finds gpiozero as a fresh process does."""
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    monkeypatch.delenv("LG_WD", raising=False)


class Lgpio(types.ModuleType):
    """The library as far as gpiozero uses it, with a chip in memory. An error in a callback ends it, as it
    ends the real one's thread.
    """

    BOTH_EDGES, RISING_EDGE, FALLING_EDGE = 3, 1, 2
    SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64
    error = type("error", (Exception,), {})

    def __init__(self) -> None:
        super().__init__("lgpio")
        self.flags: dict[int, int] = {}
        self.alerts: set[int] = set()
        self.callbacks: dict[int, object] = {}
        self.alive = True

    def gpiochip_open(self, chip):
        self.chip = chip
        return 1

    def gpiochip_close(self, handle):
        return 0

    def gpio_claim_input(self, handle, gpio, flags=0):
        self.flags[gpio] = flags
        self.alerts.discard(gpio)

    def gpio_claim_alert(self, handle, gpio, edges, flags=0):
        assert edges == self.BOTH_EDGES
        self.flags[gpio] = flags
        self.alerts.add(gpio)

    def gpio_claim_output(self, handle, gpio):
        raise AssertionError("a meter's contact is never driven")

    def gpio_free(self, handle, gpio):
        self.alerts.discard(gpio)

    def gpio_get_mode(self, handle, gpio):
        return self.flags.get(gpio, 0)

    def gpio_read(self, handle, gpio):
        return 1

    def gpio_set_debounce_micros(self, handle, gpio, micros):
        raise AssertionError("the filter is ours")

    def callback(self, handle, gpio, edges, func):
        self.callbacks[gpio] = func
        return types.SimpleNamespace(cancel=lambda: self.callbacks.pop(gpio, None))

    def fire(self, gpio, level, tick) -> None:
        if self.alive and gpio in self.alerts and gpio in self.callbacks:
            self.alive = False
            self.callbacks[gpio](1, gpio, level, tick)
            self.alive = True


@pytest.fixture
def lgpio(monkeypatch):
    library = Lgpio()
    monkeypatch.setitem(sys.modules, "lgpio", library)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    monkeypatch.setattr(local, "get_pi_revision", lambda: 0xC03114)
    monkeypatch.setattr(local.LocalPiFactory, "pins", {})
    yield library
    sys.modules.pop("gpiozero.pins.lgpio", None)


def test_edges_come_with_the_kernels_time_through_lgpio(lgpio) -> None:
    pins, edges = Pins(), []
    pins.open(17, "up", lambda *edge: edges.append(edge))
    assert os.environ["GPIOZERO_PIN_FACTORY"] == "lgpio"
    assert lgpio.flags[17] & lgpio.SET_PULL_UP
    lgpio.fire(17, 0, 123_456_789_000)
    lgpio.fire(17, 1, 123_486_789_000)
    assert edges == [(17, True, None), (17, False, 123_456_789_000), (17, True, 123_486_789_000)]


def test_another_resistor_keeps_the_watch(lgpio) -> None:
    pins, edges = Pins(), []
    pins.open(17, "up", lambda *edge: edges.append(edge))
    pins.pause()
    pins.open(17, "down", lambda *edge: edges.append(edge))
    assert lgpio.flags[17] & lgpio.SET_PULL_DOWN
    lgpio.fire(17, 0, 5_000_000)
    assert edges[-1] == (17, False, 5_000_000)
    assert lgpio.alive


def test_edges_of_a_pause_come_later_with_their_own_times(lgpio) -> None:
    pins, edges = Pins(), []
    pins.open(17, "up", lambda *edge: edges.append(edge))
    pins.pause()
    lgpio.fire(17, 0, 1_000_000)
    lgpio.fire(17, 1, 2_000_000)
    assert edges == [(17, True, None)]
    pins.open(17, "up", lambda *edge: edges.append(edge))
    assert edges[1:] == [(17, True, None), (17, False, 1_000_000), (17, True, 2_000_000)]
    lgpio.fire(17, 0, 3_000_000)
    assert edges[-1] == (17, False, 3_000_000)


def test_a_pin_that_nobody_wants_is_ignored_also_over_a_pause(lgpio) -> None:
    pins, edges = Pins(), []
    pins.open(17, "up", lambda *edge: edges.append(edge))
    for _ in range(2):
        pins.pause()
        lgpio.fire(17, 0, 1_000_000)
        pins.only({18})
        lgpio.fire(17, 1, 2_000_000)
    pins.open(17, "up", lambda *edge: edges.append(edge))
    assert edges == [(17, True, None)] * 2


@pytest.mark.skipif(HAS_GPIO, reason="this machine has GPIO")
def test_a_machine_without_gpio_says_so() -> None:
    with pytest.raises(PinsError) as caught:
        Pins().open(17, "up", lambda *_: None)
    assert "no GPIO" in caught.value.message
    assert caught.value.hint


@pytest.mark.skipif(HAS_GPIO, reason="this machine has lgpio")
def test_a_pi_without_the_library_says_which_to_install(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(pins_module, "CHIP", tmp_path)
    with pytest.raises(PinsError, match="lgpio") as caught:
        Pins().open(17, "up", lambda *_: None)
    assert "pip install lgpio==0.2.2.0" in caught.value.hint


def test_a_machine_that_is_no_pi_says_so(lgpio, monkeypatch) -> None:
    def unknown():
        raise PinUnknownPi("no revision")

    monkeypatch.setattr(local, "get_pi_revision", unknown)
    with pytest.raises(PinsError, match="not a Raspberry Pi"):
        Pins().open(17, "up", lambda *_: None)


@pytest.mark.parametrize(
    ("error", "words", "hint"),
    [
        (PermissionError(13, "Permission denied"), "chip cannot be opened", "group gpio"),
        (FileNotFoundError(2, "No such file", ".lgd-nfy-3"), "cannot make its pipe", "LG_WD"),
        (Lgpio.error("can not open gpiochip"), "can not open gpiochip", "/dev/gpiochip0"),
    ],
)
def test_a_chip_that_cannot_be_opened_says_what_to_look_at(lgpio, error, words, hint) -> None:
    def refuse(chip):
        raise error

    lgpio.gpiochip_open = refuse
    with pytest.raises(PinsError, match=words) as caught:
        Pins().open(17, "up", lambda *_: None)
    assert hint in caught.value.hint


@pytest.mark.parametrize(("name", "words"), [("native", "loses pulses"), ("nonsense", "not a pin factory")])
def test_another_factory_is_an_error(monkeypatch, name, words) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", name)
    with pytest.raises(PinsError, match=words) as caught:
        Pins().open(17, "up", lambda *_: None)
    assert "lgpio" in caught.value.hint


def test_a_pin_in_use_until_it_is_free_and_a_pin_that_is_not_there(lgpio) -> None:
    def busy(*_):
        raise lgpio.error("'GPIO busy'")

    pins = Pins()
    pins.open(17, "up", lambda *_: None)
    with pytest.raises(PinsError, match="no GPIO 99"):
        pins.open(99, "up", lambda *_: None)
    claim, lgpio.gpio_claim_alert = lgpio.gpio_claim_alert, busy
    with pytest.raises(PinsError, match="used by another program"):
        pins.open(18, "up", lambda *_: None)
    lgpio.gpio_claim_alert = claim
    edges = []
    pins.open(18, "up", lambda *edge: edges.append(edge))
    lgpio.fire(18, 0, 1_000_000)
    assert edges[-1] == (18, False, 1_000_000)


def test_a_read_only_directory_gets_a_pipe_elsewhere_and_stays_the_working_directory(
    monkeypatch, tmp_path
) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(runtime))
    monkeypatch.setattr(os, "access", lambda *_: False)
    home = Path.cwd()
    with pins_module._writable_directory():
        assert os.environ["LG_WD"] == str(runtime)
        os.chdir(os.environ["LG_WD"])  # as the library does
    assert Path.cwd() == home


@pytest.mark.skipif(HAS_GPIO, reason="this machine has GPIO")
async def test_without_gpio_the_readings_say_so_and_the_register_stays(caplog) -> None:
    readings = []
    pulse = Pulse(id="water", pin=17, per_unit=1000, quantity="volume")
    carried = {"water": {"count": 70, "register": 12.5, "quantity": "volume"}}
    inputs = PulseInputs([pulse], readings.append, carried, interval=0.05)
    task = asyncio.create_task(inputs.run())
    await asyncio.sleep(0.5)
    assert inputs.set("water", 13.0)["old"] == 12.5
    carried = inputs.carry()["pulses"]["water"]
    assert (carried["count"], carried["register"], carried["quantity"]) == (70, 13.0, "volume")
    await inputs.stop()
    await asyncio.wait_for(task, 5)
    assert {(reading.missing, len(reading.values)) for reading in readings} == {("not_available", 0)}
    assert inputs.health()[0].state == "failed"
    assert sum("does not count" in record.message for record in caplog.records) == 1


def test_gpiozero_is_loaded_only_when_a_pin_is_opened() -> None:
    code = (
        "import sys, gateway.field.pulses.counting, gateway.host.pins; gateway.host.pins.Pins(); "
        "print('gpiozero' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert answer.stdout.strip() == "False"
