"""A gateway that serves one request after another, and waits long for a dead meter: whatever the moment in
which it begins, the others keep their readings.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from field_parts import driver, meter

from gateway.config.schema import TcpBus
from gateway.errors import BusDown, NoReply, Refused
from gateway.field.bus.line import BusLine
from gateway.field.meter.reader import MeterTask
from gateway.field.port.contract import Late, Registers, registers_of
from gateway.field.port.fake import FakePort
from gateway.field.worker import CAP, BusWorker
from gateway.model import Reading

pytestmark = pytest.mark.virtual_time
SERVES = 0.08
"""s that the gateway takes for a request to a meter that is there."""
INTERVAL, SECONDS = 5.0, 120.0


class Queue(FakePort):
    """One request after another; `dead` units are waited for `hold` s, and then refused with exception 11."""

    def __init__(self, dead: set[int], hold: float) -> None:
        super().__init__({})
        self.dead, self.hold, self.free_at = dead, hold, 0.0
        self.open_request: tuple[float, int, int, int] | None = None
        """When it is served, its unit, first register and count."""
        self.previous: tuple[float, int, int, int] | None = None
        self.waiting = False

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        if not self.connected:
            raise BusDown("closed")
        now = self.sent_at = time.monotonic()
        self.asked.append((unit, function, address, count))
        self.free_at = max(self.free_at, now) + (self.hold if unit in self.dead else SERVES)
        self.previous, self.open_request = self.open_request, (self.free_at, unit, address, count)
        return await self.overdue(timeout)

    async def overdue(self, timeout: float) -> Registers:
        assert self.open_request is not None
        done, unit, address, count = self.open_request
        left = done - time.monotonic()
        self.waiting = True
        await asyncio.sleep(min(max(left, 0.0), timeout))
        self.waiting = False
        if left > timeout:
            request, sent_at = self.open_request, self.sent_at
            asyncio.get_running_loop().call_at(done, self.come_late, request, sent_at)
            raise NoReply(f"unit {unit} did not answer")
        self.heard_at = time.monotonic()
        if unit in self.dead:
            raise Refused("refused with exception 11", 11)
        return registers_of(range(address, address + count))

    def come_late(self, request: tuple[float, int, int, int], sent_at: float) -> None:
        done, unit, *_ = request
        if request is self.open_request and self.heard_at >= done:
            return  # it was waited for after all
        self.heard_at = done
        behind = self.waiting and request is self.previous
        self.late.append(Late(unit, done - sent_at, behind, unit in self.dead, done))
        self.on_late()


class Drops(Queue):
    """What is asked while it serves another request is never answered."""

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        if time.monotonic() >= self.free_at:
            return await super().read(unit, function, address, count, timeout)
        self.sent_at = time.monotonic()
        self.asked.append((unit, function, address, count))
        self.previous, self.open_request = self.open_request, (float("inf"), unit, address, count)
        return await self.overdue(timeout)

    async def overdue(self, timeout: float) -> Registers:
        assert self.open_request is not None
        done, unit, *_ = self.open_request
        if done < float("inf"):
            return await super().overdue(timeout)
        self.waiting = True
        await asyncio.sleep(timeout)
        self.waiting = False
        raise NoReply(f"unit {unit} did not answer")


class Closes(Queue):
    """Whoever asks while it serves another request is hung up on, and what it owed is lost with that."""

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        if self.connected and time.monotonic() < self.free_at:
            self.sent_at = time.monotonic()
            self.asked.append((unit, function, address, count))
            self.open_request = None
            self.close()
            raise BusDown("the connection was closed")
        return await super().read(unit, function, address, count, timeout)

    def come_late(self, request: tuple[float, int, int, int], sent_at: float) -> None:
        if request in {self.open_request, self.previous}:
            super().come_late(request, sent_at)


class SilentOfDead(Queue):
    """Nothing ever comes of a dead unit: neither an exception nor a late one."""

    async def overdue(self, timeout: float) -> Registers:
        if self.open_request is not None and self.open_request[1] in self.dead:
            self.waiting = True
            await asyncio.sleep(timeout)
            self.waiting = False
            raise NoReply(f"unit {self.open_request[1]} did not answer")
        return await super().overdue(timeout)

    def come_late(self, request: tuple[float, int, int, int], sent_at: float) -> None:
        if request[1] not in self.dead:
            super().come_late(request, sent_at)


class SilentDrops(SilentOfDead, Drops):
    """Both."""


class SilentCloses(SilentOfDead, Closes):
    """Both."""


async def readings_of(
    hold: float,
    dead: tuple[int, ...],
    begins: float,
    kind: type[Queue] = Queue,
    seconds: float = SECONDS,
) -> dict[str, int]:
    """Good ones of each living meter; it begins so many s after a boundary of the interval."""
    readings: list[Reading] = []
    units = (1, 2, 3, *dead)
    tasks = [
        MeterTask(meter(unit, interval="5s"), driver(reads="function: 4, max_registers: 40"))
        for unit in units
    ]
    bus, offset = TcpBus(name="bus", type="tcp", host="h"), begins - time.monotonic()
    worker = BusWorker(
        bus,
        tasks,
        readings.append,
        port=kind(set(dead), hold),
        wall=lambda: 1_795_278_300.0 + offset + time.monotonic(),
    )
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(seconds)
    await worker.stop()
    await task
    return {f"m{unit}": sum(r.meter == f"m{unit}" and not r.missing for r in readings) for unit in (1, 2, 3)}


async def within(seconds: float, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("begins", [0.1, 1.5, 3.0, 4.5])
@pytest.mark.parametrize(("hold", "dead"), [(3.0, (9,)), (5.0, (9,)), (5.0, (8, 9))])
async def test_whenever_it_begins_the_living_ones_keep_their_readings(
    hold: float, dead: tuple[int, ...], begins: float
) -> None:
    good = await readings_of(hold, dead, begins)
    assert min(good.values()) >= 0.85 * SECONDS / INTERVAL, good


@pytest.mark.parametrize("begins", [0.1, 1.5, 3.0, 4.5])
@pytest.mark.parametrize("hold", [3.0, 5.0])
async def test_one_that_drops_what_comes_meanwhile_costs_no_living_one_its_place(
    hold: float, begins: float
) -> None:
    good = await readings_of(hold, (9,), begins, Drops)
    assert min(good.values()) >= 0.85 * SECONDS / INTERVAL, good


@pytest.mark.parametrize("begins", [0.1, 1.5, 3.0, 4.5])
@pytest.mark.parametrize("hold", [3.0, 5.0])
async def test_one_that_hangs_up_on_what_comes_meanwhile_costs_no_living_one_its_place(
    hold: float, begins: float
) -> None:
    good = await readings_of(hold, (9,), begins, Closes)
    assert min(good.values()) >= 0.85 * SECONDS / INTERVAL, good


@pytest.mark.parametrize("begins", [0.1, 3.0])
@pytest.mark.parametrize("hold", [3.0, 5.0, 8.0, 12.0])
@pytest.mark.parametrize("kind", [Closes, SilentDrops, SilentCloses])
async def test_one_that_serves_nobody_meanwhile_is_found_out_and_costs_what_lost_meters_share(
    kind: type[Queue], hold: float, begins: float
) -> None:
    """The exception of the dead unit may never come: how long it keeps the others waiting is learnt."""
    good = await readings_of(hold, (9,), begins, kind, 1200.0)
    assert min(good.values()) >= 0.94 * 1200.0 / INTERVAL, good


async def test_a_gateway_that_falls_silent_beside_a_dead_meter_is_waited_for_once() -> None:
    """The control: all that is behind it is gone, so that no meter is waited for in turn."""
    port, readings = SilentDrops({9}, 3.0), list[Reading]()
    tasks = [MeterTask(meter(unit, interval="5s"), driver()) for unit in (*range(1, 9), 9)]
    worker = BusWorker(
        TcpBus(name="bus", type="tcp", host="h"),
        tasks,
        readings.append,
        port=port,
        wall=lambda: 1_795_278_300.0 + time.monotonic(),
    )
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(60.0)
    await within(400.0, lambda: port.asked[-1][0] == 9)
    port.dead, port.hold = set(range(1, 10)), 0.0  # they fall silent while the dead one is asked
    await within(45.0, lambda: all(each.lost for each in worker.meters.values()))
    await worker.stop()
    await task


@pytest.mark.parametrize("hears", [True, False])
async def test_who_was_given_up_is_asked_again_when_its_late_reply_comes(monkeypatch, hears: bool) -> None:
    """The control hears late replies with the next request only. No second try comes before."""
    monkeypatch.setattr(BusLine, "_owed", lambda *_: 0.0)
    monkeypatch.setattr(BusLine, "try_costs", lambda *_: CAP)
    if not hears:
        monkeypatch.setattr(BusLine, "came_late", lambda _: [])
    good = [await readings_of(5.0, (9,), begins) for begins in (0.1, 1.5, 3.0, 4.5)]
    assert (min(min(each.values()) for each in good) >= 0.7 * SECONDS / INTERVAL) == hears, good
