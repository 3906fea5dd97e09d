"""What a backup holds: the configuration, what it names, and what the gateway has learnt and counted.

A tar archive, compressed, encrypted while it is made: no secret touches a disk in the clear. The readings are
not in it: those that were delivered are at the platform, and the others die with the card.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.backup.envelope import Sealer
from gateway.common.files import read_regular
from gateway.config import Config
from gateway.errors import BackupError

VERSION = 1
MANIFEST = "manifest.json"
CONFIGURATION = "gateway.yaml"
MAX_FILE = 64 * 1024 * 1024
"""Bytes of a file that is no database."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Of a file in the state directory, and of a table."""
_NOT_KEPT = re.compile(
    r"journal\..*|ballast.*|history\.db\..*|.*-(?:wal|shm|journal)|.*\.(?:lock|new|sock|aside-\d+)"
)
"""Of the state directory: the journal, what SQLite keeps beside a database, copies of what is kept."""

_FIRST = ("pulses.json", "signing.key", "signing.pub")
"""Of the state directory: what nothing can be made of again."""


@dataclass(frozen=True, slots=True)
class Left:
    """A file that is not in the backup, and why."""

    path: str
    why: str


def write_backup(path: Path, config: Config, sealer: Sealer) -> list[Left]:
    """Write the backup of the gateway whose configuration is at `path`; what had to be left out.

    Raises BackupError when the configuration itself cannot be read.
    """
    return write_files(path, config, sealer, files_of(path, config))


def files_of(path: Path, config: Config) -> list[tuple[str, Path]]:
    """What belongs into a backup beside the configuration, in the order of its worth: what no person can
    write again, then what is small.
    """
    return [*_named(path, config), *_state(Path(config.journal.directory))]


def write_files(
    path: Path, config: Config, sealer: Sealer, files: list[tuple[str, Path]], *, platform: bool = False
) -> list[Left]:
    """Write a backup of the configuration and `files`; what could not be read. `platform`: it says of itself
    that it is the small one. Raises BackupError when the configuration itself cannot be read.
    """
    left: list[Left] = []
    with tarfile.open(fileobj=sealer, mode="w|gz") as archive:  # type: ignore[call-overload]  # it only writes
        manifest = {
            "v": VERSION,
            "gateway": config.gateway.id,
            "made": time.time_ns() // 1_000_000,
            "version": __version__,
            "path": str(path),
            "platform": platform,
        }
        _add(archive, MANIFEST, json.dumps(manifest).encode())
        try:
            _add(archive, CONFIGURATION, read_regular(path, MAX_FILE))
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror}", hint="run it as root") from error
        for kind, file in files:
            try:
                _add_file(archive, kind, file, path.parent)
            except (OSError, sqlite3.Error, BackupError) as error:
                left.append(Left(str(file), getattr(error, "strerror", None) or str(error)))
    sealer.close()
    return left


def _named(path: Path, config: Config) -> Iterator[tuple[str, Path]]:
    """What the configuration names: certificates, keys and passwords, the keys whose commands count, and the
    technician's own tables.
    """
    for uplink in config.uplinks:
        for name in ("password_file", "ca", "cert", "key"):
            if file := getattr(uplink, name):
                yield "beside", path.parent / file
    if config.building.temperatures:
        yield "beside", Path(config.building.temperatures)
    if config.remote.commands:
        yield from (("beside", file) for file in sorted(Path(config.remote.trust).glob("*.pub")))
    yield from (("beside", file) for file in sorted(Path(config.drivers.directory).glob("*.yaml")))


def _state(directory: Path) -> Iterator[tuple[str, Path]]:
    if not directory.is_dir():
        return
    found = [
        file
        for file in directory.iterdir()
        if NAME.fullmatch(file.name) and not _NOT_KEPT.fullmatch(file.name) and file.is_file()
    ]
    for file in sorted(found, key=lambda file: (file.name not in _FIRST, file.stat().st_size, file.name)):
        yield "state", file


def _add_file(archive: tarfile.TarFile, kind: str, file: Path, home: Path) -> None:
    if kind == "state":
        if file.suffix == ".db":
            _add_database(archive, f"state/{file.name}", file)
        else:
            _add(archive, f"state/{file.name}", read_regular(file, MAX_FILE))
        return
    try:
        place = file.resolve().relative_to(home.resolve())
    except ValueError:
        raise BackupError(f"it is outside of {home}", hint="") from None
    name = f"beside/{place}"
    if name not in archive.getnames():
        _add(archive, name, read_regular(file, MAX_FILE), file.stat().st_mode & 0o777)


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o600) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    archive.addfile(member, io.BytesIO(data))


def _add_database(archive: tarfile.TarFile, name: str, file: Path) -> None:
    """A database as it is at one moment, while others write to it."""
    with tempfile.TemporaryDirectory(prefix="submeter-backup-") as scratch:
        copy = Path(scratch) / file.name
        with (
            contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target, pages=1024, sleep=0.05)
        member: Any = tarfile.TarInfo(name)
        member.size, member.mode = copy.stat().st_size, 0o600
        with copy.open("rb") as body:
            archive.addfile(member, body)
