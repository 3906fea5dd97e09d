"""The wall clock of a running gateway is stepped, wrong, unknown and found: no reading is lost, and none
keeps a wrong time.

libfaketime moves the wall clock of the daemon alone and leaves CLOCK_MONOTONIC and CLOCK_BOOTTIME, as a real
step does. Whether the clock is synchronised is what systemd-timesyncd's mark says, shown to the daemon in a
mount namespace of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.host.clock import kernel_synced
from tests.mosquitto import MOSQUITTO
from tests.reliability import note
from tests.rig import Rig, rig, until

FAKETIME = next(Path("/usr/lib").rglob("libfaketime.so.1"), None)
ADDRESS = 0x200
DRIVER = f"""maker: Bench
model: meter that counts its serves
verified: simulator
source: "one counter"
reads: {{function: 4, max_registers: 80}}
registers: |
  0x{ADDRESS:04X} u32 pulse_count - fast
"""
DAY_MS = 86_400_000
NEAR_MS = 1500
NAMESPACE = (
    'mount -t tmpfs none /run && mkdir -p /run/systemd/timesync && mount --bind "$0" '
    '/run/systemd/timesync && exec "$@"'
)


RUN = """
import runpy, select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""
"""The daemon, sleeping in a way that libfaketime leaves alone: it takes the deadline on CLOCK_MONOTONIC that
CPython sleeps until for one on the wall clock.
"""


def may_unshare() -> bool:
    with contextlib.suppress(OSError):
        return (
            os.geteuid() == 0
            and subprocess.run(
                ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/run"], capture_output=True, check=False
            ).returncode
            == 0
        )
    return False


pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed"),
]
alone = [
    pytest.mark.root,
    pytest.mark.skipif(
        not may_unshare(),
        reason="needs root and mount namespaces, to show the gateway a clock that is not synchronised",
    ),
    pytest.mark.skipif(
        kernel_synced(), reason="this machine's clock is synchronised, and the kernel says so to everybody"
    ),
]


class Site:
    """A gateway whose wall clock is ours."""

    def __init__(self, made: Rig, **clock) -> None:
        self.made = made
        self.directory = made.directory
        (self.directory / "drivers").mkdir()
        (self.directory / "drivers" / "counter.yaml").write_text(DRIVER)
        (self.directory / "timesync").mkdir()
        self.hands = self.directory / "hands"
        self.set_clock("+0")
        host, port = made.simulator.addresses["plant"]
        made.configure(
            gateway={"id": "bench-1", "commit_interval": "1s"},
            clock=clock,
            buses=[{"name": "plant", "type": "tcp", "host": host, "port": port}],
            meters=[{"id": "m1", "bus": "plant", "driver": "counter", "interval": "1s"}],
            uplinks=[made.uplink()],
            drivers={"directory": str(self.directory / "drivers")},
        )
        made.start_broker()
        made.start_receiver()

    def set_clock(self, how: str) -> None:
        """As libfaketime writes it: -400d, +3600."""
        fresh = self.hands.with_suffix(".new")
        fresh.write_text(how + "\n")
        fresh.replace(self.hands)

    def start(self, monkeypatch, *, namespace: bool = False) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(FAKETIME))
            patch.setenv("FAKETIME_TIMESTAMP_FILE", str(self.hands))
            patch.setenv("FAKETIME_NO_CACHE", "1")
            patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            # Else it ends each wait for the interpreter at once: threads that wait for it take all of a
            # processor.
            patch.setenv("FAKETIME_FORCE_MONOTONIC_FIX", "0")
            command = [sys.executable, "-c", RUN, "run", str(self.made.config_path)]
            if namespace:
                command = ["unshare", "-m", "sh", "-c", NAMESPACE, str(self.directory / "timesync"), *command]
            self.made.start("gateway", *command)

    def synchronise(self) -> None:
        """What timesyncd does after it has set the clock."""
        (self.directory / "timesync" / "synchronized").touch()

    def rows(self, sql: str) -> list[sqlite3.Row]:
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"file:{self.made.database}?mode=ro", uri=True)) as db,
        ):
            db.row_factory = sqlite3.Row
            return db.execute(sql).fetchall()
        return []

    def readings(self) -> list[sqlite3.Row]:
        return self.rows(
            "SELECT *, json_extract(\"values\", '$.pulse_count') AS ordinal FROM reading ORDER BY uptime"
        )

    def more(self, count: int, clock: str = "") -> None:
        """Wait for more readings at the platform, of one clock state if that matters."""
        want = len([row for row in self.readings() if not clock or row["clock"] == clock]) + count
        until(
            lambda: len([row for row in self.readings() if not clock or row["clock"] == clock]) >= want,
            60, f"{count} more readings arrive {clock}",
        )  # fmt: skip

    def kinds(self) -> list[str]:
        return [row["kind"] for row in self.rows("SELECT kind FROM event ORDER BY uptime")]

    def account(self, part: str, steps: int, times: list[tuple[sqlite3.Row, int]]) -> None:
        """Each reading once, none missing between the first and the last; each time (reading, ms) as it
        was.
        """
        ordinals = [row["ordinal"] for row in self.readings()]
        wrong = [dict(row) for row, t in times if abs(row["t"] - t) >= NEAR_MS]
        lost, twice = max(ordinals) - len(set(ordinals)), len(ordinals) - len(set(ordinals))
        note("clock", part=part, runs=steps, taken=len(ordinals), lost=lost, twice=twice, wrong=len(wrong))
        assert not wrong, wrong
        assert ordinals == list(range(1, len(ordinals) + 1))


