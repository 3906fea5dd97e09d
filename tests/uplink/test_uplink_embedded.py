"""The embedded broker of the demo: MQTT 3.1.1 only, over TCP and over WebSockets."""

import asyncio
import contextlib
import json
import logging

import paho.mqtt.client as paho
import pytest
from uplink_parts import Platform, Running, config, outbox

from gateway.uplink import Timing
from gateway.wire import Topics
from tests.waiting import until

amqtt = pytest.importorskip("amqtt.broker", reason="the extra `demo` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")


@contextlib.asynccontextmanager
async def embedded(unused_port, kind="tcp"):
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{unused_port()}"}}
    if kind == "ws":
        listeners["web"] = {"type": "ws", "bind": f"127.0.0.1:{unused_port()}"}
    allow = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = amqtt.Broker({"listeners": listeners, "plugins": allow})
    await broker.start()
    try:
        yield {name: int(listener["bind"].rpartition(":")[2]) for name, listener in listeners.items()}
    finally:
        await broker.shutdown()


@pytest.mark.parametrize(
    ("kind", "url"), [("tcp", "mqtt://127.0.0.1:{default}"), ("ws", "ws://127.0.0.1:{web}/mqtt")]
)
async def test_auto_finds_the_version_and_everything_arrives(free_port_of, kind, url):
    async with embedded(free_port_of, kind) as ports:
        here = await asyncio.to_thread(Platform, ports["default"], consumer="city", protocol=paho.MQTTv311)
        try:
            settings = config(url=url.format(**ports), receipts=["city"])
            async with Running(settings, outbox(30), timing=Timing(patience=5.0, tick=0.05)) as run:
                await until(lambda: run.stats.delivered_batches == 30, 40)
                assert run.stats.protocol == "3.1.1"
                assert here.seqs == list(range(1, 31))
                await until(lambda: json.loads(here.of(Topics("gw1").state)[-1])["backlog"] == 0)
        finally:
            await asyncio.to_thread(here.close)
