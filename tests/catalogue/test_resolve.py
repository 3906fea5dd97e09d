"""Drivers that look at their meter first, and meters that do not answer as they should."""

from __future__ import annotations

import pytest
from register_images import IMAGES, Section, sections
from test_language import table

from gateway.catalogue import load_driver, resolve
from gateway.catalogue.resolve import recognised
from gateway.errors import BadFrame, BusDown, DriverError, NoReply, Refused

VARIANT = """variants:
  - name: second
    when: {address: 100, values: 7}
    registers: |
      5 u16 voltage_l2n V fast
"""


def meter(words: dict[int, int], *, silent: frozenset[int] = frozenset()):
    asked: list[int] = []

    async def read(function: int, address: int, count: int) -> list[int]:
        asked.append(address)
        if address in silent:
            raise NoReply("nothing")
        if address not in words:
            raise Refused("no", 2)
        return [words.get(at, 0) for at in range(address, address + count)]

    return read, asked


async def test_the_identity_register_chooses() -> None:
    driver = table("0 u16 voltage_l1n V fast", VARIANT)
    assert driver.dynamic
    read, _ = meter({100: 7})
    chosen = await resolve(driver, read)
    assert (chosen.variant, chosen.quantities, chosen.dynamic) == (
        "second",
        ("voltage_l1n", "voltage_l2n"),
        False,
    )


RANGES = """variants:
  - name: second
    when: {address: 100, values: [7, 0x0115-0x0117]}
    registers: |
      5 u16 voltage_l2n V fast
"""


@pytest.mark.parametrize(
    ("word", "variant"), [(7, "second"), (0x0115, "second"), (0x0117, "second"), (0x0114, ""), (0x0118, "")]
)
async def test_a_range_of_numbers_is_all_of_them(word: int, variant: str) -> None:
    read, _ = meter({100: word})
    assert (await resolve(table("0 u16 voltage_l1n V fast", RANGES), read)).variant == variant


@pytest.mark.parametrize("wrong", ["9-7", "0-0xFFFFFFFF", "seven"])
def test_a_range_that_is_none_is_a_mistake(wrong: str) -> None:
    with pytest.raises(DriverError) as error:
        table("0 u16 voltage_l1n V fast", RANGES.replace("0x0115-0x0117", wrong))
    assert "values" in str(error.value)


@pytest.mark.parametrize("words", [{100: 8}, {0: 230}])
async def test_another_identity_or_none_keeps_the_shared_rows(words: dict[int, int]) -> None:
    read, _ = meter(words)
    chosen = await resolve(table("0 u16 voltage_l1n V fast", VARIANT), read)
    assert (chosen.variant, chosen.quantities) == ("", ("voltage_l1n",))


@pytest.mark.parametrize("table", ["entes-mpr63", "entes-mpr63-io"])
@pytest.mark.parametrize(
    ("ratio", "given"), [(1, True), (10, True), (0, False), (100, False), (200, False), (3450, False)]
)
async def test_voltages_and_powers_behind_a_voltage_transformer_of_disputed_step_are_not_given(
    ratio: int, given: bool, table: str
) -> None:
    read, _ = meter({75: ratio, 0x0101: 1})
    chosen = set((await resolve(load_driver(table), read)).quantities)
    assert ({"voltage_l1n", "voltage_ll", "active_power", "apparent_power_l3"} <= chosen) is given
    assert (
        bool({name for name in chosen if name.startswith(("voltage_", "active_power", "apparent_power"))})
        is given
    )
    assert {"current_l1", "frequency"} <= chosen
    assert ("active_energy_import" in chosen) is (table == "entes-mpr63")


async def test_a_meter_that_ignores_the_question_but_lives_keeps_the_shared_rows() -> None:
    read, _ = meter({0: 230}, silent=frozenset({100}))
    assert (await resolve(table("0 u16 voltage_l1n V fast", VARIANT), read)).quantities == ("voltage_l1n",)


async def test_a_dead_meter_decides_nothing() -> None:
    read, _ = meter({}, silent=frozenset({0, 100}))
    with pytest.raises(NoReply):
        await resolve(table("0 u16 voltage_l1n V fast", VARIANT), read)


