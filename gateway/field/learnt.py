"""What is learnt about lines and meters: one home, kept over a reload and a restart, said with the time it
was learnt.

The file is state that may be lost without harm: a missing, damaged or foreign one is forgotten, and
everything is learnt again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.common.file_versions import WRITABLE, newest_writable
from gateway.common.files import read_regular, write_durably
from gateway.config import Bus, Config, Meter, SerialBus
from gateway.field.facts import BUS_NAMES, METER_NAMES, SECONDS, BusFacts, Fact, MeterFacts, Value, check
from gateway.field.meter.counters import CounterMemory, energy_ratio

log = logging.getLogger(__name__)

LEARNT_FILE = "learnt.json"
"""Its name in the journal's directory."""
VERSION = WRITABLE[LEARNT_FILE][1]
SAVE_EVERY = 60.0
"""s between two writes of the file, at least."""
MOST_BYTES = 4_000_000
"""A longer file was not written by us."""


class Learnt:
    """The facts of all lines and meters. `path` is the file that keeps them; None: memory only."""

    def __init__(self, path: Path | None = None, *, wall: Callable[[], float] = time.time) -> None:
        self.wall = wall
        self._path = path
        self._changed = asyncio.Event()
        self._facts = _read(path) if path else {}
        self._counters: dict[str, CounterMemory] = {}

    def bus(self, bus: Bus) -> BusFacts:
        """The facts of a line."""
        configured = {name: value for name in BUS_NAMES if (value := getattr(bus, name, None)) is not None}
        return BusFacts(configured, self._facts.setdefault(_bus_key(bus), {}), self)

    def meter(self, bus: Bus, meter: Meter) -> MeterFacts:
        """The facts of a meter; those of another driver, address or line are not its own."""
        configured: dict[str, Value] = {
            name: value
            for name in METER_NAMES
            if name != "skip" and (value := getattr(meter, name, None)) is not None
        }
        if meter.skip is not None:
            configured["skip"] = tuple((*span, "not_available") for span in meter.skip)
        return MeterFacts(configured, self._facts.setdefault(_meter_key(bus, meter), {}), self)

    def counters(self, bus: Bus, meter: Meter) -> CounterMemory:
        """What its counters have said last: a reload keeps that, a restart does not."""
        return self._counters.setdefault(_counters_key(bus, meter), CounterMemory())

    def keep(self, config: Config) -> None:
        """Forget what is known of lines and meters that the configuration does not have any more."""
        buses = {bus.name: bus for bus in config.buses}
        wanted = {_bus_key(bus) for bus in config.buses}
        wanted |= {_meter_key(buses[meter.bus], meter) for meter in config.meters if meter.bus in buses}
        for key in [key for key, facts in self._facts.items() if key not in wanted]:
            if self._facts.pop(key):
                self.touch()
        read = {_counters_key(buses[meter.bus], meter) for meter in config.meters if meter.bus in buses}
        self._counters = {key: memory for key, memory in self._counters.items() if key in read}

    def touch(self) -> None:
        """Something changed: it is written within `SAVE_EVERY`."""
        self._changed.set()

    async def run(self) -> None:
        """Write what changes, at most every `SAVE_EVERY` s."""
        while True:
            await self._changed.wait()
            await self.save()
            await asyncio.sleep(SAVE_EVERY)

    async def save(self) -> None:
        """Write what has changed since the last time. A file that cannot be written costs nothing but the
        knowledge.
        """
        if (
            self._path is None
            or not self._changed.is_set()
            or newest_writable(LEARNT_FILE, VERSION) < VERSION
        ):
            return
        self._changed.clear()
        await asyncio.to_thread(_write, self._path, self._body())

    def _body(self) -> str:
        facts = {
            key: {fact.name: {"value": fact.value, "since": fact.since} for fact in known.values()}
            for key, known in sorted(self._facts.items())
            if known
        }
        return json.dumps({"version": VERSION, "facts": facts}, indent=1, ensure_ascii=False)


def _bus_key(bus: Bus) -> str:
    where = (
        f"{bus.port} {bus.baudrate}{bus.parity}{bus.stopbits}"
        if isinstance(bus, SerialBus)
        else f"{bus.host}:{bus.port}"
    )
    return f"{bus.name} {bus.type} {where}"


def _meter_key(bus: Bus, meter: Meter) -> str:
    return f"{_bus_key(bus)} / {meter.address} {meter.driver}"


def _counters_key(bus: Bus, meter: Meter) -> str:
    return f"{_meter_key(bus, meter)} {meter.id} {energy_ratio(meter)}"


def _read(path: Path) -> dict[str, dict[str, Fact]]:
    """What the file holds; nothing of it when it is not ours, and no single fact that is none."""
    try:
        body = json.loads(read_regular(path, MOST_BYTES))
    except FileNotFoundError:
        return {}
    except PermissionError:
        log.warning(
            "%s may not be read by this user, so nothing counts as learnt about lines and meters → use sudo",
            path,
        )
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning(
            "%s is not readable, so what was learnt about lines and meters is learnt again: %s", path, error
        )
        return {}
    if (
        not isinstance(body, dict)
        or body.get("version") != VERSION
        or not isinstance(body.get("facts"), dict)
    ):
        log.warning(
            "%s is of another version, so what was learnt about lines and meters is learnt again", path
        )
        return {}
    return {key: _facts(known) for key, known in body["facts"].items() if isinstance(known, dict)}


def _facts(known: Mapping[str, Any]) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for name, entry in known.items():
        with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError):
            value, since = entry["value"], entry["since"]
            if name == "skip":
                value = tuple(tuple(span) for span in value)
            elif name == "given":
                value = tuple(value)
            check(name, value)
            if isinstance(since, int) and since >= 0:
                facts[name] = Fact(name, float(value) if name in SECONDS else value, since)
    return facts


def _write(path: Path, body: str) -> None:
    try:
        write_durably(path, f"{body}\n".encode())
    except OSError as error:
        log.warning(
            "%s cannot be written: what was learnt about lines and meters is lost with the next restart: %s",
            path,
            error,
        )
