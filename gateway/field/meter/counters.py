"""Memory of a meter's counter registers: one that falls, or leaps further than energy can flow, is suspect
until it is confirmed.

Meters show 0 for one poll, copy a counter while it is read (the halves of two moments), or start again after
an exchange. What a register says then is passed on, for the platform has to know it, but not as good. A true
wrap is good: the register was about to be full. One that goes back and forth, as where a meter rounds its
last digit now up and now down, is one trouble: it is told when it begins, and each of its falls is suspect.
Lives as long as the process, over a reload as well: what a register did while nobody looked is for the
journal's readers to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.catalogue import Row
from gateway.config import Meter
from gateway.model import QUANTITIES, Event, Reading

AGREE = 3
"""Readings in a row, none below the one before it, after which a register is believed to have changed for
good.
"""
MOST = 10_000.0
"""kW: no leap within a building is faster, whatever flowed before."""
TIMES = 20.0
"""Times its fastest rate that a register may gain without being doubted, beyond `LEAST`."""
LEAST = 1000.0
"""kW: what a load that is switched on may draw at once, however little flowed before."""
SEEN = 3
"""Gains from which the fastest one is believed."""
QUIET = 3_600_000
"""ms without a doubt after which a trouble of a register is over: the next one is told again."""
ALIKE = 4.0
"""Times that two falls, or two leaps, of one trouble may differ."""
UNSTEADY = 2
"""Doubts like one that was told after which a register goes back and forth."""
FULL = 0.01
"""Share of a register's range in which it is about to be full."""
_WORD = 0x10000
_NEAR = 0x100
"""Raw steps of a high word, and how far from them a register may go on beside: a gain of so much is that of a
torn high word, whatever a load may draw.
"""
_BCD_WORD = 10_000
_STEPS = 2.0
"""Steps of a register that it may gain at once, however long ago it rose before."""
_UNSEEN = 900_000
"""ms that a register may have stood before it is seen to rise for the first time: some rise by the quarter
hour.
"""
_DECIMAL = range(5, 13)
"""Digits of registers that start again after 99999 or more, whatever their words could hold."""
ENERGY_UNITS = frozenset({"kWh", "kvarh", "kVAh"})
"""Of counters that transformer ratios multiply."""
_FLOAT_HALF = 1 / 256
"""Share of a float's value that its high word moves it by at least."""


@dataclass(slots=True)
class _Register:
    """`moduli` are where it starts again, `leap` is the least step of a torn half, `step` what it gains at
    least; all in the quantity's unit.
    """

    moduli: tuple[float, ...]
    leap: float
    step: float
    energy: bool
    value: float
    at: int
    fastest: float = 0.0
    """Gain per ms."""
    gains: int = 0
    other: float | None = None
    """What it says instead, while that is in doubt."""
    agreed: int = 0
    told: tuple[float, ...] = ()
    """By how much it fell (below 0) or leapt in the trouble that goes on, as far as that was told."""
    alike: int = 0
    """Doubts of that trouble like one that was told."""
    doubted: int = 0
    """When it was last found in doubt (uptime, ms)."""
    said: bool = False
    """Whether the doubt that goes on was told."""


