"""The whole way: contact, filter, batch, restart. The meter's own log is the judge."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from gateway.cli.client import ControlClient
from gateway.cli.pulses import lines
from gateway.daemon.daemon import Daemon
from gateway.errors import GatewayError, JournalFull
from gateway.host.clock import Clock
from gateway.journal import Journal
from gateway.wire import decode

HERE = Path(__file__).parent
CONFIG = """
gateway: {{id: pulses, commit_interval: 1s}}
clock: {{trust: system}}
pulses:
  - {{id: water, name: {name}, pin: 17, per_unit: 100, quantity: volume, start: 50, min_width: 4ms, min_gap: 4ms, max_rate: 200}}
  - {{id: gas, pin: 18, per_unit: 10, quantity: volume}}
status: {{enabled: false}}
journal: {{directory: "{directory}"}}
"""


class Gateway:
    """A daemon in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "gateway.yaml"
        self.socket = directory / "control.sock"
        self.log = directory / "meter.log"
        self.write()

    def write(self, name="Su") -> None:
        self.config.write_text(CONFIG.format(directory=self.directory / "state", name=name))

    def start(self) -> None:
        self.log.unlink(missing_ok=True)
        with (self.directory / "daemon.log").open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "pulse_daemon.py"), str(self.config), str(self.log)],
                env={**os.environ, "SUBMETER_SOCKET": str(self.socket)},
                stderr=errors,
                cwd=HERE.parents[1],
            )
        until(lambda: self.given > 5)

    def end(self, number=signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(30)

    @property
    def pulses(self) -> list[tuple[int, int]]:
        """(number, uptime in ms) of every pulse that the meter gave in this run."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines(keepends=True)
        return [(int(number), int(uptime)) for number, uptime in (line.split() for line in lines if line.endswith("\n"))]

    @property
    def given(self) -> int:
        return len(self.pulses)

    @property
    def seq(self) -> int:
        """The newest batch; 0 while nobody answers."""
        try:
            with ControlClient(self.socket) as client:
                return client.status()["journal"]["seq"]
        except GatewayError:
            return 0

    def client(self) -> ControlClient:
        until(self.socket.exists)
        return ControlClient(self.socket)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            env={**os.environ, "SUBMETER_SOCKET": str(self.socket)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def gateway(tmp_path):
    made = Gateway(tmp_path)
    yield made
    with contextlib.suppress(AttributeError, ProcessLookupError):
        made.process.kill()
        made.process.wait(30)


def until(true, limit=60.0) -> None:
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


async def soon(true, limit=60.0) -> None:
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def stored(gateway: Gateway) -> tuple[dict, list, list]:
    """What the journal carries, every reading of the water meter and every event, oldest first."""
    journal = Journal.open(gateway.directory / "state", gateway="pulses", clock=Clock("system"))
    try:
        batches = []
        for epoch, first, last in journal.epochs():
            found = await journal.find(epoch, first, last, limit=last - first + 1)
            batches += [decode(sealed.body) for sealed in found]
        readings = [reading for batch in batches for reading in batch.readings if reading.meter == "water"]
        return journal.carried["pulses"], readings, [event for batch in batches for event in batch.events]
    finally:
        await journal.close()


async def test_a_kill_loses_at_most_the_open_slot(gateway) -> None:
    before, seen, newest_seq, chance = 0, 0, 0, random.Random(7)
    for _ in range(4):
        gateway.start()
        until(lambda newest=newest_seq: gateway.seq >= newest + 3)
        newest_seq = gateway.seq
        await asyncio.sleep(chance.random() * 1.5)
        gateway.end(signal.SIGKILL)
        pulses = gateway.pulses
        # The meter's log shows when this machine stood still: such a moment is no fault of the counting.
        stall = max(after - before for (_, before), (_, after) in pairwise(pulses))
        slack = 200 + 2 * stall
        carried, readings, _ = await stored(gateway)
        newest = readings[-1]
        # What goes on after the restart is exactly what was taken last.
        assert carried["water"] == {"count": newest.values["pulse_count"], "register": newest.values["volume"], "quantity": "volume"}
        assert newest.values["volume"] == round(50 + newest.values["pulse_count"] / 100, 9)
        for reading in readings[seen:]:
            # Every pulse that was over before a reading is in it; the thread may have a few under way.
            certain = sum(uptime < reading.uptime - slack for _, uptime in pulses)
            possible = sum(uptime <= reading.uptime + slack for _, uptime in pulses) + 1
            assert before + certain <= reading.values["pulse_count"] <= before + possible
        assert pulses[-1][1] - newest.uptime < 5000 + slack
        assert len(readings) > seen + 1
        before, seen = int(carried["water"]["count"]), len(readings)
    counts = [reading.values["pulse_count"] for reading in readings]
    assert counts == sorted(counts)
    assert carried["gas"] == {"count": 0, "register": 0.0, "quantity": "volume"}


async def test_a_clean_stop_and_reloads_lose_nothing(gateway) -> None:
    gateway.start()
    with gateway.client() as client:
        for number in range(4):
            gateway.write(f"Su {number}")
            gateway.process.send_signal(signal.SIGHUP) if number % 2 else client.reload()
            await asyncio.sleep(0.6)
        until(lambda: client.pulses()[0]["label"] == "Su 3")
    given = gateway.given
    gateway.end()
    carried, readings, _ = await stored(gateway)
    assert given <= carried["water"]["count"] <= gateway.given + 1
    assert readings[-1].values["pulse_count"] == carried["water"]["count"]


async def test_a_reload_while_the_disk_is_full_keeps_what_was_counted(gateway, monkeypatch) -> None:
    async def refuse(*_):
        raise JournalFull("no room")

    factory = MockFactory()
    monkeypatch.setattr(Device, "pin_factory", factory)
    daemon = Daemon(gateway.config, gateway.socket)
    task = asyncio.create_task(daemon.run())

    async def count(number: int) -> None:
        await soon(lambda: daemon.assembly.pulses.health()[0].state == "counting")
        for _ in range(number):
            factory.pin(17).drive_low()
            await asyncio.sleep(0.006)
            factory.pin(17).drive_high()
            await asyncio.sleep(0.006)

    await soon(gateway.socket.exists)
    await count(20)
    commit = daemon.journal.commit
    monkeypatch.setattr(daemon.journal, "commit", refuse)
    await count(30)
    await daemon.reload()
    await count(10)
    monkeypatch.setattr(daemon.journal, "commit", commit)
    await asyncio.sleep(0.2)
    daemon.end()
    await asyncio.wait_for(task, 30)
    carried, readings, _ = await stored(gateway)
    assert carried["water"] == {"count": 60, "register": 50.6, "quantity": "volume"}
    assert readings[-1].values["pulse_count"] == 60


async def test_the_command_shows_and_sets(gateway) -> None:
    gateway.start()
    shown = gateway.cli("pulses")
    assert shown.returncode == 0, shown.stderr
    head, water, gas = shown.stdout.splitlines()
    assert head.split()[:3] == ["INPUT", "GPIO", "REGISTER"]
    assert water.split()[:2] == ["water", "17"]
    assert "m³" in water
    assert gas.split()[:4] == ["gas", "18", "0", "m³"]
    entry = json.loads(gateway.cli("pulses", "show", "--json").stdout)[0]
    assert (entry["id"], entry["state"], entry["label"]) == ("water", "counting", "Su")
    assert entry["count"] > 5
    answer = gateway.cli("pulses", "set", "water", "1240.5")
    assert answer.returncode == 0, answer.stderr
    assert "is 1240.5 at pulse" in answer.stdout
    assert gateway.cli("read", "water").returncode == 0
    with gateway.client() as client:
        assert [(reading["meter"], len(reading["values"])) for reading in client.read()] == [("water", 2), ("gas", 2)]
        assert {meter["id"]: meter["state"] for meter in client.status()["meters"]} == {"water": "answering", "gas": "answering"}
    refused = gateway.cli("pulses", "set", "water", "1240,5")
    assert refused.returncode == 1
    assert "like 1240.5" in refused.stderr
    unknown = gateway.cli("pulses", "set", "air", "1")
    assert unknown.returncode == 1
    assert "water, gas" in unknown.stderr
    gateway.end(signal.SIGKILL)  # the answer of `set` means that it is on disk
    carried, readings, events = await stored(gateway)
    assert carried["water"]["register"] >= 1240.5
    (event,) = [event for event in events if event.kind == "pulse_register_set"]
    assert event.fields["meter"] == "water"
    assert event.fields["new"] == 1240.5
    assert event.fields["old"] < 1240.5
    after = [reading for reading in readings if reading.values["pulse_count"] >= event.fields["pulse_count"]][-1]
    assert after.values["volume"] == round(1240.5 + (after.values["pulse_count"] - event.fields["pulse_count"]) / 100, 9)


def test_the_command_without_a_daemon(gateway) -> None:
    answer = gateway.cli("pulses")
    assert answer.returncode == 1
    assert "no daemon listens" in answer.stderr


def test_the_table_says_why_an_input_does_not_count() -> None:
    assert "configuration" in lines([])[0]
    failed = {
        "id": "gas", "label": "Gaz", "pin": 4, "state": "failed", "error": "there is no GPIO → move it", "quantity": "volume", "unit": "m³",
        "count": 12, "register": 184223.91, "short": 3, "gap": 4, "rate": 5, "per_minute": None, "age": None, "closed": False,
    }  # fmt: skip
    _, row, why = lines([failed])
    assert row.split() == ["gas", "4", "184223.91", "m³", "12", "–", "–", "failed", "3", "4", "5"]
    assert why == "! gas does not count: there is no GPIO → move it"
