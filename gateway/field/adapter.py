"""Ports and adapters: why one cannot be opened, and the one setting that costs a bus its time."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Protocol

from gateway.config.schema import Bus, SerialBus

log = logging.getLogger(__name__)

_TTYS = Path("/sys/class/tty")


class Adjustable(Protocol):
    """An open port of pyserial."""

    def set_low_latency_mode(self, low_latency_settings: bool, /) -> None:
        """ASYNC_LOW_LATENCY; ftdi_sio makes a latency timer of 1 ms of it. Raises ValueError where the driver knows no such thing."""


def low_latency(port: str, serial: Adjustable | None = None) -> None:
    """Set an FTDI adapter's latency timer to 1 ms, or say what it costs that it cannot be.

    The open port is asked first: that needs no rights on the file in /sys.
    """
    timer = _TTYS / Path(port).resolve().name / "device/latency_timer"
    try:
        now = int(timer.read_text())
        if now > 1 and serial is not None:
            with contextlib.suppress(ValueError, OSError, NotImplementedError):
                serial.set_low_latency_mode(True)
            now = int(timer.read_text())
    except (OSError, ValueError):
        return
    if now > 1:
        try:
            timer.write_text("1")
        except OSError:
            log.warning("%s passes bytes on up to %d ms late, and %s may not be written: each read takes that longer", port, now, timer)


def why_not(bus: Bus) -> str:
    """What can be said about a port that does not open."""
    return ": there is no such port" if isinstance(bus, SerialBus) and not Path(bus.port).exists() else ""


def mend(bus: Bus) -> str:
    """What to do about it."""
    if isinstance(bus, SerialBus):
        return "plug the adapter in, look for its name in /dev/serial/by-id, or end the program that uses it"
    return "check the address, the cable and whether the device accepts another connection"
