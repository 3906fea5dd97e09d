"""The house stays as docs/architecture.md draws it: who may import whom, who alone touches which library,
what a start may load.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gateway"
MODULES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "common": set(),
    "model": set(),
    "errors": set(),
    "config": {"errors"},
    "wire": {"model", "errors"},
    "catalogue": {"model", "config", "errors"},
    "host": {"errors"},
    "field": {"model", "catalogue", "config", "errors", "host"},
    "journal": {"model", "wire", "errors"},
    "mqtt": {"errors"},
    "uplink": {"model", "wire", "mqtt", "config", "errors"},
    "status": {"model", "errors"},
    "energy": {"model"},
    "history": {"model", "energy", "errors"},
    "receiver": {"model", "wire", "mqtt", "errors"},
    "check": {"model", "catalogue", "config", "field", "mqtt", "uplink", "errors"},
    "commissioning": {"model", "catalogue", "config", "field", "errors"},
    "demo": {"model", "catalogue", "config", "wire", "errors"},
}
"""Beside itself, `common` and the package's version. daemon and cli may import all."""

SOLE_IMPORTERS = {
    "pymodbus": {"gateway/field/port/modbus.py"},
    "serial": {"gateway/field/port/modbus.py"},
    "paho": {"gateway/mqtt/connection.py"},
    "gpiozero": {"gateway/host/pins.py"},
    "lgpio": {"gateway/host/pins.py"},
    "amqtt": {"gateway/demo/broker.py"},
}


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room) -> None:
    allowed = MAY_IMPORT[room] | {room, "common"}
    foreign = {}
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0].removesuffix(".py") != room:
            continue
        rooms = {name.split(".")[1] for name in imports_of(path) if name.startswith("gateway.")} - {
            "__version__"
        }
        if extra := rooms - allowed:
            foreign[str(path.relative_to(ROOT))] = extra
    assert not foreign


@pytest.mark.parametrize("library", SOLE_IMPORTERS)
def test_a_library_has_its_adapter(library) -> None:
    importers = {
        str(path.relative_to(ROOT))
        for path in MODULES
        if any(name == library or name.startswith(library + ".") for name in imports_of(path))
    }
    assert importers <= SOLE_IMPORTERS[library]


def test_energy_is_arithmetic_alone() -> None:
    allowed = {
        "__future__",
        "bisect",
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "functools",
        "hashlib",
        "itertools",
        "math",
        "typing",
    }
    for path in (PACKAGE / "energy").glob("*.py"):
        roots = {name.partition(".")[0] for name in imports_of(path)}
        assert roots <= allowed | {"gateway"}, path
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & {"open", "print", "input", "float"}, path


def test_the_daemon_contains_no_modbus_write() -> None:
    writers = (
        "write_coil",
        "write_register",
        "write_registers",
        "mask_write_register",
        "readwrite_registers",
        "write_file_record",
    )
    for path in MODULES:
        text = path.read_text()
        assert not any(writer in text for writer in writers), path


def test_run_does_not_load_what_it_does_not_need() -> None:
    heavy = [
        "rich",
        "amqtt",
        "jsonschema",
        "gpiozero",
        "httpx",
        "selenium",
        "gateway.demo",
        "gateway.receiver",
    ]
    code = (
        f"import sys, gateway.cli.run, gateway.daemon.daemon, gateway.daemon.servers; print([n for n in "
        f"{heavy!r} if n in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()
    assert loaded == "[]"


def test_no_module_is_too_long_to_read() -> None:
    long = {
        str(path.relative_to(ROOT)): n for path in MODULES if (n := len(path.read_text().splitlines())) > 520
    }
    assert not long


def test_no_committed_file_names_a_registry_or_a_machine() -> None:
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    words = [
        "files.python" + "hosted",
        "pypi" + ".org",
        "registry.npm" + "js",
        "/work" + "/main",
        "/home" + "/",
    ]
    for name in files:
        path = ROOT / name
        if path.suffix in {".db", ".mo", ".png", ".bin"} or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        assert not [word for word in words if word in text], name


def test_a_sound_file_of_the_journal_knows_nothing_of_damaged_ones() -> None:
    names = {name for path in (PACKAGE / "journal" / "file").glob("*.py") for name in imports_of(path)}
    assert not [name for name in names if name.startswith("gateway.journal.recovery")]
