"""A broker's reasons: each code its own sentence and consequence, its words made harmless, a closed socket
found out.
"""

import asyncio
import logging
import time
from typing import ClassVar

import pytest
from uplink_parts import E1, PATIENT, Running, config, link_to, message_of, outbox, row

from gateway.errors import LinkDown, LinkRefused
from gateway.mqtt.link import Outgoing
from gateway.mqtt.reasons import MEANINGS, farewell, meaning, refusal
from gateway.mqtt.reconnect import Reconnect
from gateway.uplink import broker_of
from gateway.uplink.outgoing.objections import Flying, Objections
from gateway.wire import Topics
from tests.fake_broker import CONNACK, DISCONNECT, PUBACK, SUBACK, Ear, FakeBroker, packet
from tests.waiting import until

TOPICS = Topics("gw1")
WILL = Outgoing(TOPICS.state, b"{}", retain=True)
DATA = TOPICS.data


def settings(broker, **more):
    return config(url=f"mqtt://127.0.0.1:{broker.port}", **more)


def string(number, text):
    body = text.encode()
    return bytes([number]) + len(body).to_bytes(2, "big") + body


def properties(*parts):
    body = b"".join(parts)
    return bytes([len(body)]) + body


REASON, SERVER, USER = 31, 28, 38


def test_each_code_has_its_own_sentence_and_action():
    sentences = [MEANINGS[code].what for code in MEANINGS]
    assert len(set(sentences)) == len(sentences)
    assert set(MEANINGS) == set(range(0x80, 0xA3)), "MQTT 5, 2.4"
    for code in range(0x100):
        assert all((meaning(code).what, meaning(code).mend, meaning(code).cause))
        for error in (refusal(code), farewell(code)):
            assert f"0x{code:02x}" in error.message
            assert all((error.hint, error.cause))


class Says(FakeBroker):
    """Answers CONNECT with a code and properties of the test's choice; then as `FakeBroker`."""

    def __init__(self, code=0, props=b"\x00", **more):
        super().__init__()
        self.code, self.props = code, props
        self.__dict__.update(more)

    async def on_connect(self, writer):
        writer.write(packet(CONNACK, bytes([0, self.code]) + (self.props if writer.five else b"")))


@pytest.mark.parametrize("code", sorted(MEANINGS))
async def test_a_refused_connection_is_told_by_its_code(code):
    if code in {0x84, 0x85, 0x9A}:
        return  # tried again in another way, see below
    async with Says(code) as broker:
        with pytest.raises((LinkDown, LinkRefused), match=f"0x{code:02x}") as caught:
            await link_to(settings(broker, protocol="5.0")).open(Ear(), will=WILL, topics=[])
        assert caught.value.cause == MEANINGS[code].cause


async def test_what_a_broker_says_is_shown_and_harmless_and_another_server_is_not_followed():
    other = FakeBroker()
    async with other:
        user = string(USER, "a") + string(0, "b")[1:]
        props = properties(
            string(REASON, "no\x1b[2Jentry\u202e"), string(SERVER, f"127.0.0.1:{other.port}"), user
        )
        async with Says(0x9D, props) as broker, Running(settings(broker), outbox(1)) as run:
            await until(lambda: "0x9d" in run.stats.last_error)
            said = run.stats.last_error
            assert r"no\x1b[2Jentry\u202e" in said
            assert f"127.0.0.1:{other.port}" in said
            assert "not followed" in said
            assert (run.stats.state, run.stats.cause) == ("refused", "moved")
            await asyncio.sleep(0.3)
            assert other.connects == 0


