"""`submeter receive --keep` at a real broker: old readings go while it receives, intervals stay."""

import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest
from receiver_feed import E1, Feeder, batch, opening

from gateway.model import Interval, Reading
from gateway.receiver import build_report
from gateway.receiver.store import open_store
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

DAY, QUARTER = 86_400_000, 900_000
AGE, KEPT = 90, 30
"""Days that were stored, and days of readings that are to stay."""


class Receiver:
    """`submeter receive` with these words, until the end of a block."""

    def __init__(self, *words):
        self._words = words

    def __enter__(self):
        command = [sys.executable, "-m", "gateway", "receive", *self._words]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(30) == 0


def asked(database, sql):
    with closing(open_store(database, readonly=True)) as store:
        return store.conn.execute(sql).fetchall()


def test_old_readings_go_while_it_receives_and_intervals_stay(broker, database):
    now = time.time_ns() // 1_000_000
    days = [now - age * DAY for age in range(AGE, -1, -1)]
    batches = []
    for seq, t in enumerate(days, 1):
        readings = [Reading("main", seq * 1000, {"active_power": float(seq)})]
        made = (opening if seq == 1 else batch)(seq, t0=t, readings=readings)
        made.intervals = [Interval("main", "active_energy_import", t - t % QUARTER, seq, "m")]
        batches.append(made)
    late = 31 if isinstance(database, str) else 1  # a month goes when all of it is old, in a file an hour
    words = ("--broker", broker.url, "--database", str(database))
    with closing(Feeder(broker.port)) as feeder:
        with Receiver(*words):
            feeder.deliver(batches)
        before = build_report(database)
        assert asked(database, "SELECT count(*) FROM reading") == [(len(days),)]
        with Receiver(*words, "--keep", f"{KEPT}d"):
            oldest = "SELECT min(t) FROM reading"
            wait_until(lambda: asked(database, oldest)[0][0] > now - (KEPT + late) * DAY, 60)
            feeder.held.clear()
            feeder.deliver([batches[0], batch(len(days) + 1, t0=now, readings=[Reading("main", 1000, {})])])
    [(oldest, count)] = asked(database, "SELECT min(t), count(*) FROM reading")
    kept = [t for t in days if t >= oldest]
    assert count == len(kept) + 1
    assert set(days[-KEPT:]) <= set(kept), "nothing that is to stay has gone"
    values = asked(database, 'SELECT value FROM "interval" ORDER BY start')
    assert values == [(seq,) for seq in range(1, len(days) + 1)]
    hours = asked(database, "SELECT sum(count) FROM value_hour")[0][0]
    assert hours >= len(days) - len(kept), "what has gone is in the rollups"
    totals = build_report(database)["totals"]
    assert totals["batches"] == before["totals"]["batches"] + 1
    assert (totals["missing"], totals["conflicts"]) == (0, 0)
    assert asked(database, "SELECT first, last FROM held") == [(1, len(days) + 1)]
    assert E1 in feeder.held
