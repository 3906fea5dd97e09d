"""A plugin for pytest that says which test runs which lines of the gateway, and one that runs a chosen few of
them in order.

`-p tests.mutants.reach` with MUTANTS_REACH=FILE writes {test: [seconds, {module: [lines]}]} for all tests,
null instead of the modules for those that do not pass while they are watched; each process of pytest-xdist
into FILE.<its name>. With MUTANTS_CHOSEN=FILE only the tests named in FILE run, in its order.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

MARKS = "not slow and not root and not browser"
OPTIONS = (
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "tests.mutants.reach",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)
_ROOT = Path(__file__).parents[2]
_PREFIX = str(_ROOT / "gateway") + os.sep
_reach: dict[str, tuple[float, dict[str, list[int]] | None]] = {}
_lines: dict[str, set[int]] = defaultdict(set)
_calls: dict[CodeType, int] = defaultdict(int)
CALLS = 200
"""Calls of a function, within one test, whose lines are noted: one that is called a million times would take
minutes.
"""


def _called(frame: FrameType, _event: str, _arg: object) -> Any:
    code = frame.f_code
    name = code.co_filename
    if not name.startswith(_PREFIX):
        return None
    _calls[code] += 1
    if _calls[code] > CALLS:
        return None
    lines = _lines[name]
    lines.add(frame.f_lineno)

    def traced(frame: FrameType, _event: str, _arg: object) -> Any:
        lines.add(frame.f_lineno)
        return traced

    return traced


if "MUTANTS_REACH" in os.environ:

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(item: pytest.Item) -> Any:
        _lines.clear()
        _calls.clear()
        sys.settrace(_called)
        threading.settrace(_called)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type] # None ends it
            seconds, good = item.stash.get(_RESULT, (0.0, False))
            found = None  # slower than it may be while it is watched: what it reaches is not known
            if good:
                found = {str(Path(name).relative_to(_ROOT)): sorted(lines) for name, lines in _lines.items()}
            if not item.stash.get(_SKIPPED, False):
                _reach[item.nodeid] = (seconds, found)

    _RESULT = pytest.StashKey[tuple[float, bool]]()
    _SKIPPED = pytest.StashKey[bool]()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item: pytest.Item) -> Any:
        report = yield
        item.stash[_SKIPPED] = item.stash.get(_SKIPPED, False) or report.skipped
        seconds, good = item.stash.get(_RESULT, (0.0, True))
        item.stash[_RESULT] = (seconds + report.duration, good and report.passed)
        return report

    def pytest_sessionfinish() -> None:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        if _reach:
            Path(os.environ["MUTANTS_REACH"] + (f".{worker}" if worker else "")).write_text(
                json.dumps(_reach)
            )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "MUTANTS_CHOSEN" not in os.environ:
        return
    order = {
        name: place for place, name in enumerate(json.loads(Path(os.environ["MUTANTS_CHOSEN"]).read_text()))
    }
    chosen = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in order])
    items[:] = chosen
