"""Several consumers, copied cards, and an uplink that moves: nobody holds others up, and nothing is
counted for somebody else.
"""

import asyncio
import json
import logging

import pytest
from uplink_parts import E1, Running, config, outbox, row

from gateway.config.schema import StatusSection, Uplink
from gateway.journal.file.settled import Settled
from gateway.mqtt.double import MemoryLink
from gateway.uplink import Timing
from gateway.wire import Receipt, Topics, decompress, digest
from tests.waiting import until

TOPICS = Topics("gw1")
BRISK = Timing(patience=0.3, silence=0.6, tick=0.05)


@pytest.fixture(autouse=True)
def _short_lag(monkeypatch):
    monkeypatch.setattr("gateway.uplink.delivery.receipts.LAG", 0.3)


async def opened(link):
    return await until(lambda: link.opened and link.opened[-1])


def seqs(connection):
    return [json.loads(decompress(m.payload))["seq"] for m in connection.sent if m.topic == TOPICS.data]


def says(connection, consumer, **fields):
    connection.listener.received(TOPICS.receipt(consumer), Receipt(epoch=E1, **fields).to_bytes())


async def test_a_silent_consumer_stops_nobody_and_is_named_and_gets_what_it_lacks_later():
    link = MemoryLink()
    async with Running(config(receipts=["city", "mirror"]), outbox(1500), link=link, timing=BRISK) as run:
        connection = await opened(link)
        done = 0
        while done < 1500:  # four times what the window holds: city alone confirms
            connection.acknowledge()
            done = max(seqs(connection), default=0)
            says(connection, "city", upto=done)
            await asyncio.sleep(0)
        await until(lambda: "mirror" in run.stats.silent)
        assert "city" not in run.stats.silent
        await until(lambda: "mirror" in run.stats.last_error)
        assert run.stats.delivered_batches == 0
        assert run.box.settled == {}
        await until(lambda: run.stats.waiting_batches == 0)
        before = len(seqs(connection))
        run.commit(row(1501))
        await until(lambda: 1501 in seqs(connection))
        assert len(seqs(connection)) <= before + 2, "what city has is not sent again for a silent one"
        says(connection, "city", upto=1501)
        says(connection, "mirror", upto=1000)  # it is back, with a hole
        while run.stats.delivered_batches < 1501:
            connection.acknowledge()
            sent = seqs(connection)[before:]
            says(connection, "city", upto=1501)
            says(
                connection,
                "mirror",
                upto=1000,
                have=[[seq, seq] for seq in sorted(set(sent))[-900:] if seq > 1000],
            )
            await asyncio.sleep(0.01)
        assert set(range(1001, 1501)) <= set(seqs(connection)[before:])
        assert min(seqs(connection)[before:]) >= 1000, "what both have is not sent again"
        await until(lambda: list(run.box.settled["city", E1]) == [(1, 1501)])
        await until(lambda: run.stats.silent == {})


async def test_all_consumers_silent_fill_the_window_as_one_does():
    link = MemoryLink()
    async with Running(config(receipts=["city", "mirror"]), outbox(1500), link=link, timing=BRISK) as run:
        connection = await opened(link)
        for _ in range(100):
            connection.acknowledge()
            await asyncio.sleep(0.005)
        assert 400 <= len(set(seqs(connection))) <= 401
        await until(lambda: set(run.stats.silent) == {"city", "mirror"})


async def test_a_conflict_whose_stored_content_is_ours_is_delivered_and_sent_no_second_time():
    link = MemoryLink()
    box = outbox(3)
    async with Running(config(receipts=["city"]), box, link=link):
        connection = await opened(link)
        await until(lambda: len(seqs(connection)) == 3)
        connection.acknowledge()
        ours = digest(decompress(box.rows[1].body))
        says(connection, "city", upto=1, have=[[3, 3]], conflicts=[2], digests=[(2, ours)])
        await until(lambda: list(box.settled.get(("city", E1), ())) == [(1, 3)])
        await asyncio.sleep(0.2)
        assert seqs(connection) == [1, 2, 3]
        assert box.reasons == [], "no new epoch for a number that is ours"


@pytest.mark.parametrize("theirs", [[(2, "0" * 32)], None])
async def test_a_conflict_whose_stored_content_is_not_ours_goes_out_again(theirs):
    link = MemoryLink()
    box = outbox(3)
    async with Running(config(receipts=["city"]), box, link=link):
        connection = await opened(link)
        await until(lambda: len(seqs(connection)) == 3)
        connection.acknowledge()
        says(connection, "city", upto=1, have=[[3, 3]], conflicts=[2], digests=theirs)
        await until(lambda: seqs(connection) == [1, 2, 3, 2])
        assert box.reasons == ["conflict"]


def uplink(url="mqtt://127.0.0.1:1883", **more):
    return Uplink(name="city", url=url, **more)


def test_an_account_is_a_name_and_an_address():
    here = uplink().account
    assert here.startswith("city@")
    assert uplink("mqtt://127.0.0.1").account == here, "the port that the scheme has anyway"
    assert uplink(username="x", receipts=["city"]).account == here
    assert uplink("mqtt://127.0.0.1:1884").account != here
    assert uplink("mqtts://other.example:8883", formerly="127.0.0.1:1883").account == here


def test_what_one_address_took_is_not_counted_for_another_and_comes_back_with_it():
    a, b = uplink("mqtt://a.example").account, uplink("mqtt://b.example").account
    settled = Settled([a])
    settled.add(a, [(1, 50)])
    settled.activate([b])
    assert list(settled.of(b)) == []
    settled.add(b, [(20, 60)])
    settled.activate([a])
    assert list(settled.of(a)) == [(1, 50)]


def test_the_count_of_an_older_version_belongs_to_the_first_address():
    a, b = uplink("mqtt://a.example").account, uplink("mqtt://b.example").account
    settled = Settled([a])
    settled.load({"city": [[1, 50]]})
    assert list(settled.of(a)) == [(1, 50)]
    settled.activate([b])
    assert list(settled.of(b)) == []
    assert settled.known == (a,)


def test_a_zone_id_to_listen_on_is_refused_with_that_reason():
    with pytest.raises(ValueError, match="zone id"):
        StatusSection(listen="[fe80::1%eth0]:8080")


@pytest.mark.parametrize("keepalive", ["1s", "2h"])
def test_a_keepalive_beyond_its_bounds_is_refused(keepalive):
    with pytest.raises(ValueError, match="keepalive"):
        uplink(keepalive=keepalive)


async def test_the_keepalive_is_what_connect_says(caplog):
    caplog.set_level(logging.INFO)
    from tests.fake_broker import FakeBroker  # noqa: PLC0415

    class Listens(FakeBroker):
        async def _handle(self, kind, flags, body, writer):
            if kind == 1:
                self.keepalive = int.from_bytes(body[8:10], "big")
            await super()._handle(kind, flags, body, writer)

    async with (
        Listens() as broker,
        Running(config(url=f"mqtt://127.0.0.1:{broker.port}", keepalive="7s"), outbox(1)) as run,
    ):
        await until(lambda: run.stats.delivered_batches == 1)
        assert broker.keepalive == 7
