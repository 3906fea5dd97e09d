"""TCP: meters with 34 values each through the whole product, on hosts of their own and as units of one host:
missed cycles, CPU, memory.

Beside each shape its control in the same run: plain pymodbus clients that read the same and do nothing else.
Product and control take turns several times, and what is compared is processor time: others who use the
machine slow both.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusTcpClient

from tests.bench.figures import Figure, at_most, plain
from tests.rig import DRIVERS, Rig, rig, until

VALUES = 34
WARM = 20.0
TURNS, SECONDS, CONTROL = 5, 16.0, 12
"""Times that product and control are measured, and for how long (s): a multiple of each shape's interval, for
polls come in one bunch an interval, and a part of an interval would count one bunch too many or too few."""


@dataclass(frozen=True)
class Shape:
    """`hosts` servers with `units` meters each, polled every `interval` s."""

    hosts: int
    units: int
    interval: int = 1

    @property
    def meters(self) -> int:
        """All of them."""
        return self.hosts * self.units

    @property
    def words(self) -> str:
        """For the name of a figure."""
        where = f"{self.hosts} hosts" if self.hosts > 1 else f"{self.units} units of one host"
        return (
            f"TCP, {where} × {VALUES} values every {f'{self.interval} s' if self.interval > 1 else 'second'}"
        )


@dataclass
class Measured:
    """CPU in s per 100 000 values, of the product and of the control, by turn; memory in bytes."""

    cpu: list[float]
    control: list[float]
    missed: int
    due: int
    rss: int
    rss_at_first: int

    @property
    def ratio(self) -> float:
        """Product by control, the median turn."""
        return statistics.median(a / b for a, b in zip(self.cpu, self.control, strict=True))


async def bare(shape: Shape, places: list[tuple[str, int]], reads: Counter[tuple[int, int]]) -> float:
    """The control: CPU s per 100 000 values of one plain pymodbus client a host with the same reads;
    nothing is decoded, stored or sent.
    """
    clients = [AsyncModbusTcpClient(host, port=port, retries=0) for host, port in places]
    await asyncio.gather(*(client.connect() for client in clients))

    async def poll(client: AsyncModbusTcpClient) -> None:
        for unit in range(1, shape.units + 1):
            for address, count in sorted(reads):
                answer = await client.read_input_registers(address, count=count, device_id=unit)
                assert not answer.isError()

    loop = asyncio.get_running_loop()
    begin, used = loop.time(), time.process_time()
    rounds = CONTROL // shape.interval
    for turn in range(1, rounds + 1):
        await asyncio.gather(*(poll(client) for client in clients))
        await asyncio.sleep(max(0.0, begin + turn * shape.interval - loop.time()))
    used = time.process_time() - used
    for client in clients:
        client.close()
    return used / (rounds * shape.meters * VALUES) * 100_000


def measure(shape: Shape) -> Measured:
    """The shape through the whole product, page and uplink included, after a warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        image = {"driver": "bench-sdm630", "directory": str(DRIVERS), "circuit": "main"}
        servers = [
            {
                "name": f"plant{host}",
                "host": "127.0.0.1",
                "port": 0,
                "slaves": [
                    {"unit": unit, "meter": f"m{host}-{unit}", "image": image}
                    for unit in range(1, shape.units + 1)
                ],
            }
            for host in range(1, shape.hosts + 1)
        ]
        spec = {"seed": 1, "building": {"start": 1795278300, "speed": 1, "step": 1}, "servers": servers}
        with rig(Path(folder), spec) as site:
            places = _start(site, shape)
            time.sleep(WARM)
            rss_at_first = site.usage("gateway").rss
            reads = Counter((s["address"], s["count"]) for s in site.serves()[-1000:])
            found = Measured([], [], 0, 0, 0, rss_at_first)
            for _ in range(TURNS):
                _turn(site, shape, found)
                found.control.append(asyncio.run(bare(shape, places, reads)))
            found.rss = site.usage("gateway").rss
    return found


def _turn(site: Rig, shape: Shape, found: Measured) -> None:
    """What the product takes while nobody else reads, and what it misses."""
    begin, start = time.clock_gettime(time.CLOCK_BOOTTIME), site.usage("gateway")
    time.sleep(SECONDS)
    end, stop = time.clock_gettime(time.CLOCK_BOOTTIME), site.usage("gateway")
    values = shape.meters * VALUES * (end - begin) / shape.interval
    found.cpu.append((stop.cpu - start.cpu) / values * 100_000)
    missed, due = _missed(shape, site.serves(), begin, end)
    found.missed += missed
    found.due += due


def _start(site: Rig, shape: Shape) -> list[tuple[str, int]]:
    assert site.simulator is not None
    site.start_broker()
    site.start_receiver()
    places = site.simulator.addresses
    site.configure(
        buses=[
            {"name": name, "type": "tcp", "host": host, "port": port} for name, (host, port) in places.items()
        ],
        meters=[
            {
                "id": f"m{host}-{unit}",
                "bus": f"plant{host}",
                "address": unit,
                "driver": "bench-sdm630",
                "interval": f"{shape.interval}s",
            }
            for host in range(1, shape.hosts + 1)
            for unit in range(1, shape.units + 1)
        ],
        uplinks=[site.uplink()],
    )
    site.start_gateway()
    until(lambda: len(site.serves()) > shape.meters, 30, "every meter was read once")
    return list(places.values())


def _missed(shape: Shape, serves: list[dict[str, Any]], begin: float, end: float) -> tuple[int, int]:
    """Cycles in which a meter was not read, and how many there were."""
    seen: dict[str, set[int]] = defaultdict(set)
    for serve in serves:
        if begin <= serve["t"] / 1000 < end and not serve["fault"]:
            seen[serve["meter"]].add(int(serve["t"] / 1000 / shape.interval))
    whole = int((end - begin) / shape.interval) - 1
    missed = sum(max(0, whole - len(cycles)) for cycles in seen.values()) + (shape.meters - len(seen)) * whole
    return missed, shape.meters * whole


def run() -> list[Figure]:
    """All three shapes."""
    hosts, units, many = Shape(50, 1), Shape(1, 50), Shape(1, 200, 4)
    found = {shape: measure(shape) for shape in (hosts, units, many)}
    figures = []
    for shape, result in found.items():
        spread = ", ".join(f"{each:.3g}" for each in result.cpu)
        figures += [
            at_most(f"{shape.words}: missed cycles", result.missed, f"of {result.due}", 0),
            plain(f"{shape.words}: CPU", statistics.median(result.cpu), "s / 100 000 values", spread),
            plain(
                "the control, plain pymodbus clients: CPU",
                statistics.median(result.control),
                "s / 100 000 values",
                "the reads alone: nothing decoded, stored, sent: "
                + ", ".join(f"{each:.3g}" for each in result.control),
            ),
        ]
        if shape is not many:
            figures.append(at_most(f"{shape.words}: CPU beside the control's", result.ratio, "times", 1.5))
    figures.append(
        at_most(
            "200 units of one host beside 50: CPU per value",
            statistics.median(found[many].cpu) / statistics.median(found[units].cpu),
            "times",
            1.1,
            f"{found[many].ratio / found[units].ratio:.3g} by their controls",
        )
    )
    figures += [
        at_most("resident memory with 50 hosts, page included", found[hosts].rss / 2**20, "MiB", 64),
        plain("resident memory at the start of the minute", found[hosts].rss_at_first / 2**20, "MiB"),
    ]
    return figures
