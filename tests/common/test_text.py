"""Text from outside cannot act on who reads it, and what is shown can be told apart."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.common.text import counted, flaw, is_hidden, visible
from gateway.errors import ConfigError, GatewayError, Problem


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\nb\tc\r", r"a\x0ab\x09c\x0d"),
        ("\x7f\x85\x9b2J", r"\x7f\x85\x9b2J"),
        ("\u202eabc\u2066\u200f", r"\u202eabc\u2066\u200f"),
        ("a\u200bb\ufeff\u2060\u00ad", r"a\u200bb\ufeff\u2060\xad"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\U000e0041\ufe0f\u3164\u2800\u034f", r"\U000e0041\ufe0f\u3164\u2800\u034f"),
        ("\ud800", r"\ud800"),
        ("Çarşı Apartmanı No 4", "Çarşı Apartmanı No 4"),
        ("12\u00a0kWh → sayaç 電力", "12\u00a0kWh → sayaç 電力"),
    ],
)
def test_what_is_not_seen_becomes_its_code_point(text, shown) -> None:
    assert visible(text) == shown


@given(st.text())
def test_nothing_hidden_is_left_and_twice_is_as_once(text) -> None:
    once = visible(text)
    assert not [character for character in once if is_hidden(character)]
    assert visible(once) == once


def test_every_control_format_and_separator_of_unicode_is_hidden() -> None:
    told = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    left = [
        hex(n)
        for n in range(sys.maxunicode + 1)
        if unicodedata.category(chr(n)) in told and visible(chr(n)) == chr(n)
    ]
    assert not left


def test_a_long_text_is_cut() -> None:
    assert visible("x" * 300, 10) == "x" * 10 + "…"
    assert visible("\x1b" * 3, 2) == r"\x1b\x1b…"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" host", "beginning"),
        ("host ", "end"),
        ("   ", "beginning"),
        ("ho\u200bst", "U+200B ZERO WIDTH SPACE, at place 3"),
        ("\ufeffhost", "U+FEFF ZERO WIDTH NO-BREAK SPACE, at place 1"),
        ("ho\u00a0st", "U+00A0 NO-BREAK SPACE"),
        ("host\r", "U+000D, at place 5"),
        ("host\u2028", "U+2028 LINE SEPARATOR"),
        ("\u202ehost", "U+202E RIGHT-TO-LEFT OVERRIDE"),
    ],
)
def test_a_name_that_looks_right_is_refused_with_its_character(text, why) -> None:
    assert why in str(flaw(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("１２７.0.0.1", "U+FF11 FULLWIDTH DIGIT ONE for '1' at place 1"),
        ("host＿1", "FULLWIDTH LOW LINE"),
        ("ｕser", "for 'u'"),
        ("ölçüm 2²", ""),
    ],
)
def test_full_width_characters_are_refused_where_they_are_a_slip(text, why) -> None:
    assert why in (flaw(text, wide=False) or "")
    assert (flaw(text, wide=False) is None) is not bool(why)
    assert flaw(text) is None


def test_names_of_all_languages_are_good() -> None:
    assert flaw("ölçüm-ağı") is None
    assert flaw("two words") is None
    assert flaw("two words", blanks=False) == "has a blank at place 4"


def test_an_error_cannot_act_on_its_reader() -> None:
    assert str(GatewayError("no\x1b[2J", hint="write\u202e")) == r"no\x1b[2J → write\u202e"
    lines = str(
        ConfigError([Problem("a\nb.yaml", 1, "k\x1b", "w\x9b", "m\u2028"), Problem("c", 2, "", "x")])
    ).split("\n")
    assert lines == [r"a\x0ab.yaml:1: k\x1b: w\x9b → m\u2028", "c:2: x"]


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "batch", "0 batches"),
        (1, "batch", "1 batch"),
        (2, "batch", "2 batches"),
        (1, "day", "1 day"),
        (3, "day", "3 days"),
        (2, "bus", "2 buses"),
        (2, "entry", "2 entries"),
        (5, "quarter hour", "5 quarter hours"),
    ],
)
def test_a_number_and_what_is_counted(number: int, noun: str, said: str) -> None:
    assert counted(number, noun) == said
