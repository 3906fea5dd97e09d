"""Brokers of other makers, one node each: everything arrives once, also when the broker is killed and
comes back.
"""

import asyncio

import paho.mqtt.client as paho
import pytest
from uplink_parts import E1, Running, config, outbox, platform, row
from uplink_peers import Aedes, Nats, RabbitMq

from tests.waiting import until

PEERS = [
    pytest.param(Nats, id="nats"),
    pytest.param(Aedes, id="aedes"),
    pytest.param(
        RabbitMq, id="rabbitmq", marks=pytest.mark.slow
    ),  # Erlang alone needs half a minute to start, twice
]


@pytest.mark.broker
@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.timeout(600)
async def test_everything_arrives_once_over_a_restart_of_the_broker(kind, tmp_path):
    if reason := kind.why_not():
        pytest.skip(reason)
    broker = kind(tmp_path)
    try:
        await asyncio.to_thread(broker.start)
        with platform(broker.port, consumer="city", protocol=paho.MQTTv311, client_id="platform") as here:
            settings = config(url=f"mqtt://127.0.0.1:{broker.port}", receipts=["city"])
            async with Running(settings, outbox(200)) as run:
                await until(lambda: run.stats.delivered_batches == 200, 120)
                assert run.stats.protocol == "3.1.1"
                await asyncio.to_thread(broker.kill)
                run.commit(*[row(seq) for seq in range(201, 231)])
                await until(lambda: not run.stats.connected, 60)
                await asyncio.to_thread(broker.start)
                run.commit(*[row(seq) for seq in range(231, 251)])
                await until(
                    lambda: run.stats.delivered_batches >= 250 and run.stats.backlog_batches == 0, 240
                )
                assert here.seqs == list(range(1, 251))
                assert here.store.conflicts == {}
                assert list(run.box.settled["city", E1]) == [(1, 250)]
                assert run.stats.set_aside == 0
    finally:
        await asyncio.to_thread(broker.end)
