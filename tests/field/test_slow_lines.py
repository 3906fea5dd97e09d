"""Meters and converters that are slower than any until now, where no number says whose answer comes late."""

from __future__ import annotations

import asyncio
import logging

import pytest
from field_parts import pattern
from odd_devices import Client, line_to, seated

from gateway.errors import NoReply
from gateway.field.bus import transaction

SLOW = 1.0


def slow_unit(seconds: dict[int, float]):
    """Each unit takes its s; one that is not named is not there."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            if request.unit in seconds:
                await asyncio.sleep(seconds[request.unit])
                client.send_rtu(request.unit, request.answer)

    return serve


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A time-out of a tenth of what it is behind a network, so that nobody waits for seconds."""
    monkeypatch.setattr("gateway.field.bus.doubts.LATENCY", {True: (0.1, 0.2, 0.3), False: (0.1, 0.2, 0.3)})


async def test_a_converter_slower_than_the_time_out_gets_the_time_that_it_needs(caplog) -> None:
    caplog.set_level(logging.INFO)
    async with line_to(slow_unit({1: SLOW}), kind="rtu-over-tcp") as (line, _):
        who = seated(line)
        with pytest.raises(NoReply, match=r"unit 1 answered only after 1\.\d s") as raised:
            await line.read(who, 4, 1000, 2)
        needs = who.facts.timeout
        assert needs >= 1.5 * SLOW
        assert f"timeout: {needs:g}s" in raised.value.hint
        assert line.came_late() == [who]
        for first in (1000, 2000, 3000):
            assert await line.read(who, 4, first, 2) == pattern(1, first, 2)
        assert f"from now on it has {needs:g} s" in caplog.text


async def test_what_is_heard_so_late_is_never_taken_for_values() -> None:
    """It may be the answer to the question before."""
    async with line_to(slow_unit({1: SLOW}), kind="rtu-over-tcp") as (line, _):
        who = seated(line)
        for first in range(1000, 1400, 100):
            try:
                words = await line.read(who, 4, first, 2)
            except NoReply:
                continue
            assert words == pattern(1, first, 2)


async def test_who_is_not_there_is_listened_for_ever_more_seldom(monkeypatch) -> None:
    monkeypatch.setattr(transaction, "LISTENED", 0.3)
    heard = []
    async with line_to(slow_unit({}), kind="rtu-over-tcp") as (line, _):
        line._listen = lambda who: heard.append(who.timeouts) or asyncio.sleep(0)
        who = seated(line)
        for _ in range(20):
            with pytest.raises(NoReply, match="did not answer"):
                await line._exchange(who, transaction.ReadSeries([(4, 1000, 2)]))
    assert heard == [0, 1, 4, 16]


async def test_others_wait_for_one_such_silence_alone(monkeypatch) -> None:
    """Where meters answer, one of those that do not is listened for in ten minutes."""
    monkeypatch.setattr(transaction, "LISTENED", 0.3)
    async with line_to(slow_unit({1: 0.0}), kind="rtu-over-tcp") as (line, _):
        present, *absent = (seated(line, unit) for unit in (1, 2, 3, 4))
        assert await line.read(present, 4, 1000, 2) == pattern(1, 1000, 2)
        assert line._may_listen(absent[0])
        with pytest.raises(NoReply):
            await line.read(absent[0], 4, 1000, 2)
        assert not any(map(line._may_listen, absent))


@pytest.mark.parametrize("what", ["the bus", "the meter"])
async def test_a_time_out_that_somebody_wrote_is_kept(what: str) -> None:
    keys = {"timeout": "200ms"}
    bus, own = (keys, {}) if what == "the bus" else ({}, keys)
    async with line_to(slow_unit({1: SLOW}), kind="rtu-over-tcp", **bus) as (line, _):
        who = seated(line, **own)
        assert not line._may_listen(who)
        with pytest.raises(NoReply, match="did not answer"):
            await line.read(who, 4, 1000, 2)


async def test_a_meter_that_answered_once_is_not_slow_but_gone() -> None:
    async with line_to(slow_unit({1: 0.0}), kind="rtu-over-tcp") as (line, _):
        who = seated(line)
        assert await line.read(who, 4, 1000, 2) == pattern(1, 1000, 2)
        assert not line._may_listen(who)
