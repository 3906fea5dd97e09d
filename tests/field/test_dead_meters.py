"""A meter that dies takes little from the others: in the minute from its death they keep their rate."""

from __future__ import annotations

import asyncio
import time

import pytest
from field_parts import driver, meter
from odd_devices import Client, served

from gateway.config import TcpBus
from gateway.errors import BusDown
from gateway.field import BusWorker, MeterTask
from gateway.field.bus import transaction
from gateway.field.port.contract import Registers
from gateway.field.port.fake import FakePort
from gateway.model import Reading
from tests.waiting import until

SHORT = "function: 4, max_registers: 15"
MINUTE = 60.0


def worker_of(
    bus: TcpBus, port: FakePort | None, units: range, interval: str
) -> tuple[BusWorker, list[Reading]]:
    readings: list[Reading] = []
    tasks = [MeterTask(meter(unit, interval=interval), driver(reads=SHORT)) for unit in units]
    wall = lambda: 1_795_278_300.0 + time.monotonic()  # noqa: E731
    return BusWorker(bus, tasks, readings.append, port=port, wall=wall), readings


async def rates(dead: list[int], interval: str, *, meters: int, before: float = 100.0) -> list[float]:
    """What the living ones give in the minute from the death, as a share of what they gave before."""
    port = FakePort({unit: lambda _, address: address for unit in range(1, meters + 1)}, latency=0.005)
    bus = TcpBus(name="b", type="tcp", host="h")
    worker, readings = worker_of(bus, port, range(1, meters + 1), interval)
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(20.0)
    readings.clear()
    await asyncio.sleep(before)
    usual = {
        unit: sum(r.meter == f"m{unit}" for r in readings) * MINUTE / before for unit in range(1, meters + 1)
    }
    port.silent |= set(dead)
    readings.clear()
    await asyncio.sleep(MINUTE)
    living = [unit for unit in usual if unit not in dead]
    given = {unit: sum(r.meter == f"m{unit}" and not r.missing for r in readings) for unit in living}
    await worker.stop()
    await task
    return [(given[unit] + 1) / usual[unit] for unit in living]  # the minute begins anywhere between two


@pytest.mark.virtual_time
@pytest.mark.parametrize("interval", ["0s", "1s"])
@pytest.mark.parametrize("meters", [2, 5])
async def test_the_others_keep_their_rate_in_the_minute_from_the_first_death(
    meters: int, interval: str
) -> None:
    assert min(await rates([1], interval, meters=meters)) >= 0.95


@pytest.mark.virtual_time
@pytest.mark.parametrize("dead", [[1, 3], [2, 3, 4]])
async def test_several_that_die_together_cost_little_more(dead: list[int]) -> None:
    assert min(await rates(dead, "0s", meters=6)) >= 0.85


@pytest.mark.virtual_time
async def test_the_control_all_the_time_that_a_gateway_may_need_costs_more(monkeypatch) -> None:
    monkeypatch.setattr(transaction, "FIRST", 10.5)
    assert max(await rates([1], "1s", meters=5)) < 0.9


class HangsUp(FakePort):
    """Whoever is connected is hung up on with the first request."""

    def __init__(self) -> None:
        super().__init__({})

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        self.asked.append((unit, function, address, count))
        self.sent_at = time.monotonic()
        self.close()
        raise BusDown("the connection was closed")


class RefusesAtOnce(FakePort):
    """A gateway that knows that there is nobody (exception 10)."""

    def __init__(self) -> None:
        super().__init__({1: {}}, latency=0.001)
        self.refuse = {1: 10}


@pytest.mark.virtual_time
@pytest.mark.parametrize("interval", ["0s", "1s", "10s"])
@pytest.mark.parametrize("kind", [HangsUp, RefusesAtOnce])
async def test_one_that_is_gone_at_once_is_not_asked_without_a_pause(
    kind: type[HangsUp | RefusesAtOnce], interval: str
) -> None:
    """What it takes is next to nothing, and so was the wait: dozens of connections in each second."""
    port = kind()
    worker, _ = worker_of(TcpBus(name="b", type="tcp", host="h"), port, range(1, 2), interval)
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(2 * MINUTE)
    await worker.stop()
    await task
    assert 2 * MINUTE / 10 <= len(port.asked) <= 100
    assert port.openings <= 150


async def test_on_a_real_connection_the_first_dead_meter_costs_the_others_a_moment() -> None:
    dead: set[int] = set()
    asked: list[tuple[float, int]] = []

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            asked.append((time.monotonic(), request.unit))
            if request.unit not in dead:
                client.send(request.number, request.unit, request.answer)

    async with served(serve) as plant:
        bus = TcpBus(name="b", type="tcp", host="127.0.0.1", port=plant.port)
        worker, readings = worker_of(bus, None, range(1, 4), "200ms")
        task = asyncio.create_task(worker.run())
        await until(lambda: len(readings) > 40)
        dead.add(2)
        await until(lambda: any(reading.missing for reading in readings))
        assert next(reading.meter for reading in readings if reading.missing) == "m2"
        count = len(asked)
        await until(lambda: len(asked) > count + 10)
        last = max(at for at, (_, unit) in enumerate(asked[:count]) if unit == 2)
        assert asked[last + 1][0] - asked[last][0] < 8.0, "it was 10 s"
        assert {unit for _, unit in asked[last + 1 :][:10]} == {1, 3}
        assert plant.connections == 1
        await worker.stop()
        await task
