"""The self-check: a demo that is mistreated on schedule and must lose nothing, judged by the simulator's
own log.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.catalogue import load_driver
from gateway.demo.show.account import Account, judge, resolutions
from gateway.demo.show.polls import BatchKey, Break, Received, read_polls
from gateway.demo.show.site import GATEWAY, METERS
from gateway.demo.show.supervisor import Supervisor, open_readonly
from gateway.demo.simulator.process import read_serves

SHORTEST = 30.0
"""s below which there is no time for fifteen commits, an outage of five seconds and a restart."""
BATCHES = 15
OUTAGE = 5.0
LATE = 1.5
"""s by which the late answer is late: more than the gateway waits for it."""
_SLOT = 1.0
_DRAIN = 25.0
_START = 30.0
_EXTRA = 20.0
_LATE_AT, _CORRUPT_AT = ("line1", 1), ("line2", 2)


@dataclass(slots=True)
class SelfCheck:
    """One run of the self-check on a site that must be stamped and brisk."""

    supervisor: Supervisor
    say: Callable[[str], None]
    tick: Callable[[], None] = lambda: None
    """Called several times a second: shows the status line, raises KeyboardInterrupt to end early."""
    breaks: list[Break] = field(default_factory=list)

    def run(self, seconds: float) -> Account:
        """Mistreat, drain, stop, judge. Takes `seconds` and a little more when the drain needs it."""
        began = time.monotonic()
        supervisor, simulator = self.supervisor, self.supervisor.simulator
        assert simulator is not None
        if not self._until(lambda: (counts := supervisor.counts()) is not None and counts.taken > 0, _START):
            account = Account()
            account.problems.append(
                f"the gateway has committed nothing in {_START:g} s:\n{supervisor.gateway.tail()}"
            )
            return account
        ready = time.monotonic()
        span = max(began + seconds - 9.0, ready + 18.0) - ready
        self._wait(ready + 0.08 * span)
        self.say(f"a meter on {_LATE_AT[0]} will answer one request {LATE:g} s late")
        simulator.fault(*_LATE_AT, "late", seconds=LATE)
        self._wait(ready + 0.18 * span)
        self.say(f"a meter on {_CORRUPT_AT[0]} will answer one request with a damaged byte")
        simulator.fault(*_CORRUPT_AT, "corrupt")
        self._wait(ready + 0.28 * span)
        self.say(f"the broker is killed, for {OUTAGE:g} s")
        supervisor.broker.kill()
        self._wait(time.monotonic() + OUTAGE)
        supervisor.broker.start()
        self.say("the broker is back")
        self._wait(ready + 0.70 * span)
        self.say("the gateway is killed with -9, and started again")
        went = _uptime()
        supervisor.gateway.kill()
        self.breaks.append(Break(went, _uptime()))
        supervisor.gateway.start()
        self._wait(ready + span)
        # A slow machine gets a little more time for its fifteen commits.
        self._until(lambda: (counts := supervisor.counts()) is not None and counts.taken > BATCHES, _EXTRA)
        self._drain()
        supervisor.stop()
        return self._judge()

    def _drain(self) -> None:
        """Let everything that was taken arrive: the gateway runs on without its meters until nothing
        waits.
        """
        supervisor = self.supervisor
        self.say("the meters are left alone; what waits is delivered")
        went = _uptime()
        supervisor.gateway.stop()
        self.breaks.append(Break(went, _uptime()))
        supervisor.configure(meters_on=False)
        supervisor.gateway.start()
        self._until(
            lambda: (
                (counts := supervisor.counts()) is not None
                and counts.waiting == 0
                and counts.delivered == counts.taken
            ),
            _DRAIN,
        )
        supervisor.gateway.stop()

    def _wait(self, until: float) -> None:
        while time.monotonic() < until:
            self.tick()
            time.sleep(min(0.2, max(0.0, until - time.monotonic())))

    def _until(self, met: Callable[[], bool], patience: float) -> bool:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if met():
                return True
            self.tick()
            time.sleep(0.2)
        return met()

    def _judge(self) -> Account:
        supervisor = self.supervisor
        drivers = {meter.id: load_driver(meter.driver, supervisor.directory / "drivers") for meter in METERS}
        stored, readings, conflicts = platform(supervisor.database)
        account = judge(
            read_serves(supervisor.serves),
            committed(supervisor.journal),
            stored,
            readings,
            breaks=self.breaks,
            slot=_SLOT,
            tolerance=resolutions(drivers),
            polls=read_polls(supervisor.gateway.log),
        )
        account.say(conflicts, f"{conflicts} batches came to the platform twice with different content")
        account.say(
            account.committed < BATCHES,
            f"only {account.committed} batches were committed, {BATCHES} are needed",
        )
        for kind in ("late", "corrupt"):
            account.say(not account.faults[kind], f"no reply was {kind}: the check did not check that")
        return account


def committed(journal: Path) -> list[BatchKey]:
    """Every batch in a journal whose gateway has stopped. Raises sqlite3.Error."""
    with contextlib.closing(open_readonly(journal)) as db:
        return [(epoch.hex(), seq) for epoch, seq in db.execute("SELECT epoch, seq FROM batch ORDER BY seq")]


def platform(database: Path) -> tuple[dict[BatchKey, int], list[Received], int]:
    """What the reference receiver holds: batches with their number of readings, readings, conflicts.
    Raises sqlite3.Error.
    """
    with contextlib.closing(open_readonly(database)) as db:
        db.row_factory = sqlite3.Row
        stored = {
            (row["epoch"], row["seq"]): row["readings"]
            for row in db.execute("SELECT epoch, seq, readings FROM batch WHERE gateway = ?", (GATEWAY,))
        }
        readings = [
            Received(
                row["meter"],
                row["uptime"],
                (row["epoch"], row["seq"]),
                json.loads(row["values"]),
                json.loads(row["absent"] or "{}"),
                row["missing"] or "",
            )
            for row in db.execute(
                'SELECT meter, uptime, epoch, seq, "values", absent, missing FROM reading WHERE gateway = ?',
                (GATEWAY,),
            )
        ]
        return (
            stored,
            readings,
            int(db.execute("SELECT count(*) FROM conflict WHERE gateway = ?", (GATEWAY,)).fetchone()[0]),
        )


def rows(account: Account) -> list[tuple[str, int, str]]:
    """The account as lines of a table: what, how many, and what must be."""
    return [
        ("batches committed by the gateway", account.committed, f"at least {BATCHES}"),
        ("of these at the platform", account.stored - account.invented, "all of them"),
        ("committed, and not at the platform", account.absent_batches, "0"),
        ("at the platform, and never committed", account.invented, "0"),
        ("batches or readings that count twice", account.twice, "0"),
        ("replies that came late on purpose", account.faults["late"], "at least 1"),
        ("replies with a byte damaged on purpose", account.faults["corrupt"], "at least 1"),
        ("readings that the simulated meters served", account.served, ""),
        ("of these at the platform, each once", account.arrived, ""),
        ("of these late or damaged on purpose", account.spoilt, "none at the platform"),
        ("in the open slot of the kill or the stop", account.open_slot, "may be missing"),
        ("not received in time, and said so by the gateway", account.declared, "may be missing"),
        ("served, and lost", account.lost, "0"),
        ("values compared with what was served", account.values, ""),
        ("of these wrong", account.wrong, "0"),
    ]


def _uptime() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
