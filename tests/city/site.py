"""A platform of processes for a simulated fleet: a broker, a database, receivers that share them; each can be
killed, and the judge says what they hold.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, Self

import psutil

from gateway.demo.fleet import Fleet, FleetLedger, FleetPlan, FleetVerdict, Progress, judge
from gateway.receiver import open_store
from tests.mosquitto import Mosquitto
from tests.receiver.postgres_server import PostgresServer
from tests.waiting import wait_until

OPEN_FILES = 20_000
"""Of the fleet and of the broker: a connection each."""
SETTINGS = ("shared_buffers=256MB", "max_wal_size=4GB", "checkpoint_timeout=15min")
"""Of PostgreSQL: what every guide says for a machine of some GB; all else is as it comes, fsync is on."""


class BrokerProcess(Protocol):
    """Of mosquitto, or of a node of a cluster."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class ReceiverProcess:
    """`submeter receive` with a log of its own."""

    def __init__(self, words: list[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen([sys.executable, "-m", "gateway", "receive", *words], stderr=out)
        self.seen = psutil.Process(self.process.pid)

    @property
    def connected(self) -> bool:
        return b"connected to" in self.log.read_bytes()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


class Site:
    """`receivers` of them on one PostgreSQL, or one on a SQLite `file`. `broker` is mosquitto when none is
    given: in memory, what it holds dies with it.
    """

    def __init__(
        self, folder: Path, *, receivers: int = 1, share: bool = True, file: Path | None = None
    ) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < OPEN_FILES:  # the broker's process inherits it
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
        self.folder = folder
        self.broker = Mosquitto(folder, log="error")
        self._file = file
        if file is None:
            self.server = PostgresServer(durable=True)
        self.receivers: list[ReceiverProcess] = []
        self._count = receivers
        self._share = share and file is None
        self._spent: dict[str, float] = {"receivers": 0.0}

    def __enter__(self) -> Self:
        if self._file is None:
            for setting in SETTINGS:
                self.server._more.append(setting)
            self.server.start()
            self.database = self.server.new_database()
        else:
            self.database = str(self._file)
        self.broker.start()
        for _ in range(self._count):
            self.start_receiver()
        wait_until(lambda: all(one.connected for one in self.receivers), 120)
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.receivers:
            one.end()
        self.broker.kill()
        if self._file is None:
            self.server.end()

    # -- blows

    def start_receiver(self, *more: str, url: str = "") -> ReceiverProcess:
        words = ["--broker", url or self.broker.url, "--database", self.database, *more]
        words += ["--share"] if self._share else []
        log = self.folder / f"receiver-{time.monotonic_ns()}.log"
        self.receivers.append(ReceiverProcess(words, log))
        return self.receivers[-1]

    def kill_receiver(self, one: ReceiverProcess) -> None:
        self._spent["receivers"] += _seconds(one.seen)
        one.kill()
        self.receivers.remove(one)

    def kill_database(self) -> None:
        self.server.kill()

    def freeze_database(self, *, frozen: bool) -> None:
        server = self.server._process
        assert server is not None
        whole = psutil.Process(server.pid)
        for one in [whole, *whole.children(recursive=True)]:
            one.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    # -- what it costs

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each part since it began."""
        broker = self.broker._process
        assert broker is not None
        spent = {
            "fleet": time.process_time(),
            "broker": _seconds(psutil.Process(broker.pid)),
            "receivers": self._spent["receivers"] + sum(_seconds(one.seen) for one in self.receivers),
        }
        if self._file is None:
            server = self.server._process
            assert server is not None
            spent["database"] = _seconds(psutil.Process(server.pid))
        return spent

    def memory(self) -> float:
        """MiB of the largest receiver."""
        return max(one.seen.memory_info().rss for one in self.receivers) / 2**20

    # -- a run

    def plan(self, **more: Any) -> FleetPlan:
        facts: dict[str, Any] = {"brokers": (self.broker.url,), "spread": 0.0, "backlog_rate": 0.0}
        return FleetPlan(**(facts | more))

    def run(
        self,
        plan: FleetPlan,
        beside: Callable[[Fleet], Coroutine[Any, Any, None]] | None = None,
        tell: Callable[[Progress], None] = lambda _: None,
        every: float = 5.0,
    ) -> tuple[Fleet, FleetLedger]:
        """A fleet, here in this process, and what happens `beside` it."""

        async def both() -> tuple[Fleet, FleetLedger]:
            fleet = Fleet(plan)
            task = asyncio.create_task(beside(fleet)) if beside else None
            ledger = await fleet.run(tell, every)
            if task is not None:
                await task
            return fleet, ledger

        return asyncio.run(both())

    def judged(self, ledger: FleetLedger) -> FleetVerdict:
        with closing(open_store(self.database, readonly=True)) as store:
            return judge(ledger, lambda sql, words: store.conn.execute(sql, words).fetchall())


def _seconds(process: psutil.Process) -> float:
    """CPU of a process, its children, and those of them that have ended."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            spent = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
        if one is process:
            total += spent.children_user + spent.children_system
    return total


def machine_is() -> str:
    """How busy it is."""
    return f"load {os.getloadavg()[0]:.1f}"
