"""The port against real ptys and sockets: what was asked, or an error that says why not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from field_parts import pattern

import gateway
from gateway.config.schema import Bus, SerialBus, TcpBus
from gateway.demo.simulator.faults import Fault
from gateway.errors import BadFrame, BusDown, NoReply, Refused
from gateway.field.port import adapter
from gateway.field.port.contract import words_of
from gateway.field.port.modbus import ModbusPort
from gateway.field.port.request import EXCEPTIONS
from tests.waiting import until


@asynccontextmanager
async def opened(bus: Bus) -> AsyncIterator[ModbusPort]:
    port = ModbusPort(bus)
    await port.open()
    try:
        yield port
    finally:
        port.close()


@pytest.fixture(params=["serial", "tcp", "rtu-over-tcp"])
def bus_and_faults(request, serial, tcp):
    if request.param == "serial":
        line, bus = serial()
        return bus, line.faults
    server, bus, _ = tcp(mode="rtu" if request.param == "rtu-over-tcp" else "tcp")
    return bus, server.faults


async def test_registers_are_read_by_both_functions(bus_and_faults) -> None:
    bus, _ = bus_and_faults
    async with opened(bus) as port:
        for function, first, count in ((3, 0, 1), (4, 40000, 125), (4, 7, 33)):
            assert words_of(await port.read(2, function, first, count, 10.0)) == pattern(2, first, count)


@pytest.mark.parametrize("code", [*EXCEPTIONS, 7, 255])
async def test_every_exception_code_is_a_refusal(bus_and_faults, code: int) -> None:
    bus, faults = bus_and_faults
    faults.order(1, Fault("exception", code=code))
    async with opened(bus) as port:
        with pytest.raises(Refused) as caught:
            await port.read(1, 4, 0, 10, 10.0)
        assert caught.value.code == code
        assert caught.value.reason == f"exception_{code}"
        assert words_of(await port.read(1, 4, 0, 10, 10.0)) == pattern(1, 0, 10)


@pytest.mark.parametrize("kind", ["truncated", "foreign", "wrong_function", "wrong_count"])
async def test_what_is_not_the_answer_is_refused(bus_and_faults, kind: str) -> None:
    bus, faults = bus_and_faults
    faults.order(1, Fault(kind))
    async with opened(bus) as port:
        with pytest.raises((BadFrame, NoReply)):
            await port.read(1, 4, 100, 10, 0.3)


async def test_a_damaged_reply_is_a_bad_frame_long_before_the_timeout(serial) -> None:
    line, bus = serial()
    line.faults.order(1, Fault("corrupt"), 20)
    async with opened(bus) as port:
        at_once = 0
        for _ in range(20):
            try:
                async with asyncio.timeout(5):
                    with pytest.raises(BadFrame):
                        await port.read(1, 4, 100, 10, 3600.0)
                at_once += 1
            except TimeoutError:
                pass  # a flipped bit in the byte count may look like a longer answer that is still coming
            await asyncio.sleep(0.01)
        assert at_once >= 12


async def test_a_little_noise_before_the_reply_does_no_harm(serial) -> None:
    _, bus = serial([1])
    async with opened(bus) as port:
        reading = asyncio.create_task(port.read(1, 4, 0, 10, 10.0))
        await asyncio.sleep(0)
        port._link.data_received(b"\xff\x00")
        assert words_of(await reading) == pattern(1, 0, 10)


async def test_an_adapter_that_hears_itself_does_no_harm(serial) -> None:
    _, bus = serial([1])
    async with opened(bus) as port:
        reading = asyncio.create_task(port.read(1, 4, 0, 10, 10.0))
        await asyncio.sleep(0)
        port._link.data_received(port._request.sent[:3])
        port._link.data_received(port._request.sent[3:])
        assert words_of(await reading) == pattern(1, 0, 10)


async def test_a_second_answer_is_counted_as_stray(serial) -> None:
    line, bus = serial([1])
    line.faults.order(1, Fault("double"))
    async with opened(bus) as port:
        await port.read(1, 4, 0, 10, 10.0)
        await until(lambda: port.strays >= 25)
        await asyncio.sleep(0.1)
        assert port.strays == 25


async def test_silence_is_no_reply_within_the_time_allowed(bus_and_faults) -> None:
    bus, faults = bus_and_faults
    faults.order(1, Fault("dead"))
    async with opened(bus) as port:
        began = asyncio.get_running_loop().time()
        with pytest.raises(NoReply, match="unit 1 did not answer"):
            await port.read(1, 4, 0, 10, 0.1)
        assert 0.09 < asyncio.get_running_loop().time() - began < 10


@pytest.mark.parametrize(("owed", "count"), [(1, 2), (12, 125)])
async def test_tcp_drops_late_replies_by_their_numbers(owed: int, count: int) -> None:
    """Twelve long ones together are more than is taken from a connection at once."""

    async def tardy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Questions are answered when the last one is there, before it.
        said = b""
        for request in [await reader.readexactly(12) for _ in range(owed + 1)]:
            words = b"".join(
                word.to_bytes(2, "big") for word in pattern(1, int.from_bytes(request[8:10], "big"), count)
            )
            head = request[:4] + (3 + 2 * count).to_bytes(2, "big") + request[6:8] + bytes((2 * count,))
            said += head + words
        writer.write(said)
        await writer.drain()

    server = await asyncio.start_server(tardy, "127.0.0.1", 0)
    async with (
        server,
        opened(
            TcpBus(name="b", type="tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        ) as port,
    ):
        for _ in range(owed):
            with pytest.raises(NoReply):
                await port.read(1, 4, 1000, count, 0.05)
        assert words_of(await port.read(1, 4, 2000, count, 10.0)) == pattern(1, 2000, count)
        assert port.strays == owed * (9 + 2 * count)


async def test_what_is_not_modbus_closes_the_connection() -> None:
    async def rude(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    async with (
        server,
        opened(
            TcpBus(name="b", type="tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        ) as port,
    ):
        with pytest.raises((BadFrame, BusDown)):
            await port.read(1, 4, 0, 1, 1.0)
        await until(lambda: not port.connected)


async def test_a_port_that_goes_away_is_told_and_can_be_opened_again(serial, tmp_path: Path) -> None:
    line, bus = serial(path=tmp_path / "adapter")
    async with opened(bus) as port:
        assert words_of(await port.read(1, 4, 0, 2, 10.0)) == pattern(1, 0, 2)
        line.unplug()
        with pytest.raises(BusDown):
            await port.read(1, 4, 0, 2, 1.0)
        assert not port.connected
        with pytest.raises(BusDown, match="there is no such port"):
            await port.open()
        line.plug()
        await port.open()
        assert words_of(await port.read(1, 4, 0, 2, 10.0)) == pattern(1, 0, 2)


async def test_a_connection_that_is_reset_is_told(tcp) -> None:
    server, bus, _ = tcp()
    server.faults.order(1, Fault("reset"))
    async with opened(bus) as port:
        with pytest.raises(BusDown):
            await port.read(1, 4, 0, 2, 1.0)
        await port.open()
        assert words_of(await port.read(1, 4, 0, 2, 10.0)) == pattern(1, 0, 2)


async def test_the_port_is_ours_alone(serial) -> None:
    _, bus = serial()
    async with opened(bus):
        with pytest.raises(BusDown, match="cannot be opened"):
            await ModbusPort(bus).open()


async def test_a_port_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(BusDown, match="/dev/serial/by-id"):
        await ModbusPort(SerialBus(name="b", type="serial", port="/dev/none")).open()
    with pytest.raises(BusDown, match="cannot be opened"):
        await ModbusPort(TcpBus(name="b", type="tcp", host="127.0.0.1", port=1)).open()


def test_an_ftdi_adapter_is_set_to_one_millisecond_or_warned_about(
    tmp_path: Path, monkeypatch, caplog
) -> None:
    timer = tmp_path / "ttyUSB7/device/latency_timer"
    timer.parent.mkdir(parents=True)
    timer.write_text("16\n")
    monkeypatch.setattr(adapter, "_TTYS", tmp_path)
    adapter.low_latency("/dev/ttyUSB7")
    assert timer.read_text() == "1"
    timer.write_text("16\n")
    monkeypatch.setattr(Path, "write_text", lambda *_: (_ for _ in ()).throw(PermissionError()))
    adapter.low_latency("/dev/ttyUSB7")
    assert "up to 16 ms late" in caplog.text
    adapter.low_latency("/dev/ttyS9")


def test_pymodbus_is_imported_in_one_place_and_nothing_can_write() -> None:
    importers = set()
    for path in Path(gateway.__file__).parent.rglob("*.py"):
        if "demo" in path.parts:
            continue
        source = path.read_text()
        if re.search(r"^\s*(?:from|import)\s+pymodbus\b", source, re.MULTILINE):
            importers.add(path.name)
        for word in ("write_register", "write_coil", "WriteMultiple", "WriteSingle", "MaskWrite"):
            assert word not in source, f"{path}: the daemon has no Modbus write"
    assert importers == {"transport.py"}


def test_the_open_port_is_asked_first_for_low_latency(tmp_path, monkeypatch, caplog) -> None:
    timer = tmp_path / "ttyUSB7" / "device" / "latency_timer"
    timer.parent.mkdir(parents=True)
    timer.write_text("16\n")
    monkeypatch.setattr(adapter, "_TTYS", tmp_path)

    class Port:
        def set_low_latency_mode(self, low_latency_settings: bool) -> None:
            assert low_latency_settings
            timer.write_text("1\n")
            timer.chmod(0o444)

    adapter.low_latency("/dev/ttyUSB7", Port())
    assert timer.read_text() == "1\n"
    assert not caplog.records


async def test_a_reply_that_is_cut_short_is_not_filled_up_with_the_next_ones_bytes() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header, body = await reader.readexactly(7), await reader.readexactly(5)
        whole = header[:4] + b"\0\x07" + header[6:7] + bytes((body[0], 4)) + b"\x11\x22\x33\x44"
        late = b"\0\x63" + whole[2:]
        writer.write(whole[:-2] + late)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = ModbusPort(TcpBus(name="t", type="tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1]))
    await port.open()
    with pytest.raises(BadFrame):
        await port.read(1, 3, 0, 2, 5.0)
    assert not port.connected
    port.close()
    server.close()
