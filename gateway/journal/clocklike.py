"""What the journal asks a clock."""

from __future__ import annotations

from typing import Protocol


class ClockLike(Protocol):
    """What the journal asks a clock: ms, UTC and CLOCK_BOOTTIME, this boot's name, and whether somebody
    vouches for the time.
    """

    boot: str
    synced: bool

    def wall(self) -> int:
        """UTC in ms."""

    def uptime(self) -> int:
        """CLOCK_BOOTTIME in ms."""
