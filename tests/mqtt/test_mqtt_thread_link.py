"""A broker for a program without an event loop: connected for ever, messages from any thread."""

import logging
import threading
import time

import pytest

from gateway.common.address import BrokerAddress
from gateway.errors import LinkDown
from gateway.mqtt import Broker, Limits, MemoryLink, Reconnect, ThreadLink, packet_size
from gateway.mqtt import thread_link as module
from gateway.mqtt.link import MAX_UNACKED
from tests.waiting import wait_until

BROKER = Broker("receiver", BrokerAddress.of("mqtts://platform.example"), "rx")


class Made:
    """A link over a broker in memory; `on_loop` plays the broker where it would be heard."""

    def __init__(self, *, prompt=True, allow="", topics=("a", "b")):
        self.memory = MemoryLink(prompt=prompt)
        self.heard = []
        reconnect = Reconnect(BROKER, meanwhile="tried again", longest=0.02)
        self.link = ThreadLink(self.memory, topics, reconnect, allow=allow)

    def __enter__(self):
        self.link.start(lambda *message: self.heard.append(message))
        return self

    def __exit__(self, *_):
        self.link.stop()
        assert not self.link._thread.is_alive()

    @property
    def newest(self):
        return self.memory.opened[-1]

    def connected(self, count=1):
        wait_until(lambda: len(self.memory.opened) >= count and self.link.connected)
        return self.newest

    def on_loop(self, call, *arguments):
        self.link._loop.call_soon_threadsafe(call, *arguments)


def test_messages_go_out_and_come_in():
    made = Made()
    assert made.link.send("t", b"x") is False, "not connected: nothing is kept"
    with made:
        connection = made.connected()
        assert connection.topics == ("a", "b")
        assert connection.will is None
        assert made.link.send("t", b"1") is True
        wait_until(lambda: connection.sent)
        assert [(m.topic, m.payload, m.retain) for m in connection.sent] == [("t", b"1", False)]
        connection.deliver("a", b"2")
        assert made.heard == [("a", b"2")], "in the thread that brings it"


@pytest.mark.parametrize("packet", [None, 320, 8192])
def test_the_room_for_a_message_is_that_of_the_broker_at_hand(packet):
    made = Made()
    made.memory.limits = Limits(packet=packet)
    assert made.link.room_for("a/topic") is None, "nobody has said anything"
    with made:
        made.connected()
        room = made.link.room_for("a/topic")
    assert room is None if packet is None else packet_size("a/topic", room, five=True) == packet


@pytest.mark.parametrize("brief", [1, 3])
def test_a_connection_that_breaks_in_the_moment_it_is_open_is_replaced(brief):
    made = Made()
    made.memory.brief = brief
    with made:
        connection = made.connected(brief + 1)
        assert made.link.send("t", b"1") is True
        wait_until(lambda: connection.sent)


def test_more_than_there_is_room_for_waits_for_acknowledgements_in_order():
    with Made(prompt=False) as made:
        connection = made.connected()
        for number in range(50):
            assert made.link.send("t", str(number).encode())
        wait_until(lambda: len(connection.sent) == MAX_UNACKED)
        time.sleep(0.05)
        assert len(connection.sent) == MAX_UNACKED
        made.on_loop(connection.acknowledge)
        wait_until(lambda: len(connection.sent) == 2 * MAX_UNACKED)
        made.on_loop(connection.acknowledge)
        wait_until(lambda: len(connection.sent) == 50)
        assert [m.payload for m in connection.sent] == [str(number).encode() for number in range(50)]
        made.on_loop(connection.acknowledge)


def test_what_waits_is_bounded(monkeypatch):
    with Made(prompt=False) as made:
        connection = made.connected()
        for _ in range(MAX_UNACKED):
            made.link.send("t", b"x")
        wait_until(lambda: len(connection.sent) == MAX_UNACKED)
        monkeypatch.setattr(module, "MAX_WAITING", 3)
        assert [made.link.send("t", b"y") for _ in range(5)] == [True, True, True, False, False]
        made.on_loop(connection.acknowledge)
        wait_until(lambda: len(connection.sent) == MAX_UNACKED + 3)
        made.on_loop(connection.acknowledge)


