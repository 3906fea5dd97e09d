"""Meters that are silent where others refuse, deaf after an answer, or that answer short reads only."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from field_parts import NAMES, driver, meter
from odd_port import SERIAL, SHORT, TCP, Bench, Deaf, OddPort, running

from gateway.config.schema import Bus, Meter, TcpBus
from gateway.errors import NoReply
from gateway.field.learnt import Learnt
from gateway.field.meter.planner import Rules
from gateway.field.meter.reader import MeterTask
from gateway.field.meter.skipped import SkippedRegisters
from gateway.field.port.contract import Registers
from gateway.field.port.request import refused

pytestmark = pytest.mark.virtual_time


def hole(first: int, end: int | None = None, function: int = 4) -> Deaf:
    """Reads that touch [first, end) of a function are not answered."""
    return lambda _, __, asked, at, count: (
        asked == function and at < (end or first + 1) and first < at + count
    )


@pytest.mark.parametrize("bus", [TCP, SERIAL], ids=["tcp", "serial"])
@pytest.mark.parametrize(
    ("silent", "absent"),
    [
        (hole(0), {NAMES[0]}),  # the first read of each poll
        (hole(70), {NAMES[7]}),
        (hole(30, 51), set(NAMES[3:6])),
        (hole(0, 31), set(NAMES[:4])),
        (hole(0, 51), set(NAMES[:6])),
        (hole(45), set()),  # nobody wants it, but it lies between two rows
    ],
    ids=["first", "last", "three", "half", "all-but-two", "between"],
)
async def test_what_is_never_answered_is_absent_and_the_rest_comes_at_each_poll(
    bus: Bus, silent: Deaf, absent: set[str]
) -> None:
    port = OddPort(silent, has_transaction_ids=bus is TCP)
    task = MeterTask(meter(1), driver(reads=SHORT if absent else "function: 4"))
    learnt = Learnt()
    async with running(bus, [task], port, learnt) as bench:
        await bench.until(lambda: bool(port.unanswered and bench.readings), 20)
        await bench.until(lambda: len(bench.facts().skip) >= max(1, len(absent)), 1800)
        await bench.until(lambda: time.monotonic() - port.unanswered[-1][0] > 15, 400)
        bench.readings.clear()
        port.unanswered.clear()
        await bench.until(lambda: len(bench.readings) >= 5, 20)
    for reading in bench.readings[1:]:
        assert set(reading.values) == set(NAMES) - absent
        assert reading.absent == dict.fromkeys(absent, "timeout")
        assert not reading.missing
    assert not port.unanswered, "it is not asked again"
    assert bench.worker.health().meters[0].state == "ok"
    assert {reason for *_, reason in bench.facts().skip} == {"timeout"}
    # what was learnt holds after a restart: nothing is asked in vain
    port.asked.clear()
    async with running(bus, [task], port, learnt) as again:
        await again.until(lambda: len(again.readings) >= 3, 20)
    assert all(set(reading.values) == set(NAMES) - absent for reading in again.readings)
    assert not port.unanswered


async def test_a_single_poll_brings_what_is_answered_and_says_what_is_not() -> None:
    bench = Bench(
        SERIAL, [MeterTask(meter(1), driver(reads=SHORT))], OddPort(hole(0), has_transaction_ids=False)
    )
    reading = await bench.worker.meter("m1").read()
    assert len(reading.values) >= 6
    assert not reading.missing
    assert set(reading.absent.values()) <= {"timeout"}
    assert bench.worker.meter("m1").error is None
    await bench.worker.stop()


@pytest.mark.parametrize("silent", [True, False])
async def test_a_function_that_the_meter_does_not_know_costs_its_rows_only(silent: bool) -> None:
    rows = "\n".join(
        f"{10 * index} u16 {name} kW fast decimals=0{' function=3' if index % 2 else ''}"
        for index, name in enumerate(NAMES)
    )
    port = OddPort(lambda _, __, function, *___: function == 3)
    port.refusal = 0 if silent else 11
    async with running(TCP, [MeterTask(meter(1), driver(rows, SHORT))], port) as bench:
        await bench.until(lambda: len(bench.facts().skip) >= 4, 120)
        bench.readings.clear()
        await bench.until(lambda: len(bench.readings) >= 3, 10)
    assert all(set(reading.values) == set(NAMES[::2]) for reading in bench.readings[1:])


@pytest.mark.parametrize("bus", [TCP, SERIAL], ids=["tcp", "serial"])
@pytest.mark.parametrize("limit", [1, 2, 9, 20, 40])
@pytest.mark.parametrize("gap", [1, 3])
async def test_reads_over_a_converters_buffer_are_made_shorter(bus: Bus, limit: int, gap: int) -> None:
    rows = "\n".join(f"{gap * index} u16 {name} kW fast decimals=0" for index, name in enumerate(NAMES))
    rows += f"\n{gap * len(NAMES)} u32 active_energy_import kWh fast decimals=0"
    port = OddPort(lambda _, __, ___, ____, count: count > limit, has_transaction_ids=bus is TCP)
    async with running(bus, [MeterTask(meter(1), driver(rows))], port) as bench:
        await asyncio.sleep(150)
        bench.readings.clear()
        port.unanswered.clear()
        await bench.until(lambda: len(bench.readings) >= 4, 20)
    wanted = {*NAMES, *(["active_energy_import"] if limit > 1 else [])}
    assert all(set(reading.values) == wanted for reading in bench.readings[1:]), (
        bench.facts().known(),
        bench.readings[-1],
    )
    assert not port.unanswered, bench.facts().known()


async def test_identity_registers_that_are_ignored_cost_no_value() -> None:
    rows = "\n".join(f"{10 * index} u16 {name} kW fast decimals=0" for index, name in enumerate(NAMES))
    port = OddPort(hole(1000, 1020))
    task = MeterTask(meter(1), driver(rows + "\n1000 u32 serial_number - static\n1010 u16 firmware - static"))
    async with running(TCP, [task], port) as bench:
        await bench.until(lambda: len(bench.readings) >= 40, 120)
    assert all(set(reading.values) == set(NAMES) for reading in bench.readings)
    assert len(port.unanswered) <= 10
    assert bench.facts().skipped == ((4, 1000, 1002), (4, 1010, 1011))


@pytest.mark.parametrize("bus", [TCP, SERIAL], ids=["tcp", "serial"])
@pytest.mark.parametrize(("need", "learnt"), [(0.05, 0.075), (0.1, 0.15), (0.2, 0.3), (0.5, 0.6)])
async def test_a_meter_that_is_deaf_after_its_answer_gets_a_pause(
    bus: Bus, need: float, learnt: float
) -> None:
    port = OddPort(
        lambda port, unit, *_: port.sent_at < port.answered_at.get(unit, -9.0) + need,
        has_transaction_ids=bus is TCP,
    )
    tasks = [MeterTask(meter(1, interval="5s"), driver(reads=SHORT))]
    async with running(bus, tasks, port) as bench:
        await bench.until(lambda: len(bench.readings) >= 12, 90)
        assert bench.facts().pause == learnt
        port.unanswered.clear()
        await bench.until(lambda: len(bench.readings) >= 20, 90)
    assert all(set(reading.values) == set(NAMES) for reading in bench.readings), "no value is lost on the way"
    assert not port.unanswered
    assert bench.facts().skip == ()


class BusyAfterAnswer(OddPort):
    """It says that it is busy (exception 6) for so many s after its own answer."""

    busy_for = 0.0

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        if time.monotonic() >= self.answered_at.get(unit, -9.0) + self.busy_for:
            return await super().read(unit, function, address, count, timeout)
        self.sent_at = time.monotonic()
        await asyncio.sleep(self.latency)
        self.heard_at = time.monotonic()
        self.unanswered.append((self.sent_at, self.latency, unit))
        raise refused(unit, 6)


@pytest.mark.parametrize("bus", [TCP, SERIAL], ids=["tcp", "serial"])
@pytest.mark.parametrize(("need", "learnt"), [(0.05, 0.075), (0.2, 0.3), (0.5, 0.6)])
async def test_a_meter_that_is_busy_after_its_answer_gets_a_pause(
    bus: Bus, need: float, learnt: float
) -> None:
    port = BusyAfterAnswer(has_transaction_ids=bus is TCP)
    port.busy_for = need
    async with running(bus, [MeterTask(meter(1, interval="5s"), driver(reads=SHORT))], port) as bench:
        await bench.until(lambda: bench.facts().pause == learnt, 120)
        before = len(bench.readings)
        port.unanswered.clear()
        await bench.until(lambda: len(bench.readings) >= before + 8, 90)
    assert all(set(reading.values) == set(NAMES) for reading in bench.readings[before:])
    assert not port.unanswered
    assert bench.facts().skip == ()


async def test_a_meter_that_is_busy_for_another_reason_gets_no_pause() -> None:
    """Busy for two of three requests, whenever they come: silence does not help, and nothing is learnt."""
    port = BusyAfterAnswer()
    tasks = [MeterTask(meter(unit, interval="5s"), driver(reads=SHORT)) for unit in (1, 2)]
    async with running(TCP, tasks, port) as bench:
        for turn in range(200):
            port.busy_for = 1e9 if turn % 3 else 0.0
            await asyncio.sleep(0.7)
        assert bench.facts().pause == 0.0
        port.busy_for = 0.0
        await bench.until(lambda: len(bench.of("m1")[-1].values) == len(NAMES), 90)


async def test_a_meter_that_needs_silence_whoever_spoke_gets_it_and_the_others_do_not() -> None:
    def deaf(port: OddPort, unit: int, *_: int) -> bool:
        return unit == 2 and port.sent_at < max(port.answered_at.values(), default=-9.0) + 0.05

    tasks = [MeterTask(meter(unit, interval="2s"), driver(reads="function: 4")) for unit in (1, 2, 3)]
    port = OddPort(deaf, has_transaction_ids=False)
    async with running(SERIAL, tasks, port) as bench:
        await bench.until(lambda: bench.facts("m2").silence > 0.0, 120)
        before = len(bench.of("m2"))
        port.unanswered.clear()
        await bench.until(lambda: len(bench.of("m2")) >= before + 10, 60)
    assert all(set(reading.values) == set(NAMES) for reading in bench.of("m2")[before + 1 :])
    assert not port.unanswered
    assert bench.facts("m2").silence == 0.075
    assert bench.facts("m1").silence == bench.facts("m3").silence == 0.0
    assert all(set(reading.values) == set(NAMES) for reading in bench.of("m1"))


async def test_configured_facts_are_kept_and_nothing_is_learnt() -> None:
    port = OddPort(lambda port, unit, *_: port.sent_at < port.answered_at.get(unit, -9.0) + 0.2)
    task = MeterTask(meter(1, pause="250ms"), driver(reads=SHORT))
    async with running(TCP, [task], port) as bench:
        await bench.until(lambda: len(bench.readings) >= 5, 30)
    assert all(set(reading.values) == set(NAMES) for reading in bench.readings)
    assert not port.unanswered
    port = OddPort(hole(0))
    task = MeterTask(meter(1, skip=["4:0"]), driver(reads=SHORT))
    async with running(TCP, [task], port) as bench:
        await bench.until(lambda: len(bench.readings) >= 5, 30)
    assert all(set(reading.values) == set(NAMES[1:]) for reading in bench.readings)
    assert {reason for reading in bench.readings for reason in reading.absent.values()} == {"not_available"}
    assert not port.unanswered
    port = OddPort(hole(0))
    async with running(TCP, [MeterTask(meter(1, skip=[]), driver(reads=SHORT))], port) as bench:
        await bench.until(lambda: len(bench.readings) >= 10, 60)
    assert bench.facts().skip == ()
    assert all(len(reading.values) >= 6 for reading in bench.readings[2:]), [
        len(reading.values) for reading in bench.readings
    ]


async def test_noise_teaches_nothing() -> None:
    """A meter that answers every register, at any pace, on a line that loses three frames of a hundred."""
    lost = Counter[int]()

    def noise(port: OddPort, *_: int) -> bool:
        lost["asked"] += 1
        return hash((lost["asked"] * 2654435761) & 0xFFFFFFFF) % 100 < 3

    port = OddPort(noise)
    async with running(TCP, [MeterTask(meter(1), driver(reads=SHORT))], port) as bench:
        await bench.until(lambda: len(bench.readings) >= 1500, 4000)
    assert len(port.unanswered) > 100
    assert bench.facts().known() == ()
    values = sum(len(reading.values) for reading in bench.readings)
    assert values >= 0.93 * len(bench.readings) * len(NAMES)


async def test_learning_costs_the_others_no_more_than_lost_meters_may() -> None:
    """Two meters without pause, and one with a whole group that is not answered: 5 % of the time, and what
    one read may take.
    """
    tasks = [MeterTask(meter(unit, interval="0s"), driver(reads=SHORT)) for unit in (1, 2)]
    port = OddPort(lambda _, unit, __, at, ___: unit == 3 and at < 40)
    tasks.append(MeterTask(meter(3, interval="1s"), driver(reads=SHORT)))
    async with running(TCP, tasks, port) as bench:
        await asyncio.sleep(10)
        port.unanswered.clear()
        began = time.monotonic()
        await asyncio.sleep(120)
        passed = time.monotonic() - began
    spent = sum(seconds for _, seconds, _ in port.unanswered)
    assert 0.0 < spent <= 0.06 * passed
    assert len(bench.of("m1")) > 1000
    assert all(len(reading.values) >= 4 for reading in bench.of("m3")[5:])


async def test_a_meter_that_dies_and_comes_back_loses_nothing_of_what_was_learnt_by_its_death() -> None:
    port = OddPort()
    async with running(TCP, [MeterTask(meter(1), driver(reads=SHORT))], port) as bench:
        await bench.until(lambda: len(bench.readings) >= 5, 10)
        port.dead.add(1)
        await bench.until(lambda: bench.worker.meters["m1"].lost, 40)
        await asyncio.sleep(120)
        assert bench.readings[-1].missing == "timeout"
        port.dead.clear()
        bench.readings.clear()
        await bench.until(lambda: bool(bench.readings) and bool(bench.readings[-1].values), 90)
        await bench.until(lambda: len(bench.readings[-1].values) == len(NAMES), 10)
    assert bench.facts().known() == ()
    assert "did not answer" in NoReply("unit 1 did not answer").message


async def test_a_dead_meter_is_asked_once_in_a_poll_once_it_was_known() -> None:
    port = OddPort()
    async with running(
        TCP, [MeterTask(meter(1), driver(reads=SHORT)), MeterTask(meter(2), driver(reads=SHORT))], port
    ) as bench:
        await bench.until(lambda: len(bench.of("m1")) >= 5, 10)
        port.dead.add(1)
        await bench.until(lambda: bench.worker.meters["m1"].lost, 10)
        assert len(port.unanswered) == 1
        await asyncio.sleep(3)
        assert len(port.unanswered) == 2, "its second try is one request, too"
        await asyncio.sleep(3)
        assert len(port.unanswered) == 2


async def test_what_was_silent_is_asked_again_after_a_day() -> None:
    silent = [True]
    port = OddPort(lambda _, __, ___, at, count: silent[0] and at <= 30 < at + count)
    async with running(
        TCP, [MeterTask(meter(1, interval="10min", slow_interval="10min"), driver(reads=SHORT))], port
    ) as bench:
        await bench.until(lambda: bool(bench.facts().skip), 7200)
        await asyncio.sleep(90_000)
        assert bench.facts().skipped == ((4, 30, 31),), "still silent"
        silent[0] = False
        await asyncio.sleep(90_000)
        assert bench.facts().skip == ()
        assert set(bench.readings[-1].values) == set(NAMES)


def test_what_a_poll_finds_out_is_one_line(caplog) -> None:
    caplog.set_level("INFO")
    facts = Learnt().meter(TcpBus(name="b", type="tcp", host="h"), Meter(id="m1", bus="b", driver="d"))
    skipped = SkippedRegisters("m1", facts, Rules, lambda: None)
    for first in range(31):
        skipped.add([(4, 2 * first, 2 * first + 2)], "exception_2")
    skipped.add([(3, 100, 101)], "timeout")
    skipped.tell()
    skipped.tell()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "meter m1 refuses registers 4:0-1, 4:2-3, " in told[0]
    assert "and 23 more, while it answers others" in told[0]
    assert "meter m1 does not answer registers 3:100-100, " in told[1]


@pytest.mark.parametrize("code", [1, 4, 8])
async def test_a_length_that_is_refused_as_a_failure_is_found_out(code: int) -> None:
    port = OddPort(lambda _, __, ___, ____, count: count > 12)
    port.refusal = code
    async with running(TCP, [MeterTask(meter(1), driver(reads="function: 4"))], port) as bench:
        await bench.until(lambda: bool(bench.readings) and len(bench.readings[-1].values) == len(NAMES), 300)


async def test_a_row_that_is_refused_as_a_failure_is_left_out_when_others_come() -> None:
    port = OddPort(hole(70))
    port.refusal = 4
    async with running(TCP, [MeterTask(meter(1), driver(reads="function: 4"))], port) as bench:
        await bench.until(lambda: bool(bench.facts().skip), 300)
        await bench.until(lambda: bench.readings[-1].absent == {NAMES[7]: "exception_4"}, 20)
        assert set(bench.readings[-1].values) == set(NAMES[:7])


@pytest.mark.parametrize("code", [4, 5, 6])
async def test_a_meter_in_trouble_loses_no_row_for_it(code: int) -> None:
    """It refuses everything for a while; or it is busy, which says nothing about registers."""
    port = OddPort(lambda *_: code == 4 or len(port.asked) % 3 > 0)
    port.refusal = code
    async with running(TCP, [MeterTask(meter(1), driver(reads=SHORT))], port) as bench:
        await bench.until(lambda: len(bench.readings) >= 20, 300)
        assert not bench.facts().skip
        assert not bench.facts().max_registers
        port.unanswering = lambda *_: False
        await bench.until(lambda: len(bench.readings[-1].values) == len(NAMES), 60)
