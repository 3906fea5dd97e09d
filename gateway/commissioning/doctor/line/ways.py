"""The ways to a line: a serial port, and a converter that passes RTU frames over TCP."""

from __future__ import annotations

import time

from gateway.commissioning.scan import ConverterProbe, LineCounters, SerialProbe


class _MachineClock:
    """The clock of a line that is there."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(max(0.0, seconds))


class PortLine(_MachineClock, SerialProbe):
    """A serial port with its clock."""


class ConverterLine(_MachineClock, ConverterProbe):
    """A converter with its clock."""

    def counters(self) -> LineCounters | None:
        """None: a converter has no error counters."""
        return None
