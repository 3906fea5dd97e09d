"""A fleet at the wire: its packets, its readings, its judge, and a run beside a real broker and receiver."""

import asyncio
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.demo.fleet import Fleet, FleetLedger, FleetPlan, judge
from gateway.demo.fleet import packets as mqtt
from gateway.demo.fleet.ledger import Delays, GatewayAccount
from gateway.demo.fleet.network import FleetLink, Network
from gateway.demo.fleet.seeded import SeededReadings
from gateway.demo.fleet.seeded_journal import SeededJournal
from gateway.errors import UplinkError
from gateway.model import Ranges
from gateway.mqtt import Outgoing
from gateway.receiver import open_store
from gateway.receiver.intake import arrival
from gateway.uplink import broker_of
from gateway.wire import decode
from tests.certificates import certificate
from tests.mosquitto import MOSQUITTO, Mosquitto
from tests.receiver.receiver_feed import T0
from tests.waiting import wait_until

PLAN = FleetPlan(("mqtt://127.0.0.1:1",), gateways=3, meters=2, values=6, seconds=0.0)


# -- packets


def stream():
    long = mqtt.publish(True, 7, Outgoing("a/b", b"x" * 200))
    return b"".join([b"\x20\x03\x00\x00\x00", mqtt.puback(9), b"\x40\x03\x00\x0a\x10", long, b"\xd0\x00"])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_packets_are_whole_however_the_line_cuts_them(size):
    feed, found, whole = mqtt.Packets(), [], stream()
    for at in range(0, len(whole), size):
        found += feed.feed(whole[at : at + size])
    kinds = [kind for kind, _flags, _body in found]
    assert kinds == [mqtt.CONNACK, mqtt.PUBACK, mqtt.PUBACK, mqtt.PUBLISH, mqtt.PINGRESP]
    assert [mqtt.acknowledged(body) for _, _, body in found[1:3]] == [(9, 0), (10, 0x10)]
    heard = mqtt.heard(found[3][1], found[3][2], True)
    assert (heard.topic, heard.payload, heard.number, heard.retained) == ("a/b", b"x" * 200, 7, False)


def test_what_a_broker_says_of_itself_is_understood_and_the_rest_is_passed_over():
    said = (
        b"\x11\x00\x00\x00\x0a" + b"\x12\x00\x02me" + b"\x21\x00\x05" + b"\x25\x00" + b"\x27\x00\x00\x10\x00"
    )
    said += b"\x26\x00\x01k\x00\x01v"
    welcome = mqtt.welcome(b"\x00\x00" + bytes([len(said)]) + said, True)
    assert (welcome.code, welcome.unacked) == (0, 5)
    assert (welcome.limits.packet, welcome.limits.retain) == (4096, False)


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x00\x00\x05\x7f", b"\x00\x00\xff\xff\xff\xff\xff"])
def test_nonsense_is_a_bad_packet_and_nothing_else(body):
    with pytest.raises(mqtt.BadPacket):
        mqtt.welcome(body, True)


def test_a_length_of_five_bytes_and_a_huge_packet_end_the_connection():
    for bad in (b"\x30\xff\xff\xff\xff\xff", b"\x30\xff\xff\xff\x7f"):
        with pytest.raises(mqtt.BadPacket):
            list(mqtt.Packets().feed(bad))


# -- readings


def a_journal(plan=PLAN, number=0, taken=0, origin=T0):
    return SeededJournal(SeededReadings(plan, number, origin), plan.meters, taken, lambda _seq: None)


def test_a_batch_is_the_same_whenever_it_is_asked_for_and_only_then():
    one, again = a_journal(), a_journal()
    first = [one.commit() for _ in range(3)]
    assert first == [again.commit() for _ in range(3)]
    assert len({sealed.body for sealed in first}) == 3
    assert a_journal(number=1).commit().body != first[0].body
    assert a_journal(replace(PLAN, seed=2)).commit().epoch != first[0].epoch
    assert a_journal(origin=T0 + 1).commit().epoch != first[0].epoch, "another run is another epoch"


