"""The pages and the commands that are made from the tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.catalogue import library, load_file, load_text, shipped
from gateway.catalogue.columns import FLAGS, OPTIONS, RULES
from gateway.catalogue.driver import ORDERS, TYPES
from gateway.catalogue.header import ReadsPart, TableHead
from gateway.catalogue.listing import markdown, vocabulary
from gateway.catalogue.load import skeleton
from gateway.cli.drivers import command
from gateway.errors import DriverError

DOCS = Path(__file__).parents[2] / "docs"


def run(*words: str, directory: Path | None = None) -> Result:
    return CliRunner().invoke(command, [*words, *(["--directory", str(directory)] if directory else [])])


def test_the_list_of_meters_is_current() -> None:
    assert (DOCS / "meters.md").read_text(encoding="utf-8") == markdown(library()), (
        "run: submeter drivers list --markdown > docs/meters.md"
    )


def test_the_page_for_technicians_has_the_whole_language() -> None:
    page = (DOCS / "add-a-meter.md").read_text(encoding="utf-8")
    assert vocabulary() in page, "run: submeter drivers list --vocabulary --markdown"
    for word in (
        *FLAGS,
        *(f"{option}=" for option in OPTIONS),
        *RULES,
        *ORDERS,
        *(f"{kind}" for kind in TYPES),
        "text:N",
        "sum",
    ):
        assert word in page, word
    for key in {*TableHead.model_fields, *ReadsPart.model_fields} - {"sunspec"}:
        assert f"{key}:" in page or f"`{key}`" in page, key


def test_examples_of_the_page_load() -> None:
    page = (DOCS / "add-a-meter.md").read_text(encoding="utf-8")
    head, rows = re.findall(r"```yaml\n(maker:.*?|registers:.*?)```", page, re.DOTALL)[:2]
    driver = load_text(head + rows, "maker-model")
    assert {"voltage_l1n", "active_power", "active_energy_import", "frequency", "serial_number"} <= {
        row.name for row in driver.rows
    }


def test_the_skeleton_is_a_good_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_text(skeleton("maker-model"), "maker-model").rows
    monkeypatch.chdir(tmp_path)
    assert run("new", "my-meter").exit_code == 0
    assert run("check", "my-meter.yaml").exit_code == 0
    again = run("new", "my-meter")
    assert again.exit_code != 0
    assert "is there already" in str(again.exception)
    assert run("new").output == skeleton("maker-model")


def test_list_shows_every_driver_and_narrows_down(tmp_path: Path) -> None:
    everything = run("list", directory=tmp_path).output
    assert all(path.stem in everything for path in shipped())
    few = run("list", "schneider", "iem", directory=tmp_path).output
    assert "schneider-iem3155" in few
    assert "eastron" not in few
    assert "no driver knows" in str(run("list", "abacus", directory=tmp_path).exception)


def test_list_as_json_says_everything(tmp_path: Path) -> None:
    found = {
        driver["name"]: driver for driver in json.loads(run("list", "--json", directory=tmp_path).output)
    }
    assert set(found) == {path.stem for path in shipped()}
    assert found["eastron-sdm630"]["serial"] == {"baudrate": 9600, "parity": "N", "stopbits": 1, "address": 1}
    assert "active_energy_export" in found["carlogavazzi-em24"]["quantities"], "variants count"
    assert {"dc_power_s1", "active_power"} <= set(found["sunspec-inverter"]["quantities"]), (
        "what is discovered counts"
    )


def test_list_as_json_says_what_a_table_has_of_its_own(tmp_path: Path) -> None:
    found = {
        driver["name"]: driver for driver in json.loads(run("list", "--json", directory=tmp_path).output)
    }
    assert all(
        {"own_rows", "like", "covers", "verified", "energy_import"} <= set(driver)
        for driver in found.values()
    )
    assert found["eastron-sdm630"]["own_rows"] == len(
        load_file(shipped()[0].with_name("eastron-sdm630.yaml")).rows
    )
    assert (found["eastron-sdm630"]["like"], found["eastron-sdm630"]["energy_import"]) == ("", True)
    assert (found["sunspec-meter-2"]["like"], found["sunspec-meter-2"]["own_rows"]) == ("sunspec-meter", 0)
    assert 0 < found["carlogavazzi-et340"]["own_rows"] < 12
    assert found["carlogavazzi-et340"]["like"] == "carlogavazzi-em340"


@pytest.mark.parametrize(
    "words",
    [["sdm630-modbus"], ["SDM 630 MODBUS"], ["eastron sdm630"], ["Eastron", "630"], ["sdm630modbusmid"]],
)
def test_what_stands_on_the_label_is_found(words: list[str], tmp_path: Path) -> None:
    assert "eastron-sdm630 " in run("list", *words, directory=tmp_path).output


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        (
            "entes-mpr3x",
            {"bill": "yes", "feed-in": "yes", "reactive": "Q1–Q4", "neutral": "yes", "demand": "–"},
        ),
        (
            "abb-b23",
            {"tariffs": "T1–T4", "per phase": "P, kWh, I, U", "reactive": "import, export", "also": "kVAh"},
        ),
        ("eastron-sdm120", {"per phase": "one phase", "demand": "now, maximum", "quality": "–"}),
        ("orno-we504", {"bill": "one way", "feed-in": "–", "reactive": "one counter"}),
        ("sunspec-inverter", {"bill": "–", "feed-in": "yes", "also": "DC"}),
        ("camillebauer-aplus", {"quality": "U", "tariffs": "T1–T2"}),
        ("microsensor-mfe600h", {"bill": "heat, cooling, water", "also": "kW heat, flow, °C"}),
        ("siemens-mag6000", {"bill": "water", "feed-in": "–", "also": "flow"}),
        ("kamstrup-multical-603", {"bill": "water", "also": "°C"}),
        ("kamstrup-multical-403", {"bill": "water", "also": "kW heat, flow, °C"}),
    ],
)
def test_what_a_meter_can_serve(name: str, answers: dict[str, str], tmp_path: Path) -> None:
    found = next(
        driver
        for driver in json.loads(run("list", "--json", directory=tmp_path).output)
        if driver["name"] == name
    )
    assert {question: found["serves"][question] for question in answers} == answers
    shown = run("show", name, directory=tmp_path).output
    assert all(f"{question}: {answer}" in shown for question, answer in answers.items() if answer != "–")


def test_a_covered_name_is_found_and_shown(tmp_path: Path) -> None:
    (tmp_path / "my-meter.yaml").write_text(
        skeleton("my-meter").replace("other names on the label", "Zähler DRT 428-M, KDK")
    )
    for word in ("drt428m", "DRT-428 M", "kdk", "ZÄHLER"):
        found = run("list", word, directory=tmp_path).output
        assert "my-meter" in found, word
        assert "also" in found
    listed = json.loads(run("list", "kdk", "--json", directory=tmp_path).output)
    assert next(driver for driver in listed if driver["name"] == "my-meter")["covers"] == [
        "Zähler DRT 428-M",
        "KDK",
    ]


def test_own_tables_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "my-meter.yaml").write_text(skeleton("my-meter"))
    assert "my-meter" in run("list", directory=tmp_path).output
    assert "Maker Model" in run("show", "my-meter", directory=tmp_path).output


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_show_tells_everything_about_a_driver(path: Path, tmp_path: Path) -> None:
    output = run("show", path.stem, directory=tmp_path).output
    driver = load_file(path)
    assert driver.source in output
    assert all(note in output for note in driver.notes)
    shown = output.split()
    assert all(row.name in shown for row in driver.rows)
    assert all(row.name in shown for variant in driver.variants for row in variant.rows)


def test_check_prints_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "my-meter.yaml"
    path.write_text(
        skeleton("my-meter")
        .replace("current_{l1,l2,l3}", "curent_l1")
        .replace("0.1V", "V")
        .replace("slow", "slw")
    )
    found = run("check", str(path))
    assert found.exit_code == 1
    assert re.search(
        r"my-meter.yaml:\d+: curent_l1: is not a quantity → did you mean current_l1\?", found.output
    )
    assert "'slw' is not a class" in found.output
    missing = run("check", str(tmp_path / "none-there.yaml"))
    assert missing.exit_code == 1
    assert "cannot be read" in missing.output


def test_show_of_an_unknown_model_offers_near_ones(tmp_path: Path) -> None:
    found = run("show", "eastron-sdm603", directory=tmp_path)
    assert isinstance(found.exception, DriverError)
    assert "did you mean eastron-sdm630" in str(found.exception)


@pytest.mark.parametrize("bus", ["", "host:port", "host:99999"])
def test_try_refuses_what_is_no_bus(bus: str, tmp_path: Path) -> None:
    found = run("try", "eastron-sdm630", "--bus", bus, "--address", "1", directory=tmp_path)
    assert "is not a bus" in str(found.exception)
