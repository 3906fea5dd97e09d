"""A broker that has lost our subscription while the connection goes on: batches are acknowledged, and no
receipt, replay request or command ever comes.
"""

import asyncio
import logging
from itertools import pairwise

import pytest
from forwarder_parts import connected, drained, receipt, seqs, settled
from uplink_parts import E1, PATIENT, Running, Store, config, outbox, row

from gateway.common.troubles import Troubles
from gateway.mqtt import NO_SUBSCRIBERS, SUCCESS, MemoryConnection, MemoryLink
from gateway.uplink.broker import Timing
from gateway.uplink.delivery import Delivery
from gateway.uplink.patience import Patience
from gateway.wire import Topics
from tests.fake_broker import PUBACK, SUBACK, Ear, FakeBroker, packet, publish
from tests.waiting import until

TOPICS = Topics("gw1")
ATTENTIVE = Timing(patience=30.0, silence=0.3, tick=0.03)
"""Patient with PUBACKs, which may be late on a busy machine."""
VERSIONS = pytest.mark.parametrize("protocol", ["5.0", "3.1.1"])


class Forgetful(FakeBroker):
    """With a platform in it. Receipts go to who has subscribed; `forget` loses that and tells nobody.
    `again` counts subscriptions on a connection that had one.

    `half`: only the first subscription of a connection counts; `deaf`: none does. `code`: what each batch
    is acknowledged with.
    """

    def __init__(self, *, code=0, half=False, deaf=False):
        super().__init__()
        self.store = Store()
        self.code, self.half, self.deaf = code, half, deaf
        self.asked, self.hearing = set(), set()
        self.subscribed = self.again = 0
        self.refuses = False

    def forget(self):
        self.hearing.clear()

    async def on_subscribe(self, writer, mid):
        self.subscribed += 1
        self.again += writer in self.asked
        if self.refuses:
            writer.write(packet(SUBACK, mid + b"\x00" * writer.five + b"\x80\x80"))
            return
        if not self.deaf and not (self.half and writer in self.asked):
            self.hearing.add(writer)
        self.asked.add(writer)
        await super().on_subscribe(writer, mid)

    async def on_publish(self, writer, mid):
        writer.write(packet(PUBACK, mid + bytes([self.code]) if self.code else mid))
        topic, payload = self.published[-1]
        if topic == TOPICS.data:
            self.store.take(payload)
            if writer in self.hearing:
                receipt = self.store.receipt(E1).to_bytes()
                writer.write(publish(TOPICS.receipt("city"), receipt, five=writer.five))


def settings(broker, **more):
    return config(url=f"mqtt://127.0.0.1:{broker.port}", receipts=["city"], **more)


@VERSIONS
async def test_a_lost_subscription_is_made_again_on_the_same_connection_and_said_once(protocol, caplog):
    caplog.set_level(logging.INFO)
    async with (
        Forgetful() as broker,
        Running(settings(broker, protocol=protocol), outbox(5), timing=ATTENTIVE) as run,
    ):
        await until(lambda: run.stats.delivered_batches == 5)
        for seq in (6, 7):
            broker.forget()
            run.commit(row(seq))
            await until(lambda now=seq: run.stats.delivered_batches == now, 60)
        assert broker.again >= 2
        assert not run.stats.silent
    assert caplog.text.count("the topics are subscribed to again") == 1


@VERSIONS
async def test_one_that_heals_by_a_new_connection_alone_gets_one(protocol, caplog):
    """Subscribing again is granted and changes nothing, as where a node has kept half a session."""
    caplog.set_level(logging.INFO)
    async with (
        Forgetful(half=True) as broker,
        Running(settings(broker, protocol=protocol), outbox(5), timing=ATTENTIVE) as run,
    ):
        await until(lambda: run.stats.delivered_batches == 5)
        broker.forget()
        run.commit(row(6))
        await until(lambda: run.stats.delivered_batches == 6, 60)
        assert broker.connects >= 2
        assert broker.again >= 1, "first what costs little"
        assert run.stats.state == "connected"
    told = [line for line in caplog.text.splitlines() if "connected to" in line or "back at" in line]
    assert len(told) == 1, "that we did it ourselves is no trouble of the broker"


