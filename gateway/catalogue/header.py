"""The YAML head of a driver table: every key, its type and its bounds."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.catalogue.driver import ORDERS, TYPES
from gateway.common.text import visible
from gateway.config import Duration, Number, explain, shown

MOST_VALUES = 4096
"""Numbers that one identity may have."""
_LINE_END = re.compile(r"[ \t]*\r?\n[ \t]*")

Word = Annotated[int, Field(ge=0, le=0xFFFF)]
Text = Annotated[
    str,
    Field(min_length=1, max_length=2000),
    AfterValidator(lambda text: visible(_LINE_END.sub(" ", text.strip()))),
]
"""What people read about a meter, on one line."""

DriverName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]


def _a_hole(value: object) -> object:
    """45063 or 45063-45064 or 0xB007-0xB008 as (first, last)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    if isinstance(value, str):
        try:
            first, _, last = value.partition("-")
            return (int(first, 0), int(last or first, 0))
        except ValueError:
            pass
    raise ValueError("is not an address range: write 45063 or 45063-45064")


def _a_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


Tried = Annotated[str, Field(pattern=r"^hardware \(.+, \d{4}-\d{2}-\d{2}\)$"), AfterValidator(visible)]


def _patterns(value: object) -> object:
    """One raw pattern, or a list; 0x7FFF0000-0x7FFFFFFF is a range of them."""
    return [_pattern(part) for part in value] if isinstance(value, list) else [_pattern(value)]


