"""Decoding by absolute address: every type and order, and what must never become a value."""

from __future__ import annotations

import math
import struct
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_language import table

from gateway.catalogue.driver import ORDERS, TYPES
from gateway.catalogue.encode import build, encode
from gateway.field.meter import decode as decoding
from gateway.field.meter.decode import Replies, decode
from gateway.field.meter.raw import NOTHING, shortest
from gateway.field.port.contract import registers_of

NUMBERS = sorted(kind for kind in TYPES if not kind.startswith(("hex", "bcd", "e8")))


def image(*reads: tuple[int, int, list[int]]) -> Replies:
    made = Replies()
    for function, start, words in reads:
        made.add(function, start, registers_of(words))
    return made


def one(line: str, words: list[int], **more: object):
    rows = table(line).rows
    return decode(rows, image((3, 0, words)), **more)


@pytest.mark.parametrize(
    ("kind", "order", "words", "meant"),
    [
        ("u16", "big", "FFFF", 65535),
        ("s16", "big", "FFFE", -2),
        ("u16", "big-swapped", "3412", 0x1234),
        ("u32", "big", "1234 5678", 0x12345678),
        ("u32", "little", "5678 1234", 0x12345678),
        ("u32", "big-swapped", "3412 7856", 0x12345678),
        ("u32", "little-swapped", "7856 3412", 0x12345678),
        ("s32", "big", "FFFF FF85", -123),
        ("s32", "little", "FF85 FFFF", -123),
        ("u48", "big", "0001 0000 0002", 0x100000002),
        ("u48", "little", "0002 0000 0001", 0x100000002),
        ("u64", "big", "0000 0000 0001 E240", 123456),
        ("u64", "little", "E240 0001 0000 0000", 123456),
        ("s64", "big", "FFFF FFFF FFFF FFFF", -1),
        ("float32", "big", "4366 3333", 230.2),
        ("float32", "little", "3333 4366", 230.2),
        ("float32", "big-swapped", "6643 3333", 230.2),
        ("float32", "little-swapped", "3333 6643", 230.2),
        ("float64", "big", "4132 D687 0000 0000", 1234567),
        ("float64", "little", "0000 0000 D687 4132", 1234567),
    ],
)
def test_every_type_and_order_of_words(kind: str, order: str, words: str, meant: float) -> None:
    found = one(
        f"0 {kind} active_energy_total kWh slow order={order} na=none",
        [int(word, 16) for word in words.split()],
    )
    assert found.values == {"active_energy_total": meant}


def number(value: float) -> bool:
    """Whether a float is one that a meter writes, and no pattern of registers."""
    return value == 0.0 or abs(value) >= NOTHING


@settings(deadline=None)
@given(st.sampled_from(NUMBERS), st.sampled_from(ORDERS), st.data())
def test_what_is_encoded_decodes_to_itself(kind: str, order: str, data: st.DataObject) -> None:
    row = table(f"7 {kind} active_energy_import kWh slow order={order} low=-1e300 high=1e300 na=none").rows[0]
    bits = 16 * row.words
    if kind == "float32":
        value: float = data.draw(st.floats(width=32, allow_nan=False, allow_infinity=False).filter(number))
    elif kind == "float64":
        value = data.draw(st.floats(min_value=-1e300, max_value=1e300).filter(number))
    else:
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind[0] == "s" else (0, (1 << bits) - 1)
        value = data.draw(st.integers(low, high))
    assume(not kind.startswith("float") or not value or abs(value) >= NOTHING)
    words = encode(row, value)
    found = decode((row,), image((3, 5, [0xDEAD, 0xDEAD, *words, 0xDEAD])))
    got = found.values["active_energy_import"]
    assert got == float(value) or (kind == "float32" and struct.pack(">f", got) == struct.pack(">f", value))


CLOSE = [-0.0, 0.0, 0.5, 1.5, 2.5, 0.05, 0.15, 0.25, 1.005, 2.675, 1e-9, 0.4999999999999999, 8796093022.205]
"""Of which the last digit is a close decision, or nothing is left."""


