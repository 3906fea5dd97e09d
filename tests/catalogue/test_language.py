"""What a driver table may say, and how a mistake in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalogue import Driver, Span, load_driver, load_file, load_text
from gateway.catalogue.load import shipped_directory
from gateway.errors import DriverError

FILES = [
    "eastron-sdm630.yaml",
    "carlogavazzi-em24.yaml",
    "dzg-dvh4013.yaml",
    "sunspec-inverter.yaml",
    "socomec-countis-e23.yaml",
]
HEAD = 'maker: T\nmodel: T\nverified: datasheet\nsource: "a paper"\n'


def table(rows: str, head: str = "") -> Driver:
    return load_text(
        f"{HEAD}{head}registers: |\n" + "".join(f"  {row.strip()}\n" for row in rows.strip().splitlines()),
        "t-table",
    )


def mistakes(rows: str, head: str = "") -> list[str]:
    with pytest.raises(DriverError) as raised:
        table(rows, head)
    return [str(problem) for problem in raised.value.problems]


def row(rows: str, name: str, head: str = ""):
    return next(row for row in table(rows, head).rows if row.name == name)


def test_columns() -> None:
    found = row("0x0034 float32 active_power W fast decimals=1", "active_power")
    assert (found.function, found.address, found.words, found.type, found.order) == (
        3,
        52,
        2,
        "float32",
        "big",
    )
    assert (found.factor, found.decimals, found.pace, found.line) == (0.001, 4, "fast", 6)


@pytest.mark.parametrize(
    ("raw", "kind", "name", "factor", "decimals"),
    [
        ("0.1V", "u16", "voltage_l1n", 0.1, 1),
        ("10W", "s32", "active_power", 0.01, 2),
        ("W", "s32", "active_power", 0.001, 3),
        ("0.01W", "s32", "active_power", 1e-5, 5),
        ("MWh", "u32", "active_energy_import", 1000.0, 0),
        ("0.1GJ", "u32", "heat_energy", 1000.0 / 36.0, 9),
        ("Mcal", "u32", "heat_energy", 4.1868 / 3.6, 3),
        ("MJ/h", "float32", "heat_power", 1.0 / 3.6, None),
        ("m3", "u32", "volume", 1.0, 0),
        ("l/s", "u16", "volume_flow", 3.6, 1),
        ("-1kW", "s16", "active_power", -1.0, 0),
        ("0.001", "s16", "power_factor", 0.001, 3),
        ("1e-4A", "u32", "current_l1", 1e-4, 4),
        ("-", "u32", "serial_number", 1.0, 0),
    ],
)
def test_raw_column(raw: str, kind: str, name: str, factor: float, decimals: int) -> None:
    found = row(f"0 {kind} {name} {raw} {'static' if name == 'serial_number' else 'fast'}", name)
    assert found.factor == pytest.approx(factor, rel=1e-12)
    assert found.decimals == decimals


def test_decimals_count_in_the_raw_unit() -> None:
    assert row("0 float32 active_power W fast decimals=0", "active_power").decimals == 3
    assert row("0 float32 active_energy_import MWh slow decimals=3", "active_energy_import").decimals == 0
    assert row("0 float32 active_power kW fast", "active_power").decimals is None


def test_braces_repeat_a_line() -> None:
    driver = table("""
        28+124 float32 voltage_{l1n,l2n,l3n} V fast
        0x10   u16     current_{l1,l2,l3}    A fast
        400    s16     active_power_{l1,l2,l3} W fast
        500    s16     power_factor_{l1,l2,l3} 0.001 fast rule=magnitude sign=active_power_{}
    """)
    places = {row.name: row.address for row in driver.rows}
    assert [places[f"voltage_l{p}n"] for p in "123"] == [28, 152, 276]
    assert [places[f"current_l{p}"] for p in "123"] == [16, 17, 18]
    assert [row.sign_of.name for row in driver.rows if row.sign_of] == [
        "active_power_l1",
        "active_power_l2",
        "active_power_l3",
    ]
    assert [row.line for row in driver.rows if row.name.startswith("voltage")] == [6, 6, 6]


def test_a_sum_is_read_through_its_parts_wherever_they_stand() -> None:
    driver = table("""
        - sum active_power kW fast of=_in-_out
        0 u32 _in  0.1W fast
        2 u32 _out 0.1W fast
    """)
    assert driver.quantities == ("active_power",)
    assert driver.rows[0].spans == (Span(3, 0, 2), Span(3, 2, 2))


def test_head_reaches_rows_and_limits() -> None:
    head = (
        "reads: {function: 4, max_registers: 11, min_gap: 100ms, timeout: 600ms, answer_time: 40ms, "
        "order: little, even: true, holes: [9, 0x20-0x21]}\n"
        "absent: {s32: 0x7FFFFFFF}\n"
    )
    driver = table("0 s32 active_power W fast\n2 u32 serial_number - static function=3 order=big", head)
    assert driver.limits.max_registers == 11
    limits = driver.limits
    assert (limits.min_gap, limits.timeout, limits.answer_time, limits.even) == (0.1, 0.6, 0.04, True)
    assert driver.limits.holes == ((9, 9), (32, 33))
    assert (driver.rows[0].function, driver.rows[0].order, driver.rows[0].sentinels) == (
        4, "little", (0x7FFFFFFF, 0x7FFF7FFF, 0x80000000, 0x80008000),
    )  # fmt: skip
    assert (driver.rows[1].function, driver.rows[1].order, driver.rows[1].sentinels[-1]) == (
        3,
        "big",
        0xFFFFFFFF,
    )
    assert row("0 u16 frequency Hz fast na=none", "frequency").sentinels == ()


def test_limits_reach_inherited_rows_and_give_way_to_a_rows_own(tmp_path: Path) -> None:
    (tmp_path / "a-a.yaml").write_text(
        HEAD
        + "limits: {V: 500, kW: 90}\nregisters: |\n  0 u16 voltage_l1n V fast\n  1 s16 active_power W fast "
        "high=40\n"
    )
    (tmp_path / "b-b.yaml").write_text(HEAD + "like: a-a\n")
    (tmp_path / "c-c.yaml").write_text(HEAD + "like: a-a\nlimits: {V: 40000}\n")
    bounds = {
        name: [(row.low, row.high) for row in load_file(tmp_path / f"{name}.yaml").rows]
        for name in ("a-a", "b-b", "c-c")
    }
    assert bounds["a-a"] == bounds["b-b"] == [(0, 500), (-90, 40)]
    assert bounds["c-c"] == [(0, 40000), (-5e6, 40)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 float32 activ_power W fast", "6: activ_power: is not a quantity → did you mean active_power?"),
        ("0 flaot32 active_power W fast", "'flaot32' is not a type → did you mean float32?"),
        ("0 uint32 active_power W fast", "did you mean u32?"),
        (
            "0 float32 active_power A fast",
            "is in kW, which 'A' is not → write the unit that the register has, like W, kW, MW or 0.1W",
        ),
        ("0 float32 active_power watts fast", "'watts' is not a unit"),
        ("0 float32 active_power 0W fast", "'0W' is not a unit"),
        ("0 float32 active_power W quick", "'quick' is not a class → write fast, slow or static"),
        ("30053x float32 active_power W fast", "'30053x' is not an address"),
        ("65535 float32 active_power W fast", "is beyond the last register"),
        ("0 float32 active_power W", "has fewer than 5 columns"),
        ("0 float32 active_power W fast decimal=1", "did you mean decimals?"),
        ("0 float32 active_power W fast decimals=x", "decimals=x is not a number of decimals"),
        ("0 float32 active_power W fast lonely", "'lonely' is not an option"),
        (
            "0 float32 active_power W fast order=middle",
            "order=middle is not known → write order= with one of big, little",
        ),
        (
            "0 float32 active_power W fast function=6",
            "function=6 is not known → write function= with one of 3, 4",
        ),
        ("0 u16 active_power W fast na=0x10000", "does not fit into u16"),
        ("0 u16 active_power W fast na=none,", "is not a whole number"),
        ("0 u16 active_power W fast low=x", "low=x is not a number"),
        ("0 u16 active_power W fast sf=x", "sf=x is not a whole number"),
        ("0 sum active_power W fast of=a", "a sum has no address of its own"),
        ("- sum active_power W fast", "does not say what it is the sum of"),
        ("- sum active_power W fast of=_a+_b", "of= names _a, which is not a row of this table"),
        ("- sum active_power W fast of=active_power", "of= names active_power, which is not a row"),
        ("0 u16 active_power W fast of=_a", "of= belongs to a sum"),
        ("0 u16 active_power W fast sign=voltage_l1n", "sign= names voltage_l1n, which is not a row"),
        (
            "0 u16 voltage_{l1n,l2n} V fast\n1 u16 voltage_l2n V fast",
            "7: voltage_l2n: is given twice (first in line 6)",
        ),
        (
            "0 u32 voltage_l1n V fast\n1 u16 voltage_l2n V fast",
            "7: voltage_l2n: overlaps voltage_l1n (line 6: 0 to 1)",
        ),
        ("0 text:99 model_name - static", "'text:99' is not a type"),
        ("-5 u16 voltage_l1n V fast", "'-5' is not an address"),
        ("5 u16 frequency Hz fast low=70 high=40", "can be nothing between low=70 and high=40"),
        ("5 u16 frequency Hz fast sf=6 sf8=7", "has two scale registers"),
        ("5 u16 frequency Hz fast rule=pf4q", "has a rule for power factors"),
        (
            "0 u16 active_power W fast sign=bit16",
            "is beyond the bits of u16 → bits are counted from bit0 to bit15",
        ),
        (
            "0 float32 active_power W fast sign=bit31",
            "is a bit of float32, which is no whole number → write the type as u16",
        ),
        ("0 u16 active_power W fast sign=bit15 sign=bit14", "says sign twice"),
        ("0 u16 active_power W fast na=0 low=0 na=0x8000", "says na twice"),
        ("0 u16 active_power W fast alone alone", "says alone twice"),
        ("0 u16 active_power W fast sign=_flags.bit3", "sign= names _flags, which is not a row"),
        ("0 u16 active_power W fast sign=bit15 mask=0xFFFF", "mask= has bit 15, which is the sign"),
        ("0 u16 active_power W fast mask=0x10000", "does not fit into u16"),
        ("0 float32 active_power W fast mask=0xFF", "mask= belongs to a whole number"),
        ("0 u16 active_power W fast na=0x20-0x10", "is an empty range"),
        ("0 u16 _u kWh slow codes=1:Wh,2", "codes= has '2', which is no unit of kWh → write the number and"),
        ("0 u16 _u kWh slow codes=1:m³", "codes= has '1:m³', which is no unit of kWh"),
        ("0 u16 _u kWh slow codes=x:Wh", "codes=x is not a whole number"),
        ("0 u16 _u kWh slow codes=1:Wh,0x1:kWh", "codes= gives 0x1 twice"),
        ("0 u16 volume m³ slow codes=1:l", "codes= belongs to a whole number that other rows are multiplied"),
        ("0 float32 _u kWh slow codes=1:Wh", "codes= belongs to a whole number"),
        ("0 u16 heat_energy kWh slow times=_unit", "times= names _unit, which is not a row"),
        (
            "0 u16 heat_energy kWh slow times=_u\n1 u16 _u m³ slow codes=0:l,1:m³",
            "heat_energy: times= names _u, whose codes are in m³ → give kWh a register of its own",
        ),
        ("0 bdc16 active_power W fast", "did you mean bcd16?"),
        ("5 u16 frequency Hz fast sf8=6 sf8h=7", "has two scale registers"),
        ("5 u16 frequency Hz static", "is a reading, and static is read once a day"),
        ("5 u32 serial_number - fast", "is a fact about the meter, which hardly ever changes → write static"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_its_mend(line: str, says: str) -> None:
    found = mistakes(line)
    assert any(says in problem for problem in found), found
    assert all(problem.startswith("t-table.yaml:") for problem in found)


def test_every_mistake_comes_at_once() -> None:
    found = mistakes(
        "0 float32 activ_power W fast\n2 u16 voltage_l1n A fast\n3 u99 current_l1 A fast",
        "reads: {functoin: 4}\n".replace("functoin", "function"),
    )
    assert [problem.split(":")[1] for problem in found] == ["7", "8", "9"]


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("reads: {functoin: 4}\n", "reads.functoin: is not a key here → did you mean function?"),
        ("reads: {holes: [x]}\n", "is not an address range → write 45063 or 45063-45064"),
        ("reads: {min_gap: 100}\n", "is not a duration"),
        ("reads: {max_registers: 1}\n", "more than a read of this meter may have (1)"),
        ("reads: {holes: [0-1]}\n", "stands in a hole"),
        ("absent: {u17: 3}\n", "absent.u17: is not a type"),
        ("serial: {parity: X}\n", "is not one of the choices"),
        ("limits: {V: -1}\n", "limits.V: -1 is out of range → write more than 0"),
        ("limits: {W: 5}\n", "is not one of the choices → write 'V', 'A', 'kW' or 'kWh'"),
        ("absent: {u16: 0x1z}\n", "is not a raw pattern → write 0x7FFF"),
        ("absent: {u16: 0x20-0x10}\n", "is not a raw pattern → write 0x7FFF"),
        ("like: no-such-driver\n", "there is no driver 'no-such-driver'"),
        ("like: t-table\n", "in a circle: t-table → t-table"),
        ("without: [frequency]\n", "frequency is not a row of the table"),
    ],
)
def test_mistakes_in_the_head(head: str, says: str) -> None:
    found = mistakes("0 float32 active_power W fast", head)
    assert any(says in problem for problem in found), found


@pytest.mark.parametrize("level", ["datasheet", "two-sources", "one-source", "simulator"])
def test_levels_of_proof(level: str) -> None:
    assert (
        load_text(
            HEAD.replace("datasheet", level) + "registers: |\n  0 u16 frequency Hz fast\n", "t-table"
        ).verified
        == level
    )


@pytest.mark.parametrize("level", ["perfect", "hardware", "hardware (me)", "two", "sources"])
def test_verified_never_claims_a_meter_that_nobody_names(level: str) -> None:
    text = HEAD.replace("datasheet", f'"{level}"') + "registers: |\n  0 u16 frequency Hz fast\n"
    with pytest.raises(DriverError, match="is not a level of proof"):
        load_text(text, "t-table")


def test_hardware_with_who_and_when_is_a_level() -> None:
    text = (
        HEAD.replace("datasheet", '"hardware (A. Yılmaz, 2026-11-02)"')
        + "registers: |\n  0 u16 frequency Hz fast\n"
    )
    assert load_text(text, "t-table").verified.startswith("hardware")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "maker: [",
        HEAD,
        HEAD + "registers: |\n",
        "\tmaker: x",
        "registers: |\n  0 u16 frequency Hz fast\n",
    ],
)
def test_what_is_no_table_is_told_not_raised(text: str) -> None:
    with pytest.raises(DriverError) as raised:
        load_text(text, "t-table")
    assert raised.value.problems


def test_a_name_is_maker_and_model() -> None:
    with pytest.raises(DriverError, match="call the file maker-model"):
        load_text(HEAD + "registers: |\n  0 u16 frequency Hz fast\n", "Meter 1")


def test_unknown_driver_offers_near_ones() -> None:
    with pytest.raises(DriverError, match="did you mean eastron-sdm630"):
        load_driver("eastron-sdm360")
    with pytest.raises(DriverError, match="there is no driver"):
        load_driver("../../etc/passwd")


def test_a_technicians_file_comes_first_and_may_build_on_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "eastron-sdm120.yaml").write_text(HEAD + "registers: |\n  0 u16 frequency 0.1Hz fast\n")
    assert load_driver("eastron-sdm120", tmp_path).maker == "T"
    assert load_driver("eastron-sdm630", tmp_path).maker == "Eastron"
    (tmp_path / "my-sdm630.yaml").write_text(
        HEAD
        + "like: eastron-sdm630\nwithout: [thd_voltage_l1]\nregisters: |\n  0x46 float32 frequency Hz slow\n"
    )
    mine, base = load_driver("my-sdm630", tmp_path), load_driver("eastron-sdm630")
    assert mine.limits == base.limits
    assert set(base.quantities) - set(mine.quantities) == {"thd_voltage_l1"}
    assert next(row.pace for row in mine.rows if row.name == "frequency") == "slow"


def test_two_files_that_build_on_each_other_end_in_words(tmp_path: Path) -> None:
    (tmp_path / "a-a.yaml").write_text(HEAD + "like: b-b\n")
    (tmp_path / "b-b.yaml").write_text(HEAD + "like: a-a\n")
    with pytest.raises(DriverError, match="in a circle: a-a → b-b → a-a"):
        load_driver("a-a", tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"maker: \x00", b"a: &a [*a]"])
def test_hostile_files_end_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t-bad.yaml"
    path.write_bytes(content)
    with pytest.raises(DriverError):
        load_file(path)


@settings(deadline=None)
@given(st.data())
def test_whatever_a_hand_does_to_a_table_ends_in_words(data: st.DataObject) -> None:
    text = (shipped_directory() / data.draw(st.sampled_from(FILES))).read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 30))
        text = text[:at] + data.draw(st.text("ab01xW+-_{},:|=# \n\t\"'.", max_size=6)) + text[at + gone :]
    problems = []
    try:
        load_text(text, "t-table")
    except DriverError as error:
        problems = error.problems
    assert all(problem.line >= 1 and problem.what for problem in problems)


def test_windows_line_ends_keep_their_lines() -> None:
    text = (
        HEAD + "registers: |\n  # comment\n\n  0 u16 frequency Hz fast\n  1 u16 frequenzy Hz fast\n"
    ).replace("\n", "\r\n")
    with pytest.raises(DriverError) as raised:
        load_text(text, "t-table")
    assert [problem.line for problem in raised.value.problems] == [9]
