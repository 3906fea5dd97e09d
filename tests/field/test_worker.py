"""A worker per bus: who is polled when, what a lost meter may cost, what a reading holds. On virtual time:
counts are exact.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from field_parts import NAMES, driver, meter

from gateway.catalogue import load_text
from gateway.config.schema import SerialBus, TcpBus
from gateway.errors import BadFrame, BusDown, GatewayError, NoReply, Refused
from gateway.field.meter.reader import MeterTask
from gateway.field.port.fake import FakePort
from gateway.field.worker import BusWorker
from gateway.model import Reading

pytestmark = pytest.mark.virtual_time
WALL = 1_795_278_300.0
"""UTC in s at monotonic 0."""
TCP = TcpBus(name="bus", type="tcp", host="h", timeout="50ms")
SERIAL = SerialBus(name="bus", type="serial", port="/dev/fake", baudrate=115200, timeout="50ms")


def table(unit: int):
    return lambda _, address: address + 1000 * unit


def wall() -> float:
    return WALL + time.monotonic()


def tables(*units: int):
    return {unit: table(unit) for unit in units}


class Bench:
    """A worker with what came out of it."""

    def __init__(self, bus, tasks, port, **more) -> None:
        self.readings: list[Reading] = []
        self.events = []
        self.port = port
        self.worker = BusWorker(
            bus, tasks, self.readings.append, self.events.append, port=port, **{"wall": wall, **more}
        )

    def of(self, name: str) -> list[Reading]:
        return [reading for reading in self.readings if reading.meter == name]

    async def until(self, condition, seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (
                f"not within {seconds} s; {len(self.readings)} readings, {self.worker.health()}"
            )
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(bus, tasks, port, **more) -> AsyncIterator[Bench]:
    bench = Bench(bus, tasks, port, **more)
    task = asyncio.create_task(bench.worker.run())
    try:
        yield bench
    finally:
        await bench.worker.stop()
        await asyncio.wait_for(task, 5)


async def test_every_meter_is_polled_at_once_and_then_on_its_boundaries() -> None:
    port = FakePort(tables(1, 2, 3))
    starts: list[float] = []
    tasks = [MeterTask(meter(unit, interval="500ms"), driver()) for unit in (1, 2, 3)]
    began = wall()
    async with running(TCP, tasks, port) as bench:
        bench.worker._sink = lambda reading: (starts.append(wall()), bench.readings.append(reading))
        await bench.until(lambda: len(bench.readings) >= 9)
    assert {reading.meter for reading in bench.readings[:3]} == {"m1", "m2", "m3"}
    assert starts[2] - began < 0.01
    for at in starts[3:9]:
        assert at % 0.5 < 0.01, "on the boundary, or a little late; never before"


async def test_a_reading_has_every_value_by_absolute_address_and_the_middle_of_its_span() -> None:
    port = FakePort(tables(7), latency=0.05)
    task = MeterTask(meter(7), driver())
    bench = Bench(TCP, [task], port, uptime=lambda: round(time.monotonic() * 1000))
    before = time.monotonic() * 1000
    reading = await bench.worker.meter("m7").read()
    after = time.monotonic() * 1000
    await bench.worker.stop()
    assert reading.values == {name: 7000 + 10 * index for index, name in enumerate(NAMES)}
    assert (reading.absent, reading.missing, reading.suspect) == ({}, "", ())
    assert after - before > 49
    assert abs(reading.uptime - (before + after) / 2) < 2
    assert bench.readings == [reading]
    assert bench.worker.meter("m7").registers[0][:2] == (4, 0)


async def test_one_dead_meter_of_five_hardly_costs_the_others_anything() -> None:
    port = FakePort(tables(1, 2, 3, 4, 5), latency=0.001)
    tasks = [MeterTask(meter(unit, interval="0s"), driver()) for unit in range(1, 6)]
    async with running(SERIAL, tasks, port) as bench:
        await bench.until(lambda: all(len(bench.of(f"m{unit}")) > 20 for unit in range(1, 6)))
        bench.readings.clear()
        await asyncio.sleep(1.0)
        alive = Counter(reading.meter for reading in bench.readings)
        port.silent.add(3)
        bench.readings.clear()
        port.asked.clear()
        await asyncio.sleep(3.0)
        after = Counter(reading.meter for reading in bench.readings)
        asked = Counter(unit for unit, *_ in port.asked)
    for unit in (1, 2, 4, 5):
        assert after[f"m{unit}"] / 3 >= 0.9 * alive[f"m{unit}"]
    assert asked[3] <= 4, "the first timeout ends its turn; the next probe is twenty times its cost away"


async def test_all_lost_meters_share_one_budget_of_five_percent() -> None:
    port = FakePort(tables(1), latency=0.001)
    tasks = [MeterTask(meter(unit, interval="0s"), driver()) for unit in range(1, 9)]
    spent: list[tuple[float, float, int]] = []
    read = port.read

    async def watch(unit, function, address, count, allowed):
        began = time.monotonic()
        try:
            return await read(unit, function, address, count, allowed)
        finally:
            if unit != 1:
                spent.append((began, time.monotonic() - began, unit))

    port.read = watch
    bus = TCP.model_copy(update={"timeout": 0.02})
    async with running(bus, tasks, port) as bench:
        await bench.until(lambda: len(spent) >= 7)
        assert len(spent) == 7, "each is asked once before it is known to be lost"
        began = time.monotonic()
        await asyncio.sleep(4.0)
        passed = time.monotonic() - began
    probes = [entry for entry in spent if entry[0] >= began]
    assert sum(seconds for _, seconds, _ in probes) <= 0.08 * passed
    assert len({unit for *_, unit in probes}) >= min(len(probes), 5), "they take turns"
    assert len(probes) >= 3, "but nobody is forgotten"
    assert len(bench.of("m1")) > 100


async def test_a_lost_meter_says_so_at_each_of_its_times_and_is_found_again() -> None:
    port = FakePort(tables(1))
    port.silent.add(1)
    async with running(TCP, [MeterTask(meter(1, interval="200ms"), driver())], port) as bench:
        await bench.until(lambda: len(bench.readings) >= 4, 30.0)
        assert [reading.missing for reading in bench.readings[:4]] == ["timeout"] * 4
        assert all(not reading.values and not reading.absent for reading in bench.readings)
        assert bench.worker.health().meters[0].state == "lost"
        asked = len(port.asked)
        assert asked <= 6, "once or twice, and once after each pause between connecting and asking"
        port.silent.clear()
        await bench.until(lambda: bench.readings[-1].values, 70.0)
        assert bench.worker.health().meters[0].state == "ok"
        assert bench.worker.health().meters[0].error == ""


async def test_poll_retries_a_lost_meter_now() -> None:
    port = FakePort(tables(1))
    port.silent.add(1)
    async with running(SERIAL, [MeterTask(meter(1, interval="10s"), driver())], port) as bench:
        await bench.until(lambda: bench.readings)
        port.silent.clear()
        reading = await asyncio.wait_for(bench.worker.meter("m1").read(), 5)
        assert len(reading.values) == len(NAMES)
        with pytest.raises(GatewayError, match="its meters are m1"):
            await bench.worker.meter("m9").read()


async def test_late_polls_are_skipped_counted_and_said(caplog) -> None:
    port = FakePort(tables(1, 2), latency=0.15)
    tasks = [MeterTask(meter(unit, interval="100ms"), driver()) for unit in (1, 2)]
    async with running(TCP, tasks, port) as bench:
        await asyncio.sleep(2.0)
        health = bench.worker.health()
        polls = len(bench.readings)
    assert polls <= 15, "a bus that needs 0.3 s for both gives no more"
    assert abs(len(bench.of("m1")) - len(bench.of("m2"))) <= 1, "and both get their share"
    assert health.counters.missed >= 10
    assert "cannot hold its intervals" in health.warning
    assert caplog.text.count("cannot hold its intervals") == 1


async def test_an_illegal_address_costs_its_own_value_only_and_is_not_asked_again() -> None:
    words = {address: address for address in range(100)}
    del words[40]
    port = FakePort({1: words})
    bench = Bench(TCP, [MeterTask(meter(1), driver(reads="function: 4, max_registers: 125"))], port)
    reading = await bench.worker.meter("m1").read()
    bad = NAMES[4]
    assert reading.absent == {bad: "exception_2"}
    assert set(reading.values) == set(NAMES) - {bad}
    port.asked.clear()
    again = await bench.worker.meter("m1").read()
    assert again.absent == {bad: "exception_2"}
    assert again.values == reading.values
    assert len(port.asked) == 2, "the rows on either side, each in one read"
    assert not any(first <= 40 < first + count for _, _, first, count in port.asked)
    await bench.worker.stop()


async def test_registers_between_the_rows_that_may_not_be_read_are_found_too() -> None:
    words = {address: address for address in range(100) if address != 45}
    port = FakePort({1: words})
    bench = Bench(TCP, [MeterTask(meter(1), driver())], port)
    assert set((await bench.worker.meter("m1").read()).values) == set(NAMES)
    port.asked.clear()
    assert set((await bench.worker.meter("m1").read()).values) == set(NAMES)
    assert len(port.asked) == 2
    await bench.worker.stop()


@pytest.mark.parametrize("code", [1, 4, 5, 6, 8])
async def test_another_exception_invalidates_the_read_and_does_not_lose_the_meter(code: int) -> None:
    port = FakePort(tables(1))
    port.refuse[1] = code
    bench = Bench(TCP, [MeterTask(meter(1), driver())], port)
    reading = await bench.worker.meter("m1").read()
    assert reading.missing == f"exception_{code}"
    assert bench.worker.health().counters.exceptions == {code: 1}
    (health,) = bench.worker.health().meters
    assert health.state == "ok"
    assert ("it is asked again" in health.error) is (code in {5, 6}), "what to do, not which table"
    assert ("switch it off and on again" in health.error) is (code in {4, 8}), "likewise"
    port.refuse.clear()
    assert not (await bench.worker.meter("m1").read()).missing
    assert bench.worker.health().meters[0].error == ""
    await bench.worker.stop()


@pytest.mark.parametrize(("code", "told"), [(4, "off and on"), (8, "off and on"), (6, "other masters")])
async def test_a_meter_that_only_complains_of_itself_is_in_the_log_once(code: int, told: str, caplog) -> None:
    caplog.set_level("INFO", "gateway.field")
    port = FakePort(tables(1))
    bench = Bench(TCP, [MeterTask(meter(1), driver())], port)
    for codes, count in ((None, 0), (code, 0), (None, 0), (code, 0), (code, 1), (code, 1), (None, 1)):
        port.refuse = {} if codes is None else {1: codes}
        await bench.worker.meter("m1").read()
        said = [each.getMessage() for each in caplog.records if "gives nothing" in each.getMessage()]
        assert len(said) == count, "a single one may pass"
    assert "(address 1) gives nothing: unit 1 refused with exception" in said[0]
    assert told in said[0]
    assert [each.getMessage() for each in caplog.records][-1] == "meter m1 on bus bus is back"
    await bench.worker.stop()


@pytest.mark.parametrize("code", [10, 11])
async def test_a_gateway_that_says_the_meter_is_absent_makes_it_lost(code: int) -> None:
    port = FakePort(tables(1))
    port.refuse[1] = code
    bench = Bench(TCP, [MeterTask(meter(1), driver())], port)
    assert (await bench.worker.meter("m1").read()).missing == f"exception_{code}"
    assert bench.worker.health().meters[0].state == "lost"
    await bench.worker.stop()


async def test_a_bad_frame_invalidates_exactly_its_own_values() -> None:
    port = FakePort(tables(1))
    port.trouble.extend([None, BadFrame("noise"), BadFrame("noise")])
    bench = Bench(TCP, [MeterTask(meter(1), driver(reads="function: 4, max_registers: 35"))], port)
    reading = await bench.worker.meter("m1").read()
    assert set(reading.absent.values()) == {"bad_frame"}
    assert set(reading.values) | set(reading.absent) == set(NAMES)
    assert 0 < len(reading.absent) < len(NAMES)
    await bench.worker.stop()


async def test_a_read_that_was_lost_on_the_way_is_asked_again_in_the_same_poll_while_the_meter_is_new() -> (
    None
):
    port = FakePort(tables(1))
    port.trouble.extend([None, NoReply("silent")])
    bench = Bench(TCP, [MeterTask(meter(1), driver(reads="function: 4, max_registers: 35"))], port)
    reading = await bench.worker.meter("m1").read()
    assert len(reading.values) == len(NAMES)
    assert not reading.absent
    await bench.worker.stop()


async def test_a_meter_that_falls_silent_in_the_middle_keeps_what_came_and_its_turn_ends() -> None:
    port = FakePort(tables(1))
    bench = Bench(TCP, [MeterTask(meter(1), driver(reads="function: 4, max_registers: 15"))], port)
    for _ in range(3):
        assert not (await bench.worker.meter("m1").read()).absent
    reads = len(port.asked) // 3
    assert reads == 4
    port.asked.clear()
    port.trouble.extend([None, *[NoReply("silent")] * 9])
    reading = await bench.worker.meter("m1").read()
    assert reading.values
    assert set(reading.absent.values()) == {"timeout"}
    assert len(port.asked) == 3, "the fourth is not tried"
    assert not bench.worker.meters["m1"].lost, "something of it was answered"
    port.silent.add(1)
    assert (await bench.worker.meter("m1").read()).missing == "timeout"
    assert bench.worker.meters["m1"].lost
    await bench.worker.stop()


CLASSES = """
0 u16 active_power kW fast
10 u32 active_energy_import kWh slow decimals=0
20 u32 serial_number - static
"""


async def test_classes_are_read_together_only_when_they_are_due() -> None:
    port = FakePort(tables(1))
    task = MeterTask(meter(1, interval="200ms", slow_interval="800ms"), driver(CLASSES))
    async with running(TCP, [task], port) as bench:
        await bench.until(lambda: len(bench.readings) >= 10)
    sets = [frozenset(reading.values) for reading in bench.readings]
    assert sets[0] == {"active_power", "active_energy_import"}
    assert sets.count(frozenset({"active_power"})) >= 5
    assert 2 <= sets.count(sets[0]) <= 4
    assert [first for _, _, first, _ in port.asked].count(20) == 2, (
        "static once, and once more to be sure of the serial number"
    )
    assert bench.worker.meter("m1").attributes == {"serial_number": str(1020 << 16 | 1021)}


async def test_another_serial_number_is_an_event_and_makes_the_values_suspect() -> None:
    words = {0: 5, 10: 0, 11: 7, 20: 0, 21: 4711}
    port = FakePort({1: lambda _, address: words.get(address, 0)})
    bench = Bench(TCP, [MeterTask(meter(1, serial="0004712"), driver(CLASSES))], port)
    reading = await bench.worker.meter("m1").read()
    assert set(reading.suspect) == set(reading.values)
    await bench.worker.meter("m1").read()
    assert [(event.kind, event.fields) for event in bench.events] == [
        ("serial_mismatch", {"meter": "m1", "expected": "0004712", "read": "4711"})
    ]
    words[21] = 4712
    assert (await bench.worker.meter("m1").read()).suspect == ()
    assert bench.events[-1].kind == "serial_match"
    await bench.worker.stop()


async def test_a_bus_that_is_down_is_told_once_and_comes_back(caplog) -> None:
    caplog.set_level("INFO")
    port = FakePort(tables(1, 2))
    port.down = True
    tasks = [MeterTask(meter(unit, interval="100ms"), driver(CLASSES)) for unit in (1, 2)]
    async with running(TCP, tasks, port) as bench:
        await bench.until(lambda: len(bench.readings) >= 6)
        assert {reading.missing for reading in bench.readings} == {"timeout"}
        assert bench.worker.health().state == "waiting"
        port.down = False
        await bench.until(lambda: all(bench.of(name)[-1].values for name in ("m1", "m2")))
        port.down = True
        await bench.until(lambda: bench.readings[-1].missing)
        port.down = False
        await bench.until(lambda: bench.readings[-1].values)
        await bench.until(lambda: [first for _, _, first, _ in port.asked].count(20) >= 3)
    assert caplog.text.count("bus bus is lost") == 2
    assert caplog.text.count("bus bus is back") == 2
    assert "meter m1" not in caplog.text


async def test_without_pause_a_lost_bus_is_not_hammered() -> None:
    port = FakePort(tables(1))
    port.down = True
    opened = 0
    original = port.open

    async def count() -> None:
        nonlocal opened
        opened += 1
        await original()

    port.open = count
    async with running(TCP, [MeterTask(meter(1, interval="0s"), driver())], port) as bench:
        await asyncio.sleep(1.0)
    assert opened <= 5
    assert len(bench.readings) <= 8


async def test_what_cannot_be_understood_costs_one_meter_its_poll_and_nobody_else(caplog) -> None:
    port = FakePort({1: lambda *_: "no number", 2: table(2)})
    tasks = [MeterTask(meter(unit, interval="100ms"), driver()) for unit in (1, 2)]
    async with running(TCP, tasks, port) as bench:
        await bench.until(lambda: len(bench.of("m2")) >= 4)
    assert all(reading.missing == "bad_frame" for reading in bench.of("m1"))
    assert "could not be understood" in caplog.text


async def test_next_due_is_the_earliest_poll_due_or_running() -> None:
    port = FakePort(tables(1), latency=0.2)
    bench = Bench(TCP, [], port)
    assert bench.worker.next_due() is None
    async with running(TCP, [MeterTask(meter(1, interval="10s"), driver())], port) as bench:
        await bench.until(lambda: port.asked)
        assert bench.worker.next_due() <= time.monotonic()
        await bench.until(lambda: bench.readings)
        assert 0 < bench.worker.next_due() - time.monotonic() <= 11


async def test_stop_is_quick_and_leaves_nobody_waiting() -> None:
    port = FakePort({}, latency=0.0)
    bus = TCP.model_copy(update={"timeout": 5.0})
    bench = Bench(bus, [MeterTask(meter(1), driver())], port)
    task = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: port.asked)
    waiting = asyncio.create_task(bench.worker.meter("m1").read())
    await asyncio.sleep(0.01)
    began = time.monotonic()
    await bench.worker.stop()
    await asyncio.wait_for(task, 1)
    assert time.monotonic() - began < 1
    with pytest.raises((BusDown, asyncio.CancelledError)):
        await waiting
    assert not port.connected


async def test_a_wall_clock_that_is_set_moves_the_deadlines() -> None:
    shift = 0.0
    port = FakePort(tables(1))
    async with running(
        TCP, [MeterTask(meter(1, interval="10s"), driver())], port, wall=lambda: wall() + shift
    ) as bench:
        await bench.until(lambda: bench.readings)
        before = bench.worker.next_due()
        shift = 3.3
        bench.worker._alarm.wake()
        await bench.until(
            lambda: (
                abs((bench.worker.next_due() - before + 3.3) % 10) < 0.2
                or abs((bench.worker.next_due() - before + 3.3) % 10) > 9.8
            )
        )


async def test_noise_is_forgiven_once_before_a_meter_is_lost() -> None:
    port = FakePort(tables(1))
    bench = Bench(TCP, [MeterTask(meter(1), driver())], port)
    port.trouble.extend([BadFrame("noise")] * 2)
    assert (await bench.worker.meter("m1").read()).missing == "bad_frame"
    assert not bench.worker.meters["m1"].lost
    assert (await bench.worker.meter("m1").read()).values
    port.trouble.extend([BadFrame("noise")] * 3)
    await bench.worker.meter("m1").read()
    await bench.worker.meter("m1").read()
    assert bench.worker.meters["m1"].lost
    await bench.worker.stop()


VARIANTS = """
maker: T
model: T
verified: simulator
source: tests
reads: {function: 4}
variants:
  - name: new
    when: {address: 100, values: [7]}
    registers: |
      10 u16 active_power kW fast
