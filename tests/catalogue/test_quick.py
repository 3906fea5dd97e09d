"""The fast way through a head: it says what YAML says, or leaves it to YAML."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gateway.catalogue.quick import quick_head


def same(text: str) -> None:
    quick = quick_head(text)
    if quick is None:
        return
    assert quick == YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize(
    "text",
    [
        'a: 1\nb: 0x20\nc: text here\nd: "quoted: # text"\n',
        'a: [1, two, "three", 0x4]\nb: {c: 1, d: [x, y], e: {f: 2}}\n',
        'a:\n  - "one"\n  - two, three\n  - {b: 1}\n',
        "a: 100ms\nb: text 20\nd: true\ne: N\n",
    ],
)
def test_plain_heads_are_read(text: str) -> None:
    assert quick_head(text) is not None
    same(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1 # comment", "a: 'x'", 'a: "x\\n"', "a: |\n  text", "a: &x 1", "a: *x", "a: 1.5", "a: 012", "a: null", "a:", "a: 1\na: 2",
        "a: yes", "a:b", "a: {b}", "a: [1", "a: [1]]", "a: {b: 1, b: 2}", "a: x: y", "a: x #y", "  a: 1", "a:\n  b: 1", "- a",
        "a: 2026-01-01", "a: 1e3", "a: .5",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_yaml(text: str) -> None:
    assert quick_head(text) is None


@settings(deadline=None)
@given(st.text("ab:1x0\"'[]{},-# .\\|&*!%@`tnf", max_size=16))
def test_it_never_says_anything_else_than_yaml(value: str) -> None:
    text = f"key: {value}"
    quick = quick_head(text)
    if quick is None:
        return
    try:
        slow = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError):
        pytest.fail(f"YAML refuses {text!r}, the fast way reads {quick!r}")
    assert quick == slow
