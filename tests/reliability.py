"""The fault matrix: tests and benches note what each fault did; `python -m tests.reliability` renders it.

`note` puts a row into build/reliability.json, before the test asserts anything, so that the page shows what
was found and not what was hoped for. The page is docs/reliability.md; its table stands between two markers of
the README too.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.reports import section

ROOT = Path(__file__).parents[1]
NOTED = ROOT / "build" / "reliability.json"
PAGE = ROOT / "docs" / "reliability.md"
README = ROOT / "README.md"
MARKS = ("<!-- reliability -->", "<!-- /reliability -->")
COUNTS = ("runs", "taken", "lost", "twice", "wrong")


@dataclass(frozen=True)
class Fault:
    """A row of the matrix: what is done, what is counted, who judges, and how to repeat it."""

    key: str
    what: str
    runs: str
    counted: str
    judge: str
    control: str
    command: str


MATRIX = (
    Fault(
        "kills",
        "`kill -9` and SIGSTOP of gateway, broker and receiver at random moments; the broker dies with "
        "what it holds",
        "blows",
        "readings",
        "the simulated meters' log, by the ordinal that each serve carries; what was polled in the slot "
        "that a kill cut was never taken",
        "the broker's acknowledgement taken for delivery, no replay",
        "python -m tests.bench kills",
    ),
    Fault(
        "power",
        "power cut: every write, sync, truncation and directory change of a recorded run, rebuilt up to "
        "each point; what was not "
        "synced kept, dropped or torn",
        "cuts",
        "batches",
        "the shipped journal, opened on what is left, against what `commit` had returned by then; over all "
        "cuts together",
        "`synchronous=NORMAL`",
        "python -m tests.bench powercut",
    ),
    Fault(
        "frames",
        "replies that come late, truncated, corrupt, from another unit, with a wrong function or count; "
        "noise before them",
        "faulted replies",
        "values",
        "registers that never show the same number twice: each value names the reply that it came from",
        "plain pymodbus on the same lines",
        "python -m tests.bench faults",
    ),
    Fault(
        "frames-tcp",
        "the same on Modbus TCP, and replies with another transaction's number; TCP has no checksum of a "
        "frame that is cut short",
        "faulted replies",
        "values",
        "the same numbers",
        "",
        "python -m tests.bench faults",
    ),
    Fault(
        "frames-odd",
        "the same from Modbus TCP gateways whose replies carry another number, length, unit or protocol than "
        "they should, always in the same way, or that repeat the request",
        "faulted replies",
        "values",
        "the same numbers",
        "a master that takes what fits in function and byte count",
        "python -m tests.bench faults",
    ),
    Fault(
        "frames-behind",
        "Modbus TCP gateways that give each reply one request late: with its number, without one, or with "
        "the newest",
        "gateways",
        "values",
        "the same numbers",
        "the same master",
        "python -m tests.bench faults",
    ),
    Fault(
        "frames-left-out",
        "meters that sleep, answer only every second request, or refuse the first one after a pause: what "
        "was left out is answered late, the other replies are faulted as above",
        "faulted replies and requests left out",
        "values",
        "the same numbers",
        "plain pymodbus that asks once more, on the same lines; only what was left out is answered late",
        "python -m tests.bench left_out",
    ),
    Fault(
        "double",
        "meters that answer twice, on serial lines",
        "second copies",
        "values",
        "the same numbers",
        "",
        "python -m tests.bench faults",
    ),
    Fault(
        "outage",
        "the broker is away for 120 s, ten meters a second",
        "outages",
        "readings",
        "the simulated meters' log, by ordinals",
        "",
        "python -m tests.bench outage",
    ),
    Fault(
        "selfcheck",
        "`make demo SECONDS=40`: broker stopped for 5 s, gateway killed, one reply late and one corrupt",
        "runs",
        "batches",
        "the simulated meters' log",
        "",
        "make demo SECONDS=40",
    ),
    Fault(
        "disk-full",
        "a small real file system is filled to the last block, freed, filled again while receipts come",
        "fills",
        "batches",
        "what `commit` had returned, against the file",
        "",
        "pytest tests/journal/test_journal_faults.py",
    ),
    Fault(
        "disk-errors",
        "ENOSPC, EIO and EROFS injected at writes and syncs of the running journal",
        "injected errors",
        "batches",
        "what `commit` had returned, against the file",
        "",
        "pytest tests/journal/test_journal_faults.py",
    ),
    Fault(
        "damage",
        "the file is damaged: flipped bits and bytes, zeroed, swapped and garbage pages, lost page 1 or "
        "root, half of it gone",
        "damaged files",
        "batches",
        "the batches that were there before; those whose own bytes were destroyed are explained to the "
        "platform and not counted as lost",
        "",
        "pytest tests/journal/test_journal_damage.py",
    ),
    Fault(
        "month",
        "thirty days of the whole product on a clock that leaps over idle time: broker, network, platform "
        "and meters away, the wall clock "
        "stepped, reloads, `kill -9`",
        "misfortunes",
        "readings",
        "the simulated meters' log, by ordinals; waiting is simulated, every poll, commit and delivery is "
        "real",
        "",
        "pytest tests/soak/test_months.py",
    ),
    Fault(
        "plant-room",
        "every kind of bad reply and every exception code on a line and a network, noise, connections "
        "reset, an adapter gone and back, "
        "a dead meter among five, no broker at the start; on the running gateway",
        "spoilt replies",
        "readings",
        "the simulated meters' log, by ordinals",
        "",
        "pytest tests/soak/test_faults_daemon.py",
    ),
    Fault(
        "clock",
        "the wall clock is stepped by 400 days and by an hour while the gateway runs; a boot whose clock "
        "is 30 days wrong until it is "
        "synchronised",
        "steps",
        "readings",
        "the ordinals of the readings; wrong is a time at the platform that is off by more than 1.5 s",
        "",
        "pytest tests/soak/test_clock_daemon.py",
    ),
)


def note(fault: str, *, part: str = "", control: str = "", **counts: int) -> None:
    """Keep what a test found: `runs`, `taken`, `lost`, `twice`, `wrong`. A test with several cases names each
    as a `part`; they add up.

    `control` says what the control lost, in words. Raises KeyError for a fault that is not in the matrix.
    """
    if fault not in {row.key for row in MATRIX} or not counts.keys() <= set(COUNTS):
        raise KeyError(fault, *counts)
    NOTED.parent.mkdir(exist_ok=True)
    with NOTED.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = [entry for entry in noted() if (entry["fault"], entry["part"]) != (fault, part)]
        entries.append(
            {
                "fault": fault,
                "part": part,
                **{name: int(count) for name, count in counts.items()},
                "control": control,
                "when": time.strftime("%Y-%m-%d"),
            }
        )
        fresh = NOTED.with_suffix(".new")
        fresh.write_text(
            json.dumps(
                sorted(entries, key=lambda entry: (entry["fault"], entry["part"])),
                indent=1,
                ensure_ascii=False,
            )
            + "\n"
        )
        fresh.replace(NOTED)


def noted() -> list[dict[str, Any]]:
    """What was noted so far."""
    entries: list[dict[str, Any]] = json.loads(NOTED.read_text()) if NOTED.exists() else []
    return entries


def _sums(entries: Iterable[dict[str, Any]]) -> list[str]:
    """The cells of a row: each count summed over its parts; a dash where nobody counted."""
    own = list(entries)
    cells = []
    for name in COUNTS:
        found = [entry[name] for entry in own if name in entry]
        cells.append(f"{sum(found):,}".replace(",", " ") if found else "–")
    return [*cells, "; ".join(entry["control"] for entry in own if entry["control"]) or "–"]


def table(entries: list[dict[str, Any]], rows: Iterable[Fault]) -> str:
    """The matrix as Markdown. A fault that was not run says so."""
    lines = [
        "| fault | runs | taken | lost | twice | wrong | the control loses |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        own = [entry for entry in entries if entry["fault"] == row.key]
        runs, taken, *rest = _sums(own) if own else ["not run", *["–"] * 5]
        cells = [
            row.what,
            f"{runs} {row.runs.removesuffix('s') if runs == '1' else row.runs}" if own else runs,
            f"{taken} {row.counted}" if taken != "–" else taken,
            *rest,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page(entries: list[dict[str, Any]]) -> str:
    """docs/reliability.md."""
    what = "\n".join(
        f"- **{row.what}** — judged by {row.judge}."
        + (f" Control: {row.control}." if row.control else "")
        + f" Repeat it: `{row.command}`"
        for row in MATRIX
    )
    days = sorted({entry["when"] for entry in entries})
    span = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "never"
    return f"""# The fault matrix

