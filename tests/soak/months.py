"""A month of the whole product in minutes: the real daemon, simulated meters, mosquitto and the reference
receiver on a leaping clock.

What is real: every process of `submeter run` and `submeter receive` with all their code, files, threads and
sockets; the broker; the Modbus frames; each commit and its fdatasync; kill -9, SIGSTOP, SIGHUP; every
second's timers of 30 days. What is simulated: waiting (nobody sleeps through the time between two polls), the
meters, and the setting of the wall clock. What therefore differs from a month: MQTT keep-alives and the
page's visitors live in real time, timers between polls may be COARSE late, no two mistakes are hours apart in
the machine's own life. The judge is the meters' log, by the ordinal that each serve carries.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.catalogue import load_driver
from gateway.demo.show.account import Account, judge, resolutions
from gateway.demo.show.gateway_status import gateway_status
from gateway.demo.show.polls import Break
from gateway.demo.show.self_check import committed, platform
from gateway.demo.show.site import GATEWAY, stamp_drivers
from tests.intervals import IntervalAccount, judge_intervals, lacking
from tests.rig import SAYING_POLLS, Rig, until, usage
from tests.soak.leaps import LeapClock

DAY = 86400.0
DRIVERS = ("eastron-sdm630", "schneider-iem3155")
SLOT = 10.0
FAULTS = (
    "dead",
    "late",
    "truncated",
    "wrong_count",
    "exception",
    "reset",
    "half_open",
    "wrong_transaction",
    "double",
)
LATE = 0.5
"""Real s: many times what is waited for an answer before the clock leaps."""
PATIENCE = 60.0


@dataclass
class Sample:
    """What the processes weigh at a moment."""

    uptime: float
    gateway: int
    receiver: int
    descriptors: int
    journal: int
    wal: int
    batches: int


@dataclass
class Month:
    """What was done and what was found."""

    account: Account
    intervals: IntervalAccount
    days: float
    deeds: Counter[str]
    samples: list[Sample]
    leaps: int
    said: str


class Run:
    """One run: `days` of simulated time with the meters read every `interval` s."""

    def __init__(self, directory: Path, *, interval: float, seed: int, coarse: float) -> None:
        self.directory = directory
        self.interval = interval
        self.dice = random.Random(seed)
        self.clock = LeapClock(directory / "leaps")
        self._environment = self.clock.environment(coarse=coarse)
        with self._leaping():
            self._stamps = stamp_drivers(directory, DRIVERS)
            self.site = Rig(directory, self._spec())
        self.breaks: list[Break] = []
        self.taken: list[tuple[str, int]] = []
        """Epoch and seq of the newest batch that the gateway called taken before each kill."""
        self.deeds: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.began = 0.0
        self._reloads = 0

    def _spec(self) -> dict[str, Any]:
        slaves = [
            {
                "unit": unit,
                "meter": f"m{unit}",
                "stamp": {"address": self._stamps[driver].address},
                "image": {"driver": driver, "circuit": circuit, "directory": str(self.directory / "drivers")},
            }
            for unit, (driver, circuit) in enumerate(zip(DRIVERS, ("main", "lighting"), strict=True), 1)
        ]
        return {
            "seed": 1,
            "building": {"step": 900},
            "servers": [{"name": "plant", "mode": "tcp", "slaves": slaves}],
        }

    @contextmanager
    def _leaping(self) -> Iterator[None]:
        """Processes that are started now take part."""
        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def configure(self, *, meters_on: bool = True) -> None:
        site = self.site
        assert site.simulator is not None
        host, port = site.simulator.addresses["plant"]
        meters = [
            {
                "id": f"m{unit}",
                "name": f"Sayaç {unit}, {self._reloads}",
                "bus": "plant",
                "address": unit,
                "driver": driver,
                "interval": f"{self.interval:g}s",
                "enabled": meters_on,
            }
            for unit, driver in enumerate(DRIVERS, 1)
        ]
        site.configure(
            gateway={"id": GATEWAY, "commit_interval": f"{SLOT:g}s"},
            buses=[{"name": "plant", "type": "tcp", "host": host, "port": port}],
            meters=meters,
            uplinks=[site.uplink()],
            drivers={"directory": str(self.directory / "drivers")},
            journal={"directory": str(self.directory / "state"), "budget": "1GB"},
        )

    def start(self) -> None:
        self.configure()
        self.site.start_broker()
        self.start_receiver()
        self.start_gateway()
        self.began = self.clock.uptime

    def start_receiver(self) -> None:
        """Start it, and wait until it can hear."""
        log = self.directory / "receiver.log"
        before = log.read_text().count("connected") if log.exists() else 0
        with self._leaping():
            self.site.start_receiver()
        until(lambda: log.read_text().count("connected") > before, PATIENCE, "the receiver is connected")

    def start_gateway(self) -> None:
        """Start it; nobody leaps before it answers."""
        self.clock.allow(0)
        with self._leaping():
            self.site.start_gateway(*SAYING_POLLS)
        until(lambda: gateway_status(self.site.socket) is not None, PATIENCE, "the gateway answers")

    def go(self, seconds: float) -> None:
        """Let time pass, in the run's clock."""
        goal = self.clock.uptime + seconds
        self.clock.allow(goal)
        seen, at = self.clock.uptime, time.monotonic()
        while self.clock.uptime < goal:
            time.sleep(0.002)
            if self.clock.uptime > seen + 60:
                seen, at = self.clock.uptime, time.monotonic()
            assert time.monotonic() - at < PATIENCE, "the clock has stopped leaping"
            assert self.site.processes["gateway"].poll() is None, "the gateway has ended"
        self.clock.allow(0)

    # -- what a month does to it; each returns when it is over

    def broker_away(self, seconds: float) -> None:
        self.site.kill("broker")
        self.go(seconds)
        self.site.start_broker()
        self.deeds["broker away"] += 1

    def receiver_away(self, seconds: float) -> None:
        self.site.kill("receiver")
        self.go(seconds)
        self.start_receiver()
        self.deeds["receiver away"] += 1

    def network_away(self, seconds: float) -> None:
        """The connection to the broker stands, and nothing comes through."""
        broker = self.site.processes["broker"]
        broker.send_signal(signal.SIGSTOP)
        self.go(seconds)
        broker.send_signal(signal.SIGCONT)
        self.deeds["network away"] += 1

    def meters_away(self, seconds: float) -> None:
        """One meter, or all, silent or refusing, for a while; then well again."""
        simulator = self.site.simulator
        assert simulator is not None
        kind = self.dice.choice(FAULTS)
        self.clock.trouble(on=True)
        for unit in self.dice.choice([(1,), (2,), (1, 2)]):
            simulator.fault(
                "plant", unit, kind, seconds=LATE, times=None if kind in {"dead", "exception"} else 5
            )
        self.go(seconds)
        simulator.order("clear", bus="plant")
        self.go(max(600.0, 2 * self.interval))
        self.clock.trouble(on=False)
        self.deeds[f"meters {kind}"] += 1

    def clock_step(self, seconds: float) -> None:
        """The wall clock is wrong by hours, then it is set right."""
        by = self.dice.choice([-1, 1]) * self.dice.uniform(10, 5 * 3600)
        self.clock.step(by)
        self.go(seconds)
        self.clock.step(-by)
        self.deeds["clock stepped"] += 2

    def reload(self, _seconds: float = 0) -> None:
        self._reloads += 1
        self.configure()
        went = self.clock.uptime
        self.site.processes["gateway"].send_signal(signal.SIGHUP)
        until(
            lambda: self.site.log("gateway").count("the configuration was read again") >= self._reloads,
            PATIENCE,
            "it reloads",
        )
        self._break(went)
        self.deeds["reload"] += 1

    def kill(self, _seconds: float = 0) -> None:
        """In the middle of whatever it is at."""
        self.clock.allow(self.clock.uptime + DAY)
        time.sleep(self.dice.uniform(0.005, 0.25))
        said = gateway_status(self.site.socket)
        self.site.kill("gateway")
        gone = self.clock.uptime
        if said is not None:
            self.taken.append((said["journal"]["epoch"], said["journal"]["seq"]))
        time.sleep(0.2)  # the request that was under way is served to nobody
        self.breaks.append(Break(int(1000 * gone) - 1000, int(1000 * self.clock.uptime) + 1))
        self.start_gateway()
        self.deeds["gateway killed"] += 1

    def _break(self, went: float) -> None:
        self.breaks.append(Break(int(1000 * went), int(1000 * self.clock.uptime) + 1))

    # -- measuring

    def sample(self) -> None:
        gateway = self.site.processes["gateway"].pid
        state = self.directory / "state"
        with closing(sqlite3.connect(f"file:{self.site.database}?mode=ro", uri=True, timeout=10)) as db:
            batches = db.execute("SELECT count(*) FROM batch").fetchone()[0]
        self.samples.append(
            Sample(
                self.clock.uptime - self.began,
                usage(gateway).rss,
                usage(self.site.processes["receiver"].pid).rss,
                len(list(Path(f"/proc/{gateway}/fd").iterdir())),
                (state / "journal.db").stat().st_size,
                (state / "journal.db-wal").stat().st_size,
                batches,
            )
        )

    # -- the end

    def drain(self) -> None:
        """Everything that was taken may arrive: the gateway runs on without its meters until nothing
        waits.
        """
        went = self.clock.uptime
        self.site.kill("gateway", signal.SIGTERM)
        self._break(went)
        self.configure(meters_on=False)
        self.start_gateway()
        for _ in range(200):
            self.go(10)
            status = gateway_status(self.site.socket)
            if status is None or any(uplink["backlog_batches"] for uplink in status["uplinks"]):
                continue
            if not lacking(self.site.database):
                break
        self.site.stop()

    def judged(self) -> Month:
        drivers = {
            f"m{unit}": load_driver(name, self.directory / "drivers") for unit, name in enumerate(DRIVERS, 1)
        }
        stored, readings, conflicts = platform(self.site.database)
        held = committed(self.directory / "state" / "journal.db")
        account = judge(
            self.site.serves(), held, stored, readings,
            breaks=self.breaks, slot=SLOT, tolerance=resolutions(drivers), owed=True,
            polls=self.site.polls(),
        )  # fmt: skip
        account.say(conflicts, f"{conflicts} batches came twice with different content")
        gone = sorted(set(self.taken) - set(held))
        account.say(len(gone), f"{len(gone)} batches were called taken and are not in the journal", gone)
        return Month(
            account,
            judge_intervals(self.site.database),
            (self.clock.uptime - self.began) / DAY,
            self.deeds,
            self.samples,
            self.clock.leaps,
            self.site.log("gateway"),
        )


