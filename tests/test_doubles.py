"""Every double that is shipped stands for something real, and one suite runs against both."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.syntax import parsed

ROOT = Path(__file__).parents[1]
SUITES = {
    ("gateway/field/port/fake.py", "FakePort"): ("tests/field/test_port_contract.py", "ModbusPort"),
    ("gateway/host/pins.py", "Pins.mock"): ("tests/pulses/test_pins_contract.py", "OfTheMachine"),
    ("gateway/mqtt/double.py", "MemoryLink"): ("tests/mqtt/test_mqtt_link.py", "BrokerLink"),
    ("gateway/uplink/journal_port.py", "MemoryJournal"): ("tests/uplink/uplink_kept.py", "Journal.open"),
}
"""Module and double → the suite, and what is real in it."""
TOLD = re.compile(r"\b(?:in-memory (?:double|stand-in)|double for tests)\b")


def told_as_doubles() -> set[str]:
    """Modules that say so themselves, or have a `mock`."""
    found = set()
    for path in (ROOT / "gateway").rglob("*.py"):
        tree = parsed(path.read_text())
        mocks = any(isinstance(node, ast.FunctionDef) and node.name == "mock" for node in ast.walk(tree))
        if mocks or TOLD.search(ast.get_docstring(tree) or ""):
            found.add(str(path.relative_to(ROOT)))
    return found


def test_every_shipped_double_has_its_suite() -> None:
    # A package and a contract name the double beside them.
    beside = {"gateway/mqtt/__init__.py", "gateway/field/port/contract.py"}
    assert told_as_doubles() - beside == {module for module, _ in SUITES}


@pytest.mark.parametrize("double", SUITES, ids=lambda double: double[1])
def test_its_suite_runs_both(double: tuple[str, str]) -> None:
    module, name = double
    suite, real = SUITES[double]
    text = (ROOT / suite).read_text()
    assert name.partition(".")[0] in (ROOT / module).read_text()
    assert name in text
    assert real in text
    users = [path.read_text() for path in (ROOT / suite).parent.glob("test_*.py")]
    assert "params=[" in text or any("uplink_kept" in each or "kept)" in each for each in users)
