"""Brokers that never acknowledge, acknowledge out of order or twice, hang up at each packet, or send what
no broker should.
"""

import asyncio
import random
import socket
import threading
import time

import pytest
from uplink_parts import E1, PATIENT, Running, config, link_to, message_of, outbox

from gateway.errors import LinkDown, LinkRefused
from gateway.mqtt import LinkState
from gateway.mqtt.crossing import MAX_INBOX
from gateway.mqtt.link import Outgoing
from gateway.uplink import Timing
from gateway.wire import Receipt, Topics
from tests.fake_broker import CONNACK, DISCONNECT, PUBACK, PUBLISH, SUBACK, Ear, FakeBroker, packet, publish
from tests.waiting import until

TOPICS = Topics("gw1")
WILL = Outgoing(TOPICS.state, b"{}", retain=True)


def settings(broker, **more):
    return config(url=f"mqtt://127.0.0.1:{broker.port}", **more)


def seqs(broker):
    return [message_of(payload)["seq"] for payload in broker.data()]


class Mute(FakeBroker):
    async def on_publish(self, writer, mid):
        pass


async def test_one_that_never_acknowledges_gets_twenty_then_one_at_a_time(caplog):
    async with Mute() as broker, Running(settings(broker), outbox(200)) as run:
        await until(lambda: broker.connects >= 2)
        assert "the broker has acknowledged nothing for" in caplog.text, "why the first connection was ended"
        before = len(broker.data())
        await until(lambda: len(broker.data()) > before)
        await asyncio.sleep(0.3)
        assert len(broker.data()) <= 20 + broker.connects - 1, "one for each later connection"
        assert run.stats.delivered_batches == 0
        assert run.stats.cause == "silent"


class Shuffler(FakeBroker):
    def __init__(self):
        super().__init__()
        self.waiting = []
        self.random = random.Random(5)

    async def on_publish(self, writer, mid):
        self.waiting.append(mid)
        if len(self.waiting) >= 3 or self.random.random() < 0.2:
            self.random.shuffle(self.waiting)
            for each in self.waiting:
                writer.write(packet(PUBACK, each))
                if self.random.random() < 0.3:
                    writer.write(packet(PUBACK, each))  # twice
                    writer.write(packet(PUBACK, self.random.randbytes(2)))  # for nothing
            self.waiting.clear()
        elif len(self.waiting) == 1:
            asyncio.get_running_loop().call_later(0.05, self._flush, writer)

    def _flush(self, writer):
        for each in self.waiting:
            writer.write(packet(PUBACK, each))
        self.waiting.clear()


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
async def test_one_that_acknowledges_out_of_order_twice_and_for_nothing(protocol):
    async with Shuffler() as broker, Running(settings(broker, protocol=protocol), outbox(300)) as run:
        await until(lambda: run.stats.delivered_batches == 300, 30)
        assert sorted(set(seqs(broker))) == list(range(1, 301))
        await until(lambda: list(run.box.settled["city", E1]) == [(1, 300)])


class HangsUp(FakeBroker):
    async def on_publish(self, writer, mid):
        if self.connects > 3:
            writer.write(packet(PUBACK, mid))
        else:
            writer.transport.abort()


async def test_one_that_hangs_up_at_each_packet_is_backed_off_from_and_said_until_it_takes_one():
    async with HangsUp() as broker, Running(settings(broker), outbox(30)) as run:
        assert not run.stats.hangs_up
        await until(lambda: run.stats.hangs_up)
        states, silent = set(), []
        while not run.stats.delivered_batches:
            now = run.stats
            states.add(now.state)
            silent += [now] if not (now.hangs_up and now.cause) and not now.delivered_batches else []
            await asyncio.sleep(0.005)
        assert states >= {"connected", "waiting"}
        assert not silent, "between two connections, and while one stands that has not ended yet"
        assert broker.connects > 3
        assert "right after accepting" in run.stats.last_error
        await until(lambda: run.stats.delivered_batches == 30, 40)
        assert not run.stats.hangs_up
        assert sorted(set(seqs(broker))) == list(range(1, 31))


async def test_one_that_goes_away_afterwards_is_not_said_to_hang_up():
    async with HangsUp() as broker, Running(settings(broker), outbox(3)) as run:
        await until(lambda: run.stats.hangs_up)
        broker._server.close()
        await until(lambda: run.stats.cause == "nobody_listens", 40)
        assert not run.stats.hangs_up


