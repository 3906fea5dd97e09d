"""A table must be earned: the meter's identity, sister models that fit as well, and larger meters of which
it is a part.
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from installation import Installation

from gateway.catalogue import Driver, library, load_driver, load_text
from gateway.catalogue.encode import build
from gateway.cli.drivers import command
from gateway.commissioning.plausibility.tried_table import TriedTable, try_table
from gateway.demo.simulator.serial_line import SerialLine
from gateway.demo.simulator.slave import ModbusError, Served, Slave
from tests.served_meters import served

SOUND = Installation(volts=230.0, amperes=10.0, factor=0.95)
HEAD = 'maker: T\nmodel: T\nverified: datasheet\nsource: "a paper"\n'


def plausible(name: str) -> float | str:
    """What a sound installation shows: three phases of 230 V and 10 A at a power factor of 0.95."""
    value = SOUND.shows(name)
    if value is not None:
        return value
    return 1234.5 if "energy" in name else "40"


class Meter:
    """A simulated meter with every row of a table, and its identity; what else is asked for is refused."""

    def __init__(self, driver: Driver, *, identity: bool = True) -> None:
        self.words = build(driver.rows, {row.name: plausible(row.name) for row in driver.rows})
        one = driver.identity
        self.alone: dict[tuple[int, int], int] = {}
        if one is not None and one.type == "text":
            data = str(one.values[-1]).encode().ljust(2 * one.words, b"\0")
            self.words |= {
                (one.function, one.address + at): int.from_bytes(data[2 * at : 2 * at + 2], "big")
                for at in range(one.words)
            }
        elif one is not None and identity:
            target = self.alone if one.alone else self.words
            target[one.function, one.address] = int(one.values[-1])

    def read(self, function: int, address: int, count: int) -> Served:
        if count == 1 and (function, address) in self.alone:
            return Served([self.alone[function, address]])
        found = [self.words.get((function, at)) for at in range(address, address + count)]
        if all(word is None for word in found):
            raise ModbusError(2)
        return Served([word or 0 for word in found])


async def tried(stack: ExitStack, table: Driver, meter: Meter) -> TriedTable:
    return await try_table(table, served(stack, [Slave(1, meter)]), 1, library=library())


@pytest.mark.parametrize("name", ["eastron-sdm630", "abb-b23", "carlogavazzi-em340", "schneider-pm5320"])
async def test_the_right_table_fits_when_the_meter_says_so(stack: ExitStack, name: str) -> None:
    result = await tried(stack, load_driver(name), Meter(load_driver(name)))
    assert [finding.text for finding in result.findings if finding.good is False] == []
    assert (result.good, result.recognised, result.another, result.rivals) == (True, True, (), ())


@pytest.mark.parametrize(
    ("table", "meter"),
    [
        ("abb-b21", "abb-b23"),
        ("eastron-sdm72d-m-v2", "eastron-sdm630"),
        ("schneider-pm2220", "schneider-pm5320"),
    ],
)
async def test_a_meter_that_says_it_is_another_one_does_not_fit(
    stack: ExitStack, table: str, meter: str
) -> None:
    result = await tried(stack, load_driver(table), Meter(load_driver(meter)))
    assert not result.good
    assert [driver.name for driver in result.another] == [meter]


async def test_a_part_of_a_larger_meter_does_not_fit(stack: ExitStack) -> None:
    """An older SDM630 has no meter code: a table with a part of its rows would fit by physics alone."""
    small = load_text(
        HEAD
        + "reads: {function: 4}\nregisters: |\n  0x0000 float32 voltage_{l1n,l2n,l3n} V fast decimals=1\n"
        "  0x0006 float32 current_{l1,l2,l3} A fast decimals=3\n  0x0034 float32 active_power W fast "
        "decimals=0\n",
        "t-small",
    )
    result = await tried(stack, small, Meter(load_driver("eastron-sdm630"), identity=False))
    assert result.possible
    assert not result.good
    assert result.rivals[0].driver.name == "eastron-sdm630"
    assert result.rivals[0].larger


async def test_a_table_with_more_evidence_than_its_sisters_fits_without_an_identity(stack: ExitStack) -> None:
    result = await tried(
        stack, load_driver("eastron-sdm630"), Meter(load_driver("eastron-sdm630"), identity=False)
    )
    assert result.possible
    mine = sum(finding.good is True for finding in result.findings)
    assert [
        (sister.driver.name, sister.fitting) for sister in result.weighed.sisters if sister.fitting >= mine
    ] == []


@pytest.mark.parametrize(
    ("table", "is_a"),
    [
        ("carlogavazzi-em540", "carlogavazzi-em340"),
        ("carlogavazzi-em580", "carlogavazzi-et340"),
    ],
)
async def test_the_right_table_is_found_among_all_that_read_the_same_registers(
    stack: ExitStack, table: str, is_a: str
) -> None:
    """It is not among the eight that have the most in common, and the meter does not say what it is."""
    meter, tried_as = Meter(load_driver(is_a), identity=False), load_driver(table)
    asked: list[tuple[int, int, int]] = []
    served_by, meter.read = meter.read, lambda *place: asked.append(place) or served_by(*place)
    bus = served(stack, [Slave(1, meter)])
    await try_table(tried_as, bus, 1)
    alone = len(asked)
    result = await try_table(tried_as, bus, 1, library=library())
    assert not result.good
    assert is_a in {sister.driver.name for sister in result.rivals}
    assert result.weighed.left == 0
    assert len(asked) - 2 * alone < 120, (
        "twenty seconds of a slow line: what many tables want is asked for once"
    )


async def test_what_could_not_be_compared_is_said(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.commissioning.plausibility.sisters._SECONDS", 0.0)
    result = await tried(
        stack, load_driver("carlogavazzi-em540"), Meter(load_driver("carlogavazzi-em340"), identity=False)
    )
    assert result.weighed.left > 0
    assert not result.good


class LosingMeter(Meter):
    """A meter of whose answers a share is lost on the line."""

    def __init__(self, driver: Driver, share: float, seed: int) -> None:
        super().__init__(driver, identity=False)
        self.share, self.chance = share, random.Random(seed)

    def read(self, function: int, address: int, count: int) -> Served:
        if self.chance.random() < self.share:
            raise ModbusError(11)  # what a converter says for a silence
        return super().read(function, address, count)


@pytest.mark.parametrize("seed", range(6))
async def test_a_lost_answer_speaks_for_no_table(stack: ExitStack, seed: int) -> None:
    """The meter is of another table than the tried one: the line does not make that one fit."""
    meter = LosingMeter(load_driver("carlogavazzi-em340"), 0.2, seed)
    result = await tried(stack, load_driver("carlogavazzi-em540"), meter)
    assert not result.good
    names = {sister.driver.name for sister in result.rivals}
    assert result.silent or "carlogavazzi-em340" in names or result.weighed.left


@pytest.mark.parametrize("seed", range(3))
async def test_the_right_table_is_not_said_to_be_wrong_on_a_line_that_loses_answers(
    stack: ExitStack, seed: int
) -> None:
    meter = LosingMeter(load_driver("eastron-sdm630"), 0.2, seed)
    result = await tried(stack, load_driver("eastron-sdm630"), meter)
    assert not result.silent
    assert result.possible
    assert result.proposals == []


async def test_the_same_map_under_another_name_is_no_rival(stack: ExitStack) -> None:
    result = await tried(stack, load_driver("janitza-umg604"), Meter(load_driver("janitza-umg604")))
    assert result.good
    assert "janitza-umg96rm" not in {sister.driver.name for sister in result.rivals}


def run(table: str, *options: str, directory: Path) -> Result:
    return CliRunner().invoke(
        command, ["try", table, *options, "--address", "1", "--seconds", "0", "--directory", str(directory)]
    )


def test_the_command_names_the_line_to_write(stack: ExitStack, tmp_path: Path) -> None:
    bus = served(stack, [Slave(1, Meter(load_driver("abb-b23")))])
    found = run("abb-b21", "--bus", f"{bus.host}:{bus.port}", directory=tmp_path)
    assert found.exit_code == 1
    assert "The table does not fit" in found.output
    assert "the meter says that it is another one: ABB B23" in found.output
    assert "at the meter: driver: abb-b23" in found.output
    assert "The table fits" not in found.output
    right = run("abb-b23", "--bus", f"{bus.host}:{bus.port}", directory=tmp_path)
    assert right.exit_code == 0, right.output
    assert "The table fits" in right.output
    assert "The meter says that it is the one" in right.output


def test_after_silence_nothing_is_claimed(stack: ExitStack, tmp_path: Path) -> None:
    line = stack.enter_context(
        SerialLine([Slave(9, Meter(load_driver("abb-b23")))], baudrate=19200, turnaround=0.001)
    )
    config = tmp_path / "gateway.yaml"
    config.write_text(
        f"gateway: {{id: g-1}}\nbuses:\n  - {{name: a, type: serial, port: {line.port}, baudrate: 19200}}\n"
        "meters:\n  - {id: m, bus: a, address: 9, driver: abb-b23}\n"
    )
    found = run("eastron-sdm630", "--bus", line.port, "-c", str(config), directory=tmp_path / "drivers")
    assert found.exit_code == 1
    first, second = (
        found.output.index("Asking address 1 at 19200 8N1 (the line's own setting"),
        found.output.index("9600 8N1 (the factory"),
    )
    assert first < second
    assert "Nothing answered at 19200 8N1" in found.output
    assert "Nothing can be said about the table" in found.output
    assert not [
        claim
        for claim in ("word order", "fits", "Proposal", "judged", "neighbouring")
        if claim in found.output
    ]


def test_the_line_s_own_setting_finds_a_meter_that_the_factory_setting_does_not(
    stack: ExitStack, tmp_path: Path
) -> None:
    line = stack.enter_context(
        SerialLine([Slave(1, Meter(load_driver("eastron-sdm630")))], baudrate=19200, turnaround=0.001)
    )
    config = tmp_path / "gateway.yaml"
    config.write_text(
        f"gateway: {{id: g-1}}\nbuses:\n  - {{name: a, type: serial, port: {line.port}, baudrate: "
        f"19200}}\nmeters:\n  - {{id: main, bus: a, address: 1, driver: eastron-sdm630}}\n"
    )
    found = CliRunner().invoke(command, ["try", "--meter", "main", "-c", str(config), "--seconds", "0"])
    assert "Asking address 1 at 19200 8N1 (the line's own setting" in found.output
    assert "9600" not in found.output
    assert "active_power" in found.output


def test_a_meter_that_is_not_configured_and_a_place_that_is_not_said(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "gateway: {id: g-1}\nbuses:\n  - {name: a, type: tcp, host: 127.0.0.1}\n"
        "meters:\n  - {id: main, bus: a, address: 1, driver: eastron-sdm630}\n"
    )
    wrong = CliRunner().invoke(command, ["try", "--meter", "mian", "-c", str(config)])
    assert wrong.exit_code != 0
    assert getattr(wrong.exception, "hint", "") == "did you mean main?"
    nothing = CliRunner().invoke(command, ["try", "eastron-sdm630", "--address", "1"])
    assert nothing.exit_code == 2
    assert "missing: --bus; or name a meter of the configuration: --meter ID" in nothing.output


class OneWord:
    """A meter, or a converter, that gives the same for whatever it is asked."""

    def __init__(self, word: int) -> None:
        self.word = word

    def read(self, _function: int, _address: int, count: int) -> Served:
        return Served([self.word] * count)


@pytest.mark.parametrize("word", [0, 0xFFFF, 1])
@pytest.mark.parametrize(
    "name", ["kamstrup-multical-603", "kamstrup-multical-403", "sontex-supercal-5", "eastron-sdm120"]
)
async def test_the_same_everywhere_speaks_for_no_table(stack: ExitStack, name: str, word: int) -> None:
    result = await try_table(
        load_driver(name), served(stack, [Slave(1, OneWord(word))]), 1, library=library()
    )
    assert not result.good
    assert (result.rivals, result.another, result.proposals) == ((), (), [])
    assert result.all_zero == (word == 0)