def live(
    directory: Path, *, days: float, interval: float, deeds: int, seed: int = 1, coarse: float = 5.0
) -> Month:
    """So many days, with so many misfortunes in the first two thirds of them; the last third is calm, to
    be measured.
    """
    run = Run(directory, interval=interval, seed=seed, coarse=coarse)
    try:
        run.start()
        _live(run, days, deeds)
        run.drain()
    except BaseException as error:
        for name in ("gateway", "receiver"):
            error.add_note(f"— {name}:\n{run.site.log(name)[-2500:]}")
        raise
    finally:
        run.site.stop()
    return run.judged()


def _live(run: Run, days: float, deeds: int) -> None:
    kinds: list[tuple[Callable[[float], None], float]] = [
        (run.broker_away, DAY), (run.receiver_away, DAY), (run.network_away, 3600), (run.meters_away, 3600),
        (run.clock_step, 20_000), (run.reload, 0), (run.kill, 0),
    ]  # fmt: skip
    spacing = days * DAY * 2 / 3 / deeds
    for number in range(deeds):
        begin = run.clock.uptime
        run.go(run.dice.uniform(0.1, 0.5) * spacing)
        # In turn, so that each happens; how long: from seconds to its longest, and never until the next.
        deed, longest = kinds[number % len(kinds)]
        deed(min(10 ** run.dice.uniform(1, 5), longest, 0.45 * spacing))
        run.go(max(1.0, begin + spacing - run.clock.uptime))
    run.sample()
    rest = days * DAY - (run.clock.uptime - run.began)
    for _ in range(10):
        run.go(rest / 10)
        run.sample()
