"""A refusal that takes long brings nothing and takes the line, as a silence does: it is paid from the share
of the lost meters, whatever its code, of all that a meter has or of a part. One that comes at once costs
nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from field_parts import NAMES, driver, meter
from odd_devices import Client, served

from gateway.config.schema import TcpBus
from gateway.errors import NotReady, Refused
from gateway.field import BusWorker, MeterTask
from gateway.field.health import PollState
from gateway.field.port.contract import Registers, registers_of
from gateway.field.port.fake import FakePort
from gateway.field.port.request import refused
from gateway.model import Reading
from tests.waiting import until

SHORT = "function: 4, max_registers: 15"
"""Four reads for the eight rows."""
SERVES = 0.08
"""s that the gateway takes for a request that is answered."""
LIVING, ODD = ("m1", "m2"), "m9"

Refuses = Callable[[int, int], tuple[float, int] | None]
"""For first register and count of a read of the odd meter: s, and the exception that comes then; or None."""


class Gateway(FakePort):
    """Serves one request after another."""

    def __init__(self, refuses: Refuses, serves: float = SERVES) -> None:
        super().__init__({})
        self.refuses, self.serves = refuses, serves
        self.refused: list[tuple[float, float]] = []
        """When a refusal came, and what it took."""
        self.free_at = 0.0
        self.waits: tuple[float, Refused] | None = None

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        now = self.sent_at = time.monotonic()
        self.asked.append((unit, function, address, count))
        odd = self.refuses(address, count) if unit == 9 else None
        self.free_at = max(self.free_at, now) + (odd[0] if odd else self.serves)
        self.waits = (self.free_at, refused(unit, odd[1])) if odd else None
        await asyncio.sleep(min(self.free_at - now, timeout))
        if self.free_at - now > timeout:
            return await self.overdue(0.0)
        return self.answer(registers_of(range(address, address + count)))

    def answer(self, registers: Registers) -> Registers:
        self.heard_at = time.monotonic()
        if self.waits is not None:
            self.refused.append((self.heard_at, self.heard_at - self.sent_at))
            raise self.waits[1]
        return registers

    async def overdue(self, timeout: float) -> Registers:
        """No answer of this gateway is late but for its refusals: it is waited for as long as it takes."""
        assert self.waits is not None
        await asyncio.sleep(self.waits[0] - time.monotonic())
        return self.answer(b"")


async def polled(
    refuses: Refuses, seconds: float, *, serves: float = SERVES, rows: str = SHORT
) -> tuple[dict[str, list[Reading]], Gateway, BusWorker]:
    """The readings of each meter in so many s."""
    readings: dict[str, list[Reading]] = {name: [] for name in (*LIVING, ODD)}
    tasks = [MeterTask(meter(unit, interval="5s"), driver(reads=rows)) for unit in (1, 2, 9)]
    port = Gateway(refuses, serves)
    worker = BusWorker(
        TcpBus(name="bus", type="tcp", host="h"),
        tasks,
        lambda reading: readings[reading.meter].append(reading),
        port=port,
        wall=lambda: 1_795_278_300.0 + time.monotonic(),
    )
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(seconds)
    await worker.stop()
    await task
    return readings, port, worker


def good(readings: list[Reading]) -> int:
    return sum(not reading.missing for reading in readings)


CODES = [1, 2, 3, 4, 5, 6, 8, 10, 11]


@pytest.mark.virtual_time
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("takes", [1.0, 4.0])
async def test_one_that_refuses_all_after_long_costs_the_others_what_a_lost_one_costs(
    code: int, takes: float
) -> None:
    readings, port, worker = await polled(lambda *_: (takes, code), 600.0)
    assert min(good(readings[name]) for name in LIVING) >= 0.94 * 120
    assert sum(took for _, took in port.refused) <= 0.05 * 600.0 + 3 * takes, "first polls are not saved for"
    assert worker.health().meters[2].state is PollState.LOST
    assert {reading.missing for reading in readings[ODD]} == {f"exception_{code}"}


@pytest.mark.virtual_time
@pytest.mark.parametrize("code", CODES)
async def test_one_whose_reads_are_refused_in_part_after_long_keeps_its_values_and_the_others_theirs(
    code: int,
) -> None:
    """All reads with register 40 or 50, of which each takes 4 s."""
    refuses = lambda first, count: (4.0, code) if first < 51 and first + count > 40 else None  # noqa: E731
    readings, *_ = await polled(refuses, 600.0)
    assert min(good(readings[name]) for name in LIVING) >= 0.94 * 120
    whole = readings[ODD][-60:]
    assert min(len(reading.values) for reading in whole) >= 6
    assert {reading.absent.get(NAMES[4]) for reading in whole} == {f"exception_{code}"}


@pytest.mark.virtual_time
@pytest.mark.parametrize("code", [2, 4, 6])
async def test_a_meter_that_is_slow_and_gives_values_keeps_its_interval(code: int) -> None:
    """Each answer takes 1.2 s, and so does the refusal of the one read that it does not answer."""
    refuses = lambda first, count: (1.2, code) if first <= 70 < first + count else None  # noqa: E731
    readings, *_ = await polled(refuses, 600.0, serves=0.4)
    assert good(readings[ODD]) >= 0.9 * 120
    assert all(NAMES[0] in reading.values for reading in readings[ODD][-60:])


@pytest.mark.virtual_time
@pytest.mark.parametrize("code", CODES[:-2])
async def test_refusals_that_come_at_once_are_heard_at_each_interval(code: int) -> None:
    """The control: nothing is put off that costs nobody anything."""
    readings, _, worker = await polled(lambda *_: (0.02, code), 120.0)
    assert len(readings[ODD]) >= 23
    assert min(good(readings[name]) for name in LIVING) >= 23
    assert worker.health().meters[2].state is PollState.OK
    assert {reading.missing for reading in readings[ODD]} == {f"exception_{code}"}


@pytest.mark.virtual_time
async def test_many_refusals_that_are_not_slow_by_themselves_are_paid_for_together() -> None:
    readings, port, _ = await polled(lambda *_: (0.45, 4), 600.0)
    assert min(good(readings[name]) for name in LIVING) >= 0.9 * 120
    assert sum(took for _, took in port.refused) <= 0.05 * 600.0 + 4 * 0.45


@pytest.mark.virtual_time
async def test_a_meter_that_was_refused_after_long_is_back_with_its_first_answer() -> None:
    end = time.monotonic() + 60.0
    readings, *_ = await polled(lambda *_: (4.0, 4) if time.monotonic() < end else None, 400.0)
    assert [bool(reading.missing) for reading in readings[ODD][-20:]] == [False] * 20
    assert all(len(reading.values) == len(NAMES) for reading in readings[ODD][-20:])


@pytest.mark.virtual_time
async def test_a_meter_that_is_busy_for_long_loses_no_register_for_it() -> None:
    end = time.monotonic() + 200.0
    refuses = lambda first, _: (2.0, 6) if first == 40 and time.monotonic() < end else None  # noqa: E731
    readings, _, worker = await polled(refuses, 400.0)
    assert isinstance(refused(9, 6), NotReady)
    assert not worker.meters[ODD].reader.facts.skip
    assert all(len(reading.values) == len(NAMES) for reading in readings[ODD][-20:])


@pytest.mark.parametrize("code", [4, 11])
async def test_on_a_real_connection_a_slow_refusal_is_asked_for_as_seldom_as_a_silence(code: int) -> None:
    asked: list[int] = []

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            asked.append(request.unit)
            if request.unit == 9:
                await asyncio.sleep(0.8)
                client.send(request.number, request.unit, request.refused(code))
            else:
                client.send(request.number, request.unit, request.answer)

    async with served(serve) as plant:
        readings: list[Reading] = []
        tasks = [MeterTask(meter(unit, interval="200ms"), driver(reads=SHORT)) for unit in (1, 9)]
        bus = TcpBus(name="bus", type="tcp", host="127.0.0.1", port=plant.port)
        worker = BusWorker(bus, tasks, readings.append)
        task = asyncio.create_task(worker.run())
        await until(lambda: any(r.meter == ODD for r in readings))
        count = len(asked)
        await until(lambda: asked[count:].count(1) >= 80)
        assert asked[count:].count(9) <= 1
        assert {r.missing for r in readings if r.meter == ODD} == {f"exception_{code}"}
        await worker.stop()
        await task
