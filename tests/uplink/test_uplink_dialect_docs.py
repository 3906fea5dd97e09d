"""The worked examples of docs/dialects.md: the configurations are good, and what they show goes out."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from uplink_host import SPARKPLUG, decoded

from gateway.config import Uplink
from gateway.model import Reading
from gateway.uplink.dialects.choice import dialect_of
from gateway.uplink.dialects.dialect import building_of
from gateway.wire import Batch, Topics, encode

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text()
GATEWAY, T = "izm-konak-017", 1_795_278_300_000
READ = {"active_power": 12.345, "voltage_l1n": 230.1, "active_energy_import": 184_223.91}
BATCH = Batch(GATEWAY, "b7f2c6d05a91e3f4", 41_822, T, 81_234_567, "synced",
              [Reading("main", 81_234_567, READ)])  # fmt: skip
KINDS = {"active_power": "gauge", "voltage_l1n": "gauge", "active_energy_import": "counter"}
BUILDING = {
    "gateway": GATEWAY,
    "name": "Konak Belediye Binası",
    "version": "0.1.0",
    "drivers": {
        "eastron-sdm630": {
            "maker": "Eastron",
            "model": "SDM630-Modbus V2",
            "quantities": {name: {"kind": kind} for name, kind in KINDS.items()},
        }
    },
    "meters": [
        {
            "id": "main",
            "name": "Ana sayaç",
            "driver": "eastron-sdm630",
            "interval": 10.0,
            "slow_interval": 60.0,
            "attributes": {"serial_number": "12345678"},
        }
    ],
}
UPLINKS = [
    Uplink.model_validate(one)
    for block in re.findall(r"```yaml\nuplinks:\n(.*?)```", PAGE, re.DOTALL)
    for one in yaml.safe_load(block)
]


def goes_out(uplink):
    """Topic → payload of all that is said of the building and of one batch."""
    dialect = dialect_of(uplink, GATEWAY)
    if dialect is None:
        return {Topics(GATEWAY).data: encode(BATCH)}
    dialect.opening(T - 1000)
    said = [*dialect.birth(building_of(json.dumps(BUILDING).encode()), T - 1000)]
    return {message.topic: message.payload for message in [*said, *dialect.messages(BATCH, T).messages]}


def shown(dialect):
    """Topic and JSON of each message that the page shows in a dialect's section."""
    title = {
        "native": "Native",
        "homeassistant": "Home Assistant",
        "thingsboard": "ThingsBoard",
        "fiware": "FIWARE",
        "sparkplug": "Sparkplug B",
    }[dialect]
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```text\n(\S+)\n(.*?)```", section, re.DOTALL)
    return [(topic, json.loads(text)) for topic, text in blocks]


def test_every_dialect_has_a_worked_example():
    assert [uplink.dialect for uplink in UPLINKS] == [
        *("native", "homeassistant", "thingsboard", "fiware", "sparkplug"),
    ]
    assert all(shown(uplink.dialect) for uplink in UPLINKS)


@pytest.mark.parametrize("uplink", UPLINKS, ids=lambda uplink: uplink.dialect)
def test_what_the_page_shows_goes_out(uplink):
    out = goes_out(uplink)
    for topic, message in shown(uplink.dialect):
        if topic.startswith("spBv1.0/"):
            if not SPARKPLUG.exists() or shutil.which("node") is None:
                pytest.skip("sparkplug-payload is not installed (tests/tools.sh, needs npm)")
            [payload] = decoded([out[topic]])
        else:
            payload = json.loads(out[topic])
        assert payload == message, topic
