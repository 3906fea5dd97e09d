"""docs/performance.md from build/bench.json: every figure with its bar, its verdict and the command that
makes it.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from pathlib import Path
from typing import Any

from tests.bench.figures import number

PAGE = Path("docs/performance.md")
COMPARED = Path(__file__).with_name("compared.md")
"""Figures of older commits beside those of a later one: measured once, written by hand."""

TCP_PEERS = (
    "CPU s per 100 000 values: collectd (C) 6.5, modbus4mqtt 7.6 in 50 processes with 1.4 GB and 86 % "
    "kept, modbus2mqtt 13 with "
    "47–95 % kept, ThingsBoard Gateway 24–36. Memory: collectd 7.5 MiB without store and page, ThingsBoard "
    "Gateway 68–71 MiB"
)
SECTIONS = (
    (
        "rtu",
        "A serial line: five SDM630-type meters, 34 values each, 9600 8N1, 20 ms turn-around, as fast as "
        "possible",
        "modbus2mqtt 1.01–1.10 × the minimum with ranges planned by hand; wb-mqtt-serial 1.23, ThingsBoard "
        "1.28 with ranges; else 4.1–4.2",
    ),
    (
        "dead",
        "Lost meters: what the others keep of their rate, over the 60 s from the death",
        "ThingsBoard Gateway blocks the line up to 120 s",
    ),
    (
        "faults",
        "Wrong values from late, foreign, truncated and corrupt replies",
        "plain pymodbus: 4–5 wrong values in 24 reads, no error",
    ),
    ("left_out", "Wrong values from meters that leave requests out, with the same faults", ""),
    (
        "tcp",
        "Modbus TCP: fifty meters with 34 values every second, journal, uplink and page at work",
        TCP_PEERS,
    ),
    ("start", "Start", "ThingsBoard Gateway 2.0–4.3 s"),
    ("open", "Start with a journal of two gigabytes", ""),
    (
        "drain",
        "Backlog: from a real journal through a real broker, QoS 1",
        "ThingsBoard Gateway 26 000–106 000 values/s, beginning after 35 s",
    ),
    ("slow_uplink", "Two uplinks of one journal, the other one slow", ""),
    (
        "city",
        "A city on one machine: 3 000 gateways at the wire, mosquitto, one receiver, PostgreSQL with fsync",
        "",
    ),
    ("size", "Size of a value", "on the wire: modbus2mqtt 16 bytes, ThingsBoard Gateway 17–19, collectd 31"),
    (
        "written",
        "What a card has to bear",
        "ThingsBoard Gateway 63–136 bytes a value with 3 fsyncs in 150 s: not durable",
    ),
    (
        "outage",
        "An outage of the broker",
        "ThingsBoard Gateway: 340 readings lost in 1 of 7 runs, up to 34 136 sent twice; the others lose all",
    ),
    (
        "kills",
        "Kills and stops of gateway, broker and receiver",
        "ThingsBoard Gateway: the newest poll of each meter per kill; in memory mode the whole outage",
    ),
    ("energy", "Energy: what engine, history and its pages cost beside polling", ""),
    ("views", "Energy: any view of five years of ten meters with six counters, until it is there", ""),
    ("rebuild", "Energy: a journal of months becomes the history, in the background", ""),
    ("powercut", "Power cut at every write of a recorded run", ""),
    (
        "lighthouse",
        "The page as Lighthouse judges it: a phone, the running demo, the median of five runs",
        "",
    ),
    ("axe", "The page as axe-core judges it: the running demo, WCAG 2.2 AA and good practices", ""),
    ("wiring", "Wiring of current transformers, on simulated sites", ""),
    (
        "scan",
        "The search: five meters of three makers at a setting and addresses that nobody wrote down, on real "
        "pseudo-terminals at the pace of the wire",
        "mbmd: one rate in 40 minutes",
    ),
    (
        "scan_host",
        "The search of a host: five meters of three makers behind a converter of RTU frames and behind a "
        "Modbus TCP gateway, over real connections",
        "",
    ),
    ("doctor", "The doctor: fifteen faults in twenty variations, and two hundred sound sites", ""),
)

_CARD = (
    "ext4 itself writes most of it: with 4 KB blocks its own journal and metadata cost what the table says "
    "for anything at all that "
    "is durable every ten seconds. A longer `commit_interval` divides both."
)
REASONS: dict[str, str] = {
    "scan, a converter with nobody behind it: the whole search, as printed before": (
        "Beside other work each of 500 requests cost some 20 ms more than its wait; on the idle machine it "
        "was 383.77 s."
    ),
    "written to the card, file at its budget, 4 KB blocks": _CARD,
    "written to the card, file that grows, 4 KB blocks": _CARD,
    "wrong values, TCP": (
        "A reply that is cut short within a TCP stream is completed by the first bytes of whatever "
        "follows; Modbus TCP has no checksum."
    ),
    "wrong values when meters answer twice": (
        "A second copy that comes after the next question was sent has the right unit, function and "
        "length, and RTU has no number "
        "to know it by."
    ),
}
"""Why a bar is missed, by the figure's name: written by hand when it is known."""


