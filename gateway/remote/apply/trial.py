"""Files on trial: what was there is kept, a mark says so, and only then the new ones are put in their place.
Whoever finds the mark goes back.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.common.file_versions import read_object
from gateway.common.files import sync_folder, write_durably
from gateway.remote.apply.change import Change

MARK = "trial.json"
OLD = "before"


class FileTrial:
    """In the state directory of submeter-apply. Raises OSError."""

    def __init__(self, state: Path) -> None:
        self._mark = state / MARK
        self._old = state / OLD

    @property
    def pending(self) -> dict[str, Any]:
        """The mark: `id` of the command and `files`; empty when nothing is on trial."""
        return read_object(self._mark)

    def begin(self, request_id: str, changes: Sequence[Change]) -> None:
        """Keep what is there, mark the trial on disk, then put the new files in their place."""
        shutil.rmtree(self._old, ignore_errors=True)
        self._old.mkdir(mode=0o700)
        files = []
        for number, change in enumerate(changes):
            kept = None
            if change.path.exists():
                kept = str(number)
                write_durably(self._old / kept, change.path.read_bytes())
            digest = hashlib.sha256(change.content).hexdigest()
            files.append({"path": str(change.path), "kept": kept, "sha256": digest})
        write_durably(self._mark, json.dumps({"id": request_id, "files": files}).encode())
        for change in changes:
            put(change.path, change.content)

    def end(self) -> None:
        """Nothing is on trial any more: what is there stays."""
        self._mark.unlink(missing_ok=True)
        sync_folder(self._mark.parent)
        shutil.rmtree(self._old, ignore_errors=True)

    def undo(self) -> list[str]:
        """Put back what was there; the files that somebody else has changed meanwhile stay, and are named.

        The mark stays until `end`: it may be cut off and done again.
        """
        left = []
        for file in self.pending.get("files", []):
            path = Path(file["path"])
            kept = None if file["kept"] is None else (self._old / file["kept"]).read_bytes()
            now = path.read_bytes() if path.exists() else None
            if now == kept:
                continue
            if now is not None and hashlib.sha256(now).hexdigest() != file["sha256"]:
                left.append(str(path))
            elif kept is None:
                path.unlink()
                sync_folder(path.parent)
            else:
                put(path, kept)
        return left


def put(path: Path, content: bytes) -> None:
    """Put a file in its place, whole or not at all, with the rights of what it replaces; a new one is for
    root to write and for the group of its folder to read.
    """
    try:
        about = path.stat()
        mode, owner = about.st_mode & 0o777, (about.st_uid, about.st_gid)
    except FileNotFoundError:
        mode, owner = 0o640, (os.geteuid(), path.parent.stat().st_gid)
    write_durably(path, content, mode=mode, owner=owner)
