"""Real brokers for the uplink's tests."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
from uplink_kept import InMemory, OnDisk
from uplink_parts import E1

from gateway.mqtt.reconnect import Reconnect
from tests import virtual_time
from tests.ports import free_port

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Mosquitto:
    """A broker without persistence; `conf` is what follows its listener."""

    def __init__(self, directory, conf="allow_anonymous true\nmax_queued_messages 0\n", protocol=""):
        self.port = free_port()
        self._log = directory / f"mosquitto-{self.port}.log"
        self._conf = directory / f"mosquitto-{self.port}.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        self._conf.write_text(f"{user}log_type all\nlistener {self.port} 127.0.0.1\n{protocol}{conf}")
        self._process = None

    def start(self):
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._conf)], stdout=log, stderr=log)
        end = time.monotonic() + 10
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise AssertionError(f"mosquitto did not start: {self.log}")

    @property
    def log(self):
        return self._log.read_text(errors="replace")

    def kill(self):
        if self._process:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture(autouse=True)
def _reconnects_on_virtual_time(request, monkeypatch):
    if request.node.get_closest_marker("virtual_time"):
        monkeypatch.setitem(Reconnect.__init__.__kwdefaults__, "monotonic", virtual_time.monotonic)


@pytest.fixture(params=[InMemory, OnDisk], ids=["double", "journal"])
async def kept(request, tmp_path, monkeypatch):
    """What an uplink reads from: the journal's double, and the journal. Epochs are E1, E2 and so on."""
    drawn = itertools.count(int(E1, 16))
    monkeypatch.setattr("gateway.journal.file.batches.new_epoch", lambda: f"{next(drawn):016x}")
    made = request.param(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def mosquitto(tmp_path):
    """Make brokers: mosquitto(conf=…, start=True)."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: MQTT 5 and TLS are not exercised")
    made = []

    def make(*args, start=True, **options):
        made.append(Mosquitto(tmp_path, *args, **options))
        return made[-1].start() if start else made[-1]

    yield make
    for broker in made:
        broker.kill()


@pytest.fixture
def free_port_of():
    """Ports that nobody uses."""
    return free_port
