"""SunSpec devices as makers build them: chains that end in any way, models in any order and several times,
bases that are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalogue import load_driver, resolve
from gateway.config.schema import Meter, TcpBus
from gateway.demo.simulator.frames import rtu_frame
from gateway.demo.simulator.slave import ModbusError, Served, Slave
from gateway.errors import BadFrame, BusDown, BusError, NoReply, Refused
from gateway.field.meter.decode import Replies, decode
from gateway.field.meter.reader import MeterTask
from gateway.field.port.contract import Registers, registers_of
from gateway.field.port.fake import FakePort
from gateway.field.worker import BusWorker
from gateway.model import Reading
from tests.served_meters import served

MARK = [0x5375, 0x6E53]
BASES = (40000, 50000, 0)
TRIES = 3
"""How often the end of a chain is asked for when nothing comes."""


def text(value: str, words: int) -> list[int]:
    data = value.encode().ljust(2 * words, b"\0")
    return [data[at] << 8 | data[at + 1] for at in range(0, 2 * words, 2)]


def common(maker: str = "KOSTAL", serial: str = "S1") -> list[int]:
    return [
        1,
        66,
        *text(maker, 16),
        *text("M", 16),
        *text("", 8),
        *text("1.0", 8),
        *text(serial, 16),
        1,
        0x8000,
    ]


def inverter(watts: int = 1000, model: int = 103, *, w_sf: int = 0, wh_sf: int = 0) -> list[int]:
    """Whole numbers with powers of ten; what is not set is not implemented."""
    points = [0x8000] * 50
    points[0:5] = [15, 5, 5, 5, 0xFFFF]
    points[8:12] = [2300, 2301, 2302, 0xFFFF]
    points[12:14] = [watts & 0xFFFF, w_sf & 0xFFFF]
    points[14:16] = [5000, 0xFFFE]
    points[22:25] = [0, 12345, wh_sf & 0xFFFF]
    return [model, 50, *points]


def meter(watts: int = 500, model: int = 203) -> list[int]:
    points = [0x8000] * 105
    points[5:9] = [2300, 2300, 2301, 2302]
    points[13:15] = [0xFFFF, 5000]
    points[15] = 0xFFFE
    points[16:21] = [watts & 0xFFFF, watts & 0xFFFF, 0, 0, 0]
    points[36:38], points[44:46], points[52] = [0, 111], [0, 222], 0
    return [model, 105, *points]


def floats(watts: int = 500, model: int = 213) -> list[int]:
    points = [0x7FC0, 0] * 62
    for offset, value in ((10, 230.0), (26, 50.0), (28, float(watts)), (68, 222.0)):
        points[offset - 2 : offset] = struct.unpack(">2H", struct.pack(">f", value))
    return [model, 124, *points]


def inputs(*amperes: int) -> list[int]:
    """Model 160 with so many modules, in steps of 0.1 A."""
    words = [0xFFFF, 0x8000, 0, 0, 0, 0, len(amperes), 0]
    for number, value in enumerate(amperes, 1):
        words += [number, *text("PV", 8), value, 0xFFFF, 100 * number, 0, 0, 0, 0, 0x8000, 0, 0, 0]
    return [160, len(words), *words]


class Device:
    """Registers at a base, and what lies behind and beside them: a refusal, silence, a damaged refusal, or
    zeros.
    """

    def __init__(
        self,
        *models: list[int],
        base: int = 40000,
        end: list[int] | None = None,
        beyond: str = "refused",
        beside: str = "",
    ) -> None:
        words = [*MARK, *(word for model in models for word in model), *([0xFFFF, 0] if end is None else end)]
        self.words = {base + offset: word for offset, word in enumerate(words)}
        self.base, self.beyond, self.beside = base, beyond, beside or beyond
        self.asked: list[tuple[int, int]] = []

    async def ask(self, function: int, address: int, count: int) -> list[int]:
        self.asked.append((address, count))
        found = [self.words.get(at) for at in range(address, address + count)]
        if None not in found:
            return [word for word in found if word is not None]
        how = self.beyond if address > self.base else self.beside
        if how == "silent":
            raise NoReply("nothing came")
        if how == "damaged":
            raise BadFrame("9 bytes that are no frame")
        if how == "gone":
            raise BusDown("the port is gone")
        if how == "zeros":
            return [word or 0 for word in found]
        raise Refused("refused", 3)

    def read(self, function: int, address: int, count: int) -> Served:
        """As the simulator serves it."""
        found = [self.words.get(at) for at in range(address, address + count)]
        if None in found:
            raise ModbusError(2 if self.beside == "refused" else 3)
        return Served([word for word in found if word is not None])


async def values(name: str, device: Device) -> dict[str, float]:
    driver = await resolve(load_driver(name), device.ask)
    image = Replies()
    for span in {span for row in driver.rows for span in row.spans}:
        words = [device.words[at] for at in range(span.address, span.end)]
        image.add(span.function, span.address, registers_of(words))
    return decode(driver.rows, image).values


@pytest.mark.parametrize("beyond", ["refused", "silent", "damaged", "zeros"])
@pytest.mark.parametrize(
    "end", [[0xFFFF, 0], [0], [0, 0], [0xFFFF], []], ids=["book", "zero", "zeros", "half", "none"]
)
async def test_a_chain_ends_as_it_likes(end: list[int], beyond: str) -> None:
    device = Device(common(), inverter(6900), end=end, beyond=beyond, beside="refused")
    found = await values("sunspec-inverter", device)
    assert (found["active_power"], found["active_energy_export"], found["frequency"]) == (-6.9, 12.345, 50.0)
    behind = [at for at, _ in device.asked if at > max(device.words)]
    assert len(behind) <= TRIES


async def test_a_line_that_dies_in_the_chain_is_no_end_of_it() -> None:
    with pytest.raises(BusDown):
        await resolve(
            load_driver("sunspec-inverter"),
            Device(common(), inverter(), end=[], beyond="gone", beside="refused").ask,
        )


@pytest.mark.parametrize("error", [NoReply("nothing came"), BadFrame("what came is damaged")])
@pytest.mark.parametrize("times", range(1, TRIES + 1))
async def test_what_is_lost_on_the_way_is_no_end_and_what_stays_lost_is_named(
    error: BusError, times: int
) -> None:
    device = Device(common(), inverter(), inputs(10, 20))
    left = times

    async def read(function: int, address: int, count: int) -> list[int]:
        nonlocal left
        if address == 40122 and left:
            left -= 1
            raise error
        return await device.ask(function, address, count)

    driver = await resolve(load_driver("sunspec-inverter"), read)
    assert ("dc_current_s2" in driver.quantities) == (times < TRIES)
    assert driver.broke_off == ("" if times < TRIES else f"then {error.message} at 40122")


@pytest.mark.parametrize(
    ("beyond", "said"),
    [("damaged", "then 9 bytes that are no frame at 40122"), ("silent", "then nothing came at 40122")],
)
async def test_a_chain_that_breaks_off_behind_the_meant_model_is_named(beyond: str, said: str) -> None:
    device = Device(common(), inverter(), end=[], beyond=beyond, beside="refused")
    assert (await resolve(load_driver("sunspec-inverter"), device.ask)).broke_off == said


@pytest.mark.parametrize("end", [[0xFFFF, 0], [0, 0], []], ids=["book", "zeros", "refused"])
async def test_an_end_that_says_what_it_is_is_none_to_name(end: list[int]) -> None:
    device = Device(common(), inverter(), end=end)
    assert (await resolve(load_driver("sunspec-inverter"), device.ask)).broke_off == ""


async def test_where_a_list_breaks_off_is_told_once(caplog) -> None:
    device = Device(common(), inverter(), end=[], beyond="damaged", beside="refused")

    class DevicePort(FakePort):
        async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
            return registers_of(await device.ask(function, address, count))

    config = Meter(id="pv", bus="bus", address=1, driver="sunspec-inverter")
    bus, task = TcpBus(name="bus", type="tcp", host="h"), MeterTask(config, load_driver("sunspec-inverter"))
    worker = BusWorker(bus, [task], lambda _: None, port=DevicePort({}))
    for _ in range(3):
        assert (await worker.meter("pv").read()).values["active_power"] == -1.0
        worker.meter("pv").reader.forget()
    await worker.stop()
    assert caplog.text.count("it lists KOSTAL model 103 at 40070, then 9 bytes that are no frame") == 1
    assert "check the line and the time-out" in caplog.text


async def test_a_chain_that_breaks_off_before_the_meant_model_says_where() -> None:
    with pytest.raises(BadFrame, match=r"it lists 1, then refused at 40070 .* list broke off"):
        await resolve(load_driver("sunspec-inverter"), Device(common(), end=[]).ask)
    with pytest.raises(NoReply, match="it lists 1, 103, then nothing came at 40122"):
        await resolve(
            load_driver("sunspec-meter"),
            Device(common(), inverter(), end=[], beyond="silent", beside="refused").ask,
        )


@pytest.mark.parametrize("base", [40000, 50000, 0, 39999, 40001, 49999, 50001, 1])
@pytest.mark.parametrize("beside", ["refused", "damaged", "zeros"])
async def test_bases_are_refused_one_after_another(base: int, beside: str) -> None:
    device = Device(common(), inverter(2000), base=base, beside=beside)
    driver = await resolve(load_driver("sunspec-inverter"), device.ask)
    assert driver.variant == f"KOSTAL model 103 at {base + 2 + 68}"


@pytest.mark.parametrize("base", BASES)
async def test_bases_are_met_with_silence(base: int) -> None:
    assert (await values("sunspec-inverter", Device(common(), inverter(2000), base=base, beside="silent")))[
        "active_power"
    ] == -2.0


class SilentPort(FakePort):
    """What the device does not have is not answered, and what it owes never comes."""

    def __init__(self, device: Device) -> None:
        super().__init__({})
        self.device = device

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        if not self.connected:
            raise BusDown("closed")
        self.sent_at = time.monotonic()
        try:
            words = await self.device.ask(function, address, count)
        except NoReply:
            await asyncio.sleep(timeout)
            raise
        self.heard_at = time.monotonic()
        return registers_of(words)

    async def overdue(self, timeout: float) -> Registers:
        await asyncio.sleep(timeout)
        raise NoReply("nothing came")


@pytest.mark.virtual_time
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("others", [0, 1])
async def test_a_device_that_is_silent_wherever_it_has_nothing_is_read_over_its_line(
    base: int, others: int
) -> None:
    """Silence at a base, and behind the last model, is neither the line's end nor a doubt for ever."""
    device = Device(common(), inverter(), base=base, end=[], beyond="silent")
    readings: list[Reading] = []
    tasks = [
        MeterTask(
            Meter(id=f"pv{unit}", bus="bus", address=unit, driver="sunspec-inverter", interval="5s"),
            load_driver("sunspec-inverter"),
        )
        for unit in range(1, 2 + others)
    ]
    worker = BusWorker(
        TcpBus(name="bus", type="tcp", host="h"), tasks, readings.append, port=SilentPort(device)
    )
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(200.0)
    await worker.stop()
    await task
    for each in tasks:
        last = [reading for reading in readings if reading.meter == each.config.id][-10:]
        assert [reading.values.get("active_power") for reading in last] == [-1.0] * 10


