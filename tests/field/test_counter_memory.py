"""Counters that fall or leap are suspect until they are confirmed; a true wrap is good."""

from __future__ import annotations

from typing import Any

import pytest
from field_parts import driver, meter

from gateway.config import Config, TcpBus
from gateway.field.learnt import Learnt
from gateway.field.meter.counters import CounterMemory
from gateway.field.meter.reader import MeterTask
from gateway.field.port.fake import FakePort
from gateway.field.worker import BusWorker
from gateway.model import Event, Reading

pytestmark = pytest.mark.virtual_time
IMPORT = "active_energy_import"


def judged(
    row: str, raw: list[float], *, step: int = 10_000, scale: float = 1.0
) -> tuple[list[bool], list[Event]]:
    """Which of these values are good, and what was told; a value is raw x the row's factor, one each
    `step` ms.
    """
    table = driver(row)
    (first,) = table.rows
    memory = CounterMemory()
    good, events = [], []
    for index, number in enumerate(raw):
        value = number if first.type.startswith("float") or first.type == "sum" else number * first.factor
        reading = Reading("m", 1000 + index * step, {first.name: value * scale})
        events += memory.judge(reading, table.rows, scale)
        assert set(reading.suspect) <= {first.name}
        good.append(not reading.suspect)
    return good, events


U32 = f"0 u32 {IMPORT} Wh fast"
CENT = f"0 u32 {IMPORT} 0.01kWh fast"
FLOAT = f"0 float32 {IMPORT} kWh fast"


@pytest.mark.parametrize(
    ("row", "raw", "good"),
    [
        (FLOAT, [40482.5, 40482.6, 0.0, 40482.8, 40482.9], "YYnYY"),  # a zero for one poll
        (FLOAT, [40482.5, 40482.6, 0.0, 0.0, 40482.9, 40483.0], "YYnnYY"),  # for two
        (FLOAT, [40482.5, 40002.5, 40482.8], "YnY"),  # a day ago
        (FLOAT, [40482.5, 0.0, 0.1, 0.2, 0.3, 0.4], "YnnYYY"),  # another meter: three agree
        (
            FLOAT,
            [40482.5, 0.0, 0.1, 40482.6, 0.0, 0.1, 0.2, 0.3],
            "YnnYnnYY",
        ),  # they have to follow each other
        (FLOAT, [40482.5, 5.0, 3.0, 1.0, 1.0, 1.0], "YnnnnY"),  # and none may be below the one before
        (FLOAT, [40482.5, 40736.5, 40482.9], "YnY"),  # the high word of another moment
        (U32, [0x1FFFE, 0x10000, 0x20003, 0x20005], "YnYY"),  # the low half came first
        (U32, [0x1FFF0, 0x1FFFE, 0x2FFFF, 0x20003, 0x20005], "YYnYY"),  # the high half did
        (CENT, [0x1FFF0, 0x2FFFF, 0x20003, 0x20005], "YnYY"),
        (U32, [2**32 - 5, 2**32 - 2, 3, 8], "YYYY"),  # a wrap of 32 bits
        (f"0 u16 {IMPORT} kWh fast", [65533, 65535, 0, 1], "YYYY"),
        (f"0 u16 {IMPORT} kWh fast", [12345, 12346, 0, 12346], "YYnY"),
        (U32, [99_999_990, 99_999_998, 4, 9], "YYYY"),  # of eight digits
        (U32, [2**32 - 5, 2**31, 2**32 - 1], "YnY"),  # no wrap: it is not near the bottom
        (U32, [99_000_000 * 7, 0, 99_000_000 * 7 + 1], "YnY"),
        (f"0 u64 {IMPORT} Wh fast", [2**64 - 2048, 0, 2048], "YYY"),
        (f"0 bcd32 {IMPORT} Wh fast", [99_999_998, 3, 5], "YYY"),
        (U32, [100, 100, 100, 100], "YYYY"),
        (
            U32,
            [0, 200_000, 400_000],
            "YYY",
        ),  # 72 MW would be too fast, 200 kWh after a long time are not: see the step
        ("0 float32 active_power kW fast", [5.0, 3.0, 0.0, 900.0], "YYYY"),  # no counter
        ("0 s32 active_energy_total Wh fast", [5000, 4000, 3000], "YYY"),  # a balance of import and export
    ],
)
def test_what_a_register_says_is_believed_or_not(row: str, raw: list[float], good: str) -> None:
    step = 3_600_000 if raw == [0, 200_000, 400_000] else 10_000
    found, events = judged(row, raw, step=step)
    assert ["Y" if each else "n" for each in found] == list(good)
    assert bool(events) == ("n" in good)
    assert all(event.kind in {"register_fell", "register_leapt"} for event in events)
    doubts = sum(good[index - 1] == "Y" and each == "n" for index, each in enumerate(good))
    assert len(events) == doubts, "said once for each doubt"


