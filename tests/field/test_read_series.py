"""The reads of a poll where replies are numbered: one after the other without a pause, and what is at
fault concerns its own read alone.
"""

from __future__ import annotations

import pytest
from field_parts import NAMES, driver, meter
from odd_devices import Client, Request, line_to

from gateway.field.bus.line import BusLine
from gateway.field.meter.poll import Poll
from gateway.field.meter.reader import MeterReader, MeterTask
from gateway.field.schedule import Due
from gateway.host.clock import uptime_ms

TABLE = driver(reads="function: 4, max_registers: 1")
RIGHT = {name: 1000.0 + 10 * index for index, name in enumerate(NAMES)}


def reader_of(line: BusLine) -> MeterReader:
    return MeterReader(MeterTask(meter(1), TABLE), line, uptime_ms)


def calls_of(line: BusLine) -> list[tuple[int, ...]]:
    """The reads that the line asks its port for; those that follow by themselves are not among them."""
    calls: list[tuple[int, ...]] = []
    read = line.port.read

    async def watch(*args):
        calls.append(args[:4])
        return await read(*args)

    line.port.read = watch
    return calls


async def test_one_request_brings_the_next_and_each_value_is_its_own() -> None:
    asked: list[int] = []

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            assert not client.reader._buffer  # never two at once
            asked.append(request.first)
            client.send(request.number, request.unit, request.answer)

    async with line_to(serve) as (line, _):
        calls = calls_of(line)
        reader = reader_of(line)
        for _ in range(3):
            poll = await reader.read(Poll(Due(fast=True)))
            assert poll.error is None
            assert poll.reading.values == RIGHT
        assert sorted(asked) == sorted([10 * index for index in range(8)] * 3)
        assert len(calls) == 3
        assert line.counters.requests == line.counters.replies == reader.station.answers == 24
        assert len(poll.replies.reads) == 8


async def send_refusal(client: Client, request: Request, code: int) -> None:
    client.send(request.number, request.unit, request.refused(code))


async def refuse_address(client: Client, request: Request) -> None:
    await send_refusal(client, request, 2)


async def refuse_busy(client: Client, request: Request) -> None:
    await send_refusal(client, request, 6)


async def other_function(client: Client, request: Request) -> None:
    client.send(request.number, request.unit, b"\x03" + request.answer[1:])


async def other_length(client: Client, request: Request) -> None:
    client.send(request.number, request.unit, b"\x04\x04\x00\x01\x00\x02")


async def other_unit(client: Client, request: Request) -> None:
    client.send(request.number, request.unit + 1, request.answer)


async def nothing(client: Client, request: Request) -> None:
    pass


FAULTS = [refuse_address, refuse_busy, other_function, other_length, other_unit, nothing]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", [0, 3, 7])
async def test_a_fault_costs_its_own_read_and_nothing_is_taken_for_something_else(fault, place: int) -> None:
    async def serve(client: Client) -> None:
        count = 0
        while True:
            request = await client.request()
            if count == 8 + place:
                await fault(client, request)
            else:
                client.send(request.number, request.unit, request.answer)
            count += 1

    async with line_to(serve, timeout="500ms") as (line, _):
        reader = reader_of(line)
        order = [read.address // 10 for read in reader.reads(Due(fast=True))]
        assert (await reader.read(Poll(Due(fast=True)))).reading.values == RIGHT
        poll = await reader.read(Poll(Due(fast=True)))
        values, lost = poll.reading.values, NAMES[order[place]]
        assert values == {name: RIGHT[name] for name in values}
        if fault is nothing and place == 0:  # a meter whose first read is not answered is not asked for more
            assert poll.error is not None
        else:
            assert poll.error is None
            assert set(RIGHT) - set(values) <= {lost}
            assert set(poll.reading.absent) <= {lost}
        if fault is not refuse_address:
            assert (await reader.read(Poll(Due(fast=True)))).reading.values == RIGHT


@pytest.mark.parametrize("place", [1, 4, 7])
async def test_a_connection_that_ends_within_a_poll_is_opened_again_for_the_rest(place: int) -> None:
    async def serve(client: Client) -> None:
        for count in range(1000):
            request = await client.request()
            if client.index == 1 and count == place:
                return
            client.send(request.number, request.unit, request.answer)

    async with line_to(serve) as (line, plant):
        poll = await reader_of(line).read(Poll(Due(fast=True)))
        assert poll.reading.values == RIGHT
        assert plant.connections == 2


async def test_second_copies_within_a_poll_are_told_by_their_numbers() -> None:
    async def serve(client: Client) -> None:
        before = b""
        while True:
            request = await client.request()
            client.send(request.number, request.unit, request.answer, before=before)
            before = (
                request.number.to_bytes(2)
                + b"\0\0"
                + (len(request.answer) + 1).to_bytes(2)
                + bytes((request.unit,))
                + request.answer
            )

    async with line_to(serve) as (line, _):
        reader = reader_of(line)
        for _ in range(3):
            assert (await reader.read(Poll(Due(fast=True)))).reading.values == RIGHT
        assert line.port.strays > 0


async def test_a_pause_between_requests_is_kept() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(request.number, request.unit, request.answer)

    async with line_to(serve) as (line, _):
        calls = calls_of(line)
        reader = reader_of(line)
        reader.station.pause = 0.001
        assert (await reader.read(Poll(Due(fast=True)))).reading.values == RIGHT
        assert len(calls) == 8
