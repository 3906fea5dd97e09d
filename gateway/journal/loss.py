"""Says in the log that batches make room before they were delivered: once when it begins, and anew when it
begins again.
"""

from __future__ import annotations

import logging
from pathlib import Path

from gateway.journal.pace import DAY_MS
from gateway.journal.shelf import Shelf

logger = logging.getLogger(__name__)


class Loss:
    """Remembers when batches last made room."""

    def __init__(self) -> None:
        self._at = 0

    def look(self, path: Path, budget: int, shelf: Shelf) -> None:
        """After a commit: one line for the first lot, and for the first one after a day without."""
        if shelf.memory.thinned is None or shelf.memory.thinned[3] == self._at:
            return
        fresh = shelf.memory.thinned[3] - self._at > DAY_MS
        self._at = shelf.memory.thinned[3]
        if fresh:
            batches, readings = shelf.thinned
            logger.warning(
                "%s has met its budget of %d bytes: the oldest batches make room undelivered, %d (%d "
                "readings) so far; the first readings"
                " of quarter hours and all events stay → mend the uplinks, or raise journal: budget",
                path,
                budget,
                batches,
                readings,
            )
