"""Load a configuration: every problem at once, each with its line and its mend."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from gateway.common.near import did_you_mean, either
from gateway.common.text import in_short, quoted
from gateway.config.explain import Told, explain, shown
from gateway.config.schema import Config, SerialBus, TcpBus
from gateway.config.sections.machine import named_pins
from gateway.config.units import parse_switch
from gateway.config.validation import dotted, line_of, validate
from gateway.config.yamlfile import Key, Table, few, load_yaml, parse_yaml
from gateway.errors import ConfigError, Problem

log = logging.getLogger(__name__)

_TOP = Config.model_fields
_LISTED = 20
"""Names that are listed."""
_SAMPLE = "remove it, or look at the sample configuration"
_8E1 = 80.0
"""What YAML makes of 8E1."""
MAX_SERIAL_ADDRESS = 247
"""Modbus over Serial Line V1.02, 2.2."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that was looked at: its document when it is YAML, its configuration when nothing in it is
    wrong, and what is.
    """

    document: Table | None
    config: Config | None
    problems: list[Problem]


def load_config(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError with every problem found, and nothing else."""
    return _whole(examine(path))


def parse_config(text: str, name: str = "gateway.yaml") -> Config:
    """Check a configuration that is already in memory. Raises ConfigError with every problem found, and
    nothing else.
    """
    return _whole(_check(lambda: parse_yaml(text, name), name))


def examine(path: Path) -> Examined:
    """Look at a configuration file. Raises nothing: what is wrong stands in `problems`."""
    return _check(lambda: load_yaml(path), str(path))


def _whole(found: Examined) -> Config:
    if found.config is None:
        raise ConfigError(found.problems)
    return found.config


def _check(read: Callable[[], tuple[Table | None, list[Problem]]], name: str) -> Examined:
    document = None
    try:
        document, problems = read()
        return _judge(document, problems, name)
    except Exception as error:
        # A file that nobody thought of: whoever waits for the reload must hear of it all the same.
        log.exception("%s: a configuration that cannot be judged", name)
        what = f"cannot be judged: {type(error).__name__}: {error}"
        return Examined(document, None, [Problem(name, 1, "", what[:300], "take out what was changed last")])


def _judge(document: Table | None, problems: list[Problem], name: str) -> Examined:
    if document is None:
        return Examined(None, None, problems)
    config, problems = validate(Config, document, name, _explain)
    # What names what is checked on the raw file too, so that one slip does not hide the next.
    found = few(
        (
            Problem(name, line_of(document, loc), dotted(loc), what, mend)
            for loc, what, mend in _cross_check(document)
        ),
        name,
    )
    return Examined(document, None if found else config, sorted({*problems, *found}))


def _explain(error: dict[str, Any]) -> Told:
    """One pydantic error in words, with what is peculiar to this file."""
    kind, value = error["type"], error.get("input")
    if kind == "union_tag_invalid":
        return "is not a bus type", "write type: serial, tcp or rtu-over-tcp"
    if kind == "union_tag_not_found":
        return "has no type", "write type: serial, tcp or rtu-over-tcp"
    if kind == "string_pattern_mismatch":
        if error.get("ctx", {}).get("pattern", "").startswith("^[a-z0-9-]{1,"):
            return f"{shown(value)} is not an id", "write small letters, digits and hyphens only, at most 32"
        return f"{shown(value)} does not have the right form", "write host:port, like 0.0.0.0:8080"
    elsewhere = _elsewhere(str(error["loc"][-1])) if kind == "extra_forbidden" else _SAMPLE
    what, mend = explain(error, _known_keys, elsewhere)
    if kind == "literal_error" and (value == _8E1 or str(value) in {"8E1", "8N1", "8O1"}):
        mend += " (frame formats like 8E1 are numbers to YAML: write parity: E and stopbits: 1)"
    elif value == _8E1 and kind.endswith(("_type", "_parsing")):
        mend = 'was it 8E1? YAML reads that as 80.0: write "8E1" in quotes, or parity: E'
    return what, mend


