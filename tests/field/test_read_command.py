"""`submeter read` on a simulated meter: values with unit and age, raw registers, and what is wrong when
nothing comes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.read import command
from gateway.demo.simulator.serial_line import SerialLine
from gateway.demo.simulator.slave import Slave, WordImage

ROWS = """
  0 u16 voltage_l1n 0.1V fast decimals=1
  1 u32 active_energy_import kWh slow decimals=0
  3 u16 frequency 0.01Hz fast decimals=2
  9 u16 serial_number - static
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("SUBMETER_SOCKET", str(tmp_path / "none.sock"))
    (tmp_path / "test-table.yaml").write_text(
        f"maker: T\nmodel: T\nverified: simulator\nsource: tests\nreads: {{function: 4}}\nabsent: {{u16: "
        f"0xFFFF}}\nregisters: |{ROWS}"
    )
    path = tmp_path / "gateway.yaml"
    path.write_text(f"""
gateway: {{id: house}}
drivers: {{directory: {tmp_path}}}
buses:
  - {{name: line1, type: serial, port: {tmp_path}/adapter, baudrate: 115200}}
meters:
  - {{id: main, name: Ana sayaç, bus: line1, address: 1, driver: test-table}}
  - {{id: other, bus: line1, address: 2, driver: test-table}}
""")
    return path


@pytest.fixture
def line(tmp_path: Path):
    image = WordImage({0: 2305, 1: 1, 2: 5, 3: 0xFFFF, 9: 4711, **dict.fromkeys(range(4, 9), 0)})
    with SerialLine(
        [Slave(1, image)], path=tmp_path / "adapter", baudrate=115200, turnaround=0.001
    ) as started:
        yield started


def test_values_come_with_unit_and_age_and_raw_registers_on_request(config: Path, line) -> None:
    result = CliRunner().invoke(command, [str(config), "main", "--raw"])
    assert result.exit_code == 0, result.output
    text = result.output
    assert "Ana sayaç" in text
    assert "Serial number: 4711" in text
    rows = {words[0]: words[1:] for row in text.splitlines() if len(words := row.split()) > 2}
    assert rows["voltage_l1n"][:2] == ["230.5", "V"]
    assert rows["active_energy_import"][:2] == ["65,541", "kWh"]
    assert "s ago" in text
    assert f"No gateway is running: read directly, by {config}" in text.replace("\n", "")
    assert rows["frequency"][0] == "–"
    assert "the meter does not have it now" in text
    assert "0x0000  0901 0001 0005 FFFF" in text


def test_a_meter_that_is_silent_is_named_with_what_to_check(config: Path, line) -> None:
    result = CliRunner().invoke(command, [str(config)])
    assert result.exit_code == 1
    assert "230.5" in result.output
    assert (
        "unit 2 did not answer → check its address and power, the line's A and B, baud rate and parity"
        in result.output
    )


def test_the_file_is_the_first_word_or_named_by_an_option(config: Path, line) -> None:
    by_option = CliRunner().invoke(command, ["main", "-c", str(config), "--json"])
    assert by_option.exit_code == 0, by_option.output
    assert json.loads(by_option.output)["readings"][0]["values"]["voltage_l1n"] == 230.5
    twice = CliRunner().invoke(command, [str(config), "-c", str(config)])
    assert twice.exit_code == 2
    assert "named twice" in twice.output


def test_a_port_that_is_not_there_is_told(config: Path) -> None:
    result = CliRunner().invoke(command, [str(config), "main"])
    assert result.exit_code == 1
    assert "there is no such port" in result.output


def test_a_meter_that_is_not_in_the_file_is_told(config: Path) -> None:
    result = CliRunner().invoke(command, [str(config), "mian"])
    assert "its meters are main, other" in str(result.exception)
