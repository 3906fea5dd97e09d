"""A gateway's life without meters and network: what is read goes into the shipped journal, from there
through the engine into the shipped history, and what comes of it into the journal again.

python energy_life.py DIRECTORY FIRST COUNT commits, and says on stdout what was taken
"""

import asyncio
import os
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

from journal_data import HandClock

from gateway.energy import Calendar
from gateway.history import Committed, History, Projection
from gateway.journal import Journal
from gateway.model import Draft, Event, Reading
from gateway.wire import decode

METERS = ("main", "pv")
QUANTITY = "active_energy_import"
PAUSE = 60_000
START = 1_795_219_200_000 - 7_000
SAVED = 15
"""Polls between two saves of the history."""


def register(meter, number):
    """What a meter shows at the poll of this number, Wh."""
    return 700_000 + 41 * number + number * number % 29 + len(meter)


def committed(sealed):
    """A batch of the journal as the engine takes it."""
    batch = decode(sealed.body)
    head = (sealed.epoch, sealed.seq, sealed.boot, sealed.t0, sealed.uptime, sealed.clock)
    return Committed(*head, batch.readings, batch.events, batch.intervals)


class Life:
    """One process. `tell` hears of every batch that was taken."""

    def __init__(self, directory, tell, *, boot="b0" * 16, synchronous="FULL"):
        self.clock = HandClock(now=0, offset=START, boot=boot)
        self.tell = tell
        self.journal = Journal.open(
            directory, gateway="g-1", clock=self.clock, uplinks=["city"], synchronous=synchronous
        )
        self.history = History(Path(directory), Calendar(ZoneInfo("Europe/Istanbul")))
        self.projection = Projection(self.history)
        self.passed = 0.0

    async def catch_up(self):
        """What is behind the last save, before anything is offered."""
        for epoch, first, last in self.journal.epochs():
            if last > self.projection.seq:
                for sealed in await self.journal.find(
                    epoch, max(first, self.projection.seq + 1), last, 10**6
                ):
                    self.projection.take(committed(sealed))

    async def poll(self, number):
        """Everything is read once, and committed with what was to be published."""
        self.clock.now = number * PAUSE
        readings = [
            Reading(meter, self.clock.now + 13 * k, {QUANTITY: register(meter, number) / 1000})
            for k, meter in enumerate(METERS)
        ]
        await self._commit(readings)
        if number % SAVED == SAVED // 2:
            self.projection.save()

    async def drain(self):
        """Until nothing is left to be published."""
        while await self._commit([]):
            pass

    async def _commit(self, readings):
        self.passed += 10
        uptime, wall = self.clock.uptime(), self.clock.wall()
        offered = list(self.history.offers(self.passed, 500))
        events = list(self.projection.findings(uptime, self.passed, 50))
        told = self.history.manifests(wall, self.passed, 50)
        events += [Event("manifest", uptime, each.fields()) for each in told]
        draft = Draft(readings, events, offered)
        for sealed in await self.journal.commit(draft):
            self.tell(sealed)
            self.projection.take(committed(sealed))
        return bool(offered or events)

    async def close(self):
        self.history.close()
        await self.journal.close()


def say(sealed):
    # One write per line: the order among the recorded system calls is the order in which things happened.
    os.write(1, f"taken {sealed.epoch} {sealed.seq} {sealed.body.hex()}\n".encode())


async def main(directory, first, count):
    life = Life(directory, say)
    await life.catch_up()
    for number in range(first, first + count):
        await life.poll(number)
    await life.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