registers: |
  20 u16 active_power kW fast
"""


async def test_a_driver_with_variants_looks_at_the_meter_first_and_again_when_it_was_lost() -> None:
    words = {100: 7, 10: 110, 20: 120}
    port = FakePort({1: words})
    bench = Bench(TCP, [MeterTask(meter(1), load_text(VARIANTS, "test-variants"))], port)
    assert (await bench.worker.meter("m1").read()).values == {"active_power": 110}
    words[100] = 8
    assert (await bench.worker.meter("m1").read()).values == {"active_power": 110}
    port.silent.add(1)
    for _ in range(3):
        assert (await bench.worker.meter("m1").read()).missing == "timeout"
    port.silent.clear()
    assert (await bench.worker.meter("m1").read()).values == {"active_power": 120}
    await bench.worker.stop()


async def test_a_meter_that_refuses_every_other_length_is_believed_after_two_silences() -> None:
    port = FakePort(tables(1), has_transaction_ids=False)
    read = port.read

    async def watch(unit, function, address, count, allowed):
        if count != 2:
            raise Refused("only whole values", 2)
        return await read(unit, function, address, count, allowed)

    port.read = watch
    task = MeterTask(meter(1), driver("0 u32 active_energy_import kWh fast decimals=0"))
    bench = Bench(SERIAL, [task], port)
    assert (await bench.worker.meter("m1").read()).values
    await asyncio.sleep(3.0)  # so long after its last answer, nothing is a copy of it
    port.trouble.append(NoReply("silent"))
    assert (await bench.worker.meter("m1").read()).missing == "timeout"
    assert (await bench.worker.meter("m1").read()).values
    assert bench.worker.health().counters.resyncs == 2
    await bench.worker.stop()


async def test_a_line_that_turns_out_slow_gets_another_plan() -> None:
    port = FakePort(tables(1))
    read = port.read

    async def slow(unit, function, address, count, allowed):
        per_register = 0.0005 if len(port.asked) > 20 else 0.0
        await asyncio.sleep(per_register * count)
        words = await read(unit, function, address, count, allowed)
        port.sent_at -= per_register * count
        return words

    port.read = slow
    rows = "0 u16 active_power kW fast\n1 u32 active_energy_import kWh fast\n60 u16 heat_power kW fast"
    async with running(TCP, [MeterTask(meter(1, interval="0s"), driver(rows))], port) as bench:
        await bench.until(lambda: len(port.asked) > 15)
        assert {(first, count) for _, _, first, count in port.asked[:15]} == {(0, 61)}
        await bench.until(lambda: port.asked[-1][2:] in {(0, 3), (60, 1)}, 30)
        assert bench.worker.health().meters[0].reads == 2


async def test_reads_of_one_length_do_not_follow_each_other_and_the_shortest_is_first() -> None:
    port = FakePort(tables(1))
    rows = (
        "0 u16 active_power kW fast\n100 u16 heat_power kW fast\n200 u32 active_energy_import kWh "
        "fast\n300 u16 dc_power kW fast"
    )
    bench = Bench(SERIAL, [MeterTask(meter(1), driver(rows, "function: 4, max_registers: 10"))], port)
    await bench.worker.meter("m1").read()
    assert [count for *_, count in port.asked] == [1, 2, 1, 1]
    await bench.worker.stop()


@pytest.mark.parametrize("lengths", [(40, 2, 9), (7, 30, 1, 12), (3, 2, 1)])
async def test_the_shortest_read_goes_first_whatever_stands_first_in_the_table(lengths) -> None:
    """It finds out that the meter has died: the shorter it is, the less that costs the others."""
    port = FakePort(tables(1))
    rows = []
    for index, length in enumerate(lengths):
        rows.append(f"{1000 * index} u16 {NAMES[2 * index]} kW fast")
        if length > 1:
            rows.append(f"{1000 * index + length - 1} u16 {NAMES[2 * index + 1]} kW fast")
    bench = Bench(
        SERIAL, [MeterTask(meter(1), driver("\n".join(rows), "function: 4, max_registers: 50"))], port
    )
    await bench.worker.meter("m1").read()
    assert [count for *_, count in port.asked] == sorted(lengths)
    await bench.worker.stop()


async def test_what_another_meter_refused_is_asked_of_the_one_that_is_put_in_its_place() -> None:
    lacking = set(range(8))
    port = FakePort({1: lambda _, at: at})
    read = port.read

    async def refusing(unit, function, address, count, allowed):
        words = await read(unit, function, address, count, allowed)
        if lacking & set(range(address, address + count)):
            raise Refused("illegal address", 2)
        return words

    port.read = refusing
    bench = Bench(TCP, [MeterTask(meter(1), driver())], port)
    assert NAMES[0] in (await bench.worker.meter("m1").read()).absent
    asked = len(port.asked)
    assert NAMES[0] in (await bench.worker.meter("m1").read()).absent
    assert all(first >= 8 for *_, first, _ in port.asked[asked:]), "known by now, and left out"
    lacking.clear()
    assert NAMES[0] not in (await bench.worker.meter("m1").read()).values, (
        "nothing says that it is another meter"
    )
    bench.worker.meters["m1"].reader.forget()
    assert (await bench.worker.meter("m1").read()).values[NAMES[0]] == 0
    await bench.worker.stop()