async def test_a_client_id_that_is_not_taken_is_left_to_the_broker(caplog):
    class Picky(FakeBroker):
        ids: ClassVar = []

        async def _handle(self, kind, flags, body, writer):
            if kind == 1:
                at = 11 + body[10] if body[6] == 5 else 10
                self.ids.append(body[at + 2 : at + 2 + int.from_bytes(body[at : at + 2], "big")])
            await super()._handle(kind, flags, body, writer)

        async def on_connect(self, writer):
            if self.ids[-1]:
                writer.write(packet(CONNACK, b"\x00\x85\x00"))
            else:
                writer.write(packet(CONNACK, b"\x00\x00" + properties(string(18, "auto-\x077"))))

    async with Picky() as broker, Running(settings(broker, protocol="5.0"), outbox(3)) as run:
        await until(lambda: run.stats.delivered_batches == 3)
        assert broker.ids[:2] == [b"gw1-city", b""]
        assert r"calls us 'auto-\\x077'" in caplog.text or r"calls us 'auto-\x077'" in caplog.text


@pytest.mark.parametrize("times", range(1, 8))
async def test_a_broker_that_hangs_up_whatever_is_asked_is_not_said_to_keep_nothing(times):
    class NotUpYet(FakeBroker):
        retained: ClassVar = []

        async def on_connect(self, writer):
            if self.connects <= times:
                writer.close()
                raise ConnectionError
            await super().on_connect(writer)

        async def _handle(self, kind, flags, body, writer):
            if kind == 3:
                self.retained.append(flags & 1)
            await super()._handle(kind, flags, body, writer)

    NotUpYet.retained.clear()
    async with NotUpYet() as broker, Running(settings(broker, protocol="3.1.1"), outbox(3)) as run:
        await until(lambda: run.stats.delivered_batches == 3 and any(broker.retained))
        assert "no retained messages" not in run.stats.last_error
        assert "Last Will" not in run.stats.last_error


async def test_a_retained_will_that_is_not_taken_is_left_out():
    class NoRetain(FakeBroker):
        flags: ClassVar = []

        async def _handle(self, kind, flags, body, writer):
            if kind == 1:
                self.flags.append(body[7])
            await super()._handle(kind, flags, body, writer)
            if kind == 3:
                assert not flags & 1, "nothing is retained here"

        async def on_connect(self, writer):
            retained = self.flags[-1] & 0x20
            writer.write(packet(CONNACK, b"\x00\x9a\x00" if retained else b"\x00\x00\x00"))

    async with NoRetain() as broker, Running(settings(broker, protocol="5.0"), outbox(3)) as run:
        await until(lambda: run.stats.delivered_batches == 3 and len(broker.published) >= 5)
        assert "no retained messages" in run.stats.last_error


@pytest.mark.parametrize(
    "props",
    [
        b"\x21\x00\x01",  # Receive Maximum 1
        b"\x22\x00\x00",  # Topic Alias Maximum 0
        b"\x11\x00\x00\x00\x3c",  # Session Expiry Interval of its own
        b"\x28\x00",  # no wildcard subscriptions
        b"\x29\x00\x2a\x00",  # no subscription identifiers, no shared subscriptions
        string(USER, "who") + string(0, "cares\x07")[1:],
        b"\x27\x00\x01\x00\x00",  # Maximum Packet Size 65536
    ],
)  # fmt: skip
async def test_limits_that_do_not_concern_us_cost_nothing(props):
    async with (
        Says(0, bytes([len(props)]) + props) as broker,
        Running(settings(broker, protocol="5.0"), outbox(30)) as run,
    ):
        await until(lambda: run.stats.delivered_batches == 30)
        await until(lambda: {topic for topic, _ in broker.published} == {DATA, TOPICS.state, TOPICS.meters})


async def test_a_packet_size_that_no_batch_keeps_to_is_refused():
    async with (
        Says(0, b"\x05\x27\x00\x00\x00\x40") as broker,
        Running(settings(broker, protocol="5.0"), outbox(3)) as run,
    ):
        await until(lambda: "at most 64 bytes" in run.stats.last_error)
        assert broker.published == []


