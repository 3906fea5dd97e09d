"""The mutation run itself: what it changes, how a change gets into loaded code, and that it tells a held
line from one that is not.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from queue import Queue

import pytest

from tests.mutants import __main__ as run
from tests.mutants import again, operators, server
from tests.mutants.report import reasons

ROOT = Path(__file__).parents[1]
SOURCE = b'''
LIMIT = 3  # a figure of the module: a choice
log = None


def inside(low, value, *, wide: int = 2):
    """Says whether."""
    if low and value:
        log.info("%d", 1)
        return low + wide < value
    assert low != 7
    raise ValueError("%d" % (1 + 2))


class Counter:
    def __init__(self):
        self.count = 0

    def add(self):
        self.count += 1
        self.told()
        return not self.count
'''


def changes(source: bytes) -> set[tuple[str, str]]:
    return {(mutant.was, mutant.text) for mutant in operators.mutants("m.py", source)}


def test_each_operator_changes_what_it_should_and_nothing_else_is_changed() -> None:
    assert changes(SOURCE) == {
        ("low and value", "((low) or (value))"),
        ("low and value", "(not ((low and value)))"),
        ("low + wide < value", "(low + wide <= value)"),
        ("low + wide", "((low) - (wide))"),
        ("low + wide < value", "None"),
        ("0", "1"),
        ("1", "2"),
        ("1", "0"),
        ("self.count += 1", "self.count -= 1"),
        ("self.count += 1", "pass"),
        ("self.told()", "pass"),
        ("not self.count", "(self.count)"),
        ("not self.count", "None"),
    }


@pytest.mark.parametrize(
    "module",
    ["gateway/uplink/delivery/window.py", "gateway/journal/file/thinning.py", "gateway/field/bus/station.py"],
)
def test_every_mutant_of_a_module_is_other_code_and_has_a_name_of_its_own(module: str) -> None:
    source = (ROOT / module).read_bytes()
    found = operators.mutants(module, source)
    assert len(found) > 30
    found = found[::7]
    assert len({mutant.key for mutant in found}) == len(found)
    plain = compile(source, module, "exec", dont_inherit=True)
    for mutant in found:
        assert compile(mutant.apply(source), module, "exec", dont_inherit=True) != plain, mutant


def test_the_central_modules_are_there() -> None:
    assert set(run.CENTRAL) == {"field", "journal", "uplink", "mqtt", "wire", "daemon", "receiver"}
    for room, names in run.CENTRAL.items():
        for name in names.split():
            assert (ROOT / f"gateway/{room}/{name}.py").exists(), f"{room}/{name}"
    assert run.SAMPLE >= 400


def test_the_sample_is_the_same_each_time_and_from_every_module(monkeypatch) -> None:
    monkeypatch.setattr(
        run, "CENTRAL", {"wire": "messages topics", "uplink": "delivery/window delivery/retry_timer"}
    )
    monkeypatch.setattr(run, "SAMPLE", 20)
    first, again = run.sample(ROOT), run.sample(ROOT)
    assert [one.key for one in first] == [one.key for one in again]
    assert 18 <= len(first) <= 26
    assert len({one.mutant.module for one in first}) == 4


def test_reasons_name_mutants_that_exist() -> None:
    for module, was, text in reasons(ROOT):
        assert (ROOT / module).exists(), module
        assert was != text


@pytest.fixture
def loaded(tmp_path: Path):
    path = tmp_path / "loaded_module.py"
    source = (
        b"class Box:\n"
        b"    def __init__(self):\n        self.size = 1\n"
        b"    @property\n    def double(self):\n        return self.size * 2\n"
        b"    @double.setter\n    def double(self, value):\n        self.size = value / 2\n"
        b"def adder(by):\n    def add(value):\n        return value + by\n    return add\n"
    )
    path.write_bytes(source)
    spec = importlib.util.spec_from_file_location("loaded_module", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return path, source, module


def test_a_change_reaches_methods_properties_and_inner_functions_that_are_loaded(loaded) -> None:
    path, source, module = loaded
    box = module.Box()
    assert (box.double, module.adder(1)(2)) == (2, 3)
    assert server.put_in(path, source, source.replace(b"self.size * 2", b"self.size * 3"))
    assert box.double == 3
    box.double = 8
    assert box.size == 4.0, "the other half of the property is as it was"
    assert server.put_in(path, source, source.replace(b"value + by", b"value - by"))
    assert module.adder(1)(2) == 1
    assert server.put_in(path, source, source), "nothing to change"


def test_a_change_that_cannot_be_put_in_is_said(loaded) -> None:
    path, source, _ = loaded
    assert not server.put_in(path.with_name("other.py"), source, source.replace(b"* 2", b"* 3"))


def test_a_line_that_a_test_holds_is_told_from_one_that_none_does(tmp_path: Path, monkeypatch) -> None:
    """The control: a run that calls everything killed, or everything survived, would be worth nothing."""
    base = tmp_path / "copy"
    (base / "gateway").mkdir(parents=True)
    (base / "tests" / "tiny").mkdir(parents=True)
    shutil.copytree(
        ROOT / "tests" / "mutants", base / "tests" / "mutants", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", base)
    module = "gateway/tiny.py"
    source = (
        b"def larger(a, b):\n    return a if a > b else b\n\n\ndef forever(n):\n    while n > 0:\n    "
        b"    n -= 1\n    return 7\n"
    )
    (base / module).write_bytes(source)
    (base / "tests" / "tiny" / "test_tiny.py").write_text(
        "from gateway.tiny import forever, larger\n\n\n"
        "def test_larger():\n    assert larger(1, 2) == 2\n\n\n"
        "def test_forever():\n    forever(3)\n"
    )
    (base / "gateway" / "__init__.py").write_text("")
    monkeypatch.setattr(run, "FOLDERS", ["tiny"])
    monkeypatch.setattr(run, "STATE", tmp_path)
    reached = run.make_map(base, anew=True)
    assert {name.partition("::")[2] for name in reached} == {"test_larger", "test_forever"}
    json.dumps(reached)
    servers: Queue[run.Server] = Queue()
    servers.put(run.Server(base, run.FOLDERS))
    verdicts = {}
    for mutant in operators.mutants(module, source):
        if mutant.text in {"(a >= b)", "None", "pass"} or mutant.operator == "compare":
            candidate = run.Candidate(mutant, source)
            reach = run.Reach(reached)
            monkeypatch.setattr(run, "LEAST", 3.0)
            verdicts[mutant.was, mutant.text] = run.judge(candidate, servers, reach)["verdict"]
    servers.get().close()
    assert verdicts == {
        ("a > b", "(a >= b)"): "survived",  # it is the same
        ("a if a > b else b", "None"): "killed",
        ("n > 0", "(n >= 0)"): "survived",
        ("n -= 1", "pass"): "timed out",
        ("7", "None"): "survived",  # no test looks at it
    }
    assert sys.modules.get("gateway.tiny") is None, "nothing of it happened in this process"


PAGE = """# Mutants

