"""One contract: what the journal does for an uplink, its in-memory double does as well."""

from __future__ import annotations

import asyncio

from uplink_parts import FakeClock, Running, Store, config

from gateway.model import Ranges
from gateway.mqtt.double import MemoryLink
from gateway.wire import Receipt, Topics, decode
from tests.waiting import until

TOPICS = Topics("gw1")
NOBODY = "0" * 15 + "f"
"""An epoch that nobody has ever drawn."""


def keys(rows) -> list[tuple[str, int]]:
    return [(sealed.epoch, sealed.seq) for sealed in rows]


async def test_what_is_committed_is_offered_oldest_first_and_a_page_at_a_time(kept) -> None:
    taken = await kept.take(7)
    assert [sealed.seq for sealed in taken] == list(range(1, 8))
    assert keys(await kept.box.unsettled("city")) == keys(taken)
    assert keys(await kept.box.unsettled("city", after=2, limit=3)) == keys(taken[2:5])
    assert await kept.box.unsettled("city", after=7) == []
    assert [sealed.body for sealed in await kept.box.unsettled("city")] == [sealed.body for sealed in taken]


async def test_an_empty_outbox(kept) -> None:
    assert kept.box.newest[1] == 0
    assert kept.box.epochs() == []
    assert await kept.box.unsettled("city") == []
    assert await kept.box.salvaged("city") == []
    assert (kept.box.backlog("city").batches, kept.box.backlog("city").oldest_t0) == (0, None)
    assert await kept.box.explain(NOBODY, 1, 5) == [(1, 5, "unknown")]


async def test_what_is_settled_is_not_offered_again_to_whom_it_was_settled_for(kept) -> None:
    taken = await kept.take(6)
    epoch = taken[0].epoch
    await kept.box.settle("city", epoch, Ranges([(2, 3), (5, 5)]))
    assert [sealed.seq for sealed in await kept.box.unsettled("city")] == [1, 4, 6]
    assert [sealed.seq for sealed in await kept.box.unsettled("city", after=1, limit=1)] == [4]
    assert keys(await kept.box.unsettled("grid")) == keys(taken)
    assert kept.box.backlog("city").batches == 3
    assert kept.box.backlog("city").readings == 3
    assert kept.box.backlog("city").oldest_t0 == taken[0].t0
    await kept.box.settle("city", epoch, Ranges([(1, 1)]))
    assert kept.box.backlog("city").oldest_t0 == taken[3].t0
    assert kept.box.backlog("grid").batches == 6


async def test_a_number_that_was_never_given_out_settles_nothing(kept) -> None:
    taken = await kept.take(3)
    epoch = taken[0].epoch
    await kept.box.settle("city", epoch, Ranges([(2, 2**53 - 1)]))
    await kept.box.settle("city", NOBODY, Ranges([(1, 10)]))
    await kept.take(2)
    assert [sealed.seq for sealed in await kept.box.unsettled("city")] == [1, 4, 5]
    assert kept.box.backlog("city").batches == 3


async def test_what_is_settled_can_be_found_again(kept) -> None:
    taken = await kept.take(5)
    epoch = taken[0].epoch
    await kept.box.settle("city", epoch, Ranges([(1, 5)]))
    assert keys(await kept.box.find(epoch, 2, 4, 50)) == keys(taken[1:4])
    assert keys(await kept.box.find(epoch, 1, 99, 2)) == keys(taken[:2])
    assert await kept.box.find(epoch, 6, 9, 50) == []
    assert await kept.box.find(NOBODY, 1, 5, 50) == []


async def test_numbers_that_are_not_there_are_unknown_whatever_the_epoch(kept) -> None:
    epoch = (await kept.take(3))[0].epoch
    assert await kept.box.explain(epoch, 1, 3) == []
    assert await kept.box.explain(epoch, 2, 9) == [(4, 9, "unknown")]
    assert await kept.box.explain(NOBODY, 1, 2) == [(1, 2, "unknown")]


async def test_numbers_go_on_across_epochs(kept) -> None:
    first = (await kept.take(2))[0].epoch
    await kept.box.new_epoch("conflict")
    assert kept.box.newest == (first, 2)
    second = (await kept.take(2))[0].epoch
    assert second != first
    assert kept.box.newest == (second, 4)
    assert kept.box.epochs() == [(first, 1, 2), (second, 3, 4)]
    assert keys(await kept.box.unsettled("city", after=1)) == [(first, 2), (second, 3), (second, 4)]
    assert await kept.box.find(first, 3, 4, 50) == []
    assert await kept.box.explain(first, 1, 4) == [(3, 4, "unknown")]
    await kept.box.settle("city", first, Ranges([(1, 4)]))
    assert keys(await kept.box.unsettled("city")) == [(second, 3), (second, 4)]


async def test_rows_of_a_damaged_file_keep_their_identity_and_wait_aside(kept) -> None:
    taken = await kept.take(4)
    old = taken[0].epoch
    await kept.damage()
    (new,) = {sealed.epoch for sealed in await kept.take(2)}
    assert new != old
    assert keys(await kept.box.salvaged("city")) == [(old, seq) for seq in range(1, 5)]
    assert keys(await kept.box.salvaged("city", limit=2)) == [(old, 1), (old, 2)]
    assert {sealed.epoch for sealed in await kept.box.unsettled("city")} == {new}
    assert keys(await kept.box.find(old, 2, 3, 50)) == [(old, 2), (old, 3)]
    assert await kept.box.explain(old, 1, 4) == []
    assert kept.box.epochs()[0] == (old, 1, 4)
    assert kept.box.epochs()[-1][0] == new
    before = kept.box.backlog("city").batches
    assert before == 2, "what is aside is no backlog of this file"
    await kept.box.settle("city", old, Ranges([(1, 3)]))
    assert keys(await kept.box.salvaged("city")) == [(old, 4)]
    assert len(await kept.box.salvaged("grid")) == 4
    assert kept.box.backlog("city").batches == before


