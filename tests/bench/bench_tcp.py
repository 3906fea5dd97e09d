"""TCP: meters with 34 values each through the whole product, on hosts of their own and as units of one host:
missed cycles, CPU, memory.

Beside each shape its control: plain pymodbus clients that read the same and do nothing else. What is compared
runs at one time, and it is processor time that is compared: whatever slows one of them, another program, cold
caches, a processor's clock, slows the other as well.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusTcpClient

from tests.bench.figures import Figure, at_most, plain
from tests.rig import DRIVERS, Rig, rig, until

VALUES = 34
WARM = 20.0
TURNS, SECONDS = 10, 12
"""Times that all are measured, and for how long (s): a multiple of each shape's interval, for polls come in
one bunch an interval, and a part of an interval would count one bunch too many or too few."""
ALONE = 40
"""s before that in which nobody else reads: what was missed is told by what the simulated meters served."""


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

    cpu: list[float] = field(default_factory=list)
    control: list[float] = field(default_factory=list)
    missed: int = 0
    due: int = 0
    rss: int = 0
    rss_at_first: int = 0

    @property
    def ratio(self) -> float:
        """Product by control, the median turn."""
        return statistics.median(beside(self.cpu, self.control))


def beside(ones: list[float], others: list[float]) -> list[float]:
    """How many times the others the ones are, turn by turn."""
    return [one / other for one, other in zip(ones, others, strict=True)]


async def bare(shape: Shape, places: list[tuple[str, int]], reads: list[tuple[int, int]]) -> float:
    """The control: CPU s per 100 000 values of one plain pymodbus client a host with the same reads;
    nothing is decoded, stored or sent.
    """
    clients = [AsyncModbusTcpClient(host, port=port, retries=0) for host, port in places]
    await asyncio.gather(*(client.connect() for client in clients))

    async def poll(client: AsyncModbusTcpClient) -> None:
        for unit in range(1, shape.units + 1):
            for address, count in reads:
                answer = await client.read_input_registers(address, count=count, device_id=unit)
                assert not answer.isError()

    loop = asyncio.get_running_loop()
    begin, used = loop.time(), time.process_time()
    rounds = SECONDS // shape.interval
    for turn in range(1, rounds + 1):
        await asyncio.gather(*(poll(client) for client in clients))
        await asyncio.sleep(max(0.0, begin + turn * shape.interval - loop.time()))
    used = time.process_time() - used
    for client in clients:
        client.close()
    return used / (rounds * shape.meters * VALUES) * 100_000


def control(shape: Shape, places: list[tuple[str, int]], reads: list[tuple[int, int]]) -> float:
    """`bare`, for a process of its own."""
    return asyncio.run(bare(shape, places, reads))


def measure(shapes: tuple[Shape, ...]) -> list[Measured]:
    """The shapes, each through a whole product of its own, page and uplink included, after a warm-up."""
    found = [Measured() for _ in shapes]
    spawned = multiprocessing.get_context("spawn")  # forked ones would have inherited half of our memory
    with ExitStack() as stack, ProcessPoolExecutor(len(shapes), mp_context=spawned) as others:
        sites, controls = [], []
        for shape in shapes:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            sites.append(stack.enter_context(rig(folder, _spec(shape))))
            places = _start(sites[-1], shape)
            controls.append((shape, places))
        time.sleep(WARM)
        reads = [_usual_reads(site) for site in sites]
        for site, result in zip(sites, found, strict=True):
            result.rss_at_first = site.usage("gateway").rss
        begin = time.clock_gettime(time.CLOCK_BOOTTIME)
        time.sleep(ALONE)
        end = time.clock_gettime(time.CLOCK_BOOTTIME)
        for shape, site, result in zip(shapes, sites, found, strict=True):
            result.missed, result.due = _missed(shape, site.serves(), begin, end)
        for _ in range(TURNS):
            begun = [_now(site) for site in sites]
            running = [
                others.submit(control, *each, seen) for each, seen in zip(controls, reads, strict=True)
            ]
            used = [each.result() for each in running]
            for shape, site, result, began, own in zip(shapes, sites, found, begun, used, strict=True):
                result.cpu.append(_cpu(shape, began, _now(site)))
                result.control.append(own)
        for site, result in zip(sites, found, strict=True):
            result.rss = site.usage("gateway").rss
    return found


def _spec(shape: Shape) -> dict[str, Any]:
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
    return {"seed": 1, "building": {"start": 1795278300, "speed": 1, "step": 1}, "servers": servers}


def _usual_reads(site: Rig) -> list[tuple[int, int]]:
    """Address and count of each read of a poll; not those by which a meter is found out, or asked again."""
    seen = Counter((serve["address"], serve["count"]) for serve in site.serves()[-1000:])
    return sorted(read for read, often in seen.items() if often > max(seen.values()) / 2)


def _now(site: Rig) -> tuple[float, float]:
    """When it is, and what CPU the gateway has used, both in s."""
    return time.monotonic(), site.usage("gateway").cpu


def _cpu(shape: Shape, begin: tuple[float, float], end: tuple[float, float]) -> float:
    """CPU s per 100 000 values between two moments."""
    values = shape.meters * VALUES * (end[0] - begin[0]) / shape.interval
    return (end[1] - begin[1]) / values * 100_000


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
    """Hosts and units, each with its control alone; what 200 units cost beside 50 in a run of both."""
    hosts, units, many = Shape(50, 1), Shape(1, 50), Shape(1, 200, 4)
    found = {shape: measured for shape in (hosts, units) for measured in measure((shape,))}
    fifty, found[many] = measure((units, many))
    figures = []
    for shape, result in found.items():
        figures += [
            at_most(f"{shape.words}: missed cycles", result.missed, f"of {result.due}", 0),
            plain(
                f"{shape.words}: CPU",
                statistics.median(result.cpu),
                "s / 100 000 values",
                _spread(result.cpu),
            ),
            plain(
                "the control, plain pymodbus clients: CPU",
                statistics.median(result.control),
                "s / 100 000 values",
                f"the reads alone: nothing decoded, stored, sent: {_spread(result.control)}",
            ),
        ]
        if shape is not many:
            turns = _spread(beside(result.cpu, result.control))
            figures.append(
                at_most(f"{shape.words}: CPU beside the control's", result.ratio, "times", 1.5, turns)
            )
    per_value = beside(found[many].cpu, fifty.cpu)
    figures.append(
        at_most(
            "200 units of one host beside 50: CPU per value",
            statistics.median(per_value),
            "times",
            1.1,
            f"{_spread(per_value)}; {found[many].ratio / fifty.ratio:.3g} by their controls",
        )
    )
    figures += [
        at_most("resident memory with 50 hosts, page included", found[hosts].rss / 2**20, "MiB", 64),
        plain("resident memory at the start of the minute", found[hosts].rss_at_first / 2**20, "MiB"),
    ]
    return figures


def _spread(turns: list[float]) -> str:
    return f"of {len(turns)}: {min(turns):.3g} to {max(turns):.3g}"
