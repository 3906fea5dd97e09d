"""docs/threat-model.md names tests that exist, and none of its parts goes without one."""

import ast
import re
from pathlib import Path

import pytest

from tests.syntax import parsed

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
THREATS = {
    title: text
    for title, _, text in (part.partition("\n") for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:])
    if "| threat |" in text
}


def defined_in(path: Path) -> set[str]:
    """The tests that a file has."""
    defined = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = parsed(path.read_text())
    return {node.name for node in tree.body if isinstance(node, defined) and node.name.startswith("test_")}


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)), ids=lambda value: value.rpartition("/")[2])
def test_a_test_that_shows_a_protection_is_there(file, name) -> None:
    found = defined_in(ROOT / file) if (ROOT / file).exists() else set()
    assert found, file
    assert not name or name in found, f"{file} has no {name}"


def test_every_threat_has_its_row_and_every_part_its_tests() -> None:
    assert len(THREATS) >= 7
    for title, text in THREATS.items():
        rows = re.findall(r"^\| (?!threat|---)(.+) \|$", text, re.MULTILINE)
        assert rows, title
        for row in rows:
            _, protects, shown = row.split(" | ")
            assert protects, row
            assert "`tests/" in shown, row


def test_a_test_that_is_gone_is_noticed() -> None:
    assert "test_no_such_test" not in defined_in(Path(__file__))
    assert "test_a_test_that_is_gone_is_noticed" in defined_in(Path(__file__))


def test_the_policy_says_where_to_report_how_long_and_what() -> None:
    policy = (ROOT / "SECURITY.md").read_text()
    for head in ("## Reporting a weakness", "## What is supported", "docs/threat-model.md"):
        assert head in policy
    assert re.search(r"\*\*Contact: .+\*\*", policy)
    assert "SECURITY.md" in (ROOT / "README.md").read_text()
