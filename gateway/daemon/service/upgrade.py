"""What becomes of an upgrade: said once in the journal and the log, and for a week on the page."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from gateway.common.file_versions import read_object, upgrade_folder
from gateway.common.text import visible
from gateway.status import UpgradeView

log = logging.getLogger(__name__)

EVERY = 10.0
"""s between two looks."""
EVENTS = {
    "kept": "upgraded",
    "taken back": "upgrade_taken_back",
    "failed": "upgrade_failed",
    "not installed": "upgrade_failed",
}
"""By outcome in result.json."""
MOST_WORDS = 500


class Teller(Protocol):
    """The assembly of the moment."""

    def tell_upgrade(self, upgrade: str, kind: str, fields: dict[str, str]) -> bool:
        """Say what came of an upgrade, unless it was said; whether it is news."""


class Home(Protocol):
    """The daemon, whose assembly a reload replaces."""

    @property
    def assembly(self) -> Teller:
        """The one that runs."""


class UpgradeWatch:
    """Looks at what submeter-upgrade.service leaves. `view` is for the page; None when there is nothing."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._said = ""
        self.view: UpgradeView | None = None

    async def run(self) -> None:
        """Read the outcome every `EVERY` s until cancelled."""
        while True:
            await asyncio.to_thread(self._read_outcome)
            if self.view is not None and self.view.id and self.view.id != self._said:
                self._told(self.view)
            await asyncio.sleep(EVERY)

    def _read_outcome(self) -> None:
        mark, result = (read_object(upgrade_folder() / name) for name in ("trial.json", "result.json"))
        if mark.get("state") == "trial":
            self.view = UpgradeView("", "trial", _text(mark, "from"), _text(mark, "to"))
            return
        outcome, at = _text(result, "outcome"), result.get("at")
        if outcome not in EVENTS or not isinstance(at, int) or not _text(result, "id"):
            self.view = None
            return
        before, after, why = (_text(result, name) for name in ("from", "to", "why"))
        self.view = UpgradeView(_text(result, "id"), outcome, before, after, why, at)

    def _told(self, view: UpgradeView) -> None:
        self._said = view.id
        assembly, fields = self._home.assembly, {"from": view.before, "to": view.after, "why": view.why}
        if assembly.tell_upgrade(view.id, EVENTS[view.outcome], fields):
            log.warning("upgrade %s → %s: %s (%s)", view.before, view.after or "?", view.outcome, view.why)


def _text(found: dict[str, object], name: str) -> str:
    value = found.get(name)
    return visible(value, MOST_WORDS) if isinstance(value, str) else ""
