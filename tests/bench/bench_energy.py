"""What the engine, the history and the pages of energy cost beside polling, each with its control.

CPU: two gateways side by side read fifty meters with 34 values each every second; in one the engine begins
after some minutes and is measured over a quarter hour, in the other never. The history: a file of ten meters
with six registers, saved every quarter hour on a file system of its own; the control has a row for each
interval. The page: nine meters every second and thirteen months behind them, with and without twenty requests
a second. Memory: five years of a main meter with eight below it and a plant, every view asked for.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.demo.show.past import make_past
from gateway.demo.show.site import METERS
from gateway.energy import QUARTER, Calendar, Interval
from gateway.history import FILE, History
from gateway.host.memory import EVERY
from tests.bench.bench_rebuild import lateness, percentile, uptime
from tests.bench.bench_views import FILES as FILES_OF_YEARS
from tests.bench.bench_views import METERS as METERS_OF_YEARS
from tests.bench.bench_views import VIEWS as VIEWS_OF_YEARS
from tests.bench.bench_views import fill, processor_ms
from tests.bench.bench_written import SECTOR, disk
from tests.bench.figures import Figure, at_most, plain
from tests.ports import free_port
from tests.rig import DRIVERS, Rig, until

HOSTS, VALUES = 50, 34
WARM, SECONDS = 20.0, 60.0
ALONE, SHARE = 300.0, 900.0
"""s of polling alone; s over which the engine's part is measured: in each quarter hour are the intervals of
one, and one save.
"""
REGISTERS = [(f"m{meter}", f"q{place}") for meter in range(10) for place in range(6)]
START = 1_795_219_200_000
SAVES_BEFORE, SAVES = 192, 960
"""Two days before, by which the WAL has wrapped, and ten measured ones."""
YEAR = 365 * 96
VIEWS = ("/", "/energy?lang=tr", "/energy?year=2026", "/reactive", "/quality", "/api/v1/status")
RATE = 20.0
TURNS = 10
"""Times without and with visitors in turn: what else the machine does is in both alike."""
LATE_ENGINE = """
import asyncio
import sys
from gateway.daemon.energy import worker
from gateway.host.memory import START_SECONDS, keep_what_is_there
settled = START_SECONDS - worker.FIRST
worker.FIRST = float(sys.argv[2])
worker.QUEUE, most = 0, worker.QUEUE  # nothing gathers in memory before
begin = worker.EnergyWorker._begin
async def begun(self):
    worker.QUEUE = most
    await begin(self)
    # As at a start, of which the engine is a part: what it has made by then is not looked through again.
    asyncio.get_running_loop().call_later(settled, keep_what_is_there)
