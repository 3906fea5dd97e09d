"""A pty that a thread of its own plays the far end of."""

from __future__ import annotations

import os
import termios
import threading
import tty
from abc import ABC, abstractmethod
from typing import Self

RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


class PtyThread(ABC):
    """`port` is what to open. A pty keeps the rate that a master sets, and no parity."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        for fd in (self._master, self._slave):
            os.close(fd)

    @property
    def rate(self) -> int:
        """As the master has set it."""
        speed = termios.tcgetattr(self._slave)[4]
        return next(rate for rate in RATES if getattr(termios, f"B{rate}") == speed)

    @abstractmethod
    def _run(self) -> None:
        """Play it until `_stop` is set; its end of the pty is `_master`."""
