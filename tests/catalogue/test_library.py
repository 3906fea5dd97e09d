"""What holds for every shipped table: it reads as its maker allows, and its facts are cited."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from register_images import IMAGES, sections
from ruamel.yaml import YAML

from gateway.catalogue import Driver, Row, load_file, quantities, resolve, shipped
from gateway.catalogue.encode import build
from gateway.catalogue.labels import squashed
from gateway.catalogue.listing import same_maps
from gateway.catalogue.load import shipped_directory
from gateway.config.yamlfile import parse_yaml
from gateway.field.bus.cost import Cost
from gateway.field.meter.decode import Replies, decode
from gateway.field.meter.planner import Rules, plan, unreachable
from gateway.field.port.contract import registers_of
from gateway.model import QUANTITIES

PATHS = shipped()
COST = Cost(0.03, 0.0021)
MOST_NAMELESS, MOST_UNKNOWN = 107, 42


def loaded() -> list[Driver]:
    return [load_file(path) for path in PATHS]


async def concrete(driver: Driver) -> list[Driver]:
    """The driver as every meter makes it for which there is an image."""
    return [
        driver,
        *[await resolve(driver, section.ask) for section in sections(IMAGES / f"{driver.name}.txt")],
    ]


def test_a_hundred_and_thirty_models_have_a_register_map_of_their_own() -> None:
    """A table that reads the same values at the same places as another one is listed, but does not count."""
    drivers = loaded()
    twins = same_maps(drivers)
    assert len(drivers) - len(twins) >= 130
    assert set(twins) >= {"schneider-iem3255", "weidmueller-em525", "sunspec-meter-2", "algodue-uem"}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
async def test_the_planner_stays_within_the_limits(path: Path) -> None:
    for driver in await concrete(load_file(path)):
        rules = Rules.of(driver.limits)
        for paces in ({"fast"}, {"slow"}, {"fast", "slow"}, {"static"}, {"fast", "slow", "static"}):
            spans = {span for row in driver.rows if row.pace in paces for span in row.spans}
            assert unreachable(spans, rules) == []
            reads = plan(spans, rules, COST)
            assert {span for read in reads for span in read.spans} == spans
            for read in reads:
                assert 1 <= read.count <= driver.limits.max_registers
                assert not any(
                    first < read.end and read.address <= last for first, last in driver.limits.holes
                )


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
async def test_rows_make_sense(path: Path) -> None:
    driver = load_file(path)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", driver.name)
    assert driver.verified in {"datasheet", "two-sources", "one-source"}, "nobody has touched a meter yet"
    assert len(driver.source) > 15
    assert driver.notes
    for concrete_driver in await concrete(driver):
        for row in concrete_driver.rows:
            if row.attribute:
                assert row.pace == "static"
                continue
            quantity = QUANTITIES[row.name]
            assert row.pace == (
                "slow"
                if quantity.kind == "counter" or row.name.startswith(("thd_", "active_power_demand"))
                else "fast"
            ), row.name
            assert quantity.low <= row.low < row.high <= quantity.high
            assert (
                not row.name.startswith("power_factor")
                or row.rule
                or driver.name in {"hager-ecm", "hager-ecr380d", "orno-we504"}
            )


def meant(row: Row, index: int) -> float | str:
    """A value that a meter may show, different for each row."""
    if row.attribute:
        return "40" if row.type not in {"text", "hex16", "hex32"} else "1234"
    if row.name.startswith("frequency"):
        return 50.0
    if "factor" in row.name:
        return 0.9
    return (
        100.0 + index
        if "energy" in row.name or row.name.startswith(("voltage", "dc_voltage"))
        else 20.0 + index / 10
    )


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
async def test_what_the_simulator_writes_is_what_the_gateway_reads(path: Path) -> None:
    for driver in await concrete(load_file(path)):
        rows = [row for row in driver.rows if row.words]
        values = {row.name: meant(row, index) for index, row in enumerate(rows)}
        registers = build(driver.rows, values)
        image = Replies()
        for span in {span for row in rows for span in row.spans}:
            image.add(
                span.function,
                span.address,
                registers_of(registers.get((span.function, at), 0) for at in range(span.address, span.end)),
            )
        found = decode(tuple(rows), image)
        for row in rows:
            if row.attribute:
                assert found.attributes[row.name] == values[row.name]
            else:
                whole = (
                    row.scale_at is not None or row.type[0] in "us"
                )  # one step of the register, whatever its unit
                step = max(
                    10.0 ** -(row.decimals if row.decimals is not None else 6),
                    abs(row.factor) if whole else 0.0,
                )
                assert abs(found.values[row.name] - float(values[row.name])) <= step * 1.01, (
                    row.name,
                    found.values[row.name],
                )


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_files_are_plain(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "\t" not in text
    assert text.endswith("\n")
    assert max(len(line) for line in text.splitlines()) <= 200


def test_loading_the_library_is_quick_and_needs_no_terminal() -> None:
    program = (
        "import sys, time; from gateway.catalogue import load_driver, shipped\n"
        "began = time.process_time(); [load_driver(path.stem) for path in shipped()[:7]]; "
        "print(time.process_time() - began)\n"
        "assert not {'rich', 'pymodbus', 'starlette', 'paho'} & set(sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(out.stdout) < 3.0


def test_the_tables_are_where_a_checkout_has_them() -> None:
    assert shipped_directory().name == "drivers"
    assert all(path.parent == shipped_directory() for path in PATHS)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_our_reading_of_yaml_says_what_another_one_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert parse_yaml(text, str(path)) == (YAML(typ="safe", pure=True).load(text), [])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_table_without_active_energy_import_says_why(path: Path) -> None:
    driver = load_file(path)
    has = "active_energy_import" in quantities(driver)
    assert has or len(driver.no_import) > 20, (
        "a meter without its kWh is not finished: add the row, or no_import: with the reason"
    )
    assert not (has and driver.no_import)


def test_few_tables_lack_active_energy_import() -> None:
    """The list of those that do, each with its reason in its head; aim at none. What an inverter delivers
    is export.
    """
    without = {driver.name for driver in loaded() if driver.no_import}
    known = {
        "entes-mpr60s",
        "kamstrup-multical-603",
        "klemsan-klea220p",
        "orno-we504",
        "orno-we514",
        "sunspec-inverter",
    }
    known |= {"kostal-plenticore-meter", "sontex-supercal-5", "sontex-supercal-531", "kohler-decision-maker"}
    known |= {"ddm-ddm18sd", "schneider-pm710", "apc-smart-ups", "entes-mpr63-io"}
    known |= {
        driver.name
        for driver in loaded()
        if (driver.no_import or "").startswith(("an inverter:", "a hybrid inverter:"))
    }
    heat = {
        name
        for name in without
        if {"heat_energy", "volume"} & set(quantities(load_file(shipped_directory() / f"{name}.yaml")))
    }
    assert without - heat <= known


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_table_without_an_identity_says_why(path: Path) -> None:
    """A scan cannot name its meters; a walk of SunSpec names what it finds by itself."""
    driver = load_file(path)
    names_itself = driver.identity is not None or driver.discovery is not None
    assert names_itself or len(driver.no_identity) > 20, (
        "use the register that tells the meter from others, or no_identity: with the reason"
    )
    assert not (names_itself and driver.no_identity)


def test_no_more_tables_are_without_an_identity() -> None:
    """Each has its reason in its head; of those that are not known a paper may still tell: aim at none."""
    reasons = [driver.no_identity for driver in loaded() if driver.no_identity]
    assert len(reasons) <= MOST_NAMELESS
    assert sum(reason.startswith("not known: ") for reason in reasons) <= MOST_UNKNOWN


MULTIPLIES = {"_ct", "_vt", "_factor", "_all"}
"""Helper rows that hold a ratio of transformers."""


def test_a_table_that_multiplies_with_the_meters_ratio_says_so() -> None:
    """Else nobody is warned who has it multiplied twice."""
    multiplying = {
        driver.name
        for driver in loaded()
        for rows in (driver.rows, *(variant.rows for variant in driver.variants))
        for row in rows
        for part in row.parts
        if part.times is not None and part.times.name.removesuffix("_") in MULTIPLIES
    }
    assert len(multiplying) > 3
    assert {driver.name for driver in loaded() if driver.values == "primary"} == multiplying


def test_a_label_that_has_another_table_is_one_of_that_table() -> None:
    tables = {driver.name: driver for driver in loaded()}
    named = 0
    for driver in tables.values():
        for other, labels in driver.others.items():
            own = squashed(" ".join((driver.model, *driver.covers)))
            theirs = squashed(" ".join((tables[other].model, *tables[other].covers)))
            assert all(squashed(label) in theirs and squashed(label) not in own for label in labels)
            named += len(labels)
    assert named > 3


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_source_says_what_was_read(path: Path) -> None:
    """A level of proof without a source that bears it out is a claim."""
    driver = load_file(path)
    if driver.verified == "two-sources":
        assert len(named(driver.source)) > 1, "name both sources"
    assert len(driver.source) > 25


BETWEEN = re.compile(r"; |,? and |\bagrees? (?:with )?|, (?:after|as|from|which) ")
"""What stands between two sources."""


def named(source: str) -> list[str]:
    """The parts of a citation that name something: a file, a program, a maker, a document."""
    name = re.compile(r"[A-Z]|\w\.\w|\w/\w")
    return [part for part in BETWEEN.split(source) if len(part) > 5 and name.search(part)]


def test_the_control_one_source_and_a_comma_is_seen() -> None:
    assert len(named("evcc anker-solix-x1.yaml, every row, with its step")) == 1
    assert len(named("mbmd dzg.go, every row, and its step")) == 1


ADMITS = re.compile(r"\b(energies|counters?|import)\b[^.;]*\bone (source|of the sources)\b")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_energies_of_one_source_are_not_called_two(path: Path) -> None:
    """The word is that of what is billed: the rows beside it do not lend it their proof."""
    driver = load_file(path)
    given = [part for note in driver.notes for part in note.split(". ") if not part.startswith("Left out")]
    assert driver.verified != "two-sources" or not ADMITS.search(". ".join((driver.source, *given)))


def test_the_control_a_table_that_admits_it_is_seen() -> None:
    assert ADMITS.search("Low word first. The counters stand in one of the sources only.")


PLACE = re.compile(r"\bp\. ?\d|\bsection \d|(tables|models) [^.;]*\d")
EDITION = re.compile(
    r"\b(V|v|rev |version |issue |firmware )\d|\(\d{4}|\d{2}[./]\d{4}\b|\([^()]*\bcopy\b|"
    r"\bdoc\. |\b\d-\d{3}-\d{3}-\d{2}\b|\b[A-Z]+\.[A-Z]+\.\d{3}"
)
"""A version, a date, the number of the document, or which copy was read."""


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_datasheet_that_was_read_is_cited_with_its_edition_and_page(path: Path) -> None:
    """By the maker's name, a title, and what tells the copy that was read from another one."""
    driver = load_file(path)
    if driver.verified == "datasheet":
        assert PLACE.search(driver.source), driver.source
        assert EDITION.search(driver.source), driver.source
        assert len(driver.source.split(",")) > 2 or "(" in driver.source, driver.source


def test_the_control_a_paper_without_edition_or_page_is_seen() -> None:
    assert not EDITION.search("Janitza, UMG 96RM, Modbus address list and formulary (English), p. 17 to 19")
    assert not PLACE.search("Eastron, SDM630Modbus Smart Meter Modbus protocol implementation V1.7")
