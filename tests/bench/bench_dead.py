"""Lost meters: over the 60 s from their death the others keep their rate."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, at_least
from tests.rig import DRIVERS, rig

CASES = ((5, 1), (5, 3), (5, 4), (32, 16))
WARM, BEFORE, AFTER = 12.0, 60.0, 60.0


def _line(name: str, path: Path, meters: int) -> dict[str, Any]:
    # Half of what the line can carry: five meters every 4 s, 32 every 24 s.
    slaves = [
        {
            "unit": unit,
            "meter": f"{name}-{unit}",
            "image": {"driver": "bench-sdm630", "directory": str(DRIVERS), "circuit": "main"},
        }
        for unit in range(1, meters + 1)
    ]
    return {"name": name, "path": str(path), "baudrate": 9600, "turnaround": 0.02, "slaves": slaves}


def run() -> list[Figure]:
    """All cases side by side, a line each."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        names = [f"line{meters}-{dead}" for meters, dead in CASES]
        spec = {
            "seed": 1,
            "building": {"start": 1795278300, "speed": 1, "step": 1},
            "lines": [
                _line(name, directory / name, meters) for name, (meters, _) in zip(names, CASES, strict=True)
            ],
        }
        with rig(directory, spec) as site:
            assert site.simulator is not None
            site.configure(
                buses=[{"name": name, "type": "serial", "port": str(directory / name)} for name in names],
                meters=[
                    {
                        "id": f"{name}-{unit}",
                        "bus": name,
                        "address": unit,
                        "driver": "bench-sdm630",
                        "interval": "0s",
                    }
                    for name, (meters, _) in zip(names, CASES, strict=True)
                    for unit in range(1, meters + 1)
                ],
            )
            site.start_gateway()
            time.sleep(WARM)
            time.sleep(BEFORE)
            death = time.clock_gettime(time.CLOCK_BOOTTIME)
            for name, (_, dead) in zip(names, CASES, strict=True):
                for unit in range(1, dead + 1):
                    site.simulator.fault(name, unit, "dead", times=None)
            time.sleep(AFTER)
            serves = site.serves()
        return [
            _figure(name, meters, dead, serves, death)
            for name, (meters, dead) in zip(names, CASES, strict=True)
        ]


def _figure(name: str, meters: int, dead: int, serves: list[dict[str, Any]], death: float) -> Figure:
    living = {f"{name}-{unit}" for unit in range(dead + 1, meters + 1)}
    counts: Counter[str] = Counter()
    for serve in serves:
        if serve["meter"] in living and not serve["fault"]:
            t = serve["t"] / 1000
            if death - BEFORE <= t < death:
                counts["before"] += 1
            elif death <= t < death + AFTER:
                counts["after"] += 1
    rate = counts["after"] / AFTER / (counts["before"] / BEFORE)
    note = (
        f"{counts['before']} reads in the {BEFORE:.0f} s before, {counts['after']} in the {AFTER:.0f} s after"
    )
    return at_least(f"{dead} of {meters} meters dead: rate the others keep", 100 * rate, "%", 95, note)
