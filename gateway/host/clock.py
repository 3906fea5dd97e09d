"""What time it is, and whether anybody vouches for it. The daemon never sets the clock."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

Trust = Literal["kernel", "rtc", "system"]

STEP_MS = 500
"""Wall time that moves against CLOCK_BOOTTIME by more than this between two looks has been stepped."""
MOMENT_MS, TRIES = 50, 4
"""Longest time between two readings of CLOCK_BOOTTIME that are one moment, and how often one is looked for: a
program that is held up between reading one clock and the other must not take the pause for a step.
"""
PATIENCE_MS = 24 * 3600 * 1000
"""A clock other than the kernel's synchronised one that lies before the floor is believed again after running
so long without a step: otherwise a hardware clock that was wrong once, and taken at its word, would be right
in vain until that date.
"""
RELEASED_MS = 1_767_225_600_000
"""2026-01-01. No right time lies before this program: a hardware clock with an empty battery is never
believed.
"""

WITNESS_EVERY = 5.0
"""s between two looks of the process that reads the clock's state for a daemon that may not."""
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_WITNESS = Path("/run/submeter-clock/synchronized")
_WITNESS_FRESH_MS = 30_000
_RTC = Path("/sys/class/rtc/rtc0/hctosys")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STA_PLL, _STA_UNSYNC, _STA_NANO = 0x1, 0x40, 0x2000
_TIME_ERROR = 5


