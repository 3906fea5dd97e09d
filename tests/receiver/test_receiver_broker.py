"""`submeter receive` as a process, against a real broker: reconnects, protocols, TLS, kill -9, clean stop."""

import asyncio
import errno
import json
import logging
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from receiver_feed import E1, E2, Feeder, batch, opening

from gateway.cli.broker_options import broker_at
from gateway.common.address import BrokerAddress
from gateway.errors import GatewayError, LinkDown
from gateway.mqtt import Broker, MemoryLink, OddConnack, check_files, refusal, unreachable
from gateway.mqtt.link import DEAF
from gateway.mqtt.reasons import odd_connack
from gateway.receiver import Receiver, broker_link
from gateway.receiver.broker import Inbox, SharedLink
from gateway.receiver.intake import subscriptions
from gateway.receiver.silence import Silence
from gateway.wire import Topics, encode
from tests.certificates import certificate
from tests.mosquitto import MOSQUITTO, OPEN, Mosquitto
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        MOSQUITTO is None, reason="mosquitto is not installed: MQTT 5 and TLS are not exercised"
    ),
]

SUBMETER = [sys.executable, "-m", "gateway", "receive"]


class Process:
    """A receiver as a process; `log` is its stderr."""

    def __init__(self, url, directory, *options):
        self.database = directory / "platform.db"
        self._log = directory / "receiver.log"
        with self._log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*SUBMETER, "--broker", url, "--database", str(self.database), *options], stderr=stderr
            )

    @property
    def log(self):
        return self._log.read_text()

    @property
    def words(self):
        return " ".join(self.log.split())

    def connected(self):
        wait_until(lambda: ", MQTT " in self.log)
        return self

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(15)

    def query(self, sql):
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()


def account(url, **files):
    return Broker("receiver", BrokerAddress.of(url), "rx", **files)


@pytest.fixture
def receive(tmp_path):
    started = []

    def start(url, *options):
        started.append(Process(url, tmp_path, *options))
        return started[-1]

    yield start
    for one in started:
        one.end(signal.SIGKILL)


@pytest.fixture
def feeders():
    made = []

    def make(*arguments, **options):
        made.append(Feeder(*arguments, **options))
        return made[-1]

    yield make
    for feeder in made:
        feeder.close()