async def test_a_device_without_a_marker_says_what_stands_at_each_base() -> None:
    with pytest.raises(BadFrame, match=r"40000: refused; 50000: refused; 0: refused.*247"):
        await resolve(load_driver("sunspec-inverter"), Device(common(), base=30000).ask)
    with pytest.raises(NoReply):
        await resolve(load_driver("sunspec-inverter"), Device(common(), base=30000, beyond="silent").ask)


@settings(deadline=None, max_examples=60)
@given(st.permutations([0, 1, 2, 3, 4]))
def test_models_come_in_any_order(order: list[int]) -> None:
    import asyncio  # noqa: PLC0415 - hypothesis has no loop

    parts = [common(), inverter(3000), inputs(31, 42), [11, 13, *[0] * 13], [64000, 7, *[9] * 7]]
    found = asyncio.run(values("sunspec-inverter", Device(*(parts[index] for index in order))))
    assert (found["active_power"], found["dc_current_s1"], found["dc_current_s2"]) == (-3.0, 3.1, 4.2)


async def test_a_scale_that_is_not_implemented_costs_its_own_values_only() -> None:
    device = Device(common(), inverter(7000, w_sf=-0x8000, wh_sf=3))
    driver = await resolve(load_driver("sunspec-inverter"), device.ask)
    image = Replies()
    for span in {span for row in driver.rows for span in row.spans}:
        words = [device.words[at] for at in range(span.address, span.end)]
        image.add(span.function, span.address, registers_of(words))
    found = decode(driver.rows, image)
    assert found.absent["active_power"] == "not_available"
    assert (found.values["active_energy_export"], found.values["frequency"], found.values["voltage_l1n"]) == (
        12345.0,
        50.0,
        230.0,
    )
    assert not {"dc_current", "dc_power", "apparent_power", "reactive_power"} & set(found.values), (
        "0x8000 is no value of any of them"
    )


