"""Meters that are served on this machine, for tests that read them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from gateway.config.schema import TcpBus
from gateway.demo.simulator.slave import Slave
from gateway.demo.simulator.tcp_server import TcpPlant, TcpServer


def served(stack: ExitStack, slaves: Sequence[Slave], **more: Any) -> TcpBus:
    """The bus that reaches these slaves over TCP, until the stack is left; `more` of its keys."""
    server = TcpServer(slaves)
    stack.enter_context(TcpPlant([server]))
    return TcpBus(name="bus", type="tcp", host=server.host, port=server.port, **more)


def float_registers(values: Mapping[int, float], *, little: bool = False, count: int = 80) -> dict[int, int]:
    """Registers from 0 on with these floating-point numbers at their addresses, and zeros."""
    found = dict.fromkeys(range(count), 0)
    for address, value in values.items():
        high, low = struct.unpack(">2H", struct.pack(">f", value))
        found[address], found[address + 1] = (low, high) if little else (high, low)
    return found
