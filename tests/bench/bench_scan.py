"""The search on drawn sites: meters of three makers, settings and addresses that nobody wrote down. On real
pseudo-terminals at the pace of the wire, and in seconds of the wire alone, which a busy machine does not
change.

Each draw runs in a process of its own. One on a pseudo-terminal mostly waits, so that many run side by side.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

from gateway.catalogue import Driver, library
from gateway.commissioning.scan import (
    FoundMeter,
    Identified,
    Probe,
    Sweep,
    identify,
    likely_settings,
)
from gateway.commissioning.scan.settings import LAST_ADDRESS, time_for
from gateway.demo.simulator.slave import ModbusError
from gateway.errors import Refused
from tests.bench.figures import Figure, at_most, plain

sys.path.insert(0, str(Path(__file__).parents[1] / "commissioning"))

from drawn_sites import drawn, misjudged
from scan_site import DriverImage, Mounted, Site, SiteLine
from wire_site import WireLine

SEED = 4_000
DRAWS, UNLIKELY, KNOWN = 20, 4, 8
ON_THE_WIRE = 5
"""Times as many draws in seconds of the wire."""
AT_ONCE = 12
SLOW = "addresses that are silent take %.0f s of it"
LIKELY, WITHOUT, GIVEN = 120.0, 720.0, 45.0
"""s that a search may take: with an address that is likely, without one, at a setting that is known."""


@dataclass(frozen=True)
class Drawn:
    """What one draw brought. `seconds`: until the last meter was found and identified; `missed` and `wrong`
    in words; `rate` the slowest in baud, `silent`: s of it that nobody answers.
    """

    what: str
    rate: int
    silent: float
    seconds: float
    worst: float
    found: int
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@cache
def known_tables() -> tuple[Driver, ...]:
    """Those that are shipped."""
    return tuple(library())


def tables_of_a_line() -> list[Driver]:
    """Those of meters that hang on a serial line."""
    return [
        table
        for table in known_tables()
        if not table.discovery and (table.tcp_port is None or table.serial.baudrate)
    ]


def search(kind: str, seed: int, *, wire: bool = False) -> Drawn:
    """One draw, from the first probe until everybody was found and identified; `wire`: in its seconds."""
    meters = drawn(kind, seed, tables_of_a_line())
    if wire:
        line = WireLine(meters)
        met, worst = asyncio.run(_until_all(kind, meters, line, lambda: line.now))
    else:
        with Site(meters) as site:
            met, worst = asyncio.run(_until_all(kind, meters, SiteLine(site), time.monotonic))
    missed, wrong = misjudged(meters, [each for _, each in met])
    last = max((at for at, _ in met), default=0.0)
    what = f"{kind} {seed}: {meters[0].setting}, addresses {sorted(meter.unit for meter in meters)}"
    slowest = min((meter.setting for meter in meters), key=lambda setting: setting.baudrate)
    silent = time_for([slowest], LAST_ADDRESS)
    return Drawn(what, slowest.baudrate, silent, last, worst, len(met), missed, wrong)


async def _until_all(
    kind: str, meters: Sequence[Mounted], line: Probe, clock: Callable[[], float]
) -> tuple[list[tuple[float, FoundMeter]], float]:
    """Who was met when, in s, and how long the whole search may take."""
    settings = [meters[0].setting] if kind == "known" else likely_settings(known_tables())
    places = {(meter.unit, meter.setting) for meter in meters}
    met: list[tuple[float, FoundMeter]] = []
    begin = clock()
    sweep = Sweep(
        line,
        known_tables(),
        settings,
        one_setting=kind != "mixed",
        met=lambda found: met.append((clock() - begin, found)),
    )
    task = asyncio.ensure_future(sweep.run())
    while not task.done():
        await asyncio.wait([task], timeout=0.5)
        if kind == "mixed" and places <= {(each.unit, each.setting) for _, each in met}:
            task.cancel()
    return met, sweep.worst


async def _scanned(driver: Driver, every: list[Driver]) -> Identified:
    image = DriverImage(driver)

    async def ask(function: int, address: int, count: int) -> list[int]:
        try:
            return image.read(function, address, count).words
        except ModbusError as error:
            raise Refused("no such register", error.code) from None

    return await identify(ask, every)


def mistaken() -> tuple[list[str], int]:
    """Of the meters of every table of the library those that the search takes for another; how many there
    are.
    """
    every = list(known_tables())
    wrong, count = [], 0
    for driver in every:
        if driver.discovery:
            continue
        count += 1
        names = [each.name for each in asyncio.run(_scanned(driver, every)).candidates]
        if driver.name not in names:
            wrong.append(f"{driver.name}: {', '.join(names) or 'nobody'}")
    return wrong, count


def _figures(draws: dict[str, list[Drawn]], unit: str) -> list[Figure]:
    bars = {
        "one": ("scan, one setting, a likely address among them", LIKELY, 1200),
        "double": ("scan, one setting, two meters at one address", LIKELY, 1200),
        "mixed": ("scan, meters at two settings, each with a likely address", LIKELY, 2400),
        "unlikely": ("scan, one setting, no likely address", WITHOUT, 1200),
        "known": ("scan, known setting, every address, each rate in turn", GIVEN, 2400),
    }
    figures = []
    for kind, (name, bar, least) in bars.items():
        quick = [each for each in draws[kind] if each.rate >= least]
        slow = [each for each in draws[kind] if each.rate < least]
        last = max(quick, key=lambda each: each.seconds)
        note = f"{len(quick)} draws; {last.what}"
        figures.append(at_most(f"{name}: slowest", last.seconds, unit, bar, note))
        if slow:
            last = max(slow, key=lambda each: each.seconds)
            note = f"{len(slow)} draws; {SLOW % last.silent}; {last.what}"
            figures.append(plain(f"{name}, at {last.rate} baud: slowest", last.seconds, unit, note))
    every = [each for found in draws.values() for each in found]
    missed = [words for each in every for words in each.missed]
    wrong = [words for each in every for words in each.wrong]
    met = f"{len(every)} draws, {sum(each.found for each in every)} meters found"
    return [
        *figures,
        at_most(f"scan, meters not found, {unit}", len(missed), "meters", 0, f"{met}; {missed or ''}"),
        at_most(f"scan, meters taken for another, {unit}", len(wrong), "meters", 0, f"{wrong or ''}"),
    ]


def _kinds(times: int) -> list[tuple[str, int]]:
    """Sites of one or two settings, of two meters at an address, without a likely address, at a setting that
    is known, and their seeds.
    """
    kinds = [("one", "one", "one", "mixed", "double")[place % 5] for place in range(DRAWS * times)]
    jobs = [("unlikely", SEED + 1000 + place) for place in range(UNLIKELY * times)]
    jobs += [(kind, SEED + place) for place, kind in enumerate(kinds)]
    return jobs + [("known", SEED + 2000 + place) for place in range(KNOWN * times)]


def _searched(
    one: Callable[[str, int], Drawn], jobs: list[tuple[str, int]], *, at_once: int
) -> dict[str, list[Drawn]]:
    """What the draws brought, by kind; each is told as it ends."""
    draws: dict[str, list[Drawn]] = {}
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as pool:
        for (kind, _), found in zip(jobs, pool.map(one, *zip(*jobs, strict=True)), strict=True):
            print(
                f"  {found.what}: {found.seconds:.0f} s {found.missed or ''} {found.wrong or ''}", flush=True
            )
            draws.setdefault(kind, []).append(found)
    return draws


def run() -> list[Figure]:
    """All kinds of sites on pseudo-terminals, five times as many in seconds of the wire, and every table of
    the library.
    """
    draws = _searched(search, _kinds(1), at_once=AT_ONCE)
    wire = _searched(partial(search, wire=True), _kinds(ON_THE_WIRE), at_once=os.cpu_count() or 1)
    wrong, count = mistaken()
    return [
        *_figures(draws, "s"),
        *_figures(wire, "s of the wire"),
        at_most("scan, whole space of a line, as printed before", wire["one"][0].worst, "s", WITHOUT),
        at_most(
            "scan, tables of the library taken for another",
            len(wrong),
            "tables",
            0,
            f"{count}; {wrong or ''}",
        ),
    ]
