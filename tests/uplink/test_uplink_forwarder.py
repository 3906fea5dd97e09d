"""The forwarder against a broker in memory, on virtual time: order, flow control, receipts, probes,
replay, conflicts, clock.
"""

import asyncio
import json
import time

import pytest
from uplink_parts import (
    E1,
    E2,
    T0,
    FakeClock,
    Running,
    Store,
    config,
    message_of,
    outbox,
    row,
    until,
)

from gateway.errors import LinkDown, LinkRefused, LinkTaken
from gateway.model import Ranges
from gateway.mqtt import LinkState
from gateway.mqtt.double import MemoryLink
from gateway.uplink import Forwarder, Timing
from gateway.uplink.delivery.conflicts import derived_epoch
from gateway.uplink.outgoing.queues import STALLED
from gateway.wire import Receipt, Topics

pytestmark = pytest.mark.virtual_time
TOPICS = Topics("gw1")


def data(connection):
    return [message_of(m.payload) for m in connection.sent if m.topic == TOPICS.data]


def seqs(connection):
    return [message["seq"] for message in data(connection)]


def said(connection, topic):
    return [json.loads(m.payload) for m in connection.sent if m.topic == topic]


async def connected(link, count=1):
    return await until(lambda: len(link.opened) >= count and link.opened[-1])


async def drained(connection, count):
    """Play a good broker until `count` batches were sent."""
    await until(lambda: connection.acknowledge() or len(seqs(connection)) >= count)
    connection.acknowledge()


async def settled(kept, count):
    """Wait until as many batches count as delivered."""
    end = time.monotonic() + 60.0
    while sum(last - first + 1 for first, last in await kept.settled()) < count:
        assert time.monotonic() < end, "they do not count as delivered"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("brief", [1, 3])
async def test_a_connection_that_breaks_in_the_moment_it_is_open_is_replaced(brief):
    link = MemoryLink(prompt=True)
    link.brief = brief
    async with Running(config(spread="0s"), outbox(5), link=link) as run:
        await until(lambda: run.stats.delivered_batches == 5)
    assert len(link.opened) == brief + 1


def receipt(connection, consumer="city", **fields):
    connection.listener.received(
        TOPICS.receipt(consumer), Receipt(**{"epoch": E1, "upto": 0, **fields}).to_bytes()
    )


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


async def test_a_lost_connection_costs_what_had_no_puback_and_nothing_else(kept):
    await kept.take(30)
    link = MemoryLink()
    async with Running(config(receipts=["city"], spread="0s"), kept, link=link):
        first = await connected(link)
        await until(lambda: len(first.unacked) == 20)
        done = len([m for m in first.unacked[:10] if m.topic == TOPICS.data])
        first.acknowledge(count=10)
        await until(lambda: len(first.unacked) == 20)
        first.drop()
        second = await connected(link, 2)
        await drained(second, 30 - done)
        assert [seq for seq in seqs(second) if seq > 1] == list(range(done + 1, 31)), "1 may go as a probe"
        receipt(second, upto=30)
        await settled(kept, 30)


async def test_a_refused_batch_stops_the_flow_until_one_is_taken(kept):
    await kept.take(100)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        await until(lambda: len(connection.unacked) == 20)
        connection.acknowledge(0x87)
        await asyncio.sleep(0.2)
        assert [message for message in connection.unacked if message.topic == TOPICS.data] == []
        assert "refuses" in run.stats.last_error
        assert run.stats.cause == "not_authorized"
        assert await kept.settled() == []
        await until(lambda: [message for message in connection.unacked if message.topic == TOPICS.data])
        assert len([message for message in connection.unacked if message.topic == TOPICS.data]) == 1, (
            "one as a probe"
        )
        connection.acknowledge()
        await drained(connection, 120)  # twenty of them were refused
        await settled(kept, 100)
        assert "batches" not in run.stats.last_error
        assert run.stats.cause == "", "it takes them again"


