"""Gateway's half and platform's half together: real journal, real broker, the reference receiver as a
process of its own.
"""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from uplink_parts import T0, FakeClock, Platform, Running, config

from gateway.journal import Journal
from gateway.model import Draft, Reading
from gateway.mqtt.link import Outgoing
from gateway.uplink import Timing
from gateway.wire import Topics, decode, decompress, with_header
from tests.waiting import until

pytestmark = pytest.mark.broker
BRISK = Timing(patience=5.0, tick=0.1)


class Site:
    """A journal that is fed, and a receiver that may be started and stopped."""

    def __init__(self, folder, broker, clock):
        self.folder, self.broker, self.clock = folder, broker, clock
        self.database = folder / "platform.db"
        self.journal = Journal.open(folder / "journal", gateway="gw1", clock=clock, uplinks=["city"])
        self.process = None
        self.number = 0

    def receive(self):
        broker = f"mqtt://127.0.0.1:{self.broker.port}"
        command = [
            sys.executable,
            "-m",
            "gateway",
            "receive",
            "--validate",
            "--database",
            str(self.database),
            "--broker",
            broker,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self, number=signal.SIGTERM):
        if self.process:
            self.process.send_signal(number)
            self.process.wait(15)
            self.process = None

    async def take(self, run=None, count=1, events=()):
        for _ in range(count):
            self.number += 1
            self.clock.now += 1000
            reading = Reading("main", self.clock.uptime(), {"active_power": float(self.number)})
            sealed = await self.journal.commit(Draft([reading], list(events)))
            if run:
                run.forwarder.committed(sealed)

    def ask(self, sql):
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()

    @property
    def powers(self):
        return sorted(
            json.loads(values)["active_power"] for (values,) in self.ask('SELECT "values" FROM reading')
        )

    def report(self):
        command = [
            sys.executable,
            "-m",
            "gateway",
            "receive",
            "--database",
            str(self.database),
            "--report",
            "--json",
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.fixture
async def site(mosquitto, tmp_path):
    made = []

    def make(clock):
        made.append(Site(tmp_path, mosquitto(), clock))
        made[-1].receive()
        return made[-1]

    yield make
    for each in made:
        each.end()
        await each.journal.close()


def uplink(site):
    return config(url=f"mqtt://127.0.0.1:{site.broker.port}", receipts=["city"])


async def test_kills_on_both_sides_lose_nothing_and_count_nothing_twice(site):
    here = site(FakeClock())
    async with Running(uplink(here), here.journal, clock=here.clock, timing=BRISK) as run:
        await here.take(run, 50)
        await until(lambda: run.stats.backlog_batches == 0 and run.stats.delivered_batches >= 50, 40)
        here.end(signal.SIGKILL)
        await here.take(run, 30)
        here.broker.kill()
        await here.take(run, 20)
        here.broker.start()
        here.receive()
        await until(lambda: run.stats.delivered_batches >= 100 and run.stats.backlog_batches == 0, 60)
    assert here.powers == [float(n) for n in range(1, 101)]


async def test_a_conflict_ends_with_everything_at_the_platform_and_nothing_missing(site):
    here = site(FakeClock())
    await here.take(count=6)
    epoch, _ = here.journal.newest
    async with Running(uplink(here), here.journal, clock=here.clock, timing=BRISK) as run:
        await until(lambda: run.stats.connected)
        await until(lambda: run.stats.delivered_batches == 6, 40)
        await here.take(count=2)  # not told to the forwarder: another card speaks first under these numbers
        connection = run.forwarder._connection
        for sealed in await here.journal.find(epoch, 7, 8, 2):
            plain = with_header(decompress(sealed.body), events=[{"dt": 0, "kind": "twin"}])
            await until(lambda connection=connection: connection.room)

            connection.publish([Outgoing(Topics("gw1").data, plain)])
        await until(lambda: len(here.powers) == 8, 20)
        run.forwarder._sender._queues.rewind()
        run.forwarder._wake.set()
        await until(lambda: run.stats.conflicts == 2 and here.journal.epoch != epoch, 20)
        await here.take(run, 2)
        await until(lambda: run.stats.backlog_batches == 0 and run.stats.delivered_batches >= 10, 40)
    assert here.powers == sorted([*map(float, range(1, 11)), 7.0, 8.0]), (
        "the twins of 7 and 8 were other content"
    )
    epochs = [epoch for gateway in json.loads(here.report())["gateways"] for epoch in gateway["epochs"]]
    assert len(epochs) == 4, "the one that was left, the new one, and one for each conflict"
    assert all(not epoch["missing_ranges"] and not epoch["beginning_unknown"] for epoch in epochs)
    assert here.ask("SELECT count(*) FROM conflict") == [(2,)]


async def test_unsynced_batches_are_repaired_by_the_anchor(site):
    clock = FakeClock(synced=False, uptime=100_000, offset=5_000)
    here = site(clock)
    told = []
    async with Running(uplink(here), here.journal, clock=clock, timing=BRISK, hold=0.0) as run:
        await here.take(run, 3)
        await until(lambda: run.stats.delivered_batches == 3, 40)
        assert {t for (t,) in here.ask("SELECT t FROM reading")} == {
            5_000 + 101_000,
            5_000 + 102_000,
            5_000 + 103_000,
        }
        clock.synced, clock.offset = True, T0
        told = await until(lambda: run.events)
        await here.take(run, 1, events=told)
        await until(lambda: run.stats.delivered_batches == 4, 40)
    assert {t for (t,) in here.ask("SELECT t FROM reading")} == {T0 + 1000 * n for n in range(101, 105)}


async def test_a_batch_that_the_platform_lost_is_asked_for_and_replayed(site):
    here = site(FakeClock())
    async with Running(uplink(here), here.journal, clock=here.clock, timing=BRISK) as run:
        await here.take(run, 10)
        await until(lambda: run.stats.delivered_batches == 10, 40)
        epoch, _ = here.journal.newest

        other = await asyncio.to_thread(Platform, here.broker.port)
        other.say(Topics("gw1").replay, json.dumps({"id": "r", "epoch": epoch, "from": 3, "to": 5}).encode())
        await until(lambda: other.of(Topics("gw1").reply))
        await until(lambda: other.seqs == [3, 4, 5])
        await asyncio.to_thread(other.close)
        assert all(decode(row.body).seq == row.seq for row in await here.journal.find(epoch, 1, 10, 10))
        assert json.loads(other.of(Topics("gw1").reply)[0])["sent"] == 3
    assert len(here.powers) == 10
