"""A line that is probed: one request, then everything that comes until it is quiet again.

Unlike the daemon's port it believes every whole frame, of whichever unit: who answers late, or when nobody
was asked, says all the same that it is there. pyserial opens serial ports; the exchange blocks and belongs in
a thread of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import struct
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import serial

from gateway.commissioning.scan.exchange import Exchange, RawExchange, dissect, listen, to_come
from gateway.commissioning.scan.settings import LineSetting
from gateway.config import SerialBus
from gateway.errors import BusDown
from gateway.field import Direction, low_latency, not_opened, sealed

_CHUNK: Final = 0.02
"""s between bytes of one answer: a USB adapter hands them on every 16 ms."""
_BUFFERING: Final = "ttyAMA"
"""Ports of a PL011: it hands bytes on when its FIFO is half full, or 32 bit times after the last of them (ARM
DDI 0183, UARTIFLS and UARTRTINTR)."""
_BUFFERED: Final = 8
_TIOCGICOUNT: Final = 0x545D
_ICOUNT: Final = struct.Struct("11i9i")
"""struct serial_icounter_struct of <linux/serial.h>: cts dsr rng dcd rx tx frame overrun parity brk
buf_overrun, and room."""


@dataclass(frozen=True, slots=True)
class LineCounters:
    """What a port's driver counts of damaged characters, since it was opened (TIOCGICOUNT)."""

    frame: int
    parity: int
    overrun: int
    breaks: int


class Probe(Protocol):
    """Where requests can be sent; not safe for two threads at once."""

    name: str
    setting: LineSetting | None
    buffered: int
    """Characters of an answer that the port keeps back before it hands the first of them on."""
    rtu: bool
    """Whether its frames are those of a serial line: without a number, an answer may be a late one."""

    def open(self) -> None:
        """Open it. Raises BusDown with what to do."""

    def close(self) -> None:
        """Close the port or the connection, so that others can open it."""

    def use(self, setting: LineSetting) -> None:
        """Go on at another setting. Raises BusDown."""

    def exchange(self, unit: int, pdu: bytes, wait: float) -> Exchange:
        """Send one request; listen until nobody has begun to answer `wait` s after it, or until the answer
        is there. An empty `pdu` sends nothing: it is only listened. Raises BusDown.
        """


class SerialProbe:
    """A serial port; `direction_pin` is that of a driver which does not switch by itself."""

    rtu = True

    def __init__(
        self, port: str, setting: LineSetting | None = None, direction_pin: int | None = None
    ) -> None:
        self.name = port
        self.buffered = _BUFFERED if Path(port).resolve().name.startswith(_BUFFERING) else 0
        self._direction_pin = direction_pin
        self._direction: Direction | None = None
        self.setting: LineSetting | None = setting or LineSetting()
        self._serial: serial.Serial | None = None
        self._quiet_from = 0.0

    def open(self) -> None:
        """Open it for this program alone. Raises BusDown."""
        assert self.setting is not None
        try:
            self._serial = serial.Serial(self.name, timeout=0, exclusive=True)
        except (serial.SerialException, OSError, ValueError, termios.error) as error:
            raise not_opened(_serial_bus(self.name, self.setting), self.name, error) from error
        self.use(self.setting)
        if self._direction_pin is not None:
            self._direction = Direction(self._direction_pin, self.name, self._serial.fileno())
        low_latency(self.name, self._serial)
        self._quiet_from = time.monotonic()

    def close(self) -> None:
        """Close the port or the connection, so that others can open it."""
        if self._direction is not None:
            self._direction.close()
            self._direction = None
        if self._serial is not None:
            with contextlib.suppress(OSError, serial.SerialException):
                self._serial.close()
            self._serial = None

    def use(self, setting: LineSetting) -> None:
        """Go on at another setting. Raises BusDown."""
        port, self.setting = self._port(), setting
        wanted = {"baudrate": setting.baudrate, "parity": setting.parity, "stopbits": setting.stopbits}
        try:
            port.apply_settings(wanted)
            port.reset_input_buffer()
        except termios.error as error:
            if not Path(self.name).resolve().is_relative_to("/dev/pts"):
                raise not_opened(_serial_bus(self.name, setting), self.name, error) from error
            # A pseudo-terminal has no parity, and the C library objects when nothing else was to change.
        except (serial.SerialException, OSError, ValueError) as error:
            raise not_opened(_serial_bus(self.name, setting), self.name, error) from error

    def exchange(self, unit: int, pdu: bytes, wait: float) -> Exchange:
        """Send one request and listen."""
        heard = self.raw(sealed(unit, pdu) if pdu else b"", wait)
        return dissect(heard.early, heard.data, heard.sent, heard.took)

    def raw(self, sent: bytes, wait: float, linger: float = 0.0) -> RawExchange:
        """Send these bytes, if any, and listen: until nobody has begun to answer `wait` s after them, or
        until the line is quiet for `linger` s behind the answer. Raises BusDown.
        """
        port, setting = self._port(), self.setting
        assert setting is not None
        try:
            self._rest(setting)
            early = port.read(port.in_waiting or 0)
            ended = time.monotonic() + len(sent) * setting.character
            if sent and self._direction is not None:
                self._direction.send_now(sent, setting.character)
                ended = time.monotonic()
            elif sent:
                port.write(sent)
            until = ended + wait + self.buffered * setting.character
            gap = max(_CHUNK, (3.5 + self.buffered) * setting.character)
            data, heard_at = listen(
                lambda seconds: _received(port, seconds),
                sent,
                until,
                linger=linger if linger > gap else 0.0,
                rest=lambda begun: max(gap, to_come(begun, sent, setting)),
            )
        except (serial.SerialException, OSError, termios.error) as error:
            raise not_opened(_serial_bus(self.name, setting), self.name, error) from error
        if data:
            self._quiet_from = time.monotonic() + setting.silence
        return RawExchange(sent, early, data, max(0.0, heard_at - ended))

    def counters(self) -> LineCounters | None:
        """What the port's driver has counted; None where it counts nothing."""
        data = bytearray(_ICOUNT.size)
        try:
            fcntl.ioctl(self._port().fileno(), _TIOCGICOUNT, data)
        except OSError:
            return None
        found = _ICOUNT.unpack(data)
        return LineCounters(found[6], found[8], found[7], found[9])

    def _rest(self, setting: LineSetting) -> None:
        """Keep t3.5 between what was heard last and the next request."""
        left = self._quiet_from - time.monotonic()
        if left > 0:
            time.sleep(min(left, setting.silence))

    def _port(self) -> serial.Serial:
        if self._serial is None:
            raise BusDown(f"{self.name} is not open")
        return self._serial


def _received(port: serial.Serial, seconds: float) -> bytes:
    """What comes on a port within so many s; nothing when nothing does."""
    return port.read(port.in_waiting or 1) if select.select([port.fileno()], [], [], seconds)[0] else b""


def _serial_bus(port: str, setting: LineSetting) -> SerialBus:
    """The setting as a bus, for those who say what is wrong with one."""
    wanted = {"baudrate": setting.baudrate, "parity": setting.parity, "stopbits": setting.stopbits}
    return SerialBus.model_validate({"name": "scan", "type": "serial", "port": port, **wanted})