class CounterMemory:
    """The last believed value of each counter of one meter."""

    def __init__(self) -> None:
        self._registers: dict[str, _Register] = {}
        self._serial = ""
        self._rows: tuple[Row, ...] = ()
        self._names: tuple[str, ...] = ()

    def forget(self) -> None:
        """It is another meter now: its registers have values of their own."""
        self._registers.clear()

    def are_of(self, serial: str) -> None:
        """The serial number of the meter whose registers are judged from here on."""
        if serial != self._serial and self._serial:
            self.forget()
        self._serial = serial

    def unsteady(self, uptime: int) -> tuple[str, ...]:
        """The registers that go back and forth at this time (ms)."""
        return tuple(
            name
            for name, register in self._registers.items()
            if register.alike >= UNSTEADY and uptime - register.doubted <= QUIET
        )

    def judge(self, reading: Reading, rows: tuple[Row, ...], scale: float = 1.0) -> list[Event]:
        """Mark the counters of a reading that are not to be believed yet; an event for each with which a
        trouble begins, or that has changed for good without one.

        `rows` are the driver's; `scale` is what the transformer ratios make of energy.
        """
        if rows is not self._rows:
            now = {row.name: _reads(row) for row in rows if row.name in self._registers}
            for row in self._rows:  # what is read otherwise says something else
                if row.name in self._registers and now.get(row.name) != _reads(row):
                    del self._registers[row.name]
            self._rows = rows
            self._names = tuple(row.name for row in rows if _counts(row))
        events: list[Event] = []
        suspect: list[str] = []
        values, at = reading.values, reading.uptime
        for name in self._names:
            value = values.get(name)
            if value is None:
                continue
            register = self._registers.get(name)
            if register is None:
                self._registers[name] = self._new(name, value, at, scale)
            elif value != register.value or register.other is not None:
                before = register.value
                good, kind = _judge(register, value, at)
                if not good:
                    suspect.append(name)
                if kind:
                    fields = {"meter": reading.meter, "quantity": name, "from": before, "to": value}
                    events.append(Event(kind, at, fields))
        if suspect:
            reading.suspect = tuple(dict.fromkeys((*reading.suspect, *suspect)))
        return events

    def _new(self, name: str, value: float, at: int, scale: float) -> _Register:
        row = next(row for row in self._rows if row.name == name)
        parts = [part for _, part in row.terms] or [row]
        moduli = {
            modulus * abs(part.factor) * size * scale * 10.0**power
            for part in parts
            for modulus in _moduli(part)
            for size in _sizes(part)
            for power in (range(-3, 4) if part.scale_at is not None else (0,))
        }
        step = min(abs(part.factor) * max(_sizes(part)) for part in parts) * scale
        quantity = QUANTITIES.get(name)
        energy = quantity is not None and quantity.unit in ENERGY_UNITS
        return _Register(tuple(sorted(moduli)), _torn_step(parts) * scale, step, energy, value, at)


def _torn_step(parts: Sequence[Row]) -> float:
    """The least step that a register makes when a part of it is of another moment, less what it may go on
    beside; 0: a float, whose steps are as large as it is.
    """
    if any(part.type.startswith("float") and part.words > 1 for part in parts):
        return 0.0
    units = [abs(part.factor) for part in parts]
    words = [_BCD_WORD if part.type.startswith("bcd") else _WORD for part in parts]
    steps = [unit * word for unit, word, part in zip(units, words, parts, strict=True) if part.words > 1]
    # Of a sum of a high and a low register each is read by itself.
    steps += [unit for unit in units if unit > min(units)]
    return min(steps, default=float("inf")) * (_WORD - _NEAR) / _WORD


def energy_ratio(meter: Meter) -> float:
    """KWh on the primary side for each that a meter shows."""
    return meter.ct * meter.vt if meter.values == "secondary" else 1.0


def _sizes(row: Row) -> tuple[float, ...]:
    """What the unit of a row may be, in its own: several where a register of the meter says it."""
    return tuple(size for _, size in row.times.codes) if row.times and row.times.codes else (1.0,)


def _reads(row: Row) -> tuple[object, ...]:
    """What a row's number is made of."""
    terms = tuple((sign, *_reads(part)) for sign, part in row.terms)
    times = row.times and _reads(row.times)
    unit = (row.factor, row.scale_at, row.codes)
    return (row.spans, row.type, row.order, unit, row.sign_bit, row.mask, terms, times)


