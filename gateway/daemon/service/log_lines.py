"""The newest lines of the log, kept in memory: for who looks after this machine without its console."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Self

from gateway.common.text import visible

MOST_CHARACTERS = 500
"""Of a line."""


class RecentLines(logging.Handler):
    """A handler that keeps the last `most` lines."""

    def __init__(self, most: int = 200) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=most)

    @classmethod
    def of_everything(cls) -> Self:
        """One that hears the whole process."""
        made = cls()
        logging.getLogger().addHandler(made)
        return made

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the formatted line; the oldest one goes."""
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created))
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        if record.exc_info and record.exc_info[0] is not None:
            text += f" ({record.exc_info[0].__name__}: {record.exc_info[1]})"
        self._lines.append(visible(f"{at} {record.levelname} {text}", MOST_CHARACTERS))

    @property
    def lines(self) -> list[str]:
        """Oldest first; times are UTC."""
        return list(self._lines)
