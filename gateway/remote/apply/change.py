"""What a signed command would change, and whether it may: the files as they would be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import check
from gateway.catalogue import load_text
from gateway.config import UPLINK_FILES, Config, load_config
from gateway.errors import CommandRefused, ConfigError

_NAME = re.compile(r"[a-z0-9-]{1,64}")
MOST_LINES = 10
"""Problems that are told."""
_FIXED = ("remote", "journal")
"""Sections that no command changes: who may command, and where the readings are."""


@dataclass(frozen=True, slots=True)
class Change:
    """A file below /etc/submeter and its new content."""

    path: Path
    content: bytes


def new_configuration(text: str, config: Path, staged: Path) -> Change:
    """A pushed gateway.yaml, checked as by `submeter check`. Raises CommandRefused with every problem.

    `staged` is where it may be put to be looked at.
    """
    present = load_config(config)
    staged.write_text(text, encoding="utf-8")
    try:
        checked = check.check(staged)
    finally:
        staged.unlink()
    if checked.problems or checked.config is None:
        lines = [str(problem).replace(str(staged), config.name) for problem in checked.problems[:MOST_LINES]]
        raise CommandRefused("bad", "\n".join(lines), hint="")
    refusals = list(_not_allowed(present, checked.config, config.parent))
    if refusals:
        raise CommandRefused("not_allowed", "; ".join(refusals[:MOST_LINES]))
    return Change(config, text.encode())


def _not_allowed(old: Config, new: Config, home: Path) -> Iterator[str]:
    """What a pushed configuration says that none may."""
    for section in _FIXED:
        if getattr(old, section) != getattr(new, section):
            yield f"{section} cannot be changed from afar"
    if old.gateway.id != new.gateway.id:
        yield "gateway.id cannot be changed from afar"
    if old.status.listen != new.status.listen:
        yield "status.listen cannot be changed from afar"
    before = {uplink.name: uplink for uplink in old.uplinks}
    known = {str(uplink.broker): uplink for uplink in old.uplinks}
    for uplink in new.uplinks:
        same = before.get(uplink.name) or known.get(str(uplink.broker))
        if same is not None and same.ca != uplink.ca:
            yield f"the ca of uplink {uplink.name} cannot be changed from afar"
    written = set(_paths(old.model_dump(mode="json")))
    for key, value in _paths(new.model_dump(mode="json")):
        if (key, value) not in written and not _is_below(Path(value), _home_of(key, home)):
            yield f"{key} names {value}, which is not below {_home_of(key, home)}"


def _home_of(key: str, home: Path) -> Path:
    return Path("/dev") if key.startswith("buses.") else home


def _paths(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(key, path) of everything that looks like a place on this machine."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _paths(each, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for each in value:
            yield from _paths(each, key)
    elif isinstance(value, str) and _is_path(value, key.rpartition(".")[2]):
        yield key, value


def _is_path(value: str, key: str) -> bool:
    return value.startswith(("/", "~", "..")) or key in {"directory", *UPLINK_FILES}


def _is_below(path: Path, home: Path) -> bool:
    """Whether a path ends up below a folder, whatever links stand on its way."""
    return path.is_absolute() and path.resolve().is_relative_to(home.resolve()) and path.resolve() != home


def new_table(payload: str, config: Path) -> Change:
    """A pushed meter table: JSON with `name` and `table`. Raises CommandRefused with every problem."""
    directory = Path(load_config(config).drivers.directory)
    if not _is_below(directory, config.parent):
        raise CommandRefused("not_allowed", f"drivers.directory is not below {config.parent}")
    try:
        pushed = json.loads(payload)
        name, table = pushed["name"], pushed["table"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise CommandRefused("bad", "the payload is no JSON object with name and table") from error
    if not isinstance(name, str) or not isinstance(table, str) or not _NAME.fullmatch(name):
        raise CommandRefused("bad", "the name of a table is small letters, digits and hyphens, at most 64")
    try:
        load_text(table, name, f"{name}.yaml")
    except ConfigError as error:
        lines = [str(problem) for problem in error.problems[:MOST_LINES]]
        raise CommandRefused("bad", "\n".join(lines), hint="") from error
    return Change(directory / f"{name}.yaml", table.encode())