@pytest.mark.parametrize(
    ("row", "raw", "good"),
    [
        (U32, [0x1FFF0, 0x1FFF4, 0x1FFF8, 0x1FFFC, 0x2FFFF, 0x20003, 0x20007], "YYYYnYY"),
        (CENT.replace("fast", "slow"), [0x1FFF0, 0x1FFF4, 0x1FFF8, 0x1FFFC, 0x2FFFF, 0x20003], "YYYYnY"),
        (U32, [0x1FFF0, 0x1FFF4, 0x1FFF8, 0x1FFFC, 0x2E000, 0x3C000], "YYYYYY"),  # 230 kW from now on
        (U32, [0x1FFF0, 0x1FFF4, 0x1FFF8, 0x1FFFC, 0x1FFFE, 0x10000, 0x20003], "YYYYYnY"),
        (f"0 u64 {IMPORT} Wh fast", [9, 10, 11, 12, 12 + 3 * 0x10000, 14], "YYYYnY"),
    ],
)
def test_a_torn_high_word_is_known_by_its_size_where_a_load_could_draw_as_much(
    row: str, raw: list[float], good: str
) -> None:
    """Read each quarter hour: 65 536 Wh are 262 kW."""
    assert "".join("Y" if each else "n" for each in judged(row, raw, step=900_000)[0]) == good


HIGH_AND_LOW = f"0 u16 _hi 10000kWh fast\n1 u16 _lo kWh fast\n- sum {IMPORT} kWh fast of=_hi+_lo"
MWH_AND_KWH = f"0 u32 _hi MWh fast\n2 u16 _lo kWh fast\n- sum {IMPORT} kWh fast of=_hi+_lo"
SIXTEEN = f"0 u16 {IMPORT} kWh fast"
BCD = f"0 bcd32 {IMPORT} kWh fast"
BCD_CENT = f"0 bcd32 {IMPORT} 0.01kWh fast"
TEN = f"0 u16 {IMPORT} 10kWh fast"


@pytest.mark.parametrize(
    ("rows", "step", "values", "good"),
    [
        (HIGH_AND_LOW, 10_000, [19990, 19995, 29999, 20003, 20007], "YYnYY"),  # the high part came first
        (HIGH_AND_LOW, 10_000, [19990, 19995, 10000, 20003, 20007], "YYnYY"),
        (HIGH_AND_LOW, 60_000, [19990, 19995, 29999, 20003, 20007], "YYnYY"),
        (MWH_AND_KWH, 10_000, [19990, 19995, 20999, 20003, 20007], "YYnYY"),
        (SIXTEEN, 10_000, [12345, 12346, 40000, 12346, 12347], "YYnYY"),
        (SIXTEEN, 10_000, [12346, 40000, 12346, 12347], "YnYY"),  # the first rise that is seen
        (BCD, 10_000, [19998, 19999, 29999, 20001, 20002], "YYnYY"),
        (BCD_CENT, 10_000, [99.97, 99.98, 99.99, 199.99, 100.01, 100.02], "YYYnYY"),
        # What is none: a step of ten, one that comes just after the start, a register that rises by the
        # quarter hour, and by itself at a higher rate than before.
        (TEN, 1_000, [12340, 12350, 12350, 12360], "YYYY"),
        (CENT, 1_000, [1000.0, 1025.0, 1025.0], "YYY"),
        (CENT, 900_000, [1000.0, 1025.0, 1990.0, 2900.0], "YYYY"),
        (SIXTEEN, 60_000, [100, 101, 102, 103, 112, 121], "YYYYYY"),
    ],
)
def test_no_rise_is_believed_that_no_building_draws(
    rows: str, step: int, values: list[float], good: str
) -> None:
    """Also of a single word, of a sum of two registers, and of digits: another step is torn there."""
    table, memory, said = driver(rows), CounterMemory(), ""
    for at, value in enumerate(values):
        reading = Reading("m", 1000 + at * step, {IMPORT: float(value)})
        memory.judge(reading, table.rows, 1.0)
        said += "n" if reading.suspect else "Y"
    assert said == good


