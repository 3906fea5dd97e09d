"""A table on a live meter: what fits is said to fit, and the slip that was made is found."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.catalogue import Driver, load_driver, load_text
from gateway.cli.drivers import command
from gateway.cli.language import speaking
from gateway.commissioning.plausibility.fit import hypotheses
from gateway.commissioning.plausibility.tried_table import TriedTable, try_table
from gateway.config.schema import Meter, SerialBus
from gateway.demo.simulator.serial_line import SerialLine
from gateway.demo.simulator.slave import ModbusError, Served, Slave, WordImage
from gateway.field import BusWorker, MeterTask
from tests.served_meters import float_registers, served

HEAD = 'maker: T\nmodel: T\nverified: datasheet\nsource: "a paper"\n'

# The meter's manual: three phases at a power factor of 0.95, function 4.
TRUE = {
    0: 230.4,
    2: 231.2,
    4: 229.7,
    6: 10.0,
    8: 6.0,
    10: 3.0,
    12: 2188.8,
    14: 1317.8,
    16: 654.6,
    18: 2304.0,
    20: 1387.2,
    22: 689.1,
    24: 719.4,
    26: 433.2,
    28: 215.2,
    30: 0.95,
    32: 0.95,
    34: 0.95,
    52: 4161.2,
    56: 4380.3,
    60: 1367.8,
    62: 0.95,
    70: 50.02,
    72: 12345.67,
    74: 1.25,
}
ROWS = """
  0x0000 float32 voltage_{l1n,l2n,l3n}     V   fast decimals=1
  0x0006 float32 current_{l1,l2,l3}        A   fast decimals=3
  0x000C float32 active_power_{l1,l2,l3}   W   fast decimals=0
  0x0012 float32 apparent_power_{l1,l2,l3} VA  fast decimals=0
  0x0018 float32 reactive_power_{l1,l2,l3} var fast decimals=0
  0x0034 float32 active_power              W   fast decimals=0
  0x0046 float32 frequency                 Hz  fast decimals=2
  0x0048 float32 active_energy_import      kWh slow decimals=2
