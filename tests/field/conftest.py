"""Real lines and servers for the field's tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from field_parts import slaves

from gateway.config.schema import SerialBus, TcpBus
from gateway.demo.simulator.serial_line import SerialLine
from gateway.demo.simulator.tcp_server import TcpPlant, TcpServer
from gateway.field.port import modbus


@pytest.fixture(autouse=True)
def numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are numbered from here, not from anywhere: of the next 600 none, its bytes swapped or counted
    on by one, is the number of an earlier one. A reply with such a number is a late one, as it has to be, and
    what is odd in the same way each time would not be understood at once.
    """
    monkeypatch.setattr(modbus, "first_number", lambda: 0x1234)


@pytest.fixture
def serial(stack: ExitStack) -> Callable[..., tuple[SerialLine, SerialBus]]:
    """A line on a real pty, fast unless told otherwise, and the bus that opens it."""

    def start(
        units: range | list[int] = range(1, 6), *, timeout: str | None = None, **more: Any
    ) -> tuple[SerialLine, SerialBus]:
        line = stack.enter_context(
            SerialLine(slaves(units), **{"baudrate": 115200, "turnaround": 0.002, **more})
        )
        return line, SerialBus(
            name="bus", type="serial", port=line.port, baudrate=more.get("baudrate", 115200), timeout=timeout
        )

    return start


@pytest.fixture
def tcp(stack: ExitStack) -> Callable[..., tuple[TcpServer, TcpBus, TcpPlant]]:
    """A server on a real socket, and the bus that connects to it."""

    def start(
        units: range | list[int] = range(1, 6), *, timeout: str | None = None, **more: Any
    ) -> tuple[TcpServer, TcpBus, TcpPlant]:
        server = TcpServer(slaves(units), **more)
        plant = stack.enter_context(TcpPlant([server]))
        kind = "rtu-over-tcp" if more.get("mode") == "rtu" else "tcp"
        return (
            server,
            TcpBus(
                name="bus", type=kind, host=server.host, port=server.port, baudrate=115200, timeout=timeout
            ),
            plant,
        )

    return start
