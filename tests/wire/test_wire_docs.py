"""docs/wire/ says what the code does: schemas are current, real messages pass them, every topic, event and
field is described.
"""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from test_wire_batch import EPOCH, batches

from gateway.catalogue import load_driver, shipped
from gateway.config.schema import Config
from gateway.daemon.describe import MeterDescription
from gateway.model import Draft, Event, Interval, Reading
from gateway.uplink.rewrap import reissued
from gateway.wire import Batch, Receipt, Replay, Reply, State, Topics, encode, split, with_header
from gateway.wire.__main__ import asyncapi_text, text_of
from gateway.wire.asyncapi import document
from gateway.wire.published import schemas

DOCS = Path(__file__).parents[2] / "docs" / "wire"
README = (DOCS / "README.md").read_text(encoding="utf-8")
VALID = {name: jsonschema.Draft202012Validator(schema) for name, schema in schemas().items()}


def check(name, payload):
    VALID[name].validate(json.loads(payload))


def test_the_schema_files_are_current():
    """`.venv/bin/python -m gateway.wire docs/wire` writes them."""
    assert {path.name for path in DOCS.glob("*.schema.json")} == {f"{name}.schema.json" for name in schemas()}
    for name, schema in schemas().items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert (DOCS / f"{name}.schema.json").read_text(encoding="utf-8") == text_of(schema), name


ASYNCAPI = Path(__file__).parents[2] / "build" / "asyncapi" / "node_modules" / "@asyncapi" / "specs"


def test_the_asyncapi_document_is_current_and_names_every_topic():
    """`.venv/bin/python -m gateway.wire docs/wire` writes it."""
    assert (DOCS / "asyncapi.yaml").read_text(encoding="utf-8") == asyncapi_text(), "run make docs"
    told = document()
    topics = Topics("{gateway}")
    named = {getattr(topics, name) for name in dir(Topics) if isinstance(vars(Topics).get(name), property)}
    named |= {topics.receipt("{consumer}"), topics.command("{command}")}
    addresses = {channel["address"] for channel in told["channels"].values()}
    assert addresses == named - {topics.prefix}


def references(part):
    """Every $ref within."""
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from references(inner)


def test_every_reference_of_the_asyncapi_document_leads_somewhere():
    told = document()
    found = set(references(told))
    assert len(found) > 20
    for reference in found:
        at = told
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]
        assert at


def test_the_asyncapi_document_is_one_and_its_control_is_none():
    schema = ASYNCAPI / "schemas" / "3.0.0.json"
    if not schema.exists():
        pytest.skip("@asyncapi/specs is not installed: npm is missing, or tests/tools.sh was not run")
    rules = jsonschema.Draft7Validator(json.loads(schema.read_text()))
    assert not [error.message[:200] for error in rules.iter_errors(document())]
    for harm in ("asyncapi", "info"):
        broken = document()
        del broken[harm]
        assert not rules.is_valid(broken)
    broken = document()
    broken["operations"]["sendData"]["action"] = "shout"
    assert not rules.is_valid(broken)


def test_messages_pass_the_schemas_of_the_asyncapi_document():
    told = document()
    for name, payload in (
        ("Receipt", Receipt(epoch=EPOCH, upto=4, have=[[6, 9]]).to_bytes()),
        (
            "BatchMessage",
            encode(Batch("g", EPOCH, 1, 0, 0, "synced", [Reading("a", 0, {"frequency": 50.0})])),
        ),
    ):
        rules = jsonschema.Draft7Validator({**told, "$ref": f"#/components/schemas/{name}"})
        message = json.loads(payload)
        assert rules.is_valid(message)
        assert not rules.is_valid({**message, "epoch": "x"})


@given(batches())
@settings(max_examples=60, deadline=None)
def test_every_batch_passes_its_schema(batch):
    plain = encode(batch)
    check("batch", plain)
    check("batch", with_header(plain, gateway="renamed", t0=1, clock="anchored"))
    check("batch", reissued(plain, EPOCH, ("0" * 16, 3)))


