"""A word has one meaning in the whole house: names that contain it stand where it means what the glossary of
docs/architecture.md says.
"""

import ast
import re
from collections.abc import Iterator

from tests.product_modules import NAMED, ROOT, room_of, tree_of
from tests.syntax import parsed

MAP = ROOT / "docs" / "architecture.md"
WORDS = {
    "settle settles settled settling": ("delivered or given up", {"demo", "journal", "uplink"}),
    "gone": ("no longer there, and why", {"journal", "receiver", "uplink", "wire"}),
    "take takes taken taking": (
        "readings are taken in; taken: committed",
        {"cli", "daemon", "demo", "energy", "history", "journal", "receiver", "status"},
    ),
    "taken-over take-over": ("another client has our id (MQTT 5.0, reason code 0x8E)", {"errors", "mqtt"}),
    "hold holds held holding": (
        "what waits for a right clock",
        {"config", "daemon", "history", "status", "uplink"},
    ),
    "trial trials": (
        "files or a version that are in force, and are kept or taken back",
        {"cli", "remote", "status"},
    ),
    "look looks looked looking": ("nothing: say what is asked, judged or searched", set()),
}
"""What a word, in all its forms, means in names, and the rooms in which it does."""


def targets_of(statement: ast.stmt) -> Iterator[str]:
    """Constants and fields."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    for target in targets:
        yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def names_bound(tree: ast.Module) -> Iterator[str]:
    """What is named for more than a few lines: all but the variables of functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
            parameters = node.args
            yield from (
                each.arg for each in (*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs)
            )
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.ClassDef | ast.Module):
            yield from [node.name] if isinstance(node, ast.ClassDef) else []
            for statement in node.body:
                yield from targets_of(statement)


def words_in(name: str) -> set[str]:
    """The words of WORDS in a name, by their forms: `LinkTakenOver` has taken-over and not taken."""
    parts = "-".join(re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)).lower()
    found = set()
    for forms in sorted(WORDS, key=lambda forms: "-" not in forms):
        for form in forms.split():
            if re.search(pattern := rf"(?<![a-z0-9]){form}(?![a-z0-9])", parts):
                found.add(forms)
                parts = re.sub(pattern, "", parts)
    return found


def test_words_are_found_in_whatever_is_named() -> None:
    code = """
LOOK = _SETTLED = 1
class Held:
    took: int
    gone = ()
    @property
    def taken_over(self): ...
    def _hold(self, take, /, *, holding): self.looks_at = looked = household = 1
"""
    bound = [*names_bound(parsed(code))]
    found = {name: [forms.split()[0] for forms in words_in(name)] for name in bound if words_in(name)}
    assert found == {
        "LOOK": ["look"], "_SETTLED": ["settle"], "Held": ["hold"], "gone": ["gone"],
        "taken_over": ["taken-over"], "_hold": ["hold"], "take": ["take"], "holding": ["hold"],
        "looks_at": ["look"],
    }  # fmt: skip


def test_a_word_has_one_meaning() -> None:
    """Names with a word of WORDS stand where it means what is written there, and nowhere else."""
    strange = {
        f"{name.removeprefix('gateway.')}: {bound}"
        for name, path in NAMED.items()
        for bound in {path.stem, *names_bound(tree_of(path))}
        for forms in words_in(bound)
        if room_of(name) not in WORDS[forms][1]
    }
    assert not strange


def test_the_glossary_has_these_words() -> None:
    glossary = MAP.read_text().partition("## Glossary\n")[2].partition("\n## ")[0]
    said = {word for row in re.findall(r"^\| ([^|]+) \|", glossary, re.MULTILINE) for word in row.split(", ")}
    assert {forms.split()[0].replace("-", " ") for forms in WORDS} <= said
