"""kill -9 and SIGSTOP of gateway, broker and receiver, two hundred times; judged by the simulated meters' own log."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.figures import Figure, at_least, at_most
from tests.chaos.mistreat import mistreat
from tests.reliability import note

BLOWS, CONTROL = 200, 60
LONGEST = 1500.0


def run() -> list[Figure]:
    """The run, and a shorter control that deletes on the broker's acknowledgement."""
    with tempfile.TemporaryDirectory() as folder:
        story = mistreat(Path(folder), LONGEST, seed=2026, most=BLOWS)
    with tempfile.TemporaryDirectory() as folder:
        control = mistreat(Path(folder), 300, seed=7, control=True, most=CONTROL)
    account = story.account
    note(
        "kills",
        runs=story.blows.total(),
        taken=account.arrived,
        lost=account.lost + account.absent_batches,
        twice=account.twice + account.invented,
        wrong=account.wrong,
        control=f"{control.account.absent_batches} of {control.account.committed} batches",
    )
    what = ", ".join(f"{name} {count}" for name, count in sorted(story.blows.items()))
    lost = account.lost + account.absent_batches
    return [
        at_least("kills and stops", story.blows.total(), "blows", BLOWS, what),
        at_most("readings and batches lost by them", lost, f"of {account.served}", 0, f"{account.open_slot} were in an open slot"),
        at_most("readings and batches counted twice", account.twice + account.invented, f"of {account.arrived}", 0),
        at_most("values that are not what the meter served", account.wrong, f"of {account.values}", 0),
        at_least("the control (delete on PUBACK): batches lost", control.account.absent_batches, f"of {control.account.committed}", 1),
    ]