@settings(deadline=None, max_examples=500)
@given(
    st.one_of(
        st.floats(-1e10, 1e10), st.floats(-1e13, 1e13), st.floats(-1e300, 1e300), st.sampled_from(CLOSE),
        st.integers(-(10**12), 10**12).map(lambda number: (number + 0.5) / 100),
    ),
    st.integers(0, 9),
    st.sampled_from(["low=-1e10 high=1e10", "low=-1e300 high=1e300"]),
)  # fmt: skip
def test_a_value_is_rounded_to_its_decimals_as_round_does(value: float, decimals: int, bounds: str) -> None:
    row = table(f"7 float64 active_energy_import kWh slow {bounds} na=none decimals={decimals}").rows[0]
    assume(row.low <= value <= row.high and number(value))
    found = decode((row,), image((3, 7, encode(row, value)))).values["active_energy_import"]
    assert struct.pack(">d", found) == struct.pack(">d", round(value, decimals) + 0.0)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from(NUMBERS), st.sampled_from(ORDERS)),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_decoding_goes_by_address_whatever_the_reads(
    wanted: list[tuple[int, str, str]], data: st.DataObject
) -> None:
    names = [
        f"active_energy_{way}_{part}"
        for way in ("import", "export")
        for part in ("l1", "l2", "l3", "t1", "t2", "t3")
    ]
    lines, taken = [], set()
    for address, kind, order in wanted:
        places = set(range(address, address + TYPES[kind]))
        if not places & taken:
            taken |= places
            lines.append(f"{address} {kind} {names[len(lines)]} kWh slow order={order} low=-1e300 high=1e300")
    rows = table("\n".join(lines)).rows
    meant = {row.name: float(data.draw(st.integers(0, 1000))) for row in rows}
    memory = dict.fromkeys(range(400), 0xDEAD)
    memory |= {address: word for (_, address), word in build(rows, meant).items()}
    cuts = sorted(data.draw(st.sets(st.integers(1, 399), max_size=8)))
    edges = [0, *cuts, 400]
    reads = [(3, first, [memory[at] for at in range(first, end)]) for first, end in pairwise(edges)]
    found = decode(rows, image(*reads))
    for row in rows:
        whole = any(
            start <= row.address and row.address + row.words <= start + len(words)
            for _, start, words in reads
        )
        assert found.values.get(row.name) == (meant[row.name] if whole else None)
        assert (row.name in found.absent) is not whole


