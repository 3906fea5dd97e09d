"""The only importer of pymodbus: a port that reads registers. There is no write in it, and none elsewhere.

pymodbus gives the serial and TCP transports, the framing and the CRC. The transaction is ours: an RTU reply carries no
number, so a reply is the answer only when unit, function and byte count are what was asked; pymodbus' own client
compares the unit alone.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.transport import CommParams, CommType, ModbusProtocol

from gateway.config.schema import Bus, SerialBus
from gateway.errors import BadFrame, BusDown, BusError, NoReply, Refused
from gateway.field.adapter import low_latency, trouble
from gateway.field.connecting import connect, shared_names

log = logging.getLogger(__name__)
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # what went wrong is told once, by us

NOISE = 4
"""Bytes of line noise that may precede a reply: a driver that switches on is often seen as one or two."""
SETTLE = 0.03
"""Seconds without a byte after which a reply that cannot become the answer is given up: beyond a USB adapter's 16 ms."""

EXCEPTIONS = {
    1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "device failure", 5: "acknowledge, busy",
    6: "device busy", 8: "memory parity error", 10: "gateway path unavailable", 11: "gateway target did not respond",
}  # fmt: skip

Words = tuple[int, ...]

HEADER = 8
"""The header of Modbus TCP, and a function code."""


