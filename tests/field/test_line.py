"""How long a line waits: for an answer, for one that is late, and before it is opened again. On virtual
time.
"""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.schema import SerialBus, TcpBus
from gateway.errors import BusDown, NoReply
from gateway.field.bus.connection import BACK_OFF
from gateway.field.bus.doubts import LATENCY, LATEST
from gateway.field.bus.line import BusLine
from gateway.field.bus.station import ENOUGH
from gateway.field.port.contract import registers_of
from gateway.field.port.fake import FakePort

pytestmark = pytest.mark.virtual_time
SERIAL = SerialBus(name="bus", type="serial", port="/dev/fake", baudrate=9600)
OVER_TCP = TcpBus(name="bus", type="rtu-over-tcp", host="h", baudrate=9600)


class Patient(FakePort):
    """A port that notes how long it was told to wait."""

    def __init__(self, *units: int, **more) -> None:
        super().__init__({unit: lambda _, at: at for unit in units}, has_transaction_ids=False, **more)
        self.allowed: list[float] = []

    async def read(self, unit, function, address, count, timeout):
        self.allowed.append(timeout)
        return await super().read(unit, function, address, count, timeout)


async def opened(bus, port) -> BusLine:
    line = BusLine(bus, port)
    await line.open()
    return line


async def test_a_meter_that_was_silent_gets_twice_the_time_until_it_answers() -> None:
    port = Patient(1)
    line = await opened(SERIAL, port)
    station = line.station(1)
    wire = line.wire.time(10) + 2 * line.wire.gap
    first = LATENCY[True][1]
    port.silent.add(1)
    with pytest.raises(NoReply):
        await line.read(station, 4, 0, 10)
    assert port.allowed == [pytest.approx(wire + first)]
    assert line.timeout(station, 10) == pytest.approx(wire + 2 * first)
    port.silent.clear()
    assert await line.read(station, 4, 0, 10) == tuple(range(10))
    (*_, count) = port.asked[1]
    assert port.allowed[1] == pytest.approx(line.wire.time(count) + 2 * line.wire.gap + 2 * first), (
        "whatever it is asked first"
    )
    assert line.timeout(station, 10) == pytest.approx(wire + first), "it has answered"


async def test_behind_a_network_everybody_gets_more_time_and_the_silent_twice_as_much() -> None:
    line = await opened(OVER_TCP, Patient(1))
    station = line.station(1)
    wire = line.wire.time(10) + 2 * line.wire.gap
    _, first, most = LATENCY[False]
    assert line.timeout(station, 10) == pytest.approx(wire + first)
    station.timeouts = 1
    assert line.timeout(station, 10) == pytest.approx(wire + min(2 * first, most))


async def test_a_meter_that_is_known_gets_five_times_its_slowest_and_at_least_the_floor() -> None:
    line = await opened(SERIAL, Patient(1))
    station = line.station(1)
    wire = line.wire.time(2) + 2 * line.wire.gap
    floor, first, most = LATENCY[True]
    for _ in range(ENOUGH - 1):
        station.heard(2, 0.1, 0.04)
    assert line.timeout(station, 2) == pytest.approx(wire + first), "not known yet"
    station.heard(2, 0.1, 0.04)
    assert line.timeout(station, 2) == pytest.approx(wire + 5 * 0.04, rel=0.01)
    station.slowest = 0.001
    assert line.timeout(station, 2) == pytest.approx(wire + floor)
    station.slowest = 5.0
    assert line.timeout(station, 2) == pytest.approx(wire + most)
    station.patience = 3.0
    assert line.timeout(station, 2) == pytest.approx(wire + 3.0), "what its maker says holds"


@pytest.mark.parametrize("slowest", [0.4, 0.6, 2.0])
async def test_a_late_answer_is_waited_for_three_times_as_long_as_the_slowest_took(slowest: float) -> None:
    """An answer that takes twice as long as any before must not meet the next question."""
    port = Patient(1)
    line = await opened(SERIAL, port)
    station = line.station(1)
    for _ in range(ENOUGH):
        station.heard(2, slowest, slowest)
    assert line.late_bound(station, 10) == pytest.approx(3 * slowest + line.wire.time(10), rel=0.01)
    port.silent.add(1)
    with pytest.raises(NoReply):
        await line.read(station, 4, 0, 10)
    now = asyncio.get_running_loop().time()
    assert line.silent_until - now == pytest.approx(3 * slowest + line.wire.time(10), rel=0.01)
    other = line.station(2)
    other.slowest = 0.001
    assert line.late_bound(other, 10) == pytest.approx(LATENCY[True][1]), (
        "nobody is expected to be quicker than what it may take"
    )


async def test_no_silence_is_longer_than_its_bound_and_a_stranger_counts_as_slow_as_the_line() -> None:
    line = await opened(SERIAL, Patient(1))
    station = line.station(1)
    line.slowest = 0.7
    assert line.late_bound(station, 1) == pytest.approx(3 * 0.7 + line.wire.time(1))
    station.slowest = 100.0
    assert line.late_bound(station, 1) == LATEST