async def test_several_models_of_inputs_go_on_counting() -> None:
    found = await values("sunspec-inverter", Device(common(), inverter(), inputs(11, 12), inputs(13)))
    assert [found.get(f"dc_current_s{number}") for number in (1, 2, 3, 4)] == [1.1, 1.2, 1.3, None]
    found = await values("sunspec-inverter", Device(common(), inverter(), inputs(11, 12, 13), inputs(14, 15)))
    assert [found.get(f"dc_current_s{number}") for number in (1, 2, 3, 4)] == [1.1, 1.2, 1.3, 1.4], (
        "there are words for four"
    )


async def test_the_inputs_of_another_inverter_are_not_ours() -> None:
    device = Device(common(), inverter(1000), inputs(11), common(serial="S2"), inverter(2000), inputs(21))
    found = await values("sunspec-inverter", device)
    assert (found["active_power"], found["dc_current_s1"], "dc_current_s2" in found) == (-1.0, 1.1, False)


@pytest.mark.parametrize(
    ("name", "watts"), [("sunspec-meter", 0.5), ("sunspec-meter-2", 0.6), ("sunspec-meter-3", 0.7)]
)
@pytest.mark.parametrize("commons", [True, False], ids=["each with its common model", "one after another"])
async def test_the_driver_picks_one_of_several_meters(*, name: str, watts: float, commons: bool) -> None:
    meters = (
        [meter(500, 201), meter(600), meter(700, 204)] if commons else [meter(500), meter(600), meter(700)]
    )
    parts = [part for each in meters for part in ([common(), each] if commons else [each])]
    found = await values(name, Device(common(), inverter(), *parts))
    assert found["active_power"] == watts


