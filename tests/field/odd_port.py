"""A port in virtual time whose meters are silent or deaf in odd ways, and a worker that polls them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.config.schema import Bus, SerialBus, TcpBus
from gateway.errors import BusDown, NoReply, Refused
from gateway.field.learnt import Learnt
from gateway.field.meter.reader import MeterTask
from gateway.field.port.contract import Registers, registers_of
from gateway.field.port.fake import FakePort
from gateway.field.worker import BusWorker
from gateway.model import Reading

TCP = TcpBus(name="bus", type="tcp", host="h", timeout="200ms")
SERIAL = SerialBus(name="bus", type="serial", port="/dev/fake", baudrate=115200, timeout="200ms")
WALL = 1_795_278_300.0
"""The wall clock's time at the monotonic clock's 0."""
SHORT = "function: 4, max_registers: 15"
"""Four reads for the eight rows."""

Deaf = Callable[["OddPort", int, int, int, int], bool]


class OddPort(FakePort):
    """Meters whose registers hold their address; `silent(port, unit, function, address, count)` says what
    is not answered.
    """

    def __init__(
        self,
        silent: Deaf = lambda *_: False,
        *,
        has_transaction_ids: bool = True,
        dead: tuple[int, ...] = (),
        latency: float = 0.005,
    ) -> None:
        super().__init__({}, latency=latency, has_transaction_ids=has_transaction_ids)
        self.unanswering, self.dead = silent, set(dead)
        self.unanswered: list[tuple[float, float, int]] = []
        self.answered_at: dict[int, float] = {}
        """When each unit's last answer ended."""
        self.refusal = 0
        """The exception that a gateway gives instead of silence."""

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        loop = asyncio.get_running_loop()
        if not self.connected:
            raise BusDown("closed")
        self.asked.append((unit, function, address, count))
        self.sent_at = loop.time()
        if unit in self.dead or self.unanswering(self, unit, function, address, count):
            await asyncio.sleep(timeout)
            self.unanswered.append((self.sent_at, timeout, unit))
            if self.refusal:
                self.heard_at = loop.time()
                raise Refused("refused", self.refusal)
            raise NoReply(f"unit {unit} did not answer")
        await asyncio.sleep(self.latency)
        self.heard_at = self.answered_at[unit] = loop.time()
        return registers_of(range(address, address + count))


class Bench:
    def __init__(self, bus: Bus, tasks: list[MeterTask], port: OddPort, learnt: Learnt | None = None) -> None:
        self.readings: list[Reading] = []
        self.worker = BusWorker(
            bus,
            tasks,
            self.readings.append,
            port=port,
            wall=lambda: WALL + time.monotonic(),
            learnt=learnt,
        )

    def of(self, name: str) -> list[Reading]:
        return [reading for reading in self.readings if reading.meter == name]

    def facts(self, name: str = "m1"):
        return self.worker.meters[name].reader.facts

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (
                f"not within {seconds} s; {self.readings[-3:]}, {self.worker.health().meters}"
            )
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(
    bus: Bus, tasks: list[MeterTask], port: OddPort, learnt: Learnt | None = None
) -> AsyncIterator[Bench]:
    bench = Bench(bus, tasks, port, learnt)
    task = asyncio.create_task(bench.worker.run())
    try:
        yield bench
    finally:
        await bench.worker.stop()
        await asyncio.wait_for(task, 5)