@pytest.mark.parametrize(
    ("line", "words", "reason"),
    [
        ("0 float32 active_power kW fast decimals=3", [0x7FC0, 0], "not_available"),
        ("0 float32 active_power kW fast", [0x7FC0, 0], "not_available"),
        ("0 float32 active_power kW fast", [0x7F80, 0], "not_available"),
        ("0 float32 active_power kW fast decimals=3", [0xFF80, 0], "not_available"),
        ("0 float64 active_power kW fast", [0x7FF0, 0, 0, 0], "not_available"),
        ("0 float32 active_energy_import kWh slow decimals=3", [0x8000, 0x8000], "not_available"),
        ("0 float32 active_energy_import kWh slow", [0x8000, 0x8000], "not_available"),
        ("0 float32 voltage_l1n V fast decimals=1 order=little", [0x43C7, 0], "implausible"),
        ("0 float32 active_power kW fast decimals=3", [0x7149, 0xF2CA], "implausible"),
        ("0 float32 power_factor 1 fast decimals=3", [0x3FA0, 0], "implausible"),
        ("0 s16 power_factor 0.001 fast", [1001], "implausible"),
        ("0 u16 frequency 0.01Hz fast low=40 high=70", [3999], "implausible"),
        ("0 s32 active_power W fast na=0x7FFFFFFF", [0x7FFF, 0xFFFF], "not_available"),
        ("0 s16 active_power W fast na=0x8000", [0x8000], "not_available"),
        ("0 u64 active_energy_import Wh slow na=0xFFFFFFFFFFFFFFFF", [0xFFFF] * 4, "not_available"),
        ("0 u48 active_energy_import Wh slow na=0xFFFFFFFFFFFF", [0xFFFF] * 3, "not_available"),
        ("0 u32 active_energy_import Wh slow na=0,0xFFFFFFFF", [0, 0], "not_available"),
        ("0 u16 active_energy_import kWh slow na=0x10-0x1F,7", [0x1A], "not_available"),
        ("0 s16 active_power W fast na=0xFF00-0xFF0F", [0xFF0F], "not_available"),
        ("0 u16 voltage_l1n 0.1V fast", [0xFFFF], "not_available"),
        ("0 s16 active_power W fast", [0x7FFF], "not_available"),
        ("0 s16 active_power W fast", [0x8000], "not_available"),
        ("0 s32 active_power W fast", [0x7FFF, 0xFFFF], "not_available"),
        ("0 s32 active_power W fast", [0x8000, 0], "not_available"),
        ("0 s32 active_power W fast", [0x7FFF, 0x1234], "implausible"),
        ("0 s32 active_power W fast", [0x8000, 0x8001], "implausible"),
        ("0 s32 active_power W fast order=little", [0x1234, 0x7FFF], "implausible"),
        ("0 u32 active_energy_import Wh slow", [0x7FFF, 0x7FFF], "not_available"),
        ("0 s64 active_power W fast", [0x8000, 0x8000, 0x8000, 0x8000], "not_available"),
        ("0 bcd32 active_energy_import kWh slow", [0xFFFF, 0xFFFF], "not_available"),
        ("0 bcd16 active_energy_import kWh slow", [0x12A4], "not_available"),
        ("0 e8u24 active_power W fast", [0xFFFF, 0xFFFF], "not_available"),
        ("0 e8u24 active_power W fast", [0x7FFF, 0xFFFF], "implausible"),
        ("0 e8s24 active_power W fast", [0x0B00, 1], "implausible"),
        ("0 u16 active_power W fast sign=bit15", [0xFFFF], "not_available"),
        ("0 u32 active_power W fast sign=bit31", [0xFFFF, 0xFFFF], "not_available"),
        ("0 u32 active_power W fast sign=bit31", [0x7FFF, 0xFFFF], "not_available"),
        ("0 u32 active_power W fast sign=bit31 na=0x80000000", [0x8000, 0], "not_available"),
        ("0 s16 active_power W fast sf=1", [5, 0x8000], "not_available"),
        ("0 s16 active_power W fast sf=1", [5, 11], "implausible"),
        ("0 float32 power_factor 1 fast rule=pf4q", [0x4040, 0], "not plausible"),
    ],
)
def test_what_is_no_value_is_absent_with_its_reason(line: str, words: list[int], reason: str) -> None:
    found = one(line, words)
    name = line.split()[2]
    if reason == "not plausible":  # raw 3 is -1: the edge of the circle, still a power factor
        assert found.values == {name: -1.0}
        return
    assert found.values == {}
    assert found.absent == {name: reason}


@pytest.mark.parametrize(
    ("line", "words", "meant"),
    [
        # 0x8064 is -100 W as sign and amount, -32668 W as a two's complement.
        ("0 u16 active_power W fast sign=bit15", "8064", -0.1),
        ("0 u16 active_power W fast sign=bit15", "0064", 0.1),
        ("0 u16 active_power W fast sign=bit15", "8000", 0.0),
        ("0 s16 active_power W fast sign=bit15", "8064", -0.1),
        ("0 s16 active_power W fast sign=bit15", "8000", 0.0),
        ("0 u32 active_power W fast sign=bit31", "8000 0000", 0.0),
        ("0 u32 active_power W fast sign=bit31 order=little", "0000 8000", 0.0),
        ("0 u48 active_power W fast sign=bit47", "8000 0000 0000", 0.0),
        ("0 s64 active_power W fast sign=bit63", "8000 0000 0000 0000", 0.0),
        ("0 u32 active_power W fast sign=bit31", "8000 0064", -0.1),
        ("0 u32 active_power W fast sign=bit31 order=little", "0064 8000", -0.1),
        ("0 u32 active_power W fast sign=bit31 order=big-swapped", "0080 6400", -0.1),
        ("0 u48 active_power W fast sign=bit47", "8000 0000 0064", -0.1),
        ("0 u64 active_power W fast sign=bit63", "8000 0000 0000 0064", -0.1),
        ("0 u16 power_factor 0.001 fast sign=bit15", "8384", -0.9),
        # The number and its sign in one register, beside other bits.
        ("0 u16 active_power W fast sign=bit15 mask=0x0FFF", "F064", -0.1),
        ("0 u16 active_power W fast sign=bit0 mask=0xFFF0", "0641", -0.1),
        ("0 u32 power_factor 0.001 fast sign=bit31 mask=0xFFFF", "FF00 0384", -0.9),
        ("0 u16 active_power W fast mask=0x7FFF", "8064", 0.1),
        ("0 bcd16 active_power W fast", "1234", 1.234),
        ("0 bcd16 active_power W fast sign=bit15", "8123", -0.123),
        ("0 bcd32 active_energy_import 0.01kWh slow", "1234 5678", 123456.78),
        ("0 bcd32 active_energy_import 0.01kWh slow order=little", "5678 1234", 123456.78),
        ("0 bcd48 active_energy_import Wh slow", "0000 1234 5678", 12345.678),
        ("0 bcd64 active_energy_import Wh slow", "0000 0000 1234 5678", 12345.678),
        ("0 e8u24 voltage_l1n V fast", "FF00 08FC", 230.0),
        ("0 e8s24 active_power W fast", "FEFF D8F0", -0.1),
        ("0 e8s24 active_power W fast", "0200 0001", 0.1),
        ("0 s32 active_energy_export 0.1kWh slow rule=magnitude", "FFFF FC18", 100.0),
    ],
)
def test_sign_and_amount_digits_and_powers_of_ten(line: str, words: str, meant: float) -> None:
    name = line.split()[2]
    given = [int(word, 16) for word in words.split()]
    assert one(line, given).values == {name: meant}
    row = table(line).rows[0]
    assert decode((row,), image((3, 0, encode(row, meant)))).values == {name: meant}, (
        "the simulator writes what is read"
    )
    if "sign=" in line and meant:
        plain = one(line.split(" sign=", maxsplit=1)[0].split(" mask=", maxsplit=1)[0], given).values
        assert plain.get(name) != meant or meant > 0, "without the option another number is read"


