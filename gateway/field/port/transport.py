"""The only importer of pymodbus: it gives the serial and TCP transports, the framing of RTU and the CRC.

There is no write in it, and none elsewhere: a request is one that reads registers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable
from typing import cast

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.transport import CommParams, CommType, ModbusProtocol

from gateway.common.network.connecting import connect, shared_names
from gateway.config import Bus, SerialBus
from gateway.field.bus.cost import wire_of
from gateway.field.port.direction import Direction

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # what went wrong is told once, by us

AT_ONCE = 512
"""Bytes that are taken from a connection at once: an answer has 260. What a gateway owes may come together,
and is looked at piece by piece.
"""
Receive = Callable[[bytes], int]
"""What is done with the bytes so far; gives how many are done with."""
_rtu = FramerRTU(DecodePDU(is_server=False))


def rtu_request(unit: int, function: int, address: int, count: int) -> bytes:
    """A read request as a serial line has it, with its CRC."""
    return sealed(unit, struct.pack(">BHH", function, address, count))


def sealed(unit: int, pdu: bytes) -> bytes:
    """A frame of a serial line: unit, PDU, CRC."""
    return bytes(_rtu.encode(pdu, unit, 0))


def has_right_crc(frame: bytes) -> bool:
    """Whether the last two bytes of a frame are its CRC."""
    return bool(FramerRTU.check_CRC(frame[:-2], frame[-2] << 8 | frame[-1]))


class Transport(ModbusProtocol, asyncio.BufferedProtocol):
    """pymodbus' transport, with its bytes and its end handed to the port. A connection's bytes come by
    `buffer_updated`, those of a serial line by `data_received`.
    """

    def __init__(
        self, bus: Bus, receive: Receive, whole: Receive | None, lost: Callable[[Exception | None], None]
    ) -> None:
        super().__init__(_parameters(bus), is_server=False)
        # A piece behind what was left of the one before: pymodbus throws all away where there is more.
        self.max_buffer_size = 2 * AT_ONCE
        self._bus = bus
        self._data, self._whole, self._lost = receive, whole, lost
        self._direction: Direction | None = None
        self._room = bytearray(AT_ONCE)

    async def open(self) -> None:
        """Connect, with the kernel's words when that fails: pymodbus' own `connect` swallows them. Raises
        OSError, ValueError.
        """
        if isinstance(self._bus, SerialBus):
            self.transport, _ = await self.call_create()
            if self._bus.direction_pin is not None:
                handle = cast("asyncio.Transport", self.transport).sync_serial.fileno()  # type: ignore[attr-defined]
                self._direction = await asyncio.to_thread(
                    Direction, self._bus.direction_pin, self._bus.port, handle
                )
            return
        sock = await connect(shared_names(), self._bus.host, self._bus.port)
        self.transport, _ = await self.loop.create_connection(self.handle_new_connection, sock=sock)

    def leave(self) -> None:
        """Close it; what it still has to say is not about the next one."""
        self._data, self._whole, self._lost = len, None, lambda _: None
        if self._direction is not None:
            self._direction.close()
        self.close()

    def write(self, data: bytes) -> None:
        """What `send` comes to here, at a third of its cost."""
        self.recv_buffer = b""
        if self._direction is not None:
            self._direction.send(data, wire_of(self._bus).char, self._not_sent)
            return
        cast("asyncio.Transport", self.transport).write(data)

    def _not_sent(self, error: Exception) -> None:
        # In the thread of the direction pin.
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self.loop.call_soon_threadsafe(lambda: self._lost(error))

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
        """Where a connection puts what comes next."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come from a connection."""
        self.data_received(bytes(self._room[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """What has come; the whole answer to a request needs no buffer."""
        if self._whole is None or self.recv_buffer or not self._whole(data):
            super().data_received(data)

    def callback_new_connection(self) -> ModbusProtocol:
        """Only a server has any."""
        raise NotImplementedError

    def callback_connected(self) -> None:
        """`open` has waited for it."""

    def callback_disconnected(self, exc: Exception | None) -> None:
        """The other side, or the line, has ended it."""
        self._lost(exc)

    def callback_data(self, data: bytes, addr: tuple[object, ...] | None = None) -> int:  # noqa: ARG002 - pymodbus' signature
        """Bytes that were not a whole answer at once, with those left from before."""
        return self._data(data)


def _parameters(bus: Bus) -> CommParams:
    if isinstance(bus, SerialBus):
        return CommParams(
            comm_name=bus.name, comm_type=CommType.SERIAL, host=bus.port,
            baudrate=bus.baudrate, bytesize=8, parity=bus.parity, stopbits=bus.stopbits,
        )  # fmt: skip
    return CommParams(comm_name=bus.name, comm_type=CommType.TCP, host=bus.host, port=bus.port)
