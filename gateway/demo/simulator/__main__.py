"""python -m gateway.demo.simulator SPEC.json: simulated meters in a process of their own.

SPEC: {"log": "serves.jsonl", "seed": 1, "building": BUILDING, "lines": [LINE…], "servers": [SERVER…]}
BUILDING: {"start": 1795278300, "speed": 1, "step": 1, "memory": FILE that keeps the registers between runs}
LINE: {"name", "path", "baudrate", "parity", "stopbits", "turnaround", "busy", "check_speed",
    "faults": CHANCE, "slaves": [SLAVE…]}
SERVER: {"name", "host", "port", "mode": "tcp" | "rtu", "latency", "numbers", "lengths", "unit", "protocol",
    "counted", "echo", "behind", "downstream": WIRE, "faults": CHANCE, "slaves": [SLAVE…]}
WIRE: {"baudrate", "turnaround"}
SLAVE: {"unit", "meter", "limit", "min_gap", "stamp": {"address", "words"},
    "image": {"words": {"0": 17}} | {"pattern": 1000} | METER}
CHANCE: {"seed", "rate", "kinds": ["late", {"kind": "exception", "code": 11}], "units": [1]}
METER: see gateway.demo.simulator.meter_image.

One JSON line on stdout says that it is ready:
    {"ready": true, "ports": {line: path}, "addresses": {server: [host, port]}}
Then each JSON line on stdin is an order and gets one JSON line in answer:
    {"do": "fault", "bus", "unit", "kind", "seconds", "code", "times"}
    {"do": "clear", "bus", "unit"}
    {"do": "unplug" | "plug", "bus"}
    {"do": "inject", "bus", "hex"}
    {"do": "drop", "bus"} (reset TCP clients)
    {"do": "stats"}
    {"do": "stop"}
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from gateway.demo.simulator.simulator import Simulator

_SAVE = 5.0
"""s between two looks whether the registers should be kept."""


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run until told to stop, by an order or a signal."""
    simulator = Simulator(json.loads(Path(sys.argv[1]).read_text()))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def orders() -> None:
        for line in sys.stdin:
            try:
                order = json.loads(line)
                answer = simulator.obey(order)
            except (ValueError, AttributeError, TypeError) as error:
                order, answer = {}, {"ok": False, "error": f"not an order: {error}"}
            _tell(answer)
            if order.get("do") == "stop":
                stop.set()

    with simulator:
        _tell(simulator.ready)
        threading.Thread(target=orders, name="orders", daemon=True).start()
        while not stop.wait(_SAVE):
            simulator.save()


if __name__ == "__main__":
    main()