def test_batches_are_what_the_wire_says_and_counters_go_up():
    journal = a_journal(replace(PLAN, values=34, meters=10))
    read = [decode(journal.commit().body) for _ in range(20)]
    assert read[0].events[0].kind == "epoch_started"
    assert not read[1].events
    assert all(batch.values == 340 and len(batch.readings) == 10 for batch in read)
    counters = [
        [batch.readings[3].values[name] for batch in read]
        for name in read[0].readings[3].values
        if "energy" in name
    ]
    assert counters
    assert all(column == sorted(column) and column[0] < column[-1] for column in counters)


def test_what_is_not_settled_is_offered_again_few_at_a_time_and_its_backlog_is_counted():
    journal = a_journal(taken=25)

    async def story():
        assert [s.seq for s in await journal.unsettled("city", limit=200)] == list(range(1, 11))
        await journal.settle("city", journal.epoch_of(1), Ranges([(1, 9), (12, 30)]))
        assert [s.seq for s in await journal.unsettled("city", limit=200)] == [10, 11]
        assert (journal.backlog("city").batches, journal.open) == (2, 2)
        await journal.settle("city", "00000000000000ff", Ranges([(10, 11)]))
        assert journal.open == 2, "another epoch's receipt settles nothing"
        await journal.new_epoch("conflict")
        newer = journal.commit()
        assert newer.epoch != journal.epoch_of(25)
        assert decode(newer.body).events[0].kind == "epoch_started"
        assert await journal.explain(newer.epoch, 25, 27) == [(25, 25, "unknown"), (27, 27, "unknown")]

    asyncio.run(story())


def test_a_percentile_is_that_of_the_time_that_is_asked_for():
    delays = Delays()
    for when in range(100):
        delays.add(when, 5.0 if 50 <= when < 60 else 0.1 + when / 1000)
    assert delays.percentile(0.5) == pytest.approx(0.149, rel=1e-5)
    assert delays.percentile(0.95, until=50) == pytest.approx(0.147, rel=1e-5)
    assert delays.percentile(0.95, since=50, until=60) == 5.0
    assert delays.percentile(0.95, since=200) is None


# -- the judge


@pytest.fixture
def stored(tmp_path):
    """A ledger of two gateways, and a database that holds what they took."""
    store = open_store(tmp_path / "p.db")
    accounts = []
    for number in range(2):
        journal = a_journal(number=number)
        with store.atomic():
            for _ in range(5):
                store.take([arrival(PLAN.name(number), journal.commit().body, T0)[0]])
        accounts.append(GatewayAccount(number, T0, tuple(journal.began), 5, Ranges([(1, 4)])))
    yield FleetLedger(PLAN, T0, T0 + 60_000, 10, accounts), store
    store.close()


def judged(ledger, store):
    return judge(ledger, lambda sql, words: store.conn.execute(sql, words).fetchall())


def test_all_that_was_taken_is_there_once_also_after_the_ledger_was_written_down(stored, tmp_path):
    ledger, store = stored
    ledger.write(tmp_path / "ledger.json")
    verdict = judged(FleetLedger.read(tmp_path / "ledger.json"), store)
    assert verdict.good, verdict
    assert (verdict.taken, verdict.stored, verdict.waiting) == (10, 10, 0)


