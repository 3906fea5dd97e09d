"""What goes wrong on purpose: by hand for the next replies of a unit, or by chance from a seed."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.demo.simulator.frames import rtu_frame, rtu_parts
from gateway.demo.simulator.slave import exception

_REPLIES = ("dead", "late", "truncated", "foreign", "wrong_function", "wrong_count", "exception", "double")
SERIAL_KINDS = (*_REPLIES, "corrupt", "noise", "padded", "echo")
TCP_KINDS = (*_REPLIES, "echo", "reset", "half_open", "wrong_transaction", "short_exception")
CONVERTER_KINDS = (*SERIAL_KINDS, "reset", "half_open")
"""RTU over TCP."""
_PADDING = 5  # zeros behind a frame stay below it
_EXCEPTION = 2  # bytes of an exception PDU
UNSERVED = frozenset({"dead", "exception", "short_exception", "reset", "half_open"})
"""Faults after which no value leaves the meter."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of trouble. `seconds` is how late a late reply comes, 1 s unless given, or a second copy on a
    serial line, at once unless given; `code` is the Modbus exception.
    """

    kind: str
    seconds: float | None = None
    code: int = 6

    @property
    def delay(self) -> float:
        """`seconds`, or what they are when they are not given."""
        return self.seconds if self.seconds is not None else 1.0 if self.kind == "late" else 0.0

    def __post_init__(self) -> None:
        if self.kind not in {*SERIAL_KINDS, *TCP_KINDS}:
            raise ValueError(
                f"{self.kind!r} is not a fault: choose one of "
                f"{', '.join(sorted({*SERIAL_KINDS, *TCP_KINDS}))}"
            )


@dataclass(slots=True)
class Faults:
    """The faults of one bus. Orders by hand come first; then chance, the same for the same seed and
    sequence of requests.
    """

    seed: int = 0
    rate: float = 0.0
    """How likely a reply is faulted by chance."""
    kinds: tuple[Fault, ...] = ()
    """What chance chooses from."""
    units: frozenset[int] | None = None
    """Whom chance may hit; None for all."""
    log: list[tuple[int, str]] = field(default_factory=list)
    """(unit, kind) of every fault dealt out."""
    _orders: dict[int, deque[Fault]] = field(default_factory=dict)
    _standing: dict[int, Fault] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _possible: tuple[str, ...] = ()
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311 - repeatable trouble, not secrets

    def restrict(self, kinds: tuple[str, ...]) -> None:
        """Only these can happen on this bus. Raises ValueError for what chance was given beyond."""
        self._possible = kinds
        for fault in self.kinds:
            self._check(fault)

    def _check(self, fault: Fault) -> None:
        if self._possible and fault.kind not in self._possible:
            raise ValueError(
                f"{fault.kind!r} cannot happen on this bus: choose one of {', '.join(sorted(self._possible))}"
            )

    def order(self, unit: int, fault: Fault, times: int | None = 1) -> None:
        """Fault the next `times` replies of a unit; None: every reply until `clear`. Raises ValueError for
        what cannot happen here.
        """
        self._check(fault)
        with self._lock:
            if times is None:
                self._standing[unit] = fault
            else:
                self._orders.setdefault(unit, deque()).extend([fault] * times)

    def clear(self, unit: int | None = None) -> None:
        """Forget what was ordered for a unit, or for all; chance stays."""
        with self._lock:
            for orders in (self._orders, self._standing):
                if unit is None:
                    orders.clear()
                else:
                    orders.pop(unit, None)

    def pending(self, unit: int) -> int:
        """How many ordered faults have not been dealt out."""
        with self._lock:
            return len(self._orders.get(unit, ()))

    def next_fault(self, unit: int) -> Fault | None:
        """The fault of this reply, if it has one."""
        with self._lock:
            fault = self._next(unit)
            if fault is not None:
                self.log.append((unit, fault.kind))
            return fault

    def _next(self, unit: int) -> Fault | None:
        if orders := self._orders.get(unit):
            return orders.popleft()
        if unit in self._standing:
            return self._standing[unit]
        if self.kinds and (self.units is None or unit in self.units) and self.rng.random() < self.rate:
            return self.rng.choice(self.kinds)
        return None


def faults_from(spec: Mapping[str, Any]) -> Faults:
    """Faults by chance from a specification: CHANCE of gateway.demo.simulator."""
    kinds = tuple(Fault(kind) if isinstance(kind, str) else Fault(**kind) for kind in spec.get("kinds", ()))
    units = spec.get("units")
    return Faults(
        int(spec.get("seed", 0)),
        float(spec.get("rate", 0.0)),
        kinds,
        None if units is None else frozenset(units),
    )


def faulted_pdu(fault: Fault | None, request: bytes, response: bytes) -> bytes:
    """The response as the fault leaves it, for those faults that are about what it says."""
    if fault is None:
        return response
    if fault.kind in {"exception", "short_exception"}:
        return exception(request[0], fault.code)
    if fault.kind == "wrong_function":
        # The other read function: a whole frame with a right length, and not what was asked for.
        return bytes((response[0] ^ 0x07,)) + response[1:]
    if fault.kind == "wrong_count" and len(response) > _EXCEPTION:
        return bytes((response[0], response[1] - 2)) + response[2:-2]
    return response


def faulted_frames(
    fault: Fault | None, unit: int, pdu: bytes, rng: random.Random, request: bytes = b""
) -> list[tuple[float, bytes]]:
    """What goes on a serial line instead of the good frame: (seconds after the usual start, bytes) in
    order.
    """
    frame = rtu_frame(unit, pdu)
    match fault.kind if fault else "":
        case "dead":
            return []
        case "late" if fault:
            return [(fault.delay, frame)]
        case "corrupt":
            at = rng.randrange(len(frame))
            return [(0.0, frame[:at] + bytes((frame[at] ^ 1 << rng.randrange(8),)) + frame[at + 1 :])]
        case "truncated":
            return [(0.0, frame[: rng.randrange(1, len(frame))])]
        case "foreign":
            return [(0.0, rtu_frame(unit % 247 + 1, pdu))]
        case "noise":
            return [(0.0, noise(rng) + frame)]
        case "padded":
            return [(0.0, frame + bytes(rng.randrange(1, _PADDING)))]
        case "echo":
            return [(0.0, rtu_frame(unit, request) + frame)]
        case "double" if fault:
            return [(0.0, frame), (fault.delay, frame)]
    return [(0.0, frame)]


def noise(rng: random.Random) -> bytes:
    """A few bytes that are no frame: what a floating line or a switching contactor puts on it."""
    while True:
        data = rng.randbytes(rng.randrange(1, 9))
        if rtu_parts(data) is None:
            return data
