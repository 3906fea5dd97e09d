"""Meters that sleep until they are asked, and meters that answer only every second request. On virtual time,
but for the last ones.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time

import pytest
from field_parts import driver, meter, pattern
from odd_devices import Client, line_to, seated
from odd_port import SERIAL, SHORT, TCP, WALL, Bench, OddPort, running

from gateway.config.schema import Bus, SerialBus, TcpBus
from gateway.errors import NoReply
from gateway.field import refused
from gateway.field.bus import left_out
from gateway.field.bus.doubts import GATEWAYS
from gateway.field.bus.station import ASLEEP
from gateway.field.learnt import LEARNT_FILE, Learnt
from gateway.field.meter.reader import MeterTask
from gateway.field.port.contract import Registers

EVERY = 8
MINUTES = 30
ONE, SINGLY = "function: 4", "function: 4, max_registers: 1"


def every_second(asked: int):
    """Unit 1 answers the even ones of its requests; `asked`: how many there were."""

    def silent(_: OddPort, unit: int, *__: int) -> bool:
        nonlocal asked
        asked += unit == 1
        return unit == 1 and asked % 2 == 1

    return silent


def asleep_after(seconds: float):
    """Unit 1 hears nothing after so long without a request."""
    last = float("-inf")

    def silent(_: OddPort, unit: int, *__: int) -> bool:
        nonlocal last
        if unit != 1:
            return False
        before, last = last, time.monotonic()
        return last - before > seconds

    return silent


async def polled(bus: Bus, silent, reads: str, interval: int) -> tuple[float, float, tuple]:
    """The share of whole polls of the meter, of those of another one, and what is not asked any more."""
    port = OddPort(silent, has_transaction_ids=bus.type == "tcp")
    tasks = [MeterTask(meter(unit, interval=f"{interval}s"), driver(reads=reads)) for unit in (1, 2, 3)]
    async with running(bus, tasks, port) as bench:
        await asyncio.sleep(60 * MINUTES)
        return _share(bench, "m1", interval), _share(bench, "m2", interval), bench.facts().skip


def _share(bench: Bench, name: str, interval: int) -> float:
    """Of the second half of the time, in which what had to be found out is known; no reading may be missing
    where one is whole.
    """
    polls = 30 * MINUTES // interval
    return sum(len(reading.values) == EVERY for reading in bench.of(name)[-polls:]) / polls


@pytest.mark.virtual_time
@pytest.mark.parametrize("asked", [0, 1])
@pytest.mark.parametrize(
    ("reads", "interval"),
    [(ONE, 3), (SHORT, 3), (ONE, 10), (SHORT, 10), (SINGLY, 10), (ONE, 60), (SINGLY, 60)],
)
async def test_a_meter_that_answers_every_second_request_is_read(asked, reads, interval) -> None:
    own, others, skipped = await polled(SERIAL, every_second(asked), reads, interval)
    assert own >= 0.95
    assert others >= 0.95
    assert not skipped


@pytest.mark.virtual_time
@pytest.mark.parametrize("bus", [SERIAL, TCP])
@pytest.mark.parametrize("seconds", [0.9, 3.0, 8.0])
@pytest.mark.parametrize(("reads", "interval"), [(ONE, 3), (SHORT, 10), (SINGLY, 10), (ONE, 60), (SHORT, 60)])
async def test_a_meter_that_sleeps_is_read(bus, seconds, reads, interval) -> None:
    own, others, skipped = await polled(bus, asleep_after(seconds), reads, interval)
    assert own >= 0.95
    assert others >= 0.95
    assert not skipped


def awake_in(seconds: float, *, asleep: float = 3.0):
    """Unit 1 sleeps, and hears nothing until so long after the request that wakes it."""
    last, awake = float("-inf"), 0.0

    def silent(_: OddPort, unit: int, *__: int) -> bool:
        nonlocal last, awake
        if unit != 1:
            return False
        before, last = last, time.monotonic()
        if last - before > asleep:
            awake = last + seconds
        return last < awake

    return silent


RTU = TcpBus(name="bus", type="rtu-over-tcp", host="h", baudrate=9600)
LINE = SerialBus(name="bus", type="serial", port="/dev/fake", baudrate=9600)


@pytest.mark.virtual_time
@pytest.mark.parametrize("bus", [RTU, LINE, SERIAL])
@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0])
async def test_one_that_needs_time_to_wake_gets_it(bus, seconds) -> None:
    """With the times of a network, too, which are longer than it is awake."""
    own, others, skipped = await polled(bus, awake_in(seconds), ONE, 10)
    assert own >= 0.95
    assert others >= 0.95
    assert not skipped


@pytest.mark.virtual_time
@pytest.mark.parametrize("bus", [RTU, LINE, TCP])
@pytest.mark.parametrize("gap", [0.1, 0.4])
async def test_one_that_needs_silence_is_none_that_sleeps(bus, gap, caplog) -> None:
    """Whoever spoke last; behind a gateway, too. What it needs is learnt."""
    caplog.set_level(logging.INFO)
    end = float("-inf")

    def silent(port: OddPort, *_: int) -> bool:
        nonlocal end
        now = time.monotonic()
        if now - end < gap:
            return True
        end = now + port.latency
        return False

    port = OddPort(silent, has_transaction_ids=bus is TCP)
    tasks = [MeterTask(meter(unit, interval="10s"), driver()) for unit in (1, 2, 3)]
    async with running(bus, tasks, port) as bench:
        await asyncio.sleep(60 * MINUTES)
        assert [_share(bench, name, 10) >= 0.95 for name in ("m1", "m2", "m3")] == [True] * 3
        known = {fact.name for name in ("m1", "m2", "m3") for fact in bench.facts(name).known()}
        assert "silence" in known
        assert "sleeps_after" not in known


@pytest.mark.virtual_time
@pytest.mark.parametrize("silent", [every_second(0), asleep_after(3.0)])
async def test_without_that_neither_is_read(silent, monkeypatch) -> None:
    """The control."""
    monkeypatch.setattr(left_out, "may_be_awake", lambda *_: False)
    monkeypatch.setattr(left_out, "leave_out", lambda *_: asyncio.sleep(0, 0.0))
    own, others, _ = await polled(SERIAL, silent, ONE, 10)
    assert own <= 0.1
    assert others >= 0.95


@pytest.mark.virtual_time
async def test_who_slept_and_is_gone_is_not_asked_twice_for_ever(caplog) -> None:
    caplog.set_level(logging.INFO)
    port = OddPort(asleep_after(3.0), has_transaction_ids=False)
    tasks = [MeterTask(meter(unit, interval="10s"), driver()) for unit in (1, 2)]
    async with running(SERIAL, tasks, port) as bench:
        await asyncio.sleep(300)
        assert caplog.text.count("unit 1 answers only when it is asked a second time") == 1
        station = bench.worker.meters["m1"].reader.station
        assert station.left_out.sleeps == ASLEEP
        port.dead = {1}
        await asyncio.sleep(1200)
        assert station.left_out.sleeps == left_out.RARELY
        assert _share(bench, "m2", 10) >= 0.95
        port.dead = set()
        await bench.until(lambda: bool(bench.of("m1")[-1].values), 600)


@pytest.mark.virtual_time
async def test_noise_is_neither(caplog) -> None:
    chance = random.Random(7)
    port = OddPort(lambda *_: chance.random() < 0.3, has_transaction_ids=False)
    tasks = [MeterTask(meter(unit, interval="10s"), driver(reads=SHORT)) for unit in (1, 2, 3)]
    async with running(SERIAL, tasks, port):
        await asyncio.sleep(6 * 3600)
    assert "every second request" not in caplog.text


@pytest.mark.virtual_time
async def test_what_answers_each_request_again_is_asked_once_again(caplog) -> None:
    caplog.set_level(logging.INFO)
    odd = every_second(0)
    port = OddPort(odd, has_transaction_ids=False)
    async with running(SERIAL, [MeterTask(meter(1, interval="10s"), driver())], port) as bench:
        await asyncio.sleep(400)
        assert caplog.text.count("unit 1 answers only every second request") == 1
        assert bench.worker.health().predicted > 0.02  # what it takes is known
        port.unanswering = lambda *_: False
        await asyncio.sleep(60)
        asked, polls = len(port.asked), len(bench.of("m1"))
        await asyncio.sleep(600)
        assert len(port.asked) - asked == len(bench.of("m1")) - polls
    assert "answers each request again" in caplog.text


@pytest.mark.virtual_time
async def test_a_read_that_is_never_answered_is_none_of_them(caplog) -> None:
    port = OddPort(
        lambda _, unit, __, at, count: unit == 1 and at <= 30 < at + count, has_transaction_ids=False
    )
    tasks = [MeterTask(meter(unit, interval="10s"), driver()) for unit in (1, 2)]
    async with running(SERIAL, tasks, port) as bench:
        await asyncio.sleep(600)
        assert [span[1] for span in bench.facts().skip] == [30]
        assert len(bench.of("m1")[-1].values) == EVERY - 1
    assert "every second request" not in caplog.text


def leaves_out(sleeps: float = 0.0):
    """Each unit leaves out every second request, or the first one after so many s."""

    async def serve(client: Client) -> None:
        asked, last = 0, float("-inf")
        while True:
            request = await client.rtu_request()
            asked, before, last = asked + 1, last, time.monotonic()
            if last - before < sleeps if sleeps else asked % 2 == 0:
                client.send_rtu(request.unit, request.answer)

    return serve


async def _reads(line, who, turns: int, pause: float) -> int:
    """How many of so many reads were answered; each with its own registers."""
    answered = 0
    for first in range(1000, 1000 + 100 * turns, 100):
        try:
            assert await line.read(who, 4, first, 2) == pattern(1, first, 2)
            answered += 1
        except NoReply:
            pass
        await asyncio.sleep(pause)
    return answered


@pytest.fixture
def short(monkeypatch) -> None:
    """A time-out of a tenth of what it is behind a network."""
    monkeypatch.setattr("gateway.field.bus.doubts.LATENCY", {True: (0.05, 0.1, 0.2), False: (0.05, 0.1, 0.2)})


async def test_on_a_real_line_every_second_request_brings_its_own_registers(short) -> None:
    async with line_to(leaves_out(), kind="rtu-over-tcp", timeout="100ms") as (line, _):
        assert await _reads(line, seated(line), 24, 0.0) >= 16


async def test_on_a_real_line_who_is_woken_gives_its_own_registers(short, monkeypatch) -> None:
    monkeypatch.setattr(left_out, "LONG", left_out.IDLE)
    async with line_to(leaves_out(sleeps=0.6), kind="rtu-over-tcp", timeout="100ms") as (line, _):
        assert await _reads(line, seated(line), 16, 0.8) >= 9


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("silent", "known"),
    [(asleep_after(3.0), "sleeps_after"), (every_second(0), "answers")],
)
async def test_what_is_learnt_is_kept_over_a_restart(silent, known, tmp_path) -> None:
    tasks = [MeterTask(meter(1, interval="10s"), driver())]
    port = OddPort(silent, has_transaction_ids=False)
    learnt = Learnt(tmp_path / LEARNT_FILE)
    async with running(SERIAL, tasks, port, learnt) as bench:
        await asyncio.sleep(600)
        assert [fact.name for fact in bench.facts().known()] == [known]
    await learnt.save()
    await asyncio.sleep(60)
    async with running(SERIAL, tasks, port, Learnt(tmp_path / LEARNT_FILE)) as bench:
        await asyncio.sleep(300)
        assert sum(len(reading.values) == EVERY for reading in bench.of("m1")) >= len(bench.of("m1")) - 1
        assert len(bench.of("m1")) >= 29
        port.unanswering = lambda *_: False
        await asyncio.sleep(300)
        assert bench.facts().known() == ()
    await learnt.save()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("silent", "bus", "key"),
    [
        (asleep_after(3.0), SERIAL, {"sleeps_after": "3s"}),
        (asleep_after(3.0), TCP, {"sleeps_after": "3s"}),
        (every_second(0), SERIAL, {"answers": "every_second"}),
        (every_second(0), TCP, {"answers": "every_second"}),
    ],
)
async def test_a_key_says_it_from_the_first_poll_on(silent, bus, key) -> None:
    tasks = [MeterTask(meter(1, interval="10s", **key), driver())]
    port = OddPort(silent, has_transaction_ids=bus is TCP)
    async with running(bus, tasks, port) as bench:
        await asyncio.sleep(300)
        assert sum(len(reading.values) == EVERY for reading in bench.of("m1")) >= len(bench.of("m1")) - 1
        port.dead = {1}
        await asyncio.sleep(3600)
        port.dead = set()
        await asyncio.sleep(300)
        assert all(len(reading.values) == EVERY for reading in bench.of("m1")[-10:])
        assert [fact.configured for fact in bench.facts().known()] == [True]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("silent", "key"), [(asleep_after(3.0), {"sleeps_after": "0s"}), (every_second(0), {"answers": "all"})]
)
async def test_a_key_says_that_it_is_not_so(silent, key, caplog) -> None:
    caplog.set_level(logging.INFO)
    tasks = [MeterTask(meter(1, interval="10s", **key), driver())]
    port = OddPort(silent, has_transaction_ids=False)
    async with running(SERIAL, tasks, port) as bench:
        await asyncio.sleep(1800)
        assert sum(len(reading.values) == EVERY for reading in bench.of("m1")) <= 0.6 * len(bench.of("m1"))
    assert "asked a second time" not in caplog.text
    assert "every second request" not in caplog.text


class Unready(OddPort):
    """Unit 1 refuses the first request after 5 s without one; or its gateway does, at the time-out."""

    code, last = 2, float("-inf")

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        before = self.last
        if unit == 1:
            self.last = time.monotonic()
        if unit == 1 and self.last - before > 5.0:
            self.asked.append((unit, function, address, count))
            self.sent_at = self.last
            await asyncio.sleep(timeout if self.code in GATEWAYS else self.latency)
            self.heard_at = time.monotonic()
            raise refused(unit, self.code)
        return await super().read(unit, function, address, count, timeout)


@pytest.mark.virtual_time
@pytest.mark.parametrize("code", [2, 3, 4, 5, 6, 10, 11])
@pytest.mark.parametrize("bus", [SERIAL, TCP])
@pytest.mark.parametrize("reads", [ONE, SHORT])
async def test_who_refuses_the_first_request_after_a_pause_is_read_whole(code, bus, reads) -> None:
    port = Unready(has_transaction_ids=bus is TCP)
    port.code = code
    tasks = [MeterTask(meter(unit, interval="10s"), driver(reads=reads)) for unit in (1, 2, 3)]
    async with running(bus, tasks, port) as bench:
        await asyncio.sleep(60 * MINUTES)
        assert _share(bench, "m1", 10) >= 0.9
        assert _share(bench, "m2", 10) >= 0.95
        assert not bench.facts().skip


@pytest.mark.virtual_time
@pytest.mark.parametrize("bus", [SERIAL, TCP])
@pytest.mark.parametrize("reads", [ONE, SHORT])
@pytest.mark.parametrize("begins", [0, 4, 5, 8])
async def test_several_that_sleep_are_read(bus, reads, begins) -> None:
    """Several alike on a line are the rule: all are due at one time, and none has time to spare. `begins`: s
    after one of these times; how soon after a silence the next request comes follows from it.
    """
    await asyncio.sleep(10 - (WALL + time.monotonic()) % 10 + begins)
    last: dict[int, float] = {}

    def silent(_: OddPort, unit: int, *__: int) -> bool:
        before, last[unit] = last.get(unit, float("-inf")), time.monotonic()
        return last[unit] - before > 8.0

    port = OddPort(silent, has_transaction_ids=bus is TCP)
    tasks = [MeterTask(meter(unit, interval="10s"), driver(reads=reads)) for unit in (1, 2, 3)]
    async with running(bus, tasks, port) as bench:
        await asyncio.sleep(60 * MINUTES)
        shares = [_share(bench, name, 10) for name in ("m1", "m2", "m3")]
        assert min(shares) >= 0.9, shares
