"""python -m tests.bench [--write-docs] [NAME …]: measure the figures, print each beside its bar, write
build/bench.json.

--write-docs alone measures nothing: it writes docs/performance.md from the figures that are there, and
docs/reliability.md. Every module bench_<name>.py beside this file is a bench: its `run()` gives Figures. It
exits 1 if a bar is missed.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

from tests import reliability
from tests.bench.figures import Figure, read, write
from tests.bench.page import PAGE, page

HERE = Path(__file__).parent


def main() -> int:
    """Run what was asked for, or everything."""
    if "--write-docs" in sys.argv[1:]:
        PAGE.write_text(page(read()))
        reliability.render()
        return 0
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    wanted = sys.argv[1:] or known
    if unknown := [name for name in wanted if name not in known]:
        print(f"no bench is called {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    figures: list[Figure] = []
    failed: list[str] = []
    for name in wanted:
        print(f"— {name} …", flush=True)
        begin, load = time.monotonic(), os.getloadavg()[0]
        try:
            found = importlib.import_module(f"tests.bench.bench_{name}").run()
        except Exception as error:  # noqa: BLE001 - one bench that breaks must not hide the others
            print(
                f"  {name} broke: {type(error).__name__}: {error}",
                *getattr(error, "__notes__", ()),
                sep="\n  ",
            )
            failed.append(name)
            continue
        for figure in found:
            print("  " + figure.line(), flush=True)
        print(f"  ({time.monotonic() - begin:.0f} s)")
        figures += found
        write(name, found, load)
    missed = [figure.name for figure in figures if figure.ok is False]
    held = sum(figure.ok is True for figure in figures)
    print(
        f"\n{held} bars hold, {len(missed)} missed, {len(failed)} benches broke; build/bench.json has the "
        f"figures."
    )
    for name in missed:
        print(f"  missed: {name}")
    return 1 if missed or failed else 0


sys.exit(main())
