"""Real lines and servers for the field's tests; every register holds its address plus the unit times 1000."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.catalogue import Driver, load_text
from gateway.config.schema import Meter, SerialBus, TcpBus
from gateway.demo.line import SerialLine
from gateway.demo.slave import PatternImage, Slave
from gateway.demo.tcp import TcpPlant, TcpServer

NAMES = ["active_power", *(f"active_power_{end}" for end in ("l1", "l2", "l3", "demand", "demand_max")), "heat_power", "dc_power"]


def pattern(unit: int, first: int, count: int) -> tuple[int, ...]:
    """What the registers of a unit hold."""
    return tuple((at + 1000 * unit) & 0xFFFF for at in range(first, first + count))


def slaves(units: range | list[int]) -> list[Slave]:
    return [Slave(unit, PatternImage(1000 * unit)) for unit in units]


def driver(rows: str = "", reads: str = "function: 4", name: str = "test-table") -> Driver:
    """A table of eight u16 values, 10 registers apart, unless rows are given."""
    rows = rows or "\n".join(f"{10 * index} u16 {name} kW fast decimals=0" for index, name in enumerate(NAMES))
    text = "\n".join("  " + row.strip() for row in rows.strip().splitlines())
    return load_text(f"maker: T\nmodel: T\nverified: simulator\nsource: tests\nreads: {{{reads}}}\nregisters: |\n{text}\n", name)


def meter(unit: int = 1, **more: Any) -> Meter:
    return Meter(**{"id": f"m{unit}", "bus": "bus", "address": unit, "driver": "test-table", "interval": "1s", **more})


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


@pytest.fixture
def serial(stack: ExitStack) -> Callable[..., tuple[SerialLine, SerialBus]]:
    """A line on a real pty, fast unless told otherwise, and the bus that opens it."""

    def start(units: range | list[int] = range(1, 6), *, timeout: str | None = None, **more: Any) -> tuple[SerialLine, SerialBus]:
        line = stack.enter_context(SerialLine(slaves(units), **{"baudrate": 115200, "turnaround": 0.002, **more}))
        return line, SerialBus(name="bus", type="serial", port=line.port, baudrate=more.get("baudrate", 115200), timeout=timeout)

    return start


@pytest.fixture
def tcp(stack: ExitStack) -> Callable[..., tuple[TcpServer, TcpBus, TcpPlant]]:
    """A server on a real socket, and the bus that connects to it."""

    def start(units: range | list[int] = range(1, 6), *, timeout: str | None = None, **more: Any) -> tuple[TcpServer, TcpBus, TcpPlant]:
        server = TcpServer(slaves(units), **more)
        plant = stack.enter_context(TcpPlant([server]))
        kind = "rtu-over-tcp" if more.get("mode") == "rtu" else "tcp"
        return server, TcpBus(name="bus", type=kind, host=server.host, port=server.port, baudrate=115200, timeout=timeout), plant

    return start
