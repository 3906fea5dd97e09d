"""Waiting ends with the event, with its time, or with whoever waits."""

import asyncio
import time
from math import inf

import pytest

from gateway.common.wait import MOMENT, SLICE, TICK, sleep_exactly, until_next, wait_for_event


async def test_an_event_that_is_set_is_not_waited_for() -> None:
    event = asyncio.Event()
    event.set()
    assert await wait_for_event(event, inf)


@pytest.mark.parametrize("seconds", [600.0, inf])
async def test_it_ends_when_the_event_is_set(seconds) -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait_for_event(event, seconds)


@pytest.mark.parametrize("seconds", [0.01, 0.0, -1.0, -inf])
async def test_it_ends_when_its_time_is_over(seconds) -> None:
    assert not await wait_for_event(asyncio.Event(), seconds)


async def test_no_time_at_all_still_lets_others_have_a_turn() -> None:
    turns = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    await wait_for_event(asyncio.Event(), 0.0)
    assert turns


async def test_whoever_is_cancelled_while_waiting_is_cancelled() -> None:
    event = asyncio.Event()
    waiter = asyncio.create_task(wait_for_event(event, 600.0))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert not asyncio.all_tasks() - {asyncio.current_task()}


async def test_many_may_wait_for_one_event() -> None:
    event = asyncio.Event()
    waiters = [asyncio.create_task(wait_for_event(event, 600.0)) for _ in range(3)]
    short = asyncio.create_task(wait_for_event(event, 0.0))
    assert not await short
    event.set()
    assert await asyncio.gather(*waiters) == [True] * 3


@pytest.mark.parametrize("seconds", [-1.0, 0.0, TICK / 2, TICK, 3.3 * TICK, 40 * TICK])
async def test_a_sleep_that_is_exact_is_never_too_short(seconds: float) -> None:
    until = time.monotonic() + seconds
    turns = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    await sleep_exactly(until)
    assert time.monotonic() >= until
    assert turns, "others have their turns, also when the machine was busy meanwhile"


async def test_a_sleep_that_is_exact_costs_less_of_the_processor_than_turns_of_the_loop_would() -> None:
    """Counted in turns: each of them is one that others wait for, and costs some 20 µs."""
    loop = asyncio.get_running_loop()
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    loop.call_soon(turn)
    for _ in range(20):
        await sleep_exactly(time.monotonic() + TICK / 2)
    assert 0 < turns <= 20 * (TICK / 2 / SLICE + 2)


@pytest.mark.virtual_time
async def test_a_sleep_that_is_exact_is_late_by_a_turn_of_the_loop() -> None:
    for ticks in range(1, 60):
        until = time.monotonic() + 0.37 * ticks * TICK
        await sleep_exactly(until)
        assert until <= time.monotonic() <= until + TICK / 10


@pytest.mark.parametrize("period", [0.02, 1.0, 60.0])
@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.92, 0.9999])
def test_what_is_done_periodically_comes_a_moment_after_multiples_and_no_sooner_than_a_tenth(
    monkeypatch, period: float, part: float
) -> None:
    now = 1_700_000_000 * period + part * period
    monkeypatch.setattr("gateway.common.wait._wall", lambda: now)
    left = until_next(period)
    assert period / 10 <= left <= 1.1 * period
    beyond = (now + left - MOMENT) / period
    assert abs(beyond - round(beyond)) * period < 1e-4
