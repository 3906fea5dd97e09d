"""Lighthouse, as a phone, on every page of the running demo: the median of five runs of each.

Installed by `tests/tools.sh bench` where there is npm.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, at_least
from tests.running_demo import running_demo

PROGRAM = Path("build/lighthouse/node_modules/lighthouse/cli/index.js")
CHROMIUM = "/usr/bin/chromium"
FLAGS = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage"
PAGES = (
    "/",
    "/energy",
    f"/energy?year={time.localtime().tm_year}",
    "/reactive",
    "/quality",
    "/report",
    "/meter/main",
    "/system",
    "/screen",
)
BARS = {"performance": 95, "accessibility": 100, "best-practices": 100}
RUNS = 5


def run() -> list[Figure]:
    """A figure for each kind: the worst page's median, with the others in the note."""
    if not PROGRAM.exists():
        raise FileNotFoundError("lighthouse is not installed: tests/tools.sh bench, needs npm")
    found: dict[str, dict[str, float]] = {kind: {} for kind in BARS}
    with running_demo() as address:
        for page in PAGES:
            runs = [_scores(address + page) for _ in range(RUNS)]
            for kind in BARS:
                found[kind][page] = statistics.median(score[kind] for score in runs)
    return [
        at_least(
            f"Lighthouse, {kind}, the worst page of {len(PAGES)}",
            min(pages.values()),
            "of 100",
            BARS[kind],
            ", ".join(f"`{page}` {score:g}" for page, score in pages.items()),
        )
        for kind, pages in found.items()
    ]


def _scores(url: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "report.json"
        subprocess.run(
            [
                "node",
                str(PROGRAM),
                url,
                "--quiet",
                "--output=json",
                f"--output-path={out}",
                f"--chrome-flags={FLAGS}",
                f"--only-categories={','.join(BARS)}",
            ],
            check=True,
            timeout=300,
            env={**os.environ, "CHROME_PATH": CHROMIUM},
        )
        report: dict[str, Any] = json.loads(out.read_text())
    return {kind: report["categories"][kind]["score"] * 100 for kind in BARS}
