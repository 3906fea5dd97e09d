"""Values → words: the inverse of decoding, for simulated meters and for round-trip tests."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from gateway.catalogue.driver import Row

Registers = dict[tuple[int, int], int]
"""(function, address) → word."""

_FORMATS = {"float32": ">f", "float64": ">d"}


def encode(row: Row, value: float | str) -> list[int]:
    """The words of the row's own registers; a number beyond its type is cut to the type's range. Raises
    ValueError for a sum.
    """
    if not row.words:
        raise ValueError(f"{row.name} is a sum: it has no registers of its own; use build")
    return _ordered(row, _data(row, value))


def build(rows: Iterable[Row], values: Mapping[str, float | str]) -> Registers:
    """An image in which every row that `values` names reads back as given, parts of sums and scale
    registers included.
    """
    image: Registers = {}
    given = [row for row in rows if row.name in values]
    for row in sorted(given, key=lambda row: bool(row.words)):
        _place(row, values[row.name], image)
    return image


def _place(row: Row, value: float | str, image: Registers) -> None:
    """Put one value into an image; what is placed later wins (a term of its own name over its share of a
    sum).
    """
    if not row.words:
        _share(row, float(value), image)
        return
    ratio = 1.0
    if row.times is not None:
        ratio = _ratio(row, float(value))
        _place(row.times, ratio, image)
    if row.sign_of is not None and row.sign_of_bit is not None:
        _set_bit(row.sign_of, row.sign_of_bit, image, on=float(value) < 0)
    if row.rule == "magnitude" or row.sign_of_bit is not None:
        value = abs(float(value))
    if row.scale_at is not None:
        image.setdefault((row.function, row.scale_at), 0)  # ten to the power of 0: the register's own unit
        if row.scale_byte:
            image[row.function, row.scale_at] &= 0xFF00 if row.scale_byte == "low" else 0x00FF
        else:
            image[row.function, row.scale_at] = 0
    for offset, word in enumerate(encode(row, value if ratio == 1.0 else float(value) / ratio)):
        image[row.function, row.address + offset] = word


def _ratio(row: Row, value: float) -> float:
    """What the row it is multiplied with holds: 1, or the unit or power of ten (percent of a rating) with
    which the number fits its registers.
    """
    units = (unit for _, unit in row.times.codes) if row.times is not None else ()
    sizes = sorted(units, key=lambda unit: (unit != 1.0, unit)) or [10.0**power for power in range(16)]
    if row.type not in {"u16", "s16", "u32", "s32"}:
        return sizes[0]
    room = (1 << 16 * row.words - (row.type[0] == "s")) - 1
    return next((size for size in sizes if abs(value / row.factor) <= room * size), sizes[-1])


def _set_bit(row: Row, bit: int, image: Registers, *, on: bool) -> None:
    """Set or clear one bit of a row's raw pattern, and leave its others."""
    places = [(row.function, row.address + offset) for offset in range(row.words)]
    words = _turned(row, [image.get(place, 0) for place in places])
    pattern = int.from_bytes(struct.pack(f">{row.words}H", *words), "big") & ~(1 << bit) | on << bit
    image.update(zip(places, _ordered(row, pattern.to_bytes(2 * row.words, "big")), strict=True))


def _share(row: Row, value: float, image: Registers) -> None:
    """A sum: the first term with the value's sign takes all of it, the others are 0."""
    rest = value
    for sign, term in row.terms:
        part = abs(rest) if rest * sign > 0 else 0.0
        rest -= sign * part
        _place(term, part, image)


def _data(row: Row, value: float | str) -> bytes:
    size = 2 * row.words
    if row.type == "text":
        return str(value).encode("utf-8")[:size].ljust(size, b"\0")
    if row.type.startswith("hex"):
        return int(str(value), 16).to_bytes(size, "big")
    if row.codes:
        value = min(row.codes, key=lambda code: abs(code[1] - float(value)))[0]
    number = float(value) / row.factor if not isinstance(value, str) or row.factor != 1.0 else value
    if row.type in _FORMATS:
        return struct.pack(_FORMATS[row.type], float(number))
    whole = int(number) if isinstance(number, str) else round(number)
    if row.mask or row.type.startswith("bcd"):
        return _pattern(row, whole).to_bytes(size, "big")
    if row.type.startswith("e8"):
        return _scaled(row, float(number)).to_bytes(size, "big")
    signed = row.type.startswith("s")
    low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
    return min(max(whole, low), high).to_bytes(size, "big", signed=signed)


def _pattern(row: Row, whole: int) -> int:
    """A whole number in the bits (or decimal digits) that it has, and its sign in its own."""
    mask = row.mask or (1 << 16 * row.words) - 1
    shift = (mask & -mask).bit_length() - 1
    room = mask >> shift
    amount = (
        min(abs(whole), int("9" * (room.bit_length() // 4)))
        if row.type.startswith("bcd")
        else min(abs(whole), room)
    )
    bits = int(str(amount), 16) if row.type.startswith("bcd") else amount
    return bits << shift | (1 << row.sign_bit if whole < 0 and row.sign_bit is not None else 0)


def _scaled(row: Row, number: float) -> int:
    """A number with the smallest power of ten, from -6 on, whose 24 bits hold it."""
    room = 0x7FFFFF if row.type == "e8s24" else 0xFFFFFF
    power = next((power for power in range(-6, 10) if abs(number) / 10.0**power <= room), 10)
    mantissa = round(number / 10.0**power)
    return (power & 0xFF) << 24 | (mantissa if row.type == "e8s24" else max(mantissa, 0)) & 0xFFFFFF


def _ordered(row: Row, data: bytes) -> list[int]:
    return _turned(row, list(struct.unpack(f">{row.words}H", data)))


def _turned(row: Row, words: list[int]) -> list[int]:
    """Words of a row in or out of its order: the same turn either way."""
    if row.order.startswith("little") and row.type != "text":
        words = [*reversed(words)]
    return [(word >> 8 | word << 8) & 0xFFFF for word in words] if row.order.endswith("swapped") else words
