"""The clock of a run in compressed time, as the one who directs it sees it:
tests/soak/leaping/sitecustomize.py is its other end.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path

HOOK = Path(__file__).parent / "leaping"
_SIZE = 40


class LeapClock:
    """Real time plus what was leapt over. `uptime` and `limit` in s of CLOCK_BOOTTIME."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._numbers = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("q")
        self.path = path

    def environment(self, *, coarse: float) -> dict[str, str]:
        """What the processes need to take part."""
        return {"PYTHONPATH": str(HOOK), "LEAP_CLOCK": str(self.path), "LEAP_COARSE": str(coarse)}

    def _get(self, index: int) -> int:
        return self._numbers[index]

    def _put(self, index: int, value: int) -> None:
        self._numbers[index] = value

    @property
    def uptime(self) -> float:
        """Now, as everybody in the run sees it."""
        return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) + self._get(0)) / 1e9

    @property
    def leaps(self) -> int:
        """How often was leapt."""
        return self._get(3)

    def step(self, seconds: float) -> None:
        """Set the wall clock by so much."""
        self._put(1, self._get(1) + round(seconds * 1e9))

    def allow(self, until: float) -> None:
        """Leaps may go on until this uptime; what is before now: none."""
        self._put(2, round(until * 1e9))

    def trouble(self, *, on: bool) -> None:
        """Whether meters may leave a question without an answer: then nobody waits long for it in real
        time.
        """
        self._put(4, int(on))
