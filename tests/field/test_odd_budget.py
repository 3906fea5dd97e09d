"""Finding out in what a gateway's replies differ takes time, which is the other meters' too: they keep
theirs.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from field_parts import driver, meter
from odd_port import SHORT, Bench, OddPort, running

from gateway.config.schema import TcpBus
from gateway.field.bus.line import BusLine
from gateway.field.meter.reader import MeterTask
from gateway.field.port.contract import Registers
from gateway.field.port.difference import Difference, OddReply

pytestmark = pytest.mark.virtual_time
BUS = TcpBus(name="bus", type="tcp", host="h")
MINUTE = 60.0


class OddUnits(OddPort):
    """Some units answer as another one; `never`: not always as the same, so that nothing can be believed."""

    def __init__(self, odd: dict[int, int], *, never: bool = False) -> None:
        super().__init__()
        self.odd, self.never = odd, never
        self.looked_into: list[float] = []

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        registers = await super().read(unit, function, address, count, timeout)
        seen = self.odd.get(unit, unit) + (self.never and unit in self.odd and len(self.asked) % 2)
        difference = Difference("unit", unit, seen)
        if seen != unit and not self.form.foretells(difference, unit):
            self.looked_into.append(time.monotonic())
            raise OddReply(unit, difference)
        return registers


def tasks(units: range) -> list[MeterTask]:
    return [MeterTask(meter(unit, interval="1s"), driver(reads=SHORT)) for unit in units]


def all_read(bench: Bench, units: int) -> bool:
    last = [bench.of(f"m{unit}")[-1:] for unit in range(1, units + 1)]
    return all(readings and readings[0].values for readings in last)


async def good_readings(odd: range, *, never: bool) -> int:
    """Of two meters that answer as themselves, in the minute from the start."""
    port = OddUnits(dict.fromkeys(odd, 200), never=never)
    async with running(BUS, tasks(range(1, 3)) + tasks(odd), port) as bench:
        await asyncio.sleep(MINUTE)
        return sum(not reading.missing for name in ("m1", "m2") for reading in bench.of(name))


@pytest.mark.parametrize("never", [False, True], ids=["constant", "never the same"])
async def test_it_takes_no_more_than_the_share_of_lost_meters(never: bool) -> None:
    assert await good_readings(range(3, 9), never=never) >= 0.9 * 2 * MINUTE


async def test_the_control_takes_as_much_as_it_likes(monkeypatch) -> None:
    monkeypatch.setattr(BusLine, "spent_since", lambda _: 0.0)
    monkeypatch.setattr(BusLine, "may_learn", property(lambda _: True, lambda *_: None), raising=False)
    assert await good_readings(range(3, 9), never=False) < 0.85 * 2 * MINUTE


async def test_a_gateway_that_gives_one_unit_for_all_is_known_by_two_of_them() -> None:
    port = OddUnits(dict.fromkeys(range(1, 7), 255))
    async with running(BUS, tasks(range(1, 7)), port) as bench:
        await bench.until(lambda: all_read(bench, 6), 300.0)
        line = bench.worker.line
        assert [(fact.name, fact.value) for fact in line.facts.known()] == [("reply_unit", 255)]
        looked_into = len(port.looked_into)
        await asyncio.sleep(MINUTE)
        assert len(port.looked_into) == looked_into
        assert line.form.units == dict.fromkeys(range(1, 7), 255)


async def test_a_gateway_one_of_whose_units_answers_as_itself_is_not_one_that_gives_one_for_all() -> None:
    port = OddUnits({1: 255, 3: 255})
    async with running(BUS, tasks(range(1, 4)), port) as bench:
        await bench.until(lambda: all_read(bench, 3), 300.0)
        line = bench.worker.line
        assert line.facts.known() == ()
        assert line.form.units == {1: 255, 3: 255}