def spec() -> dict:
    slave = {"unit": 1, "meter": "m1", "image": {"pattern": 1000}, "stamp": {"address": ADDRESS, "words": 2}}
    return {"servers": [{"name": "plant", "slaves": [slave]}]}


def truth() -> int:
    """Wall minus uptime, in ms, of a machine whose clock nobody touches."""
    return (time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1_000_000


def test_steps_while_it_runs_cost_no_reading_and_are_told(tmp_path, monkeypatch) -> None:
    with rig(tmp_path, spec()) as made:
        site = Site(made, trust="system", hold="3s")
        site.start(monkeypatch)
        site.more(3)
        # Back by more than a year: before what the journal holds. Nobody may believe it; the batches are
        # held, then sent as unsynced.
        site.set_clock("-400d")
        until(lambda: "clock_unsynced" in made.log("gateway"), 60, "the step is seen")
        site.more(4, "unsynced")
        unsynced = {
            (row["epoch"], row["seq"], row["n"]) for row in site.readings() if row["clock"] == "unsynced"
        }
        site.set_clock("+0")
        until(lambda: "clock_anchor" in site.kinds(), 60, "the right time is told to the platform")
        site.more(3)
        # Forward by an hour and half a second: plausible, so believed; polls move to the new boundaries.
        site.set_clock("+3600.5")
        until(lambda: site.kinds().count("clock_step") == 3, 60, "the third step is told")
        site.more(6)
        offset = truth()
        kinds = site.kinds()
        assert kinds.count("clock_unsynced") == kinds.count("clock_synced") == 1
        steps = [
            json.loads(row["fields"])["by"]
            for row in site.rows("SELECT fields FROM event WHERE kind = 'clock_step' ORDER BY uptime")
        ]
        for step, meant in zip(steps, (-400 * DAY_MS, 400 * DAY_MS, 3_600_500), strict=True):
            assert abs(step - meant) < NEAR_MS
        readings = site.readings()
        repaired = [row for row in readings if (row["epoch"], row["seq"], row["n"]) in unsynced]
        assert repaired
        late = readings[-4:]
        # The platform has repaired the time of what it was sent unsynced, and believes what the clock said
        # later.
        right = [(row, row["uptime"] + offset) for row in repaired] + [
            (row, row["uptime"] + offset + 3_600_500) for row in late
        ]
        site.account("steps", 3, right)
        for row in (*readings[:3], *late):
            assert row["clock"] == "synced"
        # In real seconds the boundary has moved by half of one.
        assert sorted(row["t"] % 1000 for row in late)[1] < 400, (
            "two of them at least: this machine may be late for the others"
        )
        gaps = [after["uptime"] - before["uptime"] for before, after in pairwise(readings)]
        assert max(gaps) < 10_000, gaps


@pytest.mark.parametrize("hold", ["5min", "2s"])
def test_a_boot_whose_clock_is_not_right_yet(tmp_path, monkeypatch, hold: str) -> None:
    with rig(tmp_path, spec()) as made:
        site = Site(made, trust="kernel", hold=hold)
        site.set_clock("-30d")
        site.start(monkeypatch, namespace=True)
        if hold == "2s":
            site.more(3, "unsynced")
        else:
            until(lambda: len(made.serves()) >= 6, 60, "six readings are taken")
            until(lambda: site.rows("SELECT * FROM state"), 60, "the gateway is online")
            assert not site.readings(), "what was taken with an unknown clock is held"
        site.set_clock("+0")
        site.synchronise()
        until(lambda: "clock_synced" in made.log("gateway"), 60, "the clock is found to be right")
        site.more(6)
        site.more(1, "synced")  # the six may all be held ones that were let go
        if hold == "2s":
            until(lambda: "clock_anchor" in site.kinds(), 60, "the right time is told to the platform")
        offset = truth()
        readings = site.readings()
        site.account(f"boot, hold {hold}", 1, [(row, row["uptime"] + offset) for row in readings])
        assert readings[-1]["clock"] == "synced"
        assert "anchored" in {row["clock"] for row in readings}
        assert ("clock_anchor" in site.kinds()) == (hold == "2s")


test_a_boot_whose_clock_is_not_right_yet.pytestmark = [
    *test_a_boot_whose_clock_is_not_right_yet.pytestmark,
    *alone,
]
