"""The counter of the newest command, on disk before the command acts: what was heard once is never heard
again.
"""

from __future__ import annotations

import json
from pathlib import Path

from gateway.common.files import read_regular
from gateway.errors import SEE_LOG, CommandRefused
from gateway.host import write_secret

MAX_FILE = 4096


class CommandCounter:
    """One number in one file. A file that cannot be read lets no command through."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def newest(self) -> int:
        """The counter of the newest command; 0 before the first. Raises CommandRefused."""
        try:
            found = json.loads(read_regular(self._path, MAX_FILE))["counter"]
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"{self._path} cannot be read"
            raise CommandRefused("failed", what, hint=SEE_LOG) from error
        if not isinstance(found, int) or found < 0:
            raise CommandRefused("failed", f"{self._path} holds no counter", hint=SEE_LOG)
        return found

    def commit(self, counter: int) -> None:
        """Take a counter: it outlives a kill and a power cut from here on. Raises CommandRefused."""
        if counter <= (newest := self.newest()):
            raise CommandRefused(
                "replayed",
                f"counter {counter} is not new: the newest is {newest}",
                hint="sign the command again",
            )
        try:
            write_secret(self._path, json.dumps({"counter": counter}).encode())
        except OSError as error:
            what = f"the counter cannot be written: {error.strerror}"
            raise CommandRefused("failed", what, hint="make room on the disk") from error
