"""Hostile messages, a twin and a lying broker, met by the running gateway and receiver."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from gateway.demo.show.gateway_status import gateway_status
from gateway.wire import Topics
from tests.hostile.targets import seeds
from tests.mosquitto import MOSQUITTO
from tests.rig import Rig, rig, until, usage

sys.path.append(str(Path(__file__).parents[1] / "uplink"))  # what the uplink's own tests share
from uplink_parts import Running, config, message_of, outbox

from tests.fake_broker import PUBACK, FakeBroker, packet
from tests.waiting import until as soon

mosquitto = [pytest.mark.broker, pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")]
ID = "bench-1"
TOPICS = Topics(ID)
ADDRESS = 0x200
DRIVER = f"""maker: Bench
model: meter that counts its serves
verified: simulator
source: "one counter"
reads: {{function: 4, max_registers: 80}}
registers: |
  0x{ADDRESS:04X} u32 pulse_count - fast
"""


def spec() -> dict[str, Any]:
    slave = {"unit": 1, "meter": "m1", "image": {"pattern": 1000}, "stamp": {"address": ADDRESS, "words": 2}}
    return {"servers": [{"name": "plant", "slaves": [slave]}]}


def configure(site: Rig, host: str, port: int, broker: int) -> None:
    (site.directory / "drivers").mkdir(parents=True)
    (site.directory / "drivers" / "counter.yaml").write_text(DRIVER)
    site.configure(
        gateway={"id": ID, "commit_interval": "1s"},
        buses=[{"name": "plant", "type": "tcp", "host": host, "port": port}],
        meters=[{"id": "m1", "bus": "plant", "driver": "counter", "interval": "1s"}],
        uplinks=[site.uplink(url=f"mqtt://127.0.0.1:{broker}")],
        drivers={"directory": str(site.directory / "drivers")},
    )


def ordinals(database: Path) -> list[int]:
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db,
    ):
        sql = (
            "SELECT json_extract(\"values\", '$.pulse_count') FROM reading WHERE gateway = ? ORDER BY uptime"
        )
        return [int(row[0]) for row in db.execute(sql, (ID,))]
    return []


def nasty() -> list[bytes]:
    """What nobody should send, of every kind."""
    chance = random.Random(5)
    whole = json.loads(zlib.decompress(seeds()["batch"][0]))
    odd = [float("nan"), float("inf"), -1, 2**80, "\ud800", None, [], {"a": None}, "x" * 5000, True, 1e308]
    changed = [
        json.dumps({**whole, key: value}, default=str).encode("utf-8", "surrogatepass")
        for key in whole
        for value in odd
    ]
    return [
        b"",
        b"\x00",
        b"{",
        b"[]",
        b"null",
        b"NaN",
        b"\xff\xfe\xfd" * 100,
        b"\xed\xa0\x80",
        b'{"a":' * 40_000,
        b"[" * 200_000,
        b'{"tables":' + b"[" * 100_000,
        b'{"epoch":"' + b"a" * 200_000,
        b"9" * 250_000,
        b'{"seq":' + b"9" * 9000 + b"}",
        zlib.compress(bytes(50_000_000)),
        zlib.compress(b"[" * 1_000_000),
        seeds()["batch"][0][:-5],
        b"\x78" + chance.randbytes(2_000_000),
        b'{"epoch":"00000000000000ff","upto":9007199254740991,"have":[[1,9007199254740991]]}',
        b'{"id":"x","epoch":"00000000000000ff","from":1,"to":9007199254740991}',
        *changed,
    ]


@pytest.mark.timeout(180)
def test_messages_that_nobody_should_send_harm_neither_half(tmp_path: Path) -> None:
    with rig(tmp_path, spec()) as site:
        assert site.simulator is not None
        site.start_broker()
        configure(site, *site.simulator.addresses["plant"], site.broker_port)
        site.start_receiver()
        site.start_gateway()
        until(lambda: len(ordinals(site.database)) >= 3, 40, "readings arrive")
        before = {name: usage(site.processes[name].pid).rss for name in ("gateway", "receiver")}
        stranger = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        stranger.connect("127.0.0.1", site.broker_port)
        stranger.loop_start()
        topics = [
            TOPICS.receipt("city"),
            TOPICS.replay,
            TOPICS.reply,
            Topics("gw1").data,
            Topics("gw1").state,
            Topics("gw1").meters,
        ]
        topics += [
            "submeter/v1/BAD ID/data",
            "submeter/v1//data",
            f"{TOPICS.prefix}/cmd/replay/more",
            f"{TOPICS.prefix}/receipt/" + "x" * 3000,
        ]
        sent = [stranger.publish(topic, payload, qos=1, retain=number % 3 == 0)
                for number, payload in enumerate(nasty()) for topic in topics]  # fmt: skip
        for message in sent:
            message.wait_for_publish(60)
        now = len(ordinals(site.database))
        until(lambda: len(ordinals(site.database)) >= now + 4, 60, "readings go on arriving")
        stranger.disconnect()
        stranger.loop_stop()
        found = ordinals(site.database)
        assert found == list(range(1, len(found) + 1)), "each reading once, none lost"
        for topic in topics[:2]:
            assert f"a message on '{topic}' was ignored" in site.log("gateway")
        for name, was in before.items():
            assert usage(site.processes[name].pid).rss - was < 60_000_000, name
            assert "Traceback" not in site.log(name)
        with contextlib.closing(sqlite3.connect(f"file:{site.database}?mode=ro", uri=True)) as db:
            assert db.execute("SELECT count(*) FROM refused").fetchone()[0] > 0


@pytest.mark.timeout(120)
def test_two_gateways_with_one_id_both_say_so_and_do_not_fight(tmp_path: Path) -> None:
    (tmp_path / "twin").mkdir()
    with rig(tmp_path, spec()) as first, rig(tmp_path / "twin") as twin:
        assert first.simulator is not None
        first.start_broker()
        for site in (first, twin):
            configure(site, *first.simulator.addresses["plant"], first.broker_port)
        first.start_gateway()
        until(lambda: "connected to" in first.log("gateway"), 30, "the first is connected")
        twin.start_gateway()
        # By MQTT 5's reason code, or, where the broker gives none, by connections that end right after they
        # began.
        until(
            lambda: any(
                "one id" in site.log("gateway") or "same gateway id" in site.log("gateway")
                for site in (first, twin)
            ),
            60,
            "it is said",
        )
        connections = first.log("broker").count("New client connected")
        time.sleep(8)
        assert first.log("broker").count("New client connected") <= connections + 6, (
            "they do not fight for the broker every moment"
        )
        for site in (first, twin):
            status = gateway_status(site.socket)
            assert status is not None
            assert status["journal"]["batches"] > 0, "both go on taking readings"
            assert "Traceback" not in site.log("gateway")


for case in (
    test_messages_that_nobody_should_send_harm_neither_half,
    test_two_gateways_with_one_id_both_say_so_and_do_not_fight,
):
    case.pytestmark = [*case.pytestmark, *mosquitto]


class AcknowledgesThePast(FakeBroker):
    """Forgets what it was given on its first connection, and acknowledges it on the next, before anything
    was sent there.
    """

    async def on_connect(self, writer: Any) -> None:
        await super().on_connect(writer)
        if self.connects > 1:
            for mid in range(1, 40):
                writer.write(packet(PUBACK, mid.to_bytes(2, "big")))

    async def on_publish(self, writer: Any, mid: bytes) -> None:
        if self.connects > 1:
            await super().on_publish(writer, mid)
        elif len(self.published) > 5:
            self.published.clear()
            writer.transport.abort()


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
async def test_a_broker_that_acknowledges_after_its_restart_what_it_has_forgotten(protocol: str) -> None:
    async with AcknowledgesThePast() as broker:
        settings = config(url=f"mqtt://127.0.0.1:{broker.port}", protocol=protocol)
        async with Running(settings, outbox(60)) as run:
            await soon(lambda: run.stats.delivered_batches == 60, 30)
            assert {message_of(payload)["seq"] for payload in broker.data()} == set(range(1, 61))