async def test_custody_without_a_subscriber_is_no_delivery_without_receipts(kept):
    await kept.take(3)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        await until(lambda: len(seqs(connection)) == 3)
        connection.acknowledge(0x10)
        await asyncio.sleep(0.1)
        assert await kept.settled() == []
        assert "nobody subscribes" in run.stats.last_error
        await until(lambda: connection.acknowledge() or run.stats.delivered_batches == 3)
        await settled(kept, 3)


async def test_a_mute_broker_is_left_and_meets_one_batch_next_time(kept):
    await kept.take(100)
    link = MemoryLink()
    async with Running(config(), kept, link=link):
        first = await connected(link)
        await until(lambda: len(first.unacked) == 20)
        second = await connected(link, 2)
        await until(lambda: seqs(second))
        await asyncio.sleep(0.1)
        assert seqs(second) == [1]
        second.acknowledge()
        await until(lambda: len(seqs(second)) > 10)


async def test_a_connection_whose_thread_stands_still_is_left_and_one_at_work_is_not(kept):
    await kept.take(3)
    link = MemoryLink()
    async with Running(config(), kept, link=link, timing=Timing(patience=500.0, tick=0.05, stuck=5.0)) as run:
        first = await connected(link)
        await drained(first, 3)
        await asyncio.sleep(60.0)
        assert len(link.opened) == 1, "a quiet line is no dead one"
        first.stuck_at = time.monotonic()
        await asyncio.sleep(4.5)
        assert len(link.opened) == 1
        second = await connected(link, 2)
        assert first.closed
        await run.take()
        await drained(second, 1)
        assert seqs(second) == [4]


async def test_replay_sends_what_is_there_and_says_what_is_gone():
    link = MemoryLink()
    box = outbox(20)
    box.rows = [r for r in box.rows if not 5 <= r.seq <= 7]
    box.gone.append((E1, 5, 7, "thinned"))
    async with Running(config(receipts=["city"]), box, link=link) as run:
        connection = await connected(link)
        await drained(connection, 17)
        receipt(connection, have=[[1, 4], [8, 20]])
        await until(lambda: run.stats.delivered_batches == 17)
        command = {"id": "r1", "epoch": E1, "from": 3, "to": 9}
        connection.listener.received(TOPICS.replay, json.dumps(command).encode())
        await until(lambda: connection.acknowledge() or said(connection, TOPICS.reply))
        reply = said(connection, TOPICS.reply)[0]
        assert reply == {"id": "r1", "ok": True, "epoch": E1, "sent": 4, "gone": [[5, 7, "thinned"]]}
        assert seqs(connection)[17:] == [3, 4, 8, 9]
        assert run.stats.replayed_batches == 4
        connection.listener.received(
            TOPICS.replay, json.dumps({"id": "r2", "epoch": E2, "from": 1, "to": 2}).encode()
        )
        await until(lambda: connection.acknowledge() or len(said(connection, TOPICS.reply)) == 2)
        assert said(connection, TOPICS.reply)[1]["gone"] == [[1, 2, "unknown"]]


async def test_a_bad_command_is_answered_and_a_flood_is_bounded(kept):
    await kept.take(3)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        await drained(connection, 3)
        connection.listener.received(
            TOPICS.replay, json.dumps({"id": "x", "epoch": E1, "from": 9, "to": 2}).encode()
        )
        await until(lambda: connection.acknowledge() or said(connection, TOPICS.reply))
        assert said(connection, TOPICS.reply)[0]["ok"] is False
        for n in range(300):
            connection.listener.received(
                TOPICS.replay, json.dumps({"id": str(n), "epoch": E1, "from": 1, "to": 3}).encode()
            )
        await asyncio.sleep(0.2)
        connection.acknowledge()
        assert run.stats.ignored_messages > 200
        assert run.stats.replayed_batches <= 60


async def test_replay_can_be_forbidden(kept):
    await kept.take(1)
    link = MemoryLink()
    async with Running(config(replay=False), kept, link=link):
        connection = await connected(link)
        assert connection.topics == ()


async def test_the_state_says_how_many_intervals_are_behind(kept, monkeypatch):
    monkeypatch.setattr(Forwarder, "intervals_behind", staticmethod(lambda: 7))
    link = MemoryLink()
    async with Running(config(receipts=["city"]), kept, link=link):
        connection = await connected(link)
        await until(lambda: said(connection, TOPICS.state))
        assert said(connection, TOPICS.state)[0]["intervals_behind"] == 7


