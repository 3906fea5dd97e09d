"""Brokers of other makers that speak MQTT 3.1.1, one node each: own directories, loopback, bounded memory,
ended by whom started them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.ports import free_port

BUILD = Path(__file__).parents[2] / "build"
AEDES = BUILD / "aedes" / "node_modules"
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:" + os.environ.get("PATH", "")

_AEDES = """
const aedes = require(process.argv[2])()
require('net').createServer(aedes.handle).listen(Number(process.argv[3]), '127.0.0.1')
"""


class Peer:
    """A broker; `why_not` says why it cannot run here, empty when it can."""

    starts = 30.0
    """Seconds that a start may take on a busy machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def why_not() -> str:
        raise NotImplementedError

    def command(self) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    def start(self) -> None:
        command, more = self.command()
        log = self.folder / "broker.log"
        with log.open("ab") as out:
            # In a session of its own: what it starts ends with it.
            self._process = subprocess.Popen(
                command, stdout=out, stderr=out, env={**os.environ, **more}, start_new_session=True
            )
        end = time.monotonic() + self.starts
        while self._process.poll() is None and time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError(f"the broker did not start: {log.read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)
            self._process = None

    def end(self) -> None:
        self.kill()


class Nats(Peer):
    """nats-server with its MQTT listener on JetStream."""

    @staticmethod
    def why_not() -> str:
        return "" if shutil.which("nats-server", path=_PATH) else "nats-server is not installed"

    def command(self) -> tuple[list[str], dict[str, str]]:
        conf = self.folder / "nats.conf"
        store = f'store_dir: "{self.folder}/jetstream", max_memory_store: 64MB, max_file_store: 256MB'
        conf.write_text(
            f"server_name: peer\nlisten: 127.0.0.1:{free_port()}\njetstream {{ {store} }}\nmqtt {{ host: "
            f"127.0.0.1, port: {self.port} }}\n"
        )
        return [str(shutil.which("nats-server", path=_PATH)), "-c", str(conf)], {"GOMEMLIMIT": "256MiB"}


class RabbitMq(Peer):
    """RabbitMQ with its MQTT plugin; Erlang takes its time to start."""

    starts = 180.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._amqp, self._dist, self._epmd = free_port(), free_port(), free_port()

    @staticmethod
    def why_not() -> str:
        return "" if RABBITMQ.exists() else "rabbitmq-server is not installed"

    def command(self) -> tuple[list[str], dict[str, str]]:
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self._amqp}",
            f"mqtt.listeners.tcp.1 = 127.0.0.1:{self.port}",
            "mqtt.allow_anonymous = true",
            "vm_memory_high_watermark.absolute = 256MB",
            "disk_free_limit.absolute = 20MB",
            "log.console = true",
            "log.file = false",
        ]
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        names = {
            "HOME": self.folder,
            "RABBITMQ_CONFIG_FILE": self.folder / "rabbitmq",
            "RABBITMQ_MNESIA_BASE": self.folder / "mnesia",
            "RABBITMQ_LOG_BASE": self.folder / "log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "enabled_plugins",
            "RABBITMQ_PID_FILE": self.folder / "pid",
            "RABBITMQ_NODENAME": f"peer{self.port}@localhost",
            "RABBITMQ_DIST_PORT": self._dist,
            "ERL_EPMD_PORT": self._epmd,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
        }
        return [str(RABBITMQ)], {name: str(value) for name, value in names.items()}

    def end(self) -> None:
        self.kill()
        epmd = shutil.which("epmd", path=_PATH)
        if epmd:  # Erlang's name server leaves the session; this one is ours by its port
            subprocess.run(
                [epmd, "-port", str(self._epmd), "-kill"], capture_output=True, check=False, timeout=20
            )


class Aedes(Peer):
    """aedes on Node, without persistence."""

    @staticmethod
    def why_not() -> str:
        if not shutil.which("node", path=_PATH):
            return "node is not installed"
        return (
            ""
            if (AEDES / "aedes").is_dir()
            else "aedes is not installed: npm is missing, or tests/tools.sh was not run"
        )

    def command(self) -> tuple[list[str], dict[str, str]]:
        script = self.folder / "broker.js"
        script.write_text(_AEDES)
        node = str(shutil.which("node", path=_PATH))
        return [node, "--max-old-space-size=128", str(script), str(AEDES / "aedes"), str(self.port)], {}
