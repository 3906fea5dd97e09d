"""What a file has: tables with typed columns, whoever writes them down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

CellValue = str | float | int | date | datetime | None
Kind = Literal["text", "number", "percent", "date", "time"]


@dataclass(frozen=True, slots=True)
class FileColumn:
    """`head` with its unit. `percent` is a part of 1, `time` local and without a zone; None: not known."""

    head: str
    kind: Kind = "number"
    decimals: int = 3
    width: int = 14


@dataclass(frozen=True, slots=True)
class ExportTable:
    """Rows come one by one: they may be hundreds of thousands."""

    name: str
    columns: tuple[FileColumn, ...]
    rows: Iterable[tuple[CellValue, ...]] = field(repr=False)