async def test_state_and_meters_are_retained_and_the_will_says_offline(kept):
    await kept.take(5)
    link = MemoryLink()
    meters = [b'{"v":1}']
    async with Running(config(receipts=["city"]), kept, link=link, describe=lambda: meters[0]) as run:
        connection = await connected(link)
        assert connection.topics == (TOPICS.receipt("city"), TOPICS.replay)
        assert json.loads(connection.will.payload) == {"online": False}
        assert connection.will.retain
        await drained(connection, 5)
        first = said(connection, TOPICS.state)[0]
        assert first["online"] is True
        assert (first["epoch"], first["seq"]) == (E1, 5)
        assert first["backlog"] == 5
        assert "intervals_behind" not in first  # nobody computes any
        await until(lambda: connection.acknowledge() or said(connection, TOPICS.state)[-1]["backlog"] == 0)
        assert all(m.retain for m in connection.sent if m.topic in {TOPICS.state, TOPICS.meters})
        meters[0] = b'{"v":2}'
        run.forwarder.meters_changed()
        await until(lambda: connection.acknowledge() or said(connection, TOPICS.meters)[-1] == {"v": 2})
        states = len(said(connection, TOPICS.state))
        for _ in range(20):
            await run.take()
            await asyncio.sleep(0.01)
            connection.acknowledge()
        assert len(said(connection, TOPICS.state)) == states, "a live batch is no backlog"
    assert said(connection, TOPICS.state)[-1]["online"] is False
    assert connection.closed


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


async def test_an_unsynced_boot_is_held_until_the_clock_is_right_and_then_anchored(kept):
    link = MemoryLink()
    clock = kept.clock
    clock.synced, clock.now, clock.offset = False, 5_000, 1_000
    await kept.take(at=90_000)
    await kept.begin_a_boot()
    await kept.take(at=4_000)
    async with Running(config(), kept, link=link, hold=300.0) as run:
        connection = await connected(link)
        await run.take(at=5_000)
        await drained(connection, 1)
        await asyncio.sleep(0.2)
        assert seqs(connection) == [1], "nobody will ever know when the earlier boot was"
        assert run.stats.held == 2
        clock.synced, clock.offset = True, T0
        await run.take(at=6_000)
        await drained(connection, 4)
        sent = {message["seq"]: message for message in data(connection)}
        assert (sent[2]["t0"], sent[2]["clock"]) == (T0 + 4_000, "anchored")
        assert (sent[3]["t0"], sent[3]["clock"]) == (T0 + 5_000, "anchored")
        assert sent[4]["clock"] == "synced"
        assert sent[1]["clock"] == "unsynced"
        assert run.events == []
        await settled(kept, 4)


async def test_after_the_hold_an_unsynced_boot_is_sent_and_anchored_by_an_event(kept):
    link = MemoryLink()
    clock = kept.clock
    clock.synced, clock.now, clock.offset = False, 10_000, 1_000
    await kept.take(at=9_000)
    async with Running(config(), kept, link=link, hold=60.0) as run:
        connection = await connected(link)
        await asyncio.sleep(0.2)
        assert seqs(connection) == []
        clock.now = 69_001
        await drained(connection, 1)
        assert data(connection)[0]["clock"] == "unsynced"
        await run.take(at=69_500)
        await drained(connection, 2)
        assert run.events == []
        clock.now, clock.offset, clock.synced = 80_000, T0, True
        event = (await until(lambda: run.events))[0]
        assert (event.kind, event.fields) == (
            "clock_anchor",
            {"epoch": E1, "uptime": 80_000, "t": T0 + 80_000},
        )
        await asyncio.sleep(0.2)
        assert len(run.events) == 1
        assert run.stats.held == 0


async def test_after_a_restart_the_hold_is_not_begun_anew(kept):
    link = MemoryLink()
    kept.clock.synced, kept.clock.now, kept.clock.offset = False, 80_000, 5
    await kept.take(at=9_000)
    await kept.box.settle("city", E1, Ranges([(1, 1)]))
    await kept.take(at=75_000)
    async with Running(config(), kept, link=link, hold=60.0):
        connection = await connected(link)
        await drained(connection, 1)
        assert (data(connection)[0]["seq"], data(connection)[0]["clock"]) == (2, "unsynced")


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