def test_the_sign_may_stand_in_a_bit_of_another_register() -> None:
    rows = table(
        """
        0 u16 _flags - fast
        1 u16 active_power_{l1,l2,l3} W fast
        4 u16 active_power W fast sign=_flags.bit3
        5 u16 reactive_power var fast sign=_flags.bit11
    """.replace("W fast\n        4", "W fast\n        4")
    ).rows
    found = decode(rows, image((3, 0, [0x0008, 1, 2, 3, 100, 50])))
    assert (found.values["active_power"], found.values["reactive_power"]) == (-0.1, 0.05)
    assert decode(rows, image((3, 1, [1, 2, 3, 100, 50]))).absent == {
        "active_power": "timeout",
        "reactive_power": "timeout",
    }
    for meant in (
        {"active_power": -0.1, "reactive_power": -0.05},
        {"active_power": 0.1, "reactive_power": -0.05},
    ):
        written = build(rows, meant)
        assert written[3, 0] == (0x0808 if meant["active_power"] < 0 else 0x0800)
        back = decode(rows, image((3, 0, [written.get((3, at), 0) for at in range(6)])))
        assert {name: back.values[name] for name in meant} == meant


@pytest.mark.parametrize(("option", "register"), [("sf8h=1", 0xFF05), ("sf8=1", 0x05FF), ("sf=1", 0xFFFF)])
def test_a_power_of_ten_stands_in_a_register_or_in_either_byte_of_one(option: str, register: int) -> None:
    rows = table(f"0 u16 voltage_l1n V fast {option}").rows
    assert decode(rows, image((3, 0, [2301, register]))).values == {"voltage_l1n": 230.1}


def test_a_value_and_its_power_of_ten_are_taken_from_one_read_where_one_holds_both() -> None:
    """The power has changed between two reads that both hold it; the third value comes with no power."""
    rows = table(
        "0 u16 voltage_l1n V fast sf=1\n2 u16 voltage_l2n V fast sf=1\n9 u16 voltage_l3n V fast sf=1"
    ).rows
    one, another, third = (3, 0, [2301, 0xFFFF]), (3, 1, [0xFFFE, 23010]), (3, 9, [23010])
    for reads in ((one, another), (another, one), ((3, 1, [7]), one, another)):
        found = decode(rows[:2], image(*reads))
        assert found.values == {"voltage_l1n": 230.1, "voltage_l2n": 230.1}
    assert decode(rows, image(another, third)).values == {"voltage_l2n": 230.1, "voltage_l3n": 230.1}


def test_limits_are_of_the_meter_not_of_what_stands_before_it() -> None:
    rows = table(
        "0 u16 voltage_l1n 0.1V fast\n1 u16 _ct 1 fast high=100\n2 s16 active_power W fast times=_ct"
    ).rows
    assert (
        decode(rows, image((3, 0, [577, 40, 100])), ct=1.0, vt=300.0, values="secondary").values[
            "voltage_l1n"
        ]
        == 17310.0
    )
    assert decode(rows, image((3, 0, [577, 200, 100]))).absent == {"active_power": "implausible"}


