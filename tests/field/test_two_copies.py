"""A second copy of an answer is never taken for the answer to the next question."""

from __future__ import annotations

import asyncio

import pytest
from field_parts import pattern
from odd_devices import station

from gateway.config.schema import SerialBus
from gateway.demo.simulator.faults import Fault
from gateway.errors import BusError
from gateway.field.bus.line import BusLine
from gateway.field.port.fake import FakePort
from gateway.field.port.modbus import ModbusPort


@pytest.mark.virtual_time
async def test_a_second_copy_that_comes_in_place_of_the_answer_is_found_out() -> None:
    """Same unit, function and length, in good time: only its words tell."""
    port = FakePort({1: lambda _, address: address}, latency=0.03, has_transaction_ids=False)
    line = BusLine(SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200), port)
    who = station(line)
    await line.open()
    for _ in range(12):
        await line.read(who, 4, 1000, 2)
    assert await line.read(who, 4, 1000, 2) == (1000, 1001)
    port.tables[1] = lambda _, address: address - 1000 if address >= 2000 else address
    asked = len(port.asked)
    read = port.read

    async def restored(*what):
        words = await read(*what)
        port.tables[1] = lambda _, address: address
        return words

    port.read = restored
    who.alike = 0
    assert await line.read(who, 4, 2000, 2) == (2000, 2001)
    assert [length for *_, length in port.asked[asked:]] == [2, 1, 2], (
        "asked again, after a read of another length"
    )
    assert who.copies


@pytest.mark.parametrize("stands_still", [0.0, 1.0])
@pytest.mark.virtual_time
async def test_copies_in_a_row_are_each_found_out(stands_still: float) -> None:
    """Also that of an answer which was asked for again, and one that comes after this machine stood still."""
    port = FakePort({1: lambda _, address: address}, latency=0.03, has_transaction_ids=False)
    line = BusLine(SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200), port)
    who = station(line)
    await line.open()
    read, copies = port.read, {2000: 1000, 3000: 2000, 4000: 3000}

    async def twice(unit: int, function: int, address: int, length: int, allowed: float):
        return await read(unit, function, copies.pop(address, address), length, allowed)

    port.read = twice
    for first in (1000, 2000, 3000, 4000):
        assert await line.read(who, 4, first, 2) == (first, first + 1)
        await asyncio.sleep(stands_still)
    assert not copies


@pytest.mark.virtual_time
async def test_registers_that_are_alike_cost_a_few_reads_and_no_more() -> None:
    port = FakePort({1: lambda *_: 0}, latency=0.03, has_transaction_ids=False)
    line = BusLine(SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200), port)
    who = station(line)
    await line.open()
    for index in range(50):
        await line.read(who, 4, 100 * index, 2)
    assert len(port.asked) <= 50 + 2 * 3


@pytest.mark.parametrize("busy", ["queue", "drop"])
async def test_meters_that_answer_twice_give_no_wrong_value(serial, busy: str) -> None:
    line, bus = serial([1], busy=busy, timeout="300ms", turnaround=0.001)
    line.faults.kinds, line.faults.rate = (Fault("double"),), 0.5
    ours = BusLine(bus, ModbusPort(bus))
    who = station(ours)
    await ours.open()
    right = 0
    for index in range(200):
        first = 100 * (index % 7)
        try:
            words = await ours.read(who, 4, first, 2)
        except BusError:
            continue
        assert words == pattern(1, first, 2)
        right += 1
    ours.close()
    assert right > 100