def test_a_lost_connection_is_made_anew_and_what_waited_for_it_is_gone(caplog):
    caplog.set_level(logging.INFO)
    with Made(prompt=False) as made:
        first = made.connected()
        for _ in range(MAX_UNACKED + 5):
            made.link.send("t", b"x")
        wait_until(lambda: len(first.sent) == MAX_UNACKED)
        made.on_loop(first.drop, LinkDown("the connection was lost"))
        second = made.connected(2)
        time.sleep(0.05)
        assert second.sent == []
    assert caplog.text.count("the connection was lost; tried again") == 1
    assert caplog.text.count("back at platform.example:8883, MQTT 5.0") == 1


def test_a_lost_connection_is_noticed_at_once_and_not_at_the_next_turn(monkeypatch):
    monkeypatch.setattr(module, "TURN", 3600.0)
    with Made() as made:
        made.on_loop(made.connected().drop, LinkDown("the connection was lost"))
        made.connected(2)


def test_a_farewell_is_bounded_though_nothing_is_acknowledged_and_a_turn_is_long(monkeypatch):
    monkeypatch.setattr(module, "TURN", 3600.0)
    monkeypatch.setattr(module, "FAREWELL", 0.1)
    with Made(prompt=False) as made:
        connection = made.connected()
        made.link.send("t", b"x")
        wait_until(lambda: connection.sent)
    assert connection.closed


def refused(error, attempts):
    """A link is connected although so many attempts ended in this error."""
    made = Made()
    made.memory.refuse = lambda: error
    with made:
        wait_until(lambda: made.memory.attempts >= attempts)
        made.memory.refuse = None
        made.connected()


def test_an_absent_broker_is_said_once_and_tried_again(caplog):
    refused(LinkDown("cannot be reached: refused"), 6)
    assert caplog.text.count("cannot be reached") == 1


def test_a_link_that_fails_in_an_unforeseen_way_is_tried_again(caplog):
    refused(ZeroDivisionError("a bug of ours"), 2)
    assert "the link failed: ZeroDivisionError: a bug of ours" in caplog.text


def test_so_is_a_connection_that_fails_while_it_is_served(caplog):
    with Made() as made:
        first = made.connected()
        first.publish = lambda messages: 1 / 0
        made.link.send("t", b"x")
        second = made.connected(2)
        assert second is not first
        assert first.closed
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (0x80, 'to a; it says "no" → allow reading a at the broker'),
        (0x87, 'to a; it says "no" → allow reading a at the broker'),
        (
            0x9E,
            'to a: it has no shared subscriptions (0x9e); it says "no" → start a receiver for each range of '
            "gateways, with --gateway and without --share",
        ),
        (0x97, 'to a: a quota is used up (0x97); it says "no" → have the quota raised at the broker'),
    ],
)
def test_a_refused_topic_counts_as_a_refusal_and_says_what_to_allow(caplog, code, told):
    made = Made(allow="allow reading a at the broker")
    opening = made.memory.open

    async def refused(*arguments, **options):
        connection = await opening(*arguments, **options)
        if len(made.memory.opened) < 3:
            connection.refused_topics = {"a": code}
            connection.words = '; it says "no"'
        return connection

    made.memory.open = refused
    with made:
        third = made.connected(3)
        assert [connection.closed for connection in made.memory.opened] == [True, True, False]
        assert third.sent == []
    assert caplog.text.count(f"refuses the subscription {told}") == 1


def test_a_stop_hands_over_what_was_taken_before():
    with Made() as made:
        connection = made.connected()
        for number in range(100):
            made.link.send("t", str(number).encode())
    assert len(connection.sent) == 100
    assert connection.closed
    assert made.link.send("t", b"late") is False


def test_a_stop_does_not_wait_for_ever_for_a_broker_that_is_mute():
    with Made(prompt=False) as made:
        connection = made.connected()
        made.link.send("t", b"x")
        wait_until(lambda: connection.sent)
        begin = time.monotonic()
    assert time.monotonic() - begin < module.PATIENCE
    assert connection.closed


@pytest.mark.parametrize("started", [True, False])
def test_a_stop_works_at_any_moment(started):
    made = Made()
    opening = threading.Event()

    async def never(*_, **__):
        opening.set()
        await module.asyncio.sleep(3600.0)

    made.memory.open = never
    if started:
        made.link.start(print)
        assert opening.wait(30)
    begin = time.monotonic()
    made.link.stop()
    assert time.monotonic() - begin < module.PATIENCE
    assert not made.link._thread.is_alive()