def report(database):
    done = subprocess.run(
        [*SUBMETER, "--report", "--json", "--database", str(database)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_batches_are_stored_receipted_and_reported_and_the_process_ends_cleanly(broker, receive, feeders):
    receiver = receive(broker.url, "--validate").connected()
    assert "MQTT 5" in receiver.log
    feeder = feeders(broker.port)
    feeder.deliver([opening(1), *(batch(seq) for seq in range(2, 51))])
    feeder.send(batch(51), plain=True)
    wait_until(lambda: 51 in feeder.held[E1])
    found = report(receiver.database)
    assert found["totals"]["batches"] == 51
    assert found["totals"]["missing"] == 0
    assert found["refused"] == []
    assert receiver.end() == 0
    assert "stored 51 batches" in receiver.words
    assert not receiver.database.with_name("platform.db-wal").exists()
    assert receiver.query("SELECT count(*), count(DISTINCT seq) FROM reading WHERE meter = 'main'") == [
        (51, 51)
    ]


def test_a_receipt_comes_soon_after_its_batch(broker, receive, feeders):
    receive(broker.url).connected()
    feeder = feeders(broker.port)
    waits = []
    for seq in range(1, 21):
        sent = time.monotonic()
        feeder.send(opening(1) if seq == 1 else batch(seq))
        wait_until(lambda seq=seq: seq in feeder.held.get(E1, ()))
        waits.append(time.monotonic() - sent)
    assert sorted(waits)[len(waits) // 2] < 1.0  # 0.2 s is the promise; a loaded test machine is given room


def test_a_gateway_and_a_receiver_on_3_1_1_understand_each_other(broker, receive, feeders):
    receive(broker.url).connected()
    feeder = feeders(broker.port, protocol=paho.MQTTv311)
    feeder.deliver([opening(1), batch(2)])


def test_a_broker_that_speaks_only_3_1_1_is_understood(tmp_path, receive, feeders):
    pytest.importorskip("amqtt", reason="the embedded broker is in the extra demo")
    port = Mosquitto(tmp_path).port
    embedded = subprocess.Popen(
        [sys.executable, "-m", "gateway.demo.broker", "--port", str(port)], stdout=subprocess.PIPE
    )
    try:
        assert b"listening" in embedded.stdout.readline()
        receiver = receive(f"mqtt://127.0.0.1:{port}").connected()
        assert "MQTT 3.1.1" in receiver.log
        feeders(port, protocol=paho.MQTTv311).deliver([opening(1), batch(2)])
    finally:
        embedded.kill()
        embedded.wait(10)
        embedded.stdout.close()


def test_a_broker_that_is_absent_at_start_and_restarts_later_is_waited_for(tmp_path, receive, feeders):
    server = Mosquitto(tmp_path)
    receiver = receive(server.url)
    wait_until(lambda: "tried again" in receiver.log)
    try:
        server.start()
        receiver.connected()
        first = feeders(server.port)
        first.deliver([opening(1), batch(2)])
        server.kill()
        wait_until(lambda: "connection was lost" in receiver.log)
        time.sleep(2.0)
        server.start()
        wait_until(lambda: "back at" in receiver.log)
        feeders(server.port).deliver([opening(1), batch(2), batch(3)])
        lines = [line.split("WARNING ")[1] for line in receiver.log.splitlines() if "tried again" in line]
        assert len(lines) == 2, "once per outage"
        assert "cannot be reached" in lines[0]
        assert "connection was lost" in lines[1]
        assert receiver.end() == 0
    finally:
        server.kill()


def test_a_receiver_that_comes_back_receipts_from_the_retained_state(broker, receive, feeders):
    receiver = receive(broker.url).connected()
    feeder = feeders(broker.port)
    feeder.deliver([opening(1), batch(2)])
    feeder.state(E1, 2)
    wait_until(lambda: len(feeder.receipts) > 1)
    assert receiver.end(signal.SIGKILL) == -signal.SIGKILL
    known = len(feeder.receipts)
    receive(broker.url)
    wait_until(lambda: len(feeder.receipts) > known)
    assert feeder.receipts[-1].upto == 2


def test_killed_again_and_again_in_the_stream_nothing_is_lost_and_nothing_twice(broker, receive, feeders):
    chance = random.Random(7)
    batches = [opening(1), *(batch(seq) for seq in range(2, 1501))]
    batches += [
        opening(1501, epoch=E2, previous=E1, last=1500),
        *(batch(seq, epoch=E2) for seq in range(1502, 1801)),
    ]
    feeder = feeders(broker.port)
    receiver = receive(broker.url).connected()
    done = threading.Event()
    errors = []

    def deliver():
        try:
            feeder.deliver(batches, seconds=90, window=100)
        except AssertionError as error:
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=deliver)
    thread.start()
    kills = 0
    while not done.wait(chance.uniform(0.05, 0.4)):
        if kills < 12 and "connected" in receiver.log:
            receiver.end(signal.SIGKILL)
            kills += 1
            # What was receipted before the kill must be in the file after it.
            named = {
                (epoch, seq)
                for epoch, ranges in list(feeder.held.items())
                for a, b in ranges
                for seq in range(a, b + 1)
            }
            receiver = receive(broker.url)
            wait_until(lambda r=receiver: "connected" in r.log)
            assert named <= set(receiver.query("SELECT epoch, seq FROM batch"))
    thread.join(10)
    assert errors == []
    assert kills >= 3
    assert receiver.end() == 0
    rows = receiver.query("SELECT epoch, seq, value FROM value WHERE quantity = 'active_power' ORDER BY seq")
    assert rows == [(b.epoch, b.seq, float(b.seq)) for b in batches]
    assert report(receiver.database)["totals"]["missing"] == 0


def test_frozen_for_a_while_it_goes_on_where_it_was(broker, receive, feeders):
    receiver = receive(broker.url).connected()
    feeder = feeders(broker.port)
    feeder.deliver([opening(1)])
    receiver.process.send_signal(signal.SIGSTOP)
    for seq in range(2, 52):
        feeder.send(batch(seq))
    time.sleep(1.0)
    assert feeder.held[E1].count == 1
    receiver.process.send_signal(signal.SIGCONT)
    feeder.deliver([batch(seq) for seq in range(2, 60)])
    assert receiver.end() == 0
    assert receiver.query("SELECT count(*) FROM batch") == [(59,)]


def test_websockets_work_too(tmp_path, receive, feeders):
    sockets = free_port()
    server = Mosquitto(tmp_path, f"{OPEN}listener {sockets} 127.0.0.1\nprotocol websockets\n")
    server.start()
    try:
        receive(f"ws://127.0.0.1:{sockets}/mqtt").connected()
        feeders(server.port).deliver([opening(1), batch(2)])
    finally:
        server.kill()


def test_an_early_sigint_ends_it_too(tmp_path, receive):
    receiver = receive("mqtt://127.0.0.1:9")
    wait_until(lambda: "tried again" in receiver.log)
    assert receiver.end(signal.SIGINT) == 0


def test_garbage_from_a_stranger_does_not_stop_the_stream(broker, receive, feeders):
    receiver = receive(broker.url).connected()
    feeder, stranger = feeders(broker.port), feeders(broker.port, "gw-9")
    chance = random.Random(3)
    good = encode(opening(1, gateway="gw-9"))
    for _ in range(300):
        cut = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            cut[chance.randrange(len(cut))] = chance.randrange(256)
        stranger.raw(
            chance.choice(
                [stranger.topics.data, stranger.topics.state, stranger.topics.reply, stranger.topics.meters]
            ),
            bytes(cut),
        )
    stranger.raw(stranger.topics.data, b"\x78" + chance.randbytes(600_000))
    feeder.deliver([opening(1), *(batch(seq) for seq in range(2, 101))])
    wait_until(lambda: receiver.query("SELECT 1 FROM refused WHERE reason = 'oversized'"))
    assert receiver.query("SELECT count(*) FROM batch WHERE gateway = 'gw-1'") == [(100,)]
    assert receiver.end() == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_network_thread_that_dies_is_replaced(broker, tmp_path, feeders, monkeypatch):
    link = broker_link(account(broker.url), frozenset())
    receiver = Receiver(tmp_path / "p.db", link)
    thread = threading.Thread(target=receiver.run)
    thread.start()
    try:
        first = wait_until(lambda: link._connection)
        monkeypatch.setattr(first._client, "_loop", lambda *_: 1 / 0)
        wait_until(lambda: link._connection not in {None, first})
        feeders(broker.port).deliver([opening(1), batch(2)])
    finally:
        receiver.stop()
        thread.join(10)


def test_a_topic_that_is_not_text_is_counted_and_an_exception_in_a_callback_is_survived(broker, feeders):
    heard = []
    link = broker_link(account(broker.url), frozenset())

    def hear(topic, payload):
        heard.append(topic)
        raise RuntimeError("a bug of ours")

    link.start(hear)
    try:
        connection = wait_until(lambda: link._connection)
        message = paho.MQTTMessage(topic=b"submeter/v1/\xff/data")
        connection._client.on_message(None, None, message)
        feeders(broker.port).raw("submeter/v1/gw-1/data", b"x")
        wait_until(lambda: heard == ["", "submeter/v1/gw-1/data"])
        assert link._connection is connection
    finally:
        link.stop()


def test_a_full_inbox_waits_and_lets_go_when_closed(tmp_path):
    receiver = Receiver(tmp_path / "p.db", broker_link(account("mqtt://127.0.0.1"), frozenset()))
    receiver._inbox = inbox = Inbox(limit=10)
    receiver._silence = Silence(receiver._link, receiver._troubles, {}.__getitem__, time.monotonic())
    message = ("submeter/v1/a/data", b"x" * 11)
    receiver._hear(*message)
    waiting = threading.Thread(target=receiver._hear, args=message)
    waiting.start()
    time.sleep(0.1)
    assert waiting.is_alive()
    assert inbox.get(1).size == 11
    waiting.join(5)
    assert not waiting.is_alive()
    waiting = threading.Thread(target=receiver._hear, args=message)
    waiting.start()
    inbox.closed = True
    waiting.join(5)
    assert not waiting.is_alive()


def test_receipts_keep_to_the_packets_that_the_broker_takes(tmp_path, receive):
    server = Mosquitto(tmp_path, f"{OPEN}max_packet_size 2000\n")
    server.start()
    try:
        receiver = receive(server.url).connected()
        feeder = Feeder(server.port)
        feeder.deliver([batch(2 * number + 1) for number in range(1, 400)])
        assert max(len(receipt.to_bytes()) for receipt in feeder.receipts) < 2000
        assert "oversize" not in server.log
        assert "0x95" not in receiver.log
    finally:
        server.kill()


def test_passwords_come_from_a_file_and_a_refusal_is_said(tmp_path, receive, feeders):
    passwords = tmp_path / "passwords"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(passwords), "city", "s3cret"], check=True, capture_output=True
    )
    passwords.chmod(0o644)
    server = Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}\n")
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    server.start()
    try:
        wrong = receive(server.url, "--username", "city")
        wait_until(lambda: "not authorised" in wrong.log)
        wrong.end()
        receive(server.url, "--username", "city", "--password-file", str(secret)).connected()
    finally:
        server.kill()


