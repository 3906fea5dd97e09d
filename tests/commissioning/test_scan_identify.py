"""Every meter that the library knows is scanned with the whole library: its table is the answer, or among
those that nothing tells apart.
"""

from __future__ import annotations

import pytest
from scan_site import DriverImage

from gateway.catalogue import Driver, Span, build, library
from gateway.commissioning.scan import Identified, identify
from gateway.demo.simulator.slave import ModbusError
from gateway.errors import Refused
from gateway.field import refused

LIBRARY = list(library())
PLAIN = [driver for driver in LIBRARY if not driver.discovery]

NUMBERED = [d.name for d in PLAIN if d.identity and d.identity.type != "text"]
NOT_ALL = [driver for driver in PLAIN if driver.identity and driver.identity.not_all]


class Meter:
    """A meter with the registers of a table, and what it was asked for."""

    def __init__(self, driver: Driver) -> None:
        self.image = DriverImage(driver)
        self.places: list[tuple[int, int, int]] = []

    @property
    def asked(self) -> int:
        return len(self.places)

    async def ask(self, function: int, address: int, count: int) -> list[int]:
        self.places.append((function, address, count))
        try:
            return self.image.read(function, address, count).words
        except ModbusError as error:
            raise Refused("no such register", error.code) from None


async def scanned(driver: Driver, says: str = "") -> tuple[Identified, int]:
    async def told(_found: tuple[Driver, ...]) -> str:
        return says

    meter = Meter(driver)
    return await identify(meter.ask, LIBRARY, says=told), meter.asked


@pytest.mark.parametrize("driver", PLAIN, ids=lambda driver: driver.name)
async def test_a_meter_is_its_own_model_or_one_of_those_that_cannot_be_told_apart(driver: Driver) -> None:
    found, _ = await scanned(driver)
    names = [candidate.name for candidate in found.candidates]
    assert driver.name in names, names
    assert len(names) <= 6
    if driver.identity:
        assert found.how == "identity", names
        assert set(names) <= {driver.name, *driver.twins, *(d.name for d in LIBRARY if d.like == driver.name)}


async def test_a_meter_that_nobody_knows_is_nobody() -> None:
    async def refuses(*_: int) -> list[int]:
        raise Refused("no such register", 2)

    found = await identify(refuses, LIBRARY)
    assert (found.how, found.candidates) == ("nothing", ())


@pytest.mark.parametrize("code", [4, 5, 6, 8])
async def test_a_meter_that_only_complains_of_itself_is_no_stranger(
    code: int,
) -> None:
    async def complains(*_: int) -> list[int]:
        raise refused(1, code)

    found = await identify(complains, LIBRARY)
    assert (found.how, found.candidates) == ("nothing", ())
    assert found.complaint is not None
    assert found.complaint.code == code
    # What a busy meter did not answer says nothing about the next one of this line; a fault may last.
    assert bool(found.refused) is (code in {4, 8})


async def test_what_a_meter_says_for_registers_that_it_lacks_is_no_complaint() -> None:
    meter = Meter(next(driver for driver in PLAIN if driver.name == "eastron-sdm630"))

    async def ask(function: int, address: int, count: int) -> list[int]:
        try:
            return await meter.ask(function, address, count)
        except Refused:
            raise refused(1, 4) from None

    found = await identify(ask, LIBRARY)
    assert "eastron-sdm630" in [driver.name for driver in found.candidates]
    assert found.complaint is None


@pytest.mark.parametrize("word", [0, 1, 0xFFFF, 0x8000, 0x4F80, 2301])
@pytest.mark.parametrize("nameless", [False, True], ids=["all", "no_identity"])
@pytest.mark.parametrize("on_a_line", [False, True], ids=["host", "line"])
async def test_one_word_everywhere_is_no_meter(word: int, nameless: bool, on_a_line: bool) -> None:
    """Zeros, and whatever else a meter or a converter gives for each register that it is asked for."""
    identities = [driver.identity.span for driver in PLAIN if driver.identity]

    async def ask(function: int, address: int, count: int) -> list[int]:
        asked = Span(function, address, count)
        if nameless and any(each.function == function and _meet(each, asked) for each in identities):
            raise Refused("no such register", 2)
        return [word] * count

    found = await identify(ask, LIBRARY, on_a_line=on_a_line)
    assert (found.how, found.candidates) == ("nothing", ())


def _meet(one: Span, other: Span) -> bool:
    return one.address < other.end and other.address < one.end


