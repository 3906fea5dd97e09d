"""The copy of the history that is made once a night."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

from gateway.daemon import later

COPY_AT = timedelta(hours=3, minutes=10)
"""Local time of the nightly copy."""


class NightlyCopy:
    """Says when it is time, and makes it."""

    def __init__(self) -> None:
        self._made: date | None = None

    def due(self, path: Path, now: datetime) -> bool:
        """Whether a copy is to be made now, in local time; it is said once a night, and not where the night's
        copy stands already.
        """
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if self._made == now.date() or now - midnight < COPY_AT:
            return False
        first, self._made = self._made is None, now.date()
        copy = later.history.copy_of(path)
        there = first and copy.exists()
        return not (there and datetime.fromtimestamp(copy.stat().st_mtime, now.tzinfo) > midnight)

    def make(self, path: Path) -> None:
        """Make it. Raises HistoryError, HistoryDamaged for a history that contradicts itself."""
        later.history.make_copy(path)
