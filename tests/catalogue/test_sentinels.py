"""What no meter means: all ones, 0x7FFF…, 0x8000… in every row of every table; no value may come out that
the meter cannot mean.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from register_images import IMAGES, sections
from test_language import table

from gateway.catalogue import Driver, Row, load_file, resolve, shipped
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
MOST_AMPERES = 6500.0
"""A single register of a meter behind transformers may hold 0x7FFF A tenths."""
MOST_KILOWATTS = 5000.0
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
    most = {
        "A": MOST_AMPERES,
        "kW": MOST_KILOWATTS,
        "kvar": MOST_KILOWATTS,
        "kVA": MOST_KILOWATTS,
        "Hz": MOST_HERTZ,
        "%": 300.0,
        "": 1.0,
    }
    if quantity.unit in most:
        return abs(value) <= most[quantity.unit]
    return value >= 0 or "_total" in row.name or quantity.kind != "counter"


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
async def test_no_pattern_becomes_a_value_that_the_meter_cannot_mean(path: Path) -> None:
    shared = load_file(path)
    drivers = [
        shared,
        *[await resolve(shared, section.ask) for section in sections(IMAGES / f"{path.stem}.txt")],
    ]
    for driver in drivers:
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


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32", "u48", "u64", "s64"])
def test_the_control_a_table_that_turns_it_off_gives_what_stands_there(kind: str) -> None:
    """Without the rule the patterns are values: the test above would fail."""
    row = table(f"0 {kind} active_energy_total kWh slow na=none low=-1e30 high=1e30").rows[0]
    found = [feed(row, first, others, reverse=False).values for first, others in PATTERNS.values()]
    assert all(found)
