"""A gateway of the version before, with months of batches in its journal, gets its history: how long
that takes in the background, and whether polling notices.

BATCHES=1000000 makes a journal of a million; without it the rate over fifty thousand is what counts. A
batch is a slot of ten meters with 34 values each, four of them registers, all of them read every ten
seconds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from gateway.history import HistoryReader
from gateway.journal import Journal
from gateway.journal.file.rows import BatchRow, CommitStamp, seal
from gateway.journal.file.store import JournalStore
from gateway.model import Draft, Reading, Sealed
from tests.bench.bench_size import noisy
from tests.bench.figures import Figure, at_most, plain
from tests.journal.journal_data import HandClock
from tests.rig import DRIVERS, Rig, rig, until

BATCHES = int(os.environ.get("BATCHES", "50000"))
MILLION = 1_000_000
SLOT = 10_000
METERS = 10
TOGETHER = 5_000
BOOT = "0b" * 16
NAME = "history from a million batches" + ("" if BATCHES >= MILLION else f", scaled from {BATCHES:,}")
READ = "energy: the journal is read"
QUIET = 60.0
"""s of polling that is measured when the engine has nothing to do."""


def drafts(count: int) -> Iterator[Draft]:
    """Slots whose registers count on; what else was read comes again every hour."""
    hour = list(islice(noisy(METERS), 360))
    registers = {
        (reading.meter, name): value
        for reading in hour[0].readings
        for name, value in reading.values.items()
        if "energy" in name
    }
    for number in range(count):
        readings = []
        for place, like in enumerate(hour[number % len(hour)].readings):
            values = dict(like.values)
            for name in values:
                if "energy" in name:
                    registers[like.meter, name] += 0.003 * (1 + (number * 31 + place) % 7)
                    values[name] = round(registers[like.meter, name], 2)
            readings.append(Reading(f"m{place + 1}-1", number * SLOT + 170 * place, values))
        yield Draft(readings)


def fill(directory: Path, count: int) -> None:
    """The journal of a gateway that has just been stopped: its first batch taken as always, the others put in
    behind it.
    """
    directory.mkdir()
    clock = HandClock(now=0, offset=time.time_ns() // 1_000_000 - count * SLOT, boot=BOOT)
    source = drafts(count)
    [first] = asyncio.run(_first(directory, clock, next(source)))
    store = JournalStore(directory / "journal.db", "NORMAL")
    stamp = CommitStamp("bench-1", first.epoch, BOOT, clock.offset, "synced")
    rows: list[BatchRow] = []
    total = first.readings
    for number, draft in enumerate(source, 1):
        rows += seal(draft, stamp, number * SLOT, number + 1, total)
        total += len(draft.readings)
        if len(rows) == TOGETHER or number + 1 == count:
            with store.transaction():
                store.insert(rows)
            rows = []
    store.checkpoint("TRUNCATE")
    store.close()


async def _first(directory: Path, clock: HandClock, draft: Draft) -> list[Sealed]:
    journal = Journal.open(directory, gateway="bench-1", clock=clock, uplinks=[])
    taken = await journal.commit(draft)
    await journal.close()
    return taken


def plant() -> dict[str, Any]:
    """Ten hosts with a meter each."""
    image = {"driver": "bench-sdm630", "directory": str(DRIVERS), "circuit": "main"}
    servers = [
        {
            "name": f"plant{n}",
            "host": "127.0.0.1",
            "slaves": [{"unit": 1, "meter": f"m{n}-1", "image": image}],
        }
        for n in range(1, METERS + 1)
    ]
    return {"seed": 1, "building": {"start": 1795278300, "speed": 1, "step": 1}, "servers": servers}


def configure(site: Rig, **more: Any) -> None:
    """Every meter is read every second."""
    assert site.simulator is not None
    places = site.simulator.addresses
    site.configure(
        buses=[
            {"name": name, "type": "tcp", "host": host, "port": port} for name, (host, port) in places.items()
        ],
        meters=[
            {"id": f"m{n}-1", "bus": f"plant{n}", "address": 1, "driver": "bench-sdm630", "interval": "1s"}
            for n in range(1, METERS + 1)
        ],
        uplinks=[],
        **more,
    )


def lateness(serves: list[dict[str, Any]], begin: float, end: float) -> list[float]:
    """Of every meter and whole second between two times of CLOCK_BOOTTIME: ms from the second's beginning
    to its first request. Of a second that had begun before, the request may be a later one of the same
    poll, or the first of all, which waits for no second.
    """
    offset = time.time_ns() // 1_000_000 - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    first: dict[tuple[str, int], int] = {}
    for serve in serves:
        second, past = divmod(serve["t"] + offset, 1000)
        if begin * 1000 + offset <= second * 1000 and serve["t"] / 1000 < end:
            key = (serve["meter"], second)
            first[key] = min(past, first.get(key, past))
    return [float(past) for past in first.values()]


def percentile(values: list[float], percent: int = 95) -> float:
    """Of some numbers."""
    return statistics.quantiles(values, n=100)[percent - 1]


def uptime() -> float:
    """s of CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def run() -> list[Figure]:
    """Make it, start, watch."""
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder), plant()) as site:
        state = Path(folder) / "old"
        fill(state, BATCHES)
        size = (state / "journal.db").stat().st_size
        configure(site, journal={"directory": str(state), "budget": "8GB"})
        site.start_gateway()
        until(lambda: len(site.serves()) > METERS, 60, "every meter was read once")
        begin, used = uptime(), site.usage("gateway").cpu
        until(lambda: READ in site.log("gateway"), 3600, "the journal is read", pause=0.5)
        end, cpu = uptime(), site.usage("gateway").cpu - used
        told = site.log("gateway").count("batches are intervals")
        time.sleep(QUIET)
        rss = site.usage("gateway").rss
        serves = site.serves()
        site.kill("gateway", 15)
        reader = HistoryReader(state)
        first, last = reader.span() or (None, None)
        quarters = 0
        if first and last:
            quarters = sum(
                each.intervals for each in reader.sums("m1-1", "active_energy_import", first, last)
            )
        reader.close()
    took = end - begin
    busy, quiet = lateness(serves, begin, end), lateness(serves, end + 2, end + QUIET)
    seconds = (int(took) - 1) * METERS
    note = (
        f"{BATCHES:,} batches, {size / 1e6:,.0f} MB, in {took:.0f} s and {cpu:.0f} s of CPU, polling included"
    )
    return [
        at_most(NAME, took / BATCHES * MILLION / 60, "min", 10, note),
        plain("of this, processor time, polling included", cpu / BATCHES * MILLION / 60, "min"),
        at_most("quarter hours that are missing in it", BATCHES * SLOT // 900_000 - 1 - quarters, "", 0),
        plain("times that its progress was said in the log", told, ""),
        at_most("polls that are missing meanwhile", seconds - METERS - len(busy), f"of {seconds}", 0),
        at_most(
            "lateness of polls meanwhile, beside afterwards, 95th percentile",
            percentile(busy) - percentile(quiet), "ms more", 5,
            f"{percentile(busy):.0f} and {percentile(quiet):.0f} ms",
        ),
        plain("resident memory afterwards", rss / 2**20, "MiB"),
    ]  # fmt: skip
