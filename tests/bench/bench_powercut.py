"""Power cut at every write of a recorded run of the shipped journal; the control with synchronous=NORMAL must
lose.

The machinery is the journal tests' own: strace records what the process asked of the kernel, every cut is
rebuilt and reopened.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.bench.figures import Figure, at_least, at_most
from tests.reliability import note

sys.path.insert(0, str(Path(__file__).parents[1] / "journal"))
import test_journal_powercut as shipped


def run() -> list[Figure]:
    """Cut the run everywhere, then the control's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        directory, ops = shipped.run(folder, count=150, meters=10, settle=30, budget=150_000)
        # At every point what was not synced is lost, and at every other one it is kept or torn.
        points = [
            (point, how, point)
            for point in range(1, len(ops) + 1)
            for how in ("dropped", ("kept", "torn")[point % 2])
        ]
        cuts, lost, damaged, foreign = shipped.judge(ops, directory, folder / "cut", points)
        taken = shipped.Run(shipped.said(ops)).taken
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        directory, control = shipped.run(folder, count=60, synchronous="NORMAL")
        points = [(point, "dropped", 0) for point in range(len(control) // 2, len(control) + 1, 20)]
        control_cuts, control_lost, _, _ = shipped.judge(control, directory, folder / "cut", points)
    told = f"{control_lost} batches over {control_cuts} cuts"
    note("power", runs=cuts, taken=len(taken), lost=lost, twice=0, wrong=foreign + damaged, control=told)
    return [
        at_most(
            "committed batches lost by a power cut",
            lost,
            f"in {cuts} cuts",
            0,
            f"{len(ops)} writes and syncs, {len(taken)} batches",
        ),
        at_most("files found damaged after a power cut", damaged, f"in {cuts} cuts", 0),
        at_most("batches that hold anything else than was committed", foreign, f"in {cuts} cuts", 0),
        at_least("the control, synchronous=NORMAL: batches lost", control_lost, f"in {control_cuts} cuts", 1),
    ]
