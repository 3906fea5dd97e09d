"""What no meter means: all ones, 0x7FFF…, 0x8000… in every row of every table; no value may come out that
the meter cannot mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_language import table
from test_library import concrete, meant

from gateway.catalogue import Driver, Row, load_file, shipped
from gateway.catalogue.encode import Registers, build
from gateway.field.meter.decode import Decoded, Replies, decode
from gateway.field.port.contract import registers_of
from gateway.model import QUANTITIES

PATTERNS = {
    "all ones": (0xFFFF, 0xFFFF),
    "highest": (0x7FFF, 0xFFFF),
    "lowest": (0x8000, 0x0000),
    "0x7FFF in each register": (0x7FFF, 0x7FFF),
    "0x8000 in each register": (0x8000, 0x8000),
}
"""First word, and the others."""
LOW_VOLTAGE = 1000.0
MOST = {"A": 6500.0, "kW": 5000.0}
"""Of numbers of several registers, where a pattern stands in another order of words than the meter's."""
OF_LOAD = {"A": "A", "kW": "kW", "kvar": "kW", "kVA": "kW"}
"""Units of current and power, and the word that the limits of a table have for them."""
MOST_HERTZ = 100.0
TRANSFORMERS = ("vt_ratio", "vt_primary")


def feed(row: Row, first: int, others: int, *, reverse: bool) -> Decoded:
    """The row's registers, and those that it refers to, full of a pattern; `reverse`: in the order of the
    row.
    """
    image = Replies()
    for span in set(row.spans):
        words = [first, *[others] * (span.words - 1)]
        words = words[::-1] if reverse and row.type != "text" else words
        image.add(span.function, span.address, registers_of(words))
    return decode((row,), image)


def meanable(driver: Driver, row: Row, value: float) -> bool:
    """Whether this meter can show this value."""
    quantity = QUANTITIES[row.name]
    step = abs(row.factor) * (10.0 if row.scale_at is not None else 1.0)
    if abs(value) <= step:  # 0, or the signed number -1
        return "factor" not in row.name or value == 0
    if quantity.unit == "V":
        transformed = (
            any(other.name in TRANSFORMERS for other in driver.rows)
            or driver.bounds.get("V", 0) > LOW_VOLTAGE
        )
        return value <= (40 * LOW_VOLTAGE if transformed else LOW_VOLTAGE)
    if (of := OF_LOAD.get(quantity.unit)) is not None:
        # One register has one order: its patterns are no current and no power of any meter.
        most_of = min(MOST[of], driver.bounds.get(of, MOST[of]))
        return row.words != 1 and abs(value) <= most_of
    most = {"Hz": MOST_HERTZ, "%": 300.0, "": 1.0}
    if quantity.unit in most:
        return abs(value) <= most[quantity.unit]
    return value >= 0 or "_total" in row.name or quantity.kind != "counter"


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
async def test_no_pattern_becomes_a_value_that_the_meter_cannot_mean(path: Path) -> None:
    for driver in await concrete(load_file(path)):
        for row in driver.rows:
            for name, (first, others) in PATTERNS.items():
                for reverse in {False, row.order.startswith("little")}:
                    found = feed(row, first, others, reverse=reverse)
                    assert all(meanable(driver, row, value) for value in found.values.values()), (
                        row.name,
                        name,
                        found.values,
                    )
                    if reverse is row.order.startswith("little"):
                        # In the order of the row it is the end of the type: no value at all, or nothing.
                        wide = row.words > 1 and row.type[0] in "us" and not row.mask and row.type != "sum"
                        assert not wide or not any(
                            abs(value) > abs(row.factor) for value in found.values.values()
                        ), (row.name, name)
                        assert row.attribute is False or row.words < 1 or not found.attributes, (
                            row.name,
                            name,
                            found.attributes,
                        )


