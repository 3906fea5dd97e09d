"""Values as a technician writes them: 10s, 5min, 4GB, 200/5, yes."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticKnownError

_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?)"
"""Digits are bounded, so that no number is infinite."""
_DURATION = re.compile(_NUMBER + r"\s*(ms|s|min|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(_NUMBER + r"\s*(B|kB|MB|GB)", re.ASCII | re.IGNORECASE)
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_AS_WRITTEN = {"b": "B", "kb": "kB", "mb": "MB", "gb": "GB"}
_SPAN = re.compile(
    r"([1-4])\s*:\s*(0[xX][0-9a-fA-F]{1,4}|\d{1,5})(?:\s*-\s*(0[xX][0-9a-fA-F]{1,4}|\d{1,5}))?", re.ASCII
)
_LAST_REGISTER = 0xFFFF
_RATIO = re.compile(rf"{_NUMBER}(?:\s*/\s*{_NUMBER})?", re.ASCII)


def parse_duration(value: object) -> float:
    """Seconds from '10s', '500ms', '5min', '1h', '2d'. Raises ValueError."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match[1]) * _SECONDS[match[2]]
    raise ValueError("is not a duration: write a number with its unit, like 10s, 500ms, 5min or 1h")


def parse_size(value: object) -> int:
    """Bytes from '4GB', '500MB' (powers of ten). Raises ValueError."""
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(float(match[1]) * _BYTES[match[2].lower()])
    raise ValueError("is not a size: write a number with its unit, like 4GB or 500MB")


def written_like(value: object, number: float) -> str:
    """A number with a unit where the value has one: the bound of a duration as a duration, of a size as one.

    >>> written_like("30d", 604800.0)
    '7d'
    """
    text = value.strip() if isinstance(value, str) else ""
    units = _SECONDS if _DURATION.fullmatch(text) else _BYTES if _SIZE.fullmatch(text) else {}
    for unit, size in sorted(units.items(), key=lambda item: -item[1]):
        if number >= size and math.isclose(number / size, round(number / size)):
            return f"{round(number / size)}{_AS_WRITTEN.get(unit, unit)}"
    return "0s" if units is _SECONDS and not number else f"{number:g}"


def parse_ratio(value: object) -> float:
    """A transformer ratio from '200/5', '40' or 40. Raises ValueError."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        match = _RATIO.fullmatch(str(value).strip())
        if match and float(match[1]) > 0 and (match[2] is None or float(match[2]) > 0):
            return float(match[1]) / float(match[2] or 1)
    raise ValueError("is not a transformer ratio: write primary/secondary, like 200/5, or the quotient")


def primary_of(value: object) -> float | None:
    """The primary side of a transformer ratio that names both sides: 200.0 from '200/5'; None of a
    quotient.
    """
    match = _RATIO.fullmatch(str(value).strip())
    return float(match[1]) if match and match[2] else None


def _register(text: str) -> int:
    return int(text, 16 if text[:2].lower() == "0x" else 10)


def parse_span(value: object) -> tuple[int, int, int]:
    """Function, first address and end (behind the last) from '4:0x0156-0x0157' or '3:100'. Raises
    ValueError.
    """
    if isinstance(value, str) and (match := _SPAN.fullmatch(value.strip())):
        first = _register(match[2])
        last = _register(match[3]) if match[3] else first
        if first <= last <= _LAST_REGISTER:
            return int(match[1]), first, last + 1
    raise ValueError("is not a span of registers: write function:first-last, like 4:0x0156-0x0157 or 3:100")


def parse_switch(value: object) -> object:
    """True and False from yes and no, which YAML 1.2 keeps as words; anything else is not touched."""
    return {"yes": True, "no": False}.get(value, value) if isinstance(value, str) else value


def _no_switch(value: object) -> object:
    """True counts as 1 for Python, and for nobody who writes a number. Raises PydanticKnownError."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


Number = Annotated[float, BeforeValidator(_no_switch), Field(strict=False)]
"""As it is written, with decimals or without, in quotes or without."""
Switch = Annotated[bool, BeforeValidator(parse_switch)]
"""Whether or not: true, false, yes, no."""
Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds."""
Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes."""
Ratio = Annotated[float, BeforeValidator(parse_ratio), Field(ge=0.001, le=100_000.0)]
"""Primary over secondary: 5000/1 A and 400 000/100 V are the largest in use."""
RegisterSpan = Annotated[tuple[int, int, int], BeforeValidator(parse_span)]
"""Function, first address, end."""
