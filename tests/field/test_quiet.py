"""How long a meter must be left alone: what it needs is found and kept, the rest is not believed."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from field_parts import NAMES, driver, meter
from odd_port import SERIAL, SHORT, TCP, Bench, Deaf, OddPort, running

from gateway.config.schema import Bus
from gateway.errors import BadFrame
from gateway.field import refused
from gateway.field.learnt import Learnt
from gateway.field.meter.reader import MeterTask
from gateway.field.port.contract import Late, Registers

pytestmark = pytest.mark.virtual_time
BUSES = pytest.mark.parametrize("bus", [TCP, SERIAL], ids=["tcp", "serial"])
HOUR = 3600.0
DAY = 24 * HOUR


def after_its_own(seconds: float | list[float], *units: int) -> Deaf:
    """These units hear nothing for so long after their own answer; a list: for what it holds by then."""
    need = seconds if isinstance(seconds, list) else [seconds]
    return lambda port, unit, *_: (
        unit in units and port.sent_at < port.answered_at.get(unit, -9.0) + need[0] - 1e-6
    )


def after_anybodys(seconds: float, *units: int) -> Deaf:
    """These units hear nothing for so long after the last byte on the line."""
    return lambda port, unit, *_: unit in units and port.sent_at < port.heard_at + seconds - 1e-6


def tasks(*units: int, interval: str = "1s") -> list[MeterTask]:
    return [MeterTask(meter(unit, interval=interval), driver(reads=SHORT)) for unit in units]


def times(bench: Bench, *units: int) -> list[tuple[float, float]]:
    """What these meters get now: pause and silence."""
    stations = [bench.worker.meters[f"m{unit}"].reader.station for unit in units]
    return [(station.pause, station.min_gap) for station in stations]


def full(bench: Bench, unit: int = 1) -> bool:
    return all(set(reading.values) == set(NAMES) for reading in bench.of(f"m{unit}"))


class Stormy(OddPort):
    """A line on which everything goes wrong at times, as long as `rate` is not 0."""

    def __init__(
        self,
        silent: Deaf = lambda *_: False,
        *,
        has_transaction_ids: bool,
        kinds: tuple[str, ...] = ("lost", "damaged", "noise", "late", "dies"),
    ) -> None:
        super().__init__(silent, has_transaction_ids=has_transaction_ids)
        self.rate = 0.0
        self.kinds = kinds
        self.for_good: set[int] = set()
        self._draw = random.Random(7)
        self._dead_until: dict[int, float] = {}

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        now = asyncio.get_running_loop().time()
        kind = self._draw.choice(self.kinds) if self._draw.random() < self.rate else ""
        if kind == "dies":
            self._dead_until[unit] = now + self._draw.uniform(0.5, 20.0)
        if kind == "noise":
            self.strays += 3
        if kind == "late":
            self.late.append(Late(unit, timeout + 0.1))
        gone = kind in {"lost", "late"} or now < self._dead_until.get(unit, 0.0)
        self.dead = self.for_good | ({unit} if gone else set())
        words = await super().read(unit, function, address, count, timeout)
        if kind == "damaged":
            raise BadFrame("damaged on the line")
        return words


@BUSES
@pytest.mark.parametrize(("need", "learnt"), [(0.05, 0.075), (0.1, 0.15), (0.2, 0.3), (0.5, 0.6)])
async def test_what_is_needed_is_learnt_kept_for_days_and_costs_next_to_nothing(
    bus: Bus, need: float, learnt: float
) -> None:
    port = OddPort(after_its_own(need, 1), has_transaction_ids=bus is TCP)
    async with running(bus, tasks(1, interval="20s"), port) as bench:
        await bench.until(lambda: bench.facts().pause == learnt, 600)
        await asyncio.sleep(HOUR)
        port.unanswered.clear()
        await asyncio.sleep(DAY)
        assert bench.facts().pause == learnt
        assert 1 <= len(port.unanswered) <= 8, "it is tried at least once a day, and hardly more often"
    assert full(bench), "no value is lost on the way"
    assert bench.facts().skip == ()


async def test_soon_after_it_was_learnt_it_is_tried_again() -> None:
    port = OddPort(after_its_own(0.05, 1))
    async with running(TCP, tasks(1, interval="20s"), port) as bench:
        await bench.until(lambda: bench.facts().pause > 0.0, 600)
        port.unanswered.clear()
        await bench.until(lambda: bool(port.unanswered), 600)


@BUSES
async def test_a_need_that_ends_is_forgotten_within_a_day(bus: Bus) -> None:
    need = [0.2]
    port = OddPort(after_its_own(need, 1), has_transaction_ids=bus is TCP)
    async with running(bus, tasks(1, interval="20s"), port) as bench:
        await bench.until(lambda: bench.facts().pause == 0.3, 600)
        await asyncio.sleep(DAY)
        need[0] = 0.05
        await asyncio.sleep(DAY)
        assert bench.facts().pause == 0.075, "less will do"
        need[0] = 0.0
        await asyncio.sleep(DAY)
        assert bench.facts().known() == ()
        assert times(bench, 1) == [(0.0, 0.0)]
    assert full(bench)


@BUSES
async def test_a_need_that_begins_is_found_though_the_meter_did_without(bus: Bus) -> None:
    need = [0.0]
    port = OddPort(after_its_own(need, 1), has_transaction_ids=bus is TCP)
    async with running(bus, tasks(1, interval="5s"), port) as bench:
        await asyncio.sleep(HOUR)
        need[0] = 0.1
        await bench.until(lambda: bench.facts().pause == 0.15, 600)
        bench.readings.clear()
        await asyncio.sleep(HOUR)
        assert full(bench)


@pytest.mark.parametrize("known", [0.075, 0.15, 0.6])
@BUSES
async def test_what_the_file_says_is_questioned_when_it_is_not_needed(
    bus: Bus, known: float, tmp_path: Path
) -> None:
    before = Learnt(tmp_path / "learnt.json")
    every = tasks(1, 2, 3, interval="0s")
    for task in every:
        before.meter(bus, task.config).learn("pause", known)
        before.meter(bus, task.config).learn("silence", known)
    await before.save()
    port = OddPort(has_transaction_ids=bus is TCP, dead=(3,))
    learnt = Learnt(tmp_path / "learnt.json")
    async with running(bus, every, port, learnt) as bench:
        await asyncio.sleep(300)
        assert [bench.facts(f"m{unit}").pause for unit in (1, 2)] == [0.0, 0.0]
        if bus is SERIAL:
            assert [bench.facts(f"m{unit}").silence for unit in (1, 2)] == [0.0, 0.0]
            assert times(bench, 1, 2) == [(0.0, 0.0)] * 2


@BUSES
async def test_what_the_file_says_is_kept_when_it_is_needed(bus: Bus, tmp_path: Path) -> None:
    before = Learnt(tmp_path / "learnt.json")
    task = tasks(1, interval="5s")
    before.meter(bus, task[0].config).learn("pause", 0.3)
    await before.save()
    port = OddPort(after_its_own(0.2, 1), has_transaction_ids=bus is TCP)
    async with running(bus, task, port, Learnt(tmp_path / "learnt.json")) as bench:
        await asyncio.sleep(HOUR)
        assert bench.facts().pause == 0.3
        assert len(port.unanswered) <= 8
    assert full(bench)


@BUSES
@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
@pytest.mark.parametrize(
    ("kinds", "interval"),
    [(("lost", "damaged", "noise", "late", "dies"), "1s"), (("lost", "lost", "noise", "dies"), "0s")],
    ids=["everything", "silence"],
)
async def test_a_storm_proves_nothing_and_leaves_no_pause(
    bus: Bus, rate: float, kinds: tuple[str, ...], interval: str
) -> None:
    units = (1, 2, 3, 4, 5)
    port = Stormy(has_transaction_ids=bus is TCP, kinds=kinds)
    async with running(bus, tasks(*units, interval=interval), port) as bench:
        for _ in range(3):
            port.rate = rate
            await asyncio.sleep(200)
            assert [bench.facts(f"m{unit}").pause for unit in units] == [0.0] * 5
            assert [bench.facts(f"m{unit}").silence for unit in units] == [0.0] * 5
            port.rate, port.for_good = 0.0, {5}
            await asyncio.sleep(70)
            # What is being tried out at this moment, for the storm's last silence, comes to its end.
            await bench.until(lambda: times(bench, 1, 2, 3, 4) == [(0.0, 0.0)] * 4, 60)
            port.for_good = set()


async def test_a_storm_over_a_meter_that_needs_silence_does_not_lose_it() -> None:
    port = Stormy(after_anybodys(0.05, 2), has_transaction_ids=False)
    async with running(SERIAL, tasks(1, 2, 3, interval="5s"), port) as bench:
        await bench.until(lambda: bench.facts("m2").silence == 0.075, 300)
        port.rate = 0.2
        await asyncio.sleep(HOUR)
        port.rate = 0.0
        await asyncio.sleep(600)
        assert bench.facts("m2").silence == 0.075
        bench.readings.clear()
        await asyncio.sleep(HOUR)
        assert full(bench, 2)
        assert [bench.facts(name).silence for name in ("m1", "m3")] == [0.0, 0.0]


@BUSES
@pytest.mark.parametrize("interval", ["0s", "1s", "10s"])
async def test_a_line_full_of_meters_that_need_a_pause(bus: Bus, interval: str) -> None:
    """Each one's unanswered requests are no faults to the others."""
    units = (1, 2, 3, 4, 5)
    port = OddPort(after_its_own(0.1, *units), has_transaction_ids=bus is TCP)
    async with running(bus, tasks(*units, interval=interval), port) as bench:
        await bench.until(lambda: all(bench.facts(f"m{unit}").pause == 0.15 for unit in units), 1800)
        bench.readings.clear()
        await asyncio.sleep(HOUR)
        for unit in units:
            assert all(len(reading.values) == len(NAMES) for reading in bench.of(f"m{unit}")), unit


