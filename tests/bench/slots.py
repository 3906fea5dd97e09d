"""python -m tests.bench.slots DIRECTORY COMMITS BUDGET COMMIT: a gateway's year in fast motion, as a process
of its own that can be traced.

The shipped journal takes a slot of ten meters × 34 values at a time and hears that it was delivered. One line
on stdout for each commit; then it waits for a line on stdin. COMMIT is that of the file system, in s.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from pathlib import Path

from gateway.journal import Journal
from gateway.model import Ranges
from tests.journal.journal_data import Building, HandClock

SLOT = 10_000
PAUSE = 0.02
"""Seconds between two commits: the journal's upkeep has its turn."""


class Timers:
    """What the kernel does by itself, in fast motion: ext4 commits its own journal every `commit` s, and
    writes metadata in place after 30 s, committed.
    """

    def __init__(self, directory: Path, file: Path, commit: int = 5) -> None:
        self._fd, self._file = os.open(directory, os.O_RDONLY), file
        self._slots = 0
        self._commits, self._writes = max(1, commit * 1000 // SLOT), max(3, commit * 1000 // SLOT)

    def slot(self) -> None:
        """Ten seconds go by. The file's data is on the disk already: its fsync commits what else has
        changed, its time stamps.
        """
        self._slots += 1
        if self._slots % self._commits == 0:
            with self._file.open("rb") as file:
                os.fsync(file.fileno())
        if self._slots % self._writes == 0 and ctypes.CDLL(None).syncfs(self._fd):
            raise OSError("syncfs failed")

    def close(self) -> None:
        """Let go of the file system."""
        os.close(self._fd)


async def run(directory: Path, commits: int, budget: int, commit: int) -> None:
    """Commit, hear the receipt, let the file system write back."""
    clock, source = HandClock(), Building(10, seed=5)
    journal = Journal.open(directory, gateway="izm-konak-017", clock=clock, uplinks=["city"], budget=budget)
    timers = Timers(directory, directory / "journal.db-wal", commit)
    for _ in range(commits):
        clock.now += SLOT
        [sealed] = await journal.commit(source.draft(clock.now))
        os.write(1, f"taken {sealed.seq} {sealed.values}\n".encode())
        await journal.settle("city", sealed.epoch, Ranges([(1, sealed.seq)]))
        await asyncio.sleep(PAUSE)
        os.write(1, b"slot\n")
        timers.slot()
        sys.stdin.readline()
    await journal.close()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), *map(int, sys.argv[2:5])))
