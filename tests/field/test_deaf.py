"""Meters that are deaf for seconds after a request for a register that they do not have: it is found out,
what is there is read, and the other meters do not pay for it. On virtual time.
"""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from field_parts import driver, meter
from odd_port import SERIAL, SHORT, TCP, Bench, OddPort, running

from gateway.config.schema import Bus, TcpBus
from gateway.errors import NoReply, Refused
from gateway.field.meter import state
from gateway.field.meter.reader import MeterTask
from gateway.field.meter.registers import RegisterReader
from gateway.field.port.contract import Registers
from gateway.field.schedule import Due

pytestmark = pytest.mark.virtual_time
EVERY = {10 * index for index in range(8)}
MINUTES = 12


def deaf(missing: set[int], seconds: float):
    """Unit 1 without these registers: not one of its registers is answered for so long after it was asked for
    them.
    """
    until = 0.0

    def silent(_: OddPort, unit: int, __: int, at: int, count: int) -> bool:
        nonlocal until
        if unit != 1:
            return False
        now = time.monotonic()
        if now >= until and missing & {*range(at, at + count)}:
            until = now + seconds
        return now < until

    return silent


async def polled(bus: Bus, missing: set[int], seconds: float, reads: str, interval: str):
    """What is not asked any more after a time, what the last polls brought, and the share of the other
    meter's polls.
    """
    port = OddPort(deaf(missing, seconds), has_transaction_ids=bus is TCP)
    tasks = [MeterTask(meter(unit, interval=interval), driver(reads=reads)) for unit in (1, 2)]
    bench: Bench
    async with running(bus, tasks, port) as bench:
        await asyncio.sleep(MINUTES * 60)
        kept = len([reading for reading in bench.of("m2") if len(reading.values) == len(EVERY)])
        skipped = {first for _, first, _, _ in bench.facts().skip}
        share = kept / (MINUTES * 60 / float(interval.removesuffix("s")))
        return skipped, [len(reading.values) for reading in bench.of("m1")[-10:]], share


CASES = [
    (TCP, {0, 70}, 3.0, "function: 4", "1s"),
    (SERIAL, {30, 50}, 5.0, "function: 4", "1s"),
    (SERIAL, {10, 20, 40}, 2.0, "function: 4", "10s"),
    (SERIAL, {30, 50}, 2.0, "function: 4, max_registers: 35", "10s"),
    (TCP, {30}, 2.0, "function: 4, max_registers: 15", "1s"),
    (SERIAL, {0, 10, 20}, 2.0, "function: 4", "10s"),
]


@pytest.mark.parametrize(("bus", "missing", "seconds", "reads", "interval"), CASES)
async def test_the_missing_registers_are_found_out_and_nothing_else_is_left_out(
    bus: Bus, missing: set[int], seconds: float, reads: str, interval: str
) -> None:
    skipped, last, share = await polled(bus, missing, seconds, reads, interval)
    assert skipped == missing
    assert last == [len(EVERY - missing)] * len(last)
    assert share >= 0.95


ROWS = """
    0 u16 active_power kW fast decimals=0
    10 u16 active_power_l1 kW fast decimals=0
    20 u16 active_power_l2 kW fast decimals=0
    500 u16 heat_power kW fast decimals=0
"""


class Owing(OddPort):
    """What it owes is waited for, in vain."""

    async def overdue(self, timeout: float) -> Registers:
        await asyncio.sleep(timeout)
        raise NoReply("it did not answer")


@pytest.mark.parametrize("seconds", [2.5, 3.0, 4.0])
async def test_one_that_is_alone_and_deaf_after_its_shortest_read_is_asked_for_others_first(
    seconds: float,
) -> None:
    """The shortest read went first, and nothing that followed was heard."""
    bus, port = TcpBus(name="bus", type="tcp", host="h"), Owing(deaf({500}, seconds))
    async with running(bus, [MeterTask(meter(1, interval="3s"), driver(ROWS))], port) as bench:
        await bench.until(lambda: bool(bench.facts().skip), 200)
        assert [span[:3] for span in bench.facts().skip] == [(4, 500, 501)]
        await bench.until(lambda: [len(each.values) for each in bench.of("m1")[-10:]] == [3] * 10, 120)


