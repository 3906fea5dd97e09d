"""Every driver reads independent register images to the values that papers and frames give them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from register_images import IMAGES, Section, sections

from gateway.catalogue import Driver, Row, load_driver, load_file, resolve, shipped
from gateway.field.meter.decode import Decoded, Replies, decode
from gateway.field.port.contract import registers_of

CASES = [(path.stem, section) for path in sorted(IMAGES.glob("*.txt")) for section in sections(path)]


def read_all(rows: tuple[Row, ...], section: Section) -> Replies:
    """Each span by a read of its own, without a bus."""
    image = Replies()
    for span in {span for row in rows for span in row.spans}:
        try:
            words = section.read(span.function, span.address, span.words).words
            image.add(span.function, span.address, registers_of(words))
        except Exception:  # noqa: BLE001 - refused
            image.fail(span.function, span.address, span.words, "exception_2")
    return image


def off_by(row: Row, got: float, meant: float) -> float:
    """How far a value is off, in units of what its row resolves."""
    step = 10.0**-row.decimals if row.decimals is not None else max(abs(meant) * 1e-6, 1e-9)
    return abs(got - meant) / step


def check(driver: Driver, found: Decoded, section: Section) -> None:
    rows = {row.name: row for row in driver.rows}
    for name, meant in section.values.items():
        assert name in found.values, f"{name} is {found.absent.get(name, 'not in the driver')}"
        assert off_by(rows[name], found.values[name], meant) <= 0.51, (name, found.values[name], meant)
    assert {name: found.absent.get(name) for name in section.absent} == section.absent
    assert {name: found.attributes.get(name) for name in section.texts} == section.texts


@pytest.mark.parametrize(
    ("name", "section"), CASES, ids=[f"{name}-{section.name}" for name, section in CASES]
)
async def test_an_independent_image_reads_to_its_values(name: str, section: Section) -> None:
    driver = await resolve(load_driver(name), section.ask)
    check(driver, decode(driver.rows, read_all(driver.rows, section)), section)


@pytest.mark.parametrize(
    ("name", "section"), CASES, ids=[f"{name}-{section.name}" for name, section in CASES]
)
async def test_an_image_gives_no_value_that_it_does_not_mean(name: str, section: Section) -> None:
    """A register that is there without a value (`- -`) is none: of a unit that is not known, nothing is
    guessed.
    """
    driver = await resolve(load_driver(name), section.ask)
    assert set(decode(driver.rows, read_all(driver.rows, section)).values) <= section.names


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
async def test_every_row_of_every_driver_is_proven(path: Path) -> None:
    driver = load_file(path)
    found = sections(IMAGES / f"{path.stem}.txt")
    proven = set().union(*(section.names for section in found))
    resolved = [await resolve(driver, section.ask) for section in found]
    unproven = {row.name for driver in resolved for row in driver.rows} - proven
    assert not unproven
    variants = {driver.variant for driver in resolved}
    assert {variant.name for variant in driver.variants} <= variants


ALONE = {
    "aquametro-calec-st",
    "artemes-am2",
    "contrel-ud3h",
    "dynaflox-ultrad",
    "dzg-dvh4013",
    "eastron-sdm54",
    "microsensor-mfe600h",
    "sontex-supercal-5",
}
"""Tables of which one list is known: the image is by that list, too."""


def test_an_image_says_where_it_is_from() -> None:
    heads = {
        path.stem: " ".join(path.read_text().partition("\n[")[0].split()) for path in IMAGES.glob("*.txt")
    }
    known = re.compile(r"only source of this table|no other list of this meter")
    assert {name for name, head in heads.items() if known.search(head)} == ALONE
    assert all(re.match(r"# (Independent r|R)egister image", head) for head in heads.values())


def test_no_image_without_a_driver() -> None:
    assert {path.stem for path in IMAGES.glob("*.txt")} == {path.stem for path in shipped()}
