"""A process that runs the shipped journal: commits drafts and says on stdout, unbuffered, what came back.

python journal_writer.py DIRECTORY '{"count": 100, "meters": 2, "synchronous": "FULL"}'        (all options:
DEFAULTS)
"""

import asyncio
import contextlib
import json
import os
import sys

from journal_data import Building, until

from gateway.errors import JournalFull
from gateway.host.clock import Clock
from gateway.journal import Journal
from gateway.model import Ranges

DEFAULTS = {
    "count": 100,
    "meters": 2,
    "pause": 0.0,
    "synchronous": "FULL",
    "budget": 4_000_000_000,
    "settle": 0,
    "keep": 0,
    "wait": 0.0,
    "uplinks": ["city"],
}


def say(word, sealed):
    # One write per line: the order among the recorded system calls is the order in which things happened.
    for one in sealed:
        os.write(1, f"{word} {one.epoch} {one.seq} {one.body.hex()}\n".encode())


async def main(directory, options):
    journal = Journal.open(
        directory,
        gateway="g-1",
        clock=Clock("system"),
        uplinks=options["uplinks"],
        synchronous=options["synchronous"],
        budget=options["budget"],
    )
    journal.on_late = lambda sealed: say("late", sealed)
    building = Building(options["meters"], seed=3)
    uptime = 1000
    for number in range(options["count"]):
        uptime += 10_000
        try:
            say(
                "taken",
                await journal.commit(
                    building.draft(uptime, keep=bool(options["keep"]) and number % options["keep"] == 0)
                ),
            )
        except JournalFull as error:
            os.write(1, f"full {error.message}\n".encode())
        if options["settle"] and journal.newest[1] > options["settle"]:
            await journal.settle("city", journal.epoch, Ranges([(1, journal.newest[1] - options["settle"])]))
        await asyncio.sleep(options["pause"])
    with contextlib.suppress(TimeoutError):
        await until(lambda: not journal.stats().waiting, options["wait"])
    stats = journal.stats()
    report = {
        "state": stats.state,
        "waiting": stats.waiting,
        "dropped": stats.dropped,
        "taken": stats.taken,
        "damaged": len(stats.damaged),
        "error": stats.error,
    }
    os.write(1, f"end {json.dumps(report)}\n".encode())
    await journal.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], DEFAULTS | json.loads(sys.argv[2])))
