"""A Modbus slave without a wire: request PDU in, response PDU out, every serve written down.

The serve log is the simulator's own word on what it gave: one JSON object a line, `{"t", "meter", "unit",
"function", "address", "count", "ordinal", "words", "values", "fault"}`. `t` is CLOCK_BOOTTIME in ms at the
moment the values were taken. `ordinal` is the stamp that this serve carried, null when the stamp's register
was not in it. `values` holds what was meant, in the vocabulary's units, where the image knows it. `fault`
names what was done to the reply on purpose; empty for a good one. A request that is refused or ignored is no
serve.
"""

from __future__ import annotations

import json
import os
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
READ_LIMIT = 125
_READ = struct.Struct(">BHH")
_END = 0x10000


class ModbusError(Exception):
    """A request that the slave answers with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Served:
    """What an image gave for one request: its words, and what they mean where that is known."""

    words: list[int]
    values: dict[str, float] = field(default_factory=dict)


class RegisterImage(Protocol):
    """The registers behind a unit id."""

    def read(self, function: int, address: int, count: int) -> Served:
        """The words at [address, address + count), taken now. Raises ModbusError."""


class WordImage:
    """Registers as a plain mapping, address → word or a callable that gives it at serve time. An address
    that is not there is illegal.
    """

    def __init__(
        self, words: Mapping[int, int | Callable[[], int]], *, functions: tuple[int, ...] = (3, 4)
    ) -> None:
        self.words = dict(words)
        self._functions = functions

    def read(self, function: int, address: int, count: int) -> Served:
        """The words as they stand."""
        if function not in self._functions:
            raise ModbusError(ILLEGAL_FUNCTION)
        try:
            found = [self.words[at] for at in range(address, address + count)]
        except KeyError:
            raise ModbusError(ILLEGAL_ADDRESS) from None
        return Served([(word() if callable(word) else word) & 0xFFFF for word in found])


class PatternImage:
    """Every register holds its own address plus an offset: a value that stands in the wrong place gives
    itself away.
    """

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset

    def read(self, function: int, address: int, count: int) -> Served:  # noqa: ARG002 - both functions show the same
        """Address + offset, modulo 65536."""
        return Served([at + self._offset & 0xFFFF for at in range(address, address + count)])


@dataclass(frozen=True, slots=True)
class OrdinalPlace:
    """Where a meter shows its ordinal, high word first: a counter that goes up each time it is served
    whole.
    """

    address: int
    words: int = 2
    functions: tuple[int, ...] = (3, 4)
    meant: str = "pulse_count"


class ServeLog:
    """The simulator's own log: lines in a file, entries in memory, or both."""

    def __init__(self, path: Path | None = None, *, keep: bool = False) -> None:
        self.entries: list[dict[str, Any]] = []
        self._keep = keep
        # One write(2) with O_APPEND per line: whole lines whoever dies, and several threads may share it.
        self._fd = (
            -1
            if path is None
            else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        )

    def write(self, entry: dict[str, Any]) -> None:
        """Add one entry."""
        if self._keep:
            self.entries.append(entry)
        if self._fd >= 0:
            os.write(self._fd, json.dumps(entry, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Close the file of entries."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Slave:
    """One meter: its unit id, its registers, its ordinal, its place in the serve log."""

    def __init__(
        self,
        unit: int,
        image: RegisterImage,
        *,
        name: str = "",
        stamp: OrdinalPlace | None = None,
        log: ServeLog | None = None,
        limit: int = READ_LIMIT,
        min_gap: float = 0.0,
    ) -> None:
        """`limit`: the longest read it accepts. `min_gap`: s after an answer during which a serial line's
        slave hears nothing.
        """
        self.unit = unit
        self.name = name or f"unit{unit}"
        self.min_gap = min_gap
        self.ordinal = 0
        self.serves = 0
        self._image = image
        self._stamp = stamp
        self._log = log
        self._limit = limit
        self._lock = threading.Lock()

    def respond(self, pdu: bytes, *, fault: str = "") -> bytes:
        """The response PDU; `fault` is what will be done to it, for the log. Never raises."""
        if not pdu:
            return bytes((0x80, ILLEGAL_FUNCTION))
        function = pdu[0]
        if function not in {3, 4}:
            return exception(function, ILLEGAL_FUNCTION)
        if len(pdu) != _READ.size:
            return exception(function, ILLEGAL_VALUE)
        _, address, count = _READ.unpack(pdu)
        if not 1 <= count <= self._limit:
            return exception(function, ILLEGAL_VALUE)
        if address + count > _END:
            return exception(function, ILLEGAL_ADDRESS)
        try:
            with self._lock:
                words = self._serve(function, address, count, fault)
        except ModbusError as error:
            return exception(function, error.code)
        except Exception:  # noqa: BLE001 - an image that fails is a meter that fails
            return exception(function, DEVICE_FAILURE)
        return struct.pack(f">BB{count}H", function, 2 * count, *words)

    def _serve(self, function: int, address: int, count: int, fault: str) -> list[int]:
        served = self._image.read(function, address, count)
        if len(served.words) != count:
            raise ModbusError(DEVICE_FAILURE)
        ordinal = self._stamped(function, address, count, served)
        self.serves += 1
        if self._log is not None:
            self._log.write(
                {
                    "t": time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
                    "meter": self.name,
                    "unit": self.unit,
                    "function": function,
                    "address": address,
                    "count": count,
                    "ordinal": ordinal,
                    "words": served.words,
                    "values": served.values,
                    "fault": fault,
                }
            )
        return served.words

    def _stamped(self, function: int, address: int, count: int, served: Served) -> int | None:
        stamp = self._stamp
        if (
            stamp is None
            or function not in stamp.functions
            or stamp.address < address
            or stamp.address + stamp.words > address + count
        ):
            return None
        self.ordinal += 1
        for index in range(stamp.words):
            shift = 16 * (stamp.words - 1 - index)
            served.words[stamp.address - address + index] = self.ordinal >> shift & 0xFFFF
        served.values[stamp.meant] = float(self.ordinal)
        return self.ordinal


def exception(function: int, code: int) -> bytes:
    """The PDU of a Modbus exception."""
    return bytes((function & 0x7F | 0x80, code))
