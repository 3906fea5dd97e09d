"""Meters that answer only the reads that their maker thought of, and lose one of them. On virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest
from field_parts import NAMES, driver, meter
from odd_port import SERIAL, SHORT, OddPort, running

from gateway.config.schema import SerialBus, TcpBus
from gateway.errors import BadFrame, NoReply
from gateway.field.bus.in_step import InStep
from gateway.field.meter.reader import MeterTask
from gateway.field.port.contract import Registers, registers_of

RTU = TcpBus(name="bus", type="rtu-over-tcp", host="h", baudrate=9600)
LINE = SerialBus(name="bus", type="serial", port="/dev/fake", baudrate=9600)
EVERY = 8
MINUTES = 30
ONE = "function: 4"
BLOCKS = {ONE: {(0, 71)}, SHORT: {(0, 11), (20, 11), (40, 11), (60, 11)}}


class FixedBlocks(OddPort):
    """Unit 1 answers its blocks and nothing else; of all replies some are lost."""

    def __init__(self, reads: str, share: float) -> None:
        super().__init__(self._silent, has_transaction_ids=False)
        self._blocks, self._share, self._dice = BLOCKS[reads], share, random.Random(1)

    def _silent(self, _: OddPort, unit: int, __: int, address: int, count: int) -> bool:
        return self._dice.random() < self._share or (unit == 1 and (address, count) not in self._blocks)


async def polled(port: OddPort, reads: str, interval: int) -> list[float]:
    """The shares of whole polls of the three meters."""
    tasks = [MeterTask(meter(unit, interval=f"{interval}s"), driver(reads=reads)) for unit in (1, 2, 3)]
    async with running(SERIAL, tasks, port) as bench:
        await asyncio.sleep(60 * MINUTES)
        readings = [bench.of(f"m{unit}") for unit in (1, 2, 3)]
        return [sum(len(each.values) == EVERY for each in of_one) / len(of_one) for of_one in readings]


@pytest.mark.virtual_time
@pytest.mark.parametrize("share", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("interval", [1, 10])
@pytest.mark.parametrize("reads", [ONE, SHORT])
async def test_a_reply_that_is_lost_costs_it_little_more_than_any_other_meter(reads, interval, share) -> None:
    own, *others = await polled(FixedBlocks(reads, share), reads, interval)
    assert own >= min(others) - (0.25 if share > 0.01 else 0.12)
    assert share or own == 1.0


@pytest.mark.virtual_time
async def test_without_that_one_lost_reply_costs_it_all(monkeypatch) -> None:
    """The control."""
    monkeypatch.setattr(InStep, "_by_known_read", lambda *_: None)
    own, *others = await polled(FixedBlocks(ONE, 0.01), ONE, 1)
    assert own < 0.2
    assert min(others) > 0.9


@pytest.mark.virtual_time
async def test_one_that_is_gone_is_not_asked_twice_each_time() -> None:
    """What that costs the others stays within what lost meters may cost."""
    port = FixedBlocks(ONE, 0.0)
    tasks = [MeterTask(meter(unit, interval="1s"), driver(reads=ONE)) for unit in (1, 2)]
    async with running(SERIAL, tasks, port) as bench:
        await asyncio.sleep(60)
        port.dead, before = {1}, len(port.asked)
        await asyncio.sleep(1800)
        vain = [request for request in port.asked[before:] if request[0] == 1]
        assert sum(request[3] == 71 for request in vain) <= 0.25 * len(vain)
        assert sum(len(reading.values) == EVERY for reading in bench.of("m2")) >= 0.95 * 1860
        port.dead = set()
        await bench.until(lambda: len(bench.of("m1")[-1].values) == EVERY, 1200)


class OneBehind(OddPort):
    """Answers its blocks, and after a while each of them only when the next request comes."""

    WELL = 100

    def __init__(self) -> None:
        super().__init__(has_transaction_ids=False)
        self._owed: tuple[int, int] | None = None

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        loop = asyncio.get_running_loop()
        self.asked.append((unit, function, address, count))
        self.sent_at = loop.time()
        asked = (address, count) if (address, count) in BLOCKS[SHORT] else None
        given = asked
        if len(self.asked) > self.WELL:
            given, self._owed = self._owed, asked
        await asyncio.sleep(self.latency if given else timeout)
        if given is None:
            raise NoReply(f"unit {unit} did not answer")
        self.heard_at = loop.time()
        if given[1] != count:
            raise BadFrame(f"unit {unit}: {given[1]} registers came for {count}")
        return registers_of(range(given[0], given[0] + count))


@pytest.mark.virtual_time
@pytest.mark.parametrize("interval", [1, 3, 10])
async def test_who_becomes_one_reply_behind_gives_no_wrong_value(interval) -> None:
    """That nothing came to a read of another length says that it owes no answer."""
    port = OneBehind()
    table = driver(reads=SHORT)
    async with running(SERIAL, [MeterTask(meter(1, interval=f"{interval}s"), table)], port) as bench:
        await asyncio.sleep(3600)
    right = {name: 10.0 * index for index, name in enumerate(NAMES)}
    assert sum(reading.values == right for reading in bench.readings) > OneBehind.WELL / 5
    assert all(right[name] == value for each in bench.readings for name, value in each.values.items())


class Late(OddPort):
    """Answers its blocks, some of them late by up to so many s: then whoever waits gets them, or nobody."""

    def __init__(self, seconds: float, seed: int) -> None:
        super().__init__(has_transaction_ids=False)
        self._seconds, self._dice = seconds, random.Random(seed)
        self._waiting: asyncio.Future[tuple[int, int]] | None = None
        self._last = 0.0

    def _late(self) -> float:
        return self._dice.uniform(0.0, self._seconds) if self._dice.random() < 0.2 else 0.0

    def _give(self, block: tuple[int, int]) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(block)
        else:
            self.strays += 27
            self.stray_frames += 1

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        loop = asyncio.get_running_loop()
        self.asked.append((unit, function, address, count))
        self.sent_at, self._waiting = loop.time(), loop.create_future()
        if (address, count) in BLOCKS[SHORT]:
            late = self._late()
            # one after the other, as a meter does it
            self._last = max(self._last, loop.time() + self.latency + late)
            loop.call_at(self._last, self._give, (address, count))
        try:
            first, length = await asyncio.wait_for(self._waiting, timeout)
        except TimeoutError:
            raise NoReply(f"unit {unit} did not answer") from None
        finally:
            self._waiting = None
        if length != count:
            raise BadFrame(f"unit {unit}: {length} registers came for {count}")
        return registers_of(range(first, first + count))


@pytest.mark.virtual_time
@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("interval", [1, 10])
async def test_a_late_answer_is_never_taken_for_that_to_another_block(interval, seconds) -> None:
    port = Late(seconds, interval)
    table = driver(reads=SHORT)
    async with running(SERIAL, [MeterTask(meter(1, interval=f"{interval}s"), table)], port) as bench:
        await asyncio.sleep(7200)
    right = {name: 10.0 * index for index, name in enumerate(NAMES)}
    assert all(right[name] == value for each in bench.readings for name, value in each.values.items())
    assert sum(len(reading.values) for reading in bench.readings) >= 500


class Delayed(Late):
    """All its answers are late by as much, for a while."""

    BEGIN = 101.0

    def __init__(self, delay: float, seconds: float, latency: float) -> None:
        super().__init__(delay, 1)
        self.latency = latency + 35 * 11 / 9600  # the bytes of request and reply
        self._begin = asyncio.get_running_loop().time() + self.BEGIN
        self._end = self._begin + seconds

    def _late(self) -> float:
        return self._seconds if self._begin <= asyncio.get_running_loop().time() < self._end else 0.0


DELAYS = {
    "serial": [0.6, 1.1, *(round(1.3 + 0.02 * step, 2) for step in range(12)), 2.0, 3.5],
    "rtu-over-tcp": [0.7, 2.5, *(round(3.9 + 0.11 * step, 2) for step in range(9)), 6.0, 8.6, 8.8, 8.95],
}
"""s; the answer to the lost request comes while another one is waited for."""


@pytest.mark.virtual_time
@pytest.mark.parametrize("bus", [LINE, RTU], ids=["serial", "converter"])
@pytest.mark.parametrize("latency", [0.03, 0.25])
@pytest.mark.parametrize("seconds", [8.0, 20.0, 90.0])
async def test_an_answer_that_is_late_for_a_while_is_never_taken_for_that_to_another_block(
    bus, latency, seconds
) -> None:
    right, read = {name: 10.0 * index for index, name in enumerate(NAMES)}, 0
    for delay in DELAYS[bus.type]:
        for interval in (1, 7):
            port = Delayed(delay, seconds, latency)
            tasks = [MeterTask(meter(1, interval=f"{interval}s"), driver(reads=SHORT))]
            async with running(bus, tasks, port) as bench:
                await asyncio.sleep(seconds + 180)
            values = [each for reading in bench.readings for each in reading.values.items()]
            assert all(right[name] == value for name, value in values), (delay, interval)
            read += any(len(reading.values) == EVERY for reading in bench.readings[-60 // interval :])
    if bus is LINE:  # behind a network it waits for as long as an answer may be late
        assert read >= 0.8 * 2 * len(DELAYS[bus.type]), "it is read again in the end"
