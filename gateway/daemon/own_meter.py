"""The meter that the gateway itself is: heat, supply, memory, disk, clock, certificates, lines and store, as
readings of the id `gateway`, which go the way of every reading.

What this machine cannot say is absent as `not_available`, never made up.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.common.wait import wait_for_event
from gateway.config import Config
from gateway.daemon.remote.certificates import certificate_ends
from gateway.field import BusWorker
from gateway.host import Clock, MachineFiles, clock_offset, uptime_ms
from gateway.journal import Journal
from gateway.model import OWN_METER, Reading

SHOWN_AFTER, START_SECONDS = 5.0, 60.0
"""s after which the page shows what the machine says, and from which on it is read for journal and platform:
a start has other work, and its load is not that of the day.
"""
SUPPLY_CHECK = 1.0
"""s between two looks at the supply: the kernel shows an alarm for 2 s."""
DECIMALS = {
    "cpu_temperature": 1,
    "undervoltage": 0,
    "cpu_load": 2,
    "memory_free": 0,
    "disk_free": 0,
    "disk_written": 3,
    "disk_life_used": 0,
    "clock_offset": 3,
    "certificate_days": 1,
    "bus_error_rate": 2,
    "journal_days": 1,
}
"""Each quantity, with the decimals that it is read with."""
NONE_HERE = "not_available"
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class OwnParts:
    """What the parts of the daemon say: for each bus its requests and how many of them failed, counted since
    its start; days that the store has room for; whether the clock is right.
    """

    requests: Mapping[str, tuple[int, int]]
    journal_days: float | None
    clock_synced: bool

    @classmethod
    def of(cls, workers: Mapping[str, BusWorker], journal: Journal, clock: Clock) -> OwnParts:
        """As the parts are now."""
        counters = {name: worker.health().counters for name, worker in workers.items()}
        asked = {name: (each.requests, each.timeouts + each.bad_frames) for name, each in counters.items()}
        return cls(asked, journal.stats().room_days, clock.synced)


def measure(config: Config, machine: MachineFiles) -> dict[str, float | None]:
    """What the machine says, by quantity; None: it does not. Reads files: not for the event loop."""
    folder = Path(config.journal.directory)
    disk = machine.disk(machine.mount(folder).device)
    memory, free, written = machine.memory_available(), machine.free(folder), machine.written(disk)
    ends = [at for _, key, at in certificate_ends(config) if key == "cert"]
    return {
        "cpu_temperature": machine.cpu_temperature(),
        "cpu_load": machine.cpu_load(),
        "memory_free": None if memory is None else memory / 1e6,
        "disk_free": None if free is None else free / 1e6,
        "disk_written": None if written is None else written / 1e9,
        "disk_life_used": machine.life_used(disk, config.health.endurance),
        "clock_offset": clock_offset(),
        "certificate_days": (min(ends) / 1000 - time.time()) / _DAY if ends else None,
    }


class OwnMeter:
    """Gives a reading of the gateway at the multiples of `health.interval`. `parts` says how the daemon's
    parts are; `uptime` is CLOCK_BOOTTIME in ms, `wall` UTC in s.
    """

    def __init__(
        self,
        config: Config,
        sink: Callable[[Reading], None],
        parts: Callable[[], OwnParts],
        *,
        machine: MachineFiles | None = None,
        uptime: Callable[[], int] = uptime_ms,
        wall: Callable[[], float] = time.time,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self.interval = config.health.interval
        """Seconds between two readings."""
        self._config, self._sink, self._parts = config, sink, parts
        self._machine = machine or MachineFiles()
        self._uptime, self._wall = uptime, wall
        self._start_seconds = start_seconds
        self._stopping = asyncio.Event()
        self._alarm = self._machine.supply_alarm()
        self._sagged = False
        self._counted: Mapping[str, tuple[int, int]] = {}
        self.newest: Reading | None = None

    async def run(self) -> None:
        """Read until `stop`."""
        await self._wait(min(SHOWN_AFTER, self._start_seconds))
        self.newest, _ = await self._measured()
        await self._wait(self._start_seconds - SHOWN_AFTER)
        while not self._stopping.is_set():
            now = self._wall()
            await self._wait(self.interval - now % self.interval)
            if not self._stopping.is_set():
                await self.read()

    async def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    def next_due(self) -> float | None:
        """None: no slot waits for it."""
        return None

    async def read(self) -> Reading:
        """A reading of now, which is also taken."""
        self.newest, counted = reading, _ = await self._measured()
        self._sagged, self._counted = False, dict(counted)
        self._sink(reading)
        return reading

    async def _measured(self) -> tuple[Reading, Mapping[str, tuple[int, int]]]:
        """A reading, and the requests that it was made of."""
        values = await asyncio.to_thread(measure, self._config, self._machine)
        parts = self._parts()
        self._see_supply()
        values |= {
            "undervoltage": None if self._alarm is None else float(self._sagged),
            "bus_error_rate": self._error_rate(parts.requests),
            "journal_days": parts.journal_days,
        }
        if not parts.clock_synced:
            values["clock_offset"] = None
        return _reading(values, self._uptime()), parts.requests

    async def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopping.is_set() and (left := end - time.monotonic()) > 0:
            await wait_for_event(self._stopping, left if self._alarm is None else min(left, SUPPLY_CHECK))
            self._see_supply()

    def _see_supply(self) -> None:
        if self._alarm is not None and not self._sagged:
            with contextlib.suppress(OSError):
                self._sagged = self._alarm.read_text().strip() == "1"

    def _error_rate(self, requests: Mapping[str, tuple[int, int]]) -> float | None:
        """Per cent of the requests since the last reading that failed, of the worst line; None: none were
        made.
        """
        rates = []
        for bus, (asked, failed) in requests.items():
            before, failed_before = self._counted.get(bus, (0, 0))
            if asked > before:
                rates.append(100.0 * max(0, failed - failed_before) / (asked - before))
        return min(100.0, max(rates)) if rates else None


def _reading(values: Mapping[str, float | None], uptime: int) -> Reading:
    reading = Reading(OWN_METER, uptime)
    for name, decimals in DECIMALS.items():
        value = values.get(name)
        if value is None or not math.isfinite(value):
            reading.absent[name] = NONE_HERE
        else:
            reading.values[name] = round(value, decimals)
    return reading


async def read_itself(config: Config) -> Reading:
    """What a command reads where no gateway runs: the machine, without lines and store."""
    none = OwnParts({}, None, clock_synced=True)
    return await OwnMeter(config, lambda _: None, lambda: none).read()