2026-11-26, commit 0123456789ab; a machine.

| module | mutants | killed | survived |
|---|---|---|---|
| gateway/a.py | 7 | 5 | 2 |
| gateway/b.py | 3 | 3 | 0 |

## Survivors

| module | line | was | became | why it lives |
|---|---|---|---|---|
| gateway/a.py | 9 | `low + 1` | `((low) - (1))` | no test asks for it |
| gateway/a.py | 30 | `self.gone()` | `pass` | no test asks for it |
"""


def test_the_survivors_of_a_page_are_found_again_in_the_code_of_today(tmp_path: Path) -> None:
    page = tmp_path / "mutants.md"
    page.write_text(PAGE)
    record = again.read_page(page)
    assert record.drawn == "2026-11-26, commit 0123456789ab; a machine."
    assert (record.mutants.total(), record.killed.total(), len(record.survivors)) == (10, 8, 2)
    (tmp_path / "gateway").mkdir()
    module = tmp_path / "gateway" / "a.py"
    module.write_text(
        "def up(low):\n    return low + 1\n\n\ndef on(low):\n    if low:\n        return low + 1\n"
    )
    here, gone = (again.counterpart(tmp_path, *survivor) for survivor in record.survivors)
    assert here is not None
    assert (here[0].line, here[0].text) == (7, "((low) - (1))"), "the nearest to where it was"
    assert gone is None, "its code is no more"
    met = [
        {
            "module": "gateway/a.py",
            "line": 7,
            "was": "low + 1",
            "text": "((low) - (1))",
            "verdict": "survived",
        }
    ]
    results = record.results(met)
    assert [each["verdict"] for each in results].count("killed") == 8
    assert len(results) == 9
    page.write_text(PAGE.replace("2026-11-26, commit", "Drawn and met first: 2026-11-26, commit"))
    assert again.read_page(page).drawn == record.drawn, "once met again, it stays where it was drawn"


def test_a_survivor_is_put_at_the_line_where_its_code_stands_today(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "a.py").write_text("\n" * 11 + "def up(low):\n    return low + 1\n")
    now = again.relined(PAGE, tmp_path)
    assert now == PAGE.replace("| gateway/a.py | 9 |", "| gateway/a.py | 13 |") != PAGE
    assert again.relined(now, tmp_path) == now
