"""A second copy of an answer is never taken for the answer to the next question."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from field_parts import pattern
from odd_devices import station

from gateway.config.schema import SerialBus
from gateway.demo.simulator.faults import Fault
from gateway.errors import BadFrame, BusDown, BusError
from gateway.field.bus.line import ATTEMPTS, COPIES, BusLine
from gateway.field.bus.station import ALIKE, Station
from gateway.field.port.fake import FakePort
from gateway.field.port.modbus import ModbusPort

RANDOM = random.Random(1)


def copied(port: FakePort, copies: dict[int, int]) -> None:
    """The reads of these registers get, once, a second copy of the answer of those; the true one is late."""
    read = port.read

    async def twice(unit: int, function: int, address: int, length: int, allowed: float):
        return await read(unit, function, copies.pop(address, address), length, allowed)

    port.read = twice


async def quiet_station(port: FakePort):
    """One whose registers differ, and of which enough were confirmed to be alike as ever."""
    line = BusLine(SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200), port)
    who = station(line)
    await line.open()
    for _ in range(5):
        for first in (1000, 2000, 9000, 9100, 9200):
            await line.read(who, 4, first, 2)
    assert who.alike >= ALIKE
    return line, who


def of_address(_function: int, address: int) -> int:
    return 0 if address >= 9000 else address


@pytest.mark.virtual_time
async def test_the_first_second_copy_that_comes_in_place_of_an_answer_is_found_out() -> None:
    """Same unit, function and length, in good time, of a meter that has never answered twice: only its words
    tell.
    """
    port = FakePort({1: of_address}, latency=0.03, has_transaction_ids=False)
    line, who = await quiet_station(port)
    assert await line.read(who, 4, 1000, 2) == (1000, 1001)
    for _ in range(2 * ALIKE):
        await line.read(who, 4, 1000, 2)
        asked = len(port.asked)
        copied(port, {2000: 1000})
        assert await line.read(who, 4, 2000, 2) == (2000, 2001)
        assert [length for *_, length in port.asked[asked:]] == [2, 1, 2], (
            "asked again, after a read of another length"
        )


@pytest.mark.virtual_time
@pytest.mark.parametrize("copies", range(1, 4))
async def test_the_answer_that_is_asked_for_once_more_may_be_a_copy_too(copies: int) -> None:
    """Of the read of the same length that stood in between, when a shorter one was answered twice as well."""
    port = FakePort({1: of_address}, latency=0.03, has_transaction_ids=False)
    line, who = await quiet_station(port)
    await line.read(who, 4, 1000, 2)
    read, left = port.read, [1000, *[5000] * (copies - 1)]
    who.answered_reads = {1: (4, 7000, 1), 2: (4, 5000, 2)}

    async def twice(unit: int, function: int, address: int, length: int, allowed: float):
        port.stray_frames += length == 1 and bool(left)
        from_where = left.pop(0) if address == 2000 and left else address
        return await read(unit, function, from_where, length, allowed)

    port.read = twice
    if copies < ATTEMPTS:
        assert await line.read(who, 4, 2000, 2) == (2000, 2001)
    else:
        with pytest.raises(BadFrame, match="answers twice"):
            await line.read(who, 4, 2000, 2)


@pytest.mark.virtual_time
async def test_the_control_that_trusts_once_a_few_were_alike_takes_it(monkeypatch) -> None:
    monkeypatch.setattr(Station, "repeats", lambda self, *_: None if self.alike >= ALIKE else 0)
    port = FakePort({1: of_address}, latency=0.03, has_transaction_ids=False)
    line, who = await quiet_station(port)
    await line.read(who, 4, 1000, 2)
    copied(port, {2000: 1000})
    assert await line.read(who, 4, 2000, 2) == (1000, 1001)


@pytest.mark.virtual_time
@pytest.mark.parametrize("happens", ["opened anew", "another meter answers twice"])
async def test_what_happens_on_the_line_brings_the_check_back_for_all(happens: str) -> None:
    port = FakePort({1: of_address, 2: of_address}, latency=0.03, has_transaction_ids=False)
    line, who = await quiet_station(port)
    for first in (9000, 9100):
        await line.read(who, 4, first, 2)
    asked = len(port.asked)
    await line.read(who, 4, 9200, 2)
    assert len(port.asked) == asked + 1, "control: zeros are believed"
    if happens == "opened anew":
        line.lost(BusDown("unplugged"))
        await line.open()
    else:
        await line.read(station(line, 2), 4, 1000, 2)
        port.stray_frames += 1
    asked = len(port.asked)
    await line.read(who, 4, 9000, 2)
    assert len(port.asked) == asked + 3, "the read, one of another length, and the read again"


@pytest.mark.parametrize("stands_still", [0.0, 1.0])
@pytest.mark.virtual_time
async def test_copies_in_a_row_are_each_found_out(stands_still: float) -> None:
    """Also that of an answer which was asked for again, and one that comes after this machine stood still."""
    port = FakePort({1: lambda _, address: address}, latency=0.03, has_transaction_ids=False)
    line = BusLine(SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200), port)
    who = station(line)
    await line.open()
    copies = {2000: 1000, 3000: 2000, 4000: 3000}
    copied(port, copies)
    for first in (1000, 2000, 3000, 4000):
        assert await line.read(who, 4, first, 2) == (first, first + 1)
        await asyncio.sleep(stands_still)
    assert not copies


@pytest.mark.virtual_time
@pytest.mark.parametrize("twice", [True, False])
async def test_what_has_answered_twice_may_give_a_copy_of_an_older_answer(twice: bool) -> None:
    """The control, which nothing tells of copies, takes it: other answers of its length stood in between."""
    port = FakePort({1: of_address}, latency=0.03, has_transaction_ids=False)
    line, who = await quiet_station(port)
    if twice:
        who.answered_twice()
    for first in (1000, 2000, 3000):
        await line.read(who, 4, first, 2)
    copied(port, {4000: 1000})
    asked_at = time.monotonic()
    assert await line.read(who, 4, 4000, 2) == ((4000, 4001) if twice else (1000, 1001))
    assert not twice or time.monotonic() - asked_at >= COPIES, "silence in which others would come out"


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "table", [lambda *_: 0, lambda _, address: 2300 + RANDOM.randrange(5)], ids=["zeros", "coarse"]
)
async def test_registers_that_are_alike_cost_a_hundredth_of_the_line_at_most(table) -> None:
    """Zeros, or phases whose coarse values move and are the same now and then: each pair is confirmed a few
    times, and then costs nothing.
    """
    port = FakePort({1: table}, latency=0.03, has_transaction_ids=False)
    line = BusLine(SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200), port)
    who = station(line)
    await line.open()
    for _ in range(400):
        for first in (100, 200, 300, 400):
            await line.read(who, 4, first, 1)
    extra, known = len(port.asked) - 1600, len(port.asked)
    assert extra <= 200, extra
    for _ in range(1000):
        for first in (100, 200, 300, 400):
            await line.read(who, 4, first, 1)
    assert len(port.asked) - known <= 4040


@pytest.mark.virtual_time
async def test_registers_that_move_while_they_are_confirmed_cost_nothing_for_long() -> None:
    """A meter that measures once a second, is asked twice a second, was slow once and has answered twice."""
    port = FakePort({1: lambda *_: int(time.monotonic()) % 1000}, latency=0.03, has_transaction_ids=False)
    line = BusLine(SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200), port)
    who = station(line)
    await line.open()
    await line.read(who, 4, 0, 2)
    who.slowest = 0.35
    who.answered_twice()

    async def polls(count: int) -> int:
        asked = len(port.asked)
        for _ in range(count):
            await line.read(who, 4, 0, 2)
            await asyncio.sleep(0.4)
        return len(port.asked) - asked - count

    assert await polls(30) > 0
    assert await polls(60) == 0


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
