"""A configuration with what it names, and the change between two of them: what a person would call it, how
the platform is told, and whose values go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gateway import check
from gateway.catalogue import Driver
from gateway.common.files import read_regular
from gateway.config import Config, Meter, Pulse
from gateway.daemon.describe import driver_version
from gateway.errors import ConfigError

_PEOPLE = {"name", "feeds", "parent", "interval", "slow_interval", "enabled"}
"""Keys of a meter or a pulse input that do not change what is measured."""
_LISTS = {
    "buses": ("bus", "name"),
    "meters": ("meter", "id"),
    "pulses": ("pulse input", "id"),
    "uplinks": ("uplink", "name"),
}
"""Section of entries → what one is called, and the key that names it."""
_MAX_FILE = 4 * 1024 * 1024
"""Bytes of a file of an uplink: a whole set of public authorities has a quarter of a million."""
_CONTENT = ("password_file", "ca", "cert", "key")
"""Keys of an uplink whose file may change while its name does not."""


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """One change: a line for a person, the fields of the event `configuration_changed`, and the meters
    whose values it concerns.
    """

    words: str
    fields: dict[str, Any] = field(default_factory=dict)
    meters: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with what it names: its meter tables by name, and a digest of each file of an
    uplink.
    """

    config: Config
    drivers: dict[str, Driver]
    files: dict[tuple[str, str], str]
    """(uplink, key) → digest; a file that cannot be read has none. Never the content: it may be a secret."""


def load(path: Path) -> Loaded:
    """A configuration with the tables and files that it names. Raises ConfigError when no gateway can
    start with it.
    """
    config, drivers = check.load(path)
    return Loaded(config, drivers, digests(config))


def load_good(path: Path) -> Loaded:
    """A configuration as a reload takes it over. Raises ConfigError with everything that `submeter check`
    refuses.
    """
    if problems := check.check(path).problems:
        raise ConfigError(problems)
    return load(path)


def digests(config: Config) -> dict[tuple[str, str], str]:
    """A digest of every file that an uplink names. Reads files: not for the event loop."""
    found = {}
    for uplink in config.uplinks:
        for key in _CONTENT:
            path = getattr(uplink, key)
            try:
                found[uplink.name, key] = hashlib.blake2b(
                    read_regular(Path(path), _MAX_FILE) if path else b"", digest_size=16
                ).hexdigest()
            except OSError:
                continue
    return found


def differences(old: Loaded, new: Loaded) -> list[ConfigurationChange]:
    """Every change, key by key: meters first, then the tables that they are read by, then every other
    section.
    """
    changes = list(_entries("meters", old, new))
    changes += _tables(old, new)
    changes += _entries("buses", old, new)
    for section in ("pulses", "uplinks"):
        changes += _entries(section, old, new)
    changes += _contents(old, new)
    for section in type(new.config).model_fields:
        if section not in _LISTS:
            changes += _section(section, getattr(old.config, section), getattr(new.config, section))
    return changes


def same_source(old: Loaded, new: Loaded) -> set[str]:
    """The meters and pulse inputs whose values go on over a reload: measured at the same place, by the
    same table and settings.
    """
    versions = [
        {name: driver_version(driver) for name, driver in side.drivers.items()} for side in (old, new)
    ]
    buses = [{bus.name: bus for bus in side.config.buses} for side in (old, new)]

    def origin(meter: Meter | Pulse, side: int) -> tuple[object, ...]:
        keys = tuple(getattr(meter, key) for key in type(meter).model_fields if key not in _PEOPLE)
        if isinstance(meter, Pulse):
            return keys
        return (*keys, buses[side].get(meter.bus), versions[side].get(meter.driver))

    def origins(side: Loaded, number: int) -> dict[str, tuple[object, ...]]:
        sources: list[Meter | Pulse] = [*side.config.meters, *side.config.pulses]
        return {source.id: origin(source, number) for source in sources}

    before, after = origins(old, 0), origins(new, 1)
    return {name for name in before.keys() & after.keys() if before[name] == after[name]}


