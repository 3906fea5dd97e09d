"""What the journal costs: bytes per value, syncs per commit, and bytes that reach a block device (needs root
for that one).

python tests/journal/journal_measure.py [--pace SECONDS] [--commits N] [--meters N] [--budget BYTES] [--block
BYTES] [--commit SECONDS] [--mount OPTIONS] [--features FEATURES] [--page BYTES] [--checkpoint PAGES]
[--warm-up N]

The device is a loop-mounted ext4 without atime, with blocks of 4096 bytes as on a card. Its sectors are
counted by the kernel, the file system's own journal included.
With `--pace 0` a sync every 30 commits stands for what the kernel writes back by itself in five minutes.
With `--warm-up 0` the WAL grows while it is measured, instead of being written in place.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from journal_data import Building, HandClock

from gateway.journal import Journal
from gateway.journal.file import schema
from gateway.model import Ranges

YEAR = 365 * 8640
WARM_UP = 600


def written(device):
    return int(Path(f"/sys/block/{device}/stat").read_text().split()[6]) * 512


def settle(directory):
    """Write back what the file system of a folder still holds."""
    subprocess.run(["sync", "--file-system", directory], check=True)


def checkpoints(directory):
    """How often the WAL has begun anew: a number in its header."""
    return int.from_bytes((directory / "journal.db-wal").read_bytes()[12:16], "big")


async def run(directory, device, options):
    schema.PAGE, schema.CHECKPOINT = options.page, options.checkpoint
    clock, building = HandClock(), Building(options.meters)
    journal = Journal.open(
        directory, gateway="izm-konak-017", clock=clock, uplinks=["city"], budget=options.budget
    )
    values = body = before = wrapped = 0
    slots = options.warm_up + options.commits
    for number in range(slots):
        if number == options.warm_up and device:
            settle(directory)
            before, wrapped = written(device), checkpoints(directory)
        clock.now += 10_000
        [sealed] = await journal.commit(building.draft(clock.now))
        values, body = values + sealed.values, body + len(sealed.body)
        await journal.settle("city", sealed.epoch, Ranges([(1, max(1, number))]))
        if number >= options.warm_up:
            await asyncio.sleep(options.pace)
            if device and not options.pace and number % 30 == 0:
                settle(directory)
    held = journal.stats().batches / slots
    print(f"{options.meters} meters, {journal.stats().seq} batches, {held:.0%} of them still held")
    print(
        f"{body / values:.2f} bytes a value on the wire, "
        f"{journal._writer.current.file.store.used / values / held:.2f} in the file"
    )
    if device:
        settle(directory)
        each = (written(device) - before) / options.commits
        print(
            f"{each:.0f} bytes reach the device per commit: {each * YEAR / 1e9:.1f} GB a year at a commit "
            f"every 10 s; {checkpoints(directory) - wrapped} checkpoints among them"
        )
    await journal.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--commits", type=int, default=600)
    parser.add_argument("--meters", type=int, default=10)
    parser.add_argument("--budget", type=int, default=4_000_000_000)
    parser.add_argument("--block", type=int, default=4096)
    parser.add_argument(
        "--commit", type=int, default=5, help="s between two commits of the file system's own"
    )
    parser.add_argument("--mount", default="noatime", help="further options of the mount")
    parser.add_argument("--features", default="", help="of the file system, as mkfs.ext4 -O takes them")
    parser.add_argument("--page", type=int, default=schema.PAGE, help="bytes of a page of the file")
    parser.add_argument("--checkpoint", type=int, default=schema.CHECKPOINT, help="pages of the WAL")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="commits before")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        disk = Path(work) / "disk"
        disk.mkdir()
        if os.geteuid():
            print("not root: nothing is said of the device", file=sys.stderr)
            asyncio.run(run(disk, None, options))
            return
        image = Path(work) / "image"
        with image.open("wb") as file:
            file.truncate(256 << 20)
        # Left to itself mkfs gives a small image blocks of 1024 bytes, and the kernel goes on making it while
        # we measure.
        lazy = "lazy_itable_init=0,lazy_journal_init=0"
        features = ["-O", options.features] if options.features else []
        block = ["-b", str(options.block), "-E", lazy]
        subprocess.run(["mkfs.ext4", "-qF", *block, *features, image], check=True)
        device = subprocess.run(
            ["losetup", "-f", "--show", image], check=True, capture_output=True, text=True
        ).stdout.strip()
        try:
            # A file system that has no journal of its own knows no commit of it.
            commit = "" if "^has_journal" in options.features else f",commit={options.commit}"
            subprocess.run(["mount", "-o", f"{options.mount}{commit}", device, disk], check=True)
            try:
                asyncio.run(run(disk, Path(device).name, options))
            finally:
                subprocess.run(["umount", disk], check=True)
        finally:
            subprocess.run(["losetup", "-d", device], check=True)


if __name__ == "__main__":
    main()