Made by `python -m tests.reliability` from what the tests and benches noted (measured {span}). Do not edit
by hand.

*Taken* means that the COMMIT has returned with `synchronous=FULL`; nothing is sent,
counted or shown as stored before that. *Lost* is what
was taken and is nowhere, unexplained; *twice* is what the platform would count twice; *wrong* is a value
that the meter did not serve.
A control is the same mistreatment of a simpler design: where it loses nothing, the test proves nothing.

{table(entries, MATRIX)}

## Who judges, and how to repeat it

{what}

{section()}
## What this does not prove

- Power cuts are simulated from recorded system calls under ext4's rules; no Raspberry Pi was cut and no SD
card was tested. A card that
  acknowledges a flush that it has not done can lose what was taken; the gateway then draws a new epoch,
  so that nothing is counted twice
  or silently dropped by the platform.
- What a power cut or a kill costs by design: the polls of the slot that was open (10 seconds as installed).
They were never taken.
- Kills: one of an earlier version's three runs of 200 blows, on a machine with five times the work it could
do, ended with one reading that
  the judge of then could not excuse. What it was had not been kept; the judge now goes by what the gateway
  says of its polls, and names what is missing.
- A physically lost card loses what was not delivered.
- A second copy of an answer on a serial line has nothing in it that tells. It may be believed once where it
  comes more than 2 s late, in the first poll after the start, where its words were confirmed three times as
  those of both registers, or beyond one request in four hundred that is looked into for it.
- In the thirty days, waiting is simulated: the gateway's clock leaps over the time in which nothing is
under way, and its timers may be
  late by up to five minutes (`make soak` runs them on time, in slots of ten seconds). Polls, commits,
  deliveries, kills and outages are
  real; MQTT keep-alives, the ageing of a card and the weather are not in it.
"""


def render() -> None:
    """Write the page, and its table into the README where it has the markers."""
    entries = noted()
    PAGE.write_text(page(entries))
    text = README.read_text()
    if all(mark in text for mark in MARKS):
        before, rest = text.split(MARKS[0], 1)
        after = rest.split(MARKS[1], 1)[1]
        rows = table(entries, MATRIX)
        README.write_text(f"{before}{MARKS[0]}\n{rows}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    os.chdir(ROOT)
    render()