def _entries(section: str, old: Loaded, new: Loaded) -> Iterator[ConfigurationChange]:
    """Entries of a list, by their name: added, removed, changed."""
    noun, key = _LISTS[section]
    before = {getattr(entry, key): entry for entry in getattr(old.config, section)}
    after = {getattr(entry, key): entry for entry in getattr(new.config, section)}
    added = [(name, "added", new) for name in after if name not in before]
    removed = [(name, "removed", old) for name in before if name not in after]
    for name, change, side in [*added, *removed]:
        entry = f"{noun} {name}"
        yield ConfigurationChange(
            f"{entry} was added" if change == "added" else f"{entry} was removed",
            _fields(section, name, change=change),
            _concerned(section, name, side),
        )
    for name, entry in after.items():
        found = _compared(before[name], entry) if name in before else {}
        if found:
            concerned = _concerned(section, name, new) if found.keys() - _PEOPLE else frozenset[str]()
            yield ConfigurationChange(
                f"{noun} {name}: {_words(found)}",
                _fields(section, name, change="changed", fields=found),
                concerned,
            )


def _fields(section: str, name: str, **more: object) -> dict[str, Any]:
    return {"meter": name, **more} if section == "meters" else {"section": section, "name": name, **more}


def _concerned(section: str, name: str, side: Loaded) -> frozenset[str]:
    """The meters whose values come from this entry."""
    if section in {"meters", "pulses"}:
        return frozenset({name})
    return frozenset(meter.id for meter in side.config.meters if section == "buses" and meter.bus == name)


def _tables(old: Loaded, new: Loaded) -> Iterator[ConfigurationChange]:
    """Tables that say something else under the same name."""
    for name in sorted(old.drivers.keys() & new.drivers.keys()):
        if driver_version(old.drivers[name]) != driver_version(new.drivers[name]):
            meters = frozenset(meter.id for meter in new.config.meters if meter.driver == name)
            fields = {
                "section": "drivers",
                "name": name,
                "change": "changed",
                "version": driver_version(new.drivers[name]),
            }
            yield ConfigurationChange(
                f"table {name} says something else (meters {', '.join(sorted(meters))})", fields, meters
            )


def _contents(old: Loaded, new: Loaded) -> Iterator[ConfigurationChange]:
    """Files of an uplink that kept their name and have another content."""
    for uplink, key in sorted(old.files.keys() & new.files.keys()):
        if old.files[uplink, key] != new.files[uplink, key] and _path(old, uplink, key) == _path(
            new, uplink, key
        ):
            fields = {"section": "uplinks", "name": uplink, "change": "changed", "content": key}
            yield ConfigurationChange(f"uplink {uplink}: the file of {key} has another content", fields)


def _path(side: Loaded, uplink: str, key: str) -> object:
    return next(getattr(entry, key) for entry in side.config.uplinks if entry.name == uplink)


def _section(section: str, was: BaseModel, now: BaseModel) -> Iterator[ConfigurationChange]:
    found = _compared(was, now)
    if found:
        yield ConfigurationChange(
            f"{section}: {_words(found)}", {"section": section, "change": "changed", "fields": found}
        )


def _compared(was: BaseModel, now: BaseModel) -> dict[str, list[Any]]:
    """Key → [old, new] for every key that differs; a key that only one of them has is None in the other."""
    # By alias: so is a key called in the file.
    old, new = was.model_dump(mode="json", by_alias=True), now.model_dump(mode="json", by_alias=True)
    keys = dict.fromkeys([*old, *new])
    return {key: [old.get(key), new.get(key)] for key in keys if old.get(key) != new.get(key)}


def _words(found: dict[str, list[Any]]) -> str:
    return ", ".join(f"{key} was {_said(old)}, is {_said(new)}" for key, (old, new) in found.items())


def _said(value: object) -> str:
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return _listed(value)
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)


def _listed(values: Iterable[object]) -> str:
    return "[" + ", ".join(map(str, values)) + "]"