async def test_each_subscription_is_refused_for_itself_with_its_reason():
    class Selective(FakeBroker):
        async def on_subscribe(self, writer, mid):
            writer.write(packet(SUBACK, mid + properties(string(REASON, "rule 7")) + b"\x01\x8f"))

    async with Selective() as broker, Running(settings(broker, receipts=["city"]), outbox(3)) as run:
        await until(lambda: TOPICS.replay in run.stats.last_error)
        assert "0x8f" in run.stats.last_error
        assert "rule 7" in run.stats.last_error
        assert TOPICS.receipt("city") not in run.stats.last_error


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
async def test_a_subscription_that_the_answer_has_no_code_for_is_none(protocol):
    class Forgets(FakeBroker):
        async def on_subscribe(self, writer, mid):
            writer.write(packet(SUBACK, mid + b"\x00" * writer.five + b"\x01"))

    async with (
        Forgets() as broker,
        Running(settings(broker, protocol=protocol, receipts=["city"]), outbox(3)) as run,
    ):
        await until(lambda: TOPICS.replay in run.stats.last_error)
        assert "gives no reason" in run.stats.last_error
        assert TOPICS.receipt("city") not in run.stats.last_error


@pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])
async def test_a_subscription_that_ends_the_connection_is_found_and_left_out(protocol):
    class Closes(FakeBroker):
        async def _handle(self, kind, flags, body, writer):
            if kind == 8 and b"cmd/replay" in body:
                writer.transport.abort()
            else:
                await super()._handle(kind, flags, body, writer)

        async def on_subscribe(self, writer, mid):
            writer.write(packet(SUBACK, mid + b"\x00" * writer.five + b"\x01"))

    async with (
        Closes() as broker,
        Running(settings(broker, protocol=protocol, receipts=["city"]), outbox(3)) as run,
    ):
        await until(lambda: run.stats.sent_batches == 3, 60)
        assert TOPICS.replay in run.stats.last_error
        assert "left out" in run.stats.last_error


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (0x80, "no reason"),
        (0x83, "rule of its own"),
        (0x87, "not authorised"),
        (0x97, "quota"),
        (0x90, "topic"),
    ],
)
async def test_a_refusal_of_all_stops_the_flow_and_says_why(code, sentence):
    class Refuses(FakeBroker):
        async def on_publish(self, writer, mid):
            data = self.published[-1][0] == DATA
            writer.write(
                packet(PUBACK, mid + (bytes([code]) + properties(string(REASON, "so\x07")) if data else b""))
            )

    async with Refuses() as broker, Running(settings(broker), outbox(200), timing=PATIENT) as run:
        await until(lambda: sentence in run.stats.last_error)
        assert f"0x{code:02x}" in run.stats.last_error
        assert r"so\x07" in run.stats.last_error
        await asyncio.sleep(0.2)
        assert len(broker.data()) <= 20
        assert run.stats.delivered_batches == 0


@pytest.mark.parametrize("code", [0x95, 0x99])
async def test_a_refusal_of_one_batch_sets_it_aside_and_the_others_go_on(code):
    class RefusesThree(FakeBroker):
        async def on_publish(self, writer, mid):
            topic, payload = self.published[-1]
            bad = topic == DATA and message_of(payload)["seq"] == 3
            writer.write(packet(PUBACK, mid + (bytes([code]) if bad else b"")))

    async with RefusesThree() as broker, Running(settings(broker, protocol="5.0"), outbox(60)) as run:
        await until(lambda: run.stats.delivered_batches >= 59 or code == 0x95)
        await until(
            lambda: set(range(1, 61)) - {3} <= {message_of(p)["seq"] for p in broker.data()} or code == 0x95
        )
        await until(lambda: run.stats.set_aside >= 1)
        assert 3 not in (run.box.settled.get(("city", E1)) or [])
        assert run.stats.connected


async def test_a_broker_that_takes_json_alone_gets_json():
    class NoZlib(FakeBroker):
        async def on_publish(self, writer, mid):
            topic, payload = self.published[-1]
            writer.write(packet(PUBACK, mid + (b"\x99" if topic == DATA and payload[:1] != b"{" else b"")))

    async with NoZlib() as broker, Running(settings(broker, protocol="5.0"), outbox(60)) as run:
        await until(lambda: run.stats.delivered_batches == 60)
        assert run.stats.set_aside == 0


