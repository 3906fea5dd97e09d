"""Wrong values from late, foreign, truncated and corrupt replies: none in ten thousand; beside it plain
pymodbus on the same lines.

What is tolerated stands among them: noise beside a frame, an adapter or a gateway that repeats the request,
a short exception, gateways whose number, unit, length, protocol or byte count differs from the standard in a
constant way. So do gateways that are always one reply late.

Serial lines on ptys whose slaves drop or queue what comes too early; then RTU over TCP and TCP. Every read
asks for the same length, the hardest case: a late answer looks like the answer to the next question. A value
is wrong when it is not of its meter and register, is older than the poll that brought it, or was taken from a
reply that was spoilt.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusException

from gateway.catalogue import load_text
from gateway.config.schema import Bus, Meter, SerialBus, TcpBus
from gateway.demo.simulator.process import read_serves
from gateway.field.worker import BusWorker, MeterTask
from gateway.host.clock import uptime_ms
from tests.bench.figures import Figure, at_least, at_most
from tests.reliability import note

FAULTED, LONGEST, CONTROL = 10_000, 480.0, 30.0
"""Faulted replies, and seconds at most for them; seconds for the control."""
SOCKETS = 2_000
"""Faulted replies behind sockets."""
RATE = 0.5
TIMEOUT = 0.1
PLACES = {
    0x100: "active_energy_import",
    0x200: "active_energy_export",
    0x300: "reactive_energy_import",
    0x400: "reactive_energy_export",
}
UNITS = (1, 2, 3)
LATE = [{"kind": "late", "seconds": seconds} for seconds in (0.13, 0.2, 0.35)]
SPOILT = ("truncated", "foreign", "wrong_function", "wrong_count")
SERIAL = [*LATE, *SPOILT, "corrupt", "noise", "padded", "echo"]
DOUBLE = ["double", *({"kind": "double", "seconds": seconds} for seconds in (0.004, 0.01))]
"""Apart from the others: a second copy that comes after the next question was sent has nothing in it that
tells.
"""
TCP = [*LATE, *SPOILT, "double", "echo", "wrong_transaction", "short_exception"]
ODD: list[dict[str, Any]] = [
    *({"numbers": numbers} for numbers in ("+1", "-1", "=7", "=1", "=0", "swapped", "own")),
    *({"lengths": lengths} for lengths in ("+1", "=6", "swapped")),
    *({"unit": unit} for unit in (255, 0)),
    *({"protocol": protocol} for protocol in (3, 0x0100, "own")),
    {"counted": True},
    {"echo": True},
]
"""Gateways that differ from the standard in one field, always in the same way."""
ODD_KINDS = [*LATE, "truncated", "wrong_function", "wrong_count", "double", "short_exception"]
"""Another unit or another number on top is two fields at once, which nobody can judge."""
BEHIND: list[dict[str, Any]] = [
    {"behind": True, "numbers": numbers} for numbers in ("asked", "own", "newest")
]
"""Gateways that give each reply when the next one is due: with its number, without, or with the newest
one.
"""
UNUSABLE = {*SPOILT, "corrupt", "wrong_transaction"}
TABLE = (
    "maker: Bench\nmodel: four counters\nverified: simulator\nsource: bench\nreads: {function: 4, "
    "max_registers: 8}\nregisters: |\n"
)
DRIVER = load_text(
    TABLE
    + "".join(
        f"  {at} u32 {name} 1kWh fast\n".replace("1kWh", unit)
        for at, name, unit in (
            (at, name, "kvarh" if name.startswith("re") else "kWh") for at, name in PLACES.items()
        )
    ),
    "four-counters",
)


@dataclass(frozen=True)
class Taken:
    """A value that a master believed: asked of whom, where, since when (uptime in ms), and the number that
    it got.
    """

    meter: str
    address: int
    since: int
    number: int


def _spec(mode: str, count: int, log: Path, kinds: list[Any]) -> dict[str, Any]:
    """So many serial lines, or servers of a mode: rtu, tcp."""

    def bus(number: int) -> dict[str, Any]:
        name = f"{mode}{number}"
        slaves = [
            {"unit": unit, "meter": f"{name}-{unit}", "image": {"places": list(PLACES)}} for unit in UNITS
        ]
        return {"name": name, "slaves": slaves, "faults": {"seed": number, "rate": RATE, "kinds": kinds}}

    if mode == "serial":
        pace = {"baudrate": 115200, "turnaround": 0.002}
        return {
            "log": str(log),
            "lines": [{**bus(n), **pace, "busy": ("drop", "queue")[n % 2]} for n in range(count)],
            "servers": [],
        }
    traits = {"odd": ODD, "behind": BEHIND}.get(mode, [{}])
    plain = {"host": "127.0.0.1", "port": 0, "mode": "rtu" if mode == "rtu" else "tcp"}
    return {
        "log": str(log),
        "servers": [{**bus(n), **plain, **traits[n % len(traits)]} for n in range(count)],
    }


@contextmanager
def simulated(folder: Path, spec: dict[str, Any]) -> Iterator[list[Bus]]:
    """The buses of a simulator that runs."""
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    command = [sys.executable, "-m", "tests.bench.faulty_lines", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        limit = f"{TIMEOUT * 1000:.0f}ms"
        kinds = {
            server["name"]: "rtu-over-tcp" if server["mode"] == "rtu" else "tcp" for server in spec["servers"]
        }
        buses: list[Bus] = [
            SerialBus(name=name, type="serial", port=port, baudrate=115200, timeout=limit)
            for name, port in ready["ports"].items()
        ]
        buses += [
            TcpBus(name=name, type=kinds[name], host=host, port=port, timeout=limit)
            for name, (host, port) in ready["addresses"].items()
        ]
        try:
            yield buses
        finally:
            process.communicate()


Poll = Callable[[Bus, Callable[[Taken], None], Callable[[], bool]], Awaitable[None]]


async def ours(
    bus: Bus, take: Callable[[Taken], None], done: Callable[[], bool], *, pause: float = 0.0
) -> None:
    """The shipped worker, one poll after the other; `pause` s after each of all meters."""
    tasks = [
        MeterTask(Meter(id=f"{bus.name}-{unit}", bus=bus.name, address=unit, driver="four-counters"), DRIVER)
        for unit in UNITS
    ]
    worker = BusWorker(bus, tasks, lambda _reading: None)
    addresses = {name: at for at, name in PLACES.items()}
    while not done():
        for task in tasks:
            since = uptime_ms()
            reading = await worker.meter(task.config.id).read()
            for name, value in reading.values.items():
                take(Taken(task.config.id, addresses[name], since, int(value)))
            if done():
                break
        else:
            await asyncio.sleep(pause)
    await worker.stop()


async def plain_pymodbus(
    bus: Bus, take: Callable[[Taken], None], done: Callable[[], bool], *, retries: int = 0
) -> None:
    """The control: pymodbus as its manual shows it."""
    assert isinstance(bus, SerialBus)
    client = AsyncModbusSerialClient(bus.port, baudrate=bus.baudrate, timeout=TIMEOUT, retries=retries)
    await client.connect()
    while not done():
        for unit in UNITS:
            for address in PLACES:
                since = uptime_ms()
                if not client.connected:
                    await client.connect()
                with suppress(ModbusException):
                    answer = await client.read_input_registers(address, count=2, device_id=unit)
                    if not answer.isError() and len(answer.registers) == 2:
                        take(
                            Taken(
                                f"{bus.name}-{unit}",
                                address,
                                since,
                                answer.registers[0] << 16 | answer.registers[1],
                            )
                        )
                await asyncio.sleep(0.004)
    client.close()


async def _trusting(bus: Bus, take: Callable[[Taken], None], done: Callable[[], bool]) -> None:
    """The control: a master that takes whatever fits in function and byte count, whatever its number, unit,
    length and protocol.
    """
    assert isinstance(bus, TcpBus)
    reader, writer = await asyncio.open_connection(bus.host, bus.port)
    while not done():
        for unit in UNITS:
            for address in PLACES:
                since = uptime_ms()
                writer.write(struct.pack(">HHHBBHH", 1, 0, 6, unit, 4, address, 2))
                with suppress(TimeoutError):
                    reply = await asyncio.wait_for(reader.readexactly(13), TIMEOUT)
                    if reply[7:9] == bytes((4, 4)):
                        take(Taken(f"{bus.name}-{unit}", address, since, int.from_bytes(reply[9:])))
    writer.close()


async def poll_all(poll: Poll, buses: Sequence[Bus], log: Path, seconds: float, most: int) -> list[Taken]:
    """Poll all buses until enough replies were faulted or the time is over."""
    taken: list[Taken] = []
    end = time.monotonic() + seconds
    finished = asyncio.Event()
    tasks = [asyncio.create_task(poll(bus, taken.append, finished.is_set)) for bus in buses]  # type: ignore[arg-type]
    while time.monotonic() < end and _faulted(log) < most:
        await asyncio.sleep(5)
        if broken := [task for task in tasks if task.done()]:
            broken[0].result()
    finished.set()
    await asyncio.gather(*tasks)
    return taken


def _faulted(log: Path) -> int:
    return log.read_bytes().count(b'"fault":"') - log.read_bytes().count(b'"fault":""') if log.exists() else 0


def judge(taken: Sequence[Taken], serves: Sequence[dict[str, Any]]) -> Counter[str]:
    """Each value is `right`, or wrong: `another register`, `another meter`, `stale`, `spoilt`, or `unheard
    of`.
    """
    origin: dict[int, tuple[dict[str, Any], int]] = {}
    for serve in serves:
        for place in PLACES:
            at = place - serve["address"]
            if at >= 0 and at + 2 <= serve["count"]:
                origin[serve["words"][at] << 16 | serve["words"][at + 1]] = (serve, place)
    verdicts: Counter[str] = Counter()
    for one in taken:
        serve, place = origin.get(one.number, (None, 0))
        if serve is None:
            verdicts["unheard of"] += 1
        elif serve["meter"] != one.meter:
            verdicts["another meter"] += 1
        elif place != one.address:
            verdicts["another register"] += 1
        elif serve["t"] < one.since:
            verdicts["stale"] += 1
        else:
            verdicts["spoilt" if serve["fault"] in UNUSABLE else "right"] += 1
    return verdicts


@dataclass
class Trial:
    """What one kind of line was put through: the verdicts on its values, the faults that were dealt out."""

    verdicts: Counter[str]
    faults: Counter[str]
    buses: Counter[str]
    """Values by the bus that they came from."""

    @property
    def values(self) -> int:
        """That were believed."""
        return self.verdicts.total()

    @property
    def wrong(self) -> int:
        """Of these."""
        return self.values - self.verdicts["right"]

    def told(self) -> str:
        """In words."""
        kinds = ", ".join(
            f"{kind} {count}" for kind, count in sorted(self.verdicts.items()) if kind != "right"
        )
        return f"{self.faults.total()} faulted replies" + (f"; {kinds}" if kinds else "")

    def noted(self, fault: str, part: str, control: str = "") -> None:
        """For the fault matrix."""
        note(fault, part=part, runs=self.faults.total(), taken=self.values, wrong=self.wrong, control=control)


def _try(poll: Poll, mode: str, count: int, seconds: float, kinds: list[Any], most: int = SOCKETS) -> Trial:  # noqa: PLR0917 - a table of trials
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "serves.jsonl"
        with simulated(Path(name), _spec(mode, count, log, kinds)) as buses:
            taken = asyncio.run(poll_all(poll, buses, log, seconds, most))
        serves = read_serves(log)
    dealt = Counter(serve["fault"] for serve in serves if serve["fault"])
    return Trial(judge(taken, serves), dealt, Counter(one.meter.rpartition("-")[0] for one in taken))


def run() -> list[Figure]:
    """Serial lines until ten thousand replies were faulted, the others for a while, then the control."""
    for name in ("gateway.field", "pymodbus"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    serial = _try(ours, "serial", 28, LONGEST, SERIAL, FAULTED)
    rtu = _try(ours, "rtu", 12, LONGEST / 12, SERIAL)
    tcp = _try(ours, "tcp", 12, LONGEST / 12, TCP)
    double = _try(ours, "serial", 12, LONGEST / 12, DOUBLE)
    odd = _try(ours, "odd", len(ODD), LONGEST / 8, ODD_KINDS)
    believing = _try(_trusting, "odd", len(ODD), CONTROL / 3, ODD_KINDS)
    behind = _try(ours, "behind", 6, CONTROL, [])
    trusting = _try(_trusting, "behind", 6, CONTROL / 3, [])
    control = _try(plain_pymodbus, "serial", 12, CONTROL, SERIAL, FAULTED)
    serial.noted("frames", "serial", f"{control.wrong} of {control.values} values wrong")
    rtu.noted("frames", "rtu over tcp")
    tcp.noted("frames-tcp", "")
    double.noted("double", "serial")
    fewest = min(odd.buses[f"odd{n}"] for n in range(len(ODD)))
    odd.noted("frames-odd", "", f"{believing.wrong} of {believing.values} values wrong")
    note(
        "frames-behind",
        runs=6,
        taken=behind.values,
        wrong=behind.wrong,
        control=f"{trusting.wrong} of {trusting.values} values wrong",
    )
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(serial.faults.items()))
    return [
        at_least("serial replies faulted on purpose, fixed seeds", serial.faults.total(), "", FAULTED, kinds),
        at_most("wrong values from them", serial.wrong, f"of {serial.values}", 0, serial.told()),
        at_most("wrong values, RTU over TCP", rtu.wrong, f"of {rtu.values}", 0, rtu.told()),
        at_most("wrong values, TCP", tcp.wrong, f"of {tcp.values}", 0, tcp.told()),
        at_most(
            "wrong values when meters answer twice", double.wrong, f"of {double.values}", 0, double.told()
        ),
        at_most(
            "wrong values, TCP gateways with an odd number, length, unit or protocol, or an echo",
            odd.wrong,
            f"of {odd.values}",
            0,
            odd.told(),
        ),
        at_least("values from them", odd.values, "", 500),
        at_least("values from the one that gave fewest", fewest, "", 10),
        at_least(
            "the control, a master that trusts what fits: wrong values",
            believing.wrong,
            f"of {believing.values}",
            1,
        ),
        at_most(
            "wrong values, TCP gateways that are always one reply late",
            behind.wrong,
            f"of {behind.values}",
            0,
        ),
        at_least(
            "the control for them, the same master: wrong values",
            trusting.wrong,
            f"of {trusting.values}",
            1,
        ),
        at_least(
            "the control, plain pymodbus: wrong values",
            control.wrong,
            f"of {control.values}",
            1,
            control.told(),
        ),
    ]
