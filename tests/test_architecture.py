"""The house stays as docs/architecture.md draws it: who may import whom, and by which face; who alone touches
which library; what a start may load. (How readable its modules are: test_readable.py; that a word has one
meaning: test_vocabulary.py.)

`python -m tests.test_architecture` writes the column "may import" of docs/architecture.md anew.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from tests.product_modules import MODULES, NAMED, PACKAGE, ROOT, definitions, methods_of, room_of, tree_of
from tests.syntax import parsed

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
    "status": {"model", "energy", "errors"},
    "energy": {"model"},
    "history": {"model", "energy", "errors"},
    "receiver": {"model", "wire", "mqtt", "errors"},
    "backup": {"config", "mqtt", "uplink", "wire", "errors"},
    "platform": {"receiver", "status", "errors"},
    "provisioning": {"config", "check", "errors"},
    "remote": {"model", "config", "wire", "host", "mqtt", "check", "catalogue", "errors"},
    "check": {"model", "catalogue", "config", "field", "mqtt", "uplink", "errors"},
    "commissioning": {"model", "catalogue", "config", "field", "errors"}
    | {"check", "host", "mqtt", "uplink", "wire"},
    "demo": {"model", "catalogue", "config", "wire", "energy", "history", "mqtt", "uplink", "errors"},
}
"""Beside itself, `common` and the package's version."""
MAY_IMPORT_ALL = {"daemon", "cli"}
MAP = ROOT / "docs" / "architecture.md"
LIST_BEGINS, LIST_ENDS = "<!-- every module, by its docstring -->", "<!-- end of the list -->"
COLUMNS = 3
"""Of its table of rooms: the room, what it does, what it may import."""

SOLE_IMPORTERS = {
    "pymodbus": {"gateway/field/port/transport.py"},
    "serial": {
        "gateway/field/port/transport.py",
        "gateway/commissioning/scan/line.py",
        "gateway/commissioning/ports.py",
    },
    "paho": {"gateway/mqtt/connection.py"},
    "yaml": {"gateway/config/yamlfile.py", "gateway/wire/__main__.py"},
    "gpiozero": {"gateway/host/pins.py"},
    "lgpio": {"gateway/host/pins.py"},
    "cryptography": {
        "gateway/host/signing.py",
        "gateway/backup/envelope.py",
        "gateway/remote/enrolment/keys.py",
    },
    "holidays": {"gateway/history/public_days.py"},
    "amqtt": {"gateway/demo/broker.py"},
    "xlsxwriter": {"gateway/status/exports/files.py"},
}


ALSO_FACES = {
    "gateway.catalogue.labels",
    "gateway.catalogue.listing",
    "gateway.commissioning.doctor",
    "gateway.commissioning.plausibility",
    "gateway.commissioning.ports",
    "gateway.commissioning.report",
    "gateway.commissioning.scan",
    "gateway.commissioning.setup",
    "gateway.commissioning.swap",
    "gateway.commissioning.wiring",
    "gateway.config.rules",
    "gateway.config.temperatures",
    "gateway.demo.fleet",
    "gateway.demo.show",
    "gateway.host.notify",
    "gateway.host.signing",
    "gateway.remote.apply",
    "gateway.remote.bundle",
    "gateway.remote.care",
    "gateway.remote.enrolment",
    "gateway.remote.sending",
    "gateway.status.energy.facts",
    "gateway.wire.care",
    "gateway.wire.enrolment",
    "gateway.wire.published",
}
"""Beside the `__init__` of each room: parts that are heavy, or that only few need, with a face of their own.
`common` has none: its modules are imported one by one."""

MOST_CLASSES = 38
"""On the way of a reading from the wire to its receipt."""


@cache
def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@cache
def said_in(path: Path) -> set[str]:
    """What stands in a module's __all__."""
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def modules_used(path: Path) -> set[str]:
    """The modules of the house that a module imports, also inside of functions and for types alone."""
    used = set()
    for name in imports_of(path):
        home, _, what = name.rpartition(".")
        if home in NAMED and (what in said_in(NAMED[home]) or name not in NAMED):
            used.add(home)
        elif name in NAMED:
            used.add(name)
    return used


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room) -> None:
    allowed = MAY_IMPORT[room] | {room, "common", ""}
    foreign = {
        name: rooms
        for name, path in NAMED.items()
        if room_of(name) == room and (rooms := {room_of(used) for used in modules_used(path)} - allowed)
    }
    assert not foreign


def test_the_rooms_of_the_daemon_meet_nowhere_else() -> None:
    apart = {"field", "journal", "uplink", "status", "history"}
    assert not {room: MAY_IMPORT[room] & apart for room in apart if MAY_IMPORT[room] & apart}


def test_every_room_has_its_rule() -> None:
    assert {room_of(name) for name in NAMED} - {"", "__main__"} == {*MAY_IMPORT, *MAY_IMPORT_ALL}