@pytest.mark.parametrize(
    ("code", "cause"),
    [(0x8B, "shutting_down"), (0x98, "administrative"), (0x96, "rate"), (0x93, "receive_maximum")],
)
async def test_a_farewell_is_told_by_its_code_with_what_was_on_its_way(code, cause):
    class Leaves(FakeBroker):
        async def on_publish(self, writer, mid):
            writer.write(packet(DISCONNECT, bytes([code]) + properties(string(REASON, "bye"))))

    async with Leaves() as broker, Running(settings(broker, protocol="5.0"), outbox(1)) as run:
        await until(lambda: f"0x{code:02x}" in run.stats.last_error)
        assert run.stats.cause == cause
        assert '"bye"' in run.stats.last_error
        assert "P/data of" in run.stats.last_error
        assert "gateway id" not in run.stats.last_error


class Closes(FakeBroker):
    """Ends the connection at what `objects` says, without a word, as MQTT 3.1.1 has it."""

    def __init__(self, objects):
        super().__init__()
        self.objects = objects

    async def on_publish(self, writer, mid):
        topic, payload = self.published[-1]
        if self.objects(topic, payload):
            writer.transport.abort()
        else:
            writer.write(packet(PUBACK, mid))


@pytest.mark.parametrize("topic", [TOPICS.meters, TOPICS.state])
async def test_a_topic_that_ends_the_connection_is_left_out_and_batches_flow(topic, caplog):
    async with (
        Closes(lambda t, _: t == topic) as broker,
        Running(settings(broker, protocol="3.1.1"), outbox(40)) as run,
    ):
        await until(lambda: run.stats.delivered_batches == 40, 60)
        await until(lambda: run.stats.connected and "gateway id" not in run.stats.last_error, 60)
        await until(lambda: f"{topic} has " in caplog.text)
        assert "allow larger messages" not in caplog.text, "larger ones are taken: it is not the size"
        assert "allow this topic, and retained messages, in the broker's access list" in caplog.text


async def test_where_all_that_stands_beside_the_batches_ends_the_connection_they_flow_alike():
    """As where a broker ends it at each retained message: one of the two is found first, and then the other
    is all that is small. It must not be what goes first on each new connection.
    """
    async with (
        Closes(lambda t, _: t in {TOPICS.meters, TOPICS.state}) as broker,
        Running(settings(broker, protocol="3.1.1"), outbox(2)) as run,
    ):
        for seq in range(3, 30):
            run.commit(row(seq))
            await asyncio.sleep(0.1)
        await until(lambda: run.stats.delivered_batches == 29, 60)
        await until(lambda: run.stats.connected and "gateway id" not in run.stats.last_error, 60)


def test_what_ended_the_connection_is_not_what_goes_first_on_the_next_one():
    suspects = Objections(DATA)
    state = [Flying(TOPICS.state, 100, "state")]
    for now in (0.0, 1.0):
        assert suspects.ended(state, now) is None
    assert suspects.control_first
    assert suspects.ended_by == TOPICS.state
    assert [suspects.suspicion(topic) for topic in (TOPICS.state, TOPICS.meters)] == [2, 0]
    assert suspects.ended(alone(9000), 2.0) is None
    assert suspects.suspicion(TOPICS.state) == 1, "its turn again, when a batch was what ended it"


async def test_batches_that_are_not_allowed_at_all_are_not_taken_for_too_large():
    async with (
        Closes(lambda t, _: t == DATA) as broker,
        Running(settings(broker, protocol="3.1.1"), outbox(40), timing=PATIENT) as run,
    ):
        await until(lambda: run.forwarder._sender._objections.bound is not None or broker.connects >= 5, 60)
        assert run.stats.delivered_batches == 0
        assert "P/data" in run.stats.last_error


# -- suspects, on paper


def alone(size, topic=DATA):
    return [Flying(topic, size)]


def test_one_end_proves_nothing_and_two_without_a_control_neither():
    suspects = Objections(DATA)
    assert suspects.ended(alone(9000), 0.0) is None
    assert suspects.ended(alone(9000), 1.0) is None
    assert suspects.control_first
    assert suspects.bound is None


