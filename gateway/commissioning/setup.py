"""What `submeter setup` has been told, and the configuration that follows from it. Pure.

Answers have the form of a configuration's sections `gateway`, `building`, `clock`, `uplinks`; beside them
`scan` (ports and hosts to search) and `names` (by address: name, feeds, parent, ct). `buses` and `meters` are
what the search has found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from gateway.commissioning.scan import item_lines
from gateway.config import line_of, parse_config, parse_yaml, with_items, with_keys, with_value
from gateway.errors import ConfigError, Problem

SECTIONS: Final = ("gateway", "building", "clock")
OWN: Final = {"scan", "names"}
_NAMED: Final = {"name", "feeds", "parent", "ct"}
HEAD: Final = "# Written by submeter setup. Every key with its meaning: the commented sample.\n"


def read_answers(text: str, name: str) -> dict[str, Any]:
    """The answers of a file. Raises ConfigError with every problem by its line: what is unknown, what is
    missing, what cannot be.
    """
    document, problems = parse_yaml(text, name)
    if document is None:
        raise ConfigError(problems)
    rows = text.split("\n")
    starts = sorted(document.lines.values())
    for key in OWN & document.keys():
        first = document.lines[key]
        last = next((line for line in starts if line > first), len(rows) + 1)
        rows[first - 1 : last - 1] = [""] * (last - first)
    try:
        parse_config("\n".join(rows), name)
    except ConfigError as error:
        problems += error.problems
    places, names = document.get("scan"), document.get("names", {})
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        what = "is missing" if places is None else "is no list of ports and hosts"
        line = line_of(document, ["scan"]) if places is not None else 1
        problems.append(Problem(name, line, "scan", what, "write scan: [/dev/ttyUSB0, 192.0.2.10]"))
    for address, said in names.items() if isinstance(names, dict) else [("", None)]:
        unknown = set(said) - _NAMED if isinstance(said, dict) else {""}
        if unknown:
            what, mend = f"{', '.join(sorted(unknown)) or 'it'} is unknown", "write name, feeds, parent or ct"
            problems.append(
                Problem(name, line_of(document, ["names", address]), f"names.{address}", what, mend)
            )
    if problems:
        raise ConfigError(sorted(problems))
    return dict(document)


def flaws(answers: Mapping[str, Any], key: str) -> str:
    """What is wrong with one answer, like `gateway.id`; empty when nothing is."""
    try:
        parse_config(written("", answers))
    except ConfigError as error:
        for problem in error.problems:
            if problem.key == key or problem.key.startswith(f"{key}."):
                return f"{problem.what} → {problem.mend}"
    return ""


def named(meters: list[dict[str, Any]], names: Mapping[Any, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The meters that were found, as they are called."""
    found = []
    for meter in meters:
        more = names.get(meter["address"]) or names.get(str(meter["address"])) or {}
        found.append({**meter, **{key: value for key, value in more.items() if value}})
    return found


def written(text: str, answers: Mapping[str, Any]) -> str:
    """The configuration's text with what was answered; comments and layout of what is there stay."""
    new = text or HEAD
    for section in SECTIONS:
        values = {key: value for key, value in answers.get(section, {}).items() if value not in (None, "")}
        new = with_keys(new, section, values)
    there = parse_yaml(text, "gateway.yaml")[0] if text else None
    for section, key in (("buses", "name"), ("meters", "id"), ("uplinks", "name")):
        rows = there.get(section) if there else None
        known = {row.get(key) for row in rows or () if isinstance(row, dict)}
        items = answers.get(section, ())
        if section == "meters":
            items = named(list(items), answers.get("names", {}))
        for item in items:
            for name in item.keys() - {key} if item[key] in known else ():
                new = with_value(new, section, item[key], name, json.dumps(item[name], ensure_ascii=False))
        lines = [line for item in items if item[key] not in known for line in item_lines(item)]
        new = with_items(new, section, lines)
    return new
