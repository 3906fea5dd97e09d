"""Another gateway with our id, at a broker that does not say so: MQTT 3.1.1 has no word for it, and some
brokers with MQTT 5 just close the connection, too. Whatever is on its way then is not why.
"""

import asyncio
import contextlib

import pytest
from uplink_parts import PATIENT, Running, config, outbox, row

from gateway.errors import LinkDown
from gateway.mqtt import Reconnect
from gateway.uplink.broker import broker_of
from gateway.uplink.outgoing.objections import Flying, Objections
from gateway.wire import Topics
from tests.fake_broker import PUBACK, FakeBroker, packet
from tests.waiting import until

TOPICS = Topics("gw1")
DATA = TOPICS.data


class Rival(FakeBroker):
    """While `there`, ends each connection at the message after the first `taken`, whichever that is, or a
    `moment` after it began.
    """

    def __init__(self, taken, there, moment=0.5):
        super().__init__()
        self.taken = taken
        self.there = there
        self.moment = moment
        self._counted = {}

    async def on_connect(self, writer):
        await super().on_connect(writer)
        if self.there:
            asyncio.get_running_loop().call_later(self.moment, writer.transport.abort)

    async def on_publish(self, writer, mid):
        count = self._counted[writer] = self._counted.get(writer, 0) + 1
        if self.there and count > self.taken:
            writer.transport.abort()
        else:
            writer.write(packet(PUBACK, mid))


@contextlib.asynccontextmanager
async def gateway(broker, protocol, rows):
    settings = config(url=f"mqtt://127.0.0.1:{broker.port}", protocol=protocol)
    async with Running(settings, outbox(rows), timing=PATIENT, chance=lambda: 0.0) as run:
        yield run


@pytest.mark.parametrize(("protocol", "taken"), [("3.1.1", 0), ("5.0", 1), ("3.1.1", 3)])
async def test_one_that_comes_later_is_suspected_whatever_was_on_its_way(protocol, taken):
    async with Rival(taken, there=False) as broker, gateway(broker, protocol, 5) as run:
        await until(lambda: run.stats.delivered_batches == 5)
        await until(lambda: {TOPICS.state, TOPICS.meters} <= {topic for topic, _ in broker.published})
        broker.there = True
        run.commit(*[row(seq) for seq in range(6, 60)])
        await until(lambda: "gateway id" in run.stats.last_error, 90)
        assert run.stats.cause == "taken_over_perhaps"
        broker.there = False
        await until(lambda: run.stats.delivered_batches == 59, 120)
        assert run.stats.set_aside == 0


@pytest.mark.parametrize(("taken", "moment"), [(0, 0.5), (1, 0.05)])
async def test_one_that_comes_at_once_is_suspected_by_connections_in_which_nothing_was_said(taken, moment):
    """From the start, before anything is acknowledged or a moment after it: no message can be told from any
    other.
    """
    async with Rival(taken, there=True, moment=moment) as broker, gateway(broker, "5.0", 3) as run:
        await until(lambda: suspected(run), 90)
        broker.there = False
        await until(lambda: run.stats.delivered_batches == 3, 120)
        await until(
            lambda: {TOPICS.state, TOPICS.meters} <= {topic for topic, _ in broker.published[-6:]}, 90
        )


async def test_a_broker_that_takes_nothing_at_all_is_no_other_gateway():
    """The control: it ends the connection at each message, but leaves one that says nothing alone."""

    class Takes(FakeBroker):
        async def on_publish(self, writer, mid):
            writer.transport.abort()

    async with Takes() as broker, gateway(broker, "3.1.1", 3) as run:
        await until(lambda: broker.connects >= 6, 90)
        assert not suspected(run)
        assert "may not allow what was on its way" in run.stats.last_error


async def test_one_that_is_there_from_the_start_is_suspected_and_nothing_is_left_out_when_it_is_gone():
    """At first each end seems to come of P/state: nothing else is left unanswered."""
    async with Rival(1, there=True) as broker, gateway(broker, "5.0", 0) as run:
        await until(lambda: suspected(run), 90)
        broker.there = False
        before = len(broker.published)
        await until(
            lambda: {TOPICS.state, TOPICS.meters} <= {topic for topic, _ in broker.published[before:]}, 90
        )


