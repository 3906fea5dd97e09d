"""What a reload says of a change, to a person and to the platform, and whose values go on."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.catalogue import load_driver
from gateway.config import parse_config
from gateway.daemon.changes import Loaded, differences, digests, load, same_source
from gateway.daemon.daemon import Daemon

BEFORE = """
gateway: {id: g}
buses: [{name: line, type: serial, port: /dev/ttyUSB0}, {name: plant, type: tcp, host: 192.0.2.1}]
meters:
  - {id: main, bus: line, address: 1, driver: eastron-sdm630}
  - {id: hvac, bus: line, address: 2, driver: abb-b23}
  - {id: roof, bus: plant, address: 1, driver: eastron-sdm630}
pulses: [{id: water, pin: 17, per_unit: 1000, quantity: volume}]
"""


def loaded(text: str) -> Loaded:
    config = parse_config(text)
    drivers = {
        meter.driver: load_driver(meter.driver, Path(config.drivers.directory)) for meter in config.meters
    }
    return Loaded(config, drivers, digests(config))


def changed(what: str, by: str) -> list:
    assert what in BEFORE
    return differences(loaded(BEFORE), loaded(BEFORE.replace(what, by)))


@pytest.mark.parametrize(
    ("what", "by", "words", "fields"),
    [
        (
            "address: 2",
            "address: 7",
            "meter hvac: address was 2, is 7",
            {"meter": "hvac", "change": "changed", "fields": {"address": [2, 7]}},
        ),
        (
            "bus: line, address: 2",
            "bus: plant, address: 2",
            "meter hvac: bus was line, is plant",
            {"meter": "hvac", "change": "changed", "fields": {"bus": ["line", "plant"]}},
        ),
        (
            "abb-b23}",
            "abb-b23, name: Klima}",
            "meter hvac: name was not given, is Klima",
            {"meter": "hvac", "change": "changed", "fields": {"name": [None, "Klima"]}},
        ),
        (
            "  - {id: hvac, bus: line, address: 2, driver: abb-b23}\n",
            "",
            "meter hvac was removed",
            {"meter": "hvac", "change": "removed"},
        ),
        (
            "ttyUSB0",
            "ttyUSB1",
            "bus line: port was /dev/ttyUSB0, is /dev/ttyUSB1",
            {
                "section": "buses",
                "name": "line",
                "change": "changed",
                "fields": {"port": ["/dev/ttyUSB0", "/dev/ttyUSB1"]},
            },
        ),
        (
            "pin: 17",
            "pin: 18",
            "pulse input water: pin was 17, is 18",
            {"section": "pulses", "name": "water", "change": "changed", "fields": {"pin": [17, 18]}},
        ),
        (
            "per_unit: 1000",
            "per_unit: 123456.25",
            "pulse input water: per_unit was 1000, is 123456.25",
            {
                "section": "pulses",
                "name": "water",
                "change": "changed",
                "fields": {"per_unit": [1000.0, 123456.25]},
            },
        ),
        (
            "driver: abb-b23}",
            "driver: abb-b23, class: C, enabled: no}",
            "meter hvac: class was B, is C, enabled was true, is false",
            {
                "meter": "hvac",
                "change": "changed",
                "fields": {"enabled": [True, False], "class": ["B", "C"]},
            },
        ),
        (
            "{id: g}",
            "{id: g, name: Konak}",
            "gateway: name was Submeter Gateway, is Konak",
            {"section": "gateway", "change": "changed", "fields": {"name": ["Submeter Gateway", "Konak"]}},
        ),
    ],
)
def test_a_change_is_told_key_by_key(what, by, words, fields) -> None:
    changes = changed(what, by)
    assert [change.words for change in changes] == [words]
    assert [change.fields for change in changes] == [fields]


def test_a_new_name_is_one_meter_gone_and_another_come() -> None:
    assert [change.words for change in changed("id: hvac", "id: klima")] == [
        "meter klima was added",
        "meter hvac was removed",
    ]


def test_the_same_file_changes_nothing() -> None:
    assert differences(loaded(BEFORE), loaded(BEFORE)) == []
    assert same_source(loaded(BEFORE), loaded(BEFORE)) == {"main", "hvac", "roof", "water"}


@pytest.mark.parametrize(
    ("what", "by", "anew"),
    [
        ("address: 2", "address: 7", {"hvac"}),
        ("abb-b23", "abb-b21", {"hvac"}),
        ("ttyUSB0", "ttyUSB1", {"main", "hvac"}),
        ("192.0.2.1", "192.0.2.2", {"roof"}),
        ("per_unit: 1000", "per_unit: 100", {"water"}),
        ("abb-b23}", "abb-b23, ct: 200/5}", {"hvac"}),
        ("abb-b23}", "abb-b23, interval: 30s, name: Klima, feeds: Kat 1, parent: main}", set()),
    ],
)
def test_values_go_on_only_for_what_is_measured_as_before(what, by, anew) -> None:
    assert {"main", "hvac", "roof", "water"} - same_source(
        loaded(BEFORE), loaded(BEFORE.replace(what, by))
    ) == anew
    concerned = {meter for change in changed(what, by) for meter in change.meters}
    assert concerned == anew


def test_a_table_and_a_password_that_say_something_else_under_the_same_name_are_told(tmp_path: Path) -> None:
    table, password = tmp_path / "my-meter.yaml", tmp_path / "city.password"
    head = "maker: T\nmodel: T\nverified: simulator\nsource: tests\nreads: {function: 4}\nregisters: |\n"
    text = f"""
