"""A serial line in virtual time, in the place of the port's transport: half duplex, at the pace of the wire,
with meters whose registers never show the same number twice, and answers that come once more.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from field_parts import driver, meter

from gateway.config.schema import SerialBus
from gateway.demo.simulator.frames import rtu_frame, rtu_parts
from gateway.field.bus.cost import wire_of
from gateway.field.meter.reader import MeterTask
from gateway.field.port.modbus import ModbusPort
from gateway.field.worker import BusWorker
from gateway.model import Reading

BUS = SerialBus(name="bus", type="serial", port="/dev/fake", baudrate=19200)
PLACES = {
    "active_energy_import": 0,
    "active_energy_export": 100,
    "reactive_energy_import": 200,
    "reactive_energy_export": 300,
    "apparent_energy": 400,
    "active_energy_import_l1": 402,
}
"""Four reads of two registers, and one of four."""
TABLE = driver(
    "\n".join(
        f"{at} u32 {name} {'kvarh' if name[0] == 'r' else 'kVAh' if 'app' in name else 'kWh'} fast decimals=0"
        for name, at in PLACES.items()
    ),
    "function: 4, max_registers: 20",
)
Kept = Callable[[int, int], int | None]
"""What a register of a unit holds at all times; None: another number each time."""


@dataclass(frozen=True)
class Answer:
    """One that left its meter: at what time, from which register on, and the numbers in it."""

    at: float
    unit: int
    address: int
    numbers: tuple[int, ...]


class VirtualLine:
    """`again(index, unit)` says how many s after its answer to the request with this index a second copy of
    it comes, if any.
    """

    def __init__(
        self,
        again: Callable[[int, int], float | None] = lambda *_: None,
        *,
        turn_around: float = 0.02,
        kept: Kept = lambda *_: None,
    ) -> None:
        self.again, self.turn_around, self.kept = again, turn_around, kept
        self.wire = wire_of(BUS)
        self.answers: list[Answer] = []
        self.copies = 0
        self.dropped = 0
        self._number = 0
        self._free_at = 0.0
        self._data: Callable[[bytes], int] = len
        self._open = False
        self.recv_buffer = b""
        self.transport = None

    def __call__(self, _bus: object, take: Callable[[bytes], int], *_: object) -> VirtualLine:
        """Be the transport of a port."""
        self._data = take
        return self

    async def open(self) -> None:
        self._open = True

    def leave(self) -> None:
        self._open = False

    def is_active(self) -> bool:
        return self._open

    def write(self, data: bytes) -> None:
        self.recv_buffer = b""
        now = time.monotonic()
        unit, pdu = rtu_parts(data) or (0, b"")
        if now < self._free_at:  # two talk at once
            self.dropped += 1
            return
        _, address, count = struct.unpack(">BHH", pdu)
        index = len(self.answers)
        numbers = tuple(self._numbers(unit, address, count))
        self.answers.append(Answer(now, unit, address, numbers))
        words = struct.pack(f">{count // 2}I", *numbers) + bytes(2 * (count % 2))
        frame = rtu_frame(unit, bytes((pdu[0], 2 * count)) + words)
        end = self._say(now + self.wire.char * len(data) + self.wire.gap + self.turn_around, frame)
        delay = self.again(index, unit)
        if delay is not None:
            self.copies += 1
            asyncio.get_running_loop().call_at(end + delay - self.wire.char * len(frame), self._repeat, frame)

    def _numbers(self, unit: int, address: int, count: int) -> Iterator[int]:
        for at in range(address, address + count - count % 2, 2):
            kept = self.kept(unit, at)
            self._number += 1
            yield self._number if kept is None else kept

    def _repeat(self, frame: bytes) -> None:
        self._say(time.monotonic(), frame)

    def _say(self, at: float, frame: bytes) -> float:
        """One talks after another; when the last byte is through."""
        begin = max(at, self._free_at)
        self._free_at = begin + len(frame) * self.wire.char
        asyncio.get_running_loop().call_at(self._free_at, self._arrive, frame)
        return self._free_at

    def _arrive(self, data: bytes) -> None:
        if self._open:
            self.recv_buffer += data
            self.recv_buffer = self.recv_buffer[self._data(self.recv_buffer) :]


@dataclass
class Outcome:
    """What a stretch of time brought: whole readings by meter, values, and those that were wrong."""

    whole: Counter[str]
    values: int
    wrong: list[tuple[str, str, float]]
    absent: Counter[str]
    requests: int
    line: VirtualLine


async def polled(
    line: VirtualLine, intervals: Sequence[str], seconds: float, *, before: float = 10.0
) -> Outcome:
    """What meters on a line give in so many s, some time after the start. The port must have `line` for its
    transport.
    """
    readings: list[tuple[float, Reading]] = []
    started = time.monotonic()
    tasks = [MeterTask(meter(unit, interval=each), TABLE) for unit, each in enumerate(intervals, 1)]
    worker = BusWorker(
        BUS,
        tasks,
        lambda reading: readings.append((time.monotonic(), reading)),
        port=ModbusPort(BUS),
        wall=lambda: 1_795_278_300.0 + time.monotonic() - started,
    )
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(before)
    begun, requests = len(readings), len(line.answers)
    await asyncio.sleep(seconds)
    await worker.stop()
    await task
    return _judged(line, readings, begun, len(line.answers) - requests)


def _judged(line: VirtualLine, readings: list[tuple[float, Reading]], begun: int, requests: int) -> Outcome:
    """A value is wrong that is not its register's, or left the meter before its poll began."""
    origin = {
        number: (answer, answer.address + 2 * at)
        for answer in line.answers
        for at, number in enumerate(answer.numbers)
    }
    outcome = Outcome(Counter(), 0, [], Counter(), requests, line)
    since = 0.0
    for index, (at, reading) in enumerate(readings):
        unit = int(reading.meter[1:])
        for name, value in reading.values.items():
            kept = line.kept(unit, PLACES[name])
            answer, address = origin.get(int(value), (None, 0))
            right = (
                value == kept
                if kept is not None
                else answer is not None
                and (answer.unit, address) == (unit, PLACES[name])
                and answer.at >= since
            )
            outcome.values += 1
            if not right:
                outcome.wrong.append((reading.meter, name, value))
        if index >= begun:
            outcome.whole[reading.meter] += len(reading.values) == len(PLACES)
            outcome.absent[reading.meter] += len(PLACES) - len(reading.values)
        since = at
    return outcome
