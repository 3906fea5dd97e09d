"""RTU: how close a cycle of five meters comes to what the wire allows, judged by the slaves' own log; t3.5 is
watched on the line.

The control is a bare pymodbus loop on the same line with the same reads and 4 ms of silence between them.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusSerialClient

from gateway.catalogue import load_driver
from gateway.config import Meter, SerialBus
from gateway.field.bus.cost import TURN_AROUND, prior, wire_of
from gateway.field.meter.planner import Read, Rules, plan
from gateway.field.meter.reader import MeterTask
from tests.bench.figures import Figure, at_most, plain
from tests.rig import DRIVERS, rig

METERS = 5
SECONDS, CONTROL = 40.0, 20.0
PAUSE = 0.004


def reads() -> tuple[Read, ...]:
    """The best plan at 9600 8N1."""
    bus = SerialBus(name="line", type="serial", port="/dev/null")
    driver = load_driver("bench-sdm630", DRIVERS)
    task = MeterTask(Meter(id="m", bus="line", driver="bench-sdm630"), driver)
    spans = tuple(sorted({span for row in task.driver.rows for span in row.spans}))
    return tuple(plan(spans, Rules.of(driver.limits), prior(bus)))


def least() -> float:
    """Seconds that a cycle cannot be faster than: turn-around of 20 ms, t3.5 kept."""
    wire = wire_of(SerialBus(name="line", type="serial", port="/dev/null"))
    return METERS * sum(wire.least(read.count, TURN_AROUND) for read in reads())


async def bare(port: str) -> None:
    """What can be had without any of the gateway."""
    client = AsyncModbusSerialClient(port, baudrate=9600, timeout=1, retries=0)
    await client.connect()
    end = time.monotonic() + CONTROL
    while time.monotonic() < end:
        for unit in range(1, METERS + 1):
            for read in reads():
                await asyncio.sleep(PAUSE)
                answer = await client.read_input_registers(read.address, count=read.count, device_id=unit)
                assert not answer.isError()
    client.close()


def _cycles(serves: list[dict[str, Any]]) -> list[float]:
    """Seconds between the beginnings of two rounds, by the slaves' log."""
    first = min(serve["address"] for serve in serves)
    starts = [serve["t"] / 1000 for serve in serves if serve["unit"] == 1 and serve["address"] == first]
    return [after - before for before, after in itertools.pairwise(starts)][2:]


def run() -> list[Figure]:
    """Poll without pause for a while and look at the slaves' log."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        slaves = [
            {
                "unit": unit,
                "meter": f"m{unit}",
                "image": {"driver": "bench-sdm630", "directory": str(DRIVERS), "circuit": "main"},
            }
            for unit in range(1, METERS + 1)
        ]
        spec = {
            "seed": 1,
            "building": {"start": 1795278300, "speed": 1, "step": 1},
            "lines": [
                {
                    "name": "line",
                    "path": str(directory / "line"),
                    "baudrate": 9600,
                    "turnaround": TURN_AROUND,
                    "slaves": slaves,
                }
            ],
        }
        with rig(directory, spec) as site:
            site.configure(
                buses=[{"name": "line", "type": "serial", "port": str(directory / "line")}],
                meters=[
                    {"id": f"m{n}", "bus": "line", "address": n, "driver": "bench-sdm630", "interval": "0s"}
                    for n in range(1, METERS + 1)
                ],
            )
            site.start_gateway()
            time.sleep(SECONDS)
            serves = [serve for serve in site.serves() if not serve["fault"]]
            line = site.simulator.order("stats")["stats"]["line"]
            site.kill("gateway", 15)
            before = len(site.serves())
            asyncio.run(bare(str(directory / "line")))
            control = statistics.median(_cycles(site.serves()[before:]))
        cycles = _cycles(serves)
        median, minimum = statistics.median(cycles), least()
        return [
            plain("RTU cycle, 5 meters × 34 values, the wire's minimum", minimum, "s"),
            at_most(
                "RTU cycle, 5 meters × 34 values, over the minimum",
                median / minimum,
                "×",
                1.01,
                f"median of {len(cycles)} cycles: {median:.4f} s; mean {statistics.mean(cycles):.4f} s",
            ),
            plain(
                "the control, a bare pymodbus loop, over the minimum",
                control / minimum,
                "×",
                f"{control:.4f} s",
            ),
            at_most("RTU requests that break t3.5", line["early"], f"of {line['requests']}", 0),
        ]
