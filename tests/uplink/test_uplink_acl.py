"""The shipped access list ties every topic to the client's identity: gateway B can neither receipt, replay
nor speak for A.
"""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from uplink_parts import E1, Platform, Running, config, outbox, platform

from gateway.uplink import Timing
from gateway.wire import Receipt, State, Topics
from tests.waiting import until

pytestmark = pytest.mark.broker
ACL = Path(__file__).parents[2] / "config" / "mosquitto-acl.example"
A = Topics("gw1")


@pytest.fixture
def guarded(mosquitto, tmp_path):
    passwords = tmp_path / "passwd"
    passwords.touch()
    for user in ("gw1", "gw2", "platform"):
        subprocess.run(
            ["mosquitto_passwd", "-b", str(passwords), user, f"{user}-secret"],
            check=True,
            capture_output=True,
        )
        (tmp_path / user).write_text(f"{user}-secret\n")
    passwords.chmod(0o644)
    acl = tmp_path / "acl"
    acl.write_text(ACL.read_text())
    acl.chmod(0o644)
    broker = mosquitto(conf=f"allow_anonymous false\npassword_file {passwords}\nacl_file {acl}\n")
    broker.secrets = tmp_path
    return broker


def as_(user):
    return {"username": user, "password": f"{user}-secret", "client_id": f"{user}-test"}


def uplink(broker, user="gw1", **more):
    return config(
        url=f"mqtt://127.0.0.1:{broker.port}",
        username=user,
        password_file=str(broker.secrets / user),
        receipts=["city"],
        **more,
    )


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
async def test_gateway_b_can_neither_receipt_nor_replay_nor_speak_for_a(guarded, protocol):
    with platform(guarded.port, **as_("platform")) as here, platform(guarded.port, **as_("gw2")) as intruder:
        async with Running(
            uplink(guarded, protocol=protocol), outbox(10), timing=Timing()
        ) as run:  # no probe meanwhile
            await until(lambda: here.seqs == list(range(1, 11)))
            intruder.say(A.receipt("city"), Receipt(epoch=E1, upto=10).to_bytes())
            intruder.say(A.replay, json.dumps({"id": "evil", "epoch": E1, "from": 1, "to": 10}).encode())
            intruder.say(A.state, State(online=False).to_bytes(), retain=True)
            intruder.say(A.data, b"{}")
            intruder.say(A.meters, b"", retain=True)
            await asyncio.sleep(0.5)
            assert run.stats.delivered_batches == run.stats.replayed_batches == 0
            assert here.store.duplicates == 0
            assert all(json.loads(payload)["online"] for payload in here.of(A.state))
            assert intruder.log == [], "B hears nothing of A"
            here.say(A.receipt("city"), Receipt(epoch=E1, upto=10).to_bytes())
            here.say(A.replay, json.dumps({"id": "good", "epoch": E1, "from": 1, "to": 2}).encode())
            await until(lambda: run.stats.delivered_batches == 10 and here.store.duplicates == 2)
            await until(lambda: here.of(A.reply))


async def test_the_platform_speaks_under_its_own_consumer_name_only(guarded):
    with platform(guarded.port, **as_("platform")) as here:
        async with Running(uplink(guarded).model_copy(update={"receipts": ("grid",)}), outbox(5)) as run:
            await until(lambda: here.seqs == [1, 2, 3, 4, 5])
            here.say(A.receipt("grid"), Receipt(epoch=E1, upto=5).to_bytes())
            await asyncio.sleep(0.3)
            assert run.stats.delivered_batches == 0


async def test_a_gateway_that_uses_an_id_that_is_not_its_own_is_told(guarded):
    async with Running(uplink(guarded, user="gw2"), outbox(5), gateway="gw1") as run:
        await until(lambda: run.stats.refused)
        assert "mosquitto-acl.example" in run.stats.last_error
        assert run.stats.delivered_batches == 0
    platform_ = Platform(guarded.port, **as_("platform"))
    assert platform_.seqs == []
    platform_.close()
