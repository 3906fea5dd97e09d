"""A meter as its bus polls it: what it is asked once, what is forgotten with it, and what its bus makes of
its times. On virtual time.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from field_parts import NAMES, driver, meter
from odd_port import SERIAL, SHORT, TCP, Bench, OddPort, running

from gateway.catalogue import load_text
from gateway.errors import BusDown, NoReply
from gateway.field.bus.line import BusLine
from gateway.field.meter.poll import Poll
from gateway.field.meter.reader import MeterReader, MeterTask
from gateway.field.meter.silent_read import SILENT
from gateway.field.meter.state import PolledMeter
from gateway.field.port.fake import FakePort
from gateway.field.schedule import Due
from gateway.field.worker import CLOCK_CHECK, LOAD_CHECK, STEP, BusWorker

pytestmark = pytest.mark.virtual_time
FAST = Due(fast=True)


async def reader_on(port: FakePort, table=None, bus=TCP) -> MeterReader:
    line = BusLine(bus, port)
    await line.open()
    return MeterReader(MeterTask(meter(1), table or driver(reads=SHORT)), line, lambda: 0)


def polled(bus=SERIAL, table=None, **more) -> PolledMeter:
    line = BusLine(bus, FakePort({}, has_transaction_ids=bus is TCP))

    async def never(_meter: PolledMeter):
        raise AssertionError

    return PolledMeter(MeterTask(meter(1, **more), table or driver()), line, lambda: 0, never)


# -- what it is asked


async def test_an_identity_register_that_is_refused_is_asked_again_only_when_it_may_be_another_meter() -> (
    None
):
    table = load_text(
        "maker: A\nmodel: B\nverified: one-source\nsource: s\nreads: {function: 4}\n"
        "identity: {function: 4, address: 500, type: u16, values: [7]}\n"
        "registers: |\n  0 u16 active_power W fast\n",
        "a-b",
    )
    port = FakePort({1: {0: 5}})
    reader = await reader_on(port, table)
    everything = Due(fast=True, slow=True, static=True)
    for _ in range(3):
        assert (await reader.read(Poll(everything))).reading.values
    assert [first for _, _, first, _ in port.asked].count(500) == 1
    reader.forget()
    await reader.read(Poll(everything))
    assert [first for _, _, first, _ in port.asked].count(500) == 2


async def test_its_longest_read_is_known_once_it_was_answered() -> None:
    reader = await reader_on(OddPort())
    assert reader.registers.longest == 0
    await reader.read(Poll(FAST))
    assert reader.registers.longest == max(read.count for read in reader.reads(FAST)) > 1


@pytest.mark.parametrize("loss", [0.0, 0.5])
async def test_where_much_is_lost_no_register_that_was_ever_answered_is_left_out(loss: float) -> None:
    """Else a night of noise would cost the values of a day. The control, a line that loses nothing, leaves it
    out.
    """
    port = OddPort()
    reader = await reader_on(port)
    await reader.read(Poll(FAST))
    port.unanswering = lambda _, __, ___, at, count: at <= 30 < at + count
    for _ in range(20):
        reader.registers._loss = loss
        await reader.read(Poll(FAST, allowance=5.0))
    assert [first for _, first, _, _ in reader.facts.skip] == ([] if loss else [30])


async def test_what_was_being_found_out_is_forgotten_with_the_meter() -> None:
    port = OddPort(lambda _, __, ___, at, count: at <= 30 < at + count)
    reader = await reader_on(port)
    for _ in range(4):
        await reader.read(Poll(FAST, allowance=0.3))
    assert reader.skipped._open, "a read is being looked into"
    reader.forget()
    assert not reader.skipped._open


async def test_two_reads_in_a_row_that_are_not_answered_end_a_poll() -> None:
    """The meter is there, it has answered the first one; what it does not answer costs the others time."""
    table = driver(reads="function: 4, max_registers: 1")
    port = OddPort()
    reader = await reader_on(port, table)
    assert len((await reader.read(Poll(FAST))).reading.values) == len(NAMES)
    before = len(port.asked)
    order = [read.address for read in reader.reads(FAST)]
    port.unanswering = lambda _, __, ___, at, ____: at != order[0]
    poll = await reader.read(Poll(FAST))
    assert set(poll.reading.values) == {NAMES[order[0] // 10]}
    asked = [first for _, _, first, _ in port.asked[before:]]
    assert len(set(asked)) == 3, "the first, and two that were silent"
    assert set(poll.reading.absent.values()) == {"timeout"}


async def test_a_part_that_was_answered_before_and_is_silent_now_is_absent_and_asked_again() -> None:
    port = OddPort(dead=(1,))
    reader = await reader_on(port)
    read, poll = reader.reads(FAST)[0], Poll(FAST)
    await reader.registers.plainly(read, poll)
    assert poll.again
    assert [failure[:3] for failure in poll.replies.failures] == [read.place]
    assert poll.replies.first_reason == NoReply.reason


async def test_a_read_that_is_answered_when_it_is_looked_into_came_too_soon_when_that_happens_twice() -> None:
    reader = await reader_on(OddPort())
    registers, read = reader.registers, reader.reads(FAST)[0]
    for pause in (0.0, 0.15):
        poll = Poll(FAST, allowance=5.0)
        poll.answered = True
        registers._unanswered[read] = (SILENT, 0.01, 0.01)
        await registers._read_one(read, poll)
        assert reader.station.pause == pause
    assert not registers._unanswered, "why it was not answered is clear"


# -- what others ask of it


async def test_it_is_reachable_while_its_bus_is_open() -> None:
    one = polled(TCP)
    assert one.reachable is False
    await one.line.open()
    assert one.reachable is True


def test_its_state_holds_since_it_began() -> None:
    one = polled()
    one.begin(77.0)
    assert one.health().since == 77.0
    one.mark_ok(80.0, None)
    one.mark_ok(90.0, None)
    assert one.health().since == 80.0


def test_a_lost_meter_gets_silence_at_each_second_probe_and_at_each_fourth_once_it_was_well() -> None:
    def wanted(one: PolledMeter) -> list[int]:
        found = []
        for failures in range(1, 9):
            one.mark_lost(NoReply("silent"), 0.0, 1.0, 1.0)
            if one.wants_silence:
                found.append(failures)
        return found

    one = polled()
    assert wanted(one) == [2, 4, 6, 8]
    one.mark_ok(5.0, None)
    assert not one.wants_silence
    assert wanted(one) == [4, 8]
    assert wanted(polled(TCP)) == [], "there is no line to fall silent"


async def test_who_answers_in_its_place_is_told_by_both_numbers() -> None:
    one = polled(table=driver("0 u16 active_power W fast\n20 u32 serial_number - static"))
    for number in ("4711", "4711", "4712", "4712"):
        one.identify({"serial_number": number}, 5)
    assert one.other_serial == ("4711", "4712")
    pinned = polled(serial="4711")
    assert pinned.other_serial is None
    pinned.identify({"serial_number": "4712"}, 5)
    assert pinned.other_serial == ("4711", "4712")
    pinned.identify({"serial_number": "4711"}, 6)
    assert pinned.other_serial is None


def test_what_its_polls_take_is_the_fast_ones_and_what_the_slow_ones_add() -> None:
    rows = "0 u16 active_power kW fast\n1000 u32 active_energy_import kWh slow"
    one = polled(table=driver(rows), interval="10s", slow_interval="40s")
    fast, both = one.reader.predicted(FAST), one.reader.predicted(Due(fast=True, slow=True))
    assert both > 1.5 * fast > 0.0
    assert one.predicted_load() == pytest.approx(fast / 10 + (both - fast) / 40)
    seldom = polled(table=driver(rows), interval="1min", slow_interval="40s")
    assert seldom.predicted_load() == pytest.approx(both / 60), "the slow ones come with the fast ones"
    assert polled(interval="0s").predicted_load() == 0.0


# -- its bus


def test_the_next_of_the_others_is_asked_for_whoever_is_first() -> None:
    tasks = [MeterTask(meter(unit), driver()) for unit in (1, 2, 3)]
    worker = BusWorker(TCP, tasks, lambda _: None, port=FakePort({}))
    one, two, three = worker.meters.values()
    for each, at in ((one, 10.0), (two, 20.0), (three, 30.0)):
        each.schedule.fast_at = each.schedule.slow_at = at
    queue = worker._queue
    queue.rebuild()
    assert queue.next(0.0, 0.0) == (one, 10.0)
    assert queue.next(0.0, 0.0, but=two) == (one, 10.0)
    assert queue.next(0.0, 0.0, but=one) == (two, 20.0)


async def test_a_bus_warns_when_its_polls_need_more_than_all_of_its_time() -> None:
    async def warning(interval: str) -> str:
        port = OddPort(latency=0.05)
        async with running(TCP, [MeterTask(meter(1, interval=interval), driver(reads=SHORT))], port) as bench:
            await bench.until(lambda: len(bench.readings) > 20, 60)
            health = bench.worker.health()
            assert (health.predicted > 1.0) == bool(health.warning)
            return health.warning

    assert await warning("1s") == ""
    assert "cannot hold its intervals" in await warning("100ms")


async def test_what_the_polls_take_is_added_up_now_and_then(monkeypatch) -> None:
    bench = Bench(TCP, [MeterTask(meter(1), driver(reads=SHORT))], OddPort())
    looks = []
    monkeypatch.setattr(bench.worker, "_check_load", lambda _: looks.append(len(bench.readings)))
    for _ in range(2 * LOAD_CHECK + 1):
        await bench.worker.meter("m1").read()
    assert looks == [0, LOAD_CHECK, 2 * LOAD_CHECK]
    await bench.worker.stop()


async def test_a_wall_clock_that_drifts_takes_the_polls_with_it() -> None:
    """By less than a step at a time: nothing is said, and each poll is due on the clock of its own moment."""
    drift = [0.0]
    bench = Bench(
        TCP, [MeterTask(meter(1, interval="10s", slow_interval="10s"), driver(reads=SHORT))], OddPort()
    )
    bench.worker._wall = lambda: 1_795_278_300.0 + time.monotonic() + drift[0]
    polls: list[float] = []
    bench.worker._sink = lambda _: polls.append(bench.worker._wall())
    task = asyncio.create_task(bench.worker.run())
    await asyncio.sleep(25)
    for _ in range(5):
        drift[0] += 0.8 * STEP
        await asyncio.sleep(CLOCK_CHECK)
    polls.clear()
    await asyncio.sleep(35)
    assert len(polls) >= 3
    assert all(at % 10 < 0.3 for at in polls), [at % 10 for at in polls]
    await bench.worker.stop()
    await asyncio.wait_for(task, 5)


CLASSES = [
    ("7s", "0 u16 active_power kW fast", 3600 / 7),
    ("7s", "0 u32 active_energy_import kWh slow", 60),
    ("7s", "0 u16 active_power kW fast\n10 u32 active_energy_import kWh slow", 3600 / 7 + 60 * 6 / 7),
]


@pytest.mark.parametrize(("interval", "rows", "polls"), CLASSES, ids=["fast", "slow", "both"])
async def test_a_class_that_its_table_does_not_have_makes_no_poll(
    interval: str, rows: str, polls: float
) -> None:
    """Each would be a reading of nothing, by which nobody knows whether the meter is there."""
    table = driver(rows + "\n100 u32 serial_number - static")
    async with running(TCP, [MeterTask(meter(1, interval=interval), table)], OddPort()) as bench:
        await asyncio.sleep(3600)
        assert all(reading.values for reading in bench.readings)
        assert len(bench.readings) == pytest.approx(polls, rel=0.1)
        assert bench.worker.meters["m1"].attributes["serial_number"] == "6553701"


async def test_after_its_port_was_opened_anew_a_lost_meter_is_asked_at_once() -> None:
    """Another one may be plugged in there; it does not wait for the end of its back-off."""
    port = OddPort(dead=(2,))
    tasks = [MeterTask(meter(unit, interval="1s"), driver(reads=SHORT)) for unit in (1, 2)]
    async with running(SERIAL, tasks, port) as bench:
        two = bench.worker.meters["m2"]
        await bench.until(lambda: two.lost, 30)
        await asyncio.sleep(30)
        two.probe_at = time.monotonic() + 1000
        bench.worker._queue.put(two)
        port.close()
        port.down = True
        bench.worker.line.lost(BusDown("unplugged"))
        await asyncio.sleep(3)
        port.dead.clear()
        port.down = False
        await bench.until(lambda: bool(bench.of("m2")[-1].values), 30)


def test_one_that_is_gone_for_months_is_asked_every_few_seconds_at_the_soonest() -> None:
    one, waits = polled(), []
    for _ in range(3000):
        one.mark_lost(NoReply("silent"), 0.0, 0.0, 30.0)
        waits.append(one.probe_at)
        one._paid_at = 0.0
    assert waits[:4] == [1.0, 2.0, 3.0, 4.0]
    assert set(waits[4:]) == {5.0}


async def test_who_answers_but_no_read_of_its_table_says_so() -> None:
    """It was found by a check read, so it is not lost; what is wrong is told all the same."""

    def silent(_: OddPort, unit: int, _function: int, address: int, count: int) -> bool:
        return unit == 1 and (address, count) != (0, 1)

    port = OddPort(silent, has_transaction_ids=False)
    async with running(
        SERIAL, [MeterTask(meter(1, interval="10s"), driver(reads="function: 4"))], port
    ) as bench:
        told = set()
        for _ in range(180):
            await asyncio.sleep(10)
            polled_ = bench.worker.meters["m1"]
            reading = bench.of("m1")[-1]
            if reading.missing:
                told.add(polled_.error.message if polled_.error else "")
        port.unanswering = lambda *_: False
        await asyncio.sleep(1800)
        assert bench.of("m1")[-1].values
        assert bench.worker.meters["m1"].error is None
    assert "meter m1 answers, but none of the reads of its table" in told
    assert "" not in told, "a meter without a value has a reason"
