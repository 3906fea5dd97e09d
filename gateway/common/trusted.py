"""Public keys that a person put into a folder: whose signature counts."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from gateway.common.files import read_regular

PUBLIC_KEY = "ed25519:"
_MAX_FILE = 4096
_MOST = 50
"""Files with keys that are looked at."""


def trusted_keys(directory: Path, owner: int | None = None) -> dict[str, bytes]:
    """Name → key (Ed25519, 32 bytes) of each *.pub file of a folder. Raises OSError, and ValueError with what
    is wrong.

    A key that others could exchange is none: nobody but its owner may write the folder and the files; with
    `owner` (a user id) that must be its owner.
    """
    found = {}
    for path in (directory, *sorted(directory.glob("*.pub"))[:_MOST]):
        about = path.lstat()
        if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError(f"{path} may be written by others: chmod go-w {path}")
        if about.st_uid not in ({0, os.geteuid()} if owner is None else {owner}):
            raise ValueError(f"{path} is not root's: sudo chown root {path}")
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
        raise ValueError(f"{path} is no key: write the line that submeter care new-key prints, {PUBLIC_KEY}…")
    return raw