class OnlyOld(FakeBroker):
    """A 3.1.1 broker that answers MQTT 5 as the standard says, in its own tongue."""

    async def on_connect(self, writer):
        if writer.five:
            writer.write(packet(CONNACK, b"\x00\x01"))
            writer.close()
        else:
            await super().on_connect(writer)


class OnlyOldAndRude(FakeBroker):
    async def on_connect(self, writer):
        if writer.five:
            writer.close()
        else:
            await super().on_connect(writer)


class OnlyOldAndMute(FakeBroker):
    async def on_connect(self, writer):
        if not writer.five:
            await super().on_connect(writer)


@pytest.mark.parametrize("kind", [OnlyOld, OnlyOldAndRude, OnlyOldAndMute])
async def test_auto_falls_back_to_3_1_1_and_remembers(kind):
    async with kind() as broker, Running(settings(broker), outbox(3), timing=PATIENT) as run:
        await until(lambda: run.stats.delivered_batches == 3)
        assert run.stats.protocol == "3.1.1"
        assert broker.versions == [5, 4]
        broker.open[-1].transport.abort()
        await until(lambda: not run.stats.connected)
        await until(lambda: run.stats.connected)
        assert broker.versions == [5, 4, 4]


async def test_a_version_that_is_demanded_is_not_replaced():
    async with OnlyOld() as broker, Running(settings(broker, protocol="5.0"), outbox(3)) as run:
        await until(lambda: run.stats.last_error)
        assert set(broker.versions) == {5}
        assert run.stats.delivered_batches == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"\x00\x87\x00", LinkRefused),
        (b"\x00\x86\x00", LinkRefused),
        (b"\x00\x88\x00", LinkDown),
        (b"\x00\x89\x00", LinkDown),
        (b"\x00\x97\x00", LinkDown),
        (b"", LinkDown),
        (b"\xff", LinkDown),
        (b"\x00\x00\x7f\x01\x02", LinkDown),
        (b"\x00\x05", LinkDown),
    ],
)
async def test_a_refusal_is_told_from_a_trouble_that_passes(answer, error):
    class Refuses(FakeBroker):
        async def on_connect(self, writer):
            writer.write(packet(CONNACK, answer))
            writer.close()

    async with Refuses() as broker:
        with pytest.raises(error) as caught:
            await link_to(settings(broker, protocol="5.0")).open(Ear(), will=WILL, topics=[TOPICS.replay])
        assert isinstance(caught.value, LinkRefused) == (error is LinkRefused)


async def test_the_brokers_receive_maximum_is_kept():
    class Small(FakeBroker):
        async def on_connect(self, writer):
            writer.write(packet(CONNACK, b"\x00\x00\x03\x21\x00\x03"))  # Receive Maximum 3

        async def on_publish(self, writer, mid):
            pass

    async with Small() as broker, Running(settings(broker), outbox(50), timing=PATIENT):
        await until(lambda: len(broker.published) == 3)
        await asyncio.sleep(0.2)
        assert len(broker.published) == 3


async def test_a_refused_subscription_is_said_and_the_rest_goes_on():
    class Selective(FakeBroker):
        async def on_subscribe(self, writer, mid):
            writer.write(packet(SUBACK, mid + b"\x00\x87\x01"))

    async with Selective() as broker, Running(settings(broker, receipts=["city"]), outbox(3)) as run:
        await until(lambda: run.stats.unconfirmed == 3)
        assert TOPICS.receipt("city") in run.stats.last_error
        assert "mosquitto-acl.example" in run.stats.last_error


async def test_taken_over_by_another_client():
    class Taken(FakeBroker):
        async def on_publish(self, writer, mid):
            writer.write(packet(DISCONNECT, b"\x8e\x00"))

    async with Taken() as broker, Running(settings(broker), outbox(1)) as run:
        await until(lambda: run.stats.state == LinkState.TAKEN_OVER.value)
        assert "two gateways with one id" in run.stats.last_error
        await asyncio.sleep(0.5)
        assert broker.connects == 1


