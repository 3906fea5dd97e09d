"""From the start of the process to the first reading at the broker: ten meters, seven drivers; beside it what
the imports alone cost.

Each meter has a server of its own: on one line the pauses that their makers ask for add up to two seconds,
whatever the program. The program's byte code is there, as an installation makes it.
"""

from __future__ import annotations

import compileall
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

import gateway
from tests.bench.figures import Figure, at_most, plain
from tests.rig import Rig, rig

DRIVERS = (
    "eastron-sdm630",
    "eastron-sdm120",
    "eastron-sdm72d-m-v2",
    "schneider-iem3155",
    "abb-b23",
    "carlogavazzi-em340",
    "orno-we516",
    "eastron-sdm630",
    "eastron-sdm630",
    "abb-b23",
)
TIMES = 7


def _start(site: Rig) -> tuple[float, float, float]:
    """Seconds until a batch with readings is at the broker, until the first poll, and of processor time by
    then.
    """
    came = threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = lambda *_: came.set()
    client.connect("127.0.0.1", site.broker_port)
    client.subscribe("submeter/v1/+/data", 1)
    client.loop_start()
    time.sleep(0.5)
    before, begin = len(site.serves()), time.clock_gettime(time.CLOCK_BOOTTIME)
    site.start_gateway()
    if not came.wait(30):
        raise TimeoutError("no reading came within 30 s")
    took = time.clock_gettime(time.CLOCK_BOOTTIME) - begin
    used = site.usage("gateway").cpu
    poll = site.serves()[before]["t"] / 1000 - begin
    client.disconnect()
    client.loop_stop()
    site.kill("gateway")
    return took, poll, used


LOADERS = """
import sys, time, yaml
from pathlib import Path
if sys.argv[1] == "slow" and hasattr(yaml, "CBaseLoader"):
    del yaml.CBaseLoader
from gateway.catalogue import library
from gateway.config import load_config
began = time.process_time()
library()
load_config(Path("config/gateway.yaml"))
print(time.process_time() - began)
"""


def _all_tables(loader: str) -> float:
    """Seconds of processor time for every table and the sample; "slow": as where YAML is not parsed in C."""
    told = (subprocess.check_output([sys.executable, "-c", LOADERS, loader], text=True) for _ in range(3))
    return min(map(float, told))


def run() -> list[Figure]:
    """The median of some starts with a fresh journal each."""
    compileall.compile_dir(str(Path(gateway.__file__).parent), quiet=1)

    def server(number: int, driver: str) -> dict[str, Any]:
        slave = {"unit": 1, "meter": f"m{number}", "image": {"driver": driver, "circuit": "main"}}
        return {"name": f"plant{number}", "host": "127.0.0.1", "port": 0, "slaves": [slave]}

    spec = {
        "seed": 1,
        "building": {"start": 1795278300, "speed": 1, "step": 1},
        "servers": [server(n, driver) for n, driver in enumerate(DRIVERS, 1)],
    }
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder), spec) as site:
        assert site.simulator is not None
        site.start_broker()
        places = site.simulator.addresses
        times = []
        for number in range(TIMES):
            site.configure(
                buses=[
                    {"name": name, "type": "tcp", "host": host, "port": port}
                    for name, (host, port) in places.items()
                ],
                meters=[
                    {"id": f"m{n}", "bus": f"plant{n}", "address": 1, "driver": driver}
                    for n, driver in enumerate(DRIVERS, 1)
                ],
                uplinks=[site.uplink()],
                journal={"directory": str(site.directory / f"state{number}")},
            )
            times.append(_start(site))
    imports = []
    for _ in range(TIMES):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-c", "import gateway.cli.run, gateway.daemon.daemon"], check=True)
        imports.append(time.monotonic() - begin)
    published, polled, used = zip(*times, strict=True)
    return [
        at_most(
            "start to the first reading published, 10 meters, 7 drivers",
            statistics.median(published),
            "s",
            1.0,
            f"of {TIMES}: {min(published):.2f} to {max(published):.2f}",
        ),
        plain("of this, until the first poll", statistics.median(polled), "s"),
        plain(
            "of this, processor time",
            statistics.median(used),
            "s",
            "what is left when nothing else wants the processors, beside the meters' pauses",
        ),
        plain("the control, the interpreter and the imports alone", statistics.median(imports), "s"),
        at_most(
            "all tables and the sample, YAML not parsed in C", _all_tables("slow"), "s of processor time", 1.5
        ),
        plain("the control, parsed in C", _all_tables("quick"), "s of processor time"),
    ]