"""


def driver(rows: str = ROWS, reads: str = "{function: 4, max_registers: 60}") -> Driver:
    return load_text(f"{HEAD}reads: {reads}\nregisters: |{rows}", "t-table")


async def tried(stack: ExitStack, table: Driver, image: WordImage) -> TriedTable:
    return await try_table(table, served(stack, [Slave(1, image)]), 1)


async def test_a_right_table_fits(stack: ExitStack) -> None:
    result = await tried(stack, driver(), WordImage(float_registers(TRUE), functions=(4,)))
    assert result.good
    assert sum(finding.good is True for finding in result.findings) >= 10
    assert result.proposals == []


async def test_the_other_word_order_is_found(stack: ExitStack) -> None:
    result = await tried(stack, driver(), WordImage(float_registers(TRUE, little=True), functions=(4,)))
    assert not result.good
    assert str(result.proposals[0].change) == "word order little"
    assert result.proposals[0].values["voltage_l1n"] == 230.4


async def test_addresses_off_by_one_are_found(stack: ExitStack) -> None:
    off = {address + 1: word for address, word in float_registers(TRUE).items()}
    result = await tried(stack, driver(), WordImage({0: 0, **off}, functions=(4,)))
    assert str(result.proposals[0].change) == "every address 1 higher"


async def test_no_address_below_the_first_one_is_proposed(stack: ExitStack) -> None:
    """Its rows begin at 0, and everything would be right one register lower."""
    off = {address - 1: word for address, word in float_registers(TRUE).items()}
    off.pop(-1)
    result = await tried(stack, driver(), WordImage(off, functions=(4,)))
    assert not result.good
    assert [str(each.change) for each in result.proposals if each.change.shift < 0] == []


@pytest.mark.parametrize(("first", "shifts"), [(0, {0, 1}), (1, {-1, 0, 1}), (65_534, {-1, 0})])
def test_addresses_move_no_further_than_there_are(first: int, shifts: set[int]) -> None:
    rows = driver(f"\n  {first} float32 voltage_l1n V fast decimals=2\n").rows
    assert {change.shift for change in hypotheses(rows)} == shifts


async def test_the_other_function_code_is_found(stack: ExitStack) -> None:
    result = await tried(stack, driver(), WordImage(float_registers(TRUE), functions=(3,)))
    assert result.reading.missing == "exception_1"
    assert str(result.proposals[0].change) == "function 3"


async def test_whole_numbers_and_their_steps_are_found(stack: ExitStack) -> None:
    steps = dict.fromkeys((0, 2, 4), 10) | dict.fromkeys((6, 8, 10), 1000) | {70: 100}
    image = dict.fromkeys(range(80), 0)
    for address, value in TRUE.items():
        whole = round(value * steps.get(address, 1))
        image[address], image[address + 1] = whole >> 16, whole & 0xFFFF
    result = await tried(stack, driver(), WordImage(image, functions=(4,)))
    best = result.proposals[0]
    assert "whole numbers" in str(best.change)
    assert (best.values["voltage_l1n"], best.values["frequency"]) == (
        pytest.approx(230.4),
        pytest.approx(50.02),
    )
    steps = {name: best.steps[name] for name in ("voltage_l1n", "current_l1", "frequency")}
    assert steps == pytest.approx({"voltage_l1n": 0.1, "current_l1": 0.001, "frequency": 0.01})


async def test_two_slips_at_once_are_found(stack: ExitStack) -> None:
    off = {address + 1: word for address, word in float_registers(TRUE, little=True).items()}
    result = await tried(stack, driver(), WordImage({0: 0, **off}, functions=(4,)))
    assert str(result.proposals[0].change) == "every address 1 higher, word order little"


async def test_nonsense_gets_no_proposal(stack: ExitStack) -> None:
    noise = {at: at * 7919 + 13 & 0xFFFF for at in range(80)}
    result = await tried(stack, driver(), WordImage(noise, functions=(4,)))
    assert not result.good
    assert result.proposals == []


async def test_a_swapped_table_is_seen_by_physics(stack: ExitStack) -> None:
    """Currents where the powers stand: each number alone would pass."""
    wrong = ROWS.replace(
        "0x000C float32 active_power_{l1,l2,l3}  ", "0x0018 float32 active_power_{l1,l2,l3}  "
    ).replace("0x0018 float32 reactive_power", "0x000C float32 reactive_power")
    result = await tried(stack, driver(wrong), WordImage(float_registers(TRUE), functions=(4,)))
    assert not result.good
    assert any(finding.good is False and finding.names[0] == "active_power" for finding in result.findings)


async def test_sign_and_amount_are_seen_and_proposed(stack: ExitStack) -> None:
    """0x8164 is -356 W, read as a two's complement -32412 W: more than 1.5 A can carry."""
    rows = (
        "".join(
            f"\n  {at} u16 {name} fast"
            for at, name in enumerate(
                (
                    "voltage_l1n 0.1V",
                    "voltage_l2n 0.1V",
                    "voltage_l3n 0.1V",
                    "current_l1 0.01A",
                    "current_l2 0.01A",
                    "current_l3 0.01A",
                )
            )
        )
        + "\n  6 s16 active_power W fast\n  7 u16 frequency 0.01Hz fast\n"
    )
    image = WordImage(dict(enumerate([2300, 2301, 2302, 150, 150, 150, 0x8364, 5000])))
    table = driver(rows, "{function: 3}")
    result = await tried(stack, table, image)
    assert not result.good
    assert any(finding.good is False and "more power than" in finding.text for finding in result.findings)
    assert "sign=bit15" in str(result.proposals[0].change)
    assert result.proposals[0].values["active_power"] == -0.868
    right = driver(
        rows.replace("s16 active_power W fast", "u16 active_power W fast sign=bit15"), "{function: 3}"
    )
    assert (await tried(stack, right, image)).good


