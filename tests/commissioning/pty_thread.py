"""A pty that a thread of its own plays the far end of."""

from __future__ import annotations

import os
import termios
import tty

from played import Played

RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


class PtyThread(Played):
    """`port` is what to open, `_master` the end that is played. A pty keeps the rate that a master sets, and
    no parity.
    """

    def __init__(self) -> None:
        super().__init__()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)

    def _close(self) -> None:
        for fd in (self._master, self._slave):
            os.close(fd)

    @property
    def rate(self) -> int:
        """As the master has set it."""
        speed = termios.tcgetattr(self._slave)[4]
        return next(rate for rate in RATES if getattr(termios, f"B{rate}") == speed)