@BUSES
@pytest.mark.parametrize("interval", ["0s", "1s"])
async def test_what_one_meter_learns_costs_the_others_five_in_a_hundred_at_most(
    bus: Bus, interval: str
) -> None:
    async def rate(deaf: float, **facts: object) -> float:
        deaf_one = MeterTask(meter(3, interval=interval, **facts), driver(reads=SHORT))
        every = [*tasks(1, 2, interval="0s"), deaf_one]
        port = OddPort(after_its_own(deaf, 3), has_transaction_ids=bus is TCP)
        async with running(bus, every, port) as bench:
            await asyncio.sleep(600)
            return len(bench.of("m1")) + len(bench.of("m2"))

    told = await rate(0.2, pause="300ms")
    assert await rate(0.2) >= 0.95 * told


async def test_configured_times_are_not_questioned() -> None:
    port = OddPort(has_transaction_ids=False)
    task = MeterTask(meter(1, pause="150ms", interval="5s"), driver(reads=SHORT))
    async with running(SERIAL, [task], port) as bench:
        await asyncio.sleep(2 * HOUR)
        assert times(bench, 1) == [(0.15, 0.0)]


class BusyAtRandom(OddPort):
    """Unit 1 says in so many cases of a hundred that it is busy, however long it was left alone."""

    percent = 43

    def __init__(self, bus: Bus) -> None:
        super().__init__(has_transaction_ids=bus is TCP)
        self._dice = random.Random(1)

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        registers = await super().read(unit, function, address, count, timeout)
        if unit == 1 and self._dice.randrange(100) < self.percent:
            raise refused(unit, 6)
        return registers


@pytest.mark.parametrize("bus", [SERIAL, TCP])
@pytest.mark.parametrize("units", [1, 3])
async def test_a_meter_that_is_busy_at_random_keeps_its_interval(bus: Bus, units: int) -> None:
    """It is given no silence for it, and what it does answer is read."""
    port = BusyAtRandom(bus)
    tasks = [MeterTask(meter(unit), driver(reads=SHORT)) for unit in range(1, units + 1)]
    async with running(bus, tasks, port) as bench:
        await asyncio.sleep(120)
        readings = bench.of("m1")
        assert len(readings) >= 110
        assert sum(len(reading.values) for reading in readings) >= 0.5 * 8 * len(readings)
        assert not bench.facts().known()
