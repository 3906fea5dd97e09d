"""Several receivers on one PostgreSQL, sharing the batches of one broker: kill -9 of receivers, of the
database, one that never comes back.
"""

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psycopg
import pytest
from postgres_server import PostgresServer, programs
from receiver_feed import E1, T0, Feeder, arrival, batch, opening

from gateway.errors import JournalError
from gateway.model import Event
from gateway.receiver import build_report
from gateway.receiver.store import open_store, shown
from tests.mosquitto import MOSQUITTO
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        MOSQUITTO is None or programs() is None, reason="mosquitto or PostgreSQL is not installed"
    ),
]
COMMAND = [sys.executable, "-m", "gateway", "receive", "--share"]


class Receivers:
    """As processes; each has a log of its own."""

    def __init__(self, url, address, folder):
        self._command = [*COMMAND, "--broker", url, "--database", address]
        self._folder = folder
        self.running = []

    def start(self):
        log = self._folder / f"receiver-{len(self.running)}-{time.monotonic_ns()}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(self._command, stderr=out)
        process.log = log
        self.running.append(process)
        return process

    def connected(self, process):
        wait_until(lambda: ", MQTT 5" in process.log.read_text())
        return process

    def kill(self, process):
        process.kill()
        process.wait(20)
        self.running.remove(process)

    def end(self):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def server():
    made = PostgresServer(durable=True)
    made.start()
    yield made
    made.end()


@pytest.fixture
def receivers(broker, server, tmp_path):
    made = Receivers(broker.url, server.new_database(), tmp_path)
    made.address = made._command[-1]
    yield made
    made.end()


@pytest.fixture
def feeders(broker):
    made = [Feeder(broker.port, gateway) for gateway in ("gw-1", "gw-2", "gw-3")]
    yield made
    for feeder in made:
        feeder.close()


def stream(gateway, count):
    return [opening(1, gateway=gateway), *(batch(seq, gateway=gateway) for seq in range(2, count + 1))]


def whole(report, count):
    """Whether everything is there once; readings are counted in the table, not in the totals."""
    totals = report["totals"]
    return totals["batches"] == count and totals["missing"] == 0 and totals["conflicts"] == 0


def counted(address, sql):
    with psycopg.connect(address) as connection:
        return connection.execute(sql).fetchone()[0]


def test_two_receivers_share_the_work_and_each_batch_is_stored_once(receivers, feeders):
    both = [receivers.start() for _ in range(2)]
    for one in both:
        receivers.connected(one)
    for feeder, gateway in zip(feeders, ("gw-1", "gw-2", "gw-3"), strict=True):
        feeder.deliver(stream(gateway, 60))
    assert whole(build_report(receivers.address), 180)
    assert counted(receivers.address, "SELECT count(*) FROM reading") == 360
    receivers.end()
    said = [process.log.read_text() for process in both]
    assert all("stored 0 batches" not in log for log in said), "each did its part"


def test_receivers_and_the_database_are_killed_again_and_again_nothing_is_lost_nothing_twice(
    receivers, feeders, server
):
    chance = random.Random(7)
    for _ in range(2):
        receivers.connected(receivers.start())
    batches = {gateway: stream(gateway, 150) for gateway in ("gw-1", "gw-2", "gw-3")}
    blows = 0
    end = time.monotonic() + 200
    while blows < 6 or any(f.missing(b) for f, b in zip(feeders, batches.values(), strict=True)):
        assert time.monotonic() < end, [
            len(f.missing(b)) for f, b in zip(feeders, batches.values(), strict=True)
        ]
        for feeder, sent in zip(feeders, batches.values(), strict=True):
            for one in feeder.missing(sent)[:40]:
                feeder.send(one)
        if blows < 6:
            time.sleep(chance.uniform(0.1, 0.5))
            blows += 1
            if blows % 3 == 0:
                server.kill()
                server.start()
            else:
                receivers.kill(chance.choice(receivers.running))
                receivers.start()
            # What was receipted before the blow is there after it.
            receipted = [list(feeder.held.get(E1, ())) for feeder in feeders]
            held = build_report(receivers.address)
            told = {gateway["gateway"]: gateway for gateway in held["gateways"]}
            for ranges, gateway in zip(receipted, batches, strict=True):
                for first, last in ranges:
                    [epoch] = [e for e in told[gateway]["epochs"] if e["epoch"] == E1]
                    gaps = [seq for a, b in epoch["missing_ranges"] for seq in range(a, b + 1)]
                    assert last <= epoch["highest"]
                    assert not set(gaps) & set(range(first, last + 1))
        else:
            time.sleep(1)
    assert blows == 6
    assert whole(build_report(receivers.address), 450)
    assert counted(receivers.address, "SELECT count(*) FROM reading") == 900, "none twice"


def test_one_that_is_killed_and_never_comes_back_leaves_nothing_behind(receivers, feeders):
    three = [receivers.connected(receivers.start()) for _ in range(3)]
    first = stream("gw-1", 200)
    for one in first[:100]:
        feeders[0].send(one)
    receivers.kill(three[1])
    feeders[0].deliver(first)
    assert whole(build_report(receivers.address), 200)


def test_a_receiver_waits_for_a_database_that_is_away_at_its_start(receivers, feeders, server):
    server.kill()
    process = receivers.start()
    wait_until(lambda: "check the address" in " ".join(process.log.read_text().split()))
    server.start()
    receivers.connected(process)
    feeders[0].deliver(stream("gw-1", 20))
    assert whole(build_report(receivers.address), 20)


