"""kill -9 and SIGSTOP of gateway, broker and receiver, two hundred times; judged by the simulated meters' own
log.

Two sites side by side, a hundred blows each, and a third that deletes on the broker's acknowledgement: the
control.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.bench.figures import Figure, at_least, at_most
from tests.chaos.mistreat import Story, mistreat
from tests.reliability import note

SITES, BLOWS, CONTROL = 2, 100, 60
LONGEST = 1500.0


def _site(seed: int, most: int, control: bool) -> Story:
    """One site's story."""
    with tempfile.TemporaryDirectory() as folder:
        return mistreat(Path(folder), LONGEST, seed=seed, most=most, control=control)


def run() -> list[Figure]:
    """All sites at once."""
    with ProcessPoolExecutor(SITES + 1, multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(_site, 2026 + number, BLOWS, control=False) for number in range(SITES)]
        other = pool.submit(_site, 7, CONTROL, control=True)
        stories, control = [one.result() for one in running], other.result().account
    blows: Counter[str] = sum((story.blows for story in stories), Counter())
    accounts = [story.account for story in stories]
    what = ", ".join(f"{name} {count}" for name, count in sorted(blows.items()))
    problems = "; ".join(problem for account in accounts for problem in account.problems)
    taken, served = sum(account.arrived for account in accounts), sum(account.served for account in accounts)
    lost = sum(account.lost + account.absent_batches for account in accounts)
    twice = sum(account.twice + account.invented for account in accounts)
    wrong, values = sum(account.wrong for account in accounts), sum(account.values for account in accounts)
    told = f"{control.absent_batches} of {control.committed} batches"
    note("kills", runs=blows.total(), taken=taken, lost=lost, twice=twice, wrong=wrong, control=told)
    open_slot = f"{sum(account.open_slot for account in accounts)} were in an open slot"
    return [
        at_least("kills and stops", blows.total(), "blows", SITES * BLOWS, what),
        at_most(
            "readings and batches lost by them",
            lost,
            f"of {served}",
            0,
            "; ".join(filter(None, [open_slot, problems])),
        ),
        at_most("readings and batches counted twice", twice, f"of {taken}", 0),
        at_most("values that are not what the meter served", wrong, f"of {values}", 0),
        at_least(
            "the control (delete on PUBACK): batches lost",
            control.absent_batches,
            f"of {control.committed}",
            1,
        ),
    ]
