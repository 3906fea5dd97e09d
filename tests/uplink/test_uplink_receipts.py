"""What counts as delivered, on virtual time: receipts, the window without them, probes, conflicts."""

import asyncio
import json

import pytest
from forwarder_parts import TOPICS, connected, data, drained, receipt, seqs, settled
from uplink_parts import E1, E2, Running, Store, config, row

from gateway.mqtt.double import MemoryLink
from gateway.uplink.delivery.conflicts import derived_epoch
from tests.waiting import until

pytestmark = pytest.mark.virtual_time


async def test_receipts_decide_and_settle_what_they_name(kept):
    await kept.take(10)
    link = MemoryLink()
    async with Running(config(receipts=["city"]), kept, link=link) as run:
        connection = await connected(link)
        await drained(connection, 10)
        await asyncio.sleep(0.1)
        assert await kept.settled() == [], "a PUBACK is custody, not delivery"
        receipt(connection, upto=4, have=[[6, 7]])
        await settled(kept, 6)
        assert await kept.settled() == [(1, 4), (6, 7)]
        receipt(connection, upto=10)
        await settled(kept, 10)
        assert run.stats.last_receipt_age is not None


async def test_several_consumers_must_all_have_it(kept):
    await kept.take(10)
    link = MemoryLink()
    async with Running(config(receipts=["city", "grid"]), kept, link=link):
        connection = await connected(link)
        await drained(connection, 10)
        receipt(connection, upto=10)
        receipt(connection, "grid", have=[[2, 3]])
        await settled(kept, 2)
        assert await kept.settled() == [(2, 3)]


async def test_a_receipt_settles_nothing_that_was_not_sent(kept):
    await kept.take(50)
    link = MemoryLink()
    async with Running(config(receipts=["city"], backlog_rate=1.0), kept, link=link):
        connection = await connected(link)
        await until(lambda: len(seqs(connection)) >= 1)
        receipt(connection, upto=2**53 - 1, have=[[1, 2**53 - 1]])
        receipt(connection, epoch=E2, upto=50)
        await asyncio.sleep(0.15)
        count = sum(last - first + 1 for first, last in await kept.settled())
        assert 1 <= count <= len(seqs(connection)) < 50
        await until(lambda: connection.acknowledge() or len(seqs(connection)) > count)
        await asyncio.sleep(0.15)
        later = sum(last - first + 1 for first, last in await kept.settled())
        assert later <= count, "a claim about the future is worth nothing later"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00\xff\xfe",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"{}",
        b"[" * 10_000,
        b"x" * 300_000,
        b'{"epoch":1,"upto":5}',
        b'{"epoch":"../../../etc","upto":5}',
        *[
            b'{"epoch":"00000000000000a1"' + rest + b"}"
            for rest in (
                b"",
                b',"upto":-1',
                b',"upto":1e300',
                b',"upto":NaN',
                b',"upto":"5"',
                b',"upto":true',
                b',"upto":5,"have":[[9,3]]',
                b',"upto":5,"have":[[1]]',
                b',"upto":5,"have":[[1,2,3]]',
                b',"upto":5,"have":' + b"[" * 5000,
                b',"upto":5,"have":[[1,99999999999999999999]]',
                b',"upto":5,"conflicts":[0]',
                b',"upto":5,"conflicts":{"1":2}',
            )
        ],
    ],
)
async def test_malformed_messages_do_no_harm(kept, payload, caplog):
    await kept.take(5)
    link = MemoryLink()
    async with Running(config(receipts=["city"]), kept, link=link) as run:
        connection = await connected(link)
        await drained(connection, 5)
        for topic in (
            TOPICS.receipt("city"),
            TOPICS.replay,
            TOPICS.receipt("stranger"),
            "submeter/v1/other/receipt/city",
        ):
            connection.listener.received(topic, payload)
        await asyncio.sleep(0.1)
        assert await kept.settled() == []
        assert run.stats.ignored_messages >= 3
        assert f"a message on {TOPICS.receipt('city')!r} was ignored: " in caplog.text
        receipt(connection, upto=5)
        await settled(kept, 5)


