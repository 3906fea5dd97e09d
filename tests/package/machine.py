"""A booted Debian: systemd as process 1 of a container, in the network namespace of whoever starts it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deb.debian import ENVIRONMENT
from deb.libraries import CannotRun
from tests.rig import until

REBOOTED = 133
"""How nspawn ends when what is inside asks to be started again."""


class Machine:
    """A container that runs; commands run inside of it."""

    def __init__(self, tree: Path, log: Path) -> None:
        """`tree` is its disk, and `options` of systemd-nspawn say how it lies there from the next boot."""
        if shutil.which("systemd-nspawn") is None:
            raise CannotRun("systemd-nspawn is not installed: apt install systemd-container")
        self.tree = tree
        self.options: tuple[str, ...] = ()
        self._log = log.open("ab")
        self._nspawn = self._boot()

    def _boot(self) -> subprocess.Popen[bytes]:
        # It is registered nowhere: this machine need not run systemd itself. The network is ours.
        return subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe",
             f"--machine={self.tree.name}", "--directory", str(self.tree), "--resolv-conf=off",
             "--timezone=off", "--link-journal=no", *self.options],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )  # fmt: skip

    @property
    def leader(self) -> int:
        """The process that is number 1 inside."""
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        for child in map(int, children):
            if Path(f"/proc/{child}/comm").read_text().strip() in {"systemd", "init"}:
                return child
        raise LookupError("nothing is booted yet")

    def _inside(self, *command: str) -> list[str]:
        namespaces = ["--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wd"]
        return ["nsenter", f"--target={self.leader}", *namespaces, *command]

    def ask(self, *command: str, patience: float = 300) -> tuple[int, str]:
        """Exit code and words of a command inside."""
        done = subprocess.run(
            self._inside(*command), capture_output=True, text=True, check=False, timeout=patience,
            stdin=subprocess.DEVNULL, env=ENVIRONMENT,
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).strip()

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """A process inside that goes on until it is ended; its words go to the container's log."""
        return subprocess.Popen(
            self._inside(*command), stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, env=ENVIRONMENT
        )

    def run(self, *command: str, patience: float = 900) -> str:
        """What a command says inside. Raises AssertionError with its words when it fails."""
        code, said = self.ask(*command, patience=patience)
        assert code == 0, f"{command}: {code}\n{said}"
        return said

    def show(self, name: str, unit: str = "submeter-gateway") -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit)

    def wait_booted(self, patience: float = 300) -> None:
        """Until systemd has started everything."""

        def up() -> bool:
            try:
                return self.ask("systemctl", "is-system-running")[1] in {"running", "degraded"}
            except (LookupError, OSError, subprocess.TimeoutExpired):
                return False

        until(up, patience, "the container boots", 0.5)

    def reboot(self) -> None:
        """Restart it, and wait until it is up again."""
        boot = self.run("cat", "/proc/sys/kernel/random/boot_id")
        self.ask("systemctl", "reboot")
        # nspawn leaves it to its service manager to start it again, which is us.
        assert self._nspawn.wait(300) == REBOOTED
        self._nspawn = self._boot()
        self.wait_booted()
        assert self.run("cat", "/proc/sys/kernel/random/boot_id") != boot

    def start_again(self, *options: str) -> None:
        """Boot it with these options, after a shutdown if it runs."""
        self._end()
        self.options = options
        self._nspawn = self._boot()
        self.wait_booted()

    def die(self) -> None:
        """End all of it from one moment to the next."""
        os.kill(self.leader, signal.SIGKILL)
        self._nspawn.wait(60)

    def stop(self) -> None:
        """End it: its own process alone."""
        self._end()
        self._log.close()

    def _end(self) -> None:
        if self._nspawn.poll() is None:
            self._nspawn.send_signal(signal.SIGTERM)
            try:
                self._nspawn.wait(60)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait(60)


@contextmanager
def booted(tree: Path, log: Path) -> Iterator[Machine]:
    """A booted tree, stopped at the end."""
    machine = Machine(tree, log)
    try:
        machine.wait_booted()
        yield machine
    finally:
        machine.stop()
