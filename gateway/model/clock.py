"""What a room asks of a clock."""

from __future__ import annotations

from typing import Protocol


class ClockLike(Protocol):
    """The time, and whether anybody vouches for it: host's Clock, or one that a test moves by hand."""

    @property
    def synced(self) -> bool:
        """Whether somebody vouches for the wall time."""

    @property
    def boot(self) -> str:
        """A name for this boot."""

    def wall(self) -> int:
        """UTC in ms, right or wrong."""

    def uptime(self) -> int:
        """CLOCK_BOOTTIME in ms."""

    def moment(self) -> tuple[int, int]:
        """Both, as of one moment."""
