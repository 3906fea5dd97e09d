"""The whole product on one machine: simulator, broker, gateway and receiver, each a process of its own
that dies with us.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gateway.demo.show.gateway_status import gateway_status
from gateway.demo.show.past import ZONE, make_past
from gateway.demo.show.past_building import breach
from gateway.demo.show.site import (
    CALM,
    GATEWAY,
    UPLINK,
    PollIntervals,
    gateway_config,
    simulator_spec,
    stamp_drivers,
    write_analyser,
)
from gateway.demo.show.worker import Worker, free_port, wait_for_port
from gateway.demo.simulator.process import SimulatorProcess
from gateway.energy import Calendar

_SOCKET_PATH = 100
"""Bytes that a Unix socket's path may have, with a margin (108 in Linux)."""


@dataclass(frozen=True, slots=True)
class SiteCounts:
    """Batches: committed by the gateway, of these not yet confirmed, and stored at the platform; and readings
    committed.

    `gaps` are the numbers between the platform's first and last batch that it does not have.
    """

    taken: int
    waiting: int
    stored: int
    gaps: int
    readings: int

    @property
    def delivered(self) -> int:
        """Batches that are at the platform, of those that were taken when we asked."""
        return min(self.taken, self.stored)

    @property
    def missing(self) -> int:
        """Batches that the platform lacks and that are not on their way either."""
        return max(0, self.gaps - self.waiting)


class Supervisor:
    """Everything of one demo under one directory. `stamped`: meters show an ordinal, for a judge."""

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        pace: PollIntervals = CALM,
        stamped: bool = False,
        seed: int = 1,
    ) -> None:
        self.directory = directory
        self.pace = pace
        self.database = directory / "platform.db"
        self.journal = directory / "journal" / "journal.db"
        self.serves = directory / "serves.jsonl"
        for name in ("journal", "log", "drivers"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        self._host = host
        self._seed = seed
        self.page_port = free_port(host, port)
        self.broker_port = free_port("127.0.0.1")
        write_analyser(directory)
        self._stamps = stamp_drivers(directory) if stamped else {}
        self._began = time.time_ns() // 1_000_000
        self.past = not stamped
        """Whether the building has a past: a judge counts what the meters served, and nothing before."""
        self._config = directory / "gateway.yaml"
        self._short: Path | None = None
        self.socket = self._socket_path()
        self.simulator: SimulatorProcess | None = None
        broker = f"mqtt://127.0.0.1:{self.broker_port}"
        log = directory / "log"
        self.broker = Worker(
            "broker", ["-m", "gateway.demo.broker", "--port", str(self.broker_port)], log / "broker.log"
        )
        self.receiver = Worker(
            "receiver",
            [
                "-m",
                "gateway",
                "receive",
                "--broker",
                broker,
                "--database",
                str(self.database),
                "--consumer",
                UPLINK,
            ],
            log / "receiver.log",
        )
        self.gateway = Worker(
            "gateway",
            ["-m", "gateway", "run", "--log-level", "debug" if stamped else "info", str(self._config)],
            log / "gateway.log",
            {"SUBMETER_SOCKET": str(self.socket)},
        )

    def _socket_path(self) -> Path:
        path = self.directory / "control.sock"
        if len(str(path)) <= _SOCKET_PATH:
            return path
        self._short = Path(tempfile.mkdtemp(prefix="submeter-"))
        return self._short / "control.sock"

    @property
    def workers(self) -> tuple[Worker, ...]:
        """What is restarted when it ends; the simulator is not: its meters would start anew."""
        return (self.broker, self.receiver, self.gateway)

    @property
    def page(self) -> str:
        """The address of the page, as a browser on this machine takes it."""
        here = self._host in {"127.0.0.1", "0.0.0.0"}  # noqa: S104 - a comparison
        return f"http://{'localhost' if here else self._host}:{self.page_port}/"

    def start(self) -> None:
        """Start everything, meters first. Raises RuntimeError when a part does not come up."""
        self.broker.start()
        self.receiver.start()
        if self.past:
            make_past(self.directory, self._began, seed=self._seed)
        self.simulator = SimulatorProcess(
            simulator_spec(self.directory, self._stamps, seed=self._seed),
            self.directory,
            self.directory / "log" / "simulator.log",
        )
        self.configure()
        wait_for_port(self.broker_port, self.broker)
        self.gateway.start()

    def configure(self, *, meters_on: bool = True) -> None:
        """Write the gateway's configuration; it takes effect at its next start."""
        assert self.simulator is not None
        text = gateway_config(
            self.directory,
            self.simulator.addresses,
            broker=self.broker_port,
            listen=f"{self._host}:{self.page_port}",
            pace=self.pace,
            meters_on=meters_on,
            forgiven=breach(self._began, Calendar(ZONE)) if self.past else "",
        )
        self._config.write_text(text, encoding="utf-8")

    def stop(self) -> list[str]:
        """End everything, the gateway first; returns the names of those that had to be killed."""
        killed = [] if self.gateway.stop() else [self.gateway.name]
        self.receiver.terminate()
        self.broker.terminate()
        killed += [worker.name for worker in (self.receiver, self.broker) if not worker.stop()]
        if self.simulator is not None:
            self.simulator.stop()
            self.simulator = None
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
        return killed

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def counts(self) -> SiteCounts | None:
        """How far everything is; None while the gateway cannot be asked."""
        status = self.status()
        if status is None:
            return None
        journal, uplinks = status["journal"], status["uplinks"]
        waiting = max((int(uplink["backlog_batches"]) for uplink in uplinks), default=0)
        # Asked last: the platform only ever has more than it had when the gateway heard of it.
        stored, gaps = self.stored()
        return SiteCounts(int(journal["batches"]), waiting, stored, gaps, int(journal["readings"]))

    def status(self) -> dict[str, Any] | None:
        """What the gateway says of itself over its control socket; None while it does not answer."""
        return gateway_status(self.socket)

    def stored(self) -> tuple[int, int]:
        """Batches at the platform, and how many are missing between the first and the last."""
        if not self.database.exists():
            return 0, 0
        with contextlib.suppress(sqlite3.Error), contextlib.closing(open_readonly(self.database)) as db:
            count, first, last = db.execute(
                "SELECT count(*), min(seq), max(seq) FROM batch WHERE gateway = ?", (GATEWAY,)
            ).fetchone()
            return (count, last - first + 1 - count) if count else (0, 0)
        return 0, 0

    def wait_for(self, batches: int, patience: float) -> bool:
        """Wait until so many batches are committed; False when it takes longer than `patience` seconds."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            counts = self.counts()
            if counts is not None and counts.taken >= batches:
                return True
            time.sleep(0.2)
        return False


def open_readonly(path: Path) -> sqlite3.Connection:
    """A database that is only looked at. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
