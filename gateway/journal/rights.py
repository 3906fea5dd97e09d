"""Whether the files of a journal belong to somebody else: no card is broken by that."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from gateway.errors import JournalFull
from gateway.journal.paths import beside


def blocked(path: Path) -> Path | None:
    """The folder or the file of a journal that this process may not write; None when it is not a matter of
    rights.
    """
    if path.parent.exists() and not path.parent.is_dir():
        return None  # what stands there is no folder: no rights make it one
    try:
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return None  # the kernel itself refuses: that is the card, or how it is mounted
    except OSError:
        pass
    wanted = [
        (path.parent, os.R_OK | os.W_OK | os.X_OK),
        *((each, os.R_OK | os.W_OK) for each in (path, beside(path, "-wal"))),
    ]
    try:
        return next(
            (
                each
                for each, mode in wanted
                if each.exists() and not os.access(each, mode, effective_ids=True)
            ),
            None,
        )
    except OSError:  # a folder on the way may not be searched
        return path.parent


def not_ours(path: Path, place: Path) -> JournalFull:
    """What to tell about a journal of another user."""
    user = _name(os.geteuid())
    try:
        owner = f"belongs to {_name(place.stat().st_uid)} and "
    except OSError:
        owner = ""
    return JournalFull(
        f"{place} {owner}may not be written by the user {user}",
        hint=f"sudo chown -R {user}: {path.parent} (was the gateway started by hand as another user?); "
        f"readings wait in memory until then",
    )


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