def _counts(row: Row) -> bool:
    """Whether a row only ever rises: a counter that is no difference, and whose registers have no sign."""
    quantity = QUANTITIES.get(row.name)
    if quantity is None or quantity.kind != "counter":
        return False
    net = row.name.removesuffix("_total") != row.name or "_total_" in row.name
    signed = row.type in {"s16", "s32", "s64"} or row.sign_bit is not None or row.sign_of is not None
    return not any(sign < 0 for sign, _ in row.terms) and not (net and signed)


def _moduli(row: Row) -> list[int]:
    """Raw numbers after the last one that a register can show."""
    decimal: list[int] = [10**digits for digits in _DECIMAL]
    numbers = row.numbers
    if numbers is None:
        return decimal
    return [numbers, *(modulus for modulus in decimal if modulus < numbers)]


def _judge(register: _Register, value: float, at: int) -> tuple[bool, str]:
    """Compare with what is believed: whether the value is good, and the kind of the event to tell of it."""
    gain = _gain(register, register.value, value, at)
    if gain is not None:
        elapsed = at - register.at
        if gain > 0.0 and elapsed > 0:
            register.gains += 1
            register.fastest = max(register.fastest, gain / elapsed)
        register.value, register.at, register.other = value, at, None
        return True, ""
    before = register.value
    kind = "register_fell" if value < before else "register_leapt"
    if register.other is not None and _gain(register, register.other, value, at) is not None:
        register.other, register.agreed = value, register.agreed + 1
        if register.agreed < AGREE:
            return False, ""
        register.value, register.at, register.other = value, at, None
        register.fastest, register.gains = 0.0, 0
        # What stays below by a little is what was told; a register that begins anew is never left unsaid.
        return True, "" if register.said or 0.5 * before < value < before else kind
    is_new = _is_news(register, value - before, at)
    register.said = is_new or (register.said and register.other is not None)
    register.other, register.agreed = value, 1
    return False, kind if is_new else ""


def _is_news(register: _Register, by: float, at: int) -> bool:
    """Whether a doubt about so much begins a trouble, or makes it another one."""
    if at - register.doubted > QUIET:
        register.told, register.alike = (), 0
    register.doubted = at
    if any(1 / ALIKE <= by / each <= ALIKE for each in register.told):
        register.alike += 1
        return False
    register.told += (by,)
    return True


def _gain(register: _Register, before: float, value: float, at: int) -> float | None:
    """How much it has gained since it said `before`; None when it has fallen, or gained what cannot be."""
    gain = value - before
    if gain >= 0.0:
        return None if _leaps(register, gain, at) else gain
    for modulus in register.moduli:
        if before < modulus and modulus - before <= FULL * modulus and value <= FULL * modulus:
            wrapped = gain + modulus
            if not _too_fast(register, wrapped, at):
                return wrapped
    return None


def _leaps(register: _Register, gain: float, at: int) -> bool:
    """Whether a gain may be the step of a torn half: as big as that, and faster than anything before; or is
    more than flows in any building.
    """
    least = register.leap or _FLOAT_HALF * abs(register.value)
    if gain >= least > 0.0 and _too_fast(register, gain, at):
        return True
    elapsed = max(at - register.at, 1 if register.gains else _UNSEEN)
    return register.energy and gain > _STEPS * register.step and 3_600_000.0 * gain / elapsed > MOST


def _too_fast(register: _Register, gain: float, at: int) -> bool:
    rate = gain / max(1, at - register.at)
    power = 3_600_000.0 * rate if register.energy else MOST
    unusual = register.gains >= SEEN and rate > TIMES * register.fastest
    return power > MOST or (unusual and (power > LEAST or _torn(register.leap, gain)))


def _torn(leap: float, gain: float) -> bool:
    """Whether a register of whole numbers has gained steps of its high word and next to nothing beside."""
    word = leap * _WORD / (_WORD - _NEAR)
    if not 0.0 < word < float("inf") or gain < leap:
        return False
    words = gain / word
    return abs(words - round(words)) * _WORD <= _NEAR