def test_the_event_says_meter_quantity_and_both_values() -> None:
    _, events = judged(FLOAT, [40482.5, 0.0])
    assert [(event.kind, event.uptime, event.fields) for event in events] == [
        ("register_fell", 11_000, {"meter": "m", "quantity": IMPORT, "from": 40482.5, "to": 0.0})
    ]


def test_a_wrap_is_one_behind_transformers_too() -> None:
    assert (
        judged(f"0 u16 {IMPORT} kWh fast", [65533, 65535, 0, 1], step=3_600_000, scale=40.0)[0] == [True] * 4
    )


@pytest.mark.parametrize("power", [0.3, 40.0, 900.0])
@pytest.mark.parametrize("row", [U32, CENT, FLOAT, f"0 u64 {IMPORT} 0.001Wh fast"])
def test_whatever_load_is_switched_on_is_believed(row: str, power: float) -> None:
    """An hour of a standby load, an hour of the whole, polls of 10 s: no value is doubted."""
    table = driver(row)
    memory = CounterMemory()
    energy, at = 70_000.0, 0
    factor = table.rows[0].factor if not row.startswith("0 float") else 0.01
    for load in (0.05, power):
        for _ in range(360):
            at += 10_000
            energy += load / 360
            reading = Reading("m", at, {IMPORT: int(energy / factor) * factor})
            assert memory.judge(reading, table.rows) == []
            assert reading.suspect == ()


def test_its_memory_is_bounded() -> None:
    table = driver()
    memory = CounterMemory()
    for index in range(1000):
        memory.judge(Reading("m", index, {f"x{index}": 1.0, IMPORT: 2.0}), table.rows)
    assert len(memory._registers) <= len(table.rows)


SWAP = (
    "0 u16 active_power kW fast\n10 u32 active_energy_import kWh fast decimals=0\n20 u32 serial_number "
    "- static"
)


async def poll_after(serial: int, energy: int) -> tuple[Reading, list[Event]]:
    """A meter of serial number 4711 and 5000 kWh answers, is away, and comes back as this one."""
    words = {0: 5, 10: 0, 11: 5000, 20: 0, 21: 4711}
    port = FakePort({1: lambda _, address: words.get(address, 0)})
    events: list[Event] = []
    bus = TcpBus(name="bus", type="tcp", host="h", timeout="50ms")
    worker = BusWorker(bus, [MeterTask(meter(1), driver(SWAP))], lambda _: None, events.append, port=port)
    assert (await worker.meter("m1").read()).values[IMPORT] == 5000
    words.update({11: energy, 21: serial})
    reading = await worker.meter("m1").read()
    await worker.stop()
    return reading, events


async def test_another_meter_has_other_registers() -> None:
    reading, events = await poll_after(serial=4712, energy=3)
    assert (reading.values[IMPORT], reading.suspect, events) == (3, (), [])


async def test_the_same_meter_with_less_is_suspect() -> None:
    reading, events = await poll_after(serial=4711, energy=3)
    assert reading.suspect == (IMPORT,)
    assert [event.kind for event in events] == ["register_fell"]


