"""The line of `line_physics` on a real pty, in real time. What is said comes in one piece when it is over."""

from __future__ import annotations

import contextlib
import os
import select
import time

from line_physics import LineModel
from pty_thread import PtyThread

from gateway.commissioning.scan import LineSetting


class PtyLine(PtyThread):
    """What its model says to what a master sends."""

    def __init__(self, model: LineModel) -> None:
        super().__init__()
        self.model = model

    def _run(self) -> None:
        zero = time.monotonic()
        decoded, setting = 0.0, LineSetting()
        while not self._stop.is_set():
            ready = select.select([self._master], [], [], 0.005)[0]
            now = time.monotonic() - zero
            if ready:
                with contextlib.suppress(OSError):
                    data = os.read(self._master, 4096)
                    setting = LineSetting(self.rate)
                    self._hear(self.model.listen(decoded, now, setting))
                    if self.model.faults.echo:
                        os.write(self._master, data)
                    decoded = self.model.send(now, data, setting)
            elif now > decoded and self.model.busy_until(now) <= now:
                self._hear(self.model.listen(decoded, now, setting))
                decoded = now

    def _hear(self, events: list[tuple[float, int]]) -> None:
        if events:
            with contextlib.suppress(OSError):
                os.write(self._master, bytes(byte for _, byte in events))
