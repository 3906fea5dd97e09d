"""Devices that are odd but serve their values: small servers for the field's tests. Registers hold their
address plus 1000 × unit.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from field_parts import meter, pattern

from gateway.config.schema import TcpBus
from gateway.demo.simulator.frames import rtu_frame, rtu_parts
from gateway.errors import BusError
from gateway.field.bus.line import BusLine
from gateway.field.bus.station import Station
from gateway.field.learnt import LEARNT_FILE, Learnt
from gateway.field.port.modbus import ModbusPort

PROBES = ((4, 7000, 1), (4, 7000, 3), (4, 7000, 5), (4, 7000, 6), (4, 7000, 7))
QUESTIONS = [(4, 1000, 2), (4, 2000, 2), (4, 3000, 4), (4, 4000, 2)]
Serve = Callable[["Client"], Awaitable[None]]


class Request:
    """A read that came."""

    def __init__(self, number: int, unit: int, pdu: bytes) -> None:
        self.number, self.unit, self.pdu = number, unit, pdu
        self.first, self.count = struct.unpack(">HH", pdu[1:5])

    @property
    def answer(self) -> bytes:
        """The right PDU."""
        return struct.pack(
            f">BB{self.count}H", self.pdu[0], 2 * self.count, *pattern(self.unit, self.first, self.count)
        )

    def refused(self, code: int) -> bytes:
        return bytes((self.pdu[0] | 0x80, code))


class Client:
    """One connection; `index` counts from 1."""

    def __init__(self, index: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.index, self.reader, self.writer = index, reader, writer

    async def request(self) -> Request:
        head = await self.reader.readexactly(7)
        number, _, length, unit = struct.unpack(">HHHB", head)
        return Request(number, unit, await self.reader.readexactly(length - 1))

    async def rtu_request(self) -> Request:
        unit, pdu = rtu_parts(await self.reader.readexactly(8)) or (0, bytes(5))
        return Request(0, unit, pdu)

    def send(
        self,
        number: int,
        unit: int,
        pdu: bytes,
        *,
        length: int | None = None,
        more: bytes = b"",
        before: bytes = b"",
        protocol: int = 0,
    ) -> None:
        head = struct.pack(
            ">HHHB", number & 0xFFFF, protocol, len(pdu) + 1 if length is None else length, unit
        )
        self.writer.write(before + head + pdu + more)

    def send_rtu(self, unit: int, pdu: bytes, *, before: bytes = b"", more: bytes = b"") -> None:
        self.writer.write(before + rtu_frame(unit, pdu) + more)


class Plant:
    """What was seen of the clients."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[Plant]:
    """A server that gives each connection to `serve`, and closes it when that returns."""
    plant = Plant()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plant.connections += 1
        try:
            await serve(Client(plant.connections, reader, writer))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    plant.port = server.sockets[0].getsockname()[1]
    try:
        yield plant
    finally:
        server.close()


@asynccontextmanager
async def line_to(
    serve: Serve, *, kind: str = "tcp", learnt: Learnt | None = None, **more: object
) -> AsyncIterator[tuple[BusLine, Plant]]:
    """An open line to such a server."""
    async with served(serve) as plant:
        bus = TcpBus(name="bus", type=kind, host="127.0.0.1", port=plant.port, baudrate=115200, **more)
        line = BusLine(bus, ModbusPort(bus), learnt)
        await line.open()
        try:
            yield line, plant
        finally:
            line.close()


def station(line: BusLine, unit: int = 1):
    """A meter with reads to check by."""
    made = line.station(unit)
    made.probes = PROBES
    return made


def seated(line: BusLine, unit: int = 1, **keys: object) -> Station:
    """The same with facts of its own; `keys` are those of its configuration."""
    made = line.station(unit, line.learnt.meter(line.bus, meter(unit, **keys)))
    made.probes = PROBES
    return made


async def restarted(bus: TcpBus, directory: Path, times: int) -> AsyncIterator[tuple[int, BusLine, Station]]:
    """The bus as a gateway has it that is started so many times, each time with what it has learnt."""
    for turn in range(times):
        learnt = Learnt(directory / LEARNT_FILE)
        line = BusLine(bus, ModbusPort(bus), learnt)
        await line.open()
        yield turn, line, seated(line)
        line.close()
        await learnt.save()


async def ask_all(line: BusLine, who, rounds: int = 3) -> tuple[int, int]:
    """How many reads were right, and how many failed; a wrong value fails the test."""
    right = failed = 0
    for function, first, count in QUESTIONS * rounds:
        try:
            words = await line.read(who, function, first, count)
        except BusError:
            failed += 1
            continue
        assert words == pattern(who.unit, first, count)
        right += 1
    return right, failed
