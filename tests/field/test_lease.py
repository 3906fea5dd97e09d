"""A bus that is lent: nobody polls it, it comes back by itself, and the journal knows."""

from __future__ import annotations

import asyncio

import pytest

from gateway.catalogue import library
from gateway.config import Meter, TcpBus
from gateway.demo.simulator.slave import PatternImage, Slave
from gateway.demo.simulator.tcp_server import TcpPlant, TcpServer
from gateway.errors import BusDown
from gateway.field import BusWorker, MeterTask
from gateway.model import Event, Reading
from tests.waiting import until

DRIVER = next(driver for driver in library() if driver.name == "inepro-pro380")


@pytest.fixture
async def bench():
    """A worker on a real TCP connection, what it gave, and its slave."""
    slave = Slave(1, PatternImage())
    readings: list[Reading] = []
    events: list[Event] = []
    server = TcpServer([slave])
    with TcpPlant([server]):
        bus = TcpBus(name="plant", type="tcp", host="127.0.0.1", port=server.port)
        task = MeterTask(Meter(id="m", bus="plant", address=1, driver=DRIVER.name, interval="200ms"), DRIVER)
        worker = BusWorker(bus, [task], readings.append, events.append)
        running = asyncio.create_task(worker.run())
        try:
            yield worker, readings, events, slave
        finally:
            await worker.stop()
            await running


async def test_a_lent_bus_is_left_alone_until_it_is_returned(bench) -> None:
    worker, readings, events, slave = bench
    await until(lambda: readings)
    assert await worker.lend("submeter scan", 60) == 60
    served, taken = slave.serves, len(readings)
    await asyncio.sleep(1.0)
    assert (slave.serves, len(readings)) == (served, taken)
    assert not worker.line.ready
    assert worker.next_due() is None
    with pytest.raises(BusDown, match="lent to submeter scan"):
        await worker.meter("m").read()
    assert "submeter scan" in worker.health().error
    worker.resume()
    await until(lambda: len(readings) > taken)
    assert not readings[-1].missing
    assert [(event.kind, event.fields["to"]) for event in events if event.kind.startswith("bus_")] == [
        ("bus_lent", "submeter scan"),
        ("bus_returned", "submeter scan"),
    ]


async def test_it_comes_back_by_itself_when_nobody_asks_again(bench) -> None:
    worker, readings, events, _ = bench
    await until(lambda: readings)
    await worker.lend("submeter scan", 0.5)
    await worker.lend("submeter scan", 0.5)
    taken = len(readings)
    await until(lambda: len(readings) > taken)
    kinds = [event.kind for event in events]
    assert kinds.count("bus_lent") == kinds.count("bus_returned") == 1


async def test_a_lease_has_a_longest_time(bench) -> None:
    worker, _, _, _ = bench
    assert await worker.lend("submeter scan", 1e9) == 300


async def test_what_was_not_lent_is_not_returned(bench) -> None:
    worker, _, events, _ = bench
    worker.resume()
    assert not [event for event in events if event.kind == "bus_returned"]