def test_one_that_is_stopped_before_its_database_has_come_ends(receivers, server):
    server.kill()
    process = receivers.start()
    wait_until(lambda: "check the address" in " ".join(process.log.read_text().split()))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_one_at_a_time_asks_for_gaps(receivers):
    stores = [open_store(receivers.address) for _ in range(3)]
    assert [store.leads for store in stores] == [True, False, False]
    stores[0].close()
    wait_until(lambda: stores[1].leads)
    assert not stores[2].leads
    for store in stores[1:]:
        store.close()


def test_what_another_receiver_has_stored_is_known_at_once_in_a_transaction(receivers):
    one, two = open_store(receivers.address), open_store(receivers.address)
    feed = [batch(seq) for seq in range(2, 6)]
    for index, each in enumerate([opening(1), *feed, *feed]):
        store = (one, two)[index % 2]
        with store.atomic([each.gateway]):
            taken = store.take([arrival(each)])
        assert taken.duplicates == (index >= 5)
        assert list(store.ledger("gw-1").epoch(E1).stored)[-1][1] >= min(index + 1, 5)
    one.close()
    two.close()


def taken_before_a_power_cut(server, *, careless):
    """(batches that were said to be stored, of these in the database after the server was killed)."""
    address = server.new_database()
    store = open_store(address)
    if careless:
        store.conn.execute("SET synchronous_commit TO off")
    for seq in range(1, 41):
        with store.atomic(["gw-1"]):
            store.take([arrival(opening(1) if seq == 1 else batch(seq))])
    server.kill()
    server.start()
    store.close()
    return 40, counted(address, "SELECT count(*) FROM batch")


@pytest.mark.parametrize("seed", range(2))
def test_what_others_have_stored_is_caught_up_with_as_if_all_were_read_anew(postgres, seed):
    """Ranges that grow at both ends and melt, conflicts, explanations, anchors, failures: in any order."""
    chance = random.Random(seed)
    address = postgres.new_database()
    stores = [open_store(address) for _ in range(3)]
    names = ("gw-1", "gw-2")
    for step in range(45):
        one = chance.choice(stores)
        gateway = chance.choice(names)
        seqs = [chance.randint(1, 60) for _ in range(chance.randint(1, 5))]
        events = [
            Event(
                "thinned", 1000, {"epoch": E1, "from": seqs[0] + 60, "to": seqs[-1] + 70, "reason": "full"}
            ),
            Event("clock_anchor", 9000, {"epoch": E1, "uptime": 9000 + step, "t": T0 + step}),
        ]
        more = {"events": events} if step % 7 == 0 else {}
        lot = [batch(100 + step, gateway=gateway, **more), *(batch(seq, gateway=gateway) for seq in seqs)]
        lot += [batch(seqs[0], gateway=gateway, value=99.0)] if step % 11 == 0 else []
        with suppress(ZeroDivisionError), one.atomic([gateway]):
            one.take([arrival(each) for each in lot])
            assert 1 / (step % 13), "a group that fails"
        if chance.random() < 0.3:
            chance.choice(stores).ledger(gateway)
    for store in stores:
        for gateway in names:
            with store.atomic([gateway]):
                assert store.ledger(gateway).epochs == store.load([gateway])[gateway].epochs
        store.close()


def test_a_gateway_with_many_gaps_costs_no_more_than_what_has_changed(postgres):
    address = postgres.new_database()
    one, two = open_store(address), open_store(address)
    with one.atomic(["gw-1"]):
        one.take([arrival(batch(seq)) for seq in range(2, 4002, 2)])
    assert len(two.ledger("gw-1").epoch(E1).stored) == 2000
    read = []
    for store in (one, two):
        execute = store.conn.execute

        def counted(sql, *words, execute=execute):
            found = execute(sql, *words)
            if "held_ranges" in sql and sql.lstrip().startswith("SELECT"):
                read.append(found.rowcount)
            return found

        store.conn.execute = counted
    for seq in range(5001, 5041, 2):
        for store in (one, two):
            with store.atomic(["gw-1"]):
                store.take([arrival(batch(seq if store is one else seq + 1))])
    assert len(one.load(["gw-1"])["gw-1"].epoch(E1).stored) == 2001
    assert 2 * 20 - 2 <= sum(read) <= 2 * 20 + 2, read
    for store in (one, two):
        store.close()


def test_what_is_said_to_be_stored_survives_the_database_and_the_control_does_not(server):
    server.setting("synchronous_commit=off")
    said, kept = taken_before_a_power_cut(server, careless=False)
    assert kept == said, "whatever the server is set to"
    lost = 0
    for _ in range(20):
        said, kept = taken_before_a_power_cut(server, careless=True)
        lost += said - kept
        if lost:
            return
    raise AssertionError("the control lost nothing: the test proves nothing")


def test_a_server_that_is_away_is_a_clear_error(server, tmp_path):
    address = server.new_database()
    server.kill()
    with pytest.raises(JournalError, match=r"postgresql://.*→ check the address"):
        open_store(address)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (
            "postgresql://me:secret@db.example:5433/energy?sslmode=require",
            "postgresql://db.example:5433/energy",
        ),
        ("postgres://me:secret@/energy?host=/run/pg", "postgresql:///run/pg/energy"),
        ("/srv/p.db", "/srv/p.db"),
    ],
)
def test_a_password_is_never_shown(address, told):
    assert shown(address) == told
