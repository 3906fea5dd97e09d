"""The worker on real lines: what a plant room does to it, and that the good values go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from field_parts import NAMES, driver, meter, pattern

from gateway.demo.simulator.faults import SERIAL_KINDS, TCP_KINDS, Fault
from gateway.field.meter.reader import MeterTask
from gateway.field.worker import BusWorker
from gateway.model import Reading
from tests.waiting import until


def tasks(units: Sequence[int], **more) -> list[MeterTask]:
    return [MeterTask(meter(unit, **more), driver()) for unit in units]


def right(reading: Reading) -> bool:
    """Every value stands where it belongs."""
    unit = int(reading.meter[1:])
    return all(value == pattern(unit, 10 * NAMES.index(name), 1)[0] for name, value in reading.values.items())


@asynccontextmanager
async def running(bus, meters: Sequence[MeterTask]) -> AsyncIterator[tuple[BusWorker, list[Reading]]]:
    readings: list[Reading] = []
    worker = BusWorker(bus, meters, readings.append)
    task = asyncio.create_task(worker.run())
    try:
        yield worker, readings
    finally:
        await worker.stop()
        await asyncio.wait_for(task, 5)
    assert all(right(reading) for reading in readings)


def good(readings: list[Reading], name: str) -> int:
    return sum(reading.meter == name and len(reading.values) == len(NAMES) for reading in readings)


async def test_an_adapter_gone_and_back(serial, tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    line, bus = serial([1, 2], path=tmp_path / "adapter")
    async with running(bus, tasks([1, 2], interval="200ms")) as (worker, readings):
        await until(lambda: good(readings, "m1") >= 2 and good(readings, "m2") >= 2)
        line.unplug()
        await until(lambda: worker.health().state == "waiting")
        readings.clear()
        await until(lambda: len(readings) >= 4)
        assert {reading.missing for reading in readings} == {"timeout"}
        line.plug()
        readings.clear()
        await until(lambda: good(readings, "m1") >= 2 and good(readings, "m2") >= 2)
        assert worker.health().state == "ready"
    assert caplog.text.count("bus bus is lost") == 1
    assert caplog.text.count("bus bus is back") == 1


@pytest.mark.parametrize("mode", ["tcp", "rtu"])
async def test_a_server_that_resets_connections(tcp, mode: str) -> None:
    server, bus, plant = tcp([1, 2], mode=mode)
    async with running(bus, tasks([1, 2], interval="100ms")) as (_, readings):
        for _ in range(4):
            readings.clear()
            await until(lambda: good(readings, "m1") >= 2 and good(readings, "m2") >= 2)
            plant.drop_clients()
    assert server.stats.connections >= 4


async def test_a_half_open_connection_is_opened_again(tcp) -> None:
    server, bus, _ = tcp([1], timeout="120ms")
    async with running(bus, tasks([1], interval="100ms")) as (_, readings):
        await until(lambda: good(readings, "m1") >= 2)
        before = server.stats.connections
        server.faults.order(1, Fault("half_open"))
        await until(lambda: readings[-1].missing)
        await until(lambda: readings[-1].values)
        assert before < server.stats.connections <= before + 4, (
            "once, and again at most when this machine stood still"
        )


async def test_rtu_over_tcp_behind_a_slow_line_is_learnt(tcp) -> None:
    _, bus, _ = tcp([1], mode="rtu", latency=0.03)
    began = time.monotonic()
    async with running(bus, tasks([1], interval="0s")) as (worker, readings):
        await until(lambda: good(readings, "m1") >= 30)
        each = (time.monotonic() - began) / len(readings)
        station = worker.meters["m1"].reader.station
        assert 0.03 < station.fit.cost.time(71) < 0.05 + 2 * each
        assert station.counters.timeouts <= 3


async def test_one_dead_meter_of_five_on_a_real_line(serial) -> None:
    """What it costs in rates is exact on virtual time, in test_poller; here: it is asked as seldom as that
    needs, the others often.
    """
    line, bus = serial(
        range(1, 6), timeout="1s"
    )  # so patient that no other one is lost when this machine stands still
    async with running(bus, tasks(range(1, 6), interval="0s")) as (worker, readings):
        await until(lambda: all(good(readings, f"m{unit}") >= 10 for unit in range(1, 6)))
        line.faults.order(4, Fault("dead"), None)
        await until(lambda: worker.meters["m4"].lost)
        assert worker.meters["m4"].probe_at - time.monotonic() > 15, "2 s of silence are paid for with 40"
        readings.clear()
        asked = worker.meters["m4"].reader.station.counters.requests
        began = time.monotonic()
        await until(lambda: all(good(readings, f"m{unit}") >= 10 for unit in (1, 2, 3, 5)))
        asked = worker.meters["m4"].reader.station.counters.requests - asked
        assert asked <= 1 + (time.monotonic() - began) / 15
    assert not good(readings, "m4")


@pytest.mark.parametrize("kind", SERIAL_KINDS)
async def test_each_serial_fault_costs_its_values_and_nothing_else(serial, kind: str) -> None:
    line, bus = serial([1, 2], timeout="60ms")
    async with running(bus, tasks([1, 2], interval="50ms")) as (_, readings):
        await until(lambda: good(readings, "m1") >= 3 and good(readings, "m2") >= 3)
        line.faults.order(1, Fault(kind, seconds=0.09))
        await until(lambda: not line.faults.pending(1))
        readings.clear()
        await until(lambda: good(readings, "m1") >= 3 and good(readings, "m2") >= 3)


@pytest.mark.parametrize("kind", TCP_KINDS)
async def test_each_tcp_fault_costs_its_values_and_nothing_else(tcp, kind: str) -> None:
    server, bus, _ = tcp([1, 2], timeout="60ms")
    async with running(bus, tasks([1, 2], interval="50ms")) as (_, readings):
        await until(lambda: good(readings, "m1") >= 3 and good(readings, "m2") >= 3)
        server.faults.order(1, Fault(kind, seconds=0.09))
        await until(lambda: not server.faults.pending(1))
        readings.clear()
        await until(lambda: good(readings, "m1") >= 3 and good(readings, "m2") >= 3)


async def test_bytes_that_nobody_asked_for_do_no_harm(serial) -> None:
    line, bus = serial([1], timeout="60ms")
    async with running(bus, tasks([1], interval="50ms")) as (worker, readings):
        await until(lambda: good(readings, "m1") >= 3)
        for index in range(10):
            line.inject(bytes((1, 4, 16)) + bytes(range(index)))
            await asyncio.sleep(0.03)
        readings.clear()
        await until(lambda: good(readings, "m1") >= 3)
        assert worker.health().stray_bytes > 0
