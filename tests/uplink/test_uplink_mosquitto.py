"""The uplink on a real broker: both versions of MQTT, loss and return, Last Will, half-open lines, two
gateways with one id.
"""

import asyncio
import json
import socket
import threading
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from uplink_parts import E1, FAST, PATIENT, Running, config, outbox, platform, row

from gateway.mqtt import LinkState
from gateway.wire import State, Topics
from tests.fake_broker import Loopback
from tests.waiting import until

pytestmark = pytest.mark.broker
TOPICS = Topics("gw1")


def url(port, scheme="mqtt", host="127.0.0.1"):
    return f"{scheme}://{host}:{port}"


@pytest.mark.parametrize(("protocol", "spoken"), [("auto", "5.0"), ("5.0", "5.0"), ("3.1.1", "3.1.1")])
async def test_everything_arrives_once_with_receipts(mosquitto, protocol, spoken):
    broker = mosquitto()
    with platform(broker.port, consumer="city") as here:
        settings = config(url=url(broker.port), protocol=protocol, receipts=["city"])
        async with Running(settings, outbox(300), timing=PATIENT) as run:
            await until(lambda: here.seqs == list(range(1, 301)))
            run.commit(row(301))
            await until(lambda: run.stats.delivered_batches == 301)
            assert run.stats.protocol == spoken
            await until(lambda: json.loads(here.of(TOPICS.state)[-1])["backlog"] == 0)
            assert here.store.duplicates == 0
            await until(lambda: list(run.box.settled["city", E1]) == [(1, 301)])
        await until(lambda: json.loads(here.of(TOPICS.state)[-1])["online"] is False)


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
async def test_without_receipts_a_puback_is_enough(mosquitto, protocol):
    broker = mosquitto()
    with platform(broker.port) as here:
        async with Running(config(url=url(broker.port), protocol=protocol), outbox(50)) as run:
            await until(lambda: run.stats.delivered_batches == 50)
            await until(lambda: here.seqs == list(range(1, 51)))


async def test_with_nobody_there_mqtt_5_says_so_and_nothing_counts_as_delivered(mosquitto):
    broker = mosquitto()
    async with Running(config(url=url(broker.port)), outbox(5)) as run:
        await until(lambda: "nobody subscribes" in run.stats.last_error)
        assert run.stats.delivered_batches == 0
        with platform(broker.port) as here:
            await until(lambda: run.stats.delivered_batches == 5)
            await until(lambda: here.seqs == [1, 2, 3, 4, 5])


async def test_retained_state_and_meters_await_a_late_platform(mosquitto):
    broker = mosquitto()
    async with Running(
        config(url=url(broker.port), receipts=["city"]), outbox(3), describe=lambda: b'{"meters":["x"]}'
    ) as run:
        await until(lambda: run.stats.sent_batches == 3)
        with platform(broker.port, consumer="city") as here:
            await until(lambda: here.of(TOPICS.state) and here.of(TOPICS.meters))
            assert here.of(TOPICS.meters)[0] == b'{"meters":["x"]}'
            state = State.model_validate_json(here.of(TOPICS.state)[0])
            assert (state.online, state.epoch, state.seq) == (True, E1, 3)
            await until(lambda: run.stats.delivered_batches == 3)


async def test_absent_at_the_start_killed_without_persistence_and_back(mosquitto):
    broker = mosquitto(start=False)
    async with Running(config(url=url(broker.port), receipts=["city"]), outbox(20)) as run:
        await until(lambda: run.stats.state == LinkState.WAITING.value)
        assert "refused" in run.stats.last_error
        broker.start()
        with platform(broker.port, consumer="city") as here:
            await until(lambda: run.stats.delivered_batches == 20)
            for turn in range(3):
                broker.kill()
                for seq in range(21 + 10 * turn, 31 + 10 * turn):
                    run.commit(row(seq))
                    await asyncio.sleep(0.01)
                broker.start()
                await until(
                    lambda turn=turn: run.stats.delivered_batches >= 30 + 10 * turn, 30
                )  # about 5 s, with room for a busy machine
            assert here.seqs == list(range(1, 51))


async def test_what_a_broker_acknowledged_and_lost_is_sent_again(mosquitto):
    broker = mosquitto()
    async with Running(config(url=url(broker.port), receipts=["city"]), outbox(30)) as run:
        await until(lambda: run.stats.sent_batches == 30 and run.stats.unconfirmed == 30)
        broker.kill()  # nobody was subscribed, nothing was on disk: all thirty PUBACKs were worth nothing
        broker.start()
        with platform(broker.port, consumer="city") as here:
            await until(lambda: run.stats.delivered_batches == 30, 40)
            assert here.seqs == list(range(1, 31))


async def test_the_will_speaks_for_a_gateway_that_cannot(mosquitto):
    broker = mosquitto()
    with platform(broker.port) as here:
        async with Running(config(url=url(broker.port)), outbox(1)) as run:
            await until(lambda: run.stats.delivered_batches == 1)
            run.forwarder._connection._client.socket().shutdown(socket.SHUT_RDWR)
            await until(lambda: {"online": False} in [json.loads(p) for p in here.of(TOPICS.state)])
            await until(lambda: json.loads(here.of(TOPICS.state)[-1])["online"])


