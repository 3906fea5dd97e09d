"""The access list in config/ keeps gateways apart: B can neither receipt nor replay for A, nor speak or
listen in its name.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from receiver_feed import E1, Feeder, batch, opening

from gateway.wire import Receipt, Replay, State, Topics, compress, encode
from tests.mosquitto import MOSQUITTO, Mosquitto
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")]

ACL = Path(__file__).parents[2] / "config" / "mosquitto-acl.example"
A = Topics("gw-a")


@pytest.fixture
def guarded(tmp_path):
    """A broker with our access list and the users gw-a, gw-b and platform; a password is the user's name."""
    passwords, acl = tmp_path / "passwords", tmp_path / "acl"
    passwords.touch()
    for user in ("gw-a", "gw-b", "platform"):
        subprocess.run(
            ["mosquitto_passwd", "-b", str(passwords), user, user], check=True, capture_output=True
        )
    acl.write_text(ACL.read_text())
    for file in (passwords, acl):
        file.chmod(0o600)
    server = Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}\nacl_file {acl}\n")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def platform(guarded, tmp_path):
    """A receiver as the user `platform`, as a process."""
    secret = tmp_path / "secret"
    secret.write_text("platform\n")
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        command = [
            sys.executable,
            "-m",
            "gateway",
            "receive",
            "--database",
            str(tmp_path / "p.db"),
            "--broker",
            guarded.url,
        ]
        process = subprocess.Popen(
            [*command, "--username", "platform", "--password-file", str(secret)], stderr=stderr
        )
    wait_until(lambda: "connected" in log.read_text())
    yield process
    process.terminate()
    process.wait(15)


def test_each_gateway_reaches_its_own_topics_only(guarded, platform):
    a, b = Feeder(guarded.port, "gw-a", user="gw-a"), Feeder(guarded.port, "gw-b", user="gw-b")
    spy = Feeder(guarded.port, "gw-a", user="gw-b")
    try:
        forged = Receipt(epoch=E1, upto=99).to_bytes()
        replay = Replay.model_validate({"id": "x", "epoch": E1, "from": 1, "to": 99}).to_bytes()
        for consumer in ("city", "gw-b"):
            b.raw(A.receipt(consumer), forged)
        b.raw(A.replay, replay)
        b.raw(A.data, compress(encode(opening(1, gateway="gw-a", value=666.0))))
        b.raw(A.state, State(online=True, epoch=E1, seq=99, backlog=0).to_bytes(), retain=True)
        # What comes last arrives last: when B has its own receipt, all the above has been judged.
        b.deliver([opening(1, gateway="gw-b")])
        assert a.receipts == a.replays == []
        a.deliver([opening(1, gateway="gw-a"), batch(2, gateway="gw-a")])
        assert all(receipt.upto <= 2 and not receipt.conflicts for receipt in a.receipts)
        assert spy.receipts == spy.replays == []
    finally:
        for feeder in (a, b, spy):
            feeder.close()


def test_the_platform_writes_under_its_own_name_only(guarded):
    a, other = (
        Feeder(guarded.port, "gw-a", user="gw-a", consumer="+"),
        Feeder(guarded.port, "gw-b", user="platform"),
    )
    try:
        other.raw(A.receipt("somebody"), Receipt(epoch=E1, upto=1).to_bytes())
        other.raw(A.receipt("city"), Receipt(epoch=E1, upto=2).to_bytes())
        wait_until(lambda: a.heard)
        assert [topic for topic, _ in a.heard] == [A.receipt("city")]
    finally:
        a.close()
        other.close()
