"""RTU: how close a cycle of five meters comes to what the wire allows, judged by the slaves' own log; t3.5 is watched on the line."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from pathlib import Path

from gateway.catalogue import load_driver
from gateway.config import Meter, SerialBus
from gateway.field.cost import TURN_AROUND, prior, wire_of
from gateway.field.meter import MeterTask
from gateway.field.planner import Rules, plan
from tests.bench.figures import Figure, at_most, plain
from tests.rig import DRIVERS, rig

METERS = 5
SECONDS = 40.0


def least() -> float:
    """Seconds that a cycle cannot be faster than: the best plan at 9600 8N1 with a turn-around of 20 ms, t3.5 kept."""
    bus = SerialBus(name="line", type="serial", port="/dev/null")
    driver = load_driver("bench-sdm630", DRIVERS)
    task = MeterTask(Meter(id="m", bus="line", driver="bench-sdm630"), driver)
    spans = tuple(sorted({span for row in task.driver.rows for span in row.spans}))
    reads = plan(spans, Rules.of(driver.limits), prior(bus))
    return METERS * sum(wire_of(bus).least(read.count, TURN_AROUND) for read in reads)


def run() -> list[Figure]:
    """Poll without pause for a while and look at the slaves' log."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        slaves = [
            {"unit": unit, "meter": f"m{unit}", "image": {"driver": "bench-sdm630", "directory": str(DRIVERS), "circuit": "main"}}
            for unit in range(1, METERS + 1)
        ]
        spec = {
            "seed": 1,
            "building": {"start": 1795278300, "speed": 1, "step": 1},
            "lines": [{"name": "line", "path": str(directory / "line"), "baudrate": 9600, "turnaround": TURN_AROUND, "slaves": slaves}],
        }
        with rig(directory, spec) as site:
            site.configure(
                buses=[{"name": "line", "type": "serial", "port": str(directory / "line")}],
                meters=[
                    {"id": f"m{n}", "bus": "line", "address": n, "driver": "bench-sdm630", "interval": "0s"} for n in range(1, METERS + 1)
                ],
            )
            site.start_gateway()
            time.sleep(SECONDS)
            serves = [serve for serve in site.serves() if not serve["fault"]]
            line = site.simulator.order("stats")["stats"]["line"]
        first = min(serve["address"] for serve in serves)
        starts = [serve["t"] / 1000 for serve in serves if serve["unit"] == 1 and serve["address"] == first]
        cycles = [after - before for before, after in itertools.pairwise(starts)][2:]
        mean, minimum = statistics.mean(cycles), least()
        return [
            plain("RTU cycle, 5 meters × 34 values, the wire's minimum", minimum, "s"),
            at_most(
                "RTU cycle, 5 meters × 34 values, over the minimum",
                mean / minimum,
                "×",
                1.02,
                f"mean of {len(cycles)} cycles: {mean:.4f} s",
            ),
            at_most("RTU requests that break t3.5", line["early"], f"of {line['requests']}", 0),
        ]