BUS = TcpBus(name="bus", type="tcp", host="h", timeout="50ms")


async def poll_after_reload(
    learnt: Learnt, after_on: TcpBus = BUS, *, serial: int = 4711, energy: int = 3, **change: Any
) -> tuple[Reading, list[Event]]:
    """A meter that had 5000 kWh is read by a worker that a reload has made."""
    words = {0: 5, 10: 0, 11: 5000, 20: 0, 21: 4711}
    port = FakePort({unit: lambda _, address: words.get(address, 0) for unit in (1, 2)})
    events: list[Event] = []
    before = BusWorker(BUS, [MeterTask(meter(1), driver(SWAP))], lambda _: None, port=port, learnt=learnt)
    await before.meter("m1").read()
    await before.stop()
    words.update({11: energy, 21: serial})
    config = meter(1).model_copy(update=change)
    learnt.keep(Config(gateway={"id": "g"}, buses=(after_on,), meters=(config,)))
    task = MeterTask(config, driver(SWAP, name=config.driver))
    after = BusWorker(after_on, [task], lambda _: None, events.append, port=port, learnt=learnt)
    reading = await after.meter(config.id).read()
    await after.stop()
    return reading, events


async def test_a_register_that_falls_at_a_reload_is_suspect() -> None:
    reading, events = await poll_after_reload(Learnt())
    assert reading.suspect == (IMPORT,)
    assert [(event.kind, event.fields["from"]) for event in events] == [("register_fell", 5000)]
    reading, events = await poll_after_reload(Learnt(), energy=5001)
    assert (reading.suspect, events) == ((), [])