async def test_a_journal_in_trouble_delays_and_never_ends_the_uplink(kept):
    await kept.take(5)
    link = MemoryLink()
    box = kept.box
    calls = {"settle": 0, "unsettled": 0}
    settle, unsettled = box.settle, box.unsettled

    async def bad_settle(*args):
        calls["settle"] += 1
        if calls["settle"] < 3:
            raise OSError(5, "Input/output error")
        await settle(*args)

    async def bad_unsettled(*args, **options):
        calls["unsettled"] += 1
        if calls["unsettled"] < 3:
            raise OSError(5, "Input/output error")
        return await unsettled(*args, **options)

    box.settle, box.unsettled = bad_settle, bad_unsettled
    async with Running(config(), kept, link=link):
        connection = await connected(link)
        await drained(connection, 5)
        await settled(kept, 5)
        assert seqs(connection) == [1, 2, 3, 4, 5]


async def test_a_broker_that_is_absent_or_refuses_is_told_in_plain_words(kept, caplog):
    await kept.take(2)
    link = MemoryLink()
    link.refuse = lambda: LinkDown("cannot be reached: Connection refused")
    async with Running(config(), kept, link=link) as run:
        await until(lambda: run.stats.state == LinkState.WAITING.value and link.attempts >= 2)
        assert run.stats.last_error == "cannot be reached: Connection refused"
        assert "2 readings wait" in run.stats.sentence
        link.refuse = lambda: LinkRefused(
            "the broker refuses the connection: Not authorized", hint="check username"
        )
        await until(lambda: run.stats.state == LinkState.REFUSED.value)
        assert "check username" in run.stats.last_error
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 2, "once per kind of trouble"


async def test_a_takeover_is_said_and_backed_off_from(kept, caplog):
    await kept.take(1)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        connection.drop(LinkTaken("another client with our id has taken over the session"))
        await until(lambda: run.stats.state == LinkState.TAKEN.value)
        await asyncio.sleep(0.3)
        assert len(link.opened) == 1
        assert any("taken over" in r.message for r in caplog.records)


async def test_stop_works_at_any_moment(kept):
    await kept.take()
    link = MemoryLink()
    run = Running(config(), kept, link=link)
    await asyncio.wait_for(run.forwarder.stop(), 1)
    async with Running(config(), kept, link=link):
        pass


async def test_stop_returns_when_the_good_bye_is_said(kept):
    await kept.take(1)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        await drained(connection, 1)
        stopping = asyncio.create_task(run.forwarder.stop())
        await until(lambda: connection.acknowledge() or stopping.done())
        assert connection.closed
        assert said(connection, TOPICS.state)[-1]["online"] is False
        assert run.stats.state == LinkState.STOPPED.value


async def test_since_when_is_told_in_the_walls_time(kept):
    link = MemoryLink()
    clock = FakeClock()
    async with Running(config(), kept, link=link, clock=clock) as run:
        await connected(link)
        await asyncio.sleep(5.0)
        since = run.stats.since
        assert clock.wall() - 6_000 < since < clock.wall() - 4_000
        await asyncio.sleep(5.0)
        clock.now += 5_000
        assert run.stats.since == since, "it does not wander"


async def test_a_changed_description_goes_out_at_once(kept):
    link = MemoryLink()
    meters = [b'{"v":1}']
    async with Running(config(), kept, link=link, describe=lambda: meters[0]) as run:
        connection = await connected(link)
        await until(lambda: connection.acknowledge() or said(connection, TOPICS.meters))
        await asyncio.sleep(1.0)
        meters[0] = b'{"v":2}'
        await asyncio.sleep(1.0)
        assert said(connection, TOPICS.meters) == [{"v": 1}], "nobody has said that it changed"
        run.forwarder.meters_changed()
        await asyncio.sleep(0.5)
        assert said(connection, TOPICS.meters) == [{"v": 1}, {"v": 2}]


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
