"""Thirty days with everything that goes wrong in a plant room: nothing lost, nothing twice, nothing grows
that should not.
"""

from __future__ import annotations

import math
import os
import re
import time
from pathlib import Path

import pytest

from gateway.field.forecast import BATCH_BYTES, VALUE_BYTES
from gateway.journal.file.schema import CHECKPOINT, PAGE
from tests.mosquitto import MOSQUITTO
from tests.reliability import note
from tests.soak.months import Month, live

pytestmark = [pytest.mark.broker, pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")]

MB = 1_000_000


def check_intervals(month: Month, days: float) -> None:
    """Whatever happened, the intervals at the platform add up to what the registers gained."""
    energy = month.intervals
    print(f"{energy.intervals} intervals of {energy.registers} registers, {energy.exact} compared one by one")
    assert energy.good, "\n".join(energy.problems[:40])
    assert energy.intervals >= energy.registers * int(90 * days)
    assert energy.exact >= 0.6 * energy.intervals
    assert energy.days >= energy.registers * int(days - 2)


def check(month: Month, days: float, seed: int = 1) -> None:
    account = month.account
    print(
        f"{month.days:.1f} days, {account.arrived} of {account.served} readings, {account.committed} "
        f"batches, {dict(month.deeds)}"
    )
    note("month", part=f"{days:g} days, seed {seed}", runs=month.deeds.total(), taken=account.arrived,
         lost=account.lost + account.absent_batches, twice=account.twice, wrong=account.wrong)  # fmt: skip
    assert account.good, "\n".join(account.problems)
    check_intervals(month, days)
    assert month.days >= days
    assert account.arrived + account.open_slot + account.declared + account.spoilt == account.served
    assert account.arrived > 0.9 * account.served
    kinds = {deed.split()[0] for deed in month.deeds}
    assert kinds == {"broker", "receiver", "network", "meters", "clock", "reload", "gateway"}
    assert "Traceback" not in month.said
    assert not re.search(r"^(ERROR|CRITICAL)", month.said, re.MULTILINE)
    # Calm days after all that: everything stays as it is.
    first, last = month.samples[0], month.samples[-1]
    assert last.uptime - first.uptime > days * 86400 / 4
    assert last.gateway - first.gateway < 8 * MB, [sample.gateway for sample in month.samples]
    assert last.receiver - first.receiver < 8 * MB, [sample.receiver for sample in month.samples]
    assert last.descriptors <= first.descriptors + 4
    assert max(sample.wal for sample in month.samples) < 1.5 * CHECKPOINT * (PAGE + 24)
    # The file grows by its batches, as `submeter plan` sizes them, and by nothing else.
    row = BATCH_BYTES + account.values / account.committed * VALUE_BYTES
    pages = math.ceil(row / PAGE) if row > PAGE else 1 / (PAGE // row)
    predicted = account.committed * pages * PAGE
    assert 0.7 < last.journal / predicted < 1.5, (last.journal, predicted)
    grown = (last.journal - first.journal) / (last.batches - first.batches)
    assert 0.7 < grown / (last.journal / last.batches) < 1.3


@pytest.mark.timeout(900)
def test_thirty_days_in_minutes(tmp_path: Path) -> None:
    check(live(tmp_path, days=30, interval=900, deeds=10, coarse=300), 30)


@pytest.mark.slow
def test_months_with_timers_on_time(tmp_path: Path) -> None:
    """Ten-second slots, no timer late; as many days as the time allows, and another seed each time."""
    end = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "60"))
    seed, days = 2, 1.0
    while True:
        folder = tmp_path / str(seed)
        folder.mkdir()
        began = time.monotonic()
        check(live(folder, days=days, interval=10, deeds=14, seed=seed, coarse=0), days, seed)
        took = time.monotonic() - began
        left = end - time.monotonic()
        if left < took / days:
            return
        # The next takes what is left, at most thirty days.
        seed, days = seed + 1, max(1.0, min(30.0, 0.8 * left / took * days))