@pytest.mark.parametrize(
    "change",
    [
        {"address": 2},
        {"driver": "other-table"},
        {"id": "m9"},
        {"values": "secondary", "ct": 40.0},
        {"line": "other"},
        {"serial": 4712},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_another_meter_after_a_reload_has_other_registers(change: dict[str, Any]) -> None:
    bus = BUS
    if name := change.pop("line", ""):
        bus, change["bus"] = BUS.model_copy(update={"name": name}), name
    reading, events = await poll_after_reload(Learnt(), bus, **change)
    assert IMPORT in reading.values
    assert reading.suspect == ()
    assert {event.kind for event in events} <= {"meter_changed"}


async def test_a_row_that_is_read_otherwise_after_a_reload_begins_anew() -> None:
    memory = CounterMemory()
    for table, value in ((driver(U32), 5000.0), (driver(CENT), 50.0)):
        reading = Reading("m", 1000, {IMPORT: value})
        assert memory.judge(reading, table.rows) == []
        assert reading.suspect == ()


@pytest.mark.parametrize(("last", "unit"), [(99_999_999.0, "kWh"), (99_999_999_000.0, "MWh")])
def test_a_wrap_of_digits_is_one_in_whatever_unit_the_meter_counts(last: float, unit: str) -> None:
    table = driver("0 u32 heat_energy kWh fast times=_unit\n  2 u16 _unit kWh fast codes=2:kWh,3:MWh")
    memory, step = CounterMemory(), 1000.0 if unit == "MWh" else 1.0
    hour = 3_600_000
    values = [last - step, last, 3 * step, 5 * step]
    good = []
    for index, value in enumerate(values):
        reading = Reading("m", index * hour, {"heat_energy": value})
        memory.judge(reading, table.rows)
        good.append(not reading.suspect)
    assert good == [True] * 4


ZERO = [40482.5, 0.0] * 6
HOUR = 3_600_000
WHOLE = f"0 u32 {IMPORT} kWh fast"


@pytest.mark.parametrize(
    ("row", "raw"),
    [
        (WHOLE, [1000, 999] * 200),
        (CENT, [1000, 999] * 50),
        (WHOLE, [1000, 1001, 1000, 1001, 1002, 1001, 1002, 1003, 1002, 1003]),
        (WHOLE, [5, 5, 5, 4, 4, 4, 4] * 20),  # long enough to be believed each time
        (WHOLE, [1000, 999, 999, 1000, 998, 998, 1000, 997, 1000, 999] * 10),
        (FLOAT, [value + jitter for value in range(500, 600) for jitter in (0.5, 0.4)]),
        (FLOAT, ZERO),
        (U32, [0x1FFF0, 0x2FFFF] * 9),  # torn at every other poll
        # whole and rest, read while one runs over into the other
        (FLOAT, [kwh + rest for kwh in range(99, 120) for rest in (0.5, 0.999, 0.0)]),
    ],
    ids=["digit", "cent", "rising", "long", "digits", "rounded", "zero", "torn", "two_registers"],
)  # fmt: skip
def test_a_register_that_goes_back_and_forth_is_one_trouble(row: str, raw: list[float]) -> None:
    """Each reading below what is believed is suspect all the same."""
    good, events = judged(row, raw)
    assert len(events) == 1
    assert good.count(False) >= 2
    believed = raw[0]
    for value, fine in zip(raw, good, strict=True):
        if fine:
            believed = value
        else:
            assert value < believed or row == U32


@pytest.mark.parametrize("jitter", [[1000, 999] * 10, [1000, 999] * 10 + [1000], [1000, 1000], [8, 7] * 9])
@pytest.mark.parametrize("to", [0, 3])
def test_a_register_that_begins_anew_is_told_whatever_it_did_before(jitter: list[float], to: int) -> None:
    good, events = judged(WHOLE, [*jitter, to, to, to + 1, to + 1])
    assert good[len(jitter) :] == [False, False, True, True], "until three agree"
    found = [event.fields for event in events if event.fields["to"] in {to, to + 1}]
    assert len(found) == 1
    assert found[0]["from"] == max(jitter)


def test_a_zero_now_and_then_hides_no_exchange() -> None:
    good, events = judged(FLOAT, [*ZERO, 40482.6, 2.0, 2.0, 2.1, 2.2])
    assert good[-4:] == [False, False, True, True]
    assert [(event.fields["from"], event.fields["to"]) for event in events] == [
        (40482.5, 0.0),
        (40482.6, 2.1),
    ]


def test_a_trouble_that_comes_again_after_an_hour_is_told_again() -> None:
    assert len(judged(WHOLE, [1000, 999, 1000, 999], step=HOUR // 2)[1]) == 1
    assert len(judged(WHOLE, [1000, 999, 1000, 1000, 999], step=HOUR // 2 + 1)[1]) == 2


def test_what_goes_back_and_forth_is_known_by_name_until_it_is_over() -> None:
    table, memory = driver(WHOLE), CounterMemory()
    seen = []
    for index, value in enumerate([1000, 999, 1000, 999, 1000, 999, 1000]):
        memory.judge(Reading("m", index * 60_000, {IMPORT: value}), table.rows)
        seen.append(memory.unsteady(index * 60_000))
    assert seen == [()] * 5 + [(IMPORT,)] * 2, "one fall is none, and between two falls it is as unsteady"
    assert memory.unsteady(5 * 60_000 + HOUR) == (IMPORT,)
    assert memory.unsteady(5 * 60_000 + HOUR + 1) == ()


async def test_one_event_one_line_and_one_notice(caplog: pytest.LogCaptureFixture) -> None:
    words = {0: 5, 10: 0, 11: 1000, 20: 0, 21: 4711}
    port = FakePort({1: lambda _, address: words.get(address, 0)})
    events: list[Event] = []
    worker = BusWorker(BUS, [MeterTask(meter(1), driver(SWAP))], lambda _: None, events.append, port=port)
    suspects = []
    for index in range(40):
        words[11] = 1000 - index % 2
        suspects.append((await worker.meter("m1").read()).suspect)
    await worker.stop()
    assert suspects == [(), (IMPORT,)] * 20
    assert [event.kind for event in events] == ["register_fell"]
    told = [record.message for record in caplog.records if "suspect" in record.message]
    assert len(told) == 1
    assert "submeter swap m1" in told[0]
    assert worker.health().meters[0].unsteady == (IMPORT,)