def _pattern(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        first, _, last = value.partition("-")
        if 0 <= int(first, 0) <= int(last or first, 0):
            return range(int(first, 0), int(last or first, 0) + 1)
    except ValueError:
        pass
    raise ValueError("is not a raw pattern: write 0x7FFF, or a range like 0x7FFF0000-0x7FFFFFFF")


class HeaderPart(BaseModel):
    """A part of the head: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class SerialPart(HeaderPart):
    """The factory setting of the port; leave out what is not known."""

    baudrate: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] | None = None
    parity: Literal["N", "E", "O"] | None = None
    stopbits: Literal[1, 2] | None = None
    address: Annotated[int, Field(ge=1, le=247)] | None = None


class ReadsPart(HeaderPart):
    """What the meter allows on the bus."""

    function: Literal[3, 4] = 3
    max_registers: Annotated[int, Field(ge=1, le=125)] = 125
    min_gap: Annotated[Duration, Field(ge=0.0, le=5.0)] = 0.0
    timeout: Annotated[Duration, Field(ge=0.05, le=10.0)] | None = None
    answer_time: Annotated[Duration, Field(ge=0.001, le=1.0)] | None = None
    order: Literal["big", "little", "big-swapped", "little-swapped"] = "big"
    even: bool = False
    holes: Annotated[
        tuple[Annotated[tuple[Word, Word], BeforeValidator(_a_hole)], ...],
        Field(strict=False, max_length=512),
    ] = ()


def _numbers(value: object) -> object:
    """A list of numbers in which 0x0115-0x01FF stands for all from 0x0115 to 0x01FF."""
    return [number for part in _a_list(value) for number in _between(part)]  # type: ignore[attr-defined]


def _between(part: object) -> list[object]:
    pattern = _pattern(part) if isinstance(part, str) else part
    if isinstance(pattern, range):
        if len(pattern) > MOST_VALUES:
            raise ValueError(f"is more than {MOST_VALUES} numbers: name fewer")
        return list(pattern)
    return [pattern]


class NamingPart(HeaderPart):
    """A register that holds one of some values."""

    function: Literal[3, 4] = 3
    address: Word
    type: Annotated[str, Field(pattern=rf"^({'|'.join(TYPES)}|text:\d{{1,2}})$")] = "u16"
    order: Annotated[str, Field(pattern=f"^({'|'.join(ORDERS)})$")] = "big"
    alone: bool = False
    values: Annotated[tuple[int | str, ...], Field(strict=False, min_length=1)]

    @field_validator("values", mode="before")
    @classmethod
    def _as_the_type_says(cls, value: object, info: ValidationInfo) -> object:
        text = str(info.data.get("type", "")).startswith("text")
        return _a_list(value) if text else _numbers(value)


class IdentityPart(NamingPart):
    """A register that tells this meter from others."""

    not_all: bool = False


class VariantPart(HeaderPart):
    """Rows for meters whose identity register says so."""

    name: Text
    when: NamingPart
    like: str | None = None
    order: Literal["big", "little", "big-swapped", "little-swapped"] | None = None
    registers: str = ""
    without: Annotated[tuple[str, ...], Field(strict=False)] = ()


class ModelPart(HeaderPart):
    """The points of SunSpec models with the same layout; addresses are offsets from the model's ID
    register.
    """

    ids: Annotated[tuple[Word, ...], Field(strict=False, min_length=1)]
    registers: str


class SunspecPart(HeaderPart):
    """How the map is found and read."""

    main: Annotated[tuple[Word, ...], Field(strict=False, min_length=1)]
    nth: Annotated[int, Field(ge=1, le=8)] = 1
    beside: Annotated[tuple[Word, ...], Field(strict=False)] = ()
    bases: Annotated[tuple[Word, ...], Field(strict=False, max_length=64)] = (40000, 50000, 0)
    inverted: Annotated[tuple[str, ...], Field(strict=False)] = ()
    models: Annotated[tuple[ModelPart, ...], Field(strict=False, max_length=256)] = ()


class TableHead(HeaderPart):
    """The whole head."""

    maker: Text
    model: Text
    like: str | None = None
    without: Annotated[tuple[str, ...], Field(strict=False)] = ()
    verified: Literal["datasheet", "two-sources", "one-source", "simulator"] | Tried
    source: Text
    covers: Annotated[tuple[Text, ...], BeforeValidator(_a_list), Field(strict=False, max_length=512)] = ()
    twins: Annotated[tuple[str, ...], BeforeValidator(_a_list), Field(strict=False)] = ()
    no_import: Text | None = None
    no_identity: Text | None = None
    values: Literal["primary"] | None = None
    others: Annotated[
        dict[DriverName, Annotated[tuple[Text, ...], BeforeValidator(_a_list), Field(strict=False)]],
        Field(strict=False, max_length=16),
    ] = {}
    notes: Annotated[tuple[Text, ...], BeforeValidator(_a_list), Field(strict=False)] = ()
    serial: SerialPart | None = None
    tcp: Annotated[int, Field(ge=1, le=65535)] | None = None
    reads: ReadsPart | None = None
    absent: Annotated[
        dict[str, Annotated[tuple[Any, ...], BeforeValidator(_patterns), Field(strict=False)]],
        Field(strict=False),
    ] = {}
    limits: Annotated[
        dict[Literal["V", "A", "kW", "kWh"], Annotated[Number, Field(gt=0)]], Field(strict=False)
    ] = {}
    identity: IdentityPart | None = None
    variants: Annotated[tuple[VariantPart, ...], Field(strict=False, max_length=64)] = ()
    sunspec: SunspecPart | None = None
    registers: str = ""

    @model_validator(mode="before")
    @classmethod
    def _has_rows(cls, value: Any) -> Any:
        if isinstance(value, dict) and not {"registers", "sunspec", "like"} & set(value):
            raise ValueError("has no registers: write registers: | and one line per register")
        return value


def explain_head(error: dict[str, Any]) -> tuple[str, str]:
    """One pydantic error in words, with what is peculiar to a table: (what is wrong, what to write)."""
    value = shown(error.get("input"))
    if error["loc"][:1] == ("verified",) and error["type"] not in {"missing", "value_error"}:
        return (
            f"{value} is not a level of proof",
            "write datasheet, two-sources, one-source, simulator, or hardware (who, 2026-01-31) when you "
            "have read the meter yourself",
        )
    if error["type"] == "string_pattern_mismatch":
        return f"{value} is not known", f"types are {', '.join(TYPES)} and text:N"
    return explain(error, lambda _: _keys(), "see docs/add-a-meter.md")


def _keys() -> list[str]:
    parts = (TableHead, SerialPart, ReadsPart, IdentityPart, VariantPart, SunspecPart, ModelPart)
    return sorted({key for part in parts for key in part.model_fields})
