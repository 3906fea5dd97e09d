"""Values → words: the inverse of decoding, for simulated meters and for round-trip tests."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from gateway.catalogue.driver import Row

Registers = dict[tuple[int, int], int]
"""(function, address) → word."""

_FORMATS = {"float32": ">f", "float64": ">d"}


def encode(row: Row, value: float | str) -> list[int]:
    """The words of the row's own registers; a number beyond its type is cut to the type's range. Raises ValueError for a sum."""
    if not row.words:
        msg = f"{row.name} is a sum: it has no registers of its own; use build"
        raise ValueError(msg)
    return _ordered(row, _data(row, value))


def build(rows: Iterable[Row], values: Mapping[str, float | str]) -> Registers:
    """An image in which every row that `values` names reads back as given, parts of sums and scale registers included."""
    image: Registers = {}
    given = [row for row in rows if row.name in values]
    for row in sorted(given, key=lambda row: bool(row.words)):
        _place(row, values[row.name], image)
    return image


def _place(row: Row, value: float | str, image: Registers) -> None:
    """Put one value into an image; what is placed later wins (a term of its own name over its share of a sum)."""
    if not row.words:
        _share(row, float(value), image)
        return
    if row.times is not None:
        _place(row.times, 1.0, image)
    if row.rule == "magnitude":
        value = abs(float(value))
    if row.scale_at is not None:
        image[row.function, row.scale_at] = 0  # ten to the power of 0: the register's own unit
    for offset, word in enumerate(encode(row, value)):
        image[row.function, row.address + offset] = word


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
    number = float(value) / row.factor if not isinstance(value, str) or row.factor != 1.0 else value
    if row.type in _FORMATS:
        return struct.pack(_FORMATS[row.type], float(number))
    whole = int(number) if isinstance(number, str) else round(number)
    signed = row.type.startswith("s")
    low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
    return min(max(whole, low), high).to_bytes(size, "big", signed=signed)


def _ordered(row: Row, data: bytes) -> list[int]:
    words = list(struct.unpack(f">{row.words}H", data))
    if row.order.startswith("little") and row.type != "text":
        words.reverse()
    return [(word >> 8 | word << 8) & 0xFFFF for word in words] if row.order.endswith("swapped") else words
