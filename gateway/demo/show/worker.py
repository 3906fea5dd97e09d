"""A process of the demo: that dies with us, logged to a file, killed or stopped by its own pid only."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.demo.die_with_parent import dying_with_us


class Worker:
    """One command that is kept running."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """`command` is what follows `python`: ["-m", "gateway", "run", …]."""
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start it, again if need be."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules
                dying_with_us(sys.executable, *self._command),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal is the supervisor's business
            )

    def terminate(self) -> None:
        """Ask it to stop."""
        if self._process and self.running:
            self._process.terminate()

    def stop(self, patience: float = 8.0) -> bool:
        """Stop it, by force after `patience` seconds; False when force was needed."""
        if self._process is None:
            return True
        self.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process and self.running:
            self._process.send_signal(signal.SIGKILL)
        if self._process:
            self._process.wait()

    def tail(self, lines: int = 8) -> str:
        """The last lines of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


def free_port(host: str, preferred: int = 0, tries: int = 100) -> int:
    """The preferred port or the next free one; any free one for 0. Raises OSError."""
    for port in range(preferred, preferred + tries) if preferred else (0,):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise OSError(f"no port from {preferred} to {preferred + tries - 1} is free on {host}")


def wait_for_port(port: int, worker: Worker, patience: float = 30.0) -> None:
    """Return when something listens on the loopback port. Raises RuntimeError when the worker ends or
    takes too long.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if not worker.running:
            break
        time.sleep(0.05)
    raise RuntimeError(f"{worker.name} does not listen on port {port}:\n{worker.tail()}")
