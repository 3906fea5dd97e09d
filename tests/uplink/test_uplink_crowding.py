"""A broker of MQTT 3.1.1 that ends the connection because of how many messages it gets: by their rate, or by
their number. It has no word for it, and another gateway with our id looks much the same.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time

import pytest
from uplink_parts import PATIENT, Running, config, outbox

from gateway.common.troubles import Troubles
from gateway.uplink.outgoing.crowding import TOO_FAST, Crowd, Crowding, Tempo
from gateway.uplink.outgoing.rate import TokenBucket
from gateway.wire import Topics, decode
from tests.fake_broker import PUBACK, FakeBroker, packet
from tests.waiting import until

DATA = Topics("gw1").data


def running(broker, count, **more):
    settings = config(url=f"mqtt://127.0.0.1:{broker.port}", protocol="3.1.1", **more)
    return Running(settings, outbox(count), timing=PATIENT, chance=lambda: 0.0)


class Counting(FakeBroker):
    """Remembers which batches it has acknowledged."""

    def __init__(self):
        super().__init__()
        self.taken = {}
        self.acked = []

    def takes(self, _writer):
        return True

    async def on_publish(self, writer, mid):
        if writer.transport.is_closing():
            return
        if not self.takes(writer):
            writer.transport.abort()
            return
        self.taken[writer] = self.taken.get(writer, 0) + 1
        topic, payload = self.published[-1]
        if topic == DATA:
            self.acked.append(decode(payload).seq)
        writer.write(packet(PUBACK, mid))


class TakesANumber(Counting):
    """Ends each connection at the message after so many."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def takes(self, writer):
        return self.taken.get(writer, 0) < self.number


class TakesARate(Counting):
    """Takes so many messages a second, and `burst` at once, of all connections together."""

    def __init__(self, rate, burst):
        super().__init__()
        self.rate, self.burst = rate, burst
        self.left, self.at = burst, time.monotonic()

    def takes(self, writer):
        now = time.monotonic()
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


@pytest.mark.parametrize("backlog_rate", [0.0, 50.0])
async def test_a_broker_that_takes_a_number_gets_the_rest_on_new_connections_at_once(backlog_rate, caplog):
    async with TakesANumber(12) as broker, running(broker, 240, backlog_rate=backlog_rate) as run:
        seen = set()
        await until(lambda: seen.add(run.stats.cause) or run.stats.delivered_batches == 240, 120)
        assert "taken_over_perhaps" not in seen
        assert run.stats.set_aside == 0
        assert sorted(set(broker.acked)) == list(range(1, 241))
        assert "after about 12 messages" in caplog.text
        assert "gateway id" not in caplog.text
        assert broker.connects <= 2 * 240 / 12


async def test_a_broker_that_takes_a_rate_gets_no_more(caplog):
    async with TakesARate(4.0, 8.0) as broker, running(broker, 150, backlog_rate=50.0) as run:
        await until(lambda: run.stats.delivered_batches == 150, 150)
        assert run.stats.set_aside == 0
        assert sorted(set(broker.acked)) == list(range(1, 151))
        assert "fewer messages a second" in caplog.text
        assert "gateway id" not in caplog.text
        assert broker.connects <= 12


class Kicked(Counting):
    """Another client with the same id ends each connection after a time of its own."""

    async def on_connect(self, writer):
        await super().on_connect(writer)
        lives = 0.5 + random.Random(self.connects).random()
        asyncio.get_running_loop().call_later(lives, writer.transport.abort)


async def test_another_gateway_is_still_told_from_it(caplog):
    async with Kicked() as broker, running(broker, 400, backlog_rate=5.0) as run:
        await until(lambda: run.stats.cause == "taken_over_perhaps", 90)
        assert "after about" not in caplog.text
        assert "faster than it allows" not in caplog.text


# -- on paper


def connection(crowd, number, *, pace, delay, at_end, blameless=True, rate=0.0):
    """One on which a message goes every 1/`pace` s and takes `delay` s; it ends at the one after `number`, or
    between two of them.
    """
    now = 1000.0
    crowd.begin(now)
    for _ in range(number):
        crowd.sent(now)
        crowd.acknowledged(1, now + delay, last=True)
        now += 1 / pace
    if at_end:
        crowd.sent(now)
        now += delay
    else:
        now -= 0.2 / pace
    return crowd.ended(now, rate, blameless=blameless)


