"""From the start of the process to the first reading at the broker: ten meters, seven drivers; beside it what the imports alone cost."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as mqtt

from tests.bench.figures import Figure, at_most, plain
from tests.rig import Rig, rig

DRIVERS = (
    "eastron-sdm630", "eastron-sdm120", "eastron-sdm72d-m-v2", "schneider-iem3155", "abb-b23", "carlogavazzi-em340", "orno-we516",
    "eastron-sdm630", "eastron-sdm630", "abb-b23",
)  # fmt: skip
TIMES = 5


def _start(site: Rig) -> float:
    """Seconds until a batch with readings is at the broker."""
    came = threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = lambda *_: came.set()
    client.connect("127.0.0.1", site.broker_port)
    client.subscribe("submeter/v1/+/data", 1)
    client.loop_start()
    time.sleep(0.5)
    begin = time.monotonic()
    site.start_gateway()
    if not came.wait(30):
        raise TimeoutError("no reading came within 30 s")
    took = time.monotonic() - begin
    client.disconnect()
    client.loop_stop()
    site.kill("gateway")
    return took


def run() -> list[Figure]:
    """The median of some starts with a fresh journal each."""
    slaves = [{"unit": n, "meter": f"m{n}", "image": {"driver": driver, "circuit": "main"}} for n, driver in enumerate(DRIVERS, 1)]
    spec = {
        "seed": 1,
        "building": {"start": 1795278300, "speed": 1, "step": 1},
        "servers": [{"name": "plant", "host": "127.0.0.1", "port": 0, "slaves": slaves}],
    }
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder), spec) as site:
        assert site.simulator is not None
        site.start_broker()
        host, port = site.simulator.addresses["plant"]
        times = []
        for number in range(TIMES):
            site.configure(
                buses=[{"name": "plant", "type": "tcp", "host": host, "port": port}],
                meters=[{"id": f"m{n}", "bus": "plant", "address": n, "driver": driver} for n, driver in enumerate(DRIVERS, 1)],
                uplinks=[site.uplink()],
                journal={"directory": str(site.directory / f"state{number}")},
            )
            times.append(_start(site))
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", "import gateway.cli.run, gateway.daemon.daemon"], check=True)
    imports = time.monotonic() - begin
    return [
        at_most(
            "start to the first reading published, 10 meters, 7 drivers",
            statistics.median(times),
            "s",
            1.5,
            f"of {TIMES}: {min(times):.2f} to {max(times):.2f}",
        ),
        plain("of this, the interpreter and the imports", imports, "s"),
    ]
