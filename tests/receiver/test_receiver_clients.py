"""The examples of a platform in sixty lines, killed again and again while a fleet delivers: all once."""

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
from receiver_feed import Feeder, batch, opening

from gateway.demo.fleet import Fleet, FleetPlan
from tests.mosquitto import MOSQUITTO
from tests.ports import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
MODULES = ROOT / "build" / "asyncapi" / "node_modules"
CLIENTS = {
    "python": [sys.executable, EXAMPLES / "client.py"],
    "javascript": ["node", EXAMPLES / "client.mjs"],
}
METERS, VALUES = 2, 6

pytestmark = [pytest.mark.broker, pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")]


@pytest.fixture(params=CLIENTS)
def client(request, tmp_path):
    """Starts one beside what the former ones have left."""
    if request.param == "javascript" and not (
        shutil.which("node") and (MODULES / "node-sqlite3-wasm").is_dir()
    ):
        pytest.skip("node, mqtt or node-sqlite3-wasm is not installed: npm is missing, or tests/tools.sh")
    running = []

    def start(broker):
        words = [*CLIENTS[request.param], "127.0.0.1", str(broker.port), str(tmp_path / "platform.db")]
        with (tmp_path / "client.log").open("ab") as log:
            process = subprocess.Popen(
                words, stdout=log, stderr=log, env={**os.environ, "MODULES": str(MODULES)}
            )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(20)


def ask(tmp_path, sql):
    with closing(sqlite3.connect(tmp_path / "platform.db", timeout=20)) as db:
        return db.execute(sql).fetchall()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("client.*")), ids=lambda path: path.suffix)
def test_it_has_sixty_lines(path):
    assert len(path.read_text().splitlines()) <= 60


def test_a_client_that_is_killed_between_stores_everything_once(client, broker, tmp_path):
    chance = random.Random(3)
    plan = FleetPlan(
        (broker.url,), gateways=3, meters=METERS, values=VALUES, interval=0.5, backlog=4.0, seconds=None,
        spread=0.0, backlog_rate=0.0, drain=60.0,
    )  # fmt: skip

    async def story():
        fleet = Fleet(plan)
        running = asyncio.create_task(fleet.run())
        for _ in range(2):
            process = client(broker)
            settled = fleet.settled
            await asyncio.to_thread(wait_until, lambda seen=settled: fleet.settled > seen or running.done())
            await asyncio.sleep(chance.uniform(0.0, 0.7))
            process.kill()
            await asyncio.to_thread(process.wait, 20)
        client(broker)
        # What was on its way to a killed one is overtaken, and goes again, as long as others follow it.
        await asyncio.to_thread(wait_until, lambda: not fleet.open)
        fleet.stop()
        return await running

    ledger = asyncio.run(story())
    assert ledger.open == 0, (tmp_path / "client.log").read_text()[-2000:]
    assert ledger.taken > 3 * 8
    keys = ask(
        tmp_path, "SELECT gateway, max(seq), count(*), count(DISTINCT seq) FROM batch GROUP BY gateway"
    )
    assert keys == [
        (plan.name(account.number), account.taken, account.taken, account.taken)
        for account in ledger.accounts
    ]
    [(rows, distinct)] = ask(
        tmp_path,
        "SELECT count(*), count(DISTINCT gateway || meter || '/' || t || '/' || quantity) FROM reading",
    )
    assert rows == distinct == ledger.taken * METERS * VALUES


def test_the_same_number_with_other_content_is_told_and_the_first_one_stays(client, broker, tmp_path):
    client(broker)
    feeder = Feeder(broker.port)
    try:
        feeder.deliver([opening(1), batch(2)])
        feeder.send(batch(2, value=99.0))
        wait_until(lambda: any(receipt.conflicts == [2] for receipt in feeder.receipts))
        feeder.send(batch(2, t0=5, clock="anchored"))
        known = len(feeder.receipts)
        wait_until(lambda: len(feeder.receipts) > known)
        assert feeder.receipts[-1].have == [[2, 2]], "a repaired clock is no other content"
        feeder.state(batch(2).epoch, 2)
        wait_until(lambda: feeder.receipts[-1].have == [[1, 2]])
    finally:
        feeder.close()
    assert ask(tmp_path, "SELECT value FROM reading WHERE quantity = 'active_power' ORDER BY t") == [
        (1,),
        (2,),
    ]


def test_a_broker_that_hands_out_more_than_was_asked_for(client, tmp_path):
    """The broker of the demo sends who connects what others have subscribed to, as far as it is retained."""
    pytest.importorskip("amqtt", reason="the embedded broker is in the extra demo")
    port = free_port()
    embedded = subprocess.Popen(
        [sys.executable, "-m", "gateway.demo.broker", "--port", str(port)], stdout=subprocess.PIPE
    )
    feeder = None
    try:
        assert b"listening" in embedded.stdout.readline()
        feeder = Feeder(port, protocol=paho.MQTTv311)
        told = threading.Event()
        feeder.client.message_callback_add(feeder.topics.meters, lambda *_: told.set())
        feeder.client.subscribe(feeder.topics.meters, 1)
        feeder.raw(feeder.topics.meters, b'{"gateway":"gw-1","meters":[]}', retain=True)
        assert told.wait(60)
        process = client(SimpleNamespace(port=port))
        feeder.deliver([opening(1), batch(2)])
        assert process.poll() is None, (tmp_path / "client.log").read_text()[-2000:]
    finally:
        if feeder is not None:
            feeder.close()
        embedded.kill()
        embedded.wait(20)
        embedded.stdout.close()
