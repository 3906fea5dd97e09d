"""Values that are made of registers which come with several reads: whatever changes between two of them, no
value is one that the meter never had. On virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from field_parts import driver, meter
from odd_port import TCP

from gateway.catalogue import Driver
from gateway.errors import NoReply
from gateway.field.bus.line import BusLine
from gateway.field.forecast import forecast_bus
from gateway.field.meter.poll import Poll
from gateway.field.meter.reader import MeterReader, MeterTask
from gateway.field.port.fake import FakePort
from gateway.field.schedule import Due

pytestmark = pytest.mark.virtual_time
FAST = Due(fast=True)
SHORT = "function: 4, max_registers: 10"
"""No read reaches from the first registers to those behind 20."""
POLLS = 4


class Kind:
    """What two registers far apart say together, before and after they change: `states`, address → word."""

    def __init__(self, rows: str, *states: dict[int, int], name: str = "voltage_l1n") -> None:
        self.rows, self.states, self.name = rows, states, name

    def true(self) -> set[float]:
        """The values of whole states."""
        return {reading.values[self.name] for reading in (asyncio.run(self._whole(s)) for s in self.states)}

    async def _whole(self, state: dict[int, int]):
        return await polled(await reader_on(FakePort({1: state_at(state)}), driver(self.rows, SHORT)))


def state_at(state: dict[int, int]) -> Callable[[int, int], int]:
    return lambda _, at: state.get(at, 0)


KINDS = {
    "power of ten behind it": Kind("0 u16 voltage_l1n V fast sf=40", {0: 2301, 40: 0xFFFF}, {0: 230, 40: 0}),
    "power of ten before it": Kind("40 u16 voltage_l1n V fast sf=0", {40: 2301, 0: 0xFFFF}, {40: 230, 0: 0}),
    "powers crossed": Kind(
        "0 u16 voltage_l1n V fast sf=41\n40 u16 voltage_l2n V fast sf=1",
        {0: 2301, 41: 0xFFFF, 40: 2301, 1: 0xFFFF},
        {0: 230, 41: 0, 40: 230, 1: 0},
    ),
    "one power for two reads": Kind(
        "0 u16 voltage_l1n V fast sf=40\n20 u16 voltage_l2n V fast sf=40",
        {0: 2301, 20: 2301, 40: 0xFFFF},
        {0: 230, 20: 230, 40: 0},
    ),
    "ratio": Kind("0 u16 voltage_l1n V fast times=_vt\n40 u16 _vt 1 fast", {0: 115, 40: 2}, {0: 46, 40: 5}),
    "ratio with a power of ten": Kind(
        "0 u16 voltage_l1n V fast times=_vt\n40 u16 _vt 1 fast sf=80",
        {0: 115, 40: 20, 80: 0xFFFF},
        {0: 46, 40: 5, 80: 0},
    ),
    "sign in another register": Kind(
        "0 u16 active_power W fast sign=_flags.bit0\n40 u16 _flags 1 fast",
        {0: 5000, 40: 0},
        {0: 300, 40: 1},
        name="active_power",
    ),
    "whole and fraction": Kind(
        "- sum active_energy_import kWh fast of=_whole+_rest\n40 u16 _whole kWh fast\n0 u16 _rest Wh fast",
        {40: 41, 0: 999},
        {40: 42, 0: 0},
        name="active_energy_import",
    ),
    "three parts": Kind(
        "- sum active_energy_import kWh fast of=_high+_whole+_rest\n80 u16 _high 1000kWh fast\n"
        "40 u16 _whole kWh fast\n0 u16 _rest Wh fast",
        {80: 7, 40: 999, 0: 999},
        {80: 8, 40: 0, 0: 0},
        name="active_energy_import",
    ),
    "high word with a power of ten of its own": Kind(
        "- sum active_energy_import kWh fast of=_high+_low\n40 u16 _high 1000kWh fast sf=80\n"
        "0 u16 _low kWh fast",
        {40: 70, 80: 0xFFFF, 0: 999},
        {40: 71, 80: 0xFFFF, 0: 0},
        {40: 7, 80: 0, 0: 999},
        name="active_energy_import",
    ),
    **{
        f"power of ten of a number that is another's sign: {name}": Kind(
            "0 s16 active_power W fast sf=80\n40 u16 reactive_power var fast sign=active_power",
            {0: 5000, 40: 70, 80: 0xFFFF},
            {0: 0x10000 - 300, 40: 80, 80: 0},
            name=name,
        )
        for name in ("active_power", "reactive_power")
    },
    "power of ten of a number between two keys": Kind(
        "3 u16 voltage_l1n V fast sf=80\n20 u16 voltage_l2n V fast sf=0\n40 u16 voltage_l3n V fast sf=5",
        {3: 2301, 80: 0xFFFF, 0: 0, 5: 0},
        {3: 230, 80: 0, 0: 1, 5: 1},
    ),
}


async def reader_on(port: FakePort, table: Driver) -> MeterReader:
    line = BusLine(TCP, port)
    await line.open()
    return MeterReader(MeterTask(meter(1), table), line, lambda: 0)


async def polled(reader: MeterReader):
    return (await reader.read(Poll(FAST))).reading


async def changing_at(request: int, kind: Kind, before: dict[int, int], after: dict[int, int]):
    """The readings of some polls of a meter that changes before one of its requests."""
    port = FakePort({})
    port.tables[1] = lambda _, at: (before if len(port.asked) < request else after).get(at, 0)
    reader = await reader_on(port, driver(kind.rows, SHORT))
    readings = [await polled(reader) for _ in range(POLLS)]
    return readings, len(port.asked) // POLLS


def changes(kind: Kind) -> list[tuple[list, int]]:
    """What came of a change at each request of the second poll and the first."""
    pairs = [(a, b) for a in kind.states for b in kind.states if a is not b]
    found = []
    for before, after in pairs:
        _, each = asyncio.run(changing_at(0, kind, before, after))
        found += [asyncio.run(changing_at(at, kind, before, after)) for at in range(1, 2 * each + 2)]
    return found


@pytest.mark.parametrize("name", KINDS)
def test_no_value_is_of_two_moments(name: str) -> None:
    kind = KINDS[name]
    true = kind.true()
    for readings, _ in changes(kind):
        values = [reading.values.get(kind.name) for reading in readings]
        assert {value for value in values if value is not None} <= true
        assert values.count(None) <= 2, "only the poll in which it changed, or the one after it"
        assert values[-1] is not None
        assert {reason for reading in readings for reason in reading.absent.values()} <= {"implausible"}


@pytest.mark.parametrize("name", KINDS)
def test_the_faults_are_faults(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded as they come, some of these values were never true."""
    kind = KINDS[name]
    true = kind.true()
    monkeypatch.setattr(MeterReader, "_doubt", lambda *_: None)
    values = {reading.values.get(kind.name) for readings, _ in changes(kind) for reading in readings}
    assert values - true