async def test_what_the_meter_says_of_its_maker_decides_among_twins() -> None:
    twins = next(driver for driver in PLAIN if driver.name == "orno-we516")
    found, _ = await scanned(twins)
    assert len(found.candidates) > 1
    named, _ = await scanned(twins, says="ORNO OR-WE-516")
    assert [driver.maker for driver in named.candidates] == ["Orno"]


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("inepro-pro380", 0.5),
        ("inepro-pro1", 0.6),
        ("sungrow-sh-meter", 0.55),
        ("sofar-g3-meter", 0.3),
        ("entes-mpr3x", 0.8),
        ("dynaflox-ultrad", 0.6),
    ],
)
async def test_a_meter_like_the_one_before_costs_few_questions(name: str, share: float) -> None:
    driver = next(driver for driver in PLAIN if driver.name == name)
    first, again = Meter(driver), Meter(driver)
    one = await identify(first.ask, LIBRARY)
    found = await identify(again.ask, LIBRARY, before=[one])
    assert found.candidates == one.candidates
    assert again.asked <= share * first.asked


@pytest.mark.parametrize("name", NUMBERED)
async def test_the_second_of_two_that_name_themselves_by_a_number_is_asked_for_no_other_number(
    name: str,
) -> None:
    """Its number and the places of its table are enough: no other table's number is asked for."""
    driver = next(driver for driver in PLAIN if driver.name == name)
    first, again = Meter(driver), Meter(driver)
    one = await identify(first.ask, LIBRARY)
    found = await identify(again.ask, LIBRARY, before=[one])
    assert (found.how, found.candidates) == ("identity", one.candidates)
    own = {table.name for table in one.candidates}
    others = {
        (other.identity.function, other.identity.address, other.identity.words)
        for other in PLAIN
        if other.identity and other.name not in own
    }
    rows = {span[:3] for table in one.candidates for row in table.rows for span in row.spans}
    here = {(d.identity.function, d.identity.address, d.identity.words) for d in one.candidates if d.identity}
    assert not (others - rows - here) & {*again.places}


async def test_the_second_hybrid_inverter_of_a_line_costs_six_questions() -> None:
    driver = next(driver for driver in PLAIN if driver.name == "sungrow-sh-meter")
    again = Meter(driver)
    await identify(again.ask, LIBRARY, before=[(await scanned(driver))[0]])
    assert again.asked <= 6


@pytest.mark.parametrize("name", ["eastron-sdm630", "abb-b23", "orno-we516"])
async def test_a_meter_with_the_number_of_the_one_before_and_without_its_places_is_another(name: str) -> None:
    inverter = next(driver for driver in PLAIN if driver.name == "sungrow-sh-meter")
    other = next(driver for driver in PLAIN if driver.name == name)
    one = await identify(Meter(inverter).ask, LIBRARY)
    meter = Meter(other)
    meter.image.words[4, 4999] = 0x0E03
    found = await identify(meter.ask, LIBRARY, before=[one])
    assert name in [each.name for each in found.candidates]


@pytest.mark.parametrize("driver", NOT_ALL, ids=lambda driver: driver.name)
@pytest.mark.parametrize("holds", [None, 0x4F4F])
async def test_a_meter_without_the_identity_that_not_all_have_is_known_by_its_values(
    driver: Driver, holds: int | None
) -> None:
    """Older firmware does not have the register; a rebrand holds something else."""
    meter, one = Meter(driver), driver.identity
    assert one is not None
    meter.image.renamed(None if holds is None else [holds] * one.words)
    found = await identify(meter.ask, LIBRARY)
    assert driver.name in [each.name for each in found.candidates]
    assert found.how == "physics"


async def test_what_the_probe_has_shown_to_be_there_is_not_asked_for_again() -> None:
    driver = next(driver for driver in PLAIN if driver.name == "bernecker-mpm3pm")
    plain, probed = Meter(driver), Meter(driver)
    one = await identify(plain.ask, LIBRARY)
    two = await identify(probed.ask, LIBRARY, there=[(3, 0, 2)])
    assert (two.candidates, two.values) == (one.candidates, one.values)
    assert probed.asked < plain.asked


async def test_on_a_line_a_meter_that_is_recognised_is_not_compared_with_those_without_a_serial_port() -> (
    None
):
    driver = next(driver for driver in PLAIN if driver.name == "spiraxsarco-tva")
    line, host = Meter(driver), Meter(driver)
    one = await identify(line.ask, LIBRARY)
    two = await identify(host.ask, LIBRARY, on_a_line=False)
    assert one.candidates == two.candidates
    assert line.asked < host.asked


