"""Everything that a line and a network do to meters, done to the running gateway on a real pty and real
sockets.

The judge is the meters' own log: every value at the platform is what its meter served, once; what was served
and not spoilt is there.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from gateway.catalogue import load_driver
from gateway.demo.show.account import judge, resolutions
from gateway.demo.show.gateway_status import gateway_status
from gateway.demo.show.polls import Break
from gateway.demo.show.self_check import committed, platform
from gateway.demo.show.site import GATEWAY, stamp_drivers
from gateway.demo.simulator.faults import SERIAL_KINDS, TCP_KINDS
from gateway.field.worker import CAP
from tests.mosquitto import MOSQUITTO
from tests.reliability import note
from tests.rig import SAYING_POLLS, Rig, rig, until

pytestmark = [pytest.mark.broker, pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")]

DRIVER = "eastron-sdm120"
CODES = (1, 2, 3, 4, 5, 6, 8, 10, 11)
SERIAL = {f"s{unit}": unit for unit in range(1, 6)}
TCP = {f"t{unit}": unit for unit in range(1, 4)}
CIRCUITS = ("main", "hvac", "lighting", "server", "sockets")
SLOT = 1.0
LATE = 0.35
"""s; the buses wait for 200 ms."""
PATIENCE = 60.0
ASKED_AGAIN = 3 * CAP
"""s; a meter that has missed a reply is left alone for up to a minute, and then until what was spent on the
others' odd replies is paid from the same share.
"""
RIGHT_ALL_THE_SAME = {"noise", "double", "padded", "echo"}
"""Faults of a reply that may be believed: there is more than the right answer in it, before it or behind it.
Over TCP a late one is told by its number.
"""


def uptime() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Site:
    """A line with five meters and a TCP server with three."""

    def __init__(self, made: Rig) -> None:
        self.made = made
        assert made.simulator is not None
        self.simulator = made.simulator

    def configure(self, *, meters_on: bool = True) -> None:
        host, port = self.simulator.addresses["plant"]
        line = {
            "name": "line",
            "type": "serial",
            "port": str(self.made.directory / "line"),
            "baudrate": 115200,
            "timeout": "200ms",
        }
        self.made.configure(
            gateway={"id": GATEWAY, "commit_interval": "1s"},
            buses=[line, {"name": "plant", "type": "tcp", "host": host, "port": port, "timeout": "200ms"}],
            meters=[
                {
                    "id": name,
                    "bus": "line" if name in SERIAL else "plant",
                    "address": unit,
                    "driver": DRIVER,
                    "interval": "500ms",
                    "enabled": meters_on,
                }
                for name, unit in (SERIAL | TCP).items()
            ],
            uplinks=[self.made.uplink()],
            drivers={"directory": str(self.made.directory / "drivers")},
        )

    def status(self) -> dict[str, Any]:
        return gateway_status(self.made.socket) or {}

    def states(self) -> dict[str, str]:
        return {meter["id"]: meter["state"] for meter in self.status().get("meters", ())}

    def good(self) -> Counter[str]:
        """Readings with an ordinal at the platform, by meter."""
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"file:{self.made.database}?mode=ro", uri=True)) as db,
        ):
            where = "json_extract(\"values\", '$.pulse_count') IS NOT NULL"
            return Counter(
                dict(
                    db.execute(f"SELECT meter, count(*) FROM reading WHERE {where} GROUP BY meter").fetchall()
                )
            )
        return Counter()

    def more(self, names: dict[str, int], count: int = 2) -> None:
        """Wait until each of these meters has given so many more good readings."""
        before = self.good()
        until(
            lambda: all(self.good()[name] >= before[name] + count for name in names),
            ASKED_AGAIN,
            f"all of {', '.join(names)} give readings",
            pause=0.2,
        )

    def drain(self) -> Break:
        went = uptime()
        self.made.kill("gateway", signal.SIGTERM)
        stopped = Break(went, uptime())
        self.configure(meters_on=False)
        self.made.start_gateway(*SAYING_POLLS)
        until(
            lambda: self.status() and not self.status()["uplinks"][0]["backlog_batches"],
            PATIENCE,
            "everything is delivered",
        )
        self.made.stop()
        return stopped


def spec(directory: Path) -> dict[str, Any]:
    stamp = {"address": stamp_drivers(directory, [DRIVER])[DRIVER].address}
    # With the silence of 100 ms that its maker asks for, these polls would need 2.5 times the line.
    table = directory / "drivers" / f"{DRIVER}.yaml"
    text = table.read_text(encoding="utf-8")
    assert "min_gap: 100ms, " in text
    table.write_text(text.replace("min_gap: 100ms, ", ""), encoding="utf-8")

    def slaves(names: dict[str, int]) -> list[dict[str, Any]]:
        return [
            {"unit": unit, "meter": name, "stamp": stamp,
             "image": {"driver": DRIVER, "circuit": circuit, "directory": str(directory / "drivers")}}
            for (name, unit), circuit in zip(names.items(), CIRCUITS, strict=False)
        ]  # fmt: skip

    line = {
        "name": "line",
        "path": str(directory / "line"),
        "baudrate": 115200,
        "turnaround": 0.005,
        "slaves": slaves(SERIAL),
    }
    return {"seed": 1, "lines": [line], "servers": [{"name": "plant", "mode": "tcp", "slaves": slaves(TCP)}]}


def orders(kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    late = {"late": {"seconds": LATE}}
    return [{"kind": kind} | late.get(kind, {}) for kind in kinds if kind != "exception"] + [
        {"kind": "exception", "code": code} for code in CODES
    ]


@pytest.mark.timeout(600)
def test_every_fault_of_a_line_and_a_network_costs_its_values_and_nothing_else(tmp_path: Path) -> None:
    with rig(tmp_path, spec(tmp_path)) as made:
        site = Site(made)
        site.configure()
        made.start_receiver()
        made.start_gateway(*SAYING_POLLS)
        # The broker is absent at the start: readings are taken all the same.
        until(
            lambda: site.status().get("journal", {}).get("batches", 0) >= 2,
            PATIENCE,
            "batches are committed without a broker",
        )
        until(
            lambda: site.status()["uplinks"][0]["backlog_batches"] >= 2,
            PATIENCE,
            "they wait for the broker",
        )
        made.start_broker()
        site.more(SERIAL | TCP)
        # Each kind of reply and each exception code, a few meters at a time.
        serial, tcp = orders(SERIAL_KINDS), orders(TCP_KINDS)
        dealt = list(
            zip_longest(*(serial[first::4] for first in range(4)), *(tcp[first::3] for first in range(3)))
        )
        places = [("line", name) for name in list(SERIAL)[:4]] + [("plant", name) for name in TCP]
        for round_ in dealt:
            for (bus, name), order in zip(places, round_, strict=True):
                if order:
                    site.simulator.order("fault", bus=bus, unit=(SERIAL | TCP)[name], **order)
            site.more(SERIAL | TCP)
        # Bytes that nobody asked for; a server that resets all its connections; an adapter gone and back.
        for noise in ("00", "ff" * 20, "0104040000", "01830000", "5a" * 300):
            site.simulator.order("inject", bus="line", hex=noise)
            site.simulator.order("drop", bus="plant")
            time.sleep(0.3)
        site.more(SERIAL | TCP)
        site.simulator.order("unplug", bus="line")
        until(
            lambda: {site.states()[name] for name in SERIAL} == {"lost"},
            PATIENCE,
            "the line's meters are lost",
        )
        site.more(TCP)
        site.simulator.order("plug", bus="line")
        site.more(SERIAL | TCP)
        # One of five is dead: the others hardly notice.
        site.simulator.fault("line", 5, "dead", times=None)
        until(lambda: site.states()["s5"] == "lost", PATIENCE, "the dead meter is lost")
        before = site.good()
        time.sleep(8)
        gained = site.good() - before
        # What this machine can do in the same seconds, on a bus where nobody is dead.
        pace = min(gained[name] for name in TCP)
        assert pace >= 4
        for name in list(SERIAL)[:4]:
            assert gained[name] >= 0.8 * pace - 2, "its neighbours keep their rate"
        site.simulator.order("clear", bus="line")
        site.more({"s5": 5})
        stopped = site.drain()
        said = made.log("gateway")
        assert "Traceback" not in said
        assert said.count("bus line is lost") == 1
        stored, readings, conflicts = platform(made.database)
        serves = made.serves()
        kinds = {serve["fault"] for serve in serves}
        for serve in serves:
            right = RIGHT_ALL_THE_SAME | ({"late"} if serve["meter"] in TCP else set())
            serve["fault"] = "" if serve["fault"] in right else serve["fault"]
        drivers = dict.fromkeys(SERIAL | TCP, load_driver(DRIVER, tmp_path / "drivers"))
        account = judge(
            serves, committed(tmp_path / "state" / "journal.db"), stored, readings,
            breaks=[stopped], slot=SLOT, tolerance=resolutions(drivers), polls=made.polls(),
        )  # fmt: skip
        account.say(conflicts, f"{conflicts} conflicts")
        note(
            "plant-room",
            runs=sum(order is not None for round_ in dealt for order in round_),
            taken=account.arrived,
            lost=account.lost + account.absent_batches,
            twice=account.twice,
            wrong=account.wrong,
        )
        assert account.good, "\n".join(account.problems)
        assert kinds >= (set(SERIAL_KINDS) | set(TCP_KINDS)) - {
            "dead",
            "exception",
            "short_exception",
            "reset",
            "half_open",
        }
        assert account.values > 3000
