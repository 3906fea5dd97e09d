"""USB adapters: the one setting of theirs that costs a bus its time."""

from __future__ import annotations

import logging
from pathlib import Path

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
