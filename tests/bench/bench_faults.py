"""Wrong values from late, foreign, truncated and corrupt replies: none in ten thousand; beside it plain pymodbus on the same lines.

Serial lines on ptys whose slaves drop or queue what comes too early; then RTU over TCP and TCP. Every read asks for the same length, the
hardest case: a late answer looks like the answer to the next question. A value is wrong when it is not of its meter and register, is
older than the poll that brought it, or was taken from a reply that was spoilt.
"""

from __future__ import annotations

import asyncio
import json
import logging
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
from gateway.demo.process import read_serves
from gateway.field.poller import BusWorker, MeterTask
from gateway.host.clock import uptime_ms
from tests.bench.figures import Figure, at_least, at_most
from tests.reliability import note

FAULTED, LONGEST, CONTROL = 10_000, 200.0, 30.0
"""Faulted replies, and seconds at most for them; seconds for the control."""
SOCKETS = 2_000
"""Faulted replies behind sockets."""
RATE = 0.5
TIMEOUT = 0.1
PLACES = {0x100: "active_energy_import", 0x200: "active_energy_export", 0x300: "reactive_energy_import", 0x400: "reactive_energy_export"}
UNITS = (1, 2, 3)
LATE = [{"kind": "late", "seconds": seconds} for seconds in (0.13, 0.2, 0.35)]
SPOILT = ("truncated", "foreign", "wrong_function", "wrong_count")
SERIAL = [*LATE, *SPOILT, "corrupt", "noise"]
DOUBLE = ["double"]
"""Apart from the others: a second copy that comes after the next question was sent has nothing in it that tells."""
TCP = [*LATE, *SPOILT, *DOUBLE, "wrong_transaction"]
UNUSABLE = {*SPOILT, "corrupt", "wrong_transaction"}
TABLE = "maker: Bench\nmodel: four counters\nverified: simulator\nsource: bench\nreads: {function: 4, max_registers: 8}\nregisters: |\n"
DRIVER = load_text(TABLE + "".join(f"  {at} u32 {name} 1kWh fast\n".replace("1kWh", unit) for at, name, unit in (
    (at, name, "kvarh" if name.startswith("re") else "kWh") for at, name in PLACES.items())), "four-counters")  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """A value that a master believed: asked of whom, where, since when (uptime in ms), and the number that it got."""

    meter: str
    address: int
    since: int
    number: int


def _spec(lines: int, servers: int, log: Path, kinds: list[Any]) -> dict[str, Any]:
    def slaves(name: str) -> list[dict[str, Any]]:
        return [{"unit": unit, "meter": f"{name}-{unit}", "image": {"places": list(PLACES)}} for unit in UNITS]

    def chance(seed: int, kinds: list[Any]) -> dict[str, Any]:
        return {"seed": seed, "rate": RATE, "kinds": kinds}

    serial = [
        {"name": f"line{n}", "baudrate": 115200, "turnaround": 0.002, "busy": ("drop", "queue")[n % 2], "slaves": slaves(f"line{n}"),
         "faults": chance(n, kinds)}
        for n in range(lines)
    ]  # fmt: skip
    sockets = [
        {"name": f"plant{n}", "host": "127.0.0.1", "port": 0, "mode": ("rtu", "tcp")[n % 2], "slaves": slaves(f"plant{n}"),
         "faults": chance(100 + n, (SERIAL, TCP)[n % 2])}
        for n in range(servers)
    ]  # fmt: skip
    return {"log": str(log), "lines": serial, "servers": sockets}


