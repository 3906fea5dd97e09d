"""Meters and tables for the field's tests; every register holds its address plus the unit times 1000."""

from __future__ import annotations

from typing import Any

from gateway.catalogue import Driver, load_text
from gateway.config.schema import Meter
from gateway.demo.simulator.slave import PatternImage, Slave

NAMES = [
    "active_power",
    *(f"active_power_{end}" for end in ("l1", "l2", "l3", "demand", "demand_max")),
    "heat_power",
    "dc_power",
]


def pattern(unit: int, first: int, count: int) -> tuple[int, ...]:
    """What the registers of a unit hold."""
    return tuple((at + 1000 * unit) & 0xFFFF for at in range(first, first + count))


def slaves(units: range | list[int]) -> list[Slave]:
    return [Slave(unit, PatternImage(1000 * unit)) for unit in units]


def driver(rows: str = "", reads: str = "function: 4", name: str = "test-table") -> Driver:
    """A table of eight u16 values, 10 registers apart, unless rows are given."""
    rows = rows or "\n".join(
        f"{10 * index} u16 {name} kW fast decimals=0" for index, name in enumerate(NAMES)
    )
    text = "\n".join("  " + row.strip() for row in rows.strip().splitlines())
    return load_text(
        f"maker: T\nmodel: T\nverified: simulator\nsource: tests\nreads: {{{reads}}}\nregisters: |\n{text}\n",
        name,
    )


def meter(unit: int = 1, **more: Any) -> Meter:
    return Meter(
        **{"id": f"m{unit}", "bus": "bus", "address": unit, "driver": "test-table", "interval": "1s", **more}
    )
