"""The search of a host on drawn sites: five meters of three makers behind a converter that passes RTU frames
on, behind a Modbus TCP gateway, and nobody at all. Real connections, lines at the pace of their wire.

A search mostly waits, so that many run side by side, each in a process of its own.
"""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

from gateway.commissioning.scan import ConverterProbe, FoundMeter, HostProbe, HostSweep
from gateway.demo.simulator.tcp_server import Downstream, TcpPlant, TcpServer
from tests.bench.bench_scan import AT_ONCE, known_tables, tables_of_a_line
from tests.bench.figures import Figure, at_most

sys.path.insert(0, str(Path(__file__).parents[1] / "commissioning"))

from converter import Converter
from drawn_sites import drawn, misjudged

SEED = 8_000
DRAWS = 12
KINDS = {
    "converter": "a converter of RTU frames",
    "gateway": "a Modbus TCP gateway",
    "nobody": "a converter with nobody behind it",
}


@dataclass(frozen=True)
class SearchedHost:
    """What one draw brought. `named`: s until the last meter was found and identified; `seconds` of the whole
    search, `worst` as it was printed before; `missed` and `wrong` in words.
    """

    what: str
    named: float
    seconds: float
    worst: float
    found: int
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def search_host(kind: str, seed: int) -> SearchedHost:
    """One draw, from the first connection to the end of the search. `kind`: one of KINDS."""
    meters = drawn("one", seed, tables_of_a_line())
    setting = meters[0].setting
    slaves = [] if kind == "nobody" else [meter.slave for meter in meters]
    with ExitStack() as site:
        if kind == "gateway":
            line = Downstream(setting.baudrate, meters[0].turnaround)
            server = TcpServer(slaves, downstream=line)
            site.enter_context(TcpPlant([server]))
            port = server.port
        else:
            pace = {"turnaround": meters[0].turnaround, "character": setting.character}
            port = int(site.enter_context(Converter(slaves, **pace)).place.rpartition(":")[2])
        met: list[tuple[float, FoundMeter]] = []
        begin = time.monotonic()
        sweep = HostSweep(
            [HostProbe("127.0.0.1", port), ConverterProbe("127.0.0.1", port)],
            known_tables(),
            met=lambda found: met.append((time.monotonic() - begin, found)),
        )
        swept = asyncio.run(sweep.run())
    missed, wrong = misjudged(
        meters if slaves else [], [replace(found, setting=setting) for found in swept.found]
    )
    if slaves and swept.rtu != (kind == "converter"):
        wrong.append(f"the frames of {KINDS[kind]}")
    what = f"{kind} {seed}: {setting}, addresses {sorted(slave.unit for slave in slaves)}"
    last = max((at for at, _ in met), default=0.0)
    return SearchedHost(what, last, swept.seconds, sweep.worst, len(met), missed, wrong)


def run() -> list[Figure]:
    """Twelve draws behind a converter, as many behind a gateway, and a converter with nobody behind it."""
    jobs = [(kind, SEED + place) for kind in ("converter", "gateway") for place in range(DRAWS)]
    jobs.insert(0, ("nobody", SEED))
    found: dict[str, list[SearchedHost]] = {}
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as pool:
        for (kind, _), each in zip(jobs, pool.map(search_host, *zip(*jobs, strict=True)), strict=True):
            print(f"  {each.what}: {each.named:.0f} s of {each.seconds:.0f} s", flush=True)
            found.setdefault(kind, []).append(each)
    figures = []
    for kind, title in KINDS.items():
        last = max(found[kind], key=lambda each: each.named if kind != "nobody" else each.seconds)
        note = f"{len(found[kind])} draws; {last.what}" if kind != "nobody" else ""
        what = "all five named, slowest" if kind != "nobody" else "the whole search, as printed before"
        seconds = last.named if kind != "nobody" else last.seconds
        figures.append(at_most(f"scan, {title}: {what}", seconds, "s", last.worst, note))
    every = [each for draws in found.values() for each in draws]
    missed = [words for each in every for words in each.missed]
    wrong = [words for each in every for words in each.wrong]
    met = f"{len(every)} draws, {sum(each.found for each in every)} meters found"
    return [
        *figures,
        at_most("scan, meters behind a host not found", len(missed), "meters", 0, f"{met}; {missed or ''}"),
        at_most("scan, meters behind a host taken for another", len(wrong), "meters", 0, f"{wrong or ''}"),
    ]