def test_a_power_that_nothing_bears_out_is_left_open(stack: ExitStack, tmp_path: Path) -> None:
    """Voltages fit, the power stands alone: nobody can say that the table fits."""
    rows = "\n  0 u16 voltage_l1n 0.1V fast\n  1 s16 active_power W fast\n"
    bus = served(stack, [Slave(1, WordImage({0: 2300, 1: 0x8064}))])
    path = tmp_path / "my-meter.yaml"
    path.write_text(f"{HEAD}registers: |{rows}")
    found = CliRunner().invoke(
        command, ["try", str(path), "--bus", f"{bus.host}:{bus.port}", "--address", "1", "--seconds", "0"]
    )
    assert found.exit_code == 1
    assert "The table fits" not in found.output
    assert "could not be weighed" in found.output
    assert "sign=bit15) it would be -0.1" in found.output


async def test_a_step_that_is_wrong_alone_is_proposed(stack: ExitStack) -> None:
    """Everything is right but the power, which the table takes for W and which is in steps of 10 W."""
    rows = ROWS.replace("active_power              W  ", "active_power              100W")
    result = await tried(stack, driver(rows), WordImage(float_registers(TRUE), functions=(4,)))
    assert not result.good
    whole = (
        "\n  0 u16 voltage_l1n 0.1V fast\n  1 u16 current_l1 0.01A fast\n  2 u16 active_power 10W "
        "fast\n  3 u16 frequency 0.01Hz fast\n"
    )
    result = await tried(
        stack, driver(whole, "{function: 3}"), WordImage(dict(enumerate([2300, 500, 1100, 5000])))
    )
    assert not result.good
    assert (str(result.proposals[0].change), result.proposals[0].steps) == (
        "as written",
        {"active_power": 0.1},
    )


async def test_a_counter_must_rise_with_the_power(stack: ExitStack) -> None:
    image = WordImage(float_registers(TRUE | {52: 4.1612e6}), functions=(4,))
    stuck = await try_table(driver(), served(stack, [Slave(1, image)]), 1, seconds=0.2)
    energy = next(finding for finding in stuck.findings if finding.names == ("active_energy_import",))
    assert energy.good is False


async def test_a_dead_meter_and_a_missing_port_are_told(stack: ExitStack) -> None:
    nobody = served(stack, [Slave(9, WordImage(float_registers(TRUE)))], timeout="100ms")
    dead = await try_table(driver(), nobody, 1)
    assert (dead.reading.missing, dead.good, dead.proposals) == ("exception_11", False, [])
    assert dead.trouble
    gone = await try_table(driver(), SerialBus(name="bus", type="serial", port="/dev/does-not-exist"), 1)
    assert gone.reading.missing
    assert "does-not-exist" in gone.trouble


class NotReadyImage(WordImage):
    """One whose meter is busy, or needs longer, whatever it is asked for."""

    def __init__(self, code: int) -> None:
        super().__init__({})
        self._code = code

    def read(self, function: int, address: int, count: int) -> Served:
        raise ModbusError(self._code)


@pytest.mark.parametrize("code", [5, 6])
async def test_a_meter_that_is_not_ready_speaks_for_no_other_table(stack: ExitStack, code: int) -> None:
    result = await tried(stack, driver(), NotReadyImage(code))
    assert (result.reading.missing, result.silent) == (f"exception_{code}", True)
    assert (result.findings, result.proposals, result.good) == ([], [], False)
    assert "asked again" in result.trouble


class RefusingImage(WordImage):
    """One that has nothing of what it is asked for; `asked`: how often that was."""

    def __init__(self) -> None:
        super().__init__({})
        self.asked = 0

    def read(self, function: int, address: int, count: int) -> Served:
        self.asked += 1
        raise ModbusError(2)


async def test_a_meter_that_refuses_everything_is_not_asked_for_every_neighbour(stack: ExitStack) -> None:
    image, table = RefusingImage(), load_driver("eastron-sdm630")
    result = await tried(stack, table, image)
    assert (result.reading.missing, result.proposals) == ("exception_2", [])
    values = [row for row in table.rows if not row.attribute]
    assert len(values) < image.asked < 5 * len(values)


