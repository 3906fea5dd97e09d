"""A second copy of the pulse registers beside the journal: what they were a minute ago, when the journal
has lost them or is full.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import zlib
from pathlib import Path
from typing import Any

from gateway.common.files import read_regular, sync_folder
from gateway.field import carried_count, newer_carried

log = logging.getLogger(__name__)

NAME = "pulses.json"
BLOCK = 4096
MOST_BYTES = 1 << 20
"""A longer file was not written by us."""
WHOLE = "the journal had lost it, the second copy of a clean stop goes on"
MENDED = "the journal is older than the second copy: pulses of up to a minute before the stop may be missing"


class RegisterCopy:
    """`pulses.json` in the state directory: {"crc": CRC-32 of the text of `state`, "state": {"exact": …,
    "pulses": {…}}}.

    Written beside, synced and put in its place by rename, so there is always a whole one. Room for the next
    one is kept ready: a disk that is full by then still takes it.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        self._spare = directory / f"{NAME}.new"
        self._lock = threading.Lock()
        self._newest = ""
        self._failed = False

    def load(self) -> dict[str, Any]:
        """The state that was saved last: `exact` (at a clean stop) and `pulses`; empty when there is none
        that is whole.
        """
        try:
            body = json.loads(read_regular(self.path, MOST_BYTES), parse_constant=_no_constant)
            state = body["state"]
            if body["crc"] != zlib.crc32(_text(state).encode()) or not isinstance(state["pulses"], dict):
                raise ValueError("its checksum is wrong")  # noqa: TRY301 - one place says it
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning(
                "the second copy of the pulse registers %s cannot be used: %s → it is written anew",
                self.path,
                error,
            )
            return {}
        return dict(state)

    def save(self, pulses: dict[str, Any], *, exact: bool = False) -> bool:
        """Write it if it says something new; whether it is on disk. Blocks: not for the event loop."""
        with self._lock:
            text = _text({"exact": exact, "pulses": pulses})
            if text == self._newest and self.path.exists():
                return True
            try:
                self._write(f'{{"crc": {zlib.crc32(text.encode())}, "state": {text}}}'.encode())
            except OSError as error:
                if not self._failed:
                    log.warning(
                        "the second copy of the pulse registers %s cannot be written: %s → is the disk full?",
                        self.path,
                        error,
                    )
                self._failed = True
                return False
            self._newest, self._failed = text, False
            return True

    def _write(self, data: bytes) -> None:
        # Padded with spaces to whole blocks: what is there already is overwritten in place, and needs no
        # room.
        if self._spare.is_symlink() or not self._spare.is_file():
            self._spare.unlink(missing_ok=True)
        data = data.ljust(-(-len(data) // BLOCK) * BLOCK)
        handle = os.open(self._spare, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.pwrite(handle, data, 0) != len(data):
                raise OSError(28, os.strerror(28))
            os.ftruncate(handle, len(data))
            os.fsync(handle)
        finally:
            os.close(handle)
        self._spare.replace(self.path)
        self._reserve(len(data) + BLOCK)
        sync_folder(self.path.parent)

    def _reserve(self, size: int) -> None:
        try:
            handle = os.open(self._spare, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(handle, 0, size)
            finally:
                os.close(handle)
        except OSError as error:
            log.debug("no room is kept for the next copy of the registers: %s", error)


def merge(carried: dict[str, Any], copy: dict[str, Any]) -> dict[str, Any]:
    """What the journal carried, with registers of the second copy where it knows more: the higher count
    wins.
    """
    saved, known = copy.get("pulses") or {}, carried.get("pulses")
    pulses = dict(known) if isinstance(known, dict) else {}
    for name, state in saved.items():
        mine = pulses.get(name)
        if carried_count(state) is None or newer_carried(mine, state) is mine:
            continue
        at = "does not know it" if mine is None else f"is at {carried_count(mine)}"
        log.warning(
            "pulse input %s goes on from the second copy of its register at pulse %s: the journal %s",
            name,
            state["count"],
            at,
        )
        pulses[name] = (
            {**state, "mended": WHOLE} if copy.get("exact") else {**state, "mended": MENDED, "doubt": MENDED}
        )
    return {**carried, "pulses": pulses} if pulses else carried


def _text(state: dict[str, Any]) -> str:
    return json.dumps(state, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")
