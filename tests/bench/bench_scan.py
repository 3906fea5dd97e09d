"""The search on drawn sites: real pseudo-terminals at the pace of the wire, meters of three makers, settings
and addresses that nobody wrote down.

A draw mostly waits, so that many run side by side, each in a process of its own.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from gateway.catalogue import Driver, library
from gateway.commissioning.scan import (
    FoundMeter,
    Identified,
    LineSetting,
    Sweep,
    identify,
    likely_addresses,
    likely_settings,
)
from gateway.commissioning.scan.settings import LAST_ADDRESS, time_for
from gateway.demo.simulator.slave import ModbusError
from gateway.errors import Refused
from tests.bench.figures import Figure, at_most, plain

sys.path.insert(0, str(Path(__file__).parents[1] / "commissioning"))

from scan_site import DriverImage, Mounted, Site, SiteLine

SEED = 4_000
DRAWS, UNLIKELY, KNOWN = 20, 4, 8
METERS, MAKERS = 5, 3
AT_ONCE = 12
RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
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


def _setting(rng: random.Random, rate: int | None = None) -> LineSetting:
    return LineSetting(rate or rng.choice(RATES), rng.choice("NEO"))


def draw(kind: str, seed: int, tables: Sequence[Driver]) -> list[Mounted]:
    """Five meters of three makers. `kind`: `one` setting; `mixed`, two settings; `double`, two meters at one
    address; `unlikely`, no address that people or factories give; `known`, a rate in turn.
    """
    rng = random.Random(seed)
    likely = likely_addresses(tables)
    makers = rng.sample(sorted({table.maker for table in tables}), MAKERS)
    models = [rng.choice([table for table in tables if table.maker == maker]) for maker in makers]
    models += rng.choices(models, k=METERS - MAKERS)
    setting = _setting(rng, RATES[seed % len(RATES)] if kind == "known" else None)
    settings = [setting] * METERS
    rest = [unit for unit in range(1, 248) if unit not in likely]
    units = rng.sample(rest if kind == "unlikely" else range(1, 248), METERS)
    if kind != "unlikely":
        units[0] = rng.choice(likely)
    if kind == "mixed":
        other = next(each for each in iter(lambda: _setting(rng), None) if each != setting)
        settings[3:] = [other] * 2
        units[3] = rng.choice([unit for unit in likely if unit not in units])
    if kind == "double":
        units[1] = units[2]
    units[1:] = [
        next(free for free in (unit, *rest) if free not in units[:at] or (kind == "double" and at == 2))
        for at, unit in enumerate(units[1:], 1)
    ]
    return [
        Mounted(model, unit, at, rng.uniform(0.005, 0.045), rng.randrange(10**7, 10**8))
        for model, unit, at in zip(models, units, settings, strict=True)
    ]


def _judge(meters: Sequence[Mounted], found: Sequence[FoundMeter]) -> tuple[list[str], list[str]]:
    """Which meters were not found, and which were taken for another."""
    missed, wrong = [], []
    for meter in meters:
        there = [each for each in found if each.unit == meter.unit and each.setting == meter.setting]
        alone = sum((each.unit, each.setting) == (meter.unit, meter.setting) for each in meters) == 1
        name = f"{meter.driver.name} at {meter.unit}, {meter.setting}"
        if not there:
            missed.append(name)
        elif not alone:
            wrong += [] if there[0].double else [f"{name}: not said to be two"]
        elif meter.driver.name not in (names := [each.name for each in there[0].identified.candidates]):
            wrong.append(f"{name}: {', '.join(names) or 'nobody'}")
    known = {(meter.unit, meter.setting) for meter in meters}
    wrong += [
        f"nobody is at {each.unit}, {each.setting}"
        for each in found
        if (each.unit, each.setting) not in known
    ]
    return missed, wrong


def search(kind: str, seed: int) -> Drawn:
    """One draw, from the first probe until everybody was found and identified."""
    tables = [table for table in library() if not table.discovery]
    every = list(library())
    meters = draw(kind, seed, [table for table in tables if table.tcp_port is None or table.serial.baudrate])
    places = {(meter.unit, meter.setting) for meter in meters}
    settings = [meters[0].setting] if kind == "known" else likely_settings(every)
    met: list[tuple[float, FoundMeter]] = []

    async def until_all(line: SiteLine) -> float:
        begin = time.monotonic()
        sweep = Sweep(
            line,
            every,
            settings,
            one_setting=kind != "mixed",
            met=lambda found: met.append((time.monotonic() - begin, found)),
        )
        task = asyncio.ensure_future(sweep.run())
        while not task.done():
            await asyncio.wait([task], timeout=0.5)
            if kind == "mixed" and places <= {(each.unit, each.setting) for _, each in met}:
                task.cancel()
        return sweep.worst

    with Site(meters) as site:
        worst = asyncio.run(until_all(SiteLine(site)))
    missed, wrong = _judge(meters, [each for _, each in met])
    last = max((at for at, _ in met), default=0.0)
    what = f"{kind} {seed}: {meters[0].setting}, addresses {sorted(meter.unit for meter in meters)}"
    slowest = min((meter.setting for meter in meters), key=lambda setting: setting.baudrate)
    silent = time_for([slowest], LAST_ADDRESS)
    return Drawn(what, slowest.baudrate, silent, last, worst, len(met), missed, wrong)


async def _scanned(driver: Driver, every: list[Driver]) -> Identified:
    image = DriverImage(driver)

    async def ask(function: int, address: int, count: int) -> list[int]:
        try:
            return image.read(function, address, count).words
        except ModbusError as error:
            raise Refused("no such register", error.code) from None

    return await identify(ask, every)


def misjudged() -> tuple[list[str], int]:
    """Of the meters of every table of the library those that the search takes for another; how many there
    are.
    """
    every = list(library())
    wrong, count = [], 0
    for driver in every:
        if driver.discovery:
            continue
        count += 1
        names = [each.name for each in asyncio.run(_scanned(driver, every)).candidates]
        if driver.name not in names:
            wrong.append(f"{driver.name}: {', '.join(names) or 'nobody'}")
    return wrong, count


def _figures(draws: dict[str, list[Drawn]]) -> list[Figure]:
    bars = {
        "one": ("scan, one setting, a likely address among them", LIKELY, 2400),
        "double": ("scan, one setting, two meters at one address", LIKELY, 2400),
        "mixed": ("scan, meters at two settings, each with a likely address", LIKELY, 2400),
        "unlikely": ("scan, one setting, no likely address", WITHOUT, 1200),
        "known": ("scan, known setting, every address, each rate once", GIVEN, 4800),
    }
    figures = []
    for kind, (name, bar, least) in bars.items():
        quick = [each for each in draws[kind] if each.rate >= least]
        slow = [each for each in draws[kind] if each.rate < least]
        last = max(quick, key=lambda each: each.seconds)
        note = f"{len(quick)} draws; {last.what}"
        figures.append(at_most(f"{name}: slowest", last.seconds, "s", bar, note))
        figures += [
            plain(f"{name}, at {each.rate} baud", each.seconds, "s", f"{SLOW % each.silent}; {each.what}")
            for each in slow
        ]
    every = [each for found in draws.values() for each in found]
    missed = [words for each in every for words in each.missed]
    wrong = [words for each in every for words in each.wrong]
    count = len(every)
    figures += [
        at_most("scan, meters not found", len(missed), "meters", 0, f"{count} draws; {missed or ''}"),
        at_most("scan, meters taken for another", len(wrong), "meters", 0, f"{count} draws; {wrong or ''}"),
        at_most("scan, whole space of a line, as printed before", every[0].worst, "s", WITHOUT),
    ]
    return figures


def run() -> list[Figure]:
    """Twenty sites of one or two settings, four without a likely address, eight at a known setting; then
    every table of the library.
    """
    kinds = [("one", "one", "one", "mixed", "double")[place % 5] for place in range(DRAWS)]
    jobs = [("unlikely", SEED + 100 + place) for place in range(UNLIKELY)]
    jobs += [(kind, SEED + place) for place, kind in enumerate(kinds)]
    jobs += [("known", SEED + 200 + place) for place in range(KNOWN)]
    draws: dict[str, list[Drawn]] = {}
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as pool:
        for (kind, _), found in zip(jobs, pool.map(search, *zip(*jobs, strict=True)), strict=True):
            print(
                f"  {found.what}: {found.seconds:.0f} s {found.missed or ''} {found.wrong or ''}", flush=True
            )
            draws.setdefault(kind, []).append(found)
    wrong, count = misjudged()
    return [
        *_figures(draws),
        at_most(
            "scan, tables of the library taken for another",
            len(wrong),
            "tables",
            0,
            f"{count}; {wrong or ''}",
        ),
        plain(
            "scan, meters found in all draws",
            sum(each.found for of in draws.values() for each in of),
            "meters",
        ),
    ]
