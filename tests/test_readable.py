"""Modules stay as readable as they are: how many lie in a folder, how long a file and a function may be, what
says what it does, what stands once.
"""

import ast
import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

from tests.product_modules import MODULES, NAMED, ROOT, definitions, methods_of, tree_of

MOST_MODULES = 12
"""Side by side in a folder, `__init__` and `__main__` not counted; cli has a file for each command."""
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
REPEATED = 6
"""Lines of logic that stand twice and should stand once."""
REACH = 3
MOST_REACHES = 12
"""Places in the whole house that reach through another object: self.a.b.c."""


def test_no_folder_has_too_many_modules_side_by_side() -> None:
    folders = defaultdict(list)
    for path in MODULES:
        if path.stem not in {"__init__", "__main__"} and path.parent.name != "cli":
            folders[str(path.parent.relative_to(ROOT))].append(path.stem)
    full = {folder: names for folder, names in folders.items() if len(names) > MOST_MODULES}
    assert not full


def test_no_two_modules_of_the_tests_have_one_name() -> None:
    """pytest imports them by their names alone: one would be taken for the other."""
    names = Counter(path.name for path in (ROOT / "tests").glob("*/*.py") if not path.stem.endswith("__"))
    assert [name for name, times in names.items() if times > 1] == ["conftest.py"]


def test_no_module_is_too_long_to_read() -> None:
    long = {
        name: n for name, path in NAMED.items() if (n := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert not long


def test_no_function_is_too_long_to_read() -> None:
    long = {
        f"{name}:{node.name}": n
        for name, path in NAMED.items()
        for node in definitions(path)
        if (n := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert not long


def test_a_message_is_written_where_it_is_raised() -> None:
    """One idiom: `raise ConfigError("…")`, not a variable first."""
    apart = [
        f"{name}:{second.lineno}"
        for name, path in NAMED.items()
        for node in ast.walk(tree_of(path))
        if isinstance(body := getattr(node, "body", None), list)
        for first, second in pairwise(body)
        if isinstance(first, ast.Assign) and isinstance(second, ast.Raise)
        if ast.unparse(first.targets[0]) in {"msg", "message"}
    ]
    assert not apart


def test_what_others_call_says_what_it_does() -> None:
    """A public method has a docstring; one that implements a protocol, or overrides, is described there."""
    classes = [
        (name, node)
        for name, path in NAMED.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
    ]
    described = {
        method
        for _, node in classes
        if any(ast.unparse(base).startswith("Protocol") for base in node.bases)
        for method, definition in methods_of(node).items()
        if ast.get_docstring(definition)
    }
    silent = [
        f"{name}:{node.name}.{method}"
        for name, node in classes
        if not node.name.startswith("_") and not node.bases
        for method, definition in methods_of(node).items()
        if not method.startswith("_") and not ast.get_docstring(definition)
        if method not in described and "setter" not in ast.unparse(definition).split("def ")[0]
    ]
    assert not silent


def test_no_docstring_only_points_elsewhere() -> None:
    assert not [name for name, path in NAMED.items() if '"""See ' in path.read_text()]


def test_a_class_has_its_name_to_itself() -> None:
    """Where two modules have a Row, be it in one room, a reader of either thinks of the other."""
    places = defaultdict(list)
    for name, path in NAMED.items():
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    shared = {name: where for name, where in places.items() if len(where) > 1}
    assert not shared


def test_no_alias_of_a_type_has_the_name_of_a_class() -> None:
    """`Row = dict[str, str]` in one module is as misleading as a class `Row` in another."""
    classes, aliases = defaultdict(set), defaultdict(set)
    for name, path in NAMED.items():
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef):
                classes[node.name].add(name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for each in targets:
                    if re.fullmatch(r"[A-Z][a-z]\w*", ast.unparse(each)):
                        aliases[ast.unparse(each)].add(name)
    assert len(aliases) > 100
    shared = {each: aliases[each] | classes[each] for each in aliases.keys() & classes.keys()}
    assert not shared


def logic_of(path: Path) -> list[tuple[int, str]]:
    """The code inside of functions: no signatures, imports, comments, descriptions, lone brackets."""
    inside: set[int] = set()
    for node in definitions(path):
        for statement in node.body[ast.get_docstring(node) is not None :]:
            inside |= {*range(statement.lineno, (statement.end_lineno or 0) + 1)}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            inside -= {*range(node.lineno, (node.end_lineno or 0) + 1)}
    lines = path.read_text().splitlines()
    code = ((number, lines[number - 1].partition("  #")[0].strip()) for number in sorted(inside))
    return [(number, text) for number, text in code if re.search(r"\w", text) and not text.startswith("#")]


def test_no_logic_stands_twice() -> None:
    places = defaultdict(list)
    for name, path in NAMED.items():
        logic = logic_of(path)
        for at in range(len(logic) - REPEATED + 1):
            run = logic[at : at + REPEATED]
            places[tuple(text for _, text in run)].append(f"{name}:{run[0][0]}")
    assert not [where for where in places.values() if len(where) > 1]


def reaches(path: Path) -> list[str]:
    """self.a.b.c: a part that knows the insides of its parts' parts."""
    found = []
    inner = {id(node.value) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree_of(path)):
        chain, here = [], node
        while isinstance(here, ast.Attribute):
            chain.append(here.attr)
            here = here.value
        if id(node) not in inner and len(chain) >= REACH and isinstance(here, ast.Name) and here.id == "self":
            found.append(".".join(["self", *reversed(chain)]))
    return found


def test_hardly_anybody_reaches_through_another_object() -> None:
    found = {name: chains for name, path in NAMED.items() if (chains := reaches(path))}
    count = sum(len(chains) for chains in found.values())
    assert count <= MOST_REACHES, found