@pytest.mark.parametrize(
    ("line", "words", "text"),
    [
        ("0 float32 ct_ratio - static", [0x8000, 0], None),
        ("0 float32 ct_ratio - static", [0x8000, 0x8000], None),
        ("0 float32 ct_ratio - static", [0x4220, 0], "40"),
        ("0 u32 ct_ratio 0.1 static", [0xFFFF, 0x7FFF], None),
        ("0 u16 ct_primary - static", [0x7FFF], None),
        ("0 u16 ct_primary - static", [200], "200"),
        ("0 u32 serial_number - static", [0xFFFF, 0xFFFF], None),
        ("0 hex32 serial_number - static", [0xFFFF, 0xFFFF], None),
    ],
)
def test_facts_about_a_meter_have_no_patterns_either(line: str, words: list[int], text: str | None) -> None:
    assert one(line, words).attributes.get(line.split()[2]) == text


def test_what_a_meter_cannot_show_is_not_believed() -> None:
    head = "limits: {V: 1000, A: 200, kW: 100}\n"
    rows = table(
        "0 u16 voltage_l1n 0.1V fast\n1 u16 current_l1 0.01A fast\n2 s16 active_power 10W fast\n3 u16 "
        "apparent_power 10VA fast",
        head,
    ).rows
    assert decode(rows, image((3, 0, [2300, 1000, 500, 600]))).values == {
        "voltage_l1n": 230.0, "current_l1": 10.0, "active_power": 5.0, "apparent_power": 6.0,
    }  # fmt: skip
    found = decode(rows, image((3, 0, [0x8000, 0x7FFF, 0xC000, 0x7FFF])))
    assert found.values == {}
    assert set(found.absent.values()) == {"implausible"}


def test_a_failed_read_costs_exactly_its_own_quantities() -> None:
    rows = table("0 u16 voltage_l1n V fast\n9 u16 voltage_l2n V fast\n20 u16 voltage_l3n V fast").rows
    found = image((3, 0, [230]))
    found.fail(3, 5, 10, "exception_2")
    result = decode(rows, found)
    assert result.values == {"voltage_l1n": 230}
    assert result.absent == {"voltage_l2n": "exception_2", "voltage_l3n": "timeout"}


def test_function_three_and_four_are_different_registers() -> None:
    rows = table("0 u16 voltage_l1n V fast\n0 u16 voltage_l2n V fast function=4").rows
    assert decode(rows, image((3, 0, [230]), (4, 0, [231]))).values == {
        "voltage_l1n": 230,
        "voltage_l2n": 231,
    }


def test_a_register_that_must_be_read_alone_is_not_taken_from_a_longer_read() -> None:
    rows = table("10 s32 active_power W fast\n11 u16 firmware - static alone").rows
    assert decode(rows, image((3, 10, [0, 5]))).attributes == {}
    assert decode(rows, image((3, 10, [0, 5]), (3, 11, [341]))).attributes == {"firmware": "341"}


def test_secondary_values_are_multiplied_by_the_ratios() -> None:
    rows = table("""
        0 u16 voltage_l1n 0.1V fast
        1 u16 current_l1 0.001A fast
        2 u16 active_power W fast
        3 u16 active_energy_import 0.01kWh slow
        4 u16 frequency 0.01Hz fast
        5 s16 power_factor 0.001 fast
        6 float32 reactive_power kvar fast
    """).rows
    words = [1000, 5000, 800, 123, 5000, 900, *struct.unpack(">2H", struct.pack(">f", 0.5))]
    found = decode(rows, image((3, 0, words)), ct=40.0, vt=100.0, values="secondary")
    assert found.values == {
        "voltage_l1n": 10000.0, "current_l1": 200.0, "active_power": 3200.0, "active_energy_import": 4920.0,
        "frequency": 50.0, "power_factor": 0.9, "reactive_power": 2000.0,
    }  # fmt: skip
    assert decode(rows, image((3, 0, words)), ct=40.0, vt=100.0).values["active_power"] == 0.8