@pytest.mark.parametrize(
    ("harm", "counted"),
    [
        ("DELETE FROM batch WHERE gateway = 'fleet-00001' AND seq = 2", "lost"),
        ("UPDATE batch SET mark = x'00' WHERE gateway = 'fleet-00002' AND seq = 3", "changed"),
        ("INSERT INTO reading SELECT * FROM reading WHERE gateway = 'fleet-00001' AND seq = 1", "twice"),
        ("DELETE FROM reading WHERE gateway = 'fleet-00001' AND seq = 1 AND n = 1", "short"),
        ("UPDATE batch SET seq = 77 WHERE gateway = 'fleet-00001' AND seq = 5", "foreign"),
        (
            "UPDATE reading SET \"values\" = '{}' WHERE gateway = 'fleet-00002' AND seq = 5 AND n = 0",
            "changed",
        ),
        (
            "INSERT INTO conflict SELECT gateway, epoch, seq, 'd', 1, '{}' FROM batch WHERE seq = 1 LIMIT 1",
            "conflicts",
        ),
    ],
)
def test_the_judge_sees_each_kind_of_harm(stored, harm, counted):
    ledger, store = stored
    with store.db.conn:
        store.db.conn.execute(harm)
    verdict = judged(ledger, store)
    assert not verdict.good
    assert getattr(verdict, counted) == 1
    assert verdict.problems


def test_what_no_receipt_has_named_is_not_lost(stored):
    ledger, store = stored
    with store.db.conn:
        store.db.conn.execute("DELETE FROM batch WHERE seq = 5")
        store.db.conn.execute("DELETE FROM reading WHERE seq = 5")
    verdict = judged(ledger, store)
    assert verdict.good
    assert verdict.waiting == 2


# -- a run


@contextmanager
def receiver(broker, database, log):
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "receive", "--broker", broker.url, "--database", str(database)],
            stderr=out,
        )
    try:
        wait_until(lambda: b"MQTT 5" in log.read_bytes())
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_fleet_whose_city_loses_its_network_delivers_everything_once(tmp_path):
    broker = Mosquitto(tmp_path)
    broker.start()
    ledger, database = tmp_path / "ledger.json", tmp_path / "p.db"
    words = ["fleet", "--broker", broker.url, "--gateways", "20", "--meters", "2", "--values", "6"]
    words += ["--interval", "500ms", "--seconds", "3", "--backlog", "20s", "--cut", "1s+1s", "--spread", "0s"]
    words += ["--ledger", str(ledger), "--json", "--every", "1s", "--flaky", "60"]
    try:
        with receiver(broker, database, tmp_path / "rx.log"):
            run = subprocess.run(
                [sys.executable, "-m", "gateway", *words],
                capture_output=True, text=True, timeout=120, check=False, env={"COLUMNS": "60"},
            )  # fmt: skip
    finally:
        broker.kill()
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["open"] == 0
    assert told["batches"] >= 20 * 40 + 20
    assert told["sent"] >= told["batches"]
    assert " 0 online" in run.stderr, "the cut was felt"
    assert all(len(line) <= 60 for line in run.stderr.splitlines())
    for language, expected in (("en", "none lost, none twice"), ("tr", "kayıp yok")):
        verdict = CliRunner().invoke(
            cli, ["--lang", language, "fleet", "--judge", str(ledger), "--database", str(database)]
        )
        assert verdict.exit_code == 0, verdict.output
        assert expected in verdict.output


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_the_control_that_forgets_at_the_puback_loses(tmp_path):
    broker = Mosquitto(tmp_path)
    broker.start()
    plan = replace(
        PLAN, brokers=(broker.url,), backlog=50.0, protocol="3.1.1", careless=True, spread=0.0, drain=20.0
    )
    try:
        ledger = asyncio.run(Fleet(plan).run())
    finally:
        broker.kill()
    with closing(open_store(tmp_path / "p.db")) as store:
        verdict = judged(ledger, store)
    assert ledger.open == 0, "the broker acknowledged everything"
    assert not verdict.good
    assert verdict.lost == ledger.taken >= 15


def test_it_says_why_nobody_is_online():
    words = ["fleet", "--broker", "mqtt://127.0.0.1:9", "--gateways", "2", "--seconds", "1", "--drain", "1s"]
    for language, expected in (("en", "nobody is online:"), ("tr", "kimse bağlı değil:")):
        run = subprocess.run(
            [sys.executable, "-m", "gateway", *words, "--every", "500ms", "--lang", language],
            capture_output=True, text=True, timeout=120, check=False,
            env={"COLUMNS": "60", "PYTHONUTF8": "1"},
        )  # fmt: skip
        assert run.returncode == 1, "what nobody has receipted is not delivered"
        assert expected in run.stderr, run.stderr


