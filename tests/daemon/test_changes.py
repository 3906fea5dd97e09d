"""What a reload says of a change, to a person and to the platform."""

import pytest

from gateway.config import parse_config
from gateway.daemon.changes import differences

BEFORE = """
gateway: {id: g}
buses: [{name: line, type: serial, port: /dev/ttyUSB0}, {name: plant, type: tcp, host: 192.0.2.1}]
meters:
  - {id: main, bus: line, address: 1, driver: eastron-sdm630}
  - {id: hvac, bus: line, address: 2, driver: abb-b23}
"""


@pytest.mark.parametrize(
    ("what", "by", "fields"),
    [
        ("address: 2", "address: 7", {"meter": "hvac", "change": "changed", "fields": {"address": [2, 7]}}),
        ("bus: line, address: 2", "bus: plant, address: 2", {"meter": "hvac", "change": "changed", "fields": {"bus": ["line", "plant"]}}),
        ("abb-b23}", "abb-b23, name: Klima}", {"meter": "hvac", "change": "changed", "fields": {"name": [None, "Klima"]}}),
        ("  - {id: hvac, bus: line, address: 2, driver: abb-b23}\n", "", {"meter": "hvac", "change": "removed"}),
        ("ttyUSB0", "ttyUSB1", {"section": "buses", "change": "changed"}),
    ],
)
def test_a_change_is_told(what, by, fields) -> None:
    changes = differences(parse_config(BEFORE), parse_config(BEFORE.replace(what, by)))
    assert [change.fields for change in changes] == [fields]
    assert all(change.words for change in changes)


def test_a_new_name_is_one_meter_gone_and_another_come() -> None:
    changes = differences(parse_config(BEFORE), parse_config(BEFORE.replace("id: hvac", "id: klima")))
    assert [change.words for change in changes] == ["meter klima was added", "meter hvac was removed"]


def test_the_same_file_changes_nothing() -> None:
    assert differences(parse_config(BEFORE), parse_config(BEFORE)) == []