def test_a_platform_that_is_away_costs_ever_less():
    """Nothing is wrong with the subscription, which a gateway cannot know: it asks ever more seldom."""
    delivery = Delivery(["city"], 30.0, 60.0)
    patience = Patience(Timing(), delivery, Troubles(logging.getLogger("test")), lambda: 0.0)
    connection = MemoryConnection(Ear(), None, [])
    batch = row(1)
    delivery.sent(batch, 0.0)
    delivery.acknowledged([((E1, 1), SUCCESS)], 0.0)
    steps, subscribed = [], 1
    for now in range(1, 86_401):
        connection.stuck_at = float(now)
        if patience.ended(connection, float(now), owed=True) is not None:
            steps.append(("connect", now))
            connection, subscribed = MemoryConnection(Ear(), None, []), 1
        elif connection.subscribed > subscribed:
            steps.append(("subscribe", now))
            subscribed = connection.subscribed
    kinds, times = zip(*steps, strict=True)
    assert set(kinds[::2]) == {"subscribe"}
    assert set(kinds[1::2]) == {"connect"}
    assert times[:5] == (91, 151, 271, 511, 991)
    assert {later - earlier for earlier, later in pairwise(times[5:])} == {1800}
    assert len(steps) < 56, "at most twice an hour"


@pytest.mark.parametrize("consumers", [[], ["city"]], ids=["without receipts", "control"])
def test_where_no_receipt_could_tell_it_is_subscribed_to_again_once_an_hour(consumers):
    patience = Patience(
        Timing(), Delivery(consumers, 30.0, 60.0), Troubles(logging.getLogger("test")), lambda: 0.0
    )
    connection = MemoryConnection(Ear(), None, [])
    for now in range(1, 6 * 3600 + 2):
        connection.stuck_at = float(now)
        assert patience.ended(connection, float(now), owed=True) is None
    assert connection.subscribed == (1 if consumers else 7)


@pytest.mark.parametrize("consumers", [[], ["city"]], ids=["PUBACK", "receipts"])
def test_seconds_in_vain_go_on_over_connections_and_stand_still_over_an_outage(consumers):
    delivery = Delivery(consumers, 30.0, 60.0)
    patience = Patience(Timing(), delivery, Troubles(logging.getLogger("test")), lambda: 0.0)

    def served(begin, end, owed=True):
        connection = MemoryConnection(Ear(), None, [])
        for now in range(begin, end + 1):
            connection.stuck_at = float(now)
            patience.ended(connection, float(now), owed=owed)

    served(100, 140)
    assert patience.in_vain == 40.0
    for begin in range(150, 350, 50):  # it comes and goes
        served(begin, begin + 40)
    assert patience.in_vain == pytest.approx(200.0, abs=4 * 10.0 + 1)
    before = patience.in_vain
    served(5000, 5010)
    assert before + 10.0 <= patience.in_vain <= before + 20.0, "an hour without a connection is no service"
    delivery.receipt_at = delivery.delivered_at = 5010.5
    served(5011, 5011)
    assert patience.in_vain == 0.0
    served(5012, 5030)
    assert patience.in_vain == 19.0
    served(5031, 5900, owed=False)
    assert patience.in_vain == 0.0, "with a full disk there is nothing that could be confirmed"
    served(5901, 5901)
    assert patience.in_vain == 1.0


