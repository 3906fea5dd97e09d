"""The hazard of RTU: an answer that comes after the timeout is taken for the answer to the next question."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from field_parts import pattern
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusException

from gateway.config.schema import SerialBus
from gateway.demo.simulator.faults import Fault
from gateway.errors import BadFrame, NoReply
from gateway.field.bus.line import BusLine
from gateway.field.port.fake import FakePort
from gateway.field.port.modbus import ModbusPort

TIMEOUT = 0.2
LATE = Fault("late", seconds=0.28)
ANSWER = 9
"""Bytes of a reply with two registers."""
QUESTIONS = [(4, 1000, 2), (4, 2000, 2)] * 12
SLOW = {3, 9, 15, 21}
"""The questions that meet a meter which is late, as one that writes its flash: some, lest a stall of this
machine hides them all.
"""


async def test_plain_pymodbus_gives_wrong_values_without_an_error(serial) -> None:
    """The control: it must fail, or the test below proves nothing."""
    line, bus = serial([1], busy="queue")
    client = AsyncModbusSerialClient(bus.port, baudrate=bus.baudrate, timeout=TIMEOUT, retries=0)
    assert await client.connect()
    wrong = 0
    try:
        for index, (_, first, count) in enumerate(QUESTIONS):
            if index in SLOW:
                line.faults.order(1, LATE)
            try:
                answer = await client.read_input_registers(first, count=count, device_id=1)
            except ModbusException:
                continue
            wrong += not answer.isError() and tuple(answer.registers) != pattern(1, first, count)
    finally:
        client.close()
    assert wrong > 0


@pytest.mark.parametrize("busy", ["queue", "drop"])
async def test_our_line_gives_none(serial, busy: str) -> None:
    line, bus = serial([1, 2], busy=busy, timeout=f"{int(1000 * TIMEOUT)}ms")
    ours = BusLine(bus, ModbusPort(bus))
    station, other = ours.station(1), ours.station(2)
    station.probes = ((4, 1000, 1), (4, 1000, 3), (4, 1000, 4))
    await ours.open()
    wrong = right = failed = 0
    for index, (function, first, count) in enumerate(QUESTIONS):
        if index in SLOW:
            line.faults.order(1, LATE)
        for who in (station, other):
            try:
                words = await ours.read(who, function, first, count)
            except (NoReply, BadFrame):
                failed += 1
            else:
                good = words == pattern(who.unit, first, count)
                right += good
                wrong += not good
    ours.close()
    assert wrong == 0
    assert failed >= 1, "nothing was late: this proves nothing"
    assert right >= len(QUESTIONS), "one late answer costs one question and not the next ones"
    assert station.counters.resyncs >= 1
    assert other.counters.resyncs == 0 or other.counters.timeouts + other.counters.bad_frames, (
        "one meter's doubt is not the other's"
    )


@pytest.mark.virtual_time
async def test_two_late_answers_cost_two_reads_and_the_meter_beside_it_none() -> None:
    ours, port = fake_line(0.002)
    station, other = ours.station(1), ours.station(2)
    port.tables[2] = port.tables[1]
    station.probes = ((4, 1000, 1), (4, 1000, 3), (4, 1000, 4))
    await ours.open()
    failed = 0
    for index, (function, first, count) in enumerate(QUESTIONS):
        for who in (station, other):
            if who is station and index in {3, 12}:
                port.trouble.append(NoReply("late"))
            try:
                assert await ours.read(who, function, first, count) == (first, first + 1)
            except NoReply:
                failed += 1
    assert failed == 2
    assert station.counters.resyncs == 2
    assert other.counters.resyncs == 0


@pytest.mark.virtual_time
async def test_after_a_timeout_there_is_silence_then_a_read_of_another_length() -> None:
    ours, port = fake_line(0.004)
    asked: list[tuple[float, int]] = []
    read = port.read

    async def listen(unit, function, address, count, allowed):
        asked.append((asyncio.get_running_loop().time(), count))
        return await read(unit, function, address, count, allowed)

    port.read = listen
    station = ours.station(1)
    station.probes = ((4, 0, 2), (4, 0, 4), (4, 0, 6))
    await ours.open()
    await ours.read(station, 4, 0, 60)
    slowest = station.slowest
    port.trouble.extend([NoReply("silent"), NoReply("silent")])
    with pytest.raises(NoReply):
        await ours.read(station, 4, 0, 2)
    with pytest.raises(NoReply):
        await ours.read(station, 4, 0, 2)
    assert await ours.read(station, 4, 0, 2) == (0, 1)
    counts = [count for _, count in asked]
    assert counts == [60, 2, 4, 6, 2], "no length comes twice until one reply was clean"
    for (before, _), (after, _) in pairwise(asked[1:4]):
        assert after - before >= 0.05 + 3 * slowest


async def test_a_second_copy_in_the_silence_brings_no_question_but_a_watch_for_the_next(serial) -> None:
    line, bus = serial([1], timeout="5s")
    port = ModbusPort(bus)
    ours = BusLine(bus, port)
    station = ours.station(1)
    station.probes = ((4, 0, 1),)
    await ours.open()
    line.faults.order(1, Fault("double"))
    assert await ours.read(station, 4, 1000, 2) == pattern(1, 1000, 2)
    end = time.monotonic() + 20
    while port.strays < ANSWER and time.monotonic() < end:  # noqa: ASYNC110 - the port counts, and tells nobody
        await asyncio.sleep(0.01)
    assert await ours.read(station, 4, 2000, 2) == pattern(1, 2000, 2)
    assert station.copies, "a copy that comes later still is looked for"
    assert station.counters.resyncs == 0, "one that came in the silence is no other answer"
    ours.close()


@pytest.mark.parametrize("busy", ["queue", "drop"])
async def test_no_wrong_value_from_hundreds_of_faulted_replies(serial, busy: str) -> None:
    names = ("late", "corrupt", "truncated", "foreign", "wrong_function", "wrong_count", "noise", "double")
    kinds = tuple(Fault(name, seconds=0.05 if name == "late" else None) for name in names)
    line, bus = serial([1, 2], busy=busy, timeout="50ms", turnaround=0.001)
    line.faults.kinds, line.faults.rate = kinds, 0.3
    ours = BusLine(bus, ModbusPort(bus))
    stations = [ours.station(1), ours.station(2)]
    for station in stations:
        station.probes = tuple((4, 3000, count) for count in range(1, 9))
    await ours.open()
    right = failed = 0
    for index in range(150):
        station = stations[index % 2]
        first, count = 100 * (index % 7), (2, 2, 4)[index % 3]
        try:
            words = await ours.read(station, 4, first, count)
        except (NoReply, BadFrame):
            failed += 1
            continue
        assert words == pattern(station.unit, first, count)
        right += 1
    ours.close()
    assert right > 20
    assert failed > 10


def fake_line(latency: float) -> tuple[BusLine, FakePort]:
    port = FakePort({1: lambda _, address: address}, latency=latency, has_transaction_ids=False)
    return BusLine(
        SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200, timeout="50ms"), port
    ), port


@pytest.mark.virtual_time
async def test_an_answer_that_comes_before_the_question_can_have_been_heard_is_refused() -> None:
    """A second copy of the last answer, held up by a converter until the next question is out: same unit,
    function and length.
    """
    ours, port = fake_line(0.03)
    ours.allowance = 0.0  # what is refused is not asked once more
    station = ours.station(1)
    station.probes = ((4, 0, 1),)
    await ours.open()
    for _ in range(10):
        assert await ours.read(station, 4, 1000, 2) == (1000, 1001)
    port.latency = 0.002
    with pytest.raises(BadFrame, match="before the question"):
        await ours.read(station, 4, 2000, 2)
    port.latency = 0.03
    port.stray_frames += 1  # the true answer, while the line is silent
    assert await ours.read(station, 4, 2000, 2) == (2000, 2001)
    assert [count for *_, count in port.asked[-2:]] == [1, 2]
    port.latency = 0.002
    with pytest.raises(BadFrame):
        await ours.read(station, 4, 3000, 2)


@pytest.mark.virtual_time
async def test_a_meter_that_has_become_quicker_is_believed_after_one_doubt() -> None:
    ours, port = fake_line(0.03)
    ours.allowance = 0.0
    station = ours.station(1)
    await ours.open()
    for _ in range(10):
        await ours.read(station, 4, 1000, 2)
    port.latency = 0.002
    with pytest.raises(BadFrame):
        await ours.read(station, 4, 2000, 2)
    for _ in range(5):
        assert await ours.read(station, 4, 2000, 2) == (2000, 2001)