@contextmanager
def _simulator(folder: Path, spec: dict[str, Any]) -> Iterator[list[Bus]]:
    """The buses of a simulator that runs."""
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    command = [sys.executable, "-m", "tests.bench.faulty_lines", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        limit = f"{TIMEOUT * 1000:.0f}ms"
        kinds = {server["name"]: "rtu-over-tcp" if server["mode"] == "rtu" else "tcp" for server in spec["servers"]}
        buses: list[Bus] = [
            SerialBus(name=name, type="serial", port=port, baudrate=115200, timeout=limit) for name, port in ready["ports"].items()
        ]
        buses += [
            TcpBus(name=name, type=kinds[name], host=host, port=port, timeout=limit) for name, (host, port) in ready["addresses"].items()
        ]
        try:
            yield buses
        finally:
            process.communicate()


Poll = Callable[[Bus, Callable[[Taken], None], Callable[[], bool]], Awaitable[None]]


async def _ours(bus: Bus, take: Callable[[Taken], None], done: Callable[[], bool]) -> None:
    """The shipped worker, one poll after the other."""
    tasks = [MeterTask(Meter(id=f"{bus.name}-{unit}", bus=bus.name, address=unit, driver="four-counters"), DRIVER) for unit in UNITS]
    worker = BusWorker(bus, tasks, lambda _reading: None)
    addresses = {name: at for at, name in PLACES.items()}
    while not done():
        for task in tasks:
            since = uptime_ms()
            reading = await worker.poll(task.config.id)
            for name, value in reading.values.items():
                take(Taken(task.config.id, addresses[name], since, int(value)))
    await worker.stop()


async def _plain(bus: Bus, take: Callable[[Taken], None], done: Callable[[], bool]) -> None:
    """The control: pymodbus as its manual shows it."""
    assert isinstance(bus, SerialBus)
    client = AsyncModbusSerialClient(bus.port, baudrate=bus.baudrate, timeout=TIMEOUT, retries=0)
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
                        take(Taken(f"{bus.name}-{unit}", address, since, answer.registers[0] << 16 | answer.registers[1]))
                await asyncio.sleep(0.004)
    client.close()


async def _run(poll: Poll, buses: Sequence[Bus], log: Path, seconds: float, most: int) -> list[Taken]:
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
    """Each value is `right`, or wrong: `another register`, `another meter`, `stale`, `spoilt`, or `unheard of`."""
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


def _measure(
    poll: Poll, lines: int, servers: int, seconds: float, most: int, *, kinds: list[Any] = SERIAL
) -> tuple[Counter[str], Counter[str]]:
    """(verdicts on values, faults that were dealt out)."""
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "serves.jsonl"
        with _simulator(Path(name), _spec(lines, servers, log, kinds)) as buses:
            taken = asyncio.run(_run(poll, buses, log, seconds, most))
        serves = read_serves(log)
    return judge(taken, serves), Counter(serve["fault"] for serve in serves if serve["fault"])


def run() -> list[Figure]:
    """Serial lines until ten thousand replies were faulted, sockets for a while, then the control."""
    for name in ("gateway.field", "pymodbus"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    serial, faults = _measure(_ours, 28, 0, LONGEST, FAULTED)
    sockets, socket_faults = _measure(_ours, 0, 12, LONGEST / 3, SOCKETS)
    doubled, doubles = _measure(_ours, 12, 0, LONGEST / 4, SOCKETS, kinds=DOUBLE)
    control, control_faults = _measure(_plain, 12, 0, CONTROL, FAULTED)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items()))
    told = f"{_wrong(control)} of {control.total()} values wrong"
    note("frames", part="serial", runs=faults.total(), taken=serial.total(), wrong=_wrong(serial), control=told)
    note("frames", part="sockets", runs=socket_faults.total(), taken=sockets.total(), wrong=_wrong(sockets))
    note("double", runs=doubles.total(), taken=doubled.total(), wrong=_wrong(doubled))
    return [
        at_least("serial replies faulted on purpose, fixed seeds", faults.total(), "", FAULTED, kinds),
        at_most("wrong values from them", _wrong(serial), f"of {serial.total()}", 0, _kinds(serial)),
        at_most(
            "wrong values, RTU over TCP and TCP",
            _wrong(sockets),
            f"of {sockets.total()}",
            0,
            f"{socket_faults.total()} faulted replies; {_kinds(sockets)}".rstrip("; "),
        ),
        at_most(
            "wrong values when meters answer twice",
            _wrong(doubled),
            f"of {doubled.total()}",
            0,
            f"serial; {doubles.total()} second copies; {_kinds(doubled)}".rstrip("; "),
        ),
        at_least(
            "the control, plain pymodbus on serial lines: wrong values",
            _wrong(control),
            f"of {control.total()}",
            1,
            f"{control_faults.total()} faulted replies; {_kinds(control)}",
        ),
    ]


def _wrong(verdicts: Counter[str]) -> int:
    return verdicts.total() - verdicts["right"]


def _kinds(verdicts: Counter[str]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(verdicts.items()) if kind != "right")