def hostile_packets(five):
    rng = random.Random(11)
    good = TOPICS.receipt("city").encode()
    return [
        publish(
            b"submeter/\xff\xfe/receipt", b"x", five=five
        ),  # not UTF-8: paho raises when the topic is read
        publish(b"\xc3\x28", b"x", five=five, qos=1),
        publish(good, b"\xff\xfe\x00", five=five, qos=1),
        publish(good, b"", five=five),
        publish(b"", b"no topic", five=five),
        publish(b"a" * 60_000, b"long", five=five),
        packet(PUBLISH, b"\xff\xff"),  # a topic longer than the packet
        packet(PUBLISH, b"", 2),
        packet(PUBLISH, b"\x00\x01a\x00\x01\x00x", 6),  # QoS 3
        packet(PUBACK, b"\x00"),  # short
        packet(PUBACK, b""),
        packet(PUBACK, b"\x00\x01\x99\x05abc"),
        packet(SUBACK, b"\x00"),
        packet(CONNACK, b"\x00\x00\x00"),  # a second one
        packet(15, b"auth?"),
        packet(0, b"reserved"),
        packet(1, b"CONNECT from a broker"),
        b"\x30\xff\xff\xff\xff\xff",  # a length that never ends
        b"\x30\xff\xff\xff\x7f" + b"x" * 100,  # 256 MB announced
        packet(DISCONNECT, b"\x99"),
        *[rng.randbytes(rng.randint(1, 60)) for _ in range(20)],
    ]


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
@pytest.mark.parametrize("number", range(len(hostile_packets(five=True))))
async def test_packets_that_no_broker_should_send(protocol, number):
    """The connection goes on, or ends and says so, or waits for the rest of a packet; nothing dies unseen."""
    five = protocol == "5.0"

    class Poisoner(FakeBroker):
        async def on_subscribe(self, writer, mid):
            await super().on_subscribe(writer, mid)
            writer.write(hostile_packets(five)[number])

    async with Poisoner() as broker:
        ear = Ear()
        try:
            connection = await link_to(settings(broker, protocol=protocol)).open(
                ear, will=WILL, topics=[TOPICS.receipt("city")]
            )
        except LinkDown:
            return  # it ended before it had begun: said all the same
        await asyncio.sleep(0.02)
        if connection.room:
            connection.publish([Outgoing(TOPICS.data, b"x", tag=7)])
        for turn in range(1000):
            if ear.acks or ear.errors or (turn >= 50 and broker.data()):
                break
            await asyncio.sleep(0.01)
        assert len(ear.errors) <= 1
        if not ear.errors:
            (thread,) = [t for t in threading.enumerate() if t.name == "mqtt uplink city"]
            assert ear.acks == [(7, 0)] or broker.data() == [b"x"]
            await connection.close()
            await until(lambda: not thread.is_alive())
        else:
            assert connection.room == 0
            await connection.close()


class Poisoner(FakeBroker):
    def __init__(self):
        super().__init__()
        self.poison = [hostile_packets(five=True)[number] for number in (0, 6, 10)]

    async def on_subscribe(self, writer, mid):
        await super().on_subscribe(writer, mid)
        if self.poison:
            writer.write(self.poison.pop(0))


async def test_after_such_packets_everything_still_arrives():
    async with Poisoner() as broker, Running(settings(broker, receipts=["city"]), outbox(40)) as run:
        await until(lambda: set(seqs(broker)) == set(range(1, 41)), 30)
        await until(lambda: run.stats.connected)
        broker.open[-1].write(
            publish(TOPICS.receipt("city"), Receipt(epoch=E1, upto=40).to_bytes(), five=True)
        )
        await until(lambda: run.stats.delivered_batches == 40)


