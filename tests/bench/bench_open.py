"""From the start of the process to the first poll with a journal of two gigabytes, none of it in the page
cache; beside it an empty one.

The file is made by the shipped store from one hour of noisy slots, again and again under new numbers: every
row is sound, and none was delivered.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

from gateway.journal import Journal
from gateway.journal.file.rows import BatchRow
from gateway.journal.file.store import JournalStore
from gateway.model import Sealed
from tests.bench.bench_size import noisy
from tests.bench.figures import Figure, at_least, at_most, plain
from tests.journal.journal_data import HandClock
from tests.rig import DRIVERS, Rig, rig, until

SIZE = 2_000_000_000
METERS, TIMES = 10, 3
TOGETHER = 20_000
CARRY = "{}"
"""What a commit writes along when it has nothing to carry."""


async def _hour(directory: Path) -> list[Sealed]:
    """The first 360 batches of a fresh journal."""
    clock = HandClock()
    journal = Journal.open(directory, gateway="bench-1", clock=clock, uplinks=["city"])
    taken: list[Sealed] = []
    for draft in islice(noisy(METERS), 360):
        clock.now += 10_000
        taken += await journal.commit(draft)
    await journal.close()
    return taken


def fill(directory: Path) -> int:
    """Make the journal; how many batches it holds."""
    hour = asyncio.run(_hour(directory))
    path = directory / "journal.db"
    store = JournalStore(path, "NORMAL")
    seq, total = hour[-1].seq, sum(sealed.readings for sealed in hour)
    while path.stat().st_size < SIZE:
        rows = []
        for _ in range(TOGETHER):
            like = hour[seq % len(hour)]
            seq, total = seq + 1, total + like.readings
            rows.append(BatchRow(replace(like, seq=seq, keep=False), total, CARRY))
        with store.transaction():
            store.insert(rows)
    store.checkpoint("TRUNCATE")
    store.close()
    return seq


def _forget(path: Path) -> None:
    """Out of the page cache with it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _first(site: Rig, directory: Path) -> tuple[float, float]:
    """Seconds from a start to the first poll, and to the first batch that is taken."""
    assert site.simulator is not None
    host, port = site.simulator.addresses["plant"]
    site.configure(
        buses=[{"name": "plant", "type": "tcp", "host": host, "port": port}],
        meters=[
            {"id": f"m{n}", "bus": "plant", "address": n, "driver": "bench-sdm630"}
            for n in range(1, METERS + 1)
        ],
        uplinks=[site.uplink()],
        journal={"directory": str(directory), "budget": "4GB"},
    )
    before = len(site.serves())
    wal = directory / "journal.db-wal"
    begin = time.clock_gettime(time.CLOCK_BOOTTIME)
    site.start_gateway()
    until(lambda: len(site.serves()) > before, 60, "a meter is polled")
    poll = site.serves()[before]["t"] / 1000 - begin
    until(lambda: wal.exists() and wal.stat().st_size > 0, 60, "a batch is taken", pause=0.01)
    took = time.clock_gettime(time.CLOCK_BOOTTIME) - begin
    site.kill("gateway", 15)
    return poll, took


def run() -> list[Figure]:
    """Some starts with the large file, some with none."""
    image = {"driver": "bench-sdm630", "directory": str(DRIVERS), "circuit": "main"}
    slaves = [{"unit": n, "meter": f"m{n}", "image": image} for n in range(1, METERS + 1)]
    spec = {
        "seed": 1,
        "building": {"start": 1795278300, "speed": 1, "step": 1},
        "servers": [{"name": "plant", "host": "127.0.0.1", "port": 0, "slaves": slaves}],
    }
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder), spec) as site:
        large = Path(folder) / "large"
        large.mkdir()
        batches = fill(large)
        path = large / "journal.db"
        size = path.stat().st_size
        times = []
        for _ in range(TIMES):
            _forget(path)
            times.append(_first(site, large))
        empty = [_first(site, Path(folder) / f"empty{number}") for number in range(TIMES)]
        with closing(sqlite3.connect(path)) as db:
            newest = db.execute("SELECT max(seq) FROM batch").fetchone()[0]
    polls = [poll for poll, _ in times]
    return [
        at_most(
            "first poll with a journal of 2 GB",
            statistics.median(polls),
            "s",
            3,
            f"of {TIMES}: {min(polls):.2f} to {max(polls):.2f}; {size / 1e9:.2f} GB, {batches:,} batches",
        ),
        plain(
            "first poll with an empty journal",
            statistics.median(poll for poll, _ in empty),
            "s",
            f"of {TIMES}",
        ),
        at_least("batches taken into the 2 GB file after the start", newest - batches, "", TIMES),
        plain("first batch taken, journal of 2 GB", statistics.median(took for _, took in times), "s"),
        plain("first batch taken, empty journal", statistics.median(took for _, took in empty), "s"),
    ]
