"""The whole product on simulated meters, as processes of their own, for benches and long tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.demo.die_with_parent import dying_with_us
from gateway.demo.show.polls import PollSpan, read_polls
from gateway.demo.simulator.process import SimulatorProcess
from tests.mosquitto import MOSQUITTO
from tests.ports import free_port

SAYING_POLLS = ("--log-level", "debug")
HERE = Path(__file__).parent
DRIVERS = HERE / "bench" / "drivers"
_CPUCLOCK_SCHED = 2
"""The kernel's word for the time on a processor, of user and system together."""


def until(check: Callable[[], object], seconds: float, what: str, pause: float = 0.05) -> None:
    """Wait for `check` to be true. Raises TimeoutError that names what did not happen."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(f"in {seconds:g} s it did not happen that {what}")
        time.sleep(pause)


@dataclass
class Usage:
    """What a process has used so far."""

    cpu: float
    rss: int


def usage(pid: int) -> Usage:
    """CPU seconds and resident bytes of a process.

    The time comes from its own clock, numbered as clock_getcpuclockid(3) does: the times in /proc are what
    the timer's ticks have met, hundredths of a second, and too coarse for a process that wakes for moments.
    """
    cpu = time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    status = Path(f"/proc/{pid}/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024
    return Usage(cpu, rss)


class Rig:
    """Starts and stops the parts; everything lives in one directory and dies with this process."""

    def __init__(self, directory: Path, spec: dict[str, Any] | None = None) -> None:
        self.directory = directory
        self.simulator = SimulatorProcess(spec, directory) if spec else None
        self.broker_port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.config_path = directory / "gateway.yaml"
        self.socket = directory / "control.sock"
        self.database = directory / "received.db"

    def configure(self, **sections: Any) -> None:
        """Write the configuration; JSON is YAML."""
        base = {
            "gateway": {"id": "bench-1", "commit_interval": "10s"},
            "clock": {"trust": "system"},
            "status": {"listen": f"127.0.0.1:{free_port()}"},
            "journal": {"directory": str(self.directory / "state")},
            "drivers": {"directory": str(DRIVERS)},
            # What the platform gets is then what the simulator served.
            "health": {"enabled": False},
        }
        base.update(sections)
        self.config_path.write_text(json.dumps(base, indent=1))

    def uplink(self, **more: Any) -> dict[str, Any]:
        """An uplink to this rig's broker, without pauses."""
        return {
            "name": "city",
            "url": f"mqtt://127.0.0.1:{self.broker_port}",
            "receipts": ["city"],
            "spread": "0s",
            "backlog_rate": 0,
            **more,
        }

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a process whose words go to <name>.log."""
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                dying_with_us(*command),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "SUBMETER_SOCKET": str(self.socket)},
            )
        self.processes[name] = process
        return process

    def start_broker(self) -> None:
        """A mosquitto without persistence. Raises RuntimeError when there is none on this machine."""
        if MOSQUITTO is None:
            raise RuntimeError("mosquitto is not installed: apt install mosquitto")
        conf = self.directory / "mosquitto.conf"
        conf.write_text(
            f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\npersistence "
            f"false\nset_tcp_nodelay true\n"
        )
        self.start("broker", MOSQUITTO, "-c", str(conf))
        until(self._broker_listens, 10, "the broker listens")

    def _broker_listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.broker_port), 1):
            return True
        return False

    def start_gateway(self, *options: str) -> None:
        """The daemon."""
        self.start("gateway", sys.executable, "-m", "gateway", "run", *options, str(self.config_path))

    def polls(self) -> list[PollSpan]:
        """What a daemon that was started with `*SAYING_POLLS` has said of its polls."""
        return read_polls(self.directory / "gateway.log")

    def start_receiver(self) -> None:
        """The reference receiver."""
        self.start(
            "receiver", sys.executable, "-m", "gateway", "receive",
            "--broker", f"mqtt://127.0.0.1:{self.broker_port}", "--database", str(self.database),
        )  # fmt: skip

    def usage(self, name: str) -> Usage:
        """What a part has used so far."""
        return usage(self.processes[name].pid)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a part and wait for its end."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(15)

    def log(self, name: str) -> str:
        """What a part has said."""
        return (self.directory / f"{name}.log").read_text()

    def serves(self) -> list[dict[str, Any]]:
        """The simulator's own log."""
        assert self.simulator is not None
        return self.simulator.serves()

    def stop(self) -> None:
        """End everything, the gateway first and politely."""
        for name in ("gateway", "receiver", "broker", *list(self.processes)):
            if name in self.processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.kill(name, signal.SIGTERM)
        for process in self.processes.values():
            process.kill()
        if self.simulator is not None:
            self.simulator.stop()


@contextlib.contextmanager
def rig(directory: Path, spec: dict[str, Any] | None = None) -> Iterator[Rig]:
    """A Rig that is stopped at the end."""
    made = Rig(directory, spec)
    try:
        yield made
    except Exception as error:
        for name in made.processes:
            error.add_note(f"— {name}:\n{made.log(name)[-1500:]}")
        raise
    finally:
        made.stop()
