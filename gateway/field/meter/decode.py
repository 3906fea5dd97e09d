"""Registers of a meter → values in the vocabulary's units, by absolute address.

A set of rows and the reads that brought them are compiled once into one `struct` per read; what
changes from poll to poll is only what the registers hold. A value that cannot be trusted is absent with its
reason, never 0.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Literal

from gateway.catalogue import Row, Span
from gateway.field.meter.poll import Replies
from gateway.field.meter.raw import (
    CODES,
    NOTHING,
    POWER_LIMIT,
    SURE,
    amount,
    attribute_text,
    bits,
    exact_steps,
    from_bits,
    largest,
    patterns,
    shortest,
    spans,
    why_nothing,
)
from gateway.field.port.contract import Registers
from gateway.model import QUANTITIES

Values = Literal["primary", "secondary"]
_RATIOS = {
    "V": (0, 1),
    "A": (1, 0),
    "kW": (1, 1),
    "kvar": (1, 1),
    "kVA": (1, 1),
    "kWh": (1, 1),
    "kvarh": (1, 1),
    "kVAh": (1, 1),
}


_Item = tuple[Span, str, str]
"""A raw number: where it stands, its type, the order of its words."""
_Slots = Mapping[Row, Sequence[int]]
"""Of each row, where its raw number and then its power of ten are among all that a poll brought."""
NOWHERE = -1


@dataclass(slots=True)
class Decoded:
    """Every row that was asked for is in exactly one of the three."""

    values: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)


def decode(
    rows: Sequence[Row], replies: Replies, *, ct: float = 1.0, vt: float = 1.0, values: Values = "primary"
) -> Decoded:
    """Values of `rows` from the registers in `replies`; with `values="secondary"` multiplied by the
    transformer ratios.
    """
    rows = rows if isinstance(rows, tuple) else tuple(rows)
    layout = tuple([(function, start, len(registers) // 2) for function, start, registers in replies.reads])
    ratios = (ct, vt) if values == "secondary" else (1.0, 1.0)
    key = (rows, layout, ratios)
    plan = _plans.get(key)
    if plan is None:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        plan = _plans[key] = _Plan(rows, layout, ratios)
    return plan.run(replies)


class _Plan:
    """How to decode one set of rows from one layout of reads."""

    def __init__(
        self, rows: tuple[Row, ...], layout: tuple[tuple[int, int, int], ...], ratios: tuple[float, float]
    ) -> None:
        self.unpackers: list[tuple[int, Callable[[Registers], tuple[Any, ...]]]] = []
        self.simple: list[tuple[int, str, float, int, float, float, float, tuple[float, ...], float]] = []
        self.others: list[tuple[str, float, float, Callable[[list[Any]], float | str]]] = []
        self.attributes: list[tuple[int, Row]] = []
        self.missing: list[Row] = []
        places = {part: _places(part, layout) for row in rows for part in row.parts}
        taken_from: dict[int, set[_Item]] = {}
        for each in places.values():
            for item, at in each:
                if at is not None:
                    taken_from.setdefault(at, set()).add(item)
        numbers: dict[tuple[_Item, int | None], int] = {}
        for at, items in sorted(taken_from.items()):
            mine = sorted(items)
            while mine:
                taken, mine = _without_overlap(mine)
                self.unpackers.append((at, _unpacker(taken, *layout[at][1:])))
                numbers.update({(item, at): len(numbers) + index for index, item in enumerate(taken)})
        slots = {part: [numbers.get(place, NOWHERE) for place in each] for part, each in places.items()}
        for row in rows:
            if any(NOWHERE in slots[part] for part in row.parts):
                self.missing.append(row)
            elif row.attribute:
                self.attributes.append((slots[row][0], row))
            else:
                scale = _ratio(row, ratios)
                if row.words and row.decimals is not None and not _special(row):
                    most = largest(row) * abs(row.factor * scale)
                    # What a meter can show is said before the ratios that are multiplied here.
                    low, high = max(row.low * scale, -most), min(row.high * scale, most)
                    self.simple.append(
                        (
                            slots[row][0],
                            row.name,
                            row.factor * scale,
                            row.decimals,
                            exact_steps(row.decimals, low, high),
                            low,
                            high,
                            patterns(row),
                            _least(row),
                        )
                    )
                else:
                    self.others.append(
                        (row.name, row.low * scale, row.high * scale, _reader(row, slots, scale))
                    )

    def run(self, replies: Replies) -> Decoded:
        """Decode the registers of replies with this plan's layout."""
        raw: list[Any] = []
        for at, unpack in self.unpackers:
            raw += unpack(replies.reads[at][2])
        result = Decoded()
        values, absent = result.values, result.absent
        for slot, name, factor, decimals, steps, low, high, sentinels, least in self.simple:
            value = raw[slot]
            if sentinels and value in sentinels:
                absent[name] = "not_available"
                continue
            if -least < value < least and value:
                absent[name] = why_nothing(value)
                continue
            value = value * factor
            if low <= value <= high:
                # What round(value, decimals) gives, at a third of its cost, unless it is a close decision.
                if steps and -SURE < (exact := value * steps) - (whole := round(exact)) < SURE:
                    values[name] = whole / steps
                else:
                    values[name] = round(value, decimals) + 0.0  # never -0.0
            else:
                absent[name] = "implausible" if math.isfinite(value) else "not_available"
        for name, low, high, reader in self.others:
            outcome = reader(raw)
            if isinstance(outcome, str):
                absent[name] = outcome
            elif low <= outcome <= high:
                values[name] = outcome + 0.0
            else:
                absent[name] = "implausible" if math.isfinite(outcome) else "not_available"
        for slot, row in self.attributes:
            text = attribute_text(row, raw[slot])
            if text is None:
                absent[row.name] = "not_available"
            else:
                result.attributes[row.name] = text
        for row in self.missing:
            absent[row.name] = replies.reason(row.spans)
        return result


