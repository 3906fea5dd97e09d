"""One reply that is lost on the way costs a meter that has always answered a few seconds; one that is dead
costs the others no more for that. On virtual time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from field_parts import driver, meter
from odd_port import SERIAL, SHORT, TCP, Bench, OddPort, running

from gateway.config.schema import Bus, SerialBus, TcpBus
from gateway.field import worker
from gateway.field.meter.reader import MeterTask
from gateway.field.meter.state import PolledMeter

pytestmark = pytest.mark.virtual_time
USUAL = {
    "TCP, 200 ms": TCP,
    "TCP as shipped": TcpBus(name="bus", type="tcp", host="h"),
    "serial, 200 ms": SERIAL,
    "serial as shipped": SerialBus(name="bus", type="serial", port="/dev/fake", baudrate=9600),
}
FEW = 14.0
"""s without a reading: a gateway's queue is waited for 2.5 s, a time-out of half a second paid with 10."""
ONE = 5.0
"""The same where no other was lost of late: the second try waits for a second, and for its poll's turn."""
MINUTE = 60.0


class Losing(OddPort):
    """The next `lose[unit]` replies of a unit are lost; `dead` ones never answer."""

    def __init__(self, bus: Bus, *dead: int) -> None:
        super().__init__(self._lost, has_transaction_ids=bus.type == "tcp", dead=dead)
        self.lose: dict[int, int] = {}

    def _lost(self, _port: OddPort, unit: int, *_read: int) -> bool:
        left = self.lose.get(unit, 0)
        self.lose[unit] = left - 1
        return left > 0


def tasks(units: range, interval: str) -> list[MeterTask]:
    return [MeterTask(meter(unit, interval=interval), driver(reads=SHORT)) for unit in units]


@asynccontextmanager
async def well(bus: Bus, meters: int, interval: str = "500ms") -> AsyncIterator[tuple[Losing, Bench]]:
    """So many meters that have answered for half a minute."""
    port = Losing(bus)
    async with running(bus, tasks(range(1, meters + 1), interval), port) as bench:
        await asyncio.sleep(30.0)
        yield port, bench


async def away(bench: Bench, name: str = "m1") -> float:
    """The s until it gives a reading again."""
    began, known = time.monotonic(), len(bench.of(name))
    await bench.until(lambda: any(not each.missing for each in bench.of(name)[known + 1 :]), 200.0)
    return time.monotonic() - began


@pytest.mark.parametrize("bus", USUAL.values(), ids=[*USUAL])
async def test_a_lost_reply_costs_a_few_seconds_however_soon_the_next_one_follows(bus: Bus) -> None:
    async with well(bus, 3) as (port, bench):
        port.lose[1] = 1
        assert await away(bench) <= FEW
        await asyncio.sleep(3.0)
        port.lose[1] = 1
        assert await away(bench) <= FEW


@pytest.mark.parametrize("bus", USUAL.values(), ids=[*USUAL])
@pytest.mark.parametrize("meters", [1, 3, 12])
async def test_a_reply_lost_now_and_then_is_asked_for_again_within_seconds(bus: Bus, meters: int) -> None:
    async with well(bus, meters) as (port, bench):
        for _ in range(3):
            port.lose[1] = 1
            assert await away(bench) <= ONE
            await asyncio.sleep(MINUTE)


@pytest.mark.parametrize("bus", USUAL.values(), ids=[*USUAL])
async def test_a_meter_polled_each_ten_seconds_lacks_one_reading_for_one_reply(bus: Bus) -> None:
    async with well(bus, 3, "10s") as (port, bench):
        bench.readings.clear()
        port.lose[1] = 1
        await asyncio.sleep(MINUTE)
        assert [bool(each.missing) for each in bench.of("m1")].count(True) == 1


async def test_a_second_try_that_would_take_seconds_is_saved_for() -> None:
    bus = TcpBus(name="bus", type="tcp", host="h", timeout="3s")
    async with well(bus, 3) as (port, bench):
        port.lose[1] = 1
        assert await away(bench) > MINUTE / 2


@pytest.mark.parametrize("bus", USUAL.values(), ids=[*USUAL])
async def test_it_waits_for_no_share_that_dead_meters_have_used_up(bus: Bus) -> None:
    async with well(bus, 12) as (port, bench):
        port.dead |= {*range(4, 13)}
        await asyncio.sleep(10 * MINUTE)
        await bench.until(lambda: bench.worker._share_free_at > time.monotonic() + 3.0, 2 * MINUTE)
        port.lose[1] = 1
        assert await away(bench) <= FEW


@pytest.mark.parametrize("bus", USUAL.values(), ids=[*USUAL])
async def test_a_meter_that_loses_half_of_its_replies_takes_little_of_the_others_time(bus: Bus) -> None:
    async def given(*, losing: bool) -> int:
        async with well(bus, 3, "0s") as (port, bench):
            bench.readings.clear()
            for _ in range(round(5 * MINUTE)):
                port.lose[1] = port.lose.get(1, 0) if port.lose.get(1, 0) > 0 else int(losing)
                await asyncio.sleep(1.0)
            return len([each for each in bench.of("m2") if not each.missing])

    assert await given(losing=True) >= 0.9 * await given(losing=False)


@pytest.mark.parametrize("bus", USUAL.values(), ids=[*USUAL])
async def test_many_that_die_together_are_not_asked_a_second_time_all_at_once(bus: Bus) -> None:
    async with well(bus, 20) as (port, bench):
        port.dead |= {*range(5, 21)}
        await bench.until(lambda: sum(each.lost for each in bench.worker.meters.values()) == 16, MINUTE)
        port.unanswered.clear()
        await asyncio.sleep(MINUTE)
        taken = sum(seconds for _, seconds, _ in port.unanswered)
        assert taken <= 2 * worker.SHARE * MINUTE


async def test_the_control_that_waits_as_for_a_dead_one_is_away_for_most_of_a_minute(monkeypatch) -> None:
    mark = PolledMeter.mark_lost

    def as_dead(one: PolledMeter, *said) -> None:
        one.whole = 0
        mark(one, *said)

    monkeypatch.setattr(PolledMeter, "mark_lost", as_dead)
    async with well(TCP, 3) as (port, bench):
        port.lose[1] = 1
        assert await away(bench) > 0.5 * MINUTE
