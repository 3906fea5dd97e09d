"""Back from a backup onto an empty card: all of it is checked before anything is put in its place, the
configuration last, with which a waiting gateway begins.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from gateway.backup.contents import CONFIGURATION, MANIFEST, NAME, VERSION
from gateway.backup.envelope import Opener, Unsealed
from gateway.common.files import SECRETS, replacing
from gateway.config import load_config
from gateway.errors import BackupError, ConfigError

_EMPTY = "restore onto an empty card, or move away what is there"


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: the gateway's id, when the backup was made, and the files; `missing` are the
    keys of the configuration whose TLS key must be made anew.
    """

    gateway: str
    made: datetime
    files: tuple[Path, ...]
    missing: tuple[str, ...] = ()


def restore(source: BinaryIO, opener: Opener, path: Path, *, from_platform: bool = False) -> Restored:
    """Put everything of a backup in its place; its configuration at `path`. `from_platform`: also a small
    one, which lacks history and TLS key.

    The journal begins anew with the next start: a new file has a new epoch, so that no number is used twice.
    Raises BackupError, and has changed nothing then: where a gateway lives already, for a backup that is not
    whole, of a newer version, or that names files where it may not write.
    """
    if path.exists():
        raise BackupError(f"there is a configuration already: {path}", hint=_EMPTY)
    with _unpacked(source, opener, path.parent) as staged:
        manifest = _manifest(staged)
        if manifest.get("platform") and not from_platform:
            what = "this is the small backup of the platform: the history and the TLS key are not in it"
            raise BackupError(what, hint="take the newest one of backup.directory, or use --from-platform")
        try:
            config = load_config(staged / CONFIGURATION)
        except ConfigError as error:
            what = f"the backup's configuration cannot be used: {error}"
            raise BackupError(what, hint="install the version that made it") from error
        state = Path(config.journal.directory)
        if (state / "journal.db").exists():
            raise BackupError(f"a gateway's journal is there already: {state}", hint=_EMPTY)
        moves = [(file, state / file.name) for file in _below(staged / "state")]
        beside = staged / "beside"
        moves += [(file, path.parent / file.relative_to(beside)) for file in _below(beside)]
        if taken := [to for _, to in moves if to.exists()]:
            raise BackupError(f"{taken[0]} is there already", hint=_EMPTY)
        owner = _make(state)
        for file, to in moves:
            _put(file, to, owner if to.parent == state else None, path.parent)
        _put(staged / CONFIGURATION, path, None, path.parent)
        made = datetime.fromtimestamp(manifest["made"] / 1000, UTC)
        missing = tuple(
            f"uplinks[{index}].key"
            for index, uplink in enumerate(config.uplinks)
            if uplink.key and not Path(uplink.key).exists()
        )
        return Restored(config.gateway.id, made, tuple(to for _, to in (*moves, (None, path))), missing)


@contextmanager
def _unpacked(source: BinaryIO, opener: Opener, home: Path) -> Iterator[Path]:
    """The archive's files in a folder that is deleted at the end. Raises BackupError if it is not whole."""
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=home) as scratch:
        folder = Path(scratch)
        plain = Unsealed(source, opener)
        try:
            with tarfile.open(fileobj=plain, mode="r|gz") as archive:  # type: ignore[call-overload]  # it only reads
                for member in archive:
                    _unpack(archive, member, folder)
            while plain.read(1 << 20):  # to the mark of its end
                pass
        except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise BackupError(
                f"the backup cannot be read: {error}", hint="take another copy of it"
            ) from error
        yield folder


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    # Who knows the public key can make a backup: what is in it is no more trusted than any file.
    parts = PurePosixPath(member.name).parts
    good = member.isfile() and parts and ".." not in parts and not member.name.startswith("/")
    if len(parts) == 1:
        good = good and member.name in {MANIFEST, CONFIGURATION}
    else:
        state = parts[:1] == ("state",) and len(parts) == 2 and NAME.fullmatch(parts[1])
        good = good and (parts[0] == "beside" or bool(state))
    body = archive.extractfile(member) if good else None
    if body is None:
        raise BackupError(
            f"the backup holds {member.name!r}, which has no place in one", hint="take another one"
        )
    place = folder / Path(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as target:
        shutil.copyfileobj(body, target)
    place.chmod(member.mode & 0o640 | 0o600)


def _manifest(staged: Path) -> dict[str, int]:
    try:
        manifest: dict[str, int] = json.loads((staged / MANIFEST).read_text())
        known = manifest["v"] <= VERSION and isinstance(manifest["made"], int)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError("the backup does not say what it is", hint="take another copy of it") from error
    if not known or not (staged / CONFIGURATION).exists():
        raise BackupError(
            "the backup was made by a newer version", hint="install that version and restore again"
        )
    return manifest


def _below(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else []


def _make(state: Path) -> tuple[int, int]:
    """The state directory, and who owns what is in it."""
    state.mkdir(mode=0o750, parents=True, exist_ok=True)
    found = state.stat()
    return found.st_uid, found.st_gid


def _put(file: Path, to: Path, owner: tuple[int, int] | None, home: Path) -> None:
    """Put a file where it belongs, whole or not at all; what is no state is root's and the group's, or root's
    alone.
    """
    alone = to.parent == SECRETS
    group = 0 if alone else home.stat().st_gid
    if not to.parent.exists():
        to.parent.mkdir(parents=True, mode=0o700 if alone else 0o750)
        if os.geteuid() == 0:
            os.chown(to.parent, 0, group)
    mode = 0o640 if owner is None and not alone else 0o600
    whose = (owner or (0, group)) if os.geteuid() == 0 else None
    with file.open("rb") as kept, replacing(to, mode=mode, owner=whose) as target:
        shutil.copyfileobj(kept, target)
