"""Answers without numbers that come after their time, often: who gives them has more time."""

from __future__ import annotations

import asyncio
import itertools

from field_parts import pattern
from odd_devices import QUESTIONS, Client, line_to, seated

from gateway.errors import BusError
from gateway.field.bus import doubts
from gateway.field.bus.line import BusLine

SOON, LATE = 0.01, 0.25
SHORT = {True: (0.05, 0.1, 0.2), False: (0.05, 0.1, 0.2)}
"""The times for a turn-around, shorter than they are, so that the tests take no minutes."""


def slow(*delays: float):
    """A converter whose replies take the next of these times, in turn."""
    turns = itertools.cycle(delays)

    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            await asyncio.sleep(next(turns))
            client.send_rtu(request.unit, request.answer)

    return serve


async def asked(line: BusLine, who, reads: int) -> int:
    """How many of so many reads were answered; a wrong value fails the test."""
    right = 0
    for function, first, count in itertools.islice(itertools.cycle(QUESTIONS), reads):
        try:
            words = await line.read(who, function, first, count)
        except BusError:
            continue
        assert words == pattern(who.unit, first, count)
        right += 1
    return right


async def test_who_is_often_late_has_the_time_that_it_needs(monkeypatch) -> None:
    monkeypatch.setattr(doubts, "LATENCY", SHORT)
    async with line_to(slow(SOON, LATE, LATE), kind="rtu-over-tcp") as (line, _):
        who = seated(line)
        await asked(line, who, 24)
        assert who.facts.timeout > LATE
        assert await asked(line, who, 12) == 12


async def test_a_configured_time_stays_and_one_late_answer_says_nothing(monkeypatch) -> None:
    monkeypatch.setattr(doubts, "LATENCY", SHORT)
    async with line_to(slow(SOON, LATE, LATE), kind="rtu-over-tcp") as (line, _):
        who = seated(line, timeout="200ms")
        await asked(line, who, 24)
        assert who.facts.timeout == 0.2
    async with line_to(slow(*[SOON] * 11, LATE), kind="rtu-over-tcp") as (line, _):
        who = seated(line)
        await asked(line, who, 24)
        assert who.facts.timeout == 0.0
