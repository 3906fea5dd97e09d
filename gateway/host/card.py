"""How often the journal's file system writes its own bookkeeping: ext4's option commit=, set and put back.

Most of what a gateway writes to a card is ext4's own journal, every 5 s by default. A batch that is committed
is on the card, whatever this says. Only what a program wrote without syncing it waits longer.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.common.file_versions import read_object
from gateway.errors import GatewayError
from gateway.host.machine import MachineFiles

SELDOM = 60
"""s between two commits of the file system while the gateway runs."""
USUAL = 5
"""s, what ext4 does unless it is told otherwise (ext4(5), commit=)."""
KINDS = ("ext4", "ext3")
FOUND = Path("/run/submeter-card.json")
"""What was found is kept here until it is put back; a restart of the machine forgets both."""
_OF_THE_MOUNT = frozenset(
    {"rw", "ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "strictatime", "sync"}
)
"""Options of the mount itself, which a remount forgets unless they are said again (mount(2), MS_REMOUNT)."""


@dataclass(frozen=True, slots=True)
class CardState:
    """The file system that a folder is on, and its own commit interval in s; None where it has none."""

    point: str
    kind: str
    options: tuple[str, ...]
    commit: int | None


def card_state(place: Path, files: MachineFiles | None = None) -> CardState:
    """The file system that `place` is on, and every how many s it commits; None where that is not known."""
    mount = (files or MachineFiles()).mount(place)
    if mount.kind not in KINDS:
        return CardState(mount.point, mount.kind, mount.options, None)
    said = [match[1] for option in mount.options if (match := re.fullmatch(r"commit=(\d+)", option))]
    return CardState(mount.point, mount.kind, mount.options, int(said[0]) or USUAL if said else USUAL)


def remount(place: Path, found: Path = FOUND) -> CardState:
    """Let the file system commit every `SELDOM` s; how it was. A file system of another kind, and one that
    commits as seldom already, are left alone. Raises GatewayError.
    """
    before = card_state(place)
    if before.commit is not None and before.commit < SELDOM:
        # First the note: whoever puts it back after a crash in between changes nothing.
        known = read_object(found)
        if known.get("point") != before.point:
            found.write_text(json.dumps({"point": before.point, "commit": before.commit}))
        _mount(before, SELDOM)
    return before


def put_back(found: Path = FOUND) -> CardState | None:
    """Set what was found before `remount`; how it is then. None when nothing was changed. Raises
    GatewayError.
    """
    known = read_object(found)
    point, commit = known.get("point"), known.get("commit")
    if not isinstance(point, str) or not isinstance(commit, int):
        return None
    state = card_state(Path(point))
    if state.point == point and state.commit is not None:
        _mount(state, commit)
    found.unlink(missing_ok=True)
    return card_state(Path(point))


def _mount(state: CardState, commit: int) -> None:
    kept = [option for option in state.options if option in _OF_THE_MOUNT]
    options = ",".join(["remount", *kept, f"commit={commit}"])
    # Nothing of fstab: what is not named here stays as it is.
    command = ["mount", "--options-mode", "ignore", "-o", options, state.point]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a program of the system
    if done.returncode:
        raise GatewayError(
            f"{state.point} cannot be remounted with commit={commit}: {done.stderr.strip()}",
            hint="run it as root; without it the gateway works as well and the card wears faster",
        )
