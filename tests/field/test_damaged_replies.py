"""Replies that are damaged on their way are asked for once more in the same poll. On virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest
from field_parts import driver, meter
from odd_port import SERIAL, SHORT, TCP, OddPort, running

from gateway.config.schema import Bus
from gateway.errors import BadFrame
from gateway.field.bus.line import BusLine
from gateway.field.meter.reader import MeterTask
from gateway.field.port.contract import Registers

EVERY, POLLS = 8, 300


class Noisy(OddPort):
    """Of the replies, `share` are damaged; unit 1 gives `always` none that is not."""

    def __init__(self, bus: Bus, share: float, *, always: bool = False) -> None:
        super().__init__(has_transaction_ids=bus is TCP)
        self._share, self._always, self._dice = share, always, random.Random(1)

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        registers = await super().read(unit, function, address, count, timeout)
        if self._dice.random() < self._share or (self._always and unit == 1):
            raise BadFrame(f"unit {unit}: a damaged reply")
        return registers


async def polled(bus: Bus, port: OddPort, interval: float, meters: int = 3) -> list[float]:
    """The shares of whole polls of the meters."""
    units = range(1, meters + 1)
    tasks = [MeterTask(meter(unit, interval=f"{interval}s"), driver(reads=SHORT)) for unit in units]
    async with running(bus, tasks, port) as bench:
        await asyncio.sleep(interval * POLLS)
        readings = [bench.of(f"m{unit}") for unit in units]
        return [sum(len(each.values) == EVERY for each in of_one) / len(of_one) for of_one in readings]


@pytest.mark.virtual_time
@pytest.mark.parametrize("bus", [SERIAL, TCP])
@pytest.mark.parametrize(
    ("interval", "share", "whole"),
    [(1, 0.01, 0.98), (10, 0.01, 0.98), (1, 0.05, 0.83), (10, 0.05, 0.94), (10, 0.2, 0.55)],
)
async def test_noise_costs_few_polls_of_four_reads(bus, interval, share, whole) -> None:
    assert min(await polled(bus, Noisy(bus, share), interval)) >= whole


@pytest.mark.virtual_time
async def test_without_that_each_damaged_reply_costs_its_values(monkeypatch) -> None:
    """The control."""

    async def never(line: BusLine, station: object, run: object, damaged: BadFrame, **_: int) -> Registers:
        raise damaged

    monkeypatch.setattr(BusLine, "_once_more", never)
    assert max(await polled(SERIAL, Noisy(SERIAL, 0.05), 10)) <= 0.83


@pytest.mark.virtual_time
@pytest.mark.parametrize("bus", [SERIAL, TCP])
async def test_one_whose_replies_are_all_damaged_is_not_asked_twice(bus) -> None:
    port = Noisy(bus, 0.0, always=True)
    own, others = await polled(bus, port, 1, meters=2)
    assert (own, others) == (0.0, 1.0)
    assert sum(unit == 1 for unit, *_ in port.asked) <= 1.1 * POLLS