@pytest.mark.parametrize("name", KINDS)
def test_what_one_read_holds_costs_no_other(name: str) -> None:
    kind = KINDS[name]
    if "ratio" in name:  # two reads are cheaper; it costs none beside them
        reader = asyncio.run(reader_on(FakePort({}), driver(kind.rows, "function: 4")))
        assert len({read.place for read in reader.reads(FAST)}) == len(reader.reads(FAST)) <= 3
        return
    reads = forecast_bus(TCP, [MeterTask(meter(1), driver(kind.rows, "function: 4"))]).meters[0].fast
    assert len(reads) == 1


def test_a_ratio_is_read_last_and_no_more_often() -> None:
    reader = asyncio.run(reader_on(FakePort({}), driver(KINDS["ratio"].rows, SHORT)))
    assert [read.address for read in reader.reads(FAST)] == [0, 40]


async def test_a_power_that_changes_with_every_request_is_never_believed() -> None:
    for shift in (0, 1):
        for kind in (KINDS["power of ten behind it"], KINDS["one power for two reads"]):
            port = FakePort({})
            port.tables[1] = lambda _, at, port=port, shift=shift, kind=kind: kind.states[
                (len(port.asked) + shift) % 2
            ].get(at, 0)
            reader = await reader_on(port, driver(kind.rows, SHORT))
            values = [(await polled(reader)).values.get(kind.name) for _ in range(8)]
            assert set(values[1:]) <= {None, *[230.1, 230.0]}


NUMBER_AND_KEY = {
    "power": "0 s16 active_power W fast sf=80\n40 u16 reactive_power var fast sign=active_power",
    "sign": "0 s16 active_power W fast sign=_flags.bit0\n80 u16 _flags 1 fast\n"
    "40 u16 reactive_power var fast sign=active_power",
    "power beside it": "0 s16 active_power W fast sf=1 sign=_flags.bit0\n80 u16 _flags 1 fast\n"
    "40 u16 reactive_power var fast sign=active_power",
    "chain": "0 s16 active_power W fast sf=80\n40 s16 reactive_power var fast sign=active_power\n"
    "60 s16 active_power_l1 W fast sign=reactive_power",
}


@pytest.mark.parametrize("name", NUMBER_AND_KEY)
async def test_a_number_that_moves_and_is_the_key_of_another_is_given_at_each_poll(name: str) -> None:
    """It is read more than once in a poll, another each time."""
    port = FakePort({})
    port.tables[1] = lambda _, at: 100 + len(port.asked) if at % 20 == 0 and at < 80 else 0
    reader = await reader_on(port, driver(NUMBER_AND_KEY[name], SHORT))
    for _ in range(POLLS):
        reading = await polled(reader)
        assert reading.absent == {}
        assert min(reading.values.values()) >= 0.1


async def test_a_power_that_is_not_answered_a_second_time_makes_its_value_absent_with_that_reason() -> None:
    kind = KINDS["power of ten behind it"]
    port = FakePort({1: state_at(kind.states[0])})
    reader = await reader_on(port, driver(kind.rows + "\n60 u32 voltage_l2n V fast", SHORT))
    [*others, closing] = reader.reads(FAST)
    assert closing.place == (4, 40, 1)
    port.trouble.extend([None] * len(others) + [NoReply("silent")] * 3)
    reading = await polled(reader)
    assert reading.values.keys() == {"voltage_l2n"}
    assert reading.absent == {"voltage_l1n": "timeout"}
    port.trouble.clear()
    assert (await polled(reader)).values.keys() == {"voltage_l1n", "voltage_l2n"}


async def test_a_read_that_the_meter_turns_out_not_to_answer_parts_what_was_together() -> None:
    """The longest read is learnt; the forecast counts what it costs from then on."""
    kind = KINDS["power of ten behind it"]
    table = driver(kind.rows, "function: 4")
    reader = await reader_on(FakePort({1: state_at(kind.states[0])}), table)
    assert [read.place for read in reader.reads(FAST)] == [(4, 0, 41)]
    reader.facts.learn("max_registers", 20)
    reader._changed()
    assert [read.place for read in reader.reads(FAST)] == [(4, 40, 1), (4, 0, 1), (4, 40, 1)]
    assert (await polled(reader)).values == {"voltage_l1n": 230.1}
    assert reader.predicted(FAST) > 2.9 * reader.station.cost.time(1)