async def test_a_flood_of_messages_is_bounded_and_ends_nothing():
    class Flood(FakeBroker):
        async def on_subscribe(self, writer, mid):
            await super().on_subscribe(writer, mid)
            for _ in range(20_000):
                writer.write(publish(TOPICS.replay, b"junk", five=writer.five))

    async with Flood() as broker, Running(settings(broker), outbox(10), timing=Timing(patience=20.0)) as run:
        await until(lambda: run.stats.delivered_batches == 10, 40)


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
async def test_what_a_busy_loop_has_not_taken_yet_is_bounded_and_the_rest_counted(protocol):
    flood = MAX_INBOX + 500
    async with FakeBroker() as broker:
        ear = Ear()
        connection = await link_to(settings(broker, protocol=protocol)).open(
            ear, will=WILL, topics=[TOPICS.replay]
        )
        waiting = connection._crossing._inbox
        (writer,) = broker.open
        writer.write(publish(TOPICS.replay, b"junk", five=writer.five) * flood)
        await writer.drain()
        end = time.monotonic() + 60
        while len(waiting) + connection._crossing.dropped + len(ear.messages) < flood:
            assert time.monotonic() < end
            time.sleep(0.01)  # noqa: ASYNC251 - the loop is busy: that is what is tried
        assert len(waiting) == MAX_INBOX
        await until(lambda: len(ear.messages) == MAX_INBOX)
        assert connection._crossing.dropped == flood - MAX_INBOX
        writer.write(publish(TOPICS.replay, b"later", five=writer.five))
        await until(lambda: ear.messages[-1] == (TOPICS.replay, b"later"))
        await connection.close()


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
@pytest.mark.parametrize("topic", [TOPICS.receipt("city"), TOPICS.replay])
async def test_what_somebody_left_behind_retained_is_not_obeyed(protocol, topic):
    class Keeps(FakeBroker):
        async def on_subscribe(self, writer, mid):
            await super().on_subscribe(writer, mid)
            for qos in (0, 1):
                writer.write(publish(topic, b"stale", five=writer.five, qos=qos, retain=True))
            writer.write(publish(topic, b"fresh", five=writer.five))

    async with Keeps() as broker:
        ear = Ear()
        connection = await link_to(settings(broker, protocol=protocol)).open(ear, will=WILL, topics=[topic])
        await until(lambda: (topic, b"fresh") in ear.messages)
        assert ear.messages == [(topic, b"fresh")]
        await connection.close()


async def test_a_port_that_accepts_and_says_nothing(monkeypatch):
    monkeypatch.setattr("gateway.mqtt.connection.OPEN_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = link_to(config(url=f"mqtt://127.0.0.1:{server.getsockname()[1]}"))
        with pytest.raises(LinkDown, match=r"no answer within 0\.5 s → check"):
            await link.open(Ear(), will=WILL, topics=[])
    await until(lambda: all(t.name != "mqtt uplink city" for t in threading.enumerate()))


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
async def test_a_broker_that_never_answers_subscribe_leaves_no_thread_behind(protocol, monkeypatch):
    monkeypatch.setattr("gateway.mqtt.connection.OPEN_TIMEOUT", 0.5)

    class Forgetful(FakeBroker):
        async def on_subscribe(self, writer, mid):
            pass

    async with Forgetful() as broker:
        with pytest.raises(LinkDown, match=r"does not answer SUBSCRIBE within 0\.5 s → look"):
            await link_to(settings(broker, protocol=protocol)).open(Ear(), will=WILL, topics=[TOPICS.replay])
        assert broker.connects == 1
        await until(lambda: all(t.name != "mqtt uplink city" for t in threading.enumerate()))


async def test_a_callback_that_fails_ends_nothing():
    class Clumsy(Ear):
        def received(self, topic, payload):
            raise RuntimeError("a bug of ours")

    class Sends(FakeBroker):
        async def on_subscribe(self, writer, mid):
            await super().on_subscribe(writer, mid)
            writer.write(publish("submeter/v1/gw1/cmd/replay", b"x", five=writer.five))

    problems = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
    async with Sends() as broker:
        ear = Clumsy()
        connection = await link_to(settings(broker)).open(ear, will=WILL, topics=[TOPICS.replay])
        await until(lambda: problems)
        connection.publish([Outgoing("a", b"b", tag=1)])
        await until(lambda: ear.acks == [(1, 0)])
        await connection.close()


async def test_the_url_of_another_host_without_tls_is_a_loud_warning(caplog):
    link_to(config(url="mqtt://192.0.2.1:1883"))
    assert "NOT ENCRYPTED" in caplog.text
    caplog.clear()
    for here in ("localhost", "127.0.0.1", "[::1]", "127.9.9.9"):
        link_to(config(url=f"mqtt://{here}:1883"))
    link_to(config(url="mqtts://192.0.2.1:8883"))
    assert caplog.text == ""


async def test_a_name_that_does_not_exist():
    with pytest.raises(LinkDown, match="cannot be reached"):
        await link_to(config(url="mqtt://no-such-host.invalid:1883")).open(Ear(), will=WILL, topics=[])
