"""The ways to a line: a serial port, and a converter that passes RTU frames over TCP."""

from __future__ import annotations

import contextlib
import select
import time
from typing import Final

from gateway.commissioning.scan import HostProbe, LineCounters, RawExchange, SerialProbe, listen
from gateway.field import not_opened

_CHUNK: Final = 0.1
"""s between bytes of one answer: a converter hands them on in packets."""


class _MachineClock:
    """The clock of a line that is there."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(max(0.0, seconds))


class PortLine(_MachineClock, SerialProbe):
    """A serial port with its clock."""


class ConverterLine(_MachineClock, HostProbe):
    """RTU over TCP. The line behind it has the converter's own setting, which nobody here can change."""

    def counters(self) -> LineCounters | None:
        """None: a converter has no error counters."""
        return None

    def raw(self, sent: bytes, wait: float, linger: float = 0.0) -> RawExchange:
        """Send and listen. Raises BusDown."""
        try:
            if self._socket is None:
                self.open()
            assert self._socket is not None
            early = self._receive(0.0)
            if sent:
                self._socket.sendall(sent)
            began = time.monotonic()
            data, first = listen(self._receive, sent, began + wait, linger=linger, rest=lambda _begun: _CHUNK)
        except OSError as error:
            self.close()
            raise not_opened(self._bus, self.name, error) from error
        return RawExchange(sent, early, data, first - began if first else 0.0)

    def _receive(self, seconds: float) -> bytes:
        """What comes within so many s; nothing when nothing does. Raises OSError when it hangs up."""
        assert self._socket is not None
        if not select.select([self._socket], [], [], seconds)[0]:
            return b""
        with contextlib.suppress(BlockingIOError):
            if got := self._socket.recv(4096):
                return got
            raise ConnectionResetError("the connection was closed")
        return b""