gateway: {{id: g}}
drivers: {{directory: {tmp_path}}}
buses: [{{name: line, type: serial, port: /dev/ttyUSB0}}]
meters: [{{id: main, bus: line, address: 1, driver: my-meter}}]
uplinks: [{{name: city, url: "mqtt://127.0.0.1:1883", username: u, password_file: {password}}}]
"""
    table.write_text(head + "  0 u16 voltage_l1n 0.1V fast decimals=1\n")
    password.write_text("one")
    before = loaded(text)
    table.write_text(head + "  0 u16 voltage_l1n 0.01V fast decimals=1\n")
    password.write_text("two")
    after = loaded(text)
    changes = differences(before, after)
    assert [change.words for change in changes] == [
        "table my-meter says something else (meters main)",
        "uplink city: the file of password_file has another content",
    ]
    assert same_source(before, after) == set()
    assert not any("two" in str(change) for change in changes)


def test_a_file_is_loaded_with_the_tables_and_the_files_that_it_names(tmp_path: Path) -> None:
    password = tmp_path / "city.password"
    password.write_text("one")
    uplink = f'uplinks: [{{name: city, url: "mqtt://h", username: u, password_file: {password}}}]\n'
    file = tmp_path / "gateway.yaml"
    file.write_text(BEFORE + uplink)
    found = load(file)
    assert [meter.id for meter in found.config.meters] == ["main", "hvac", "roof"]
    assert found.drivers.keys() == {"eastron-sdm630", "abb-b23"}
    assert len(set(found.files.values())) == 2, "that of the password, and those of what is not given"
    assert differences(found, loaded(BEFORE + uplink)) == []


def test_a_list_is_told_as_it_is_written_in_the_file() -> None:
    uplink = "uplinks: [{name: city, url: mqtt://h, receipts: [%s]}]\n"
    before, after = (loaded(BEFORE + uplink % who) for who in ("city", "city, mirror"))
    assert [change.words for change in differences(before, after)] == [
        "uplink city: receipts was [city], is [city, mirror]"
    ]


async def test_what_a_file_changes_is_told_by_meter(tmp_path, monkeypatch) -> None:
    """By name, not by how a line begins: main is no main2, and a bus concerns what hangs at it."""
    text = BEFORE.replace("id: hvac", "id: main2")
    new = text.replace("address: 2", "address: 7").replace("/dev/ttyUSB0", "/dev/ttyUSB1")
    monkeypatch.setattr("gateway.daemon.daemon.load_good", lambda _: loaded(new))
    found = await Daemon.unread_changes(SimpleNamespace(path=tmp_path, _loaded=loaded(text)))
    port = "bus line: port was /dev/ttyUSB0, is /dev/ttyUSB1"
    address = "meter main2: address was 2, is 7"
    assert found == {
        "changes": [address, port], "meters": {"main": [port], "main2": [address, port]}, "problems": [],
    }  # fmt: skip
