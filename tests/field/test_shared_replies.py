"""Gateways that give each reply to all their clients: those to others cost no reading, are never ours, and
teach nothing; and those that number their replies by themselves, whose numbers may be any.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque

import pytest
from field_parts import pattern
from odd_devices import Client, ask_all, line_to, station

from gateway.errors import NoReply, Refused


@pytest.mark.parametrize("unit", [1, 2, 9])
@pytest.mark.parametrize("when", ["just before", "a moment before", "behind"])
async def test_replies_to_another_client_cost_no_reading(unit: int, when: str) -> None:
    """They are as long as ours, of our unit or of another one, and hold other values."""
    others = itertools.count(40000, 3)

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            other = bytes((4, 2 * request.count)) + bytes(2 * request.count)
            if when == "behind":
                client.send(request.number, request.unit, request.answer)
            client.send(next(others), unit, other)
            if when == "a moment before":
                await client.writer.drain()
                await asyncio.sleep(0.01)
            if when != "behind":
                client.send(request.number, request.unit, request.answer)

    async with line_to(serve) as (line, plant):
        who = station(line)
        assert await ask_all(line, who, 5) == (20, 0)
        assert line.port.form.number == "asked"
        assert plant.connections == 1
        assert line.counters.resyncs == 0


async def test_a_refusal_of_another_client_is_not_ours() -> None:
    others = itertools.count(40000, 3)

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(next(others), request.unit, request.refused(2))
            client.send(
                request.number,
                request.unit,
                request.refused(3) if request.first == 9000 else request.answer,
            )

    async with line_to(serve) as (line, _):
        who = station(line)
        assert await ask_all(line, who, 5) == (20, 0)
        with pytest.raises(Refused) as caught:
            await line.read(who, 4, 9000, 2)
        assert caught.value.code == 3


async def test_a_refusal_with_a_number_of_its_own_is_believed_when_nothing_better_comes() -> None:
    alone = True

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            if request.first == 9000:
                client.send(0, request.unit, request.refused(2))
                if alone:
                    continue
            client.send(request.number, request.unit, request.answer)

    async with line_to(serve, timeout="100ms") as (line, _):
        who = station(line)
        for _ in range(3):
            assert await ask_all(line, who, 1) == (4, 0)
            with pytest.raises(Refused) as caught:
                await line.read(who, 4, 9000, 2)
            assert caught.value.code == 2
        alone = False
        assert await line.read(who, 4, 9000, 2) == pattern(1, 9000, 2)


async def test_a_counter_of_the_gateway_may_meet_our_numbers(caplog) -> None:
    """Numbers say nothing there, those that we have used no more than others."""
    asked: deque[int] = deque(maxlen=9)
    own = itertools.count(500)

    async def serve(client: Client) -> None:
        for index in itertools.count():
            request = await client.request()
            number = next(own) if index < 12 else asked[index % 5]
            client.send(number, request.unit, request.answer)
            asked.append(request.number)

    async with line_to(serve, timeout="300ms") as (line, _):
        who = station(line)
        assert await ask_all(line, who, 8) == (32, 0)
        assert line.port.form.number == "own"


async def test_a_late_reply_to_a_counter_that_is_believed_is_still_known_by_a_number_that_is_owed() -> None:
    """The gateway was changed for one that is as the standard has it, and late."""
    held: list[bytes] = []

    async def serve(client: Client) -> None:
        for index in itertools.count():
            request = await client.request()
            if index % 6 == 5:
                held.append(request.answer)
                late = request
                continue
            if held:
                client.send(late.number, late.unit, held.pop())
            client.send(request.number, request.unit, request.answer)

    async with line_to(serve, timeout="100ms", reply_number="own") as (line, _):
        _, failed = await ask_all(line, station(line), 3)
        assert failed == 2


async def test_the_control_a_reply_with_another_number_alone_is_no_answer() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            if request.first != 3000:
                client.send(request.number, request.unit, request.answer)
            else:
                client.send(40000, 2, request.answer)

    async with line_to(serve, timeout="100ms") as (line, _):
        who = station(line)
        for _ in range(3):
            with pytest.raises(NoReply):
                await line.read(who, 4, 3000, 4)
        assert await line.read(who, 4, 1000, 2) == pattern(1, 1000, 2)
