"""python -m tests.openapi: the live values in docs/openapi.json anew, from the dataclasses that are shown and
the tables of docs/api.md. The addresses, and what the history gives, are written there by hand.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.status import findings, snapshot

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "openapi.json"
TABLES = ROOT / "docs" / "api.md"
SHOWN = {
    snapshot.Snapshot: ("Status", "/api/v1"),
    snapshot.MeterView: ("Meter", "meters"),
    snapshot.ValueView: ("Value", "meters"),
    snapshot.BusView: ("Bus", "buses"),
    snapshot.JournalView: ("Journal", "journal"),
    snapshot.UplinkView: ("Uplink", "uplinks"),
    snapshot.ClockView: ("Clock", ""),
    snapshot.Beat: ("Beat", ""),
    snapshot.FactView: ("Fact", ""),
    snapshot.UpgradeView: ("Upgrade", ""),
    snapshot.RemoteView: ("Remote", ""),
    findings.StatusFinding: ("Finding", "verdict"),
    findings.StatusVerdict: ("Verdict", "verdict"),
}
"""Class → name of its schema, and the section of docs/api.md that tells its fields."""
BESIDE: dict[str, dict[str, Any]] = {
    "Meter": {"values": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Value"}}},
    "Value": {
        "quantity": None,
        "unit": {"type": "string"},
        "obis": {"type": "string"},
        "quality": {"type": "string", "enum": ["good", "suspect", "stale", "absent"]},
    },
    "Beat": {"alive": {"type": "boolean"}},
    "Status": {"verdict": {"$ref": "#/components/schemas/Verdict"}, "own": None, "service": None},
}
"""Where the JSON is not the dataclass: a field more, another one, or none."""
PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number"}


def meanings(text: str) -> dict[str, dict[str, str]]:
    """Section → field → what docs/api.md says of it."""
    found: dict[str, dict[str, str]] = {}
    section = ""
    for line in text.splitlines():
        if head := re.match(r"#+ (.*)", line):
            section = head[1].strip("` ")
        if row := re.fullmatch(r"\| ((?:`\w+`(?:, )?)+) \| (.*) \|", line):
            for name in re.findall(r"`(\w+)`", row[1]):
                found.setdefault(section, {})[name] = row[2].replace("`", "")
    return found


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON schema of an annotation."""
    arguments, origin = typing.get_args(kind), typing.get_origin(kind)
    if isinstance(kind, types.UnionType):
        (one,) = [schema_of(each) for each in arguments if each is not types.NoneType]
        return {"anyOf": [one, {"type": "null"}]} if "$ref" in one else {**one, "type": [one["type"], "null"]}
    if origin is typing.Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin in {Mapping, dict}:
        return {"type": "object", "additionalProperties": {}}
    if dataclasses.is_dataclass(kind):
        return {"$ref": f"#/components/schemas/{SHOWN[kind][0]}"}  # type: ignore[index]
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    members = [each for alias in arguments for each in typing.get_args(alias)]
    return {"type": "string", "enum": members}


def live() -> dict[str, Any]:
    """Name → schema of everything that is shown of this moment."""
    told = meanings(TABLES.read_text())
    found = {}
    for kind, (name, section) in SHOWN.items():
        hints, beside = typing.get_type_hints(kind), BESIDE.get(name, {})
        fields = {}
        for field in dataclasses.fields(kind):
            if beside.get(field.name, ...) is None:
                continue
            one = schema_of(hints[field.name])
            said = told.get(section, {}).get(field.name)
            plain = "$ref" not in one and "anyOf" not in one
            fields[field.name] = {**one, "description": said} if said and plain else one
        fields |= beside
        fields = {key: value for key, value in fields.items() if value is not None}
        found[name] = {"type": "object", "required": sorted(fields), "properties": fields}
    return found


def renewed(text: str) -> str:
    """The file with the live values as they are."""
    api = json.loads(text)
    schemas = {**api["components"]["schemas"], **live()}
    api["components"]["schemas"] = dict(sorted(schemas.items()))
    return json.dumps(api, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FILE.resolve().write_text(renewed(FILE.read_text()))
