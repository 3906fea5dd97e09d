"""A figure beside its bar: what every bench gives, and how it is printed and written."""

from __future__ import annotations

import fcntl
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

OUT = Path("build/bench.json")


@dataclass(frozen=True)
class Figure:
    """One measured number. `bar` is in words as the design has it, `ok` None when no bar was set for it."""

    name: str
    figure: float
    unit: str
    bar: str
    ok: bool | None
    note: str = ""

    def line(self) -> str:
        """A line for a terminal."""
        verdict = {True: "holds", False: "MISSED", None: ""}[self.ok]
        return (
            f"{self.name:<58} {number(self.figure):>12} {self.unit:<22} bar {self.bar:<14} "
            f"{verdict}{'  ' + self.note if self.note else ''}"
        )


def number(figure: float) -> str:
    """Five digits at the most; thousands set apart."""
    return f"{figure:,.0f}".replace(",", " ") if abs(figure) >= 1000 else f"{figure:.5g}"


def at_most(name: str, figure: float, unit: str, bar: float, note: str = "") -> Figure:
    """A figure that should be no more than its bar."""
    return Figure(name, figure, unit, f"≤ {number(bar)}", figure <= bar, note)


def at_least(name: str, figure: float, unit: str, bar: float, note: str = "") -> Figure:
    """A figure that should be no less than its bar."""
    return Figure(name, figure, unit, f"≥ {number(bar)}", figure >= bar, note)


def plain(name: str, figure: float, unit: str, note: str = "") -> Figure:
    """A figure to compare with: a control, or the machine's own speed."""
    return Figure(name, figure, unit, "–", None, note)


def write(bench: str, figures: list[Figure], load: float) -> None:
    """Put a bench's figures into build/bench.json in the place of its former ones; `load` is the machine's
    before it began.
    """
    OUT.parent.mkdir(exist_ok=True)
    mine = [
        {"bench": bench, **asdict(figure), "when": time.strftime("%Y-%m-%d"), "load": round(load, 1)}
        for figure in figures
    ]
    with OUT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = [entry for entry in read() if entry["bench"] != bench]
        OUT.write_text(json.dumps(kept + mine, indent=1, ensure_ascii=False) + "\n")


def read() -> list[dict[str, Any]]:
    """What build/bench.json holds."""
    entries: list[dict[str, Any]] = json.loads(OUT.read_text()) if OUT.exists() else []
    return entries