# -- the forwarder on both


def data(connection) -> list:
    return [decode(message.payload) for message in connection.sent if message.topic == TOPICS.data]


async def serve(connection, store: Store, *, receipts: bool = True) -> None:
    """Play a good broker, and a platform that receipts what it takes."""
    for batch in data(connection):
        if (batch.gateway, batch.epoch, batch.seq) not in store.held:
            store.take(
                next(
                    m.payload
                    for m in connection.sent
                    if m.topic == TOPICS.data and decode(m.payload) == batch
                )
            )
    connection.acknowledge()
    for epoch in {epoch for _, epoch, _ in store.held} if receipts else ():
        connection.listener.received(TOPICS.receipt("city"), store.receipt(epoch).to_bytes())


async def served(link, store: Store, condition) -> None:
    for _ in range(3000):
        if link.opened and not link.opened[-1].closed:
            await serve(link.opened[-1], store)
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen in time")


async def test_a_backlog_and_what_comes_live_arrive_once_and_are_settled(kept) -> None:
    await kept.take(30)
    link, store = MemoryLink(), Store()
    async with Running(config(receipts=["city"]), kept, link=link, clock=FakeClock()) as run:
        await until(lambda: link.opened)
        run.forwarder.committed(await kept.take(5))
        await served(link, store, lambda: len(store.held) == 35)
        await served(link, store, lambda: kept.box.backlog("city").batches == 0)
        assert store.duplicates == 0
        assert kept.box.backlog("grid").batches == 35


async def test_a_lost_connection_loses_nothing(kept) -> None:
    await kept.take(40)
    link, store = MemoryLink(), Store()
    async with Running(config(receipts=["city"]), kept, link=link, clock=FakeClock()):
        first = await until(lambda: link.opened and link.opened[-1])
        await until(lambda: len(first.unacked) == 20)
        first.drop()
        await served(link, store, lambda: len(store.held) == 40)
        await served(link, store, lambda: kept.box.backlog("city").batches == 0)
        assert len(link.opened) == 2


async def test_a_conflict_goes_out_under_another_epoch_and_the_journal_leaves_its_own(kept) -> None:
    taken = await kept.take(4)
    epoch = taken[0].epoch
    link = MemoryLink()
    async with Running(config(receipts=["city"]), kept, link=link, clock=FakeClock()):
        connection = await until(lambda: link.opened and link.opened[-1])
        await until(lambda: connection.acknowledge() or len(data(connection)) == 4)
        connection.acknowledge()
        receipt = Receipt(epoch=epoch, upto=0, have=[[1, 1], [3, 4]], conflicts=[2])
        connection.listener.received(TOPICS.receipt("city"), receipt.to_bytes())
        await until(lambda: connection.acknowledge() or len(data(connection)) == 5)
        again = data(connection)[-1]
        assert again.epoch not in {epoch, NOBODY}
        assert again.readings == decode(taken[1].body).readings
        assert (await kept.take(1))[0].epoch != epoch, (
            "no further batch under a number that the platform knows otherwise"
        )
        connection.listener.received(
            TOPICS.receipt("city"), Receipt(epoch=again.epoch, upto=again.seq).to_bytes()
        )
        await until(lambda: kept.box.backlog("city").batches == 1)


async def test_a_replay_sends_what_is_there_and_explains_the_rest(kept) -> None:
    epoch = (await kept.take(6))[0].epoch
    link, store = MemoryLink(), Store()
    async with Running(config(receipts=["city"]), kept, link=link, clock=FakeClock()):
        await served(link, store, lambda: kept.box.backlog("city").batches == 0)
        connection = link.opened[-1]
        sent = len(data(connection))
        asked = f'{{"id":"r1","epoch":"{epoch}","from":4,"to":9}}'
        connection.listener.received(TOPICS.replay, asked.encode())
        reply = await until(
            lambda: (
                connection.acknowledge()
                or next((m.payload for m in connection.sent if m.topic == TOPICS.reply), None)
            )
        )
        assert [batch.seq for batch in data(connection)[sent:]] == [4, 5, 6]
        assert b'[[7,9,"unknown"]]' in reply


async def test_rows_of_a_damaged_file_arrive_under_their_old_identity(kept) -> None:
    old = (await kept.take(4))[0].epoch
    await kept.damage()
    await kept.take(2)
    link, store = MemoryLink(), Store()
    async with Running(config(receipts=["city"]), kept, link=link, clock=FakeClock()):
        await served(link, store, lambda: len(store.held) == 6)
        await served(link, store, lambda: kept.box.backlog("city").batches == 0)
        for _ in range(500):
            if not await kept.box.salvaged("city"):
                break
            await asyncio.sleep(0.01)
    assert await kept.box.salvaged("city") == []
    assert sorted(seq for _, epoch, seq in store.held if epoch == old) == [1, 2, 3, 4]