_MOST_PLANS = 256
_plans: dict[Any, _Plan] = {}


def _item(row: Row) -> _Item:
    return Span(row.function, row.address, row.words, row.alone, row.starts), row.type, row.order


def _scale(row: Row) -> _Item:
    return Span(row.function, row.scale_at or 0, 1), f"s8{row.scale_byte}" if row.scale_byte else "s16", "big"


def _special(row: Row) -> bool:
    """Whether a row is more than raw x factor."""
    return bool(
        row.rule or row.times or row.sign_of or row.scale_at is not None or from_bits(row) or spans(row)
    )


def _least(row: Row) -> float:
    """What is closer to 0 than that, and not 0, is no number."""
    return NOTHING if row.type.startswith("float") else 0.0


def _places(row: Row, layout: Sequence[tuple[int, int, int]]) -> list[tuple[_Item, int | None]]:
    """What a row itself needs of the registers, its power of ten last, and from which read it is taken (None:
    from none). Both from the same read if one holds both: they are of one moment there.
    """
    items = [_item(row)] if row.words else []
    if row.scale_at is not None:
        items.append(_scale(row))
    whole = next((at for at, read in enumerate(layout) if all(_covers(read, i[0]) for i in items)), None)
    if whole is not None:
        return [(item, whole) for item in items]
    return [(i, next((at for at, read in enumerate(layout) if _covers(read, i[0])), None)) for i in items]


def _covers(read: tuple[int, int, int], span: Span) -> bool:
    function, start, count = read
    return span.comes_with(function, start, start + count)


def _without_overlap(
    items: list[_Item],
) -> tuple[list[_Item], list[_Item]]:
    taken: list[_Item] = []
    rest: list[_Item] = []
    for item in items:
        (rest if taken and item[0].address < taken[-1][0].end else taken).append(item)
    return taken, rest


def _unpacker(items: list[_Item], start: int, count: int) -> Callable[[Registers], tuple[Any, ...]]:
    """How to get the raw number of every item from the registers of one read."""
    order = list(range(2 * count))
    form = ">"
    at = start
    for span, kind, word_order in items:
        mine = slice(2 * (span.address - start), 2 * (span.end - start))
        pairs = [order[byte : byte + 2] for byte in range(mine.start, mine.stop, 2)]
        if word_order.startswith("little") and kind != "text":
            pairs.reverse()
        if word_order.endswith("swapped"):
            pairs = [pair[::-1] for pair in pairs]
        order[mine] = [byte for pair in pairs for byte in pair]
        form += f"{2 * (span.address - at)}x" if span.address > at else ""
        form += f"{2 * span.words}s" if kind == "text" else CODES[kind]
        at = span.end
    form += f"{2 * (start + count - at)}x" if start + count > at else ""
    unpack = struct.Struct(form).unpack
    if order == sorted(order):
        return unpack
    in_order = itemgetter(*order)
    return lambda registers: unpack(bytes(in_order(registers)))


def _ratio(row: Row, ratios: tuple[float, float]) -> float:
    quantity = QUANTITIES.get(row.name)
    currents, voltages = _RATIOS.get(quantity.unit if quantity else "", (0, 0))
    return ratios[0] ** currents * ratios[1] ** voltages