def test_two_ends_with_a_control_are_a_bound_which_is_tried_again():
    suspects = Objections(DATA)
    suspects.ended([*alone(300), *alone(9000)], 0.0)
    assert suspects.one_at_a_time
    for at in (1.0, 2.0):
        suspects.acknowledged(Flying(DATA, 300), at)
        suspects.acknowledged(Flying(TOPICS.state, 100), at)
        verdict = suspects.ended(alone(9000), at + 0.5)
    assert "9000 bytes" in verdict.what
    assert (suspects.bound, suspects.good_size) == (9000, 4500)
    assert not suspects.tick(3.0)
    assert suspects.tick(3700.0)
    assert suspects.bound is None


def test_an_acknowledgement_a_moment_before_the_end_proves_nothing():
    suspects = Objections(DATA)
    suspects.ended([*alone(1), *alone(2)], 0.0)
    suspects.acknowledged(Flying(DATA, 300), 1.0)
    suspects.acknowledged(Flying(TOPICS.meters, 9000), 2.0)
    assert [one.size for one in suspects.at_the_end([], 2.1)] == [9000]
    suspects.acknowledged(Flying(TOPICS.meters, 9000), 3.0)
    assert suspects.at_the_end([], 4.0) == []


def test_a_loss_that_repeats_is_one_line_that_says_how_long_it_lasts(caplog):
    caplog.set_level(logging.INFO)
    now = [0.0]
    state = Reconnect(broker_of(config(), "gw1"), monotonic=lambda: now[0], chance=lambda: 1.0)
    for _ in range(200):
        state.connected("5.0")
        now[0] += 15.0
        state.lost(LinkDown("the connection was lost"))
    assert len(caplog.records) <= 6
    assert "again and again, after 15 to 15 s" in caplog.text
    assert "keepalive" in caplog.text
    state.connected("5.0")
    now[0] += 600.0
    state.steady()
    assert "back at" in caplog.records[-1].getMessage()


def test_a_message_beside_the_batches_is_suspected_until_it_is_taken():
    data, meters, state = (f"submeter/v1/gw1/{name}" for name in ("data", "meters", "state"))
    objections = Objections(data)
    objections.ended([Flying(data, 900), Flying(meters, 1703)], 1.0)
    assert not objections.suspicion(meters)  # one of several
    objections.ended([Flying(meters, 1703)], 2.0)
    assert objections.suspicion(meters)
    assert not objections.suspicion(state)
    for message in (Flying(meters, 1703), Flying(state, 90)):  # it is believed when the next one was taken
        objections.acknowledged(message, 3.0)
    assert not objections.suspicion(meters)


class Limited(FakeBroker):
    """Takes so many messages a second, as many at once, and ends the connection that is faster (0x96)."""

    def __init__(self, rate):
        super().__init__()
        self.rate = self.left = rate
        self.at = time.monotonic()

    async def on_publish(self, writer, mid):
        now = time.monotonic()
        self.left = min(self.rate, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1.0:
            writer.write(packet(DISCONNECT, b"\x96\x00"))
            writer.close()
            raise ConnectionError
        self.left -= 1.0
        writer.write(packet(PUBACK, mid))


async def test_a_broker_that_says_that_messages_come_too_fast_gets_them_slower(caplog):
    async with (
        Limited(20.0) as broker,
        Running(settings(broker, protocol="5.0", backlog_rate=160), outbox(150)) as run,
    ):
        await until(lambda: run.stats.delivered_batches == 150, 60)
        assert "fewer messages a second" in caplog.text
        await until(lambda: run.stats.connected and run.stats.cause != "rate")


async def test_a_broker_to_which_the_slowest_is_too_fast_is_connected_to_ever_more_seldom(caplog):
    async with Limited(0.5) as broker, Running(settings(broker, protocol="5.0", backlog_rate=0.1), outbox(9)):
        await until(lambda: "right after accepting it" in caplog.text, 60)
        assert "fewer messages a second" not in caplog.text
