"""What the forwarder sends when, on virtual time: the backlog, what is live, rows of damaged files."""

import asyncio
import json

import pytest
from forwarder_parts import TOPICS, connected, data, drained, said, seqs, settled
from uplink_parts import E1, E2, Running, config, outbox, row

from gateway.mqtt.double import MemoryLink
from gateway.uplink import Timing
from gateway.uplink.outgoing.queues import STALLED
from tests.waiting import until

pytestmark = pytest.mark.virtual_time


async def test_without_receipts_a_puback_delivers_and_at_most_twenty_are_on_their_way(kept):
    await kept.take(50)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        await until(lambda: len(connection.unacked) == 20)
        await asyncio.sleep(0.05)
        assert len(connection.unacked) == 20
        await drained(connection, 50)
        await settled(kept, 50)
        assert seqs(connection) == list(range(1, 51))
        assert run.stats.delivered_batches == run.stats.delivered_readings == 50
        assert run.stats.connected
        await until(lambda: run.stats.backlog_batches == 0)


async def test_a_batch_goes_out_as_it_is_stored(kept):
    (sealed,) = await kept.take()
    link = MemoryLink()
    async with Running(config(), kept, link=link):
        connection = await connected(link)
        message = await until(lambda: next((m for m in connection.sent if m.topic == TOPICS.data), None))
        assert message.payload == sealed.body


async def test_uncompressed_on_request_and_under_the_present_id_after_a_change(kept):
    await kept.take(1)
    link = MemoryLink()
    async with Running(config(compress=False), kept, link=link, gateway="gw-2"):
        connection = await connected(link)
        message = await until(
            lambda: next((m for m in connection.sent if m.topic == "submeter/v1/gw-2/data"), None)
        )
        assert message.payload[:1] == b"{"
        assert json.loads(message.payload)["gateway"] == "gw-2"
        assert json.loads(message.payload)["seq"] == 1


async def test_live_batches_overtake_the_backlog(kept):
    await kept.take(200)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        await until(lambda: len(connection.unacked) == 20)
        await run.take()
        connection.acknowledge(count=1)
        await until(lambda: 201 in seqs(connection))
        assert seqs(connection).index(201) <= 21
        await drained(connection, 201)
        await settled(kept, 201)
        assert sorted(seqs(connection)) == list(range(1, 202)), "nothing is sent twice"


async def test_the_backlog_keeps_its_rate_beside_live_batches(kept):
    await kept.take(100)
    link = MemoryLink()
    async with Running(config(backlog_rate=20.0), kept, link=link) as run:
        connection = await connected(link)
        for _ in range(5):
            await run.take()
        await until(lambda: connection.acknowledge() or set(range(101, 106)) <= set(seqs(connection)))
        assert len(seqs(connection)) < 60, (
            "five live batches are there long before the backlog at 20 a second"
        )


async def test_live_batches_wait_their_offset_which_depends_on_the_id_alone(kept):
    link = MemoryLink()
    async with Running(config(spread="60s"), kept, link=link) as run:
        connection = await connected(link)
        await until(lambda: said(connection, TOPICS.state))
        await run.take()
        assert seqs(connection) == []
        await until(lambda: seqs(connection) == [1], 5)


async def test_rows_of_a_damaged_file_go_out_under_their_old_identity():
    link = MemoryLink()
    box = outbox(2)
    box.rescued = [row(2, epoch=E2, value=7), row(9, epoch=E2)]
    async with Running(config(), box, link=link) as run:
        connection = await connected(link)
        await drained(connection, 4)
        assert {(m["epoch"], m["seq"]) for m in data(connection)} == {(E1, 1), (E1, 2), (E2, 2), (E2, 9)}
        await until(lambda: run.stats.delivered_batches == 4)


async def test_a_damaged_row_is_declared_gone_and_does_not_stop_the_others():
    link = MemoryLink()
    box = outbox(3)
    broken = box.rows[1]
    box.rows[1] = type(broken)(
        *[getattr(broken, f) if f != "body" else b"\x78\x00garbage" for f in broken.__slots__]
    )
    async with Running(config(), box, link=link) as run:
        connection = await connected(link)
        await drained(connection, 2)
        await until(lambda: run.events and list(box.settled.get(("city", E1), ())) == [(1, 3)])
        assert seqs(connection) == [1, 3]
        assert run.events[0].kind == "thinned"
        assert run.events[0].fields["from"] == run.events[0].fields["to"] == 2


async def test_a_new_file_that_counts_from_one_again_is_followed():
    link = MemoryLink()
    box = outbox(50)
    async with Running(config(), box, link=link) as run:
        connection = await connected(link)
        await drained(connection, 50)
        await until(lambda: run.stats.delivered_batches == 50)
        box.rows.clear()
        run.commit(row(1, epoch=E2))
        run.commit(row(2, epoch=E2))
        await drained(connection, 52)
        assert sorted((m["epoch"], m["seq"]) for m in data(connection)[50:]) == [(E2, 1), (E2, 2)]


async def test_what_was_left_out_of_the_backlog_is_found_again(kept):
    await kept.take(3)
    link = MemoryLink()
    box = kept.box
    unsettled, hidden = box.unsettled, [True]

    async def some(*args, **options):
        return [sealed for sealed in await unsettled(*args, **options) if sealed.seq != 2 or not hidden[0]]

    box.unsettled = some
    async with Running(config(), kept, link=link, timing=Timing(patience=500.0, tick=0.05)) as run:
        connection = await connected(link)
        await drained(connection, 2)
        await until(lambda: run.stats.delivered_batches == 2)
        hidden[0] = False
        await asyncio.sleep(STALLED / 2)
        assert seqs(connection) == [1, 3]
        await asyncio.sleep(STALLED)
        assert seqs(connection) == [1, 3, 2]
        connection.acknowledge()
        await until(lambda: run.stats.backlog_batches == 0)