@pytest.mark.parametrize(
    "formats", [(meter, floats), (floats, meter)], ids=["whole numbers first", "floats first"]
)
async def test_a_meter_that_is_described_twice_counts_once(formats: tuple) -> None:
    first, second = formats
    device = Device(common(), first(500), second(500), common(serial="S2"), first(600), second(600))
    assert (await values("sunspec-meter", device))["active_power"] == 0.5
    assert (await values("sunspec-meter-2", device))["active_power"] == 0.6
    with pytest.raises(BadFrame, match="has 2 of the SunSpec models"):
        await values("sunspec-meter-3", device)


async def test_signs_are_not_guessed_when_the_maker_cannot_be_read() -> None:
    device = Device(common("SolarEdge"), meter(500))
    assert (await values("sunspec-meter", device))["active_power"] == -0.5

    async def read(function: int, address: int, count: int) -> list[int]:
        if address == 40004:
            raise Refused("refused", 2)
        return await device.ask(function, address, count)

    with pytest.raises(Refused):
        await resolve(load_driver("sunspec-meter"), read)


@pytest.mark.parametrize(("model", "length"), [(7, 0), (103, 0), (64000, 1), (1, 66), (103, 0xFFFF)])
async def test_a_list_without_an_end_is_bounded(model: int, length: int) -> None:
    asked: list[int] = []

    async def read(function: int, address: int, count: int) -> list[int]:
        asked.append(address)
        return MARK if address == 40000 else [model, length] if count == len(MARK) else [0x4100] * count

    try:
        driver = await resolve(load_driver("sunspec-inverter"), read)
    except BusError:
        pass
    else:
        assert all(span.end <= 0x10000 for row in driver.rows for span in row.spans)
    assert len(asked) < 80


