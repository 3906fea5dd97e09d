"""The direction pin of an RS-485 driver that does not switch by itself: high while a request is sent, low
from the moment in which its last bit has left.

When that is, is not guessed. No bit can have left before the line's own time for these characters; from then
on the UART itself is asked until it says that its shift register is empty (TIOCSERGETLSR of ioctl_tty(2)); a
driver that does not answer that is waited for (tcdrain). All of it in a thread of its own: the loop may be
busy.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import termios
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gateway.common.troubles import Troubles
from gateway.errors import BusDown
from gateway.host import OutputPin, Pins, PinsError

log = logging.getLogger(__name__)

GETLSR, EMPTY = 0x5459, 0x01
"""TIOCSERGETLSR and TIOCSER_TEMT (asm-generic/ioctls.h, linux/serial.h)."""
AHEAD = 0.001
"""s before the end from which the thread does not sleep any more."""
NAP = 0.00005
STUCK = 0.5
"""s beyond the line's time after which a UART that never says that it is empty is not believed."""
LATE = 0.002
"""s after the last bit from which a quick meter's answer may be cut."""
SAY_EVERY = 3600.0


class Direction:
    """Sends requests on an open port with the driver's direction pin (BCM number) held. Raises BusDown when
    that cannot be used. `pins`: where it is, for tests.
    """

    def __init__(self, pin: int, port: str, fileno: int, pins: Pins | None = None) -> None:
        self._port = port
        try:
            self._pin: OutputPin = (pins or Pins()).output(pin)
        except PinsError as error:
            raise BusDown(
                f"{port}: its direction pin cannot be used: {error.message}", hint=error.hint, cause="other"
            ) from error
        self._handle = os.dup(fileno)
        self._thread = ThreadPoolExecutor(1, "direction")
        self._troubles = Troubles(log)
        self.late = 0.0
        """s between the end of the last request and the moment in which the pin was low."""

    def send(self, data: bytes, character: float, failed: Callable[[Exception], None]) -> None:
        """Send, where a character takes `character` s; returns at once. `failed` is called in the thread when
        that cannot be.
        """

        def work() -> None:
            try:
                self.send_now(data, character)
            except (OSError, PinsError) as error:
                failed(error)

        self._thread.submit(work)

    def close(self) -> None:
        """Let the line go; what is under way is sent first."""
        self._thread.submit(os.close, self._handle)
        self._thread.shutdown(wait=False)

    def send_now(self, data: bytes, character: float) -> None:
        """Send, and return when it was sent. Raises OSError, PinsError."""
        try:
            self._pin.set(high=True)
            end = time.monotonic() + len(data) * character
            os.write(self._handle, data)
            self._wait_for_last_bit(end)
        finally:
            self._pin.set(high=False)
        self.late = time.monotonic() - end
        if self.late > LATE + character:
            self._troubles.note(
                "late",
                f"{self._port}: the direction pin was let go {self.late * 1000:.1f} ms after the last bit: a "
                "meter that answers sooner is cut short → a driver that switches by itself helps",
                every=SAY_EVERY,
            )

    def _wait_for_last_bit(self, end: float) -> None:
        if (left := end - time.monotonic() - AHEAD) > 0.0:
            time.sleep(left)
        while (now := time.monotonic()) < end or not self._empty():
            if now > end + STUCK:
                return
            time.sleep(NAP)

    def _empty(self) -> bool:
        """Whether the UART says that nothing is in it."""
        try:
            word = fcntl.ioctl(self._handle, GETLSR, struct.pack("I", 0))
        except OSError:
            termios.tcdrain(self._handle)
            return True
        return bool(struct.unpack("I", word)[0] & EMPTY)
