"""The files and folders that a configuration names, and those that count although it names none."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.check import later
from gateway.common.files import is_missing
from gateway.common.trusted import PUT_ONE, UnusableKeys, trusted_keys
from gateway.config import OWN_RULES, TRUST, UPLINK_FILES, DriversSection, Key, Table, rows_of
from gateway.config.temperatures import load_temperatures
from gateway.errors import ConfigError, Problem

_TARIFF = re.compile(r"[a-z0-9-]{1,64}")
Told = tuple[list[Key], str, str]
"""Where in the file, what is wrong, what to write."""


def directory_of(document: Table, section: str, default: str) -> Path:
    """The folder that a section names."""
    rows = document.get(section)
    written = rows.get("directory") if isinstance(rows, Table) else None
    return Path(written if isinstance(written, str) and "\0" not in written else default)


def unusable_files(document: Table) -> Iterator[Told]:
    """Files of the uplinks that are not there, may not be read or are not what they should be."""
    for index, row in rows_of(document, "uplinks"):
        paths = {
            key: value for key in UPLINK_FILES if isinstance(value := row.get(key), str) and "\0" not in value
        }
        if _waits(paths):
            del paths["cert"], paths["key"]
        if "token_file" in paths and is_missing(Path(paths["token_file"])):
            del paths["token_file"]  # it goes when it was of use
        for key, what, mend in later.mqtt.file_mistakes(paths):
            yield ["uplinks", index, key], what, mend


def _waits(paths: Mapping[str, str]) -> bool:
    """Whether certificate and key of an uplink have a place and are still to be made."""
    named = [Path(paths[key]) for key in ("cert", "key") if key in paths]
    return len(named) == 2 and all(file.parent.is_dir() and is_missing(file) for file in named)


def uncertified(document: Table) -> Iterator[Told]:
    """Uplinks whose certificate is still to be made."""
    for index, row in rows_of(document, "uplinks"):
        paths = {key: value for key in ("cert", "key") if isinstance(value := row.get(key), str)}
        if not any("\0" in path for path in paths.values()) and _waits(paths):
            mend = "have one made: sudo submeter enroll; or write the name of the file that is meant"
            yield ["uplinks", index, "cert"], f"there is no certificate {paths['cert']} yet", mend


def unusable_folders(document: Table) -> Iterator[Told]:
    """What stands where a folder is meant, and the folder of keys when none of them counts. One that is not
    there may come: tables of one's own, a stick for backups.
    """
    for name, default in (("drivers", DriversSection().directory), ("backup", "")):
        place = directory_of(document, name, default)
        if _is_no_folder(place):
            yield [name, "directory"], f"{place} is no folder", "write the name of a folder"
    section = document.get("remote")
    if not isinstance(section, Table) or not section.get("commands"):
        return
    written = section.get("trust", TRUST)
    if not isinstance(written, str) or "\0" in written:
        return
    where: list[Key] = ["remote", "trust"]
    if _is_no_folder(Path(written)):
        yield where, f"{written} is no folder", "write the name of a folder"
        return
    try:
        if not trusted_keys(Path(written)):
            yield where, f"{written} holds no key (*.pub): nobody may send a command", PUT_ONE
    except UnusableKeys as unusable:
        yield where, unusable.what, unusable.mend


def _is_no_folder(place: Path) -> bool:
    """Whether something else stands there, as far as that can be seen."""
    try:
        return not stat.S_ISDIR(place.stat().st_mode)
    except OSError:
        return False


def unusable_contents(document: Table) -> Iterator[Problem]:
    """What is wrong in the file of temperatures, and in one's own files of tariffs and limits."""
    section = document.get("building")
    named = section.get("temperatures") if isinstance(section, Table) else None
    if isinstance(named, str) and named.startswith("/") and "\0" not in named:
        try:
            load_temperatures(Path(named))
        except ConfigError as error:
            yield from error.problems
    for own in sorted(Path(OWN_RULES).glob("*.yaml")):
        try:
            later.rules.load_rules(own)
        except ConfigError as error:
            yield from error.problems


def unknown_tariff(document: Table) -> Iterator[Told]:
    """A tariff that the rules file of its country does not have: no energy would be shown by its parts."""
    section = document.get("building")
    name = section.get("tariff") if isinstance(section, Table) else None
    if not isinstance(name, str) or not _TARIFF.fullmatch(name):
        return
    rules = later.rules.rules_path(name.partition("-")[0])
    where: list[Key] = ["building", "tariff"]
    if is_missing(rules):
        mend = (
            f"write one whose name begins with a country, like tr-three-time, or add {OWN_RULES}/{rules.name}"
        )
        yield where, f"there are no rules for {name}", mend
        return
    try:
        known = sorted(later.rules.load_rules(rules)["tariffs"])
    except ConfigError:
        return  # its mistakes are told by themselves
    if name not in known:
        mend = "write its bands there under tariffs, as the rules that come with the gateway have them"
        if known:
            mend = f"write one of {', '.join(known)}"
        yield where, f"{rules} has no tariff {name}", mend
