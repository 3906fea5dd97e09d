"""What a thread of its own plays while a test looks at it from the other side."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Self


class Played(ABC):
    """Begins with the `with` block and is stopped at its end."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self._close()

    @abstractmethod
    def _run(self) -> None:
        """Play it until `_stop` is set."""

    @abstractmethod
    def _close(self) -> None:
        """Give back what it was played on."""
