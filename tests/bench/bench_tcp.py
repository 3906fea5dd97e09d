"""TCP: fifty meters with 34 values each, every second, through the whole product: missed cycles, CPU, memory."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

from tests.bench.figures import Figure, at_most, plain
from tests.rig import DRIVERS, rig, until

METERS = 50
VALUES = 34
WARM, SECONDS = 20.0, 60.0
CONTROL = 20


async def bare(places: list[tuple[str, int]], reads: Counter[tuple[int, int]]) -> float:
    """The control: CPU s per 100 000 values of plain pymodbus clients with the same reads; nothing is decoded, stored or sent."""
    clients = [AsyncModbusTcpClient(host, port=port, retries=0) for host, port in places]
    await asyncio.gather(*(client.connect() for client in clients))

    async def poll(client: AsyncModbusTcpClient) -> None:
        for address, count in sorted(reads):
            answer = await client.read_input_registers(address, count=count, device_id=1)
            assert not answer.isError()

    loop = asyncio.get_running_loop()
    begin, used = loop.time(), time.process_time()
    for second in range(1, CONTROL + 1):
        await asyncio.gather(*(poll(client) for client in clients))
        await asyncio.sleep(max(0.0, begin + second - loop.time()))
    used = time.process_time() - used
    for client in clients:
        client.close()
    return used / (CONTROL * METERS * VALUES) * 100_000


def run() -> list[Figure]:
    """Measure over a minute after a warm-up, page and uplink included."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        servers = [
            {
                "name": f"plant{n}",
                "host": "127.0.0.1",
                "port": 0,
                "slaves": [
                    {"unit": 1, "meter": f"m{n}", "image": {"driver": "bench-sdm630", "directory": str(DRIVERS), "circuit": "main"}}
                ],
            }
            for n in range(1, METERS + 1)
        ]
        spec = {"seed": 1, "building": {"start": 1795278300, "speed": 1, "step": 1}, "servers": servers}
        with rig(directory, spec) as site:
            assert site.simulator is not None
            site.start_broker()
            site.start_receiver()
            places = site.simulator.addresses
            site.configure(
                buses=[{"name": name, "type": "tcp", "host": host, "port": port} for name, (host, port) in places.items()],
                meters=[
                    {"id": f"m{n}", "bus": f"plant{n}", "address": 1, "driver": "bench-sdm630", "interval": "1s"}
                    for n in range(1, METERS + 1)
                ],
                uplinks=[site.uplink()],
            )
            site.start_gateway()
            until(lambda: len(site.serves()) > METERS, 20, "every meter was read once")
            time.sleep(WARM)
            begin, start = time.clock_gettime(time.CLOCK_BOOTTIME), site.usage("gateway")
            time.sleep(SECONDS)
            end, stop = time.clock_gettime(time.CLOCK_BOOTTIME), site.usage("gateway")
            serves = site.serves()
            site.kill("gateway", 15)
            control = asyncio.run(bare(list(places.values()), Counter((s["address"], s["count"]) for s in serves[-1000:])))
        seen: dict[str, set[int]] = defaultdict(set)
        for serve in serves:
            if begin <= serve["t"] / 1000 < end and not serve["fault"]:
                seen[serve["meter"]].add(serve["t"] // 1000)
        whole = int(end) - int(begin) - 1
        missed = sum(max(0, whole - len(seconds)) for seconds in seen.values()) + (METERS - len(seen)) * whole
        values = METERS * VALUES * (end - begin)
        return [
            at_most("TCP, 50 meters × 34 values a second: missed cycles", missed, f"of {METERS * whole}", 0),
            at_most("TCP, 50 meters × 34 values a second: CPU", (stop.cpu - start.cpu) / values * 100_000, "s / 100 000 values", 4),
            plain(
                "the control, plain pymodbus clients: CPU", control, "s / 100 000 values", "the reads alone: nothing decoded, stored, sent"
            ),
            at_most("resident memory at that load, page included", stop.rss / 2**20, "MiB", 64),
            plain("resident memory at the start of the minute", start.rss / 2**20, "MiB"),
        ]