class ModbusPort:
    """A serial port or a connection: one request in flight, no retry, no queue. Times are the loop's, in s."""

    def __init__(self, bus: Bus) -> None:
        self.name = f"{bus.port}" if isinstance(bus, SerialBus) else f"{bus.host}:{bus.port}"
        self.numbered = self._framed = bus.type == "tcp"
        """Whether replies carry a transaction number, so that a late one cannot be taken for another."""
        self.sent_at = self.heard_at = 0.0
        self.strays = 0
        """Bytes that came when nothing was asked, or beside the answer."""
        self._bus = bus
        self._link: _Link | None = None
        self._framer = (FramerSocket if self._framed else FramerRTU)(DecodePDU(is_server=False))
        self._hint = "check its address and power" + ("" if self._framed else ", the line's A and B, baud rate and parity")
        self._number = 0
        self._request = (0, 0, 0)
        self._sent = b""
        self._answer: asyncio.Future[Words] | None = None
        self._settling: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        """Whether the port is open."""
        return self._link is not None and bool(self._link.is_active())

    async def open(self) -> None:
        """Open the port for us alone. Raises BusDown."""
        self.close()
        link = _Link(_parameters(self._bus), self._take, self._lost)
        try:
            await link.open(self._bus)
        except (OSError, ValueError) as error:
            link.close()
            raise await asyncio.to_thread(trouble, self._bus, self.name, error) from error
        self._link = link
        self.numbered = self._framed  # it may be another device now
        if isinstance(self._bus, SerialBus):
            low_latency(self._bus.port, getattr(link.transport, "sync_serial", None))

    def close(self) -> None:
        """Close the port; whoever waits for an answer gets BusDown."""
        if self._link is not None:
            link, self._link = self._link, None
            link.close()
        self._fail(BusDown(f"{self.name} was closed"))

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Words:  # noqa: ASYNC109 - from the first byte out to the last in
        """The registers [address, address + count). Raises BusDown, NoReply, BadFrame, Refused."""
        if self._link is None or not self._link.is_active():
            raise BusDown(f"{self.name} is not open")
        loop = self._link.loop
        self._number = self._number % 0xFFFF + 1
        self._request = (unit, function, count)
        self._answer = answer = loop.create_future()
        self.sent_at = loop.time()
        self._sent = self._framer.encode(struct.pack(">BHH", function, address, count), unit, self._number)
        self._link.send(self._sent)
        timer = loop.call_later(timeout, self._expire)
        try:
            words: Words = await answer
        finally:
            timer.cancel()
            self._answer = None
            if self._settling is not None:
                self._settling.cancel()
                self._settling = None
        return words

    def _expire(self) -> None:
        link = self._link
        if link is not None and link.recv_buffer:
            self._fail(BadFrame(f"unit {self._request[0]}: {len(link.recv_buffer)} bytes came, but no whole answer"))
        else:
            self._fail(NoReply(f"unit {self._request[0]} did not answer", hint=self._hint))

    def _fail(self, error: BusError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _lost(self, error: Exception | None) -> None:
        self._fail(BusDown(f"{self.name} was lost" + (f": {error}" if error else "")))

    def _take(self, data: bytes) -> int:
        """What has come so far; returns how much of it is done with."""
        self.heard_at = asyncio.get_running_loop().time()
        if self._answer is None or self._answer.done():
            self.strays += len(data)
            return len(data)
        return self._take_tcp(data) if self._framed else self._take_rtu(data)

    def _take_tcp(self, data: bytes) -> int:
        """Frames count only if what follows is a frame too: a reply that was cut short would be filled up with the bytes of the next."""
        done = 0
        frames: list[tuple[int, int, bytes]] = []
        while len(data) - done >= HEADER:
            protocol, length = struct.unpack_from(">HH", data, done + 2)
            if protocol or not 3 <= length <= 254:  # noqa: PLR2004 - unit, function, one byte; or 253 bytes behind the unit
                self._out_of_step()
                return len(data)
            used, unit, number, pdu = self._framer.decode(data[done:])
            if not used:
                break
            done += used
            frames.append((number, unit, pdu))
        if any(data[done + 2 : done + 4]):
            self._out_of_step()
            return len(data)
        for number, unit, pdu in frames:
            self._take_frame(number, unit, pdu)
        return done

    def _out_of_step(self) -> None:
        self._fail(BadFrame(f"{self.name} sent what is not Modbus TCP"))
        if self._link is not None:
            self._link.close()

    def _take_frame(self, number: int, unit: int, pdu: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.strays += HEADER - 1 + len(pdu)
        elif number == self._number or (number == 0 and not self.numbered):
            self._judge(unit, pdu)
        elif number == 0:
            log.info("%s answers without transaction numbers: the rules of a serial line hold", self.name)
            self.numbered = False
            self._fail(BadFrame(f"{self.name} answers without a transaction number"))
        else:
            self.strays += HEADER - 1 + len(pdu)

    def _take_rtu(self, data: bytes) -> int:
        unit, function, count = self._request
        head, size = bytes((unit, function, 2 * count)), 5 + 2 * count
        refusal = bytes((unit, function | 0x80))
        if self._sent.startswith(data):
            return 0
        if data.startswith(self._sent):  # an adapter that hears itself: no answer looks like its question
            return len(self._sent) + (self._take_rtu(data[len(self._sent) :]) if len(data) > len(self._sent) else 0)
        for start in range(min(NOISE + 1, len(data))):
            length = size if data.startswith(head, start) else 5 if data.startswith(refusal, start) else 0
            frame = data[start : start + length]
            if length and len(frame) == length and FramerRTU.check_CRC(frame[:-2], frame[-2] << 8 | frame[-1]):
                self.strays += len(data) - length - start
                self._judge(unit, frame[1:-2])
                return len(data)
        promising = len(data) < size and data.startswith((head[: len(data)], refusal[: len(data)]))
        if self._settling is None and not promising:
            self._settling = asyncio.get_running_loop().call_later(SETTLE, self._settle)
        return 0

    def _settle(self) -> None:
        loop = asyncio.get_running_loop()
        rest = self.heard_at + SETTLE - loop.time()
        if rest > 0.001:  # noqa: PLR2004 - s; more came meanwhile: it may still become the answer
            self._settling = loop.call_later(rest, self._settle)
            return
        self._settling = None
        self._fail(BadFrame(f"unit {self._request[0]}: what came is not the answer, or is damaged"))

    def _judge(self, unit: int, pdu: bytes) -> None:
        asked, function, count = self._request
        if unit == asked and len(pdu) == 2 and pdu[0] == function | 0x80:  # noqa: PLR2004 - function and code
            what = EXCEPTIONS.get(pdu[1], "an exception that the standard does not name")
            self._fail(Refused(f"unit {unit} refused with exception {pdu[1]} ({what})", pdu[1]))
        elif unit == asked and pdu[0] == function and len(pdu) == 2 + 2 * count and pdu[1] == 2 * count:
            assert self._answer is not None
            self._answer.set_result(struct.unpack(f">{count}H", pdu[2:]))
        else:
            self._fail(BadFrame(f"unit {asked}: the reply's unit, function or byte count is not what was asked"))


class _Link(ModbusProtocol):
    """pymodbus' transport, with its bytes and its end handed to the port."""

    def __init__(self, params: CommParams, take: Callable[[bytes], int], lost: Callable[[Exception | None], None]) -> None:
        super().__init__(params, is_server=False)
        self._data, self._gone = take, lost

    async def open(self, bus: Bus) -> None:
        """Connect, with the kernel's words when that fails: pymodbus' own `connect` swallows them. Raises OSError, ValueError."""
        if isinstance(bus, SerialBus):
            self.transport, _ = await self.call_create()
            return
        sock = await connect(shared_names(), bus.host, bus.port)
        self.transport, _ = await self.loop.create_connection(self.handle_new_connection, sock=sock)

    def callback_new_connection(self) -> ModbusProtocol:
        raise NotImplementedError  # a client has none

    def callback_connected(self) -> None:
        pass

    def callback_disconnected(self, exc: Exception | None) -> None:
        self._gone(exc)

    def callback_data(self, data: bytes, addr: tuple[object, ...] | None = None) -> int:  # noqa: ARG002 - pymodbus' signature
        return self._data(data)


def _parameters(bus: Bus) -> CommParams:
    if isinstance(bus, SerialBus):
        return CommParams(
            comm_name=bus.name, comm_type=CommType.SERIAL, host=bus.port,
            baudrate=bus.baudrate, bytesize=8, parity=bus.parity, stopbits=bus.stopbits,
        )  # fmt: skip
    return CommParams(comm_name=bus.name, comm_type=CommType.TCP, host=bus.host, port=bus.port)
