"""GPIO inputs as edges with the kernel's time, and outputs. The only importer of gpiozero, and only when a
pin is configured.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from gateway.errors import GatewayError

Pull = Literal["up", "down", "none"]
OnEdge = Callable[[int, bool, int | None], None]
"""Called with the pin, its level after the edge and the time of the edge in ns, in a thread of the library's
own.

The first call of all gives the level that was found, without a time. It must not raise, and not wait.
"""
MOST_BUFFERED = 10_000
"""Edges of a pin that are held while nobody takes them: more than a reload can miss."""
STABLE_AFTER = 0.1
"""s after a resistor was set: a long cable with its capacitor has reached its level, and an edge that the
kernel has given has long been passed on.
"""

FACTORY = "GPIOZERO_PIN_FACTORY"
DIRECTORY = "LG_WD"
CHIP = Path("/dev/gpiochip0")
# The package index also holds an empty lgpio 0.0.0.2, which lacks every name.
_LIBRARY = (
    "install it: pip install lgpio==0.2.2.0 (Python 3.11, 3.12), else apt install python3-lgpio and "
    "a venv that sees it"
)


class PinsError(GatewayError):
    """There is no GPIO here, or the pin cannot be used."""


class PinSource(Protocol):
    """What a pulse counter needs of the machine. It outlives the counter: over a reload no edge is lost."""

    kept: dict[int, object]
    """What a counter leaves for the next one, by pin; forgotten when the pin is ignored."""

    def claim(self, pin: int, pull: Pull) -> None:
        """Set the resistor of a pin (BCM number), before `open`: many lines then settle together. Raises
        PinsError.
        """

    def open(self, pin: int, pull: Pull, on_edge: OnEdge) -> None:
        """Watch a pin (BCM number). Raises PinsError."""

    def pause(self) -> None:
        """Hold all edges from now on, until their pin is opened again."""

    def only(self, pins: Collection[int]) -> None:
        """Ignore all other pins."""


class _Line:
    """One watched pin: gives its edges to who asked for them, or holds them."""

    def __init__(self, pin: int) -> None:
        self._pin = pin
        self._lock = threading.RLock()
        self._buffered: deque[tuple[bool, int]] = deque(maxlen=MOST_BUFFERED)
        self._on_edge: OnEdge | None = None
        self._pull: Pull | None = None
        self._stable_at = 0.0
        self._watched = False
        self._level: bool | None = None
        """After the last edge that was passed on: the line itself may be ahead of its edges."""

    def claim(self, line: Any, pull: Pull) -> None:
        with self._lock:
            if pull == self._pull:
                return
            # Setting the function ends the watch, if there is one. What is still on its way must arrive
            # before gpiozero forgets whom to call: an error in a callback would end the library's thread, and
            # with it every pulse. The line settles meanwhile.
            self._pull, self._watched, self._level = None, False, None
            line.function = "input"
            line.pull = "floating" if pull == "none" else pull
            self._pull, self._stable_at = pull, time.monotonic() + STABLE_AFTER

    def open(self, line: Any, pull: Pull, on_edge: OnEdge) -> None:
        self.claim(line, pull)
        if not self._watched:
            time.sleep(max(0.0, self._stable_at - time.monotonic()))
        with self._lock:
            if not self._watched:
                line.when_changed = None
                line.when_changed = self._changed
                self._watched = True
            level = not self._buffered[0][0] if self._buffered else self._level
            on_edge(self._pin, bool(line.state) if level is None else level, None)
            while self._buffered:
                self._level = self._buffered[0][0]
                on_edge(self._pin, *self._buffered.popleft())
            self._on_edge = on_edge

    def pause(self) -> None:
        with self._lock:
            self._on_edge = None

    def ignore(self) -> None:
        with self._lock:
            self._on_edge, self._level = _nobody, None
            self._buffered.clear()

    def _changed(self, ticks: float, state: int) -> None:
        with self._lock:
            if self._on_edge is None:
                self._buffered.append((bool(state), round(ticks * 1e9)))
            else:
                self._level = None if self._on_edge is _nobody else bool(state)
                self._on_edge(self._pin, bool(state), round(ticks * 1e9))


def _nobody(_pin: int, _level: bool, _tick: int | None) -> None:
    """Takes the edges of a pin that is not configured any more."""


class OutputPin:
    """A pin that is driven, from any thread; `number` is its BCM number."""

    def __init__(self, number: int, line: Any) -> None:
        self.number = number
        self._line = line

    def set(self, *, high: bool) -> None:
        """Drive the output high or low. Raises PinsError."""
        try:
            self._line.state = high
        except Exception as error:
            raise _unusable(self.number, "none", error) from error


class Pins:
    """GPIO pins through gpiozero; `factory` is one of its pin factories, by default the machine's own through
    lgpio.

    No debouncing here: what is a pulse is decided on the edges' own times, where it can be counted and
    tested. A pin that was watched once stays claimed until the process ends.
    """

    def __init__(self, factory: Any = None) -> None:
        self._factory = factory
        self._lines: dict[int, _Line] = {}
        self.kept: dict[int, object] = {}

    @classmethod
    def mock(cls) -> Pins:
        """Pins in memory: `drive` moves them."""
        from gpiozero.pins.mock import MockFactory  # noqa: PLC0415 - as in _machine

        return cls(MockFactory())

    def claim(self, pin: int, pull: Pull) -> None:
        """Set the resistor of a pin (BCM number), before `open`: many lines then settle together. Raises
        PinsError.
        """
        self._use(pin, pull, lambda line, own: line.claim(own, pull))

    def open(self, pin: int, pull: Pull, on_edge: OnEdge) -> None:
        """Watch a pin (BCM number); what it gave while paused comes first. Raises PinsError."""
        self._use(pin, pull, lambda line, own: line.open(own, pull, on_edge))

    def _use(self, pin: int, pull: Pull, use: Callable[[_Line, Any], None]) -> None:
        self._factory = self._factory or _machine()
        line = self._lines.get(pin) or _Line(pin)
        try:
            use(line, self._factory.pin(pin))
        except Exception as error:
            raise _unusable(pin, pull, error) from error
        self._lines[pin] = line

    def output(self, pin: int) -> OutputPin:
        """Drive a pin (BCM number), low at first. Raises PinsError."""
        self._factory = self._factory or _machine()
        try:
            line = self._factory.pin(pin)
            line.output_with_state(False)
        except Exception as error:
            raise _unusable(pin, "none", error) from error
        return OutputPin(pin, line)

    def pause(self) -> None:
        """Hold all edges from now on, until their pin is opened again."""
        for line in self._lines.values():
            line.pause()

    def only(self, pins: Collection[int]) -> None:
        """Ignore all other pins."""
        for pin, line in self._lines.items():
            if pin not in pins:
                line.ignore()
        self.kept = {pin: what for pin, what in self.kept.items() if pin in pins}

    def drive(self, pin: int, *, high: bool) -> None:
        """Move a pin in memory, as the meter's contact would."""
        line = self._factory.pin(pin)
        line.drive_high() if high else line.drive_low()