def amounts(row: Row) -> Iterator[Row]:
    """The rows that the amount of a value is made of: terms of a sum, ratios and units, not a sign."""
    if row.words:
        yield row
    for part in (*(term for _, term in row.terms), *([row.times] if row.times else [])):
        yield from amounts(part)


def spoilt(row: Row, registers: Registers) -> dict[str, float]:
    """A row of which all registers hold a plausible value but those that are given."""
    held = build((row,), {row.name: meant(row, 0)}) | registers
    image = Replies()
    for span in set(row.spans):
        words = [held.get((span.function, at), 0) for at in range(span.address, span.end)]
        image.add(span.function, span.address, registers_of(words))
    return decode((row,), image).values


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
async def test_a_pattern_in_one_part_of_a_value_is_not_hidden_by_the_others(path: Path) -> None:
    """A counter of two registers, a ratio, a unit: the others hold what they should."""
    for driver in await concrete(load_file(path)):
        for row in driver.rows:
            parts = list(amounts(row))
            for part in parts if len(parts) > 1 and not row.attribute else ():
                for name, (first, others) in PATTERNS.items():
                    words = [first, *[others] * (part.words - 1)]
                    turned = words[::-1] if part.order.startswith("little") else words
                    held = {(part.function, part.address + at): word for at, word in enumerate(turned)}
                    found = spoilt(row, held)
                    told = (row.name, part.name, name, found)
                    assert all(meanable(driver, row, value) for value in found.values()), told
                    # The signed number -1 is one step less, or all that there is.
                    least = abs(part.factor) * 1.01
                    near = [value for value in (meant(row, 0), 0.0) if not isinstance(value, str)]
                    wide = part.words > 1 and part.type[0] in "us" and not part.mask
                    assert not wide or all(
                        min(abs(value - one) for one in near) <= least for value in found.values()
                    ), told


@pytest.mark.parametrize("part", ["_whole", "_part", "_unit"])
def test_the_control_a_part_that_turns_it_off_is_seen(part: str) -> None:
    rows = """
    0  u32  _whole         m³  slow  times=_unit
    2  u32  _part          m³  slow  times=_unit
    4  u32  _unit          m³  slow  codes=0:m³,0xFFFFFFFF:10m³
    -  sum  volume         m³  slow  of=_whole+_part
    """
    for off in (False, True):
        named = [
            f"{line} na=none low=0" if off and f" {part} " in line else line for line in rows.splitlines()
        ]
        (row,) = table("\n".join(named)).rows
        spoilt_part = next(one for one in amounts(row) if one.name == part)
        held = {(3, spoilt_part.address + at): 0xFFFF for at in range(2)}
        assert bool(spoilt(row, held)) is off


@pytest.mark.parametrize(
    ("words", "gives"),
    [
        ((0x0000, 0x0005), 5.0), ((0xFFFF, 0xFFFB), -5.0), ((0x7FFE, 0xFFFF), 0x7FFEFFFF),
        ((0x7FFF, 0x0000), None), ((0x8000, 0x0001), None), ((0x8001, 0x0000), None),
        ((0x8001, 0x0001), -0x7FFEFFFF),
    ],
)  # fmt: skip
def test_a_range_of_patterns_may_reach_from_the_highest_to_the_lowest_numbers(
    words: tuple[int, int], gives: float | None
) -> None:
    line = "0 s32 active_energy_total kWh slow na=0x7FFF0000-0x80010000 low=-1e30 high=1e30"
    image = Replies()
    image.add(3, 0, registers_of(words))
    assert decode(table(line).rows, image).values.get("active_energy_total") == gives


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32", "u48", "u64", "s64"])
def test_the_control_a_table_that_turns_it_off_gives_what_stands_there(kind: str) -> None:
    """Without the rule the patterns are values: the test above would fail."""
    row = table(f"0 {kind} active_energy_total kWh slow na=none low=-1e30 high=1e30").rows[0]
    found = [feed(row, first, others, reverse=False).values for first, others in PATTERNS.values()]
    assert all(found)