async def test_the_window_without_receipt_is_bounded(kept):
    await kept.take(600)
    link = MemoryLink()
    async with Running(config(receipts=["city"]), kept, link=link) as run:
        connection = await connected(link)
        await drained(connection, 400)
        for _ in range(5):
            connection.acknowledge()
            await asyncio.sleep(0.01)
        assert max(seqs(connection)) == 400
        assert run.stats.unconfirmed == 400
        receipt(connection, upto=100)
        await drained(connection, 500)
        assert max(seqs(connection)) == 500


async def test_without_receipts_for_long_one_batch_goes_as_a_probe_and_then_ever_more_seldom(kept):
    await kept.take(3)
    link = MemoryLink()
    async with Running(config(receipts=["city"]), kept, link=link) as run:
        connection = await connected(link)
        await drained(connection, 3)
        await until(lambda: connection.acknowledge() or len(seqs(connection)) >= 4)
        await until(lambda: connection.acknowledge() or len(seqs(connection)) >= 5)
        assert set(seqs(connection)[3:]) <= {1, 2, 3}
        assert run.stats.resent_batches >= 2
        await asyncio.sleep(0.3)
        assert len(seqs(connection)) == 5, "0.5 s, then 1 s, then 2 s"


async def test_what_a_later_receipt_overtakes_is_sent_again(kept, monkeypatch):
    monkeypatch.setattr("gateway.uplink.delivery.window.GRACE", 0.0)
    await kept.take(10)
    link = MemoryLink()
    async with Running(config(receipts=["city"]), kept, link=link):
        connection = await connected(link)
        await drained(connection, 10)
        receipt(connection, have=[[1, 3], [6, 10]])
        await drained(connection, 12)
        assert sorted(seqs(connection)[10:12]) == [4, 5]
        receipt(connection, upto=10)
        await settled(kept, 10)


async def test_a_conflict_goes_out_again_under_an_epoch_of_its_own(kept):
    taken = await kept.take(5)
    link = MemoryLink()
    store = Store()
    for seq in (2, 3):
        store.take(row(seq, value=999).body)  # the platform holds other content under these numbers
    async with Running(config(receipts=["city"]), kept, link=link) as run:
        connection = await connected(link)
        await drained(connection, 5)
        for message in data(connection):
            store.take(json.dumps(message).encode())
        assert store.conflicts == {E1: {2, 3}}
        connection.listener.received(TOPICS.receipt("city"), store.receipt(E1).to_bytes())
        await drained(connection, 7)
        assert await kept.settled() == [(1, 1), (4, 5)]
        again = [message for message in data(connection) if message["epoch"] != E1]
        assert {message["epoch"] for message in again} == {
            derived_epoch(taken[1]),
            derived_epoch(taken[2]),
        }
        assert [message["events"][0]["of"] for message in again] == [
            {"epoch": E1, "seq": 2},
            {"epoch": E1, "seq": 3},
        ]
        for message in again:
            batch = store.take(json.dumps(message).encode())
            connection.listener.received(TOPICS.receipt("city"), store.receipt(batch.epoch).to_bytes())
        await settled(kept, 5)
        values = {batch.readings[0].values["active_power"] for batch in store.bodies.values()}
        assert values == {1.0, 2.0, 3.0, 4.0, 5.0, 999.0}, "everything has arrived, once"
        connection.listener.received(TOPICS.receipt("city"), store.receipt(E1).to_bytes())
        await asyncio.sleep(0.1)
        assert len(data(connection)) == 7
        assert run.stats.conflicts == 2
        assert (await kept.take())[0].epoch == E2, "the journal has left the epoch that the platform disputes"


async def test_a_conflict_outranks_an_earlier_receipt_and_survives_a_lost_connection(kept):
    taken = await kept.take(2)
    link = MemoryLink()
    async with Running(config(receipts=["city"]), kept, link=link):
        first = await connected(link)
        await drained(first, 2)
        receipt(first, upto=2)
        await settled(kept, 2)
        receipt(first, upto=1, conflicts=[2])
        await until(lambda: len(seqs(first)) == 3)
        first.drop()
        second = await connected(link, 2)
        await until(lambda: second.acknowledge() or seqs(second))
        assert data(second)[0]["epoch"] == derived_epoch(taken[1])
