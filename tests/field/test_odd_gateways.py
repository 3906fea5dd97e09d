"""Gateways that are one reply behind, that were mended, or that wait for a dead slave: no value is ever
wrong, and each meter gets its readings.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from field_parts import pattern
from odd_devices import Client, ask_all, line_to, station

from gateway.config.schema import TcpBus
from gateway.errors import BusError, NoReply, Refused
from gateway.field.bus import doubts, transaction
from gateway.field.bus.line import BusLine
from gateway.field.port.contract import ReadSeries
from gateway.field.port.fake import FakePort


@pytest.fixture
def hasty(monkeypatch) -> None:
    """The times of a line behind a network, a tenth of what they are."""
    monkeypatch.setattr(doubts, "LATENCY", {True: (0.1, 0.5, 1.0), False: (0.05, 0.1, 0.2)})
    monkeypatch.setattr(transaction, "FIRST", 0.25)
    monkeypatch.setattr(transaction, "SERVING", 0.6)
    monkeypatch.setattr(transaction, "LATEST", 1.0)


@pytest.mark.parametrize("units", [(1,), (1, 2)])
async def test_a_gateway_that_is_one_reply_behind_is_named_and_gets_no_more_time(
    hasty, caplog, units: tuple[int, ...]
) -> None:
    async def serve(client: Client) -> None:
        held = None
        while True:
            request = await client.request()
            if held is not None:
                client.send(held.number, held.unit, held.answer)
            held = request

    async with line_to(serve) as (line, _):
        stations = [station(line, unit) for unit in units]
        told = ""
        for _ in range(6):
            for who in stations:
                with pytest.raises(BusError) as caught:
                    await line.read(who, 4, 1000, 2)
                told = str(caught.value)
        assert "answers each request only when the next one comes → restart the gateway" in told
        assert all(who.facts.timeout == 0.0 for who in stations), "no time will do"
        assert caplog.text.count("only when the next one comes") == len(units), "said once"


async def test_a_meter_that_is_slow_is_none_that_is_one_reply_behind(hasty, caplog) -> None:
    """Its reply comes while the next request is waited for; with the time that it took it is there."""
    delays = {1: 0.0, 2: 0.0}

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            delay = delays[request.unit]
            asyncio.get_running_loop().call_later(
                delay, client.send, request.number, request.unit, request.answer
            )

    async with line_to(serve) as (line, _):
        slow, well = station(line, 1), station(line, 2)
        assert await ask_all(line, slow) == await ask_all(line, well) == (12, 0)
        delays[1] = 0.7
        right = 0
        for who in (slow, slow, well) * 6:
            with contextlib.suppress(BusError):
                right += await line.read(who, 4, 1000, 2) == pattern(who.unit, 1000, 2)
        assert right >= 12
        assert slow.facts.timeout >= 0.7
        assert "only when the next one comes" not in caplog.text


# -- what a gateway owes


async def test_a_gateway_that_waits_for_a_dead_slave_costs_the_others_one_wait() -> None:
    """It serves one request at a time; its patience is longer than ours."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            if request.unit == 9:
                await asyncio.sleep(1.6)
                client.send(request.number, 9, request.refused(11))
            else:
                client.send(request.number, request.unit, request.answer)
            await client.writer.drain()

    async with line_to(serve) as (line, plant):
        well, dead = station(line, 1), station(line, 9)
        for _ in range(3):
            assert await ask_all(line, well, 1) == (4, 0)
            with pytest.raises(Refused, match="exception 11"):
                await line.read(dead, 4, 1000, 2)
        assert well.counters.timeouts == dead.counters.timeouts == 0
        assert dead.facts.timeout >= 1.6, "it is learnt"
        assert well.facts.timeout == 0.0
        assert plant.connections == 1