async def test_nobody_is_polled_three_times(stack: ExitStack) -> None:
    line = stack.enter_context(SerialLine([Slave(3, WordImage({}))], baudrate=115200))
    bus = SerialBus(name="bus", type="serial", port=line.port, baudrate=115200, timeout="100ms")
    meter = Meter(id="m", bus="bus", address=9, driver="t-table")
    worker = BusWorker(bus, [MeterTask(meter, driver())], lambda _: None)
    try:
        await worker.meter("m").read()
    finally:
        await worker.stop()
    once = line.stats.strangers
    result = await try_table(driver(), bus, 9)
    assert (result.silent, line.stats.strangers) == (True, 2 * once)


@pytest.mark.parametrize("language", ["en", "tr"])
def test_what_was_not_read_is_told_in_words(stack: ExitStack, tmp_path: Path, language: str) -> None:
    image = WordImage({at: word for at, word in float_registers(TRUE).items() if at < 70}, functions=(4,))
    bus = served(stack, [Slave(1, image)])
    path = tmp_path / "my-meter.yaml"
    path.write_text(f"{HEAD}reads: {{function: 4}}\nregisters: |{ROWS}")
    where = ["--bus", f"{bus.host}:{bus.port}", "--address", "1", "--seconds", "0"]
    with speaking(language):
        found = CliRunner().invoke(command, ["try", str(path), *where])
    assert "exception_" not in found.output
    assert {"en": "the meter refuses it (code 2)", "tr": "sayaç reddediyor (kod 2)"}[language] in found.output


async def test_over_a_serial_line(stack: ExitStack) -> None:
    slave = Slave(3, WordImage(float_registers(TRUE, little=True), functions=(4,)))
    line = stack.enter_context(SerialLine([slave], baudrate=115200, turnaround=0.001))
    result = await try_table(
        driver(), SerialBus(name="bus", type="serial", port=line.port, baudrate=115200), 3
    )
    assert str(result.proposals[0].change) == "word order little"


def test_the_command_says_what_to_write(stack: ExitStack, tmp_path: Path) -> None:
    bus = served(stack, [Slave(1, WordImage(float_registers(TRUE, little=True), functions=(4,)))])
    path = tmp_path / "my-meter.yaml"
    path.write_text(f"{HEAD}reads: {{function: 4}}\nregisters: |{ROWS}")
    found = CliRunner().invoke(
        command, ["try", str(path), "--bus", f"{bus.host}:{bus.port}", "--address", "1", "--seconds", "0"]
    )
    assert found.exit_code == 1
    assert "The table does not fit" in found.output
    assert "Proposal 1: word order little" in found.output
    assert "fits: voltage_l1n: 230.4 V is within 207 to 253 V" in found.output
    where = ["--bus", f"{bus.host}:{bus.port}", "--address", "1", "--seconds", "0", "--json"]
    told = CliRunner().invoke(command, ["try", str(path), *where])
    answer = json.loads(told.stdout)
    assert (told.exit_code, answer["fits"], answer["proposals"][0]["text"]) == (1, False, "word order little")
    assert any(each["fits"] for each in answer["proposals"][0]["findings"])
    path.write_text(f"{HEAD}reads: {{function: 4, order: little}}\nregisters: |{ROWS}")
    found = CliRunner().invoke(
        command, ["try", str(path), "--bus", f"{bus.host}:{bus.port}", "--address", "1", "--seconds", "0"]
    )
    assert found.exit_code == 0, found.output
    assert "The table fits" in found.output


def test_shipped_drivers_can_be_tried_by_name(stack: ExitStack) -> None:
    bus = served(
        stack, [Slave(1, WordImage(float_registers(TRUE) | dict.fromkeys(range(80, 400), 0), functions=(4,)))]
    )
    found = CliRunner().invoke(
        command,
        ["try", "eastron-sdm72d-m", "--bus", f"{bus.host}:{bus.port}", "--address", "1", "--seconds", "0"],
    )
    assert "active_power" in found.output
    assert load_driver("eastron-sdm72d-m").maker in found.output
