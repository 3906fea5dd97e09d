"""What the forwarder does without a right clock, on virtual time: batches wait, then they get their time."""

import asyncio

import pytest
from forwarder_parts import connected, data, drained, seqs, settled
from uplink_parts import BOOT, E1, EARLIER, T0, FakeClock, Running, config, row

from gateway.model import Ranges
from gateway.mqtt.double import MemoryLink
from gateway.uplink.outgoing.clock_hold import ClockHold
from tests.waiting import until

pytestmark = pytest.mark.virtual_time


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


def test_the_verdict_on_a_batch():
    clock = FakeClock(synced=False, uptime=10_000)
    hold = ClockHold(clock, 60.0)
    mine, earlier, good = (
        row(1, clock="unsynced", uptime=9_000),
        row(2, clock="unsynced", boot=EARLIER),
        row(3),
    )
    hold.met(mine)
    assert hold.release(mine).wait
    assert not hold.release(earlier).wait
    assert not hold.release(good).wait
    assert not hold.released()
    clock.synced = True
    assert hold.released()
    assert not hold.released(), "once"
    assert hold.release(mine).t0 == T0 + 9_000
    assert list(hold.anchors()) == [], "nothing unsynced has been sent"
    assert mine.boot == BOOT


def test_no_hold_at_all():
    clock = FakeClock(synced=False, uptime=10_000)
    hold = ClockHold(clock, 0.0)
    mine = row(1, clock="unsynced", uptime=10_000)
    hold.met(mine)
    assert not hold.release(mine).wait
    clock.synced = True
    assert [event.fields["t"] for event in hold.anchors()] == [T0 + 10_000]
    assert list(hold.anchors()) == []


def test_a_clock_that_is_lost_and_found_again_is_anchored_again():
    clock = FakeClock(synced=True, uptime=100_000)
    hold = ClockHold(clock, 10.0)
    hold.met(row(1, uptime=1_000))
    assert list(hold.anchors()) == []
    clock.synced = False
    assert list(hold.anchors()) == []
    late = row(2, clock="unsynced", uptime=99_000)
    assert not hold.release(late).wait, "this boot holds no more"
    clock.synced = True
    assert [event.kind for event in hold.anchors()] == ["clock_anchor"]