@pytest.mark.parametrize(
    ("code", "reads", "interval"), [(11, "function: 4", "1s"), (10, "function: 4, max_registers: 35", "10s")]
)
async def test_a_gateway_that_answers_for_the_meter_is_understood_as_its_silence(
    code: int, reads: str, interval: str
) -> None:
    """Two meters with one hole each, whose gateway says that they do not respond to a read over it."""
    holes = {1: {30}, 2: {50}}
    port = OddPort(lambda _, unit, __, at, count: bool(holes.get(unit, set()) & {*range(at, at + count)}))
    port.refusal = code
    tasks = [MeterTask(meter(unit, interval=interval), driver(reads=reads)) for unit in (1, 2, 3)]
    async with running(TCP, tasks, port) as bench:
        await asyncio.sleep(60 * MINUTES)
        for unit, hole in holes.items():
            assert {first for _, first, _, _ in bench.facts(f"m{unit}").skip} == hole
            assert [len(each.values) for each in bench.of(f"m{unit}")[-10:]] == [len(EVERY) - 1] * 10
        assert len(bench.of("m3")) >= 0.95 * 60 * MINUTES / float(interval.removesuffix("s"))
        assert all(len(reading.values) == len(EVERY) for reading in bench.of("m3"))


class Starting(OddPort):
    """Unit 1 refuses these registers, or all, for as long as `code` says so."""

    code = 0
    refused: set[int] = EVERY

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        words = await super().read(unit, function, address, count, timeout)
        if unit == 1 and self.code and self.refused & {*range(address, address + count)}:
            raise Refused("refused", self.code)
        return words


@pytest.mark.parametrize(("code", "refused"), [(2, EVERY), (2, {10, 30}), (3, EVERY), (4, {10})])
async def test_what_a_meter_refuses_while_it_starts_is_asked_again_soon(code: int, refused: set[int]) -> None:
    """Refused for a minute, it was left out for half a day."""
    port = Starting()
    port.refused = refused
    tasks = [MeterTask(meter(unit, interval="5s"), driver(reads=SHORT)) for unit in (1, 2)]
    async with running(TCP, tasks, port) as bench:
        await asyncio.sleep(60)
        port.code = code
        await asyncio.sleep(60)
        assert {first for _, first, _, _ in bench.facts().skip} >= refused
        port.code = 0
        await asyncio.sleep(140)
        assert not bench.facts().skip
        assert len(bench.of("m1")[-1].values) == len(EVERY)
        assert all(len(reading.values) == len(EVERY) for reading in bench.of("m2"))


async def test_what_is_refused_for_good_costs_next_to_nothing_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = Starting()
    port.code, port.refused = 2, {10, 30}
    caplog.set_level(logging.INFO)
    async with running(TCP, [MeterTask(meter(1, interval="5s"), driver(reads=SHORT))], port) as bench:
        await asyncio.sleep(600)
        asked, polls = len(port.asked), len(bench.of("m1"))
        await asyncio.sleep(6 * 3600)
        polls = len(bench.of("m1")) - polls
        each = len(bench.worker.meters["m1"].reader.reads(Due(fast=True)))
        assert len(port.asked) - asked <= 1.01 * each * polls
        assert all(len(reading.values) == len(EVERY) - 2 for reading in bench.of("m1"))
    assert caplog.text.count("refuses registers") == 1


async def test_what_is_found_out_is_not_forgotten_for_a_silence_that_comes_of_finding_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: taken for another meter each time that it was deaf, it is looked into anew for ever."""
    monkeypatch.setattr(state, "EXCHANGE", 0.0)
    skipped, last, _ = await polled(*CASES[0])
    assert not skipped
    assert max(last) < 6


async def test_a_meter_without_another_read_is_never_given_up_row_by_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: three silent rows of the only read would speak for all others."""
    monkeypatch.setattr(RegisterReader, "answers_beside", lambda *_: True)
    skipped, last, _ = await polled(*CASES[5])
    assert skipped > CASES[5][1]
    assert max(last) < 5