@pytest.mark.virtual_time
@pytest.mark.parametrize("consumers", [[], ["city"]], ids=["PUBACK", "receipts"])
async def test_what_the_full_disk_kept_back_is_not_late_when_it_comes(kept, consumers):
    """Nothing is committed for an hour, then what is an hour old: nobody had anything to confirm."""
    link = MemoryLink()
    async with Running(config(receipts=consumers), kept, link=link, timing=Timing()) as run:
        connection = await connected(link)
        await run.take(3)
        await drained(connection, 3)
        if consumers:
            receipt(connection, epoch=kept.box.newest[0], upto=3)
        await settled(kept, 3)
        await asyncio.sleep(3600.0)
        assert run.stats.in_vain == 0.0
        await run.take(5)
        await until(lambda: run.stats.backlog_batches == 5)
        assert run.stats.in_vain < 5.0
        await until(lambda: run.stats.in_vain > 20.0, 60)


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("consumers", "upto"), [(["city"], 3), (["city", "mirror"], 3), (["city", "mirror"], 8)],
    ids=["it repeats an old one", "both repeat old ones", "the other one is dead"],
)  # fmt: skip
async def test_receipts_that_make_nothing_delivered_are_in_vain(kept, consumers, upto):
    link = MemoryLink()
    async with Running(config(receipts=consumers), kept, link=link, timing=Timing()) as run:
        connection = await connected(link)
        await run.take(3)
        await drained(connection, 3)
        epoch = kept.box.newest[0]
        for consumer in consumers:
            receipt(connection, consumer, epoch=epoch, upto=3)
        await settled(kept, 3)
        await run.take(5)
        await drained(connection, 8)
        for _ in range(40):
            for consumer in consumers if upto == 3 else ["city"]:
                receipt(connection, consumer, epoch=epoch, upto=upto)
            await asyncio.sleep(5.0)
        assert run.stats.backlog_batches == 5
        assert run.stats.in_vain > 150.0
        for consumer in consumers:
            receipt(connection, consumer, epoch=epoch, upto=8)
        await until(lambda: run.stats.in_vain == 0.0)


@pytest.mark.virtual_time
async def test_what_waits_for_the_clock_is_not_waited_for_in_vain(kept):
    link = MemoryLink()
    kept.clock.synced = False
    await kept.take(at=kept.clock.now)
    async with Running(config(), kept, link=link, hold=1e5, timing=Timing()) as run:
        connection = await connected(link)
        await asyncio.sleep(600.0)
        assert (run.stats.held, run.stats.in_vain, seqs(connection)) == (1, 0.0, [])
        kept.clock.synced = True
        await until(lambda: run.stats.in_vain > 20.0, 60)


async def test_where_the_broker_says_that_nobody_reads_the_batches_nothing_is_tried():
    async with (
        Forgetful(deaf=True, code=NO_SUBSCRIBERS) as broker,
        Running(settings(broker), outbox(5), timing=ATTENTIVE) as run,
    ):
        await until(lambda: run.stats.silent, 60)
        await asyncio.sleep(10 * ATTENTIVE.silence)
        assert (broker.connects, broker.subscribed) == (1, 1)


async def test_a_subscription_that_is_refused_when_it_is_made_again_is_told(caplog):
    """An access list that changed beneath the connection."""
    async with Forgetful() as broker, Running(settings(broker), outbox(5), timing=ATTENTIVE) as run:
        await until(lambda: run.stats.delivered_batches == 5)
        broker.forget()
        broker.refuses = True
        run.commit(row(6))
        await until(lambda: TOPICS.receipt("city") in run.stats.refused_topics, 60)
        assert f"the broker refuses the subscription to {TOPICS.receipt('city')}" in caplog.text
        broker.refuses = False
        await until(lambda: run.stats.delivered_batches == 6, 60)
        assert not run.stats.refused_topics


async def test_one_silent_consumer_of_two_ends_no_connection():
    link = MemoryLink(prompt=True)
    async with Running(config(receipts=["city", "grid"]), outbox(3), link=link, timing=ATTENTIVE) as run:
        await until(lambda: link.opened and len(link.opened[0].sent) >= 3)
        connection = link.opened[0]

        def city_confirms():
            store = Store()
            for message in connection.sent:
                if message.topic == TOPICS.data:
                    store.take(message.payload)
            connection.deliver(TOPICS.receipt("city"), store.receipt(E1).to_bytes())
            return connection.subscribed >= 4

        await until(city_confirms, 60)
        assert list(run.stats.silent) == ["grid"]
        assert len(link.opened) == 1


async def test_control_a_gateway_that_is_patient_for_longer_leaves_a_good_connection_alone():
    async with Forgetful() as broker, Running(settings(broker), outbox(50), timing=PATIENT) as run:
        await until(lambda: run.stats.delivered_batches == 50, 60)
        assert (broker.connects, broker.subscribed) == (1, 1)
