"""The product's modules as text and as syntax trees, for the tests that hold how they are built."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.syntax import parsed

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gateway"
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """gateway/journal/file/rows.py → gateway.journal.file.rows."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree_of(path: Path) -> ast.Module:
    """A module's syntax."""
    return parsed(path.read_text())


NAMED = {name_of(path): path for path in MODULES}


def room_of(name: str) -> str:
    """gateway.journal.file.rows → journal; empty for the package itself."""
    return name.split(".")[1] if "." in name else ""


def definitions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module, inner ones too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def methods_of(node: ast.ClassDef) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """A class's own methods by name."""
    return {each.name: each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
