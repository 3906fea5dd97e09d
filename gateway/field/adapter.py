"""Ports and adapters: why one cannot be opened, and the one setting that costs a bus its time."""

from __future__ import annotations

import logging
from pathlib import Path

from gateway.config.schema import Bus, SerialBus

log = logging.getLogger(__name__)

_TTYS = Path("/sys/class/tty")


def low_latency(port: str) -> None:
    """Set an FTDI adapter's latency timer to 1 ms, or say what it costs that it cannot be."""
    timer = _TTYS / Path(port).resolve().name / "device/latency_timer"
    try:
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