async def test_one_identity_register_is_read_once() -> None:
    third = """  - name: third
    when: {address: 100, values: [8, 9]}
    without: [voltage_l1n]
    registers: |
      6 u16 frequency Hz fast
"""
    read, asked = meter({100: 9})
    chosen = await resolve(table("0 u16 voltage_l1n V fast", VARIANT + third), read)
    assert (chosen.variant, chosen.quantities, asked) == ("third", ("frequency",), [100])


@pytest.mark.parametrize(
    ("name", "words", "is_it"),
    [
        ("abb-b23", [0x4232, 0x3320, 0x3131, 0x322D, 0x3130, 0x3000], True),
        ("abb-b23", [0x4232, 0x3120, 0x3131, 0x322D, 0x3130, 0x3000], False),
        ("eastron-sdm120", [0x0020], True),
        ("eastron-sdm120", [0x0089], False),
        ("carlogavazzi-em24", [72], True),
        ("carlogavazzi-em24", [], False),
        ("socomec-countis-e23", [0x434F, 0x554E, 0x5449, 0x5320, 0x4532, 0x3300, 0, 0], True),
    ],
)
def test_a_scan_recognises_meters_by_their_identity(name: str, words: list[int], is_it: bool) -> None:
    identity = load_driver(name).identity
    assert identity is not None
    assert recognised(identity, words) is is_it


def sunspec(name: str, section: str) -> Section:
    return next(found for found in sections(IMAGES / f"{name}.txt") if found.name == section)


async def test_sunspec_says_what_it_found() -> None:
    chosen = await resolve(load_driver("sunspec-inverter"), sunspec("sunspec-inverter", "table").ask)
    assert chosen.variant == "SolarEdge model 103 at 40069"
    assert chosen.quantities.count("dc_power_s1") == 1
    assert "dc_power_s3" not in chosen.quantities, "the device has two inputs"


async def test_sunspec_turns_the_signs_of_makers_that_count_export_as_positive() -> None:
    turned = await resolve(load_driver("sunspec-meter"), sunspec("sunspec-meter", "table").ask)
    straight = await resolve(load_driver("sunspec-meter"), sunspec("sunspec-meter", "fronius").ask)
    factors = [{row.name: row.factor for row in driver.rows} for driver in (turned, straight)]
    assert factors[0]["active_power_l1"] == -factors[1]["active_power_l1"] < 0
    assert factors[0]["active_energy_import"] == factors[1]["active_energy_import"] > 0
    assert all(row.sign_of is None or row.sign_of.factor < 0 for row in turned.rows)


async def test_sunspec_asks_for_a_meter_that_is_not_there() -> None:
    with pytest.raises(BadFrame, match="number 2 is asked for"):
        await resolve(load_driver("sunspec-meter-2"), sunspec("sunspec-meter", "fronius").ask)
    with pytest.raises(BadFrame, match="has 0 of the SunSpec models"):
        await resolve(load_driver("sunspec-meter"), sunspec("sunspec-inverter", "float").ask)


async def test_no_marker_is_told() -> None:
    read, asked = meter({0: 1, 40000: 2})
    with pytest.raises(BadFrame, match="no SunSpec marker"):
        await resolve(load_driver("sunspec-meter"), read)
    assert asked == [40000, 50000, 0, 39999, 40001, 49999, 50001, 1]


async def test_a_device_that_ignores_wrong_bases_is_still_found() -> None:
    section = sunspec("sunspec-inverter", "at 0")

    async def read(function: int, address: int, count: int) -> list[int]:
        if address >= 40000:
            raise NoReply("nothing")
        return await section.ask(function, address, count)

    assert (await resolve(load_driver("sunspec-inverter"), read)).variant == "KOSTAL model 102 at 98"


async def test_a_dead_sunspec_device_is_dead() -> None:
    async def dead(function: int, address: int, count: int) -> list[int]:
        raise NoReply("nothing")

    async def gone(function: int, address: int, count: int) -> list[int]:
        raise BusDown("gone")

    with pytest.raises(NoReply):
        await resolve(load_driver("sunspec-meter"), dead)
    with pytest.raises(BusDown):
        await resolve(load_driver("sunspec-meter"), gone)


async def test_a_walk_that_never_ends_ends() -> None:
    async def read(function: int, address: int, count: int) -> list[int]:
        return [0x5375, 0x6E53] if address in {40000, 0} else [7, 0]

    with pytest.raises(BadFrame, match="has 0 of the SunSpec models"):
        await resolve(load_driver("sunspec-meter"), read)