@pytest.mark.parametrize("delay", [0.001, 0.005, 0.01])
def test_a_number_stays_the_same_at_half_the_pace(delay):
    crowd = Crowding()
    found = [connection(crowd, 30, pace=pace, delay=delay, at_end=True) for pace in (10, 10, 10, 5, 2.5)]
    assert found == [Crowd.UNKNOWN, Crowd.UNKNOWN, Crowd.RATE, Crowd.RATE, Crowd.NUMBER]
    assert connection(crowd, 29, pace=50, delay=delay, at_end=True) is Crowd.NUMBER
    assert connection(crowd, 3, pace=50, delay=delay, at_end=False) is Crowd.UNKNOWN, "it was another reason"


def test_a_number_as_small_as_what_goes_at_once_is_no_limit():
    crowd = Crowding()
    found = {connection(crowd, 2, pace=pace, delay=0.01, at_end=True) for pace in (10, 10, 10, 5, 2.5, 1.2)}
    assert Crowd.NUMBER not in found


def test_a_rate_is_met_later_at_half_the_pace():
    crowd = Crowding()
    paces = [(10, 12), (10, 12), (10, 12), (5, 20), (2.5, 60), (1.25, 400)]
    found = [connection(crowd, number, pace=pace, delay=0.01, at_end=True) for pace, number in paces]
    assert found == [Crowd.UNKNOWN] * 2 + [Crowd.RATE] * 4


def test_what_goes_at_once_on_a_new_connection_says_nothing_about_the_rate():
    crowd = Crowding()
    for _ in range(3):
        connection(crowd, 12, pace=10, delay=0.01, at_end=True)
    for _ in range(5):
        assert connection(crowd, 30, pace=10, delay=0.01, at_end=True, rate=5.0) is Crowd.UNKNOWN
        assert crowd.at_a_message
    assert connection(crowd, 12, pace=5, delay=0.01, at_end=True, rate=5.0) is Crowd.RATE


@pytest.mark.parametrize("what", [{"at_end": False}, {"at_end": True, "blameless": False}])
def test_ends_between_messages_or_at_one_that_may_be_the_reason_are_neither(what):
    crowd = Crowding()
    assert {connection(crowd, 30, pace=10, delay=0.01, **what) for _ in range(20)} == {Crowd.UNKNOWN}


def test_where_messages_are_always_on_their_way_an_end_at_one_proves_nothing():
    crowd = Crowding()
    assert {connection(crowd, 30, pace=10, delay=0.1, at_end=True) for _ in range(20)} == {Crowd.UNKNOWN}
    assert not crowd.at_a_message


def test_a_new_connection_ends_nowhere_yet():
    crowd = Crowding()
    for _ in range(3):
        connection(crowd, 30, pace=10, delay=0.01, at_end=True)
    assert crowd.at_a_message
    crowd.begin(2000.0)
    assert not crowd.at_a_message


class Blameless:
    """No single message was why."""

    blameless, one_at_a_time = True, False


def test_where_it_cannot_go_more_slowly_nothing_is_mended(caplog):
    bucket, troubles = TokenBucket(0.2, 0.0), Troubles(logging.getLogger(), "uplink: ")
    tempo = Tempo(bucket, Blameless(), troubles)
    tempo.seen.ended = lambda *_, **__: Crowd.RATE
    fault, mended = tempo.crowded()
    assert (fault.cause, mended) == (TOO_FAST, False)
    bucket.recover()
    faster = Tempo(TokenBucket(50.0, 0.0), Blameless(), troubles)
    faster.seen.ended = lambda *_, **__: Crowd.RATE
    assert faster.crowded()[1]


def test_a_line_that_is_cut_each_night_ends_connections_at_a_message_and_is_no_limit():
    """A batch every ten seconds; that the line was cut is noticed by the first one after it."""
    crowd = Crowding()
    for _ in range(6):
        assert connection(crowd, 8640, pace=0.1, delay=0.01, at_end=True) is Crowd.UNKNOWN
    assert connection(crowd, 30, pace=10, delay=0.01, at_end=True) is Crowd.UNKNOWN


def test_one_end_between_messages_makes_the_others_a_chance():
    crowd = Crowding()
    for at_end in (True, True, False, True, True):
        assert connection(crowd, 30, pace=10, delay=0.01, at_end=at_end) is Crowd.UNKNOWN
    assert connection(crowd, 30, pace=10, delay=0.01, at_end=True) is Crowd.RATE


def test_the_pace_that_was_gone_is_halved_and_the_configured_one_comes_back():
    bucket = TokenBucket(50.0, 0.0)
    assert bucket.slow_down(0.0, 10.0) == 5.0
    assert bucket.slow_down(0.0, 10.0) == 2.5
    bucket.recover()
    assert bucket.rate == 50.0