def test_the_small_messages_pass_their_schemas():
    check("receipt", Receipt(epoch=EPOCH, upto=4, have=[[6, 9]], conflicts=[2]).to_bytes())
    check("receipt", Receipt(epoch=EPOCH, upto=0).to_bytes())
    check("replay", json.dumps({"id": "a", "epoch": EPOCH, "from": 1, "to": 2}))
    check("replay", Replay(id="a", epoch=EPOCH, **{"from": 1}, to=2).to_bytes())
    check("reply", Reply(id="a", ok=False, error="busy").to_bytes())
    check("reply", Reply(id="a", ok=True, epoch=EPOCH, sent=0, gone=[(1, 2, "thinned")]).to_bytes())
    check("state", State(online=False).to_bytes())
    check("state", State(online=True, epoch=EPOCH, seq=3, backlog=0, version="1").to_bytes())


def test_what_is_wrong_fails_the_schema():
    good = json.loads(encode(Batch("g", EPOCH, 1, 0, 0, "synced", [Reading("a", 0, {"frequency": 50.0})])))
    check("batch", json.dumps(good))
    for field, value in (
        ("seq", 0),
        ("clock", "right"),
        ("epoch", "x"),
        ("gateway", "A"),
        ("schema", "submeter/2"),
        ("tables", {}),
    ):
        assert not VALID["batch"].is_valid({**good, field: value}), field
    assert not VALID["receipt"].is_valid({"epoch": EPOCH, "upto": -1})


def test_the_description_of_the_meters_passes_its_schema():
    name = shipped()[0].stem
    config = Config(
        gateway={"id": "g", "name": "Bina"},
        buses=[{"name": "l", "type": "tcp", "host": "h"}],
        meters=[
            {
                "id": "main",
                "name": "Ana sayaç",
                "bus": "l",
                "driver": name,
                "ct": "200/5",
                "feeds": "Bina girişi",
            }
        ],
        pulses=[{"id": "water", "pin": 17, "per_unit": 1000, "quantity": "volume"}],
    )
    description = MeterDescription(
        config, {name: load_driver(name)}, lambda _meter: {"serial_number": 12345678}
    )
    check("meters", description.payload())
    for _, part in split(Draft(events=description.events(5)), Batch("g", EPOCH, 1, 0, 0, "synced")):
        check("batch", part)


def test_the_examples_in_the_readme_are_valid():
    examples = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    assert len(examples) >= 6
    for example in examples:
        message = json.loads(example)
        fitting = [name for name, validator in VALID.items() if validator.is_valid(message)]
        assert fitting, example


TOPICS = [
    *("data", "state", "meters", "receipt/<consumer>", "cmd/replay", "reply"),
    *("cmd/<command>", "enroll/request", "enroll/answer", "backup"),
]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_is_described(topic):
    assert f"`P/{topic}`" in README


def test_every_field_is_described():
    for schema in schemas().values():
        for definition in [schema, *schema.get("$defs", {}).values()]:
            for field in definition.get("properties", {}):
                assert f"`{field}`" in README, field


def test_no_event_is_described_twice():
    rows = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| (.*?) \|", README, re.MULTILINE)
    assert len(rows) > 40
    assert len(set(rows)) == len(rows)


def test_every_kind_of_event_that_is_written_anywhere_is_described():
    root = Path(__file__).parents[2] / "gateway"
    kinds = set()
    for path in root.rglob("*.py"):
        kinds.update(re.findall(r'(?<![\w.])Event\(\s*"([a-z_]+)"', path.read_text(encoding="utf-8")))
    assert {"thinned", "clock_anchor", "epoch_started"} <= kinds
    missing = {
        kind
        for kind in kinds | {"clock_step", "clock_synced", "clock_unsynced", "damaged"}
        if f"`{kind}`" not in README
    }
    assert not missing


def test_an_interval_is_whole_numbers():
    batch = Batch(
        "g",
        EPOCH,
        1,
        0,
        0,
        "synced",
        intervals=[Interval("main", "active_energy_import", 0, 3070, "m")],
    )
    check("batch", encode(batch))
    assert isinstance(json.loads(encode(batch))["intervals"][0]["values"][0], int)
    check("batch", encode(Batch("g", EPOCH, 1, 0, 0, "synced", events=[Event("clock_step", 0, {"by": 5})])))