async def test_a_gateway_that_waits_for_a_dead_slave_for_long_costs_no_other_meter_its_reply() -> None:
    """It serves one request at a time, and its patience is longer than what a dead meter may cost."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            if request.unit == 9:
                await asyncio.sleep(4.0)
                client.send(request.number, 9, request.refused(11))
            else:
                client.send(request.number, request.unit, request.answer)
            await client.writer.drain()

    async with line_to(serve) as (line, plant):
        well, other, dead = station(line, 1), station(line, 2), station(line, 9)
        assert await ask_all(line, well, 3) == (12, 0)
        assert await ask_all(line, other, 3) == (12, 0)
        with pytest.raises(NoReply):
            await line.read(dead, 4, 1000, 2)
        assert await ask_all(line, well, 1) == (4, 0)
        assert await ask_all(line, other, 1) == (4, 0)
        assert line.came_late() == [], "an exception is no answer"
        with pytest.raises(Refused, match="exception 11"):
            await line.read(dead, 4, 1000, 2)
        assert dead.facts.timeout >= 4.0, "it has the time that the first reply took, and used it"
        assert plant.connections == 1


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_a_gateway_that_serves_nobody_while_it_waits_for_a_silent_meter_is_given_the_time(
    hangs_up: bool,
) -> None:
    """It says nothing of the dead one, and drops or hangs up on whoever comes meanwhile."""
    busy_until = 0.0

    async def serve(client: Client) -> None:
        nonlocal busy_until
        while True:
            request = await client.request()
            now = asyncio.get_running_loop().time()
            if now < busy_until:
                if hangs_up:
                    return
            elif request.unit == 9:
                busy_until = now + 3.5
            else:
                client.send(request.number, request.unit, request.answer)

    async with line_to(serve) as (line, plant):
        well, dead = station(line, 1), station(line, 9)
        assert await ask_all(line, well, 3) == (12, 0)
        for wanted in (0.0, 3.5):
            assert dead.facts.timeout >= wanted, "it is learnt"
            before = (well.counters.timeouts, plant.connections)
            with pytest.raises(NoReply):
                await line.read(dead, 4, 1000, 2)
            assert await ask_all(line, well, 1) == (4, 0)
        assert (well.counters.timeouts, plant.connections) == before, "none was asked in vain"
        assert 0.0 < line.spent_since() <= 10.0, "it is paid for"


async def test_a_late_reply_is_the_answer_when_its_number_says_so() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            await asyncio.sleep(0.3)
            client.send(request.number, request.unit, request.answer)
            await client.writer.drain()

    async with line_to(serve, timeout="100ms") as (line, _):
        assert await ask_all(line, station(line), 1) == (4, 0)


@pytest.mark.virtual_time
async def test_a_reply_that_never_comes_is_waited_for_once() -> None:
    port = FakePort({1: lambda _, address: address, 2: lambda _, address: address})
    line = BusLine(TcpBus(name="b", type="tcp", host="h"), port)
    well, dead = line.station(1), line.station(2)
    port.silent.add(2)
    await line.open()
    await line.read(well, 4, 0, 2)
    loop = asyncio.get_running_loop()
    waits = []
    for _ in range(3):
        began = loop.time()
        with pytest.raises(NoReply):
            await line.read(dead, 4, 0, 2)
        waits.append(loop.time() - began)
        assert await line.read(well, 4, 0, 2) == (0, 1)
    assert waits[0] == pytest.approx(2.5, abs=0.1), "others are answered: it is not waited for longer"
    assert max(waits[1:]) <= 4.1, "nothing came: the next wait is no longer than that of a line"


@pytest.mark.virtual_time
async def test_a_meter_that_nobody_answers_beside_gets_all_the_time_that_a_gateway_may_need() -> None:
    port = FakePort({})
    line = BusLine(TcpBus(name="b", type="tcp", host="h"), port)
    alone = line.station(2)
    await line.open()
    began = asyncio.get_running_loop().time()
    with pytest.raises(NoReply):
        await line.read(alone, 4, 0, 2)
    assert asyncio.get_running_loop().time() - began > 10


# -- what it refuses


REFUSALS = {
    "number 0": lambda _: 0,
    "number 7": lambda _: 7,
    "number +1": lambda asked: asked + 1,
    "swapped": lambda asked: asked >> 8 | (asked & 0xFF) << 8,
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_an_exception_alone_may_have_another_number(name: str) -> None:
    """It is understood at once, as nothing that was asked of late has that number."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            if request.first == 9000:
                client.send(REFUSALS[name](request.number), request.unit, request.refused(2))
            else:
                client.send(request.number, request.unit, request.answer)

    async with line_to(serve, timeout="5s") as (line, _):
        who = station(line)
        for _ in range(3):
            with pytest.raises(Refused, match="exception 2"):
                await line.read(who, 4, 9000, 2)
            assert await ask_all(line, who, 1) == (4, 0)
        assert who.counters.timeouts == who.counters.bad_frames == 0
        assert line.facts.known() == ()


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_that_comes_first_does_not_keep_its_gateways_numbers_from_being_learnt(
    name: str,
) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            pdu = request.refused(2) if request.first == 9000 else request.answer
            client.send(REFUSALS[name](request.number), request.unit, pdu)

    async with line_to(serve, timeout="300ms") as (line, _):
        who = station(line)
        with pytest.raises(Refused, match="exception 2"):
            await line.read(who, 4, 9000, 2)
        assert await ask_all(line, who) == (12, 0)
        assert who.counters.bad_frames == 3, "one reply and two check reads"
        with pytest.raises(Refused, match="exception 2"):
            await line.read(who, 4, 9000, 2)


@pytest.mark.parametrize("odd", [{"unit": 9}, {"number": 1}, {"function": 3}])
async def test_an_exception_that_may_be_somebody_elses_is_none(odd: dict[str, int]) -> None:
    """Of another unit, of another function, or with the number of a request that is not answered yet."""

    async def serve(client: Client) -> None:
        before = 0
        while True:
            request = await client.request()
            if request.first == 9000:
                number = before if "number" in odd else 7
                function = odd.get("function", request.pdu[0])
                client.send(number, odd.get("unit", request.unit), bytes((function | 0x80, 2)))
            elif request.first == 1000:
                client.send(request.number, request.unit, request.answer)
            before = request.number

    async with line_to(serve, timeout="60ms") as (line, _):
        who = station(line)
        assert await line.read(who, 4, 1000, 2) == pattern(1, 1000, 2)
        with pytest.raises(NoReply):
            await line.read(who, 4, 2000, 2)
        with pytest.raises(NoReply):
            await line._exchange(who, ReadSeries([(4, 9000, 3)]))
