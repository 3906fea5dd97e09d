"""A gateway that refuses, or hangs up, at its own time-out, and has the meter's answer a moment later: some
keep it and give it to the next request, under that one's number. No value is another register's.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.catalogue import load_text
from gateway.config.schema import Meter, TcpBus
from gateway.field import sealed
from gateway.field.worker import BusWorker, MeterTask

PLACES = {0x100: "active_power_l1", 0x200: "active_power_l2", 0x300: "active_power_l3", 0x400: "active_power"}
TABLE = (
    "maker: B\nmodel: four\nverified: simulator\nsource: b\n"
    "reads: {function: 4, max_registers: 8}\nregisters: |\n"
)
DRIVER = load_text(TABLE + "".join(f"  {at} u32 {name} W fast\n" for at, name in PLACES.items()), "four")
TURN, OWN, LATE, EVERY = 0.01, 0.3, 0.5, 23
"""s that a meter takes, that its gateway waits for it, that it takes for one of so many requests."""


@dataclass
class BufferedGateway:
    """One request at a time; what the meters say comes into a buffer. `says`: an exception at its own
    time-out, None: it hangs up. `empties` the buffer before a request, or never; `looks` whose reply it is.
    """

    says: int | None
    empties: bool = False
    looks: bool = True
    asked: int = 0
    buffer: asyncio.Queue[tuple[int, bytes]] = field(default_factory=asyncio.Queue)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def words(self, unit: int, pdu: bytes) -> bytes:
        """Each answer says whose it is, of which place, and when it was asked for."""
        _, address, count = struct.unpack(">BHH", pdu)
        self.asked += 1
        place = [*PLACES].index(address) if address in PLACES else 7
        said = struct.pack(">I", unit << 20 | place << 16 | self.asked & 0xFFFF) * 64
        return bytes((pdu[0], 2 * count)) + said[: 2 * count]

    async def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """The reply to a request; None: it hangs up."""
        async with self.turn:
            while self.empties and not self.buffer.empty():
                self.buffer.get_nowait()
            words = self.words(unit, pdu)
            later = LATE if self.asked % EVERY == 0 else TURN
            asyncio.get_running_loop().call_later(later, self.buffer.put_nowait, (unit, words))
            end = time.monotonic() + OWN
            while (left := end - time.monotonic()) > 0:
                with suppress(TimeoutError):
                    whose, reply = await asyncio.wait_for(self.buffer.get(), left)
                    if whose == unit or not self.looks:
                        return reply
            return None if self.says is None else bytes((pdu[0] | 0x80, self.says))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                number, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                reply = await self.answer(unit, await reader.readexactly(length - 1))
                if reply is None:
                    break
                writer.write(struct.pack(">HHHB", number, 0, len(reply) + 1, unit) + reply)
        writer.close()


@dataclass
class LateConverter(BufferedGateway):
    """Serial frames: it refuses at once, and the answer comes all the same."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                frame = await reader.readexactly(8)
                unit, pdu = frame[0], frame[1:-2]
                words = self.words(unit, pdu)
                said = sealed(unit, words)
                if self.asked % EVERY == 0:
                    refusal = sealed(unit, bytes((pdu[0] | 0x80, self.says or 0)))
                    loop.call_later(TURN, writer.write, refusal)
                    loop.call_later(6 * TURN, writer.write, said)
                else:
                    loop.call_later(TURN, writer.write, said)


async def read_all(
    gateway: BufferedGateway, units: tuple[int, ...], requests: int = 3 * EVERY, **bus: Any
) -> Counter[str]:
    """What became of each value of the meters behind it: right, or whose it is; until it was asked so often,
    or a minute is over.
    """
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tasks = [MeterTask(Meter(id=f"m{unit}", bus="b", address=unit, driver="four"), DRIVER) for unit in units]
    of_bus = {"name": "b", "type": "tcp", "host": "127.0.0.1", "port": port, **bus}
    worker = BusWorker(TcpBus(**of_bus), tasks, lambda _: None)
    found: Counter[str] = Counter()
    end = time.monotonic() + 60.0
    while gateway.asked < requests and time.monotonic() < end:
        for task, unit in zip(tasks, units, strict=True):
            since = gateway.asked
            reading = await worker.meter(task.config.id).read()
            for name, value in reading.values.items():
                said = round(value * 1000)
                whose, place, when = said >> 20, said >> 16 & 15, said & 0xFFFF
                right = (whose, place) == (unit, [*PLACES.values()].index(name)) and when > since
                found["right" if right else f"unit {whose}, place {place}, request {when} after {since}"] += 1
            await asyncio.sleep(0.02)
    await worker.stop()
    server.close()
    return found


@pytest.mark.parametrize("units", [(1,), (1, 2)])
@pytest.mark.parametrize(
    ("says", "empties", "looks"),
    [(0x0B, False, True), (0x0B, True, True), (0x0B, False, False), (6, False, True), (None, False, True)],
)
async def test_an_answer_that_a_gateway_has_given_up_is_no_other_registers_value(
    units, says, empties, looks
) -> None:
    found = await read_all(BufferedGateway(says, empties, looks), units)
    assert set(found) == {"right"}, found
    assert found["right"] > 10


@pytest.mark.parametrize("says", [5, 6, 0x0B])
async def test_what_comes_behind_a_refusal_on_a_serial_line_is_no_other_registers_value(says) -> None:
    found = await read_all(LateConverter(says), (1, 2), type="rtu-over-tcp")
    assert set(found) == {"right"}, found
    assert found["right"] > 10


@pytest.mark.parametrize("code", [2, 3])
async def test_what_a_meter_refuses_at_once_costs_no_silence(code) -> None:
    """The control: it has been asked, and has answered."""

    class Refusing(BufferedGateway):
        async def answer(self, unit: int, pdu: bytes) -> bytes | None:
            if struct.unpack(">BHH", pdu)[1] == 0x300:
                return bytes((pdu[0] | 0x80, code))
            return self.words(unit, pdu)

    found = await read_all(Refusing(0x0B), (1,))
    assert set(found) == {"right"}
    assert found["right"] > 30
