"""What a register of a type can hold, and what a meter can mean by a quantity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.catalogue.driver import TYPES
from gateway.common.near import did_you_mean
from gateway.common.text import quoted
from gateway.errors import Problem
from gateway.model import Quantity

ANYTHING: Final = 1e18
RATIO: Final = (0.0, 1e6)
"""What a transformer ratio can be."""
_LONGEST_TEXT = 64
_MOST: Final = {"A": 100_000.0, "kW": 5e6, "kWh": 1e10}
_MOST_OF: Final = {"frequency": 100.0, "thd_voltage": 100.0, "thd_current": 300.0}
"""A voltage cannot be more distorted; a current can, but a register full of ones is more than that."""
_ONE_REGISTER: Final = 1000.0
_ONE_REGISTER_DC: Final = 2000.0
_ALSO_CALLED: Final = {
    "float": "float32", "f32": "float32", "f64": "float64", "double": "float64",
    "int16": "s16", "int32": "s32", "int64": "s64", "uint16": "u16", "uint32": "u32", "uint64": "u64",
    "i16": "s16", "i32": "s32", "i64": "s64", "text": "text:8", "string": "text:8", "ascii": "text:8",
}  # fmt: skip
"""Types as other programs call them."""


class Mistake(Exception):
    """What is wrong with a line, and what to write."""

    def __init__(self, key: str, what: str, mend: str = "") -> None:
        super().__init__(what)
        self.key, self.what, self.mend = key, what, mend

    def problem(self, file: str, line: int) -> Problem:
        """The mistake as a Problem of this file and line."""
        return Problem(file, line, self.key, self.what, self.mend)


def words_of(kind: str) -> int:
    """Registers of a type; 0 for a sum. Raises Mistake."""
    if kind == "sum":
        return 0
    length = kind.removeprefix("text:")
    if length != kind and length.isdigit() and 1 <= int(length) <= _LONGEST_TEXT:
        return int(length)
    if kind not in TYPES:
        known = _ALSO_CALLED.get(kind.lower())
        raise Mistake(
            "",
            f"{quoted(kind)} is not a type",
            f"did you mean {known}?"
            if known
            else did_you_mean(kind, TYPES, f"types are {', '.join(TYPES)}, text:N and sum"),
        )
    return TYPES[kind]


def ends(kind: str, words: int, *, attribute: bool = False) -> tuple[int, ...]:
    """Raw patterns at the end of a type's range: an overflow or "not available" on every meter, whatever its
    paper says.

    An unsigned single register may hold 0x7FFF and 0x8000 as a value; two registers hold that very number
    once in a life.
    """
    if kind.startswith(("float", "text", "bcd")) or not words:
        return ()
    ones, top = (1 << 16 * words) - 1, 1 << 16 * words - 1
    if kind.startswith("e8"):
        return (ones,)
    middle = {top - 1, top}
    if words > 1:
        middle |= {sum(word << 16 * at for at in range(words)) for word in (0x7FFF, 0x8000)}
    if kind.startswith("s"):
        return tuple(sorted({*middle, ones} if attribute else middle))
    return tuple(sorted({ones, *(middle if words > 1 or attribute else ())}))


def ratio(name: str) -> bool:
    """Whether a row is about the transformers before the meter."""
    return name.lstrip("_").startswith(("ct", "vt"))


def believable(quantity: Quantity, words: int, limits: Mapping[str, float]) -> tuple[float, float]:
    """What a meter with these limits can mean by a quantity, when its line says nothing else: (low, high).

    Tighter than the vocabulary, which has the whole grid in mind: a counter of one direction never falls
    below 0, and what stands in a single register is low voltage.
    """
    unit = {"kvar": "kW", "kVA": "kW", "kvarh": "kWh", "kVAh": "kWh"}.get(quantity.unit, quantity.unit)
    most = limits.get(unit, _MOST.get(unit, ANYTHING))
    if quantity.name.startswith(tuple(_MOST_OF)):
        most = next(high for name, high in _MOST_OF.items() if quantity.name.startswith(name))
    if unit == "V" and words == 1 and unit not in limits:
        most = _ONE_REGISTER_DC if quantity.name.startswith("dc_") else _ONE_REGISTER
    one_way = quantity.kind == "counter" and "_total" not in quantity.name
    return max(quantity.low, 0.0 if one_way else -most), min(quantity.high, most)