def page(entries: list[dict[str, Any]]) -> str:
    """The whole page."""
    judged = [entry for entry in entries if entry["ok"] is not None]
    missed = [entry for entry in judged if not entry["ok"]]
    parts = [
        "# Figures",
        "Made by `python -m tests.bench --write-docs` from the figures that `make bench` has measured. Do "
        "not edit by hand.",
        machine(),
        f"**{len(judged) - len(missed)} of {len(judged)} bars hold.**" + _missed(missed),
        *(
            _section(bench, title, peers, [entry for entry in entries if entry["bench"] == bench])
            for bench, title, peers in SECTIONS
        ),
        COMPARED.read_text().strip(),
    ]
    return "\n\n".join(parts) + "\n"


def machine() -> str:
    """Where this was measured, and how to read it."""
    return (
        f"Machine: {os.cpu_count()}-core {platform.machine()}, Linux, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}; "
        "no Raspberry Pi was measured. *Load* is the machine's load average before the bench began: where "
        "it is above the number of "
        "cores, something else wanted the processors too, and figures of time are worse than on an idle "
        "machine. "
        "The peers were measured on such a machine with the same kind of simulators: ThingsBoard Gateway "
        "3.8.5, collectd 5.12, "
        "modbus2mqtt 0.73, modbus4mqtt 0.7.1, wb-mqtt-serial 1.61."
    )


def _missed(missed: list[dict[str, Any]]) -> str:
    if not missed:
        return ""
    lines = [
        f"- {entry['name']}: {_value(entry)}, bar {entry['bar']}. {_reason(entry)}".rstrip()
        for entry in missed
    ]
    return " Missed:\n\n" + "\n".join(lines)


TIMES = {"s", "min", "ms", "ms more", "×", "values/s", "%"}
"""Units of what takes longer on a busy machine."""


def _reason(entry: dict[str, Any]) -> str:
    """What is known of it; a figure of time on a busy machine says little."""
    known = REASONS.get(entry["name"], "")
    busy = entry["unit"] in TIMES and entry["load"] > (os.cpu_count() or 1)
    if known or not busy:
        return known
    return (
        f"The machine was busy with other work (load {entry['load']:g}): compare it with the control; "
        f"to be measured again on an idle one."
    )


def _value(entry: dict[str, Any]) -> str:
    return f"{number(entry['figure'])} {entry['unit']}".strip()


def _section(bench: str, title: str, peers: str, entries: list[dict[str, Any]]) -> str:
    lines = [f"## {title}", ""]
    if entries:
        lines += ["| what | figure | bar | verdict | |", "|---|---|---|---|---|"]
        verdicts = {True: "holds", False: "**missed**", None: ""}
        lines += [
            f"| {e['name']} | {_value(e)} | {e['bar']} | {verdicts[e['ok']]} | {e['note']} |" for e in entries
        ]
        lines += [
            "",
            f"`python -m tests.bench {bench}`, {entries[0]['when']}, load {entries[0].get('load', '?')}.",
        ]
    else:
        lines.append(f"Not measured on this machine: `python -m tests.bench {bench}`.")
    if peers:
        lines += ["", f"Others: {peers}."]
    return "\n".join(lines)