async def test_a_frozen_broker_costs_nothing(mosquitto):
    broker = mosquitto()
    with platform(broker.port, consumer="city") as here:
        async with Running(config(url=url(broker.port), receipts=["city"]), outbox(50)) as run:
            await until(lambda: run.stats.delivered_batches == 50)
            broker.pause()
            for seq in range(51, 101):
                run.commit(row(seq))
            await asyncio.sleep(1.5)
            broker.go_on()
            await until(lambda: run.stats.delivered_batches == 100, 40)
            assert here.seqs == list(range(1, 101))


class Proxy(Loopback):
    """A TCP line that can fall silent in either direction without a word to anybody."""

    def __init__(self, port):
        super().__init__()
        self.target = port
        self.silent = False

    async def _serve(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self.open += [writer, back]
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer), return_exceptions=True)

    async def _copy(self, reader, writer):
        silent = self.silent
        while data := await reader.read(65536):
            silent = silent or self.silent
            if not silent:  # a line that fell silent stays so: only a new connection helps
                writer.write(data)
                await writer.drain()
        writer.close()


async def test_a_half_open_line_is_noticed_and_left(mosquitto):
    broker = mosquitto()
    with platform(broker.port, consumer="city") as here:
        async with (
            Proxy(broker.port) as proxy,
            Running(config(url=url(proxy.port), receipts=["city"]), outbox(20)) as run,
        ):
            await until(lambda: run.stats.delivered_batches == 20)
            proxy.silent = True
            run.commit(*[row(seq) for seq in range(21, 31)])
            await until(lambda: not run.stats.connected)
            assert "acknowledged nothing" in run.stats.last_error
            proxy.silent = False
            await until(lambda: run.stats.delivered_batches == 30, 40)
            assert here.seqs == list(range(1, 31))


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
async def test_two_gateways_with_one_id_are_detected_backed_off_and_said(mosquitto, protocol, caplog):
    broker = mosquitto()
    with platform(broker.port) as here:
        async with Running(config(url=url(broker.port), protocol=protocol), outbox(1)) as run:
            await until(lambda: here.seqs == [1], 30)

            def said() -> bool:
                return "gateway id" in run.stats.last_error or "id of its own" in run.stats.last_error

            for _ in range(12):
                twin = paho.Client(
                    paho.CallbackAPIVersion.VERSION2,
                    client_id="gw1-city",
                    protocol=paho.MQTTv5 if protocol == "5.0" else paho.MQTTv311,
                )
                twin.connect("127.0.0.1", broker.port)
                twin.loop_start()
                await until(lambda: not run.stats.connected)
                twin.disconnect()
                twin.loop_stop()
                # Once it is said the next attempt may be far away.
                await until(lambda: run.stats.connected or said())
                if said():
                    break
            assert "id" in run.stats.last_error
            assert any("same gateway id" in r.message or "id of its own" in r.message for r in caplog.records)
        assert here.seqs == [1]


async def test_hostile_and_malformed_messages_on_every_subscribed_topic(mosquitto):
    broker = mosquitto()
    with platform(broker.port) as here:
        async with Running(
            config(url=url(broker.port), receipts=["city"]), outbox(20), timing=PATIENT
        ) as run:
            await until(lambda: here.seqs == list(range(1, 21)))
            junk = [
                b"",
                b"\xff" * 1000,
                b"{" * 5000,
                b'{"epoch":NaN}',
                b"9" * 15000,
                b"\x78\x9c" + b"\x00" * 100,
                b"z" * 250_000,
            ]
            for topic in (TOPICS.receipt("city"), TOPICS.replay):
                for payload in junk:
                    here.say(topic, payload)
                    here.say(topic, payload, retain=True)
            await until(lambda: run.stats.ignored_messages >= 2 * len(junk))
            assert run.stats.delivered_batches == 0
            here.say(TOPICS.receipt("city"), here.store.receipt(E1).to_bytes())
            await until(lambda: run.stats.delivered_batches == 20)
            command = {"id": "again", "epoch": E1, "from": 4, "to": 6}
            here.say(TOPICS.replay, json.dumps(command).encode())
            await until(
                lambda: [json.loads(p) for p in here.of(TOPICS.reply) if json.loads(p)["id"] == "again"]
            )
            assert here.store.duplicates == 3


async def test_a_change_of_id_sends_the_backlog_under_the_new_one(mosquitto):
    broker = mosquitto()
    with platform(broker.port, gateway="gw-new", consumer="city") as here:
        async with Running(
            config(url=url(broker.port), receipts=["city"]), outbox(10), gateway="gw-new"
        ) as run:
            await until(lambda: run.stats.delivered_batches == 10)
            assert {gateway for gateway, _, _ in here.store.held} == {"gw-new"}


async def test_no_thread_and_no_socket_is_left_behind(mosquitto):
    def files():
        return len(list(Path("/proc/self/fd").iterdir()))

    broker = mosquitto()
    async with Running(config(url=url(broker.port), protocol="5.0"), outbox(), timing=FAST) as run:
        await until(lambda: run.stats.connected)
        before = files()
        for _ in range(5):
            run.forwarder._connection._client.socket().shutdown(socket.SHUT_RDWR)
            await until(lambda: not run.stats.connected)
            run.forwarder._reconnect._short_lives = 0
            await until(lambda: run.stats.connected)
        await until(lambda: files() <= before)
        assert sum(t.name == "mqtt uplink city" for t in threading.enumerate()) == 1
    await until(lambda: all(t.name != "mqtt uplink city" for t in threading.enumerate()))