def _elsewhere(key: str) -> str:
    """Where a key belongs that is none where it stands."""
    if key in _TOP:
        return "write it at the beginning of a line, it is a section of its own"
    sections = [section for section in _TOP if key in _known_keys((section, key))]
    if sections:
        return f"write it under {either(sections)}, whose key it is"
    return _SAMPLE


def _known_keys(loc: tuple[Key, ...]) -> list[str]:
    """The keys that stand beside the one at `loc`."""
    parents = [key for key in loc[:-1] if isinstance(key, str)]
    if not parents:
        return list(_TOP)
    if parents[0] == "buses":
        return [*SerialBus.model_fields, *TcpBus.model_fields]
    field = _TOP.get(parents[0])
    section = field.annotation if field else None
    section = (get_args(section) or (section,))[0]
    fields = getattr(section, "model_fields", {})
    return [field.alias or name for name, field in fields.items()]


def _backup(document: Table) -> Iterator[tuple[list[Key], str, str]]:
    """The uplink over which the small backup goes: it must be there, and speak our own language."""
    section = document.get("backup")
    name = section.get("platform") if isinstance(section, Table) else None
    if not isinstance(section, Table) or name is None:
        return
    loc: list[Key] = ["backup", "platform"]
    uplinks = {str(row.get("name")): row for _, row in rows_of(document, "uplinks")}
    if str(name) not in uplinks:
        yield loc, f"{quoted(name)} is not the name of an uplink", _offer(name, list(uplinks), "uplinks")
    elif uplinks[str(name)].get("dialect", "native") != "native":
        yield loc, f"{quoted(name)} is no native uplink", "leave it out: other platforms keep no backups"
    elif section.get("recipient") is None:
        yield loc, "is not used without recipient", "write what submeter backup --new-key prints"


def _cross_check(document: Table) -> Iterator[tuple[list[Key], str, str]]:
    """What one section says of another: names that must exist, must not repeat, must not clash."""
    buses = _names(document, "buses", "name")
    meters = _names(document, "meters", "id")
    yield from _repeats(document, "buses", "name")
    yield from _repeats(document, "uplinks", "name")
    yield from _repeats(document, "meters", "id")
    taken = set(map(str, meters))
    for index, pulse in rows_of(document, "pulses"):
        if (name := str(pulse.get("id"))) in taken:
            yield (
                ["pulses", index, "id"],
                f"{quoted(name)} is already the id of another meter",
                "give each meter and pulse input its own id",
            )
        taken.add(name)
    yield from _pins(document)
    yield from _plants(document, meters)
    yield from _backup(document)
    yield from _remote(document)
    places: dict[tuple[str, str], int] = {}
    lines = {str(row.get("name")) for _, row in rows_of(document, "buses") if row.get("type") != "tcp"}
    ancestors = _in_a_loop(document)
    names_of_buses, names_of_meters = set(buses), set(meters)
    rows = dict(rows_of(document, "meters"))
    for index, meter in rows.items():
        bus, address = meter.get("bus"), meter.get("address", 1)
        if not isinstance(document.get("buses", []), list):
            pass  # that is said, and nobody knows their names
        elif bus is not None and not (isinstance(bus, str) and bus in names_of_buses):
            what = f"{quoted(bus)} is not the name of a bus"
            yield ["meters", index, "bus"], what, _offer(bus, buses, "buses")
        elif is_enabled(meter):
            # A meter that is switched off may keep its address while another one sits in its place.
            first = places.setdefault((str(bus), str(address)), index)
            if first != index:
                what = (
                    f"address {in_short(address)} on bus {in_short(bus)} is already taken by "
                    f"{in_short(rows[first].get('id'))}"
                )
                yield ["meters", index, "address"], what, "each meter on a bus has its own address"
        parent = meter.get("parent")
        if parent is not None and not (isinstance(parent, str) and parent in names_of_meters):
            yield (
                ["meters", index, "parent"],
                f"{quoted(parent)} is not the id of a meter",
                _offer(parent, meters, "meters"),
            )
        elif parent is not None and str(meter.get("id")) in ancestors:
            yield (
                ["meters", index, "parent"],
                "the meter would be its own ancestor",
                "let the tree end at the main meter (parent: null)",
            )
        if str(bus) in lines and isinstance(address, int) and not 1 <= address <= MAX_SERIAL_ADDRESS:
            yield (
                ["meters", index, "address"],
                f"{in_short(address)} is not an address on a serial line",
                "write 1 to 247",
            )