def test_sums_and_differences() -> None:
    rows = table("""
        0 u32 active_energy_import_t1 0.01kWh slow
        2 u32 active_energy_import_t2 0.01kWh slow
        - sum active_energy_import kWh slow of=active_energy_import_t1+active_energy_import_t2
        4 u16 _in W fast na=0xFFFF
        5 u16 _out W fast
        - sum active_power kW fast of=_in-_out
    """).rows
    found = decode(rows, image((3, 0, [0, 10, 0, 20, 0, 1500])))
    assert found.values == {
        "active_energy_import_t1": 0.1,
        "active_energy_import_t2": 0.2,
        "active_energy_import": 0.3,
        "active_power": -1.5,
    }
    found = decode(rows, image((3, 0, [0, 10, 0, 20, 0xFFFF, 1500])))
    assert found.absent == {"active_power": "not_available"}
    partly = image((3, 0, [0, 10]))
    partly.fail(3, 2, 2, "exception_4")
    assert decode(rows, partly).absent["active_energy_import"] == "exception_4"


def test_whole_and_fraction_make_one_energy() -> None:
    rows = table(
        "0 u32 _whole MWh slow\n2 u16 _rest 0.1kWh slow\n- sum active_energy_import kWh slow of=_whole+_rest"
    ).rows
    assert decode(rows, image((3, 0, [0, 12, 3456]))).values == {"active_energy_import": 12345.6}


def test_a_ratio_register_multiplies() -> None:
    rows = table("0 u16 _ct 1 fast\n1 s16 active_power W fast times=_ct").rows
    assert decode(rows, image((3, 0, [40, 100]))).values == {"active_power": 4.0}
    assert decode(rows, image((3, 1, [100]))).absent == {"active_power": "timeout"}


UNITS = "10 u16 _unit kWh slow codes=1:Wh,2:kWh,3:MWh,8:GJ,57:10GJ"


@pytest.mark.parametrize(
    ("code", "meant"),
    [(1, 1.25), (2, 1250.0), (3, 1.25e6), (8, 347222.222222), (57, 3472222.222222)],
)
@pytest.mark.parametrize(("kind", "raw"), [("u32", [0, 1250]), ("float32", [0x449C, 0x4000])])
def test_a_register_says_in_which_unit_a_counter_counts(
    kind: str, raw: list[int], code: int, meant: float
) -> None:
    rows = table(f"0 {kind} heat_energy kWh slow times=_unit\n{UNITS}").rows
    found = decode(rows, image((3, 0, raw), (3, 10, [code])))
    assert found.values == {"heat_energy": pytest.approx(meant, rel=1e-8)}


@pytest.mark.parametrize("code", [0, 4, 9, 0x7FFF, 0xFFFF, 0xDEAD])
def test_a_unit_that_the_table_does_not_know_gives_no_value(code: int) -> None:
    rows = table(f"0 u32 heat_energy kWh slow times=_unit\n2 u32 volume m³ slow\n{UNITS}").rows
    found = decode(rows, image((3, 0, [0, 1250, 0, 7]), (3, 10, [code])))
    assert found.values == {"volume": 7.0}
    assert set(found.absent) == {"heat_energy"}


def test_a_register_may_say_a_plain_factor() -> None:
    rows = table("0 u16 active_power W fast times=_m\n1 u16 _m 1 fast codes=0:1,1:10,2:0.1").rows
    powers = [decode(rows, image((3, 0, [250, code]))).values for code in range(4)]
    assert powers == [{"active_power": 0.25}, {"active_power": 2.5}, {"active_power": 0.025}, {}]


def test_a_unit_may_stand_in_some_bits_and_belong_to_whole_and_fraction() -> None:
    rows = table(
        """
        0   u32      _whole  m³  slow  times=_unit
        2   float32  _part   m³  slow  times=_unit
        4   u16      _unit   m³  slow  codes=0:l,1:m³ mask=0x0F00
        -   sum      volume  m³  slow  of=_whole+_part
        """
    ).rows
    counter = [0, 1234, 0x3F00, 0]
    assert decode(rows, image((3, 0, [*counter, 0xA1FF]))).values == {"volume": 1234.5}
    assert decode(rows, image((3, 0, [*counter, 0xA0FF]))).values == {"volume": 1.2345}


@pytest.mark.parametrize(
    ("power", "raw", "meant"), [(100, -900, 0.9), (-100, 900, -0.9), (-100, -900, -0.9), (0, -900, 0.9)]
)
def test_power_factor_takes_its_sign_from_the_power(power: int, raw: int, meant: float) -> None:
    rows = table(
        "0 s16 active_power W fast\n1 s16 power_factor 0.001 fast rule=magnitude sign=active_power"
    ).rows
    assert decode(rows, image((3, 0, [power & 0xFFFF, raw & 0xFFFF]))).values["power_factor"] == meant


