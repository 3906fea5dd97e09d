"""What an uplink reads from, twice: the journal on disk and its in-memory double, behind the same handful of
calls. One contract: a test that takes `kept` runs on both.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools

from uplink_parts import E1, E2, FakeClock, row

from gateway.journal import Journal
from gateway.model import Draft, Ranges, Reading
from gateway.uplink import MemoryJournal
from tests.virtual_time import VirtualLoop

LATER = "c" * 32
"""The boot after the first one."""


class InMemory:
    """The double."""

    def __init__(self, directory) -> None:
        self.box = MemoryJournal(E1)
        self.clock = FakeClock()

    async def take(self, count: int = 1, *, at: int | None = None) -> list:
        """Commit batches of one reading each, with the number as its value; `at`: uptime in ms."""
        taken = []
        for _ in range(count):
            seq = self.box.newest[1] + 1
            clock = "synced" if self.clock.synced else "unsynced"
            self.box.commit(row(seq, epoch=self.box.epoch, clock=clock, boot=self.clock.boot, uptime=at))
            taken.append(self.box.rows[-1])
        return taken

    async def settled(self, uplink: str = "city") -> list[tuple[int, int]]:
        """What is settled of this file."""
        told = Ranges()
        for (name, _), ranges in self.box.settled.items():
            told.update(ranges if name == uplink else ())
        return list(told)

    async def damage(self) -> None:
        """The file is damaged: another one takes its place, its rows are saved."""
        self.box.rescued += self.box.rows
        self.box.rows = []
        self.box.epoch = E2

    async def begin_a_boot(self) -> None:
        """What was taken so far belongs to an earlier boot."""
        self.clock.boot, self.box.epoch = LATER, E2

    async def close(self) -> None:
        """Nothing is open."""


class Waited:
    """A journal whose thread is waited for: no virtual time passes while it works."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __getattr__(self, name: str):
        found = getattr(self._journal, name)
        if not inspect.iscoroutinefunction(found):
            return found

        @functools.wraps(found)
        async def waited(*arguments, **options):
            loop = asyncio.get_running_loop()
            if not isinstance(loop, VirtualLoop):
                return await found(*arguments, **options)
            loop.jumping.waited_for += 1
            try:
                return await found(*arguments, **options)
            finally:
                loop.jumping.waited_for -= 1

        return waited


class OnDisk:
    """The journal."""

    def __init__(self, directory) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.numbers = itertools.count(1)
        self.box = self.open()

    def open(self) -> Waited:
        return Waited(Journal.open(self.directory, gateway="gw1", clock=self.clock, uplinks=["city", "grid"]))

    async def take(self, count: int = 1, *, at: int | None = None) -> list:
        taken = []
        for _ in range(count):
            now = self.clock.now
            self.clock.now = now + 1000 if at is None else at
            reading = Reading("main", self.clock.now, {"active_power": float(next(self.numbers))})
            taken += await self.box.commit(Draft([reading]))
            self.clock.now = self.clock.now if at is None else now
        return taken

    async def settled(self, uplink: str = "city") -> list[tuple[int, int]]:
        newest = self.box.newest[1]
        waiting = await self.box.unsettled(uplink, limit=10_000)
        return list(Ranges((row.seq, row.seq) for row in waiting).gaps(1, newest)) if newest else []

    async def damage(self) -> None:
        count = self.box.backlog("city").batches
        await self.box.close()
        with (self.directory / "journal.db").open("r+b") as file:
            file.write(bytes(100))
        self.box = self.open()
        for _ in range(1200):
            if len(await self.box.salvaged("city", limit=500)) == count:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the rows of the damaged file did not come back")

    async def begin_a_boot(self) -> None:
        await self.box.close()
        self.clock.boot = LATER
        self.box = self.open()

    async def close(self) -> None:
        await self.box.close()