@contextmanager
def tls_port(folder, *, asks=False, plain=False):
    """A port that speaks TLS for `localhost` and asks for a client certificate, or speaks no TLS."""
    cert, key = certificate(folder, "broker", "/CN=localhost", host="DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if asks:
        context.load_verify_locations(cert)
        context.verify_mode = ssl.CERT_REQUIRED
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                with suppress(OSError):
                    caller, _ = server.accept()
                    if over.is_set():
                        return
                    with caller:
                        if plain:
                            caller.sendall(b"220 this is no TLS\r\n")
                            caller.recv(4096)
                        else:
                            with context.wrap_socket(caller, server_side=True) as wrapped:
                                wrapped.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], cert
        finally:
            over.set()
            socket.create_connection(server.getsockname()).close()
            thread.join()


def why(url, ca=None):
    """Why a gateway of a fleet does not come online."""
    plan = replace(PLAN, brokers=(url,), ca=ca)
    broker = broker_of(plan.uplink(0), plan.name(0))

    async def opened():
        await FleetLink(Network(), plan.name(0), [broker], 0).open(None, will=None, topics=("a",))

    with pytest.raises(UplinkError) as caught:
        asyncio.run(opened())
    return caught.value


def test_what_is_wrong_with_tls_is_told_as_a_gateway_tells_it(tmp_path):
    with tls_port(tmp_path) as (port, cert):
        assert "does not accept the certificate of localhost: self" in str(why(f"mqtts://localhost:{port}"))
        other = why(f"mqtts://127.0.0.1:{port}", str(cert))
        assert (other.cause, "certificate of 127.0.0.1" in str(other)) == ("wrong_host", True)
    with tls_port(tmp_path, asks=True) as (port, cert):
        asked = why(f"mqtts://localhost:{port}", str(cert))
        assert str(asked).startswith("TLS with localhost failed: "), asked
        assert "cert and key" in asked.hint
    with tls_port(tmp_path, plain=True) as (port, cert):
        assert str(why(f"mqtts://localhost:{port}", str(cert))).startswith("TLS with localhost failed: ")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mqtt://no-such-broker.invalid:1883", "cannot be reached: .*name"),
        ("mqtt://127.0.0.1:9", "cannot be reached: Connection refused$"),
        ("mqtt://localhost:9", "cannot be reached: Connection refused$"),
        ("mqtt://[::ffff:127.0.0.1]:9", "cannot be reached: Connection refused$"),
    ],
)
def test_why_a_broker_is_not_reached_is_told_in_the_words_of_the_system(url, said, monkeypatch):
    if "localhost" in url:  # which has two addresses
        two = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 9))
            for address in ("127.0.0.1", "127.0.0.2")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_words, **_more: two)
    error = why(url)
    assert re.search(said, error.message, re.IGNORECASE), error
    assert not re.search("Errno|Unknown error|Connect call|Multiple", str(error))


# -- what is wrong with the words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--broker is missing"),
        (["--broker", "ws://x"], "no WebSockets"),
        (["--broker", "x"], "--broker is not"),
        (["--broker", "mqtt://x", "--cut", "2min"], "write when and for how long"),
        (["--broker", "mqtt://x", "--cut", "2min+soon"], "is not a duration"),
        (["--broker", "mqtt://x", "--interval", "0s"], "longer than nothing"),
        (["--judge", __file__], "write --database"),
        (["--judge", __file__, "--database", __file__], "not a ledger of a fleet"),
    ],
)
def test_a_mistake_in_the_words_is_named(words, said):
    result = CliRunner().invoke(cli, ["fleet", *words], env={"LC_ALL": "C", "COLUMNS": "400"})
    assert said in f"{result.output} {result.stderr} {result.exception}"
    assert result.exit_code != 0
