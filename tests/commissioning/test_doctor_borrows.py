"""`submeter doctor` in real time: on a running gateway, which lends the line and polls again however the
command ends, and on a line whose wires are exchanged.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys

import pytest
from faulty_sites import LiveImage
from line_physics import LineFaults, LineMeter, LineModel
from pty_line import PtyLine
from swapped_line import SwappedLine
from typist import Typist

from gateway.catalogue import load_driver
from gateway.cli.client import ControlClient
from gateway.commissioning.doctor.asking import HostAsk, LineAsk
from gateway.commissioning.doctor.targets import target_of
from gateway.commissioning.scan import LineSetting, RawExchange
from gateway.commissioning.scan.exchange import Answer, Exchange
from gateway.config import Meter
from gateway.demo.simulator.slave import Slave
from gateway.field import sealed
from tests.ports import free_port
from tests.rig import until

DRIVER = load_driver("inepro-pro380")
SHORT = """import sys
from gateway.cli import lending, main
lending.LEASE = 3
main()
"""
"""The command with a lease of 3 s: one that is killed gives the line back within it."""
pytestmark = pytest.mark.timeout(600)


def written(folder, port: str) -> str:
    path = folder / "gateway.yaml"
    (folder / "state").mkdir(exist_ok=True)
    path.write_text(
        f"""
gateway: {{id: izm-1, commit_interval: 1s}}
clock: {{trust: system}}
buses: [{{name: lab, type: serial, port: {port}, baudrate: 115200}}]
meters:
  - {{id: main, bus: lab, address: 3, driver: inepro-pro380, interval: 1s}}
  - {{id: hvac, bus: lab, address: 7, driver: inepro-pro380, interval: 1s}}
uplinks: []
status: {{listen: "127.0.0.1:{free_port()}"}}
journal: {{directory: {folder / "state"}}}
"""
    )
    return str(path)


class Daemon:
    """A running gateway on a line with two meters."""

    def __init__(self, folder, port: str) -> None:
        self.port = port
        self.socket, self.path = folder / "control.sock", written(folder, port)
        env = {**os.environ, "SUBMETER_SOCKET": str(self.socket), "LANG": "C.UTF-8"}
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", self.path], env=env, stderr=log
            )
        until(self.socket.exists, 60, "the gateway listens")

    def events(self) -> list[str]:
        """The loans in the journal, oldest first."""
        with ControlClient(self.socket) as client:
            rows = client.journal_rows(limit=1000)
        kinds = [event["kind"] for row in rows for event in row["batch"].get("events", [])]
        return [kind for kind in kinds if kind.startswith("bus_")]

    def reads(self) -> bool:
        """Whether it polls its meter."""
        with ControlClient(self.socket) as client:
            return bool(client.read(["main"])[0].get("values"))

    def doctor(self, *words: str, **more) -> Typist:
        """The command, on this gateway."""
        return Typist("doctor", *words, "-c", self.path, SUBMETER_SOCKET=str(self.socket), **more)


@pytest.fixture
def daemon(tmp_path):
    meters = [
        LineMeter(Slave(unit, LiveImage(DRIVER, random.Random(unit), f"876543{unit}")), LineSetting(115200))
        for unit in (3, 7)
    ]
    with PtyLine(LineModel(meters, LineFaults(), random.Random(1))) as line:
        here = Daemon(tmp_path, line.port)
        here.model = line.model
        try:
            until(here.reads, 60, "it polls")
            yield here
        finally:
            here.process.send_signal(signal.SIGTERM)
            here.process.wait(30)


def test_the_line_is_lent_and_comes_back_however_the_command_ends(daemon) -> None:
    loan = ["bus_lent", "bus_returned"]
    whole = daemon.doctor("main")
    whole.hears("lends bus lab")
    assert whole.ends() == 0, whole.text
    assert "Nothing is wrong" in whole.text
    assert not whole.too_wide
    until(lambda: daemon.events() == loan, 30, "the journal has the loan and its end")
    assert daemon.reads()

    # Nobody answers: the doctor looks for long, and is in the middle of it however late the key is pressed.
    meters, daemon.model.meters = daemon.model.meters, []
    broken = daemon.doctor("lab", lang="tr")
    broken.hears("ödünç")
    broken.interrupts()
    broken.hears("Erken bitirildi")
    assert broken.ends() == 2, broken.text
    daemon.model.meters = meters
    assert "Traceback" not in broken.text
    until(lambda: daemon.events() == 2 * loan, 30, "the line is back after Ctrl-C")
    assert daemon.reads()

    trying = Typist(
        "drivers", "try", "inepro-pro380", "--bus", daemon.port, "--address", "3", "--baudrate", "115200",
        "--parity", "N", "--stopbits", "1", "--seconds", "600", SUBMETER_SOCKET=str(daemon.socket),
    )  # fmt: skip
    trying.hears("lends bus lab")
    trying.hears("Asking address 3")
    trying.interrupts()
    assert trying.ends() == 1
    assert "Traceback" not in trying.text
    until(lambda: daemon.events() == 3 * loan, 30, "the line is back after a table was tried")

    killed = daemon.doctor("lab", python=("-c", SHORT))
    killed.hears("lends bus lab")
    until(lambda: daemon.events()[-1] == "bus_lent", 30, "the line is lent")
    os.kill(killed.child.pid, signal.SIGKILL)
    until(lambda: daemon.events() == 4 * loan, 60, "the line is back after the lease")
    assert daemon.reads()


def test_exchanged_wires_in_real_time(tmp_path) -> None:
    with SwappedLine(pulled=True) as line:
        path = written(tmp_path, line.port)
        told = Typist("doctor", "main", "--json", "-c", path, SUBMETER_SOCKET="/nonexistent/control.sock")
        assert told.ends() == 1, told.text
        assert line.requests > 20
    answer = json.loads(next(row for row in told.text.splitlines() if row.startswith("{")))
    first = answer["found"][0]
    assert first["cause"] == "swapped"
    assert "silent_line" not in first["alike"]
    assert "A" in first["action"]


@pytest.mark.parametrize("kind", [LineAsk, HostAsk])
async def test_ctrl_c_is_heard_between_two_questions_about_values(kind) -> None:
    asked = []

    class Blocking:
        """A line and a host that block while they ask; the key is pressed meanwhile."""

        def now(self) -> float:
            return 0.0

        def rest(self, seconds: float) -> None: ...

        def raw(self, sent: bytes, wait: float) -> RawExchange:
            self.exchange(sent[0], sent[1:-2], wait)
            return RawExchange(sent, b"", sealed(1, bytes((3, 2, 0, 1))), 0.01)

        def exchange(self, unit: int, pdu: bytes, wait: float) -> Exchange:
            asked.append((unit, pdu, wait))
            judging.cancel()
            return Exchange([Answer(1, bytes((3, 2, 0, 1)), 0.01)])

    meter = Meter(id="main", bus="lab", address=1, driver=DRIVER.name)
    ask = kind(Blocking(), target_of(meter, DRIVER))

    async def judged() -> None:
        while len(asked) < 5:
            assert await ask(3, 0, 1) == [1]

    judging = asyncio.ensure_future(judged())
    with pytest.raises(asyncio.CancelledError):
        await judging
    assert len(asked) == 1
