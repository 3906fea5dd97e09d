"""A process that salvages a damaged journal and is killed at a moment.

python journal_salvage.py DIRECTORY MOMENT
"""

import asyncio
import os
import signal
import sys

from journal_data import HandClock, small, until

from gateway.journal import Journal
from gateway.journal.recovery.cases import Case
from gateway.journal.recovery.rescue import Rescue

MOMENTS = ("moved", "found", "reported", "recorded", "done", "committed")
"""The damaged file is moved, without a report · what is lost is found · stands in the report · is recorded as
gone · the salvage is done, and nothing was committed since · the batch that tells is committed, and the
report does not say so.
"""


def end():
    os.kill(os.getpid(), signal.SIGKILL)


def end_at(moment):
    write, declare = Case.write, Rescue._declare_lost

    def written(case):
        found = case.lost[0] > 0 and not case.told
        now = "committed" if case.told else "found" if found else "moved"
        if moment == now:
            end()
        write(case)
        if moment == "reported" and found:
            end()

    def declared(*given):
        declare(*given)
        if moment == "recorded":
            end()

    Case.write, Rescue._declare_lost = written, declared


async def main(directory, moment):
    end_at(moment)
    clock = HandClock(boot="dd" * 16)
    clock.now = 50_000_000
    journal = Journal.open(directory, gateway="g-1", clock=clock, uplinks=["city"])
    await until(lambda: journal.stats().damaged[0].done)
    if moment == "done":
        end()
    await journal.commit(small(uptime=clock.now))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