class Overtaken(Patient):
    """One answer to a read comes `by` s after its request; others, asked meanwhile, come at once and before
    it.
    """

    by = 0.0
    due = float("inf")
    answer = b""

    async def read(self, unit, function, address, count, timeout):
        asked_at = asyncio.get_running_loop().time()
        if self.by:
            self.due, self.by = asked_at + self.by, 0.0
            self.answer = registers_of(range(address, address + count))
            self.trouble.append(NoReply("late"))
        latency, met = self.latency, asked_at < self.due <= asked_at + timeout
        self.latency = self.due - asked_at if met and len(self.answer) == 2 * count else latency
        try:
            registers = await super().read(unit, function, address, count, timeout)
        finally:
            self.latency = latency
        return self.answer if met and len(self.answer) == 2 * count else registers


@pytest.mark.parametrize("by", [0.13, 0.2, 0.35, 0.5])
@pytest.mark.parametrize("timeout", [0.05, 0.1])
async def test_an_answer_that_a_network_overtakes_never_meets_another_question(
    by: float, timeout: float
) -> None:
    """However quick the meter was until then, and however short its time-out is."""
    port = Overtaken(1, latency=0.004)
    line = await opened(OVER_TCP.model_copy(update={"timeout": timeout}), port)
    station = line.station(1)
    for address in range(0, 10 * ENOUGH, 10):
        await line.read(station, 4, address, 2)
    port.by = by
    with pytest.raises(NoReply):
        await line.read(station, 4, 500, 2)
    for address in range(0, 100, 10):
        assert await line.read(station, 4, address, 2) == (address, address + 1)


async def test_a_port_that_does_not_open_is_tried_ever_more_seldom_and_at_once_after_it_was_open() -> None:
    port = Patient(1)
    line = BusLine(SERIAL, port)
    loop = asyncio.get_running_loop()
    port.down = True
    waits = []
    for _ in range(7):
        with pytest.raises(BusDown):
            await line.open()
        waits.append(line.retry_at - loop.time())
        assert line.state == "waiting"
        assert not line.ready
    assert waits == pytest.approx([0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0])
    port.down = False
    await line.open()
    assert line.ready
    assert (line.error, line.trouble) == ("", None)
    line.lost(BusDown("gone"))
    assert line.retry_at - loop.time() == pytest.approx(BACK_OFF[0])
    assert line.trouble is not None


async def test_a_lost_port_is_said_once_and_its_return(caplog) -> None:
    caplog.set_level("INFO")
    port = Patient(1)
    line = BusLine(SERIAL, port)
    port.down = True
    for _ in range(3):
        with pytest.raises(BusDown):
            await line.open()
    port.down = False
    await line.open()
    await line.open()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "is lost" in said[0]
    assert "is back" in said[1]


async def test_a_silent_connection_is_opened_again_when_every_meter_on_it_is_silent() -> None:
    port = Patient(1, 2)
    line = await opened(OVER_TCP, port)
    one, two = line.station(1), line.station(2)
    port.silent = {1}
    for _ in range(5):
        with pytest.raises(NoReply):
            await line.read(one, 4, 0, 1)
    assert line.state == "ready", "the other may be well"
    await line.read(two, 4, 0, 1)
    port.silent = {1, 2}
    for station in (one, two):
        with pytest.raises(NoReply):
            await line.read(station, 4, 0, 1)
    assert line.state == "waiting"
    assert "silent" in line.error


async def test_a_silent_serial_line_is_not_opened_again() -> None:
    port = Patient(1)
    line = await opened(SERIAL, port)
    station = line.station(1)
    port.silent = {1}
    for _ in range(4):
        with pytest.raises(NoReply):
            await line.read(station, 4, 0, 1)
    assert line.state == "ready"
    assert (station.counters.timeouts, line.counters.timeouts) == (4, 4)


class Counting(FakePort):
    """A port that counts how often it was to be opened."""

    tries = 0

    async def open(self) -> None:
        self.tries += 1
        await super().open()


async def test_a_connection_that_was_closed_for_silence_is_tried_again_at_once_but_once() -> None:
    port = Counting({1: lambda _, at: at})
    line = await opened(TcpBus(name="bus", type="tcp", host="h"), port)
    station = line.station(1)
    await line.read(station, 4, 0, 10)
    port.silent.add(1)
    for count in range(1, 9):
        if line.state == "waiting":
            break
        with pytest.raises(NoReply):
            await line.read(station, 4, 0, count)
    assert (line.state, port.tries) == ("waiting", 1), "closed for silence"
    port.down = True
    for _ in range(3):
        with pytest.raises(BusDown):
            await line.read(station, 4, 0, 10)
    assert port.tries == 2
    port.down = False
    port.silent.clear()
    await line.open()
    assert len(await line.read(station, 4, 0, 10)) == 10