@pytest.mark.parametrize(
    ("raw", "meant"),
    [(0.9, 0.9), (-0.9, -0.9), (1.05, 0.95), (-1.2, -0.8), (1.0, 1.0), (2.0, 0.0), (-2.0, 0.0)],
)
def test_four_quadrant_power_factor(raw: float, meant: float) -> None:
    words = list(struct.unpack(">2H", struct.pack(">f", raw)))
    assert one("0 float32 power_factor 1 fast decimals=3 rule=pf4q", words).values[
        "power_factor"
    ] == pytest.approx(meant, abs=1e-9)


def test_scale_factor_registers_and_their_decimals() -> None:
    rows = table("0 s16 active_power W fast sf=1").rows
    assert decode(rows, image((3, 0, [0xFB2E, 0xFFFF]))).values == {"active_power": -0.1234}
    assert decode(rows, image((3, 0, [12, 2]))).values == {"active_power": 1.2}
    rows = table("0 s16 active_power W fast sf8=1").rows
    assert decode(rows, image((3, 0, [0xFB2E, 0x00FF]))).values == {"active_power": -0.1234}
    assert decode(rows, image((3, 0, [12, 0x7F02]))).values == {"active_power": 1.2}
    assert decode(rows, image((3, 0, [12, 0x0080]))).absent == {"active_power": "not_available"}
    assert decode(rows, image((3, 0, [12, 0x0014]))).absent == {"active_power": "implausible"}


def test_without_decimals_a_float_is_the_shortest_that_is_still_the_same() -> None:
    words = list(struct.unpack(">2H", struct.pack(">f", 230.2)))
    assert one("0 float32 voltage_l1n V fast", words).values == {"voltage_l1n": 230.2}
    words = list(struct.unpack(">2H", struct.pack(">f", 12345.5)))
    assert one("0 float32 active_power W fast", words).values == {"active_power": 12.3455}


@settings(deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_shortest_is_the_same_float(number: float) -> None:
    assert struct.pack(">f", shortest(number, 1.0, single=True)) == struct.pack(">f", number)


@pytest.mark.parametrize(
    ("line", "words", "text"),
    [
        ("0 text:3 model_name - static", [0x4232, 0x3320, 0], "B23"),
        ("0 text:2 model_name - static order=big-swapped", [0x3242, 0x2033], "B23"),
        ("0 hex32 serial_number - static", [0x2103, 0x4567], "21034567"),
        ("0 hex16 firmware - static", [0x0205], "205"),
        ("0 u32 serial_number - static", [0x00BC, 0x614E], "12345678"),
        ("0 float32 firmware - static", [0x3F9D, 0x70A4], "1.23"),
        ("0 u32 ct_ratio 0.1 static", [0, 400], "40"),
        ("0 u32 ct_ratio 0.1 static", [0, 405], "40.5"),
    ],
)
def test_facts_about_the_meter_are_texts(line: str, words: list[int], text: str) -> None:
    assert list(one(line, words).attributes.values()) == [text]


@pytest.mark.parametrize(
    "words", [[0, 0, 0], [0x2020, 0x2020, 0], [0x0102, 0x0304, 0x0506], [0xFFFF, 0xFFFF, 0xFFFF]]
)
def test_a_text_that_is_none_is_absent(words: list[int]) -> None:
    assert one("0 text:3 model_name - static", words).absent == {"model_name": "not_available"}


def test_plans_of_tables_that_are_gone_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_MOST_PLANS", 3)
    monkeypatch.setattr(decoding, "_plans", {})
    for address in range(10):
        assert one(f"{address} u16 voltage_l1n V fast", list(range(20))).values == {
            "voltage_l1n": float(address)
        }
        assert 1 <= len(decoding._plans) <= 3


def test_no_value_is_ever_not_a_number() -> None:
    for pattern in (0x7FC0, 0x7F80, 0xFF80, 0xFFFF, 0x7FFF):
        for kind in ("float32", "float64"):
            found = one(f"0 {kind} active_power W fast", [pattern] + [0] * (TYPES[kind] - 1))
            assert all(math.isfinite(value) for value in found.values.values())
