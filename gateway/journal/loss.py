"""Says in the log that batches make room before they were delivered: once when it begins, and anew when it
begins again.
"""

from __future__ import annotations

import logging
from pathlib import Path

from gateway.journal.file.batches import JournalFile
from gateway.journal.pace import DAY_MS

logger = logging.getLogger(__name__)


class Loss:
    """Remembers when batches last made room."""

    def __init__(self) -> None:
        self._at = 0

    def look(self, path: Path, budget: int, file: JournalFile) -> None:
        """After a commit: one line for the first lot, and for the first one after a day without."""
        if file.resume.thinned is None or file.resume.thinned[3] == self._at:
            return
        fresh = file.resume.thinned[3] - self._at > DAY_MS
        self._at = file.resume.thinned[3]
        if fresh:
            batches, readings = file.thinned
            logger.warning(
                "%s has met its budget of %d bytes: the oldest batches make room undelivered, %d (%d "
                "readings) so far; the first readings"
                " of quarter hours and all events stay → mend the uplinks, or raise journal: budget",
                path,
                budget,
                batches,
                readings,
            )