def _reader(row: Row, slots: _Slots, scale: float) -> Callable[[list[Any]], float | str]:
    """A row that is more than raw x factor: raw numbers → its value, or the reason why it is absent."""
    if row.type == "sum":
        return _sum(row, slots, scale)
    number_of, factors = _number(row, slots[row][0]), _factors(row, slots, scale)
    if row.codes:
        return _coded(dict(row.codes), number_of)
    sign_of = _direction(row, slots)
    single, factor, decimals = row.type == "float32", row.factor, row.decimals

    def value(raw: list[Any]) -> float | str:
        number = number_of(raw)
        if isinstance(number, str):
            return number
        more, places = scale, decimals
        if factors is not None:
            found = factors(raw)
            if isinstance(found, str):
                return found
            more, places = found
        if sign_of is not None:
            direction = sign_of(raw)
            if isinstance(direction, str):
                return direction
            number = math.copysign(number, direction) if direction else abs(number)
        if places is not None:
            return round(number * factor * more, places)
        return shortest(number, factor * more, single=single)

    return value


def _sum(row: Row, slots: _Slots, scale: float) -> Callable[[list[Any]], float | str]:
    terms = [(sign, _reader(term, slots, scale)) for sign, term in row.terms]
    digits = row.decimals if row.decimals is not None else _common([term.decimals for _, term in row.terms])

    def total(raw: list[Any]) -> float | str:
        result = 0.0
        for sign, term in terms:
            part = term(raw)
            if isinstance(part, str):
                return part
            result += sign * part
        return round(result, digits)

    return total


def _number(row: Row, slot: int) -> Callable[[list[Any]], float | str]:
    """What the registers of a row say, before any factor; or why that is no number."""
    sentinels, ranges, patterned = patterns(row), spans(row), from_bits(row)
    most, rule, least = largest(row), row.rule, _least(row)

    def number_of(raw: list[Any]) -> float | str:
        number: float = bits(row, raw[slot]) if patterned else raw[slot]
        if (
            number in sentinels
            or not math.isfinite(number)
            or any(first <= number <= last for first, last in ranges)
        ):
            return "not_available"
        if -least < number < least and number:
            return why_nothing(number)
        if patterned:
            meant = amount(row, int(number))
            if isinstance(meant, str):
                return meant
            number = meant
        if not -most <= number <= most:
            return "implausible"
        if rule == "pf4q":
            return 2.0 - number if number > 1.0 else -2.0 - number if number < -1.0 else number
        return abs(number) if rule == "magnitude" else number

    return number_of


def _factors(
    row: Row, slots: _Slots, scale: float
) -> Callable[[list[Any]], tuple[float, int | None] | str] | None:
    """What the meter itself says by which a row is multiplied, and the decimals after that; None without."""
    if row.scale_at is None and row.times is None:
        return None
    exponent = slots[row][-1] if row.scale_at is not None else None
    no_power = -0x80 if row.scale_byte else -0x8000
    times = _reader(row.times, slots, 1.0) if row.times else None
    low, high = (row.times.low, row.times.high) if row.times else (0.0, 0.0)
    decimals = row.decimals

    def factors(raw: list[Any]) -> tuple[float, int | None] | str:
        more, places = scale, decimals
        if exponent is not None:
            power = raw[exponent]
            if power == no_power:
                return "not_available"
            if not -POWER_LIMIT <= power <= POWER_LIMIT:
                return "implausible"
            more *= 10.0**power
            places = max(0, (decimals or 0) - power)
        if times is not None:
            ratio = times(raw)
            if isinstance(ratio, str):
                return ratio
            if not low <= ratio <= high:
                return "implausible"
            more *= ratio
        return more, places

    return factors


def _coded(
    codes: Mapping[float, float], number_of: Callable[[list[Any]], float | str]
) -> Callable[[list[Any]], float | str]:
    """A register that names a unit: what it multiplies with."""

    def unit(raw: list[Any]) -> float | str:
        number = number_of(raw)
        return number if isinstance(number, str) else codes.get(number, "implausible")

    return unit


def _direction(row: Row, slots: _Slots) -> Callable[[list[Any]], float | str] | None:
    """Where a row takes its sign from: another row's value, or a bit of its raw pattern."""
    other, bit = row.sign_of, row.sign_of_bit
    if other is None:
        return None
    if bit is None:
        return _reader(other, slots, 1.0)
    slot = slots[other][0]
    return lambda raw: -1.0 if bits(other, raw[slot]) >> bit & 1 else 1.0


def _common(decimals: list[int | None]) -> int:
    """Decimals of a sum: those of its finest term."""
    return max((places for places in decimals if places is not None), default=6)
