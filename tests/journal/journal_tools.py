"""Running the writer, with or without strace, and looking into what it left."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from journal_data import HandClock

from gateway import wire
from gateway.journal import Journal
from gateway.model import Ranges

HERE = Path(__file__).parent
WRITER = [sys.executable, str(HERE / "journal_writer.py")]

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a file system")


class Run:
    """What a writer said: `taken` by (epoch, seq), `late` of them, how often it was refused, its last
    words.
    """

    def __init__(self, text):
        lines = [line.split(" ", 3) for line in text.splitlines()]
        said = [line for line in lines if line[0] in {"taken", "late"} and len(line) == 4]
        self.taken = {(epoch, int(seq)): body for _, epoch, seq, body in said}
        self.twice = len(said) - len(self.taken)
        self.late = sum(line[0] == "late" for line in said)
        self.refused = [" ".join(line[1:]) for line in lines if line[0] == "full"]
        ends = [text.split(" ", 1)[1] for text in text.splitlines() if text.startswith("end ")]
        self.end = json.loads(ends[0]) if ends else None


def write(directory, *, prefix=(), timeout=100, **options):
    done = subprocess.run(
        [*prefix, *WRITER, str(directory), json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=HERE,
    )
    assert "Traceback" not in done.stderr, done.stderr
    run = Run(done.stdout)
    run.stderr = done.stderr
    return run


async def contents(directory, uplinks=("city",)):
    """Everything a reopened journal holds, as {(epoch, seq): body}; and its stats."""
    journal = Journal.open(directory, gateway="g-1", clock=HandClock(boot="ee" * 16), uplinks=uplinks)
    try:
        held = {}
        for epoch, first, last in journal.epochs():
            for sealed in await journal.find(epoch, first, last, 1_000_000):
                held[sealed.epoch, sealed.seq] = sealed.body.hex()
        gone = {}
        for epoch, first, last in journal.epochs():
            for a, b, reason in await journal.explain(epoch, first, last):
                gone |= dict.fromkeys(((epoch, n) for n in range(a, b + 1)), reason)
        return held, gone, journal.stats()
    finally:
        await journal.close()


def told(rows):
    """The batches that events in these say are thinned or damaged, as (epoch, seq)."""
    events = [
        event
        for row in rows
        for event in wire.decode(row.body).events
        if event.kind in {"thinned", "damaged"}
    ]
    return {(e.fields["epoch"], n) for e in events for n in range(e.fields["from"], e.fields["to"] + 1)}


__all__ = ["HERE", "WRITER", "Ranges", "Run", "contents", "needs_root", "needs_strace", "told", "write"]