def uptime_ms() -> int:
    """CLOCK_BOOTTIME in ms: monotonic, counts suspend, survives a restart of the daemon."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def wall_ms() -> int:
    """UTC in ms, right or wrong."""
    return time.time_ns() // 1_000_000


def boot_id() -> str:
    """A name for this boot: 32 hex digits."""
    return _BOOT_ID.read_text().strip().replace("-", "")


class _Timex(ctypes.Structure):
    # struct timex of adjtimex(2); only `offset` and `status` are read, the rest keeps the size.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


@lru_cache(maxsize=1)
def _adjtimex() -> Callable[..., int] | None:
    try:
        return cast("Callable[..., int]", ctypes.CDLL(None, use_errno=True).adjtimex)
    except (AttributeError, OSError):
        return None


def kernel_synced() -> bool:
    """Whether the kernel says that the clock is synchronised: to us, or to the witness if we may not ask."""
    return asked_synced() or _witnessed()


def asked_synced() -> bool:
    """Whether adjtimex (chrony, ntpd) or systemd-timesyncd says that the clock is synchronised."""
    timex = _Timex()
    ask = _adjtimex()
    state = _TIME_ERROR if ask is None else ask(ctypes.byref(timex))
    if state not in {-1, _TIME_ERROR} and not timex.status & _STA_UNSYNC:
        return True
    return _TIMESYNCD.exists()


def asked_offset() -> float | None:
    """How far the clock is off, in ms, as who synchronises it has told the kernel; None where nobody does it
    in that way (chrony keeps it to itself).
    """
    timex, ask = _Timex(), _adjtimex()
    if ask is None or ask(ctypes.byref(timex)) in {-1, _TIME_ERROR}:
        return None
    if timex.status & _STA_UNSYNC or not timex.status & _STA_PLL:
        return None
    return float(timex.offset) / (1e6 if timex.status & _STA_NANO else 1e3)


def clock_offset() -> float | None:
    """How far the clock is off, in ms, by the kernel or by the witness if we may not ask; None: not known."""
    offset = asked_offset()
    words = _witness_words()
    if offset is None and len(words) > 1:
        with contextlib.suppress(ValueError):
            offset = float(words[1])
    return offset


def _witnessed() -> bool:
    """Whether `clock_witness` has seen the clock synchronised within the last half minute."""
    return bool(_witness_words())


def _witness_words() -> list[str]:
    """What `clock_witness` has left within the last half minute: the uptime (ms), and the offset (ms) if it
    is known; empty when it has left none.
    """
    try:
        words = _WITNESS.read_text().split()
        fresh = 0 <= uptime_ms() - int(words[0]) <= _WITNESS_FRESH_MS
    except (OSError, ValueError, IndexError):
        return []
    return words if fresh else []


def rtc_present() -> bool:
    """Whether the kernel set the clock from a hardware clock at boot."""
    try:
        return _RTC.read_text().strip() == "1"
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class ClockChange:
    """What a look at the clock found: kind is clock_synced, clock_unsynced or clock_step; `by` is the step
    in ms.
    """

    kind: str
    by: int = 0


class Clock:
    """Wall time with its trust.

    `floor` is the newest wall time (ms) that the journal holds as synced: a clock that the kernel does not
    call synchronised and that lies before it is wrong. The kernel's own word outranks the floor whatever
    `trust` says, and lowers it. `anchor` is (wall, uptime) of a synced batch of this same boot, if there is
    one: within STEP_MS of it the clock is still the one that was right. Once synced, the clock stays so
    (holdover) until it is stepped by an unknown hand. `kernel` asks for the kernel's word, `vouched` for that
    of whoever else `trust` names.
    """

    def __init__(
        self,
        trust: Trust = "kernel",
        *,
        floor: int = 0,
        anchor: tuple[int, int] | None = None,
        wall: Callable[[], int] = wall_ms,
        uptime: Callable[[], int] = uptime_ms,
        kernel: Callable[[], bool] | None = None,
        vouched: Callable[[], bool] | None = None,
        boot: str | None = None,
    ) -> None:
        self._trust = trust
        self._floor = floor
        self.wall = wall
        self.uptime = uptime
        self._kernel = kernel or kernel_synced
        self._vouched = (
            vouched or {"kernel": lambda: False, "rtc": rtc_present, "system": lambda: True}[trust]
        )
        self.boot = boot or boot_id()
        now, at = self.moment()
        self._offset = now - at
        self._steady = at
        """CLOCK_BOOTTIME (ms) since which the clock has not been stepped, as far as is known."""
        self.synced = False
        self.remember(floor, anchor)

    def remember(self, floor: int, anchor: tuple[int, int] | None = None) -> None:
        """Learn what the journal knows of the time: see the class."""
        self._floor = max(self._floor, floor)
        held = anchor is not None and abs(self._offset - (anchor[0] - anchor[1])) <= STEP_MS
        self.synced = self._right(*self.moment()) or held

    @property
    def trust(self) -> Trust:
        """Whose word for the right time is taken."""
        return self._trust

    def moment(self) -> tuple[int, int]:
        """Both clocks, in ms, as of one moment: wall time and CLOCK_BOOTTIME."""
        for _ in range(TRIES):
            before, wall, uptime = self.uptime(), self.wall(), self.uptime()
            if uptime - before <= MOMENT_MS:
                break
        return wall, uptime

    def _right(self, wall: int, uptime: int) -> bool:
        """Whether this wall time is right, as seen at this uptime."""
        if not self._kernel():
            # An RTC or a plain system clock may have been set back: the journal outranks it, but not for
            # ever.
            steady = wall >= RELEASED_MS and uptime - self._steady >= PATIENCE_MS
            if not (self._vouched() and (wall >= self._floor or steady)):
                return False
        self._floor = min(self._floor, wall)
        return True

    @property
    def offset(self) -> int:
        """Wall minus uptime in ms, at the last look."""
        return self._offset

    def changes(self) -> list[ClockChange]:
        """Compare the clock with the last look. Call it about once a second."""
        changes: list[ClockChange] = []
        wall, uptime = self.moment()
        offset = wall - uptime
        step = offset - self._offset
        self._offset = offset
        stepped = abs(step) > STEP_MS
        if stepped:
            self._steady = uptime
        synced = self._right(wall, uptime) or (self.synced and not stepped)
        if stepped:
            changes.append(ClockChange("clock_step", step))
        if synced != self.synced:
            changes.append(ClockChange("clock_synced" if synced else "clock_unsynced"))
        self.synced = synced
        if synced:
            # What is committed now is synced journal time: a clock that is set back before it is not right
            # any more.
            self._floor = max(self._floor, wall)
        return changes