@pytest.mark.parametrize("name", [driver.name for driver in PLAIN[::20]])
async def test_a_meter_beside_one_of_another_model_is_what_it_is_alone(name: str) -> None:
    """Meters of little to tell by stand on this line already."""
    driver = next(driver for driver in PLAIN if driver.name == name)
    thin = [each for each in PLAIN if each.name in {"deye-string", "sungrow-sh-meter", "spiraxsarco-tva"}]
    before = [await identify(Meter(each).ask, LIBRARY) for each in thin]
    alone, _ = await scanned(driver)
    found = await identify(Meter(driver).ask, LIBRARY, before=before)
    assert {each.name for each in found.candidates} == {each.name for each in alone.candidates}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("carlogavazzi-em580", "carlogavazzi-et340"),
        ("carlogavazzi-em580", "garo-gnm3t"),
        ("carlogavazzi-em26", "carlogavazzi-em24"),
        ("siemens-pac4200", "siemens-pac4220"),
        ("siemens-pac2200", "siemens-pac4220"),
        ("eastron-sdm530", "eastron-sdm630"),
    ],
)
async def test_a_meter_that_can_be_read_as_the_one_before_is_asked_who_it_is(first: str, second: str) -> None:
    """A sister on this line has its places and refuses what it refuses."""
    tables = {driver.name: driver for driver in PLAIN}
    one = await identify(Meter(tables[first]).ask, LIBRARY)
    found = await identify(Meter(tables[second]).ask, LIBRARY, before=[one])
    assert second in [each.name for each in found.candidates]


@pytest.mark.parametrize("name", ["eastron-sdm72d-m-v2", "algodue-uem", "abb-m1m"])
async def test_a_meter_that_has_the_places_of_the_one_before_and_others_is_not_taken_for_it(
    name: str,
) -> None:
    thin = next(driver for driver in PLAIN if driver.name == "deye-string")
    other = next(driver for driver in PLAIN if driver.name == name)
    one = await identify(Meter(thin).ask, LIBRARY)
    assert len(one.refused) > 8
    both = Meter(other)
    both.image.words = {**Meter(thin).image.words, **both.image.words}
    found = await identify(both.ask, LIBRARY, before=[one])
    assert name in [each.name for each in found.candidates]


@pytest.mark.parametrize(
    ("set_to", "ratio"), [((200, 5), "200/5"), ((1000, 1), "1000/1"), ((0, 5), ""), ((5, 65535), "")]
)
async def test_the_transformers_that_a_meter_is_set_to_are_read(set_to, ratio) -> None:
    driver = next(d for d in PLAIN if {"ct_primary", "ct_secondary"} <= {row.name for row in d.rows})
    rows = [row for row in driver.rows if row.name in {"ct_primary", "ct_secondary"}]
    meter = Meter(driver)
    values = dict(zip(("ct_primary", "ct_secondary"), map(str, set_to), strict=True))
    meter.image.words.update(build(rows, values))
    assert (await identify(meter.ask, LIBRARY)).ratio == ratio


class Refusing(Meter):
    """A meter that refuses with one code whatever it lacks; with None as the standard has it."""

    def __init__(self, driver: Driver, code: int | None) -> None:
        super().__init__(driver)
        self.code = code

    async def ask(self, function: int, address: int, count: int) -> list[int]:
        try:
            return await super().ask(function, address, count)
        except Refused as error:
            raise Refused("no such register", self.code or error.code) from None


@pytest.mark.parametrize("name", ["siemens-mag6000", "deye-string", "dynaflox-ultrad"])
async def test_of_a_function_that_a_meter_does_not_know_no_more_is_asked(name: str) -> None:
    driver = next(driver for driver in PLAIN if driver.name == name)
    plain, alike, unknown = Refusing(driver, None), Refusing(driver, 2), Refusing(driver, 1)
    found = [await identify(meter.ask, LIBRARY) for meter in (plain, alike, unknown)]
    assert found[0].candidates == found[1].candidates == found[2].candidates
    own = {row.function for row in driver.rows if row.words}
    others = [place for place in plain.places if place[0] not in own]
    assert len(others) <= 4
    assert plain.asked < alike.asked
    # One that says so of every register that it lacks means nothing by it.
    assert unknown.asked == alike.asked


@pytest.mark.parametrize("name", ["wirenboard-map12e", "wirenboard-map12e-3"])
async def test_twins_are_told_by_the_places_that_only_one_of_them_has(name: str) -> None:
    driver = next(driver for driver in PLAIN if driver.name == name)
    one, asked = await scanned(driver)
    assert [each.name for each in one.candidates] == [name]
    assert asked <= 34
    again = Meter(driver)
    found = await identify(again.ask, LIBRARY, before=[one])
    assert found.candidates == one.candidates
    assert again.asked <= 16
