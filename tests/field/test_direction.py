"""The direction pin of an RS-485 driver: held for exactly as long as a request is on the line."""

from __future__ import annotations

import os
import struct
import threading
import time
from types import SimpleNamespace

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from gateway.commissioning.scan import LineSetting, SerialProbe
from gateway.errors import BusDown
from gateway.field.port import direction
from gateway.field.port.direction import Direction
from gateway.field.port.modbus import ModbusPort
from gateway.host import Pins

PIN = 18
REQUEST = bytes(8)
CHARACTER = 10 / 9600


@pytest.fixture
def factory(monkeypatch):
    """Pins in memory, as the whole process finds them."""
    made = MockFactory()
    monkeypatch.setattr(Device, "pin_factory", made)
    return made


@pytest.fixture
def port():
    master, slave = os.openpty()
    yield os.ttyname(slave), slave, master
    os.close(slave)
    os.close(master)


def held(factory) -> list[tuple[float, bool]]:
    """(time, level) of each change of the pin since it was made an output."""
    return [(each.timestamp, bool(each.state)) for each in factory.pin(PIN).states if each.state is not None]


def highs(factory) -> list[float]:
    """For how long it was high, each time, in s."""
    found, since = [], None
    for delta, level in held(factory):
        if level:
            since = True
        elif since:
            found.append(delta)
            since = None
    return found


@pytest.mark.parametrize("baudrate", [2400, 19200])
async def test_a_reading_over_a_line_with_a_direction_pin(serial, factory, baudrate) -> None:
    line, bus = serial(baudrate=baudrate, turnaround=0.5)
    bus = bus.model_copy(update={"direction_pin": PIN})
    found = ModbusPort(bus)
    await found.open()
    try:
        assert factory.pin(PIN).state == 0
        for _ in range(3):
            assert len(await found.read(1, 4, 0, 2, 10.0)) == 4
            assert factory.pin(PIN).state == 0  # a meter that talks is heard
    finally:
        found.close()
    assert len(highs(factory)) == 3
    # No bit leaves faster than the line: 8 characters of 10 bits.
    assert min(highs(factory)) >= 80 / baudrate * 0.95
    assert line.stats.requests == 3


def waiting_uart(monkeypatch, empty: threading.Event) -> None:
    def ioctl(_handle, request, _data):
        assert request == direction.GETLSR
        return struct.pack("I", direction.EMPTY if empty.is_set() else 0)

    monkeypatch.setattr(direction.fcntl, "ioctl", ioctl)


def test_the_uart_itself_says_when_the_last_bit_has_left(monkeypatch, factory, port) -> None:
    empty = threading.Event()
    waiting_uart(monkeypatch, empty)
    held_line = Direction(PIN, "line", port[1])
    sending = threading.Thread(target=held_line.send_now, args=(REQUEST, 0.0001))
    sending.start()
    assert os.read(port[2], 99) == REQUEST
    time.sleep(0.1)  # long after the line's own time
    assert factory.pin(PIN).state == 1
    empty.set()
    sending.join(30)
    assert factory.pin(PIN).state == 0
    held_line.close()


@pytest.mark.parametrize("behind", [0.0, 0.003])
def test_the_line_is_let_go_as_soon_as_the_last_bit_has_left(monkeypatch, factory, port, behind) -> None:
    """On a clock of the test: how late this machine's own is says nothing of the rule."""
    now, gone = [100.0], 100.0 + len(REQUEST) * CHARACTER + behind
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    monkeypatch.setattr(direction, "time", clock)

    def ioctl(_handle, _request, _data):
        return struct.pack("I", direction.EMPTY if now[0] >= gone else 0)

    monkeypatch.setattr(direction.fcntl, "ioctl", ioctl)
    held_line = Direction(PIN, "line", port[1])
    held_line.send_now(REQUEST, CHARACTER)
    assert behind <= held_line.late <= behind + 2 * direction.NAP
    held_line.close()


def test_a_uart_that_never_says_it_does_not_hold_the_line_for_ever(
    monkeypatch, factory, port, caplog
) -> None:
    monkeypatch.setattr(direction, "STUCK", 0.05)
    waiting_uart(monkeypatch, threading.Event())
    held_line = Direction(PIN, "/dev/ttyAMA0", port[1])
    held_line.send_now(REQUEST, 0.0001)
    assert factory.pin(PIN).state == 0
    assert held_line.late > 0.05
    assert "/dev/ttyAMA0: the direction pin was let go" in caplog.text
    held_line.send_now(REQUEST, 0.0001)
    assert caplog.text.count("was let go") == 1
    held_line.close()


def test_a_driver_that_does_not_answer_is_waited_for(monkeypatch, factory, port) -> None:
    drained = []
    monkeypatch.setattr(direction.termios, "tcdrain", drained.append)
    held_line = Direction(PIN, "line", port[1])  # a pseudo-terminal does not know the question
    held_line.send_now(REQUEST, 0.0001)
    assert len(drained) == 1
    assert factory.pin(PIN).state == 0
    held_line.close()


def test_a_port_that_is_gone_lets_the_line_go_and_is_told(factory) -> None:
    master, slave = os.openpty()
    held_line = Direction(PIN, "line", slave)
    os.close(held_line._handle)
    os.close(slave)
    os.close(master)
    told: list[Exception] = []
    heard = threading.Event()
    held_line.send(REQUEST, CHARACTER, lambda error: (told.append(error), heard.set()))
    assert heard.wait(30)
    assert isinstance(told[0], OSError)
    assert factory.pin(PIN).state == 0


async def test_a_pin_that_cannot_be_used_is_a_bus_that_is_down(serial, monkeypatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setattr("gateway.host.pins._machine", Pins.mock)  # anything but a factory
    _, bus = serial()
    found = ModbusPort(bus.model_copy(update={"direction_pin": PIN}))
    with pytest.raises(BusDown, match="direction pin cannot be used"):
        await found.open()
    assert not found.connected


def test_a_search_drives_the_pin_too(serial, factory) -> None:
    _, bus = serial()
    probe = SerialProbe(bus.port, LineSetting(bus.baudrate), PIN)
    probe.open()
    try:
        heard = probe.exchange(1, b"\x04\x00\x00\x00\x02", 5.0)
    finally:
        probe.close()
    assert heard.answers
    assert len(highs(factory)) == 1
    assert highs(factory)[0] >= 80 / bus.baudrate * 0.95
