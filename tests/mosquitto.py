"""A real broker: mosquitto, without persistence, on a port of its own."""

import os
import shutil
import signal
import socket
import subprocess
import time

from tests.ports import free_port

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
OPEN = "allow_anonymous true\nmax_queued_messages 0\n"


class Mosquitto:
    """A broker that can be killed and started again on its port; `conf` is what follows its listener."""

    def __init__(self, directory, conf=OPEN, *, log="all"):
        self.port = free_port()
        self._log = directory / f"mosquitto-{self.port}.log"
        self._conf = directory / f"mosquitto-{self.port}.conf"
        # Started by root it would become another user, who may not read the test's directory.
        user = "user root\n" if os.geteuid() == 0 else ""
        self._conf.write_text(f"{user}log_type {log}\nlistener {self.port} 127.0.0.1\n{conf}")
        self._process = None

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def log(self):
        return self._log.read_text(errors="replace")

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

    def kill(self):
        if self._process:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)
