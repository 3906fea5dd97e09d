"""Every simulated meter is scanned with every table: exactly the right one claims it, or its declared
twins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import pytest
from register_images import IMAGES, Section, sections

from gateway.catalogue import Driver, Identity, load_file, load_text, shipped
from gateway.catalogue.resolve import recognised
from gateway.demo.simulator.meter_image import identity_words
from gateway.errors import DriverError, Refused

DRIVERS = {path.stem: load_file(path) for path in shipped()}
IDENTIFIED = sorted(name for name, driver in DRIVERS.items() if driver.identity)
ATTRIBUTES = {"model_name"}
NOBODY = Identity(3, 0, 1, "u16", ())


async def claims(section: Section, identity: Identity | None) -> bool:
    """Whether a meter with these registers is the one that an identity is for."""
    if identity is None:
        return False
    try:
        return recognised(identity, await section.ask(identity.function, identity.address, identity.words))
    except Refused:
        return False


async def claimants(section: Section) -> set[str]:
    return {name for name, driver in DRIVERS.items() if await claims(section, driver.identity)}


@pytest.mark.parametrize("name", IDENTIFIED)
async def test_a_meter_is_claimed_by_its_own_table_and_declared_twins_only(name: str) -> None:
    found = [await claimants(section) for section in sections(IMAGES / f"{name}.txt")]
    known = [names for names in found if names]
    assert known, "no image of this meter holds its identity"
    wanted = {name, *DRIVERS[name].twins}
    # An image may also show a sister that this table tells apart by itself (a second version under the same
    # name).
    shared = {f"{DRIVERS[name].name}"} | {other for other in DRIVERS if other.startswith(name)}
    assert all(names == wanted or names <= shared - {name} for names in known), found
    assert wanted in known


@pytest.mark.parametrize("name", sorted(set(DRIVERS) - set(IDENTIFIED)))
async def test_a_meter_without_an_identity_is_claimed_by_nobody(name: str) -> None:
    for section in sections(IMAGES / f"{name}.txt"):
        assert await claimants(section) <= {name}


def each_value(identity: Identity) -> Iterator[int | str]:
    """Every text and number of an identity; of a range its ends and its middle."""
    for value in identity.values:
        yield from {value[0], value[len(value) // 2], value[-1]} if isinstance(value, range) else {value}


def same_claim(one: Driver, other: Driver) -> list[int | str]:
    """The values of one table's identity by which the other one's would claim the meter too."""
    first, second = one.identity, other.identity
    if first is None or second is None or first.span != second.span:
        return []
    held = ((value, identity_words(replace(first, values=(value,)))) for value in each_value(first))
    return [value for value, words in held if recognised(second, [*words.values()])]


def test_no_two_tables_claim_a_meter_by_one_value() -> None:
    """Also by a code that no image shows: an image has one of a table's values."""
    pairs = [(DRIVERS[one], DRIVERS[other]) for one, other in permutations(IDENTIFIED, 2)]
    shared = {
        (one.name, other.name): values
        for one, other in pairs
        if other.name not in one.twins and (values := same_claim(one, other))
    }
    assert not shared


def test_the_control_a_code_of_another_table_is_seen() -> None:
    gavazzi, other = DRIVERS["carlogavazzi-em112"], DRIVERS["carlogavazzi-em340"]
    assert gavazzi.identity is not None
    taken = replace(other, identity=replace(gavazzi.identity, values=(340, 111)))
    assert same_claim(taken, gavazzi) == [111]


def test_twins_name_each_other() -> None:
    for name, driver in DRIVERS.items():
        assert all(name in DRIVERS[twin].twins for twin in driver.twins), name


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_a_table_that_reads_its_models_name_uses_it(name: str) -> None:
    """A register that says what the meter is must not be read for show only."""
    driver = DRIVERS[name]
    assert driver.identity or not ATTRIBUTES & {row.name for row in driver.rows}


def test_a_variant_is_of_all_meters_that_say_so() -> None:
    """What not all have names a table, and decides no rows."""
    head = "maker: A\nmodel: B\nverified: one-source\nsource: s\n"
    place = "{address: 500, values: 7, not_all: true}"
    rows = "registers: |\n  0 u16 active_power W fast\n"
    table = load_text(f"{head}identity: {place}\n{rows}", "a-b")
    assert table.identity is not None
    assert table.identity.not_all
    with pytest.raises(DriverError, match="not_all"):
        load_text(f"{head}variants:\n  - {{name: C, when: {place}}}\n{rows}", "a-b")


@pytest.mark.parametrize(
    ("order", "kind", "words", "value"),
    [
        ("big", "text", [0x5350, 0x454D], "SPEM"),
        ("big-swapped", "text", [0x5053, 0x4D45], "SPEM"),
        ("little", "text", [0x5350, 0x454D], "SPEM"),
        ("little-swapped", "text", [0x5053, 0x4D45], "SPEM"),
        ("big", "u32", [0x5233, 0x4842], 0x52334842),
        ("little", "u32", [0x4842, 0x5233], 0x52334842),
        ("big-swapped", "u32", [0x3352, 0x4248], 0x52334842),
        ("little-swapped", "u32", [0x4248, 0x3352], 0x52334842),
    ],
)
def test_an_identity_is_turned_as_a_row_is(order: str, kind: str, words: list[int], value: int | str) -> None:
    """What the simulator writes for it is what a meter of that order holds, and is recognised."""
    identity = Identity(4, 6, 2, kind, (value,), order=order)
    assert recognised(identity, words)
    assert [*identity_words(identity).values()] == words


def test_a_meter_of_two_channels_is_none_of_three_phases() -> None:
    words = [0x5053, 0x4D45, 0x302D, 0x3230, 0x4543, 0x4542, 0x3555, 0x0030, 0, 0]
    known = {name for name in DRIVERS if name.startswith("shelly-")}
    assert {name for name in known if recognised(DRIVERS[name].identity or NOBODY, words)} == {
        "shelly-pro-em",
        "shelly-pro-em-2",
    }


def test_the_control_without_the_values_everybody_claims() -> None:
    """The scan above tells tables apart by values, not by the register alone."""
    same: dict[tuple[int, int, int], list[Driver]] = {}
    for driver in DRIVERS.values():
        if driver.identity:
            same.setdefault(
                (driver.identity.function, driver.identity.address, driver.identity.words), []
            ).append(driver)
    assert max(map(len, same.values())) > 5
