"""Servers that end their connections, and devices that need rest after connecting, serve their values."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest
from field_parts import NAMES, driver, meter, pattern
from odd_devices import Client, ask_all, line_to, served, station

from gateway.config.schema import TcpBus
from gateway.errors import BusDown, NoReply
from gateway.field.bus import first_request
from gateway.field.facts import OLD
from gateway.field.learnt import Learnt
from gateway.field.meter.reader import MeterTask
from gateway.field.worker import BusWorker
from gateway.model import Reading


@pytest.mark.parametrize("kind", ["tcp", "rtu-over-tcp"])
@pytest.mark.parametrize("per_connection", [1, 2, 3])
async def test_a_server_that_ends_each_connection_gives_every_value(
    caplog, kind: str, per_connection: int
) -> None:
    caplog.set_level(logging.INFO)

    async def serve(client: Client) -> None:
        for _ in range(per_connection):
            request = await (client.request() if kind == "tcp" else client.rtu_request())
            if kind == "tcp":
                client.send(request.number, request.unit, request.answer)
            else:
                client.send_rtu(request.unit, request.answer)
            await client.writer.drain()

    async with line_to(serve, kind=kind, timeout="5s") as (line, plant):
        who = station(line)
        assert await ask_all(line, who) == (12, 0)
        assert plant.connections >= 12 // per_connection - 1
        assert not caplog.records, "nothing is wrong, and nothing is said"
        assert line.openings == 1


def ends_behind(kind: str, *times: int):
    """A server that ends its connections at the request behind so many, each time after the next of these."""
    turns, is_tcp = itertools.cycle(times), kind == "tcp"

    async def serve(client: Client) -> None:
        for _ in range(next(turns)):
            request = await (client.request() if is_tcp else client.rtu_request())
            if is_tcp:
                client.send(request.number, request.unit, request.answer)
            else:
                client.send_rtu(request.unit, request.answer)
            await client.writer.drain()
        await (client.request() if is_tcp else client.rtu_request())

    return serve


@pytest.mark.parametrize("kind", ["tcp", "rtu-over-tcp"])
@pytest.mark.parametrize("served_", [1, 3])
async def test_a_connection_that_ends_at_the_next_request_is_opened_anew_before_it(
    caplog, kind: str, served_: int
) -> None:
    caplog.set_level(logging.INFO)
    async with line_to(ends_behind(kind, served_), kind=kind, timeout="5s") as (line, _):
        who = station(line)
        await ask_all(line, who, 4)
        assert line.facts.requests_per_connection == served_
        lost = line.counters.requests - line.counters.replies
        assert await ask_all(line, who, 6) == (24, 0)
        assert line.counters.requests - line.counters.replies == lost, "none is lost"
        assert not caplog.records, "it is harmless"
        assert line.openings == 1, "no other meter is expected"


@pytest.mark.parametrize("kind", ["tcp", "rtu-over-tcp"])
async def test_how_many_requests_a_connection_serves_may_be_a_key(kind: str) -> None:
    """Then no request is lost from the first one on, and with 0 it is not learnt."""
    async with line_to(ends_behind(kind, 2), kind=kind, timeout="5s", requests_per_connection=2) as (
        line,
        _,
    ):
        assert await ask_all(line, station(line), 2) == (8, 0)
        assert line.counters.requests == line.counters.replies >= 8
    async with line_to(ends_behind(kind, 2), kind=kind, timeout="5s", requests_per_connection=0) as (line, _):
        await ask_all(line, station(line), 4)
        assert line.counters.requests > line.counters.replies
        assert line.facts.requests_per_connection == 0


async def test_connections_that_end_after_this_and_that_say_nothing() -> None:
    async with line_to(ends_behind("tcp", 2, 2, 3), timeout="5s") as (line, _):
        assert await ask_all(line, station(line), 6) == (24, 0)
        assert line.facts.requests_per_connection == 0


async def test_a_poll_of_many_reads_whose_connection_ends_at_every_second_one_is_whole() -> None:
    readings: list[Reading] = []
    async with served(ends_behind("tcp", 1)) as plant:
        bus = TcpBus(name="bus", type="tcp", host="127.0.0.1", port=plant.port, requests_per_connection=0)
        task_ = MeterTask(meter(1, interval="100ms"), driver(reads="function: 4, max_registers: 1"))
        worker = BusWorker(bus, [task_], readings.append)
        task = asyncio.create_task(worker.run())
        for _ in range(2400):
            await asyncio.sleep(0.025)
            if len(readings) >= 5:
                break
        await worker.stop()
        await task
    assert all(len(reading.values) == len(NAMES) for reading in readings), readings


async def test_a_connection_that_ends_with_half_a_reply_is_not_asked_again() -> None:
    async def serve(client: Client) -> None:
        request = await client.request()
        client.writer.write(request.number.to_bytes(2) + b"\0\0\0\x07")

    async with line_to(serve, timeout="5s") as (line, plant):
        with pytest.raises(BusDown):
            await line.read(station(line), 4, 1000, 2)
        assert plant.connections == 1


@pytest.mark.parametrize("mode", ["dead", "close", "ignore"])
async def test_a_device_that_needs_rest_after_connecting_gets_it(caplog, mode: str) -> None:
    caplog.set_level(logging.INFO)

    async def serve(client: Client) -> None:
        loop = asyncio.get_running_loop()
        began, dead = loop.time(), False
        while True:
            request = await client.request()
            if loop.time() - began < 0.9:
                if mode == "close":
                    return
                dead = mode == "dead"
            elif not dead:
                client.send(request.number, request.unit, request.answer)

    async with line_to(serve, timeout="100ms") as (line, plant):
        who, openings = station(line), line.openings
        assert await line.read(who, 4, 1000, 2) == pattern(1, 1000, 2)
        assert line.facts.connect_pause == 1.0
        assert line.openings > openings, "the others are asked again, too"
        assert "1 s between connecting and the first request" in caplog.text
        line.port.close()
        connections = plant.connections
        assert await ask_all(line, who, 1) == (4, 0)
        assert plant.connections == connections + 1, "it is kept"


async def test_who_hears_nothing_after_the_longest_rest_either_is_told_which_key_says_more(
    monkeypatch,
) -> None:
    monkeypatch.setattr(first_request, "PAUSES", (0.1, 0.2))

    async def serve(client: Client) -> None:
        while True:
            await client.request()

    async with line_to(serve, timeout="100ms") as (line, _):
        who = station(line)
        hints = []
        for _ in range(3):
            with pytest.raises(NoReply, match="unit 1 did not answer") as caught:
                await line.read(who, 4, 1000, 2)
            hints.append(caught.value.hint)
        assert "connect_pause: 10s" in hints[-1]


@pytest.mark.parametrize("mended", [False, True])
async def test_after_a_week_the_rest_after_connecting_is_found_out_anew(mended: bool) -> None:
    async def serve(client: Client) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            request = await client.request()
            if mended or loop.time() - began >= 0.9:
                client.send(request.number, request.unit, request.answer)

    now = 1_795_000_000.0
    learnt = Learnt(wall=lambda: now)
    async with line_to(serve, learnt=learnt, timeout="100ms") as (line, plant):
        who = station(line)
        assert line.facts.learn("connect_pause", 1.0)
        for week, known in ((0.9, 1.0), (0.2, 0.0 if mended else 1.0)):
            now += week * OLD
            line.port.close()
            assert await ask_all(line, who, 1) == (4, 0)
            assert line.facts.connect_pause == known
        assert plant.connections == (3 if mended else 4)


async def test_a_dead_meter_is_no_reason_for_a_pause_after_connecting() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            if request.unit == 1:
                client.send(request.number, 1, request.answer)

    async with line_to(serve, timeout="100ms") as (line, plant):
        well, dead = station(line, 1), station(line, 9)
        for _ in range(2):
            with pytest.raises(NoReply):
                await line.read(dead, 4, 1000, 2)
            assert await ask_all(line, well, 1) == (4, 0)
        assert plant.connections == 1
        assert line.facts.connect_pause == 0.0


async def test_a_request_that_ends_the_connection_is_not_answered_and_the_others_are() -> None:
    async def serve(client: Client) -> None:
        while (request := await client.request()).first != 5000:
            client.send(request.number, request.unit, request.answer)

    async with line_to(serve, timeout="5s") as (line, _):
        who = station(line)
        for _ in range(3):
            assert await ask_all(line, who, 1) == (4, 0)
            with pytest.raises(NoReply, match="connection of bus bus ends when unit 1 is asked"):
                await line.read(who, 4, 5000, 2)
            assert line.ready
        assert line.openings == 1, "no other meter is expected"


async def test_a_device_that_ends_the_connection_for_one_register_gives_the_others() -> None:
    async def serve(client: Client) -> None:
        while not (request := await client.request()).first <= 70 < request.first + request.count:
            client.send(request.number, request.unit, request.answer)

    readings: list[Reading] = []
    async with served(serve) as plant:
        bus = TcpBus(name="bus", type="tcp", host="127.0.0.1", port=plant.port, connect_pause="0s")
        worker = BusWorker(bus, [MeterTask(meter(1, interval="100ms"), driver())], readings.append)
        task = asyncio.create_task(worker.run())
        for _ in range(2400):
            await asyncio.sleep(0.025)
            if readings and len(readings[-1].values) == len(NAMES) - 1:
                break
        await worker.stop()
        await task
    assert readings[-1].absent == {NAMES[7]: "timeout"}


@pytest.mark.parametrize("meters", [1, 3])
async def test_behind_a_half_open_connection_meters_are_asked_at_once_on_the_next_one(meters: int) -> None:
    async def serve(client: Client) -> None:
        first, asked = plant.connections == 1, 0
        while True:
            request = await client.request()
            asked += 1
            if not first or asked <= 4 * meters:  # then it has lost its power without a word
                client.send(request.number, request.unit, request.answer)

    readings: list[Reading] = []
    async with served(serve) as plant:
        bus = TcpBus(name="bus", type="tcp", host="127.0.0.1", port=plant.port, timeout="300ms")
        tasks = [MeterTask(meter(unit, interval="100ms"), driver()) for unit in range(1, meters + 1)]
        worker = BusWorker(bus, tasks, readings.append)
        task = asyncio.create_task(worker.run())
        for _ in range(2400):
            await asyncio.sleep(0.025)
            if (
                plant.connections > 1
                and len({r.meter for r in readings[-3 * meters :] if r.values}) == meters
            ):
                break
        await worker.stop()
        await task
    assert plant.connections > 1
    first, last = (
        next(i for i, r in found if r.missing)
        for found in (list(enumerate(readings)), list(enumerate(readings))[::-1])
    )
    assert last - first < 60, "and not after the wait of a meter that is dead: hundreds of polls"
