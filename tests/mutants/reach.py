"""A plugin for pytest that says which test runs which lines of the gateway, and one that runs a chosen few of
them in order.

`-p tests.mutants.reach` with MUTANTS_REACH=FILE writes {test: [seconds, {module: [lines]}]} for all tests,
null instead of the modules for those that do not pass while they are watched; each process of pytest-xdist
into FILE.<its name>. With MUTANTS_CHOSEN=FILE only the tests named in FILE run, in its order.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
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
_reach: dict[str, tuple[float, bool]] = {}
"""The seconds of each test, and whether it passed while it was watched."""


if "MUTANTS_REACH" in os.environ:
    import coverage

    _watch = coverage.Coverage(
        data_file=None, config_file=False, include=[str(_ROOT / "gateway" / "*")], messages=False
    )
    _RESULT = pytest.StashKey[tuple[float, bool]]()
    _SKIPPED = pytest.StashKey[bool]()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(item: pytest.Item) -> Any:
        _watch.start()
        _watch.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            _watch.stop()
            if not item.stash.get(_SKIPPED, False):
                _reach[item.nodeid] = item.stash.get(_RESULT, (0.0, False))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item: pytest.Item) -> Any:
        report = yield
        item.stash[_SKIPPED] = item.stash.get(_SKIPPED, False) or report.skipped
        seconds, good = item.stash.get(_RESULT, (0.0, True))
        item.stash[_RESULT] = (seconds + report.duration, good and report.passed)
        return report

    def pytest_sessionfinish() -> None:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        if not _reach:
            return
        lines: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        data = _watch.get_data()
        for file in sorted(data.measured_files()):
            module = str(Path(file).relative_to(_ROOT))
            for line, tests in data.contexts_by_lineno(file).items():
                for test in tests:
                    lines[test][module].append(line)
        # what a test reaches that does not pass while it is watched is not known
        found = {test: (seconds, lines[test] if good else None) for test, (seconds, good) in _reach.items()}
        Path(os.environ["MUTANTS_REACH"] + (f".{worker}" if worker else "")).write_text(json.dumps(found))


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
