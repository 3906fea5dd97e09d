"""Backlog drain from a real journal through a real broker, QoS 1, ten meters × 34 values a batch, no rate
limit; when it begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import paho.mqtt.client as paho

from gateway.config.schema import Uplink
from gateway.host.clock import Clock
from gateway.journal import Journal
from gateway.model import QUANTITIES, Draft, Reading
from gateway.uplink import Forwarder
from tests.bench.figures import Figure, at_least, at_most, plain

METERS, VALUES, BATCHES = 10, 34, 3000
GATEWAY = "bench-drain"
MOSQUITTO = "/usr/sbin/mosquitto"
LONG_AWAY = 15.0
"""Seconds: by then the wait between two attempts is at its longest."""


@contextmanager
def _process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _broker(folder: Path, port: int) -> Iterator[None]:
    conf = folder / "mosquitto.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    with _process(MOSQUITTO, "-c", str(conf)):
        end = time.monotonic() + 10
        while not _listening(port):
            assert time.monotonic() < end, "mosquitto did not start"
            time.sleep(0.02)
        yield


async def _until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


async def _fill(journal: Journal, clock: Clock, count: int) -> None:
    rng = random.Random(1)
    names = [name for name, word in QUANTITIES.items() if word.kind == "gauge"][:26]
    names += [name for name, word in QUANTITIES.items() if word.kind == "counter"][: VALUES - len(names)]
    level = {(m, name): rng.uniform(1, 400) for m in range(METERS) for name in names}
    for _ in range(count):
        uptime = clock.uptime()
        readings = []
        for m in range(METERS):
            for name in names:
                level[m, name] += (
                    rng.gauss(0, 0.5) if QUANTITIES[name].kind == "gauge" else rng.random() * 0.01
                )
            readings.append(
                Reading(f"m{m:02}", uptime + 90 * m, {name: round(level[m, name], 2) for name in names})
            )
        await journal.commit(Draft(readings))


class _Bench:
    def __init__(self, folder: Path, journal: Journal, clock: Clock) -> None:
        self.folder, self.journal, self.clock = folder, journal, clock
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def uplink(self, name: str, receipts: tuple[str, ...] = ()) -> Uplink:
        return Uplink(
            name=name, url=f"mqtt://127.0.0.1:{self.port}", receipts=receipts, spread="0s", backlog_rate=0.0
        )

    @contextlib.asynccontextmanager
    async def forwarder(self, config: Uplink):
        """A forwarder at work."""
        forwarder = Forwarder(config, GATEWAY, self.journal, self.clock, lambda: b"{}", lambda _event: None)
        task = asyncio.create_task(forwarder.run())
        try:
            yield forwarder
        finally:
            await forwarder.stop()
            await task

    async def to_the_broker(self) -> float:
        """Values a second until every batch has its PUBACK; somebody is subscribed."""
        subscriber = (sys.executable, "-c", _SUBSCRIBER, str(self.port))
        with _broker(self.folder, self.port), _process(*subscriber):
            await asyncio.sleep(2.0)
            async with self.forwarder(self.uplink("plain")) as forwarder:
                begin = time.monotonic()
                await _until(lambda: forwarder.stats().delivered_batches >= BATCHES)
                return BATCHES * METERS * VALUES / (time.monotonic() - begin)

    def bare(self, bodies: list[bytes]) -> float:
        """The control: values a second of plain paho with the same messages, out of memory."""
        subscriber = (sys.executable, "-c", _SUBSCRIBER, str(self.port))
        with _broker(self.folder, self.port), _process(*subscriber):
            time.sleep(2.0)
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
            came, done = itertools.count(1), threading.Event()
            client.on_publish = lambda *_: done.set() if next(came) == len(bodies) else None
            client.connect("127.0.0.1", self.port)
            client.loop_start()
            begin = time.monotonic()
            for body in bodies:
                client.publish("submeter/v1/bare/data", body, qos=1)
            assert done.wait(120), "paho did not send everything"
            took = time.monotonic() - begin
            client.disconnect()
            client.loop_stop()
        return len(bodies) * METERS * VALUES / took

    async def with_receipts(self) -> float:
        """Values a second until the reference receiver has receipted every batch."""
        database = self.folder / "platform.db"
        command = (
            sys.executable,
            "-m",
            "gateway",
            "receive",
            "--database",
            str(database),
            "--broker",
            f"mqtt://127.0.0.1:{self.port}",
        )
        with _broker(self.folder, self.port), _process(*command):
            await asyncio.sleep(4.0)
            async with self.forwarder(self.uplink("city", ("city",))) as forwarder:
                begin = time.monotonic()
                await _until(lambda: forwarder.stats().delivered_batches >= BATCHES)
                took = time.monotonic() - begin
        with closing(sqlite3.connect(database)) as db:
            stored = db.execute("SELECT count(*) FROM batch").fetchone()[0]
        assert stored == BATCHES, f"{stored} of {BATCHES} batches at the platform"
        return BATCHES * METERS * VALUES / took

    async def begins(self) -> float:
        """Seconds from the return of the broker, long away, to the first batch of the backlog."""
        async with self.forwarder(self.uplink("late", ("city",))) as forwarder:
            await asyncio.sleep(LONG_AWAY)
            with _broker(self.folder, self.port):
                back = time.monotonic()
                await _until(lambda: forwarder.stats().sent_batches > 0)
                return time.monotonic() - back


_SUBSCRIBER = """
import sys
import paho.mqtt.client as paho
client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
client.on_connect = lambda c, *_: c.subscribe("submeter/#", 1)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
"""


async def _measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        clock = Clock("system")
        journal = Journal.open(
            Path(name) / "journal", gateway=GATEWAY, clock=clock, uplinks=["plain", "city", "late"]
        )
        try:
            await _fill(journal, clock, BATCHES)
            first = (await journal.find(journal.newest[0], 1, BATCHES, 200))[1:]
            bench = _Bench(Path(name), journal, clock)
            begins = await bench.begins()
            broker = await bench.to_the_broker()
            receipts = await bench.with_receipts()
            rows = [
                row
                for at in range(1, BATCHES, 200)
                for row in await journal.find(journal.newest[0], at, at + 199, 200)
            ]
            control = await asyncio.to_thread(bench.bare, [row.body for row in rows])
        finally:
            await journal.close()
    size = sum(len(row.body) for row in first) / sum(row.values for row in first)
    return [
        at_least(
            "drain to the broker", broker, "values/s", 300_000, f"{BATCHES} batches of {METERS} × {VALUES}"
        ),
        at_least("drain with receipts from the reference receiver", receipts, "values/s", 100_000),
        plain(
            "the control, plain paho with the same messages",
            control,
            "values/s",
            "out of memory, without journal",
        ),
        at_most("drain begins after the broker is back", begins, "s", 5.0, f"away for {LONG_AWAY:g} s"),
        plain("bytes per value on the wire in this bench", size, "bytes", "a random walk with two decimals"),
    ]


def run() -> list[Figure]:
    """Fill a journal, drain it to a broker, to a receiver, and after an absence."""
    return asyncio.run(_measure())
