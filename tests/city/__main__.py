"""python -m tests.city [PART …]: the platform at the size of a city, at length; written to docs/proofs.md.

The parts: write, steady, herd, independent, blows, gone, late, cluster, monitoring; and hour, a herd with an
hour of backlog (another hour, 25 GB of disk), which is run when it is named. Each can be run by itself: its
result takes the place of its former one in build/city.json, from which the section is made.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import proofs
from tests.bench import bench_city
from tests.bench.figures import Figure
from tests.city import blows, cluster, monitoring

OUT = Path("build/city.json")
BLOWS = int(os.environ.get("CITY_BLOWS", "200"))
STEADY = 600.0
BACKLOG, HOUR = 360.0, 3600.0


def _bars(figures: list[Figure]) -> list[tuple[bool, str]]:
    return [
        (
            figure.ok is not False,
            f"{figure.name}: {figure.figure:,.4g} {figure.unit}, bar {figure.bar or 'none'}"
            + (f" ({figure.note})" if figure.note else ""),
        )
        for figure in figures
    ]


def _write_path() -> list[tuple[bool, str]]:
    return _bars([*bench_city.write_path(), *bench_city.file_path()])


def _steady() -> list[tuple[bool, str]]:
    return _bars(bench_city.steady(STEADY))


def _herd() -> list[tuple[bool, str]]:
    return _bars(bench_city.herd(BACKLOG))


def _hour() -> list[tuple[bool, str]]:
    return _bars(bench_city.herd(HOUR))


def _independent() -> list[tuple[bool, str]]:
    return _bars(bench_city.independent())


def _blows() -> list[tuple[bool, str]]:
    with tempfile.TemporaryDirectory() as name:
        done, ledger, verdict = blows.under_blows(Path(name), BLOWS, seed=11)
    struck = ", ".join(f"{kind} {count}" for kind, count in sorted(done.items()))
    held = verdict.good and not verdict.waiting and done.total() >= BLOWS
    told = (
        f"{done.total()} blows ({struck}), {blows.RECEIVERS} receivers, a database: {ledger.taken} batches, "
        f"sent {ledger.sent} times; lost {verdict.lost}, twice {verdict.twice}, changed {verdict.changed}, "
        f"never stored {verdict.waiting}"
    )
    with tempfile.TemporaryDirectory() as name:
        done, ledger, verdict = blows.under_blows(Path(name), max(3, BLOWS // 20), seed=11, careless=True)
    lost = f"{verdict.lost} of {ledger.taken} lost in {done.total()} blows"
    control = f"the control, which forgets at the PUBACK: {lost}"
    return [(held, told), (verdict.lost > 0, control)]


def _gone() -> list[tuple[bool, str]]:
    with tempfile.TemporaryDirectory() as name:
        delay, verdict = blows.one_never_comes_back(Path(name))
    told = f"one of three receivers killed for good: 95 % of its minute's receipts in {delay:.1f} s, bar 15 s"
    return [(delay <= 15.0 and verdict.good and not verdict.waiting, told)]


def _late() -> list[tuple[bool, str]]:
    with tempfile.TemporaryDirectory() as name:
        ledger, verdict = blows.a_database_stands_still(Path(name))
    twice = ledger.sent - ledger.taken
    told = (
        f"the database stands still for 40 s in mid-drain: {ledger.taken} batches of {verdict.gateways} "
        f"gateways, {twice} of them sent twice, bar one of each gateway"
    )
    return [(verdict.good and not verdict.waiting and twice <= verdict.gateways, told)]


def _cluster() -> list[tuple[bool, str]]:
    if why := cluster.RabbitNode.why_not():
        return [(False, f"no cluster: {why}")]
    with tempfile.TemporaryDirectory() as name:
        ledger, verdict = cluster.a_node_dies(Path(name))
    told = (
        f"three nodes of RabbitMQ, each killed and started again in mid-drain, gateways at all of them: "
        f"{ledger.taken} batches, sent {ledger.sent} times; lost {verdict.lost}, twice {verdict.twice}, "
        f"never stored {verdict.waiting}"
    )
    return [(verdict.good and not verdict.waiting, told)]


def _monitoring() -> list[tuple[bool, str]]:
    if monitoring.PROMTOOL is None:
        return [(False, "promtool is not installed")]
    with tempfile.TemporaryDirectory() as name:
        wrong = monitoring.judged(Path(name))
    told = "promtool: every alert fires when it should, none while all is well; the dashboard can be read"
    return [(not wrong, told)]


PARTS: dict[str, Callable[[], list[tuple[bool, str]]]] = {
    "write": _write_path,
    "steady": _steady,
    "herd": _herd,
    "independent": _independent,
    "blows": _blows,
    "gone": _gone,
    "late": _late,
    "cluster": _cluster,
    "monitoring": _monitoring,
    "hour": _hour,
}
LONG = {"hour"}
"""Run when it is named."""


def _note(name: str, result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Keep what a part brought; all that is kept."""
    OUT.parent.mkdir(exist_ok=True)
    with OUT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept: dict[str, dict[str, Any]] = json.loads(OUT.read_text()) if OUT.exists() else {}
        kept = {part: kept[part] for part in PARTS if part in kept} | {name: result}
        OUT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return kept


def _section(kept: dict[str, dict[str, Any]]) -> str:
    lines = []
    for name in PARTS:
        if name in kept:
            part = kept[name]
            lines += [f"- {line}" for line in part["lines"]]
            lines[-1] += f" [{part['seconds']:.0f} s, load {part['load']:.0f}]"
        else:
            lines.append(f"- {name}: not run")
    return "\n".join(lines)


def main() -> int:
    """Run and write, one part after the other; 1 when something does not hold, 2 for what is no part."""
    if unknown := [name for name in sys.argv[1:] if name not in PARTS]:
        print(f"no part is called {', '.join(unknown)}; there are: {', '.join(PARTS)}")
        return 2
    logging.getLogger("gateway").setLevel(logging.CRITICAL)
    commit, good = proofs.git("rev-parse", "--short=12", "HEAD"), True
    for name in sys.argv[1:] or [part for part in PARTS if part not in LONG]:
        began, load = time.monotonic(), os.getloadavg()[0]
        print(f"— {name} …", flush=True)
        try:
            found = PARTS[name]()
        except Exception:  # noqa: BLE001 - a part that breaks must not hide the others
            traceback.print_exc()
            found = [(False, f"{name} broke")]
        good &= all(held for held, _told in found)
        lines = [f"{'holds' if held else '**does not hold**'}: {told}" for held, told in found]
        print(*lines, sep="\n", flush=True)
        took = time.monotonic() - began
        kept = _note(name, {"lines": lines, "commit": commit, "seconds": took, "load": load})
        # The section is as old as its oldest part.
        oldest = min((part["commit"] for part in kept.values()), key=_age)
        proofs.write("prove-city", oldest, _section(kept))
    return 0 if good else 1


def _age(commit: str) -> int:
    return int(proofs.git("show", "-s", "--format=%ct", commit) or 0)


if __name__ == "__main__":
    sys.exit(main())
