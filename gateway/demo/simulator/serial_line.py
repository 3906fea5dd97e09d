"""An RS-485 line on a real pty: slaves that hear, think and answer at the pace of the wire.

The master's bytes are taken to need one character time each from the moment they arrive. A frame ends after
t3.5 of silence; then the slave thinks (turn-around), and each byte of its answer appears when its last bit
would have. Deadlines are absolute.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import termios
import threading
import time
import tty
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from gateway.demo.simulator.faults import SERIAL_KINDS, UNSERVED, Fault, Faults, faulted_frames, faulted_pdu
from gateway.demo.simulator.frames import character_time, rtu_parts, silence
from gateway.demo.simulator.slave import Slave

WhenBusy = Literal["drop", "queue"]
_IDLE = 3600.0
_LONGEST = 256
"""Bytes of a frame that a serial line may carry."""


@dataclass(slots=True)
class LineStats:
    """What the line saw.

    `dropped`: requests to a slave that was busy, or while another talked. `hasty`: requests that came before
    the slave's own minimum gap was over, and were ignored. `early`: requests that began less than t3.5 after
    an answer; `shortest_gap` in s.
    """

    requests: int = 0
    answers: int = 0
    bad_frames: int = 0
    strangers: int = 0
    dropped: int = 0
    hasty: int = 0
    early: int = 0
    shortest_gap: float | None = None


class SerialLine:
    """A serial port (`port`) with slaves behind it; its own thread does the work.

    `busy`: what a slave does with a request that comes while it still owes an answer, or while somebody else
    talks: `drop` it as meters do, or `queue` it as serial converters do. `quantum`: bytes that follow each
    other within so many seconds are handed out together when the last of them is through, as a UART with a
    FIFO does: only fast lines notice.
    `check_speed`: be deaf, as a real line is, unless the port is opened at the right baud rate.
    """

    def __init__(
        self,
        slaves: Iterable[Slave],
        *,
        name: str = "line",
        path: Path | None = None,
        baudrate: int = 9600,
        parity: str = "N",
        stopbits: int = 1,
        turnaround: float = 0.02,
        busy: WhenBusy = "drop",
        faults: Faults | None = None,
        quantum: float = 0.001,
        check_speed: bool = False,
    ) -> None:
        self.name = name
        self.slaves = {slave.unit: slave for slave in slaves}
        self.faults = faults or Faults()
        self.faults.restrict(SERIAL_KINDS)
        self.stats = LineStats()
        self.turnaround = turnaround
        self.character = character_time(baudrate, parity, stopbits)
        self.silence = silence(baudrate)
        self._speed = getattr(termios, f"B{baudrate}") if check_speed else None
        self._path = path
        self._busy: WhenBusy = busy
        self._group = max(1, int(quantum / self.character))
        self._pty: tuple[int, int] | None = None
        self._device = ""
        self._orders: deque[tuple[Callable[[], object], threading.Event]] = deque()
        self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._reset()

    def _reset(self) -> None:
        self._heard = bytearray()
        self._heard_from = 0.0  # when the first byte heard came
        self._heard_until = 0.0  # when the last byte heard has left the wire
        self._out: list[tuple[float, int, int]] = []  # heap of (deadline, order, byte)
        self._count = 0
        self._talks: list[
            tuple[float, float]
        ] = []  # from when to when an answer is on the wire, now or later
        self._said_at = 0.0  # when the last byte was really handed out
        self._owes: dict[int, float] = {}  # unit → until when it is occupied

    @property
    def port(self) -> str:
        """What to open: the stable path when one was given, else the pty's own name."""
        return str(self._path) if self._path else self._device

    def start(self) -> Self:
        """Plug in and begin to listen."""
        self._plug()
        self._thread = threading.Thread(target=self._run, name=f"line-{self.name}", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Unplug and end the thread."""
        if self._thread is None:
            return
        self._stopping = True
        os.write(self._wake[1], b"\0")
        self._thread.join(5)
        self._thread = None
        self._unplug()
        for fd in self._wake:
            os.close(fd)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def unplug(self) -> None:
        """Take the adapter away: the port hangs up and its path is gone."""
        self._do(self._unplug)

    def plug(self) -> None:
        """Bring it back, as a new device behind the same path."""
        self._do(self._plug)

    def inject(self, data: bytes) -> None:
        """Put bytes on the line that nobody asked for."""
        self._do(lambda: self._schedule(time.monotonic(), data))

    def _do(self, order: Callable[[], object]) -> None:
        done = threading.Event()
        self._orders.append((order, done))
        os.write(self._wake[1], b"\0")
        if not done.wait(5):
            raise RuntimeError(f"line {self.name} does not react: was it started?")

    def _plug(self) -> None:
        if self._pty is not None:
            return
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        # Our own handle on the far side keeps the device alive between two openings by the master.
        self._pty = (master, slave)
        self._device = os.ttyname(slave)
        self._reset()
        if self._path is not None:
            fresh = self._path.with_name(f".{self._path.name}.new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self._device)
            fresh.replace(self._path)

    def _unplug(self) -> None:
        if self._pty is None:
            return
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for fd in self._pty:
            os.close(fd)
        self._pty = None

    def _run(self) -> None:
        while not self._stopping:
            while self._orders:
                order, done = self._orders.popleft()
                order()
                done.set()
            now = time.monotonic()
            if self._heard and now >= self._heard_until + self.silence:
                self._frame()
            self._say(now)
            due = min(
                self._out[0][0] if self._out else now + _IDLE,
                self._heard_until + self.silence if self._heard else now + _IDLE,
            )
            watched = [self._wake[0], self._pty[0]] if self._pty else [self._wake[0]]
            ready, _, _ = select.select(watched, [], [], max(0.0, due - time.monotonic()))
            if self._wake[0] in ready:
                os.read(self._wake[0], 4096)
            if self._pty and self._pty[0] in ready:
                self._hear(self._pty[0])

    def _hear(self, master: int) -> None:
        try:
            data = os.read(master, 4096)
        except OSError:
            return
        now = time.monotonic()
        if not self._heard and data:
            self.stats.requests += 1
            self._heard_from = now
            if self._said_at:
                gap = now - self._said_at
                self.stats.shortest_gap = (
                    gap if self.stats.shortest_gap is None else min(self.stats.shortest_gap, gap)
                )
                self.stats.early += gap < self.silence
        self._heard_until = max(self._heard_until, now) + len(data) * self.character
        if len(self._heard) <= _LONGEST:
            self._heard += data

    def _frame(self) -> None:
        """A frame has ended: let the slave it is for answer."""
        frame = bytes(self._heard)
        self._heard.clear()
        self._talks = [talk for talk in self._talks if talk[1] > self._heard_from]
        over_talk = any(start < self._heard_until for start, _ in self._talks)
        parts = rtu_parts(frame)
        if self._speed is not None and self._pty and termios.tcgetattr(self._pty[1])[4] != self._speed:
            parts = None
        if parts is None:
            self.stats.bad_frames += 1
            return
        unit, request = parts
        slave = self.slaves.get(unit)
        if slave is None:
            # Broadcasts and other units' traffic: everybody stays silent.
            self.stats.strangers += 1
            return
        ended = self._heard_until + self.silence
        if self._busy == "drop" and (over_talk or ended < self._owes.get(unit, 0.0)):
            self.stats.dropped += 1
            return
        if slave.min_gap and self._heard_from < self._owes.get(unit, -_IDLE) + slave.min_gap:
            self.stats.hasty += 1
            return
        start = ended
        if self._busy == "queue":
            start = max(start, *(until for _, until in self._talks), self._owes.get(unit, 0.0))
        self._answer(slave, request, start + self.turnaround, self.faults.next_fault(unit))

    def _answer(self, slave: Slave, request: bytes, start: float, fault: Fault | None) -> None:
        if fault is not None and fault.kind in UNSERVED:
            response = b"" if fault.kind == "dead" else faulted_pdu(fault, request, b"")
        else:
            response = faulted_pdu(fault, request, slave.respond(request, fault=fault.kind if fault else ""))
        for delay, data in (
            faulted_frames(fault, slave.unit, response, self.faults.rng, request) if response else []
        ):
            start = self._schedule(start + delay, data)
            self._owes[slave.unit] = start
            self.stats.answers += 1

    def _schedule(self, start: float, data: bytes) -> float:
        """Let bytes leave from `start` on, one character time each; returns when the last one is through."""
        for index, byte in enumerate(data):
            self._count += 1
            through = min(len(data), (index // self._group + 1) * self._group)
            heapq.heappush(self._out, (start + through * self.character, self._count, byte))
        end = start + len(data) * self.character
        self._talks.append((start, end))
        return end

    def _say(self, now: float) -> None:
        if not self._out or self._out[0][0] > now:
            return
        # Two that talk at once interleave by deadline: their frames garble each other, as on copper.
        due = bytearray()
        while self._out and self._out[0][0] <= now:
            due.append(heapq.heappop(self._out)[2])
        self._said_at = time.monotonic()  # before the write: no master can have heard it earlier
        if self._pty:
            with contextlib.suppress(OSError):  # nobody reads: the bytes are lost, as in a UART that overruns
                os.write(self._pty[0], due)
