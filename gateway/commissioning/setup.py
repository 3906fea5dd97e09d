"""What `submeter setup` has been told, and the configuration that follows from it. Asks this machine only
which names are one port.

Answers have the form of a configuration; beside its sections stand `scan` (ports and hosts to search) and
`names` (name, feeds, parent and ct of a meter by its place and address; by its address alone where only one
place has a meter there). `buses` and `meters` are what the search has found, `left_out` [place, address] of
whom it has found and no line can be written for, `met` the setting of a line at which somebody was met.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.commissioning.doctor import SampleBatch
from gateway.commissioning.scan import LineSetting, item_lines
from gateway.config import (
    host_and_port,
    line_of,
    parse_config,
    parse_yaml,
    same_line,
    with_items,
    with_keys,
    with_value,
)
from gateway.errors import ConfigError, Problem
from gateway.model import Event
from gateway.wire import Batch, encode

SECTIONS: Final = ("gateway", "building", "clock", "status", "journal", "drivers", "backup", "card")
ITEMS: Final = (("buses", "name"), ("meters", "id"), ("pulses", "id"), ("uplinks", "name"))
"""Sections that are lists, and by what an item of them is known."""
OWN: Final = {"scan", "names"}
_NAMED: Final = {"name", "feeds", "parent", "ct"}
HEAD: Final = "# Written by submeter setup. Every key with its meaning: the commented sample.\n"
_NONE: Final = {"parent": None, "ct": 1}
_TEST: Final = "uplink_test"

SetupPart = Mapping[str, Any]


def answers_of(text: str) -> dict[str, Any]:
    """What a configuration says already; nothing where it cannot be understood."""
    document = parse_yaml(text, "gateway.yaml")[0] if text else None
    found: dict[str, Any] = {}
    for section, value in json.loads(json.dumps(document or {}, default=str)).items():
        if section in SECTIONS and isinstance(value, dict):
            found[section] = value
        elif section in dict(ITEMS) and isinstance(value, list):
            found[section] = [row for row in value if isinstance(row, dict)]
    return found


def merged(there: SetupPart, given: SetupPart) -> dict[str, Any]:
    """Both; where they differ, what is given counts."""
    found = {**there, **given}
    for section in SECTIONS:
        if section in there and section in given:
            found[section] = {**there[section], **given[section]}
    for section, key in ITEMS:
        rows = {row.get(key): row for row in there.get(section) or ()}
        for row in given.get(section) or ():
            rows[row.get(key)] = {**rows.get(row.get(key), {}), **row}
        if rows:
            found[section] = list(rows.values())
    return found


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
    places = document.get("scan")
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        what = "is missing" if places is None else "is no list of ports and hosts"
        line = line_of(document, ["scan"]) if places is not None else 1
        problems.append(Problem(name, line, "scan", what, "write scan: [/dev/ttyUSB0, 192.0.2.10]"))
        places = []
    problems += [
        Problem(name, line_of(document, ["names", *way]), ".".join(["names", *map(str, way)]), what, mend)
        for way, what, mend in _odd_names(document.get("names", {}), places)
    ]
    if problems:
        raise ConfigError(sorted(problems))
    return dict(document)


def _odd_names(names: object, places: list[str]) -> Iterator[tuple[list[Any], str, str]]:
    """What is wrong with `names`: where, what, and what to write."""
    if not isinstance(names, dict):
        yield [], "is no list of meters", "write names: {1: {name: Main meter}}"
        return
    for key, said in names.items():
        inner = said.items() if key in places and isinstance(said, dict) else [(None, said)]
        for address, words in inner:
            way = [key] if address is None else [key, address]
            if not str(way[-1]).isdecimal():
                what = f"{way[-1]!r} is neither an address nor a place of scan"
                yield way, what, "write an address, or one of the places and the addresses below it"
            elif unknown := set(words) - _NAMED if isinstance(words, dict) else {""}:
                what = f"{', '.join(sorted(unknown)) or 'it'} is unknown"
                yield way, what, "write name, feeds, parent or ct"


def flaws(answers: SetupPart, key: str) -> str:
    """What is wrong with one answer, like `gateway.id`; empty when nothing is."""
    try:
        parse_config(written("", answers))
    except ConfigError as error:
        for problem in error.problems:
            if problem.key == key or problem.key.startswith(f"{key}."):
                return f"{problem.what} → {problem.mend}"
    return ""


def place_of(bus: SetupPart) -> str:
    """Where a bus is, as `scan` has it."""
    if "host" not in bus:
        return str(bus.get("port", ""))
    port = int(bus.get("port", 502))
    return str(bus["host"]) if port == 502 else f"{bus['host']}:{port}"


def _is_at(place: object, bus: SetupPart | None) -> bool:
    if bus is None:
        return False
    if "host" not in bus:
        return same_line({"type": "serial", "port": str(place)}, bus)
    return host_and_port(str(place)) == (str(bus["host"]), int(bus.get("port", 502)))


def met_at(answers: SetupPart, place: str) -> list[LineSetting]:
    """The setting of a line at which somebody was met before; none when nobody was."""
    setting = (answers.get("met") or {}).get(place)
    return [LineSetting(*setting)] if setting else []


def said_of(meter: SetupPart, answers: SetupPart) -> dict[str, Any]:
    """What `names` has for a meter: by its place and address, else by an address that no other meter has."""
    bus = next((bus for bus in answers.get("buses", ()) if bus.get("name") == meter.get("bus")), None)
    names, address = answers.get("names") or {}, meter.get("address", 1)
    for place, said in names.items():
        if isinstance(said, dict) and _is_at(place, bus):
            found = said.get(address) or said.get(str(address))
            if found:
                return dict(found)
    alone = sum(each.get("address", 1) == address for each in answers.get("meters", ())) == 1
    return dict(names.get(address) or names.get(str(address)) or {}) if alone else {}


def unmet(answers: SetupPart) -> list[tuple[str, str]]:
    """What `names` says of meters that nobody has heard, and of addresses that several meters have: each in
    words, with what to do.
    """
    found = []
    meters = answers.get("meters", ())
    heard = [(str(place), str(unit)) for place, unit in answers.get("left_out", ())]
    for key, said in (answers.get("names") or {}).items():
        if str(key).isdecimal():
            having = [meter for meter in meters if str(meter.get("address", 1)) == str(key)]
            if not having and str(key) not in {unit for _, unit in heard}:
                found.append((f"nobody answers at address {key}", "look at its display and its cable"))
            elif len(having) > 1:
                where = ", ".join(str(meter.get("bus")) for meter in having)
                mend = "write the port or host in names, and the addresses below it"
                found.append((f"address {key} is on {where}: nobody can say which one is meant", mend))
            continue
        buses = {bus["name"] for bus in answers.get("buses", ()) if _is_at(key, bus)}
        there = {str(meter.get("address", 1)) for meter in meters if meter.get("bus") in buses}
        found += [
            (f"nobody answers at address {address} of {key}", "look at its display and its cable")
            for address in said
            if str(address) not in there and (str(key), str(address)) not in heard
        ]
    return found


def named(answers: SetupPart) -> list[dict[str, Any]]:
    """The meters, as they are called."""
    found = []
    for meter in answers.get("meters", ()):
        said = said_of(meter, answers)
        more = {key: value for key, value in said.items() if value}
        # What was taken back is written over what stands in the file.
        more |= {key: none for key, none in _NONE.items() if said.get(key) == "" and meter.get(key)}
        found.append({**meter, **more})
    return found


def written(text: str, answers: SetupPart) -> str:
    """The configuration's text with what was answered; comments and layout of what is there stay, and so
    does a line that says the same already.
    """
    new = text or HEAD
    there = answers_of(text)
    for section in SECTIONS:
        same = there.get(section, {})
        values = {
            key: value
            for key, value in (answers.get(section) or {}).items()
            if value not in (None, "") and (key not in same or same[key] != value)
        }
        new = with_keys(new, section, values)
    for section, key in ITEMS:
        known = {row.get(key): row for row in there.get(section, ())}
        items = named(answers) if section == "meters" else answers.get(section) or ()
        for item in items:
            if (row := known.get(item[key])) is not None:
                for name in [name for name in item if name not in row or row[name] != item[name]]:
                    value = json.dumps(item[name], ensure_ascii=False)
                    new = with_value(new, section, item[key], name, value)
        fresh = [line for item in items if item[key] not in known for line in item_lines(item)]
        new = with_items(new, section, fresh)
    return new


def make_test_batch(gateway: str, uptime: int, *, synced: bool) -> SampleBatch:
    """A batch without readings, in an epoch of its own: what proves the way to the platform and back before
    the gateway has ever run. `uptime` in ms.
    """
    epoch = secrets.token_hex(8)
    batch = Batch(gateway, epoch, 1, round(time.time() * 1000), uptime, "synced" if synced else "unsynced")
    batch.events = [Event("epoch_started", uptime, {"previous": None, "last": None, "reason": _TEST})]
    return SampleBatch(epoch, 1, encode(batch))
