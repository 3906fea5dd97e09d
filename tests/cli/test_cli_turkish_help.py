"""Every command's help, and what it says of wrong words, in Turkish to the last word."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from cli_screens import COMMANDS, show
from click.testing import CliRunner

from gateway.cli import cli, language
from gateway.status.words import language as page

STANDARD = {
    "BAUD", "CSV", "GPIO", "HTML", "ID", "JSON", "KW", "MODEL", "MQTT", "OSOS", "PEM", "PORT", "RS", "RTU",
    "SIGINT", "SIGTERM", "SQL", "TCP", "TLS", "USB", "UTC", "VA",
}  # fmt: skip
"""Names and terms that Turkish has as English has them."""
PLACEHOLDER = re.compile(r"(?<![\w/.])[A-ZÇĞİÖŞÜ]{2,}(?![\w/])")
TYPED = re.compile(
    r"`[^`]*`|(?:submeter|cli)( [a-z-]+)+|--?[a-z][\w-]*|[\w.*…-]*[/:|=][\w/.:|*…{}-]*|\[[^\]]*\]|\S+\.\w+"
)
"""Commands, options, paths, addresses, choices, files: typed as they stand."""
ALIKE = {"json schema", "modbus tcp"}
"""Pairs of words that both languages have: names."""


def help_of(command: tuple[str, ...], spoken: str) -> str:
    return show([*command, "--help"], 1000, spoken)


def pairs(text: str) -> set[str]:
    """Two words of prose, one after the other, within a line."""
    return {
        f"{one} {two}".casefold()
        for line in text.splitlines()
        for one, two in pairwise(re.findall(r"[^\W\d_]{2,}", TYPED.sub(" ; 0 ; ", line)))
        if re.search(rf"{one}\s+{two}", line)
    }


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_word_of_it_is_english(command: tuple[str, ...]) -> None:
    turkish, english = (help_of(command, spoken) for spoken in ("tr", "en"))
    shared = set(PLACEHOLDER.findall(turkish)) & set(PLACEHOLDER.findall(english))
    assert shared <= STANDARD
    assert pairs(turkish) & pairs(english) <= ALIKE
    assert not set(re.findall(r"\w+", turkish)) & {"Usage", "Options", "Commands", "OPTIONS", "ARGS", "TEXT"}


def test_the_control_what_is_not_translated_is_found() -> None:
    english = help_of(("read",), "en")
    assert {"OPTIONS", "METER", "FILE", "PATH"} <= set(PLACEHOLDER.findall(english)) - STANDARD
    assert "print every" in pairs(english)
    assert "submeter read" not in pairs(english)


def test_every_placeholder_goes_through_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    class Marked:
        def gettext(self, message: str) -> str:
            return f"⟦{message}⟧" if message in language.PLACEHOLDERS else message

        def ngettext(self, one: str, many: str, count: int) -> str:
            return one if count == 1 else many

    page.catalogue("tr")  # it is kept: no other test may meet the one that marks
    monkeypatch.setattr(page, "translation", lambda _language: Marked())
    for command in COMMANDS:
        for line in help_of(command, "tr").splitlines():
            plain = re.sub("⟦[^⟧]*⟧", "", line)
            head = re.match(r"Usage: (.*)|\s*(?:-\w, )?(--[\w-]+ \S*(?: [A-Z]{2,})*)", plain)
            assert set(PLACEHOLDER.findall(head[0]) if head else []) <= STANDARD, line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["care", "new-key"], "Eksik sözcük 'DOSYA'"),
        (["swap"], "Eksik sözcük 'SAYAÇ'"),
        (["plan", "--colour"], "'--colour'"),
        (["fleet", "--seed", "x"], "'x' geçerli bir sayı (tam sayı) değil"),
        (["fleet", "--gateways", "0"], "şu aralıkta değil"),
        (["fleet", "--broker"], "'--broker'"),
        (["fleet", "--interval", "soon"], "'--interval'"),
        (["journal", "shwo"], "'shwo'"),
        (["drivers"], "KOMUT"),
    ],
)
def test_wrong_words_are_told_in_turkish(words: list[str], said: str) -> None:
    turkish, english = (
        CliRunner().invoke(cli, ["--lang", spoken, *words], env={"LC_ALL": "C", "COLUMNS": "1000"})
        for spoken in ("tr", "en")
    )
    assert turkish.exit_code == english.exit_code == 2
    text = turkish.stderr + turkish.stdout
    assert said in text
    assert pairs(text) & pairs(english.stderr + english.stdout) <= ALIKE
    assert not set(PLACEHOLDER.findall(text)) & {"OPTIONS", "ARGS", "TEXT", "FILE", "METER", "COMMAND"}