def test_tls_checks_the_name_and_shows_a_client_certificate(tmp_path, receive):
    ca = certificate(tmp_path, "ca", "/CN=test ca")
    server_cert, server_key = certificate(tmp_path, "server", "/CN=broker", ca=ca, host="DNS:localhost")
    cert, key = certificate(tmp_path, "city", "/CN=city", ca=ca)
    for file in tmp_path.iterdir():
        file.chmod(0o644)
    server = Mosquitto(
        tmp_path,
        f"{OPEN}cafile {ca[0]}\ncertfile {server_cert}\nkeyfile {server_key}\nrequire_certificate true\n",
    )
    server.start()
    identity = ("--ca", str(ca[0]), "--cert", str(cert), "--key", str(key))
    try:
        good = receive(f"mqtts://localhost:{server.port}", *identity).connected()
        good.end()
        wrong_name = receive(f"mqtts://127.0.0.1:{server.port}", *identity)
        wait_until(lambda: "does not accept the certificate" in wrong_name.log)
        wrong_name.end()
        known = len(wrong_name.log)
        untrusted = receive(f"mqtts://localhost:{server.port}")
        wait_until(lambda: "does not accept the certificate" in untrusted.log[known:])
        untrusted.end()
    finally:
        server.kill()


@pytest.mark.parametrize("url", ["127.0.0.1:1883", "http://x", "mqtt://", "mqtt://x:99999", "mqtt://x:port"])
def test_an_address_that_is_none_is_a_clear_error(url, tmp_path):
    done = subprocess.run(
        [*SUBMETER, "--database", str(tmp_path / "x.db"), "--broker", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "--broker" in done.stderr
    assert "→ write" in done.stderr
    assert "Traceback" not in done.stderr


def test_plain_mqtt_to_another_host_is_a_loud_warning(caplog):
    with caplog.at_level(logging.WARNING):
        for here in ("127.0.0.1", "localhost", "broker.localhost"):
            broker_link(account(f"mqtt://{here}"), frozenset())
        assert not caplog.records
        broker_link(account("mqtt://platform.example"), frozenset())
    assert "NOT ENCRYPTED" in caplog.text


def test_tls_files_that_cannot_be_used_are_a_clear_error(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(GatewayError, match=r"ca\.pem cannot be used"):
        check_files(account("mqtts://localhost", ca=str(tmp_path / "ca.pem")))
    with pytest.raises(GatewayError, match=r"none cannot be read"):
        check_files(account("mqtt://localhost", username="u", password_file=str(tmp_path / "none")))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--database", "x.db"], "--broker is missing"),
        (["--database", "x.db", "--broker", "mqtt://127.0.0.1", "--consumer", "a/b"], "--consumer a/b"),
        (["--database", "x.db", "--broker", "mqtt://127.0.0.1", "--gateway", "+"], "--gateway +"),
        (["--database", "none.db", "--report"], "no such file"),
        (["--database", "/nowhere/x.db", "--broker", "mqtt://127.0.0.1"], "/nowhere/x.db"),
        (["--broker", "mqtt://127.0.0.1"], "--database"),
    ],
)
def test_a_wrong_command_line_is_a_clear_line(tmp_path, options, says):
    done = subprocess.run(
        [*SUBMETER, *options], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode in {1, 2}
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_seconds_ends_it(broker, receive):
    receiver = receive(broker.url, "--seconds", "0.5")
    assert receiver.process.wait(20) == 0
    assert "stored 0 batches" in receiver.words


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            refusal(0x84),
            "this version of MQTT (0x84); --share needs a broker that speaks MQTT 5 → start a receiver for",
        ),
        (
            LinkDown("no answer", hint="check the port", cause="silent"),
            "no answer; --share needs a broker that speaks MQTT 5 → check the port; start a receiver for",
        ),
        (LinkDown("closed", hint="check the port", cause="no_answer"), "→ check the port; start a receiver"),
        (LinkDown("away", hint="start it", cause="nobody_listens"), "away → start it"),
        (unreachable(OSError(errno.ETIMEDOUT, "Connection timed out")), "timed out → check host and port"),
        (unreachable(ConnectionResetError(errno.ECONNRESET, "reset")), "reached: reset → check that the"),
        (
            OddConnack("malformed", hint="look at the proxy", cause="broke_protocol"),
            "malformed; --share needs a broker that speaks MQTT 5 → look at the proxy; start a receiver for "
            "each range of gateways, with --gateway and without --share",
        ),
        (odd_connack(b"\x16\x03", five=True), "does not ask for → write mqtts:// or wss:// in url"),
        (odd_connack(b"HTTP/1.1", five=True), "HTTP, not MQTT → write the broker's port"),
        (LinkDown("it broke the protocol", hint="ask", cause="broke_protocol"), "the protocol → ask"),
    ],
)
def test_a_broker_that_shares_nothing_is_told_what_would_do(error, told):
    memory = MemoryLink()
    memory.refuse = lambda: error
    with pytest.raises(type(error)) as caught:
        asyncio.run(SharedLink(memory).open(DEAF, will=None, topics=["a"]))
    assert told in str(caught.value)
    assert caught.value.cause == error.cause
    assert isinstance(broker_link(account("mqtt://127.0.0.1"), frozenset(), "city")._link, SharedLink)
    assert not isinstance(broker_link(account("mqtt://127.0.0.1"), frozenset())._link, SharedLink)


def test_an_account_made_of_options_has_no_keys_of_a_configuration():
    assert not broker_at("mqtt://127.0.0.1", "receiver", "rx").configured


def test_the_topics_of_the_contract_are_what_is_subscribed():
    topics = Topics("a")
    assert subscriptions(frozenset({"a"})) == [topics.data, topics.state, topics.meters, topics.reply]
    assert subscriptions(frozenset())[0] == "submeter/v1/+/data"
    assert Path(subscriptions(frozenset())[3]).name == "reply"
