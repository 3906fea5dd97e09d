"""Requests from the daemon to submeter-apply, and what came of them: files in two folders, each written by
one side alone.

The daemon may be taken over: root follows no link of its folder, reads no more than a bound, and writes
nothing there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.common.file_versions import read_object
from gateway.common.files import write_durably

FOLDER = "requests"
"""In the state directory of the daemon."""
RESULTS = "results"
"""In that of submeter-apply, for everybody to read."""
SUFFIX = ".request"
APPLY = Path("/var/lib/submeter-apply")
APPLY_VARIABLE = "SUBMETER_APPLY"
"""Names another folder than the installed one's."""
MAX_REQUEST = 256 * 1024
MOST = 8
"""Requests that are read at once, and results that are kept."""
_NAME = re.compile(r"[a-z]{1,16}-\d{1,16}")


def apply_folder() -> Path:
    """Where submeter-apply keeps its state."""
    return Path(os.environ.get(APPLY_VARIABLE) or APPLY)


def request_folder(state: Path) -> Path:
    """The daemon's folder of requests, made when it is not there. Raises OSError."""
    folder = state / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def hand_over(state: Path, name: str, message: bytes) -> Path:
    """Leave a signed command for submeter-apply. Raises OSError."""
    folder = request_folder(state)
    place = folder / f"{name}{SUFFIX}"
    write_durably(place, message)
    return place


def read_requests(folder: Path) -> Iterator[bytes]:
    """The requests of a folder that is somebody else's, oldest name first; each is gone when it is given.

    What is no small regular file, or no name of ours, is deleted or left, and never followed.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        listed = os.listdir(handle)  # noqa: PTH208 - what was opened, whatever has its name by now
        names = sorted(name for name in listed if name.endswith(SUFFIX))
        for name in names[:MOST]:
            data = _read(handle, name) if _NAME.fullmatch(name.removesuffix(SUFFIX)) else None
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=handle)
            if data is not None:
                yield data
    finally:
        os.close(handle)


def _read(folder: int, name: str) -> bytes | None:
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
            return None
        data = b""
        while len(data) <= MAX_REQUEST and (part := os.read(handle, MAX_REQUEST + 1 - len(data))):
            data += part
    finally:
        os.close(handle)
    return data if len(data) <= MAX_REQUEST else None


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Say what came of a request; the oldest give way."""
    results = folder / RESULTS
    results.mkdir(mode=0o755, exist_ok=True)
    write_durably(results / f"{result['id']}.json", json.dumps(result).encode(), mode=0o644)
    for old in sorted(results.glob("*.json"), key=lambda path: path.stat().st_mtime)[:-MOST]:
        old.unlink(missing_ok=True)


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """What came of the newest requests, by id, the newest last."""
    try:
        files = sorted((folder / RESULTS).glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    except OSError:  # one of them has just made room
        return {}
    found = (read_object(path) for path in files[: 4 * MOST] if _NAME.fullmatch(path.stem))
    return {str(each["id"]): each for each in found if {"id", "state"} <= each.keys()}
