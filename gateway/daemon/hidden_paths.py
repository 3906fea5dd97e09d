"""What visitors of the page need not know: where on this machine a file lies. They are told the key that
names it; the log has the path.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from gateway.config import Config
from gateway.status import Snapshot


class Paths:
    """Paths that a configuration names, each with its key as in `uplinks[0].ca`."""

    def __init__(self, config: Config, file: Path) -> None:
        keys = {str(file): file.name, str(file.parent): "its folder"}
        keys |= {config.drivers.directory: "drivers.directory", config.journal.directory: "journal.directory"}
        for index, uplink in enumerate(config.uplinks):
            for key in ("password_file", "ca", "cert", "key"):
                if path := getattr(uplink, key):
                    keys.setdefault(path, f"uplinks[{index}].{key}")
        self._keys = {path: key for path, key in keys.items() if len(path) > 1}
        # The longest first: a file stands in its folder. What goes on behind it is another path.
        choices = "|".join(re.escape(path) for path in sorted(self._keys, key=len, reverse=True))
        self._pattern = re.compile(rf"({choices})(?![\w.-]*\w)")

    def hide(self, text: str) -> str:
        """The text with keys in the place of paths."""
        return self._pattern.sub(lambda match: self._keys[match[0]], text) if "/" in text else text

    def hidden(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with keys in the place of paths, wherever a text was written by an error."""
        return dataclasses.replace(
            snapshot,
            problems=tuple(map(self.hide, snapshot.problems)),
            journal=dataclasses.replace(snapshot.journal, error=self.hide(snapshot.journal.error)),
            uplinks=tuple(
                dataclasses.replace(uplink, error=self.hide(uplink.error)) for uplink in snapshot.uplinks
            ),
        )