def every_module() -> list[str]:
    """A line for each module, by folder: its name and the first paragraph of its docstring."""
    folders = defaultdict(list)
    for path in NAMED.values():
        said = " ".join((ast.get_docstring(tree_of(path)) or "").partition("\n\n")[0].split())
        home = path.parent.relative_to(PACKAGE)
        if path.name == "__init__.py":
            folders[home].insert(0, said)
        else:
            folders[home].append(f"- `{path.stem}`: {said}")
    lines = []
    for folder, (face, *modules) in sorted(folders.items()):
        lines += ["", f"**`{'gateway' / folder}/`**: {face}", *([""] if modules else []), *modules]
    return lines


def drawn(text: str) -> str:
    """docs/architecture.md with its column "may import" and its list of modules as the code has them."""
    lines = []
    before, _, rest = text.partition(LIST_BEGINS)
    after = rest.partition(LIST_ENDS)[2]
    if rest:
        text = "\n".join([before + LIST_BEGINS, *every_module(), "", LIST_ENDS + after])
    for line in text.splitlines():
        cells = line.split("|")
        room = cells[1].strip(" `/").removesuffix(".py") if len(cells) == COLUMNS + 2 else ""
        if room in MAY_IMPORT:
            cells[3] = f" {', '.join(sorted(MAY_IMPORT[room])) or '–'} "
        elif room in MAY_IMPORT_ALL:
            cells[3] = " all "
        lines.append("|".join(cells))
    return "\n".join(lines) + "\n"


def test_the_map_shows_every_module_and_who_may_import_whom() -> None:
    text = MAP.read_text()
    assert drawn(text) == text, "run python -m tests.test_architecture"
    for room in {*MAY_IMPORT, *MAY_IMPORT_ALL}:
        assert f"\n| `{room}{'.py' if room == 'errors' else '/'}` |" in text, room


def classes_told(rows: list[tuple[str, str]]) -> list[ast.ClassDef]:
    """The classes that rows of the map name: each stands in a module that its row names."""
    told = []
    for place, text in rows:
        places = [place, *re.findall(r"`((?:\w+/)+\w+)`", text)]
        paths = [PACKAGE / f"{each}.py" for each in places]
        assert all(path.exists() or path.with_suffix("").is_dir() for path in paths), place
        here = {
            node.name: node
            for path in paths
            if path.exists()
            for node in tree_of(path).body
            if isinstance(node, ast.ClassDef)
        }
        named = [name.partition(".")[0] for name in re.findall(r"`(_?[A-Z]\w+(?:\.\w+)?)`", text)]
        assert set(named) <= here.keys(), (place, set(named) - here.keys())
        told += [here[name] for name in named]
    return told


def test_the_map_tells_the_life_of_a_reading_in_so_many_classes() -> None:
    """Every module and class on the way is there, in the place that the map gives it."""
    life = MAP.read_text().partition("## The life of a reading\n")[2].partition("\n## ")[0]
    way, beside = (
        re.findall(r"^\| `([\w/]+)` \| (.*) \|$", part, re.MULTILINE)
        for part in life.split("\nNot counted:\n")
    )
    passed = [node.name for node in classes_told(way)]
    assert len(way) > 20
    assert len(passed) == len(set(passed)) <= MOST_CLASSES, len(passed)
    assert f": {len(passed)} classes, each named once" in life
    # What stands in the place of a tuple is one, with names: at most it says something of itself.
    for node in classes_told([row for row in beside if "in the place of a tuple" in row[1]]):
        assert any("dataclass" in ast.unparse(each) for each in node.decorator_list), node.name
        for name, method in methods_of(node).items():
            says = [*map(ast.unparse, method.decorator_list)] == ["property"]
            assert says or ast.unparse(method.returns or node) == "bool", f"{node.name}.{name}"
    assert not {node.name for node in classes_told(beside)} & set(passed)


PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OF_THEIR_TIME = {"mutants.md"}
"""Pages about the code as it was when something was measured."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page) -> None:
    text = page.read_text()
    named = set(re.findall(r"`((?:gateway|tests|drivers|docs|config)/[\w./-]*)`", text))
    rooms = "|".join({*MAY_IMPORT, *MAY_IMPORT_ALL} - {"errors"})
    modules = set(re.findall(rf"(?<![\w/.-])((?:{rooms})/[\w/]+\.py)\b", text))
    lost = [path for path in named if not (ROOT / path).exists()]
    lost += [
        path for path in modules if not any((root / path).exists() for root in (PACKAGE, ROOT / "tests"))
    ]
    assert not lost or page.name in OF_THEIR_TIME


def test_a_room_is_imported_by_its_face() -> None:
    past = defaultdict(set)
    for name, path in NAMED.items():
        for used in modules_used(path):
            inside = used.count(".") > 1 and room_of(used) not in {room_of(name), "common"}
            if inside and used not in ALSO_FACES:
                past[used].add(name)
    assert not past


def test_what_stands_in_a_face_is_what_it_says() -> None:
    for name in [*(f"gateway.{room}" for room in MAY_IMPORT), *ALSO_FACES]:
        path = NAMED[name]
        if path.name != "__init__.py":
            continue
        tree = tree_of(path)
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gateway")
            if node.module != "gateway.common.on_demand"
            for alias in node.names
        }
        assert imported == said_in(path), name


def circles(uses: dict[str, set[str]]) -> list[set[str]]:
    """The modules that import one another in a ring, after Tarjan (1972)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        numbers[name] = lowest[name] = len(numbers)
        stack.append(name)
        for other in uses[name]:
            if other not in numbers:
                visit(other)
            if other in stack:
                lowest[name] = min(lowest[name], lowest[other])
        if lowest[name] == numbers[name]:
            ring = set(stack[stack.index(name) :])
            del stack[stack.index(name) :]
            found.append(ring)

    for name in uses:
        if name not in numbers:
            visit(name)
    return [ring for ring in found if len(ring) > 1]


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == [{"a", "b", "c"}]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_modules_import_one_another() -> None:
    found = circles({name: modules_used(path) for name, path in NAMED.items()})
    assert not found


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
        "json",
        "math",
        "operator",
        "statistics",
        "struct",
        "typing",
    }
    for path in (PACKAGE / "energy").rglob("*.py"):
        roots = {name.partition(".")[0] for name in imports_of(path)}
        assert roots <= allowed | {"gateway"}, path
        calls = {
            node.func.id
            for node in ast.walk(parsed(path.read_text()))
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


NEVER_LOADED = {
    "rich", "cryptography", "gateway.commissioning.report", "amqtt", "jsonschema", "gpiozero", "httpx",
    "selenium", "xlsxwriter", "gateway.demo", "gateway.receiver", "gateway.remote",
}  # fmt: skip
LOADED_LATER = {
    "starlette", "uvicorn", "jinja2", "gateway.energy", "gateway.history", "gateway.status.verdict",
    "gateway.status.servers",
}  # fmt: skip


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("gateway.cli.run, gateway.daemon.daemon, gateway.status.servers", NEVER_LOADED),
        ("gateway.cli.run, gateway.daemon.daemon", NEVER_LOADED | LOADED_LATER),
    ],
    ids=["to serve", "before the first reading"],
)
def test_run_does_not_load_what_it_does_not_need(modules, heavy) -> None:
    assert loaded_by(f"import {modules}", heavy) == "[]"


MACHINERY = {"pydantic", "pymodbus", "yaml"} | {
    f"gateway.{room}" for room in ("catalogue", "check", "config", "field")
}
"""What reads a file and asks a meter."""
LINK = {"paho", "gateway.mqtt", "gateway.uplink"}
"""What reaches a platform."""


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import gateway.cli.read", MACHINERY | LINK),
        ("import gateway.check as c, pathlib; c.load(pathlib.Path('config/gateway.yaml'))", LINK),
        ("from gateway.commissioning.plausibility import judge; judge({}, {})", MACHINERY | LINK),
    ],
    ids=["where a daemon is asked", "where a file is sound", "where values are judged"],
)
def test_a_command_does_not_load_what_it_does_not_need(code, heavy) -> None:
    assert loaded_by(code, heavy) == "[]"


def loaded_by(code: str, heavy: set[str]) -> str:
    """Which of these modules a program has loaded in the end."""
    code += f"; import sys; print([n for n in {sorted(heavy)!r} if n in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_what_is_loaded_by_its_name_is_loaded_in_one_place() -> None:
    """Commands, rooms that no reading waits for, parts of a room that only some need."""
    loading = {
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if {"importlib", "importlib.import_module"} & imports_of(path)
    }
    assert loading == {"gateway/common/on_demand.py"}


IN_PLACE = {
    "gateway.demo.broker": ("amqtt", "the extra `demo`"),
    "gateway.demo.simulator.simulator": (
        "gateway.demo.simulator",
        "plain registers need neither building nor catalogue",
    ),
    "gateway.host.pins": ("gpiozero", "a gateway without pulse inputs must not pay for it"),
    "gateway.receiver.fleet.reader": ("gateway.receiver.fleet.postgres", "the extra `postgres`"),
    "gateway.receiver.intake": ("jsonschema", "the extra `receiver`"),
    "gateway.receiver.store.choice": ("gateway.receiver.store.postgres", "the extra `postgres`"),
    "gateway.receiver.upkeep.work": ("gateway.receiver.upkeep.postgres", "the extra `postgres`"),
    "gateway.remote.fetch": ("httpx", "the process that fetches, and not the daemon that starts it"),
    "gateway.remote.proof": ("gateway.host.signing", "the process that judges, and not who starts it"),
    "gateway.status.exports.files": ("xlsxwriter", "a workbook, and not a CSV file"),
}
"""Modules that import within a function: what, and for whom. All the others do so at their top."""


def imported_in_functions(path: Path) -> set[str]:
    return {
        node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
        for function in definitions(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }


def test_a_module_imports_at_its_top() -> None:
    found = {name: modules for name, path in NAMED.items() if (modules := imported_in_functions(path))}
    assert found.keys() == IN_PLACE.keys()
    assert not {
        name: modules
        for name, modules in found.items()
        if not all(f"{module}.".startswith(f"{IN_PLACE[name][0]}.") for module in modules)
    }


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


if __name__ == "__main__":
    MAP.write_text(drawn(MAP.read_text()))
