"""The line of `line_physics` on a real pty, in real time. What is said comes in one piece when it is over."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import threading
import time
import tty
from typing import Self

from line_physics import LineModel

from gateway.commissioning.scan import LineSetting

RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


class PtyLine:
    """`port` is what to open. A pty keeps the rate that a master sets, and no parity."""

    def __init__(self, model: LineModel) -> None:
        self.model = model
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

    def _setting(self) -> LineSetting:
        speed = termios.tcgetattr(self._slave)[4]
        return LineSetting(next(rate for rate in RATES if getattr(termios, f"B{rate}") == speed))

    def _run(self) -> None:
        zero = time.monotonic()
        decoded, setting = 0.0, LineSetting()
        while not self._stop.is_set():
            ready = select.select([self._master], [], [], 0.005)[0]
            now = time.monotonic() - zero
            if ready:
                with contextlib.suppress(OSError):
                    data = os.read(self._master, 4096)
                    setting = self._setting()
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
