"""Meters that answer a longer read with fewer registers than it asked for, in a frame that is whole."""

from __future__ import annotations

import asyncio
import struct

import pytest
from field_parts import NAMES, driver, meter
from odd_devices import Client, Request, Serve, line_to, served, station

from gateway.config.schema import TcpBus
from gateway.errors import BadFrame, BusError
from gateway.field.meter.reader import MeterTask
from gateway.field.worker import BusWorker
from gateway.model import Reading

MOST = 13
"""No read of the table has this length."""
READS = "function: 4, max_registers: 40"


def cut(request: Request, most: int) -> bytes:
    """Its answer, with so many registers at most."""
    held = request.answer[2:][: 2 * most]
    return struct.pack(">BB", request.answer[0], len(held)) + held


def one_behind(kind: str):
    """Each request brings the answer to the one before it."""

    async def serve(client: Client) -> None:
        answer = b""
        while True:
            request = await (client.request() if kind == "tcp" else client.rtu_request())
            if answer and kind == "tcp":
                client.send(request.number, request.unit, answer)
            elif answer:
                client.send_rtu(request.unit, answer)
            answer = request.answer

    return serve


def truncates(kind: str, most: int):
    """Each answer has so many registers at most."""

    async def serve(client: Client) -> None:
        while True:
            request = await (client.request() if kind == "tcp" else client.rtu_request())
            if kind == "tcp":
                client.send(request.number, request.unit, cut(request, most))
            else:
                client.send_rtu(request.unit, cut(request, most))

    return serve


async def readings_of(kind: str, serve: Serve, polls: int) -> tuple[list[Reading], BusWorker]:
    """What so many polls of the meter brought."""
    readings: list[Reading] = []
    async with served(serve) as plant:
        bus = TcpBus(
            name="bus", type=kind, host="127.0.0.1", port=plant.port, baudrate=115200, timeout="200ms"
        )
        task_ = MeterTask(meter(1, interval="300ms"), driver(reads=READS))
        worker = BusWorker(bus, [task_], readings.append)
        task = asyncio.create_task(worker.run())
        for _ in range(2000):
            await asyncio.sleep(0.025)
            if len(readings) >= polls:
                break
        await worker.stop()
        await task
    return readings, worker


@pytest.mark.parametrize("kind", ["tcp", "rtu-over-tcp"])
async def test_after_two_such_replies_no_read_is_longer(kind: str) -> None:
    readings, worker = await readings_of(kind, truncates(kind, MOST), 12)
    assert all(len(reading.values) == len(NAMES) for reading in readings[-5:]), readings
    assert worker.meters["m1"].reader.station.facts.max_registers == MOST


@pytest.mark.parametrize("kind", ["tcp", "rtu-over-tcp"])
async def test_the_answer_to_another_read_is_no_shorter_one(kind: str) -> None:
    good, _ = await readings_of(kind, truncates(kind, 200), 2)
    assert len(good[-1].values) == len(NAMES)
    readings, worker = await readings_of(kind, one_behind(kind), 8)
    assert worker.meters["m1"].reader.station.facts.max_registers is None
    for reading in readings:
        assert reading.values.items() <= good[-1].values.items(), "none is another's"


async def test_how_many_registers_came_is_told_by_a_frame_that_is_whole_alone() -> None:
    for kind in ("tcp", "rtu-over-tcp"):
        async with line_to(truncates(kind, 2), kind=kind, timeout="100ms") as (line, _):
            with pytest.raises(BadFrame) as caught:
                await line.read(station(line), 4, 1000, 6)
            assert caught.value.shorter == 2

    async def one_byte_short(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            client.send_rtu(request.unit, request.answer[:-1])

    async with line_to(one_byte_short, kind="rtu-over-tcp", timeout="100ms") as (line, _):
        with pytest.raises(BusError) as caught:
            await line.read(station(line), 4, 1000, 6)
        assert getattr(caught.value, "shorter", 0) == 0
