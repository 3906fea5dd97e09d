"""What the registers of one row hold before its unit comes into it: bit patterns, their meaning as
numbers, and what is no number.
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from typing import Any, Final

from gateway.catalogue import Row
from gateway.common.text import flaw
from gateway.model import QUANTITIES

CODES: Final = {
    "u16": "H", "s16": "h", "hex16": "H", "bcd16": "H", "s8low": "xb", "s8high": "bx",
    "u32": "I", "s32": "i", "hex32": "I", "bcd32": "I", "e8u24": "I", "e8s24": "I", "float32": "f",
    "u48": "6s", "bcd48": "6s", "u64": "Q", "s64": "q", "bcd64": "Q", "float64": "d",
}  # fmt: skip
"""Types as `struct` writes them; s8low and s8high are a byte of a register with a power of ten."""
POWER_LIMIT: Final = 10
"""Powers of ten beyond it are no scale of any meter."""
SURE: Final = 0.49
"""Of a last decimal: so far a number may be from the one that it is rounded to; beyond, the decision is
close.
"""
_EXACT_POWER: Final = 22
"""The exponent of the greatest power of ten that a float holds exactly."""
_EXACT_STEPS: Final = 2.0**43
"""Up to here a product is wrong by a thousandth at most."""
NOTHING: Final = 1e-30
"""A float below it is a pattern of registers (0x8000 0x8000), not a number that somebody wrote."""


def why_nothing(number: float) -> str:
    """Why such a float is absent: one word repeated is how a meter says that it has no value, anything else
    comes of a wrong word order or table.
    """
    words = struct.pack(">f", number)
    return "not_available" if words[:2] == words[2:] else "implausible"


def patterns(row: Row) -> tuple[float, ...]:
    """Sentinels as the numbers that unpacking gives; ranges are left out."""
    if from_bits(row):
        return tuple(pattern for pattern in row.sentinels if isinstance(pattern, int))
    return tuple(_number(row, pattern) for pattern in row.sentinels if isinstance(pattern, int))


def spans(row: Row) -> tuple[tuple[float, float], ...]:
    """Ranges of sentinels as the first and last number that unpacking gives."""
    ranges = [pattern for pattern in row.sentinels if isinstance(pattern, range)]
    if from_bits(row):
        return tuple((float(span[0]), float(span[-1])) for span in ranges)
    # From the top bit on a pattern is a negative number, and of negative floats the larger is the smaller.
    top = 1 << 16 * row.words - 1
    halves = [
        half
        for span in ranges
        for half in ((span[0], min(span[-1], top - 1)), (max(span[0], top), span[-1]))
        if half[0] <= half[1]
    ]
    numbers = [[_number(row, pattern) for pattern in half] for half in halves]
    return tuple((min(ends), max(ends)) for ends in numbers)


def _number(row: Row, pattern: int) -> float:
    found: float = struct.unpack(f">{CODES[row.type]}", pattern.to_bytes(2 * row.words, "big"))[0]
    return found


def from_bits(row: Row) -> bool:
    """Whether the number is made from the raw pattern, and sentinels are looked for there."""
    return bool(row.mask) or row.type.startswith(("bcd", "e8", "u48"))


def bits(row: Row, raw: Any) -> int:
    """The raw pattern of a whole number, unsigned."""
    return int.from_bytes(raw, "big") if isinstance(raw, bytes) else int(raw) & (1 << 16 * row.words) - 1


def amount(row: Row, pattern: int) -> float | str:
    """The number that a raw pattern is: without its sign bit, digits as digits, with its own power of ten."""
    if row.type.startswith("e8"):
        power, mantissa = (pattern >> 24 ^ 0x80) - 0x80, pattern & 0xFFFFFF
        if row.type == "e8s24":
            mantissa = (mantissa ^ 0x800000) - 0x800000
        return float(f"{mantissa}e{power}") if -POWER_LIMIT <= power <= POWER_LIMIT else "implausible"
    sign = -1 if row.sign_bit is not None and pattern >> row.sign_bit & 1 else 1
    if row.mask:
        pattern = (pattern & row.mask) >> (row.mask & -row.mask).bit_length() - 1
    if row.type.startswith("bcd"):
        digits = f"{pattern:x}"
        return sign * int(digits) if digits.isdecimal() else "not_available"
    return sign * pattern


def largest(row: Row) -> float:
    """The largest raw amount that is a measurement: not one whose first register of several holds 0x7FFF
    or 0x8000.
    """
    quantity = QUANTITIES.get(row.name)
    if (
        row.type not in {"s32", "s64"}
        or row.mask
        or not row.sentinels
        or quantity is None
        or quantity.kind == "counter"
    ):
        return math.inf
    return (0x7FFF << 16 * (row.words - 1)) - 0.5


def shortest(number: float, factor: float, *, single: bool) -> float:
    """The shortest decimal that is still the same float32 (or float64), times `factor`."""
    text = repr(number)
    if single:
        for digits in (6, 7, 8, 9):
            text = f"{number:.{digits}g}"
            if struct.pack(">f", float(text)) == struct.pack(">f", number):
                break
    if factor == 1.0:
        return float(text)
    return float(f"{float(Decimal(text) * Decimal(repr(factor))):.{9 if single else 15}g}")


def attribute_text(row: Row, raw: Any) -> str | None:
    """A fact about the meter as text; None when the meter has none."""
    if row.type == "text":
        text = bytes(raw).split(b"\0")[0].decode("utf-8", "replace").strip()
        return text if text and flaw(text) is None and "\ufffd" not in text else None
    patterned = from_bits(row)
    number: float = bits(row, raw) if patterned else raw
    if (
        number in patterns(row)
        or not math.isfinite(number)
        or any(first <= number <= last for first, last in spans(row))
    ):
        return None
    if patterned:
        meant = amount(row, int(number))
        if isinstance(meant, str):
            return None
        number = meant
    if not row.low <= number * row.factor <= row.high or (
        row.type.startswith("float") and abs(number) < NOTHING and str(number) != "0.0"
    ):
        return None
    if row.type.startswith("hex"):
        return f"{int(number):x}"
    if row.type.startswith("float"):
        return f"{shortest(number, row.factor, single=row.type == 'float32'):g}"
    scaled = round(number * row.factor, row.decimals or 0)
    return f"{scaled:g}" if row.decimals else str(int(scaled))


def exact_steps(decimals: int, low: float, high: float) -> float:
    """How many last decimals make 1, where the product of a value within these bounds with that shows which
    whole number of them it is rounded to; 0.0 where only all digits do.
    """
    steps = 10.0**decimals
    return steps if 0 <= decimals <= _EXACT_POWER and max(-low, high) * steps < _EXACT_STEPS else 0.0
