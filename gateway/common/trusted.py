"""Public keys that a person put into a folder: whose signature counts."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from gateway.common.files import read_regular

PUBLIC_KEY = "ed25519:"
PUT_ONE = "put the line that submeter care new-key prints into a file there, NAME.pub, owned by root"
"""What makes a key count."""
_MAX_FILE = 4096
_MOST = 50
"""Files with keys that are looked at."""


class UnusableKeys(Exception):
    """No key of a folder counts: `what` is wrong, and the `mend`."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}: {mend}")
        self.what, self.mend = what, mend


def trusted_keys(directory: Path, owner: int | None = None) -> dict[str, bytes]:
    """Name → key (Ed25519, 32 bytes) of each *.pub file of a folder. Raises UnusableKeys.

    A key that others could exchange is none: nobody but its owner may write the folder and the files; with
    `owner` (a user id) that must be its owner.
    """
    try:
        return _keys(directory, owner)
    except OSError as error:
        raise UnusableKeys(f"{directory} cannot be read: {error.strerror}", PUT_ONE) from error


def _keys(directory: Path, owner: int | None) -> dict[str, bytes]:
    found = {}
    for path in (directory, *sorted(directory.glob("*.pub"))[:_MOST]):
        about = path.lstat()
        if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UnusableKeys(f"{path} may be written by others", f"chmod go-w {path}")
        if about.st_uid not in ({0, os.geteuid()} if owner is None else {owner}):
            raise UnusableKeys(f"{path} is not root's", f"sudo chown root {path}")
        if path != directory:
            found[path.stem] = _key(path)
    return found


def _key(path: Path) -> bytes:
    text = read_regular(path, _MAX_FILE).decode("ascii", "replace").split()
    try:
        raw = base64.b64decode(text[0].removeprefix(PUBLIC_KEY), validate=True)
    except (IndexError, ValueError):
        raw = b""
    if not text or not text[0].startswith(PUBLIC_KEY) or len(raw) != 32:
        raise UnusableKeys(
            f"{path} is no key", f"write the line that submeter care new-key prints, {PUBLIC_KEY}…"
        )
    return raw
