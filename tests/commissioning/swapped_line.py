"""A line whose A and B are exchanged at the adapter, on a real pty, as far as a pty can show it: no meter
understands a request; where something pulls the line, it rests at space, and a break, which a port gives as a
zero, follows whatever is sent (tests/commissioning/line_physics.py shows the same bit by bit).
"""

from __future__ import annotations

import contextlib
import os
import select
import time

from pty_thread import PtyThread


class SwappedLine(PtyThread):
    """`pulled`: a bias elsewhere on the line pulls it."""

    def __init__(self, *, pulled: bool) -> None:
        super().__init__()
        self.pulled = pulled
        self.requests = 0

    def _run(self) -> None:
        while not self._stop.is_set():
            if not select.select([self._master], [], [], 0.02)[0]:
                continue
            with contextlib.suppress(OSError):
                sent = os.read(self._master, 4096)
                self.requests += 1
                if self.pulled:
                    time.sleep(len(sent) * 10 / self.rate)
                    os.write(self._master, b"\0")