def _machine() -> Any:
    """The pin factory of this machine. Raises PinsError with what is missing."""
    name = os.environ.setdefault(FACTORY, "lgpio")
    if name.lower() == "native":
        raise PinsError(
            f"{FACTORY}=native reads pins without the kernel's edge times and loses pulses",
            hint=f"write {FACTORY}=lgpio, or leave it out",
        )
    with _writable_directory():
        try:
            from gpiozero import Device  # noqa: PLC0415 - a gateway without pulses must not pay for it

            Device.ensure_pin_factory()
        except Exception as error:
            raise _no_gpio(name, error) from error
        if type(Device.pin_factory).__name__ == "NativeFactory":
            raise PinsError("gpiozero fell back to its native pin factory, which loses pulses", hint=_LIBRARY)
        return Device.pin_factory


@contextlib.contextmanager
def _writable_directory() -> Iterator[None]:
    """Let lgpio make its pipe `.lgd-nfy*` although the working directory may be read-only.

    With LG_WD set it makes it there, and moves the whole process there too: it is moved back.
    """
    home = Path.cwd()
    if DIRECTORY not in os.environ and not os.access(home, os.W_OK):
        os.environ[DIRECTORY] = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or tempfile.gettempdir()
    try:
        yield
    finally:
        os.chdir(home)


def _no_gpio(name: str, error: Exception) -> PinsError:
    kind = type(error).__name__
    if kind == "BadPinFactory":
        return PinsError(
            f"{FACTORY}={name} is not a pin factory of gpiozero",
            hint=f"write {FACTORY}=lgpio, or leave it out",
        )
    if kind == "PinUnknownPi" or (isinstance(error, ImportError) and not CHIP.exists()):
        return PinsError(
            "this machine has no GPIO: it is not a Raspberry Pi",
            hint="move what is wired to pins to a gateway that is one",
        )
    if isinstance(error, (ImportError, AttributeError)):
        return PinsError(f"the library behind {FACTORY}={name} cannot be used: {error}", hint=_LIBRARY)
    if ".lgd-nfy" in str(error):
        return PinsError(
            f"lgpio cannot make its pipe: {error}",
            hint=f"name a directory that the daemon may write to in {DIRECTORY}",
        )
    hint = f"is the daemon's user in the group gpio, is there a {CHIP}?"
    return PinsError(f"the GPIO chip cannot be opened: {error or kind}", hint=hint)


def _unusable(pin: int, pull: Pull, error: Exception) -> PinsError:
    kind = type(error).__name__
    if kind == "PinFixedPull":
        return PinsError(
            f"GPIO {pin} has a resistor of its own: pull: {pull} is impossible",
            hint="write pull: up, or take another pin",
        )
    if kind == "PinInvalidPin":
        return PinsError(
            f"this machine has no GPIO {pin}", hint="take a pin of the header, by its BCM number"
        )
    if "busy" in str(error).lower():
        return PinsError(
            f"GPIO {pin} is used by another program or by the kernel", hint="end it, or take another pin"
        )
    return PinsError(
        f"GPIO {pin} cannot be used: {error or kind}", hint="take another pin, or look at the kernel's log"
    )
