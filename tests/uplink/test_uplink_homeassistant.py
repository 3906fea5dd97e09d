"""Discovery held against Home Assistant's own schemas, in an environment of its own (tests/tools.sh soak)."""

import json
import subprocess
from pathlib import Path

import pytest

from gateway.model import QUANTITIES
from gateway.uplink.dialects.dialect import DescribedBuilding, DescribedMeter
from gateway.uplink.dialects.homeassistant import HomeAssistant

HOME = Path(__file__).parents[2] / "build" / "homeassistant" / "bin" / "python"
CHECK = Path(__file__).parent / "uplink_ha_check.py"


def configs():
    """What is announced of a meter that has every quantity of the vocabulary."""
    meter = DescribedMeter("main", "Ana sayaç", "Eastron", "SDM630", "123", tuple(QUANTITIES.values()))
    dialect = HomeAssistant("gw1", prefix="homeassistant", expire_after=300)
    messages = dialect.birth(DescribedBuilding("Bina", "1.0", (meter,)), 0)
    return [json.loads(message.payload) for message in messages if message.topic.endswith("/config")]


HARMS = [
    {"device_class": "powr"},
    {"unit_of_measurement": "kvar"},
    {"state_class": "total"},
    {"expire_after": "soon"},
    {"device": {}},
    {"colour": 1},
]


def test_home_assistant_itself_takes_every_announcement_and_no_harmed_one():
    if not HOME.exists():
        pytest.skip(
            "Home Assistant is not installed (tests/tools.sh soak): units and classes are held against its "
            "documentation alone, in test_uplink_dialects.py"
        )
    announced = configs()
    harmed = [{**announced[0], **harm} for harm in HARMS]
    done = subprocess.run(
        [HOME, CHECK],
        input=json.dumps(announced + harmed),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    flaws = json.loads(done.stdout)
    assert len(announced) == len(QUANTITIES)
    assert [flaw for flaw in flaws[: len(announced)] if flaw] == []
    assert all(flaws[len(announced) :]), "the control: what is wrong is seen"