def _pins(document: Table) -> Iterator[tuple[list[Key], str, str]]:
    """Pins that two things are wired to."""
    first: dict[int, list[Key]] = {}
    for loc, pin in named_pins(document):
        if isinstance(pin, int) and not isinstance(pin, bool) and first.setdefault(pin, loc) is not loc:
            other = first[pin]
            yield (
                loc,
                f"GPIO {pin} is used twice (first by {dotted(other)} in line {line_of(document, other)})",
                "wire each to a pin of its own",
            )


def _plants(document: Table, meters: list[str]) -> Iterator[tuple[list[Key], str, str]]:
    building = document.get("building")
    plants = building.get("pv") if isinstance(building, Table) else None
    for index, plant in enumerate(plants if isinstance(plants, list) else ()):
        meter = plant.get("meter") if isinstance(plant, Table) else None
        if isinstance(meter, str) and meter not in meters:
            what = f"{quoted(meter)} is not the id of a meter"
            yield ["building", "pv", index, "meter"], what, _offer(meter, meters, "meters")


def _remote(document: Table) -> Iterator[tuple[list[Key], str, str]]:
    """The uplink that remote care goes over: it is there, and speaks our language."""
    section = document.get("remote")
    name = section.get("uplink") if isinstance(section, Table) else None
    if not isinstance(name, str) or not isinstance(section, Table):
        return
    uplink = next((row for _, row in rows_of(document, "uplinks") if row.get("name") == name), None)
    where: list[Key] = ["remote", "uplink"]
    if uplink is None:
        names = _names(document, "uplinks", "name")
        yield where, f"{quoted(name)} is not the name of an uplink", _offer(name, names, "uplinks")
    elif uplink.get("dialect", "native") != "native":
        yield where, f"uplink {in_short(name)} does not speak the native dialect", "name one that does"
    elif "renew" in section and not ("cert" in uplink and "key" in uplink):
        what = f"uplink {in_short(name)} has no certificate to renew"
        yield ["remote", "renew"], what, "write cert and key there, or leave renew out"


def rows_of(document: Table, section: str) -> Iterator[tuple[int, Table]]:
    """The entries of a section that are mappings, with their place in its list."""
    rows = document.get(section)
    if isinstance(rows, list):
        yield from ((index, row) for index, row in enumerate(rows) if isinstance(row, Table))


def is_enabled(meter: Table) -> bool:
    """Whether an entry of `meters` is switched on, as far as its key can be understood."""
    return parse_switch(meter.get("enabled", True)) is not False


def _names(document: Table, section: str, key: str) -> list[str]:
    return [row[key] for _, row in rows_of(document, section) if isinstance(row.get(key), str)]


def _repeats(document: Table, section: str, key: str) -> Iterator[tuple[list[Key], str, str]]:
    seen: dict[Any, int] = {}
    for index, row in rows_of(document, section):
        value = row.get(key)
        if isinstance(value, (str, int)) and seen.setdefault(value, index) != index:
            line = line_of(document, [section, seen[value], key])
            yield (
                [section, index, key],
                f"{quoted(value)} is used twice (first in line {line})",
                f"give each of the {section} its own {key}",
            )


def _in_a_loop(document: Table) -> set[str]:
    """The meters that are their own ancestors; each is walked over once."""
    parents = {str(row.get("id")): row.get("parent") for _, row in rows_of(document, "meters")}
    found: set[str] = set()
    done: set[str] = set()
    for start in parents:
        path: dict[str, int] = {}
        at = start
        while at in parents and at not in done and at not in path:
            path[at] = len(path)
            at = str(parents[at])
        if at in path:
            found.update(itertools.islice(path, path[at], None))
        done.update(path)
    return found


def _offer(value: object, known: list[str], what: str) -> str:
    listed = ", ".join(map(in_short, known[:_LISTED])) + (" …" if len(known) > _LISTED else "")
    otherwise = f"the {what} of this file are: {listed}" if known else f"this file has no {what}"
    return did_you_mean(str(value), known, otherwise)
