"""What reaches a block device: bytes a year and syncs per commit, on ext4 on a loop device, after the WAL has
wrapped.

With 4 KB blocks, as mkfs makes them on a card, and with 1 KB blocks, as on small images. A row per value in a
table with an index, committed once a slot with the same promise, is the control.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.host import SELDOM
from tests.bench.figures import Figure, at_most, plain
from tests.bench.slots import SLOT, Timers
from tests.journal.journal_data import Building

WARM, COMMITS = 400, 600
"""Commits before, by which the WAL has wrapped twice, and measured ones: about three checkpoints."""
SMALL, LARGE = 1_200_000, 1_000_000_000
"""Budgets: one that is used up long before, so that each commit deletes what was delivered, and one that
lets the file grow.
"""
YEAR = 365 * 86400 * 1000 / SLOT
SECTOR = 512


@contextmanager
def disk(folder: Path, block: int = 4096, commit: int = 5) -> Iterator[tuple[Path, Path]]:
    """A fresh ext4 of 64 MB: (mount point, the device's stat file). Raises RuntimeError where that cannot
    be had.
    """
    if os.geteuid() != 0:
        raise RuntimeError("this bench mounts a file system: run it as root")
    image, mount = folder / "image", folder / "disk"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-qF", "-b", str(block), str(image)], check=True)
    made = subprocess.run(
        ["mount", "-o", f"loop,noatime,commit={commit}", str(image), str(mount)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise RuntimeError(f"this kernel mounts no loop devices: {made.stderr.strip()}")
    try:
        device = next(
            line.split()[0]
            for line in Path("/proc/self/mounts").read_text().splitlines()
            if line.split()[1] == str(mount)
        )
        yield mount, Path("/sys/block") / Path(device).name / "stat"
    finally:
        subprocess.run(["umount", str(mount)], check=True)
        image.unlink()


def _written(stat: Path) -> int:
    return int(stat.read_text().split()[6]) * SECTOR


def _ours(budget: int, block: int, commit: int = 5) -> tuple[float, list[int]]:
    """(bytes per commit on the device, how often each commit synced), under strace."""
    with tempfile.TemporaryDirectory() as name, disk(Path(name), block, commit) as (mount, stat):
        trace = Path(name) / "trace"
        command = ["strace", "-f", "-qq", "-s", "20", "-e", "trace=fdatasync,write", "-o", str(trace)]
        command += [
            sys.executable,
            "-m",
            "tests.bench.slots",
            str(mount / "journal"),
            str(WARM + COMMITS),
            str(budget),
            str(commit),
        ]
        (mount / "journal").mkdir()
        begin = end = 0
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            for number, _ in enumerate((line for line in process.stdout if line == "slot\n"), 1):
                # The writer stands still after each commit until it is told to go on.
                process.stdin.write("go\n")
                if number == WARM:
                    begin = _written(stat)
                elif number == WARM + COMMITS:
                    end = _written(stat)
        if process.returncode:
            raise RuntimeError(f"the writer ended with {process.returncode}")
        return (end - begin) / COMMITS, _syncs(trace.read_text())[WARM:]


def _syncs(trace: str) -> list[int]:
    """How many syncs were begun before each commit was reported."""
    counts, count = [], 0
    for line in trace.splitlines():
        if "fdatasync(" in line and "resumed" not in line:
            count += 1
        elif 'write(1, "taken' in line:
            counts.append(count)
            count = 0
    return counts


def _least() -> float:
    """Bytes per slot of anything that is durable: a kilobyte written in place and synced. The rest is the
    file system's own.
    """
    with tempfile.TemporaryDirectory() as name, disk(Path(name)) as (mount, stat):
        path = mount / "file"
        path.write_bytes(bytes(1 << 20))
        timers, begin = Timers(mount, path), 0
        with path.open("r+b", buffering=0) as file:
            for number in range(200):
                if number == 100:
                    begin = _written(stat)
                file.seek(1024 * number)
                file.write(os.urandom(1024))
                os.fdatasync(file.fileno())
                timers.slot()
        end = _written(stat)
        timers.close()
        return (end - begin) / 100


def _row_per_value() -> float:
    """Bytes per slot of the usual design."""
    with tempfile.TemporaryDirectory() as name, disk(Path(name)) as (mount, stat):
        source = Building(10, seed=5)
        begin = 0
        with closing(sqlite3.connect(mount / "values.db", isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            timers = Timers(mount, mount / "values.db-wal")
            db.execute("CREATE TABLE value (meter TEXT, quantity TEXT, t INTEGER, value REAL)")
            db.execute("CREATE INDEX value_series ON value (meter, quantity, t)")
            for number in range(200):
                if number == 100:
                    begin = _written(stat)
                draft = source.draft(number * SLOT)
                db.execute("BEGIN")
                for reading in draft.readings:
                    rows = [
                        (reading.meter, name, reading.uptime, value) for name, value in reading.values.items()
                    ]
                    db.executemany("INSERT INTO value VALUES (?,?,?,?)", rows)
                db.execute("COMMIT")
                timers.slot()
            end = _written(stat)
            timers.close()
        return (end - begin) / 100


def _year(per_commit: float) -> float:
    """GB a year."""
    return per_commit * YEAR / 1e9


def run() -> list[Figure]:
    """A file at its budget, a file that grows, blocks of both sizes, card.remount, and the control."""
    steady, syncs = _ours(SMALL, 4096)
    growing, more = _ours(LARGE, 4096)
    spared, _ = _ours(LARGE, 4096, SELDOM)
    small_blocks, _ = _ours(SMALL, 1024)
    control, least = _row_per_value(), _least()
    alone = [count for count in syncs + more if count]
    note = f"{COMMITS} commits after the WAL has wrapped, 10 meters × 34 values every 10 s"
    return [
        at_most("written to the card, file at its budget, 4 KB blocks", _year(steady), "GB / year", 80, note),
        at_most("written to the card, file that grows, 4 KB blocks", _year(growing), "GB / year", 80, note),
        at_most(
            "the same with card.remount, that is commit=60",
            _year(spared),
            "GB / year",
            40,
            f"{note}; in real time 35.6: docs/journal.md",
        ),
        at_most(
            "written to a file system with 1 KB blocks, file at its budget",
            _year(small_blocks),
            "GB / year",
            40,
            note,
        ),
        at_most(
            "fdatasync per commit", statistics.median(alone), "", 1, f"median of {len(alone)}, by strace"
        ),
        plain("fdatasync per commit, checkpoints included", statistics.mean(alone), ""),
        plain(
            "a kilobyte a slot, written in place and synced, 4 KB blocks",
            _year(least),
            "GB / year",
            "what ext4 itself costs at the least",
        ),
        plain(
            "written with a row per value and an index, one commit a slot, 4 KB blocks",
            _year(control),
            "GB / year",
            "control",
        ),
    ]
