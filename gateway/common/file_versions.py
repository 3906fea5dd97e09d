"""File versions, and what may be written while a new version of the program is on trial.

For ten minutes after an upgrade the version before may have to come back (docs/operation.md, "Upgrading").
Until it is decided, a file keeps the version that the one before can read: its newest steps wait, and what is
made anew is made without them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from gateway.common.files import read_regular

UPGRADE = Path("/var/lib/submeter-upgrade")
UPGRADE_VARIABLE = "SUBMETER_UPGRADE"
"""Names another folder than the installed one's."""
MOST_BYTES: Final = 1 << 24
"""What is longer is no object of ours."""
WRITABLE: Final = {"journal.db": (2, 2), "history.db": (1, 2), "learnt.json": (1, 1)}
"""By file: the oldest and the newest version that this program can write. Where they differ, every statement
works on both: a step adds, and what is new of it is used where it is there.
"""


def newest_writable(file: str, newest: int) -> int:
    """The newest version of a file that may be written now; `newest` is the newest that is known."""
    before = read_object(upgrade_folder() / "trial.json").get("files")
    known = before.get(file) if isinstance(before, dict) else None
    return min(newest, known) if isinstance(known, int) else newest


def upgrade_folder() -> Path:
    """Where the state of an upgrade is: `trial.json` while nothing is decided, `result.json` of the last."""
    return Path(os.environ.get(UPGRADE_VARIABLE) or UPGRADE)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none that can be read."""
    try:
        found = json.loads(read_regular(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
