"""What a read costs: t = a + b·n for n registers, guessed from the line, then fitted to what is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.config import Bus, SerialBus, TcpBus

REQUEST_CHARS = 8
"""An RTU read request: address, function, start, count, CRC."""
REPLY_CHARS = 5
"""An RTU reply without its registers: address, function, byte count, CRC."""
TURN_AROUND = 0.02
"""First guess of a meter's turn-around in s."""

FIXED_GAP_ABOVE = 19200
"""Baud; Modbus over serial line V1.02, 2.5.1.1: up to it t3.5 is 3.5 characters of 11 bits, above it 1.75
ms.
"""

SHAPE = 0.1
"""Share by which what a read weighs, in registers, differs from one shape to the next."""
_MOST_REGISTERS = 4096.0
"""A read that weighs more than all registers that it could be joined over is worth being saved at any
price.
"""

_TCP = (0.005, 0.00002)
_MEMORY = 0.98  # a measurement's weight after the next one: about fifty count
_OUTLIER = 3.0  # residuals beyond this many typical ones pull no harder than this
_NOISE = 0.002  # s, the smallest typical residual that is believed
_LONGEST_READ = 125  # registers, Modbus application protocol V1.1b3, 6.3
_LEAP = 8.0  # from the longest answer that was measured to what the longest read is believed to take
_STEEPER = 4.0  # times the line's own slope that are believed without having been measured


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds for a read of n registers: `a` for the read, `b` for each register."""

    a: float
    b: float

    def time(self, count: int) -> float:
        """Seconds for one read of `count` registers."""
        return self.a + self.b * count

    def shape(self) -> Cost:
        """Of a read as many registers as here within `SHAPE`, in a number of steps: costs of one shape
        have one best plan.
        """
        registers = self.a / self.b if self.b > 0.0 else _MOST_REGISTERS
        step = round(math.log(min(max(registers, 1.0), _MOST_REGISTERS)) / math.log1p(SHAPE))
        return Cost((1.0 + SHAPE) ** step, 1.0)


@dataclass(frozen=True, slots=True)
class Wire:
    """The times of a line: `char` s for a character, `gap` s of silence (t3.5) between frames; both 0 for
    native TCP.
    """

    char: float
    gap: float

    def time(self, count: int) -> float:
        """Seconds that request and reply of a read of `count` registers need on the wire, without gaps."""
        return (REQUEST_CHARS + REPLY_CHARS + 2 * count) * self.char

    def least(self, count: int, turn_around: float) -> float:
        """Seconds that a read cannot be faster than: 8c + t3.5 + turn-around + (5 + 2n)c + t3.5."""
        return self.time(count) + turn_around + 2 * self.gap


def wire_of(bus: Bus) -> Wire:
    """The wire of a bus."""
    if isinstance(bus, TcpBus):
        return Wire(0.0, 0.0) if bus.type == "tcp" else _serial(bus.baudrate, 10)
    return _serial(bus.baudrate, bits_of(bus))


def bits_of(bus: SerialBus) -> int:
    """Bits of a character: start, eight data bits, parity, stop."""
    return 9 + (bus.parity != "N") + bus.stopbits


def _serial(baudrate: int, bits: int) -> Wire:
    return Wire(bits / baudrate, 3.5 * 11 / baudrate if baudrate <= FIXED_GAP_ABOVE else 0.00175)


def prior(bus: Bus, min_gap: float = 0.0) -> Cost:
    """The cost of a read before anything was measured."""
    wire = wire_of(bus)
    if wire.char == 0.0:
        return Cost(_TCP[0] + min_gap, _TCP[1])
    # the meter's own t3.5 before it answers is part of what is measured; the gap before the next frame is
    # ours
    return Cost(wire.least(0, TURN_AROUND) - wire.gap + max(wire.gap, min_gap), 2 * wire.char)


class Fit:
    """The cost model of one meter, fitted as answers come.

    Weighted least squares over the last fifty or so answers with the prior as standing evidence, so that a
    plan whose reads are all equally long leaves the slope where the line's speed puts it. An outlier counts
    as a mild one. `cost.a` includes `gap`, the silence that follows a read. The model is never negative.
    """

    def __init__(self, guess: Cost, *, gap: float = 0.0, sure_of_b: float = 0.5) -> None:
        """`sure_of_b`: how far (as a share) b may be off before measurements must say so clearly."""
        self.cost = guess
        self.gap = gap
        self._noise = _NOISE
        a, b = guess.a - gap, guess.b
        # Evidence in units of a squared residual: (noise / spread)² at the guess.
        self._ka = (_NOISE / max(a, 0.02)) ** 2
        self._kb = (_NOISE / max(sure_of_b * b, 1e-5)) ** 2
        self._guess = (a, b)
        self._sums = [0.0, 0.0, 0.0, 0.0, 0.0]  # w, wn, wnn, wt, wnt
        self._longest = 0.0

    def add(self, count: int, seconds: float) -> None:
        """An answer of `count` registers took `seconds` from sending the request to its last byte."""
        residual = abs(seconds + self.gap - self.cost.time(count))
        limit = _OUTLIER * self._noise
        fresh = self._sums[0] < 5  # the first answers say where the level is: believe them
        weight = 1.0 if fresh or residual <= limit else limit / residual
        self._noise = max(_NOISE, 0.95 * self._noise + 0.05 * min(residual, 2 * limit))
        sums = [_MEMORY * value for value in self._sums]
        for index, value in enumerate((1.0, count, count * count, seconds, count * seconds)):
            sums[index] += weight * value
        self._sums = sums
        self._longest = max(seconds, _MEMORY * self._longest)
        self._solve()

    def _solve(self) -> None:
        w, wn, wnn, wt, wnt = self._sums
        a0, b0 = self._guess
        saa, sbb = w + self._ka, wnn + self._kb
        ya, yb = wt + self._ka * a0, wnt + self._kb * b0
        det = saa * sbb - wn * wn
        a, b = (ya * sbb - yb * wn) / det, (yb * saa - ya * wn) / det
        if b < 0.0:
            a, b = ya / saa, 0.0
        elif a < 0.0:
            a, b = 0.0, yb / sbb
        a = max(a, 0.0)
        # Two short reads, one of them held up, would foretell minutes for a long one.
        steepest = max(_STEEPER * b0, (_LEAP * self._longest - a) / _LONGEST_READ)
        self.cost = Cost(a + self.gap, max(min(b, steepest), 0.0))