def suspected(run):
    return "gateway id" in run.stats.last_error


@pytest.mark.parametrize("idle", [True, False])
def test_ends_without_a_reason_of_ours_bring_the_suspicion(idle):
    now = [0.0]
    state = Reconnect(broker_of(config(), "gw1"), monotonic=lambda: now[0], chance=lambda: 1.0)
    for _ in range(5):
        state.connected("3.1.1")
        now[0] += 1.0
        state.lost(LinkDown("the connection was lost"), idle=idle)
    assert ("gateway id" in str(state.error)) == idle


# -- what is no reason, on paper


def met(*messages):
    """At a broker that has taken these."""
    objections = Objections(DATA)
    for at, message in enumerate(messages):
        objections.acknowledged(message, float(at))
    return objections


STATE, METERS = Flying(TOPICS.state, 100, TOPICS.state), Flying(TOPICS.meters, 100, TOPICS.meters)


def batch(seq, size=300):
    return Flying(DATA, size, ("epoch", seq))


@pytest.mark.parametrize(
    ("taken", "flying", "blameless"),
    [
        ([], [STATE], False),
        ([STATE], [STATE], True),
        ([STATE], [METERS], False),
        ([STATE], [STATE, METERS], False),
        ([METERS, STATE], [STATE, METERS], True),
        ([STATE], [batch(1)], False),
        ([batch(1)], [batch(2)], True),
        ([batch(1)], [batch(2), batch(3, 200), STATE], False),
        ([batch(1, 299)], [batch(2)], False),
    ],
)
def test_what_was_taken_before_is_no_reason(taken, flying, blameless):
    objections = met(*taken)
    objections.ended(flying, 10.0)
    assert objections.blameless == blameless


def test_a_batch_at_two_ends_may_be_the_reason_although_others_of_its_size_were_taken():
    objections = met(batch(1))
    objections.ended([batch(2), batch(3)], 10.0)
    assert objections.blameless
    objections.ended([batch(2)], 20.0)
    assert not objections.blameless
    objections.ended([batch(4)], 30.0)
    assert objections.blameless


def test_after_two_ends_in_which_nothing_was_taken_the_next_connection_is_silent_at_first():
    objections = Objections(DATA)
    for at in (0.0, 10.0):
        objections.begin(at)
        assert not objections.pauses(at + 0.5)
        objections.ended([batch(1)], at + 1)
    objections.begin(20.0)
    assert objections.pauses(20.0)
    assert objections.pauses(22.9)
    assert not objections.pauses(23.0)
    objections.ended([], 21.0)
    assert objections.blameless
    objections.begin(30.0)
    assert objections.pauses(30.0), "it ended in silence: the next is silent, too"
    objections.ended([batch(1)], 34.0)
    objections.begin(40.0)
    assert not objections.pauses(40.0), "it lived in silence"


@pytest.mark.parametrize(("ago", "silent"), [(1.0, False), (0.1, True)])
def test_what_was_acknowledged_a_moment_before_the_end_was_not_taken(ago, silent):
    objections = Objections(DATA)
    objections.ended([batch(1), batch(2)], 0.0)
    objections.begin(10.0)
    objections.acknowledged(STATE, 15.0)
    objections.ended(objections.at_the_end([], 15.0 + ago), 15.0 + ago)
    objections.begin(20.0)
    assert objections.pauses(20.0) == silent


def test_a_pardon_lets_what_was_left_out_go_at_the_next_tick_and_forgets_what_was_counted():
    objections = met(STATE)
    for at in (10.0, 20.0):
        objections.ended([METERS], at)
        objections.acknowledged(STATE, at + 1)
        objections.acknowledged(STATE, at + 2)
    assert TOPICS.meters in objections.left_out
    assert not objections.tick(30.0)
    objections.pardon()
    assert objections.tick(30.0)
    assert not objections.left_out
    objections.ended([METERS], 40.0)
    objections.acknowledged(STATE, 41.0)
    objections.acknowledged(STATE, 42.0)
    objections.pardon()
    assert objections.ended([METERS], 50.0) is None
