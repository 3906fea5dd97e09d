"""Whichever of the two parsers reads a file: values and lines are the same, and so is what is refused.

The one in C is not built for every machine (there is no wheel with it for 32-bit ARM); the other is always
there.
"""

import time
from pathlib import Path

import pytest
import yaml

from gateway.catalogue import library, load_text, shipped
from gateway.config import Block, Table, line_of, parse_yaml, value_of
from gateway.config.yamlfile import Rows
from gateway.errors import DriverError

ROOT = Path(__file__).parents[2]
FILES = [
    *shipped(),
    *(ROOT / "config").glob("*.yaml"),
    *(ROOT / "tests" / "bench" / "drivers").glob("*.yaml"),
]

pytestmark = pytest.mark.skipif(not yaml.__with_libyaml__, reason="only one parser is built here")


def lines_of(node: object) -> object:
    """Where everything stands, as plain lists."""
    if isinstance(node, Table):
        return [node.lines, {key: lines_of(value) for key, value in node.items()}]
    if isinstance(node, Rows):
        return [node.lines, [lines_of(value) for value in node]]
    return node.line if isinstance(node, Block) else None


@pytest.fixture(params=["CBaseLoader", "BaseLoader"])
def parser(request, monkeypatch):
    if request.param == "BaseLoader":
        monkeypatch.delattr(yaml, "CBaseLoader")
    return request.param


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_both_parsers_give_the_same_values_on_the_same_lines(path, monkeypatch) -> None:
    text = path.read_text(encoding="utf-8")
    quick, problems = parse_yaml(text, path.name)
    assert not problems
    monkeypatch.delattr(yaml, "CBaseLoader")
    slow, problems = parse_yaml(text, path.name)
    assert not problems
    assert slow == quick
    assert lines_of(slow) == lines_of(quick)


def test_without_the_parser_in_c_all_tables_still_load_at_a_bearable_price(monkeypatch) -> None:
    """CPU time against CPU time, in one process: twice as long when this was written."""

    def cost() -> float:
        began = time.process_time()
        library()
        return time.process_time() - began

    quick = min(cost() for _ in range(2))
    monkeypatch.delattr(yaml, "CBaseLoader")
    assert cost() < 6 * quick


def test_the_files_hold_what_could_differ() -> None:
    texts = [path.read_text(encoding="utf-8") for path in FILES]
    assert len(texts) > 100
    for mark in ("registers: |", "[", "{", '"', " #", "variants:", "sunspec:"):
        assert any(mark in text for text in texts), mark


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice (first in line 1)"),
        ("a: {b: 1, c: 2,\n  b: 3}\n", 2, "'b' is given twice (first in line 1)"),
        ("a:\n  - b: 1\n    b: 1\n", 3, "'b' is given twice (first in line 2)"),
        ("a: *nobody\n", 1, "*nobody names nothing"),
        ("a: !!python/object:os.system x\n", 1, "the tag"),
        ("a: 1\n---\nb: 2\n", 2, "a second document begins"),
        ("? [a]\n: 1\n", 1, "a list or a mapping is no key"),
        ("a: b: c\n", 1, "mapping values are not allowed"),
        ("a: [1, 2\nb: 3\n", 2, ""),
        ("a: 'x\n", 1, "a quotation mark opens here and never closes"),
        ('b:\n  - c: "x\n    d: 2\n', 2, "a quotation mark opens here and never closes"),
        ("a:\n\tb: 1\n", 2, "a tab stands where blanks belong"),
        ("a:\n  b: 1\n \t c: 1\n", 3, "a tab stands where blanks belong"),
    ],
)
def test_both_refuse_the_same_on_the_same_line(parser, text, line, what) -> None:
    document, problems = parse_yaml(text, "f")
    assert document is None
    assert [problem.line for problem in problems] == [line]
    assert what in problems[0].what


def test_every_key_that_is_given_twice_is_told_and_what_else_is_wrong_too(parser) -> None:
    text = "a: 1\nb: {c: 1, c: 2}\na: 3\na: 4\nd: *nobody\n"
    document, problems = parse_yaml(text, "f")
    assert document is None
    assert [problem.line for problem in problems] == [2, 3, 4, 5]
    assert ["twice" in problem.what for problem in problems] == [True, True, True, False]


@pytest.mark.parametrize(
    ("written", "value"),
    [("no", "no"), ("N", "N"), ("on", "on"), ("012", 12), ("0o14", 12), ("1_000", "1_000"),
     ("12:30", "12:30"), ("~", None), ("True", True), ("1e3", 1000.0), (".5", 0.5),
     ("2026-01-31", "2026-01-31"), ("=", "=")],
)  # fmt: skip
def test_plain_words_mean_what_yaml_1_2_says(parser, written, value) -> None:
    document, _ = parse_yaml(f"a: {written}\n", "f")
    assert document["a"] == value
    assert type(document["a"]) is type(value)


HEAD = "maker: M\nmodel: X\nverified: datasheet\nsource: a paper\nno_import: this meter counts nothing\n"
ROW = "0x0000 u16 frequency Hz fast"


@pytest.mark.parametrize(
    ("before", "indent"),
    [
        ("registers: |\n", 2),
        ("registers: |  # the list\n", 4),
        ("registers: |-\n", 2),
        ("registers: |+\n", 2),
        ("registers: |2\n", 2),
        ("registers: &list |\n", 2),
        ("registers: |\n\n\n", 2),
        ("variants:\n  - name: one\n    when: {address: 1, values: [1]}\n    registers: |\n", 6),
    ],
)
def test_a_mistake_in_a_register_line_is_told_with_its_line_however_the_block_is_written(
    parser, before, indent
) -> None:
    blank = " " * indent
    extra = "" if before.startswith("registers") else "registers: |\n  0x0010 u16 voltage_l1n V fast\n"
    text = f"{HEAD}{extra}{before}{blank}# address type\n{blank}{ROW}\n{blank}0x0001 u17 voltage_l2n V fast\n"
    with pytest.raises(DriverError) as caught:
        load_text(text, "m-x")
    (problem,) = caught.value.problems
    assert "u17" in problem.what
    assert text.split("\n")[problem.line - 1].split()[1] == "u17"


def test_a_block_that_is_named_elsewhere_keeps_its_line(parser) -> None:
    document, _ = parse_yaml("a: &b |\n  one\n  two\nc: *b\n", "f")
    assert value_of(document, ["c"]) == "one\ntwo\n"
    assert value_of(document, ["c"]).line == 2
    assert line_of(document, ["c"]) == 4
    assert value_of(document, ["a", 0, "x"]) is None
