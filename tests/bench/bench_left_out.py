"""Wrong values from meters that leave requests out, and whose other replies are faulted as in bench_faults:
none; beside it plain pymodbus that asks again.

Such meters sleep, answer only every second request, or refuse the first one after a pause. The gateway asks
them again, or once in vain before each reading. What counts as left out is answered late as often as a reply
is faulted: by then another request may be under way. Before the first fault such meters are found out: what
was read until then is judged, and does not count.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gateway.config.schema import Bus
from gateway.demo.simulator.process import read_serves
from gateway.field.bus import left_out
from gateway.field.bus.station import Station
from gateway.field.bus.transaction import Transactions
from gateway.field.port.contract import Registers
from gateway.host.clock import uptime_ms
from tests.bench.bench_faults import (
    DOUBLE,
    PLACES,
    RATE,
    SERIAL,
    TCP,
    UNITS,
    Poll,
    Taken,
    Trial,
    judge,
    ours,
    plain_pymodbus,
    poll_all,
    simulated,
)
from tests.bench.faulty_lines import LEFT_OUT, LEFT_OUT_LATE
from tests.bench.figures import Figure, at_least, at_most

SECONDS, CALM, CONTROL = 30.0, 9.0, 5.0
"""s of polling, those of them without faults, and s of the control."""
PAUSE = 1.0
"""s between two polls, after which these meters sleep or refuse; the other kind needs none."""
HOW = {"sleeping": 9, "second": 6, "refusing": 3}
"""Kinds of meters, and servers with each; twice as many serial lines. The harder ones to read are more."""
SLOW = {"kind": "late", "seconds": 0.03}
"""In time: where requests queue, such a reply comes when that to what was left out was taken for it, and the
next request is under way.
"""
LINES = [(busy, kinds) for kinds in ([*SERIAL, SLOW], [*DOUBLE, SLOW], [SLOW]) for busy in ("drop", "queue")]
"""What a slave does that is busy, and its faults, in turn."""
WHO = {
    "serial": "serial meters that leave requests out",
    "rtu": "RTU over TCP, meters that leave requests out",
    "tcp": "TCP, meters that sleep or refuse the first request",
}


def _spec(log: Path) -> dict[str, Any]:
    """Each kind on serial lines and behind RTU over TCP; where replies have a number, who answers every
    second request is asked as ever.
    """
    seeds = iter(range(1000))

    def bus(mode: str, how: str, kinds: list[Any]) -> dict[str, Any]:
        seed = next(seeds)
        name = f"{mode}-{how}-{seed}"
        return {
            "name": name,
            "slaves": [
                {"unit": unit, "meter": f"{name}-{unit}", "image": {"places": list(PLACES)}} for unit in UNITS
            ],
            "faults": {"seed": seed, "rate": RATE, "kinds": kinds},
            "leaving_out": {"how": how, "calm": CALM},
        }

    pace = {"baudrate": 115200, "turnaround": 0.002}
    server = {"host": "127.0.0.1", "port": 0}
    lines = [(how, *LINES[n % len(LINES)]) for how, count in HOW.items() for n in range(2 * count)]
    return {
        "log": str(log),
        "lines": [{**bus("serial", how, kinds), **pace, "busy": busy} for how, busy, kinds in lines],
        "servers": [
            {**bus(mode, how, kinds), **server, "mode": mode}
            for mode, kinds in (("rtu", SERIAL), ("tcp", TCP))
            for how, count in HOW.items()
            for _ in range(count)
            if (mode, how) != ("tcp", "second")
        ],
    }


def _control(log: Path) -> dict[str, Any]:
    """The same lines without any fault, but that what was left out may come late."""
    spec = _spec(log)
    for line in spec["lines"]:
        line["faults"]["kinds"], line["leaving_out"]["calm"] = [], 0.0
    return {**spec, "servers": []}


async def _paused(bus: Bus, take: Callable[[Taken], None], done: Callable[[], bool]) -> None:
    """The shipped worker, polls behind pauses where the meters need them."""
    await ours(bus, take, done, pause=0.0 if _how(bus.name) == "second" else PAUSE)


def _how(name: str) -> str:
    """By the name of its bus, or its own."""
    return name.split("-")[1]


@contextmanager
def _counted() -> Iterator[list[tuple[int, str]]]:
    """Readings that came by asking again, or behind a request in vain: when, and the kind of the meter."""
    found: list[tuple[int, str]] = []
    again, answered = left_out.ask_at_once, left_out.answered

    async def ask_at_once(line: Transactions, *asked: Any) -> Registers:
        registers = await again(line, *asked)
        found.append((uptime_ms(), _how(line.name)))
        return registers

    def behind(line: Transactions, station: Station, *, left_out: float) -> None:
        if left_out:
            found.append((uptime_ms(), _how(line.name)))
        answered(line, station, left_out=left_out)

    with patch.object(left_out, "ask_at_once", ask_at_once), patch.object(left_out, "answered", behind):
        yield found


def _try(poll: Poll, spec: Callable[[Path], dict[str, Any]], seconds: float) -> tuple[dict[str, Trial], int]:
    """By mode: serial, rtu, tcp, with the values by bus since the first fault; and when that was."""
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "serves.jsonl"
        with simulated(Path(name), spec(log)) as buses:
            taken = asyncio.run(poll_all(poll, buses, log, seconds, most=10**9))
        serves = read_serves(log)
    began = min(each["t"] for each in serves if each["fault"] not in {"", LEFT_OUT})
    trials = {}
    for mode in WHO:
        own = [one for one in taken if one.meter.startswith(mode)]
        dealt = Counter(
            each["fault"]
            for each in serves
            if each["fault"] and each["t"] >= began and each["meter"].startswith(mode)
        )
        dealt["late"] -= dealt[LEFT_OUT_LATE]  # they are served, too
        since = Counter(one.meter.rpartition("-")[0] for one in own if one.since >= began)
        trials[mode] = Trial(judge(own, serves), dealt, since)
    return trials, began


def _told(trial: Trial) -> str:
    late, silent = trial.faults[LEFT_OUT_LATE], trial.faults[LEFT_OUT]
    return f"{late + silent} requests left out, {late} of them answered late, among {trial.told()}"


def run() -> list[Figure]:
    """All kinds at once; then the control."""
    for name in ("gateway.field", "pymodbus"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with _counted() as found:
        trials, began = _try(_paused, _spec, SECONDS)
    again = Counter(how for when, how in found if when >= began)
    control = _try(partial(plain_pymodbus, retries=1), _control, CONTROL)[0]["serial"]
    for mode, trial in trials.items():
        lost = f"{control.wrong} of {control.values} values wrong"
        trial.noted("frames-left-out", mode, lost if mode == "serial" else "")
    values = Counter(_how(bus) for trial in trials.values() for bus in trial.buses.elements())
    figures = [
        at_most(
            f"wrong values, {who}", trials[mode].wrong, f"of {trials[mode].values}", 0, _told(trials[mode])
        )
        for mode, who in WHO.items()
    ]
    return [
        *figures,
        at_least("values from them since the first fault", values.total(), "", 300, _kinds(values)),
        at_least(
            "readings since then for which a meter was asked twice", again.total(), "", 60, _kinds(again)
        ),
        at_least("such readings of the kind that gave fewest", min(again[how] for how in HOW), "", 10),
        at_least(
            "the control, pymodbus that asks once more: wrong values",
            control.wrong,
            f"of {control.values}",
            1,
            _told(control),
        ),
    ]


def _kinds(counts: Counter[str]) -> str:
    return ", ".join(f"{how} {counts[how]}" for how in HOW)