async def test_a_list_without_an_end_is_read_as_far_as_it_is_known() -> None:
    device = Device(common(), inverter(4000), *[[7, 0]] * 40, end=[])
    assert (await values("sunspec-inverter", device))["active_power"] == -4.0


@pytest.mark.parametrize("length", [0, 1])
async def test_a_model_too_short_for_any_of_its_values_is_no_meter_that_is_well(length: int) -> None:
    device = Device(common(), [103, length, *[0] * length])
    with pytest.raises(BadFrame, match=f"103 at 40070 says that it has {length} registers"):
        await resolve(load_driver("sunspec-inverter"), device.ask)


async def test_a_maker_cannot_act_on_who_reads_its_name() -> None:
    driver = await resolve(load_driver("sunspec-inverter"), Device(common("BAD\x1b[2J"), inverter()).ask)
    assert driver.variant.startswith("BAD\\x1b[2J model 103")


@pytest.mark.parametrize("unit", [1, 126, 247])
@pytest.mark.parametrize("end", [[0], [], [0xFFFF, 0]], ids=["zero", "none", "book"])
async def test_units_and_ends_over_tcp(stack: ExitStack, unit: int, end: list[int]) -> None:
    slave = Slave(unit, Device(common(), inverter(6900), inputs(55), end=end, base=50000))
    task = MeterTask(
        Meter(id="pv", bus="bus", address=unit, driver="sunspec-inverter"), load_driver("sunspec-inverter")
    )
    worker = BusWorker(served(stack, [slave]), [task], lambda _: None)
    try:
        reading = await worker.meter("pv").read()
    finally:
        await worker.stop()
    assert (reading.missing, reading.values["active_power"], reading.values["dc_current_s1"]) == (
        "",
        -6.9,
        5.5,
    )


class SilentServer:
    """A device over TCP that says nothing where it has no registers, at the addresses below as well."""

    def __init__(self, device: Device, *, rtu: bool) -> None:
        self.device, self.rtu, self.silences = device, rtu, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while True:
                if self.rtu:
                    number, frame = 0, await reader.readexactly(8)
                    function, address, count = struct.unpack(">BHH", frame[1:6])
                else:
                    number, _, _, _, function, address, count = struct.unpack(
                        ">HHHBBHH", await reader.readexactly(12)
                    )
                found = [self.device.words.get(at) for at in range(address, address + count)]
                if None in found:
                    self.silences += 1
                    continue
                answer = struct.pack(f">BB{count}H", function, 2 * count, *found)
                head = struct.pack(">HHHB", number, 0, len(answer) + 1, 1)
                writer.write(rtu_frame(1, answer) if self.rtu else head + answer)


@pytest.mark.parametrize("rtu", [False, True], ids=["tcp", "rtu"])
async def test_a_chain_that_ends_in_silence_is_read_over_a_connection(*, rtu: bool) -> None:
    """Whoever does not answer at the end is no device that is gone: the connection stays, and is read."""
    device = SilentServer(Device(common(), inverter(6900), inputs(55), end=[]), rtu=rtu)
    async with await asyncio.start_server(device.serve, "127.0.0.1", 0) as server:
        kind = "rtu-over-tcp" if rtu else "tcp"
        port = server.sockets[0].getsockname()[1]
        bus = TcpBus(name="bus", type=kind, host="127.0.0.1", port=port, timeout="200ms")
        config = Meter(id="pv", bus="bus", address=1, driver="sunspec-inverter")
        worker = BusWorker(bus, [MeterTask(config, load_driver("sunspec-inverter"))], lambda _: None)
        readings = [await worker.meter("pv").read() for _ in range(3)]
        await worker.stop()
    assert [each.missing for each in readings] == ["", "", ""]
    assert {(each.values["active_power"], each.values["dc_current_s1"]) for each in readings} == {(-6.9, 5.5)}
    assert 0 < device.silences <= TRIES
