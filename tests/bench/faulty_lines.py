"""python -m tests.bench.faulty_lines SPEC.json: the demo's simulator with registers that never show the same
number twice, and with meters that leave requests out.

A value that a master has read names the serve that it came from: its meter, its address, its moment, and what
was done to the reply. It says where its lines are on stdout and ends with its stdin.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.demo.simulator.faults import Fault, Faults, faults_from
from gateway.demo.simulator.serial_line import SerialLine
from gateway.demo.simulator.simulator import Simulator
from gateway.demo.simulator.slave import Served, ServeLog
from gateway.demo.simulator.tcp_server import TcpServer

ASLEEP = 0.8
"""s without a request after which the next one is left out."""
LATE = (0.12, 0.5)
"""s after which one that was left out is answered after all, from and to."""
REFUSALS = (2, 3, 4, 5, 6)
"""The exceptions of those that refuse."""
LEFT_OUT, LEFT_OUT_LATE = "left out", "left out, late"
"""What the log calls a request that was not answered, or refused; and one that was answered late."""
_NUMBERS = itertools.count(1)


class Numbers:
    """Two registers, high word first, at each of some places: a number of its own for each place at each
    read. Elsewhere 0.
    """

    def __init__(self, places: list[int]) -> None:
        self._places = places

    def read(self, _function: int, address: int, count: int) -> Served:
        """The words as they stand."""
        words = [0] * count
        for place in self._places:
            number = next(_NUMBERS)
            for at, word in ((place, number >> 16), (place + 1, number & 0xFFFF)):
                if address <= at < address + count:
                    words[at - address] = word
        return Served(words)


def images(spec: Mapping[str, Any]) -> Numbers:
    """IMAGE of the specification: {"places": [256, 512]}."""
    return Numbers(spec["places"])


class LeavingOut(Faults):
    """The faults of a bus whose meters leave requests out: each `second` one, or the first one after a pause,
    by silence where they are `sleeping` and by an exception where they are `refusing`.

    At the rate of the faults one is left out only for a while: its answer comes late, when the next request
    may be under way. For the first `calm` s nothing is late or faulted: what such meters are is to be found
    out before.
    """

    def __init__(self, bus: Mapping[str, Any], log: ServeLog) -> None:
        given = faults_from(bus["faults"])
        super().__init__(given.seed, given.rate, given.kinds)
        self._bus, self._serves = bus["name"], log
        self._how = bus["leaving_out"]["how"]
        self._calm_until = time.monotonic() + bus["leaving_out"]["calm"]
        # A meter behind a converter gives one reply after the other. A serial line sees to that itself, and
        # numbers tell replies apart in any order.
        self._in_order = bus.get("mode") == "rtu"
        self._asked: Counter[int] = Counter()
        self._awake_until: dict[int, float] = {}
        self._busy_until: dict[int, float] = {}

    def next_fault(self, unit: int) -> Fault | None:
        """What is left out has no other fault."""
        now = time.monotonic()
        if now < self._busy_until.get(unit, now):
            return Fault("dead")
        self._asked[unit] += 1
        asleep = now > self._awake_until.get(unit, now)
        self._awake_until[unit] = now + ASLEEP
        calm = now < self._calm_until
        if not (self._asked[unit] % 2 if self._how == "second" else asleep):
            return None if calm else super().next_fault(unit)
        if not calm and self.rng.random() < self.rate:
            return self._late(unit, now)
        self._write(unit, LEFT_OUT)
        refusing = self._how == "refusing"
        return Fault("exception", code=self.rng.choice(REFUSALS)) if refusing else Fault("dead")

    def _late(self, unit: int, now: float) -> Fault:
        self._write(unit, LEFT_OUT_LATE)
        seconds = self.rng.uniform(*LATE)
        self._awake_until[unit] += seconds
        if self._in_order:
            self._busy_until[unit] = now + seconds
        return Fault("late", seconds)

    def _write(self, unit: int, what: str) -> None:
        """No serve, and no words."""
        meter, now = f"{self._bus}-{unit}", time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        self._serves.write({"t": now, "meter": meter, "address": 0, "count": 0, "words": [], "fault": what})


def simulator(spec: Mapping[str, Any]) -> Simulator:
    """What a specification describes; beside the "faults" of a bus there may be
    {"leaving_out": {"how": "sleeping", "calm": 10}}.
    """
    built = Simulator(spec, images=images)
    buses = {bus["name"]: bus for bus in (*spec.get("lines", ()), *spec.get("servers", ()))}
    parts: list[SerialLine | TcpServer] = [*built.lines, *built.servers]
    for part in parts:
        if "leaving_out" in buses[part.name]:
            part.faults = LeavingOut(buses[part.name], built.log)
    return built


if __name__ == "__main__":
    with simulator(json.loads(Path(sys.argv[1]).read_text())) as running:
        print(json.dumps(running.ready), flush=True)
        sys.stdin.read()