worker.EnergyWorker._begin = begun
from gateway.cli import main
sys.argv = ["submeter", "run", sys.argv[1]]
main()
"""


def _plant(names: list[str], image: dict[str, Any]) -> dict[str, Any]:
    servers = [
        {"name": f"plant-{name}", "host": "127.0.0.1", "slaves": [{"unit": 1, "meter": name, "image": image}]}
        for name in names
    ]
    return {"seed": 1, "building": {"start": 1795278300, "speed": 1, "step": 1}, "servers": servers}


def _site(folder: Path, names: list[str], parent: str = "", *, sends: bool = False, **more: Any) -> Rig:
    """`parent`: the meter that all others are below; `sends`: to a platform."""
    folder.mkdir()
    image = {"driver": "bench-sdm630", "directory": str(DRIVERS), "circuit": "main"}
    site = Rig(folder, _plant(names, image))
    assert site.simulator is not None
    places = site.simulator.addresses.items()
    site.configure(
        buses=[{"name": bus, "type": "tcp", "host": host, "port": port} for bus, (host, port) in places],
        meters=[
            {"id": name, "bus": f"plant-{name}", "address": 1, "driver": "bench-sdm630", "interval": "1s"}
            | ({"parent": parent} if parent and name != parent else {})
            for name in names
        ],
        uplinks=[site.uplink()] if sends else [],
        **more,
    )
    return site


def _cpu() -> list[Figure]:
    """The engine beside polling, by difference in differences: two processes of one program differ by some
    per cent from their start on, and a machine from one quarter hour to the next.
    """
    names = [f"m{number}" for number in range(HOSTS)]
    begins = (f"{WARM + ALONE + WARM:g}", "inf")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        both = [_site(Path(folder) / name, names) for name in ("with", "without")]
        for site, begin in zip(both, begins, strict=True):
            stack.callback(site.stop)
            site.start("gateway", sys.executable, "-c", LATE_ENGINE, str(site.config_path), begin)
        for site in both:
            until(lambda site=site: len(site.serves()) > HOSTS, 60, "every meter was read once")
        time.sleep(WARM)
        alone = _rates(both, ALONE)
        history = Path(folder) / "with" / "state" / FILE
        until(history.exists, 4 * WARM, "the engine has begun")
        time.sleep(WARM)
        beside = _rates(both, SHARE)
    ours, control = (after / before for before, after in zip(alone, beside, strict=True))
    note = (
        f"{HOSTS} meters × {VALUES} values every second: {SHARE:.0f} s, in which a quarter hour ended and "
        f"was saved, beside {ALONE:.0f} s of the same process before its engine began, less what one "
        f"without an engine changed by meanwhile ({(control - 1) * 100:+.2f} %)"
    )
    return [
        at_most("CPU of engine and history beside polling", (ours / control - 1) * 100, "% more", 5,
                note),
        plain("CPU with them", beside[0], "s / 100 000 values"),
        plain("the control, the same process before", alone[0], "s / 100 000 values"),
    ]  # fmt: skip


def _rates(sites: list[Rig], seconds: float) -> list[float]:
    """S of processor per 100 000 values of each gateway, over a time."""
    processes = [site.processes["gateway"].pid for site in sites]
    before, began = [*map(processor_ms, processes)], uptime()
    time.sleep(seconds)
    values = HOSTS * VALUES * (uptime() - began)
    had = [processor_ms(process) - was for process, was in zip(processes, before, strict=True)]
    return [each / 1000 / values * 100_000 for each in had]


def _memory() -> list[Figure]:
    """Five years behind ten meters, every view of them and the files of a year asked for once, while all is
    sent to a platform that confirms it.
    """
    names = ["main", *METERS_OF_YEARS, "pv"]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        past = Path(name) / "past"
        past.mkdir()
        fill(past)
        building = {"area": 4200, "installed_kva": 250, "contract_kw": 160, "tariff": "tr-three-time"}
        site = _site(
            Path(name) / "site", names, "main", sends=True, journal={"directory": str(past)},
            building={**building, "pv": [{"meter": "pv", "yield": "import"}]},
            status={"listen": f"127.0.0.1:{free_port()}", "screen": True},
        )  # fmt: skip
        stack.callback(site.stop)
        address = f"http://{json.loads(site.config_path.read_text())['status']['listen']}"
        site.start_broker()
        site.start_receiver()
        site.start_gateway()
        until(lambda: len(site.serves()) > len(names), 60, "every meter was read once")
        time.sleep(WARM)
        before = site.usage("gateway").rss
        for view in (*VIEWS_OF_YEARS, *FILES_OF_YEARS):
            with urllib.request.urlopen(address + view, timeout=120) as answer:
                assert answer.read(), view
        used = site.usage("gateway").rss
        time.sleep(EVERY + WARM)
        after = site.usage("gateway").rss
    note = (
        "ten meters every second, sent to a platform; five years of six counters; every view, the files of a "
        "year, the holidays"
    )
    return [
        at_most("resident memory, everything used once", after / 2**20, "MiB", 64,
                f"{note}; within the five minutes after which what is not used is given back"),
        plain("the same in the moment of use", used / 2**20, "MiB"),
        plain("the same before anybody looks", before / 2**20, "MiB"),
    ]  # fmt: skip


def _quarters() -> Iterator[list[tuple[tuple[str, str], int, int]]]:
    """Every quarter hour: (register, start, Wh) of each."""
    dice, number = random.Random(2), 0
    while True:
        start = START + number * QUARTER
        # Export, and what a consumer never has, stand still.
        yield [(each, start, int(dice.gauss(3000, 800)) if each[1] < "q4" else 0) for each in REGISTERS]
        number += 1


def _ours(directory: Path) -> Iterator[None]:
    """The shipped history; a step is a quarter hour that was saved."""
    history = History(directory, Calendar(ZoneInfo("Europe/Istanbul")))
    state = os.urandom(7000)  # what the engine knows of ten meters, packed
    with closing(history):
        for rows in _quarters():
            for register, start, value in rows:
                interval = Interval(*register, start, value, "m", 1)
                history.past(*register).put(interval, corrected=False)
                history.published(interval)
            history.save(engine=state, watermark=b"e 5")
            yield


def _row_each(directory: Path) -> Iterator[None]:
    """The usual design."""
    with closing(sqlite3.connect(directory / FILE, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(
            "CREATE TABLE interval (meter TEXT, quantity TEXT, start INTEGER, value INTEGER, quality TEXT, "
            "version INTEGER, PRIMARY KEY (meter, quantity, start)) WITHOUT ROWID"
        )
        for rows in _quarters():
            db.execute("BEGIN")
            values = [(*register, start, value, "m", 1) for register, start, value in rows]
            db.executemany("INSERT INTO interval VALUES (?,?,?,?,?,?)", values)
            db.execute("COMMIT")
            yield


def _written(make: Any) -> tuple[float, float]:
    """(GB a year at the block device, MB a year of the file)."""
    with tempfile.TemporaryDirectory() as name, disk(Path(name)) as (mount, stat):
        steps, begin, small = make(mount), 0, 0

        def sectors() -> int:
            os.sync()
            return int(stat.read_text().split()[6]) * SECTOR

        for number in range(SAVES_BEFORE + SAVES):
            next(steps)
            # Between two quarter hours the kernel writes back whatever there is.
            for file in (mount / FILE, mount / f"{FILE}-wal"):
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
            if number + 1 == SAVES_BEFORE:
                begin, small = sectors(), (mount / FILE).stat().st_size
        written = sectors() - begin
        grown = (mount / FILE).stat().st_size - small
        steps.close()
    return written / SAVES * YEAR / 1e9, grown / SAVES * YEAR / 1e6


def _file() -> list[Figure]:
    """Size and writing."""
    gigabytes, megabytes = _written(_ours)
    other, large = _written(_row_each)
    note = f"10 meters × 6 registers, {SAVES} quarter hours after {SAVES_BEFORE}"
    return [
        at_most("history.db", megabytes, "MB / year", 15, note),
        plain("the control, a row for each interval", large, "MB / year"),
        at_most("written for the history, at the block device", gigabytes, "GB / year", 2, f"{note}, ext4"),
        plain("the control, a row for each interval, written", other, "GB / year"),
    ]


def _visit(port: int, until_: threading.Event, answered: list[float]) -> None:
    """Twenty requests a second, from as many addresses as a page lets in."""
    begin = time.monotonic()
    for number, view in enumerate(cycle(VIEWS)):
        if until_.wait(max(0.0, begin + number / RATE - time.monotonic())):
            return
        source = (f"127.0.1.{1 + number % 200}", 0)
        visitor = HTTPConnection("127.0.0.1", port, timeout=20, source_address=source)
        asked = time.monotonic()
        try:
            visitor.request("GET", view)
            answer = visitor.getresponse()
            if answer.read() and answer.status == 200:
                answered.append(time.monotonic() - asked)
        except OSError:
            continue
        finally:
            visitor.close()


def _page() -> list[Figure]:
    """Polls with and without visitors, in turn."""
    names = [meter.id for meter in METERS if meter.id != "water"]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        past = Path(name) / "past"
        (past / "journal").mkdir(parents=True)
        make_past(past, time.time_ns() // 1_000_000)
        site = _site(Path(name) / "site", names, journal={"directory": str(past / "journal")})
        stack.callback(site.stop)
        port = int(site.config_path.read_text().split('"listen": "127.0.0.1:')[1].split('"')[0])
        site.start_gateway()
        until(lambda: len(site.serves()) > len(names), 60, "every meter was read once")
        time.sleep(WARM)
        spans: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        answered: list[float] = []
        for visited in (False, True) * TURNS:
            stop = threading.Event()
            visitors = [threading.Thread(target=_visit, args=(port, stop, answered))] if visited else []
            for each in visitors:
                each.start()
            begin = uptime()
            time.sleep(SECONDS / TURNS)
            spans[visited].append((begin, uptime()))
            stop.set()
            for each in visitors:
                each.join()
        serves = site.serves()
    late = {
        visited: [each for span in found for each in lateness(serves, *span)]
        for visited, found in spans.items()
    }
    busy, quiet = percentile(late[True]), percentile(late[False])
    rate = len(answered) / SECONDS
    return [
        at_most("lateness of polls with visitors beside without, 95th percentile", busy - quiet, "ms more", 5,
                f"{busy:.0f} and {quiet:.0f} ms; {rate:.0f} answers a second, thirteen months of history"),
        plain("an answer of the page meanwhile, median", sorted(answered)[len(answered) // 2] * 1000, "ms"),
    ]  # fmt: skip


def run() -> list[Figure]:
    """All of it."""
    return [*_file(), *_cpu(), *_page(), *_memory()]
