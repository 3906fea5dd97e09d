"""Which language a command speaks, and that everything it says of its own is in the catalogue."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from cli_screens import patch, show
from click.testing import CliRunner

from gateway.cli import cli, language
from gateway.status.words import language as page


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ([], {}, "en"),
        ([], {"LANG": "tr_TR.UTF-8"}, "tr"),
        ([], {"LANG": "tr"}, "tr"),
        ([], {"LANG": "C.UTF-8"}, "en"),
        ([], {"LANG": "trv_TW"}, "en"),
        ([], {"LANG": "de_DE.UTF-8"}, "en"),
        ([], {"LANG": "tr_TR.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        ([], {"LANG": "en_GB.UTF-8", "LC_MESSAGES": "tr_TR.UTF-8"}, "tr"),
        ([], {"LC_ALL": "C", "LC_MESSAGES": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}, "en"),
        ([], {"LC_ALL": "", "LANG": "tr_TR.UTF-8"}, "tr"),
        (["--lang", "tr", "status"], {}, "tr"),
        (["status", "--lang", "tr"], {}, "tr"),
        (["status", "--lang=en"], {"LANG": "tr_TR.UTF-8"}, "en"),
        (["--lang", "en", "status", "--lang", "tr"], {}, "tr"),
        (["read", "--", "--lang", "tr"], {}, "en"),
        (["status", "--lang", "xx"], {"LANG": "tr_TR.UTF-8"}, "tr"),
        (["status", "--lang"], {}, "en"),
    ],
)
def test_the_language_is_that_of_the_option_else_of_the_locale(words, environment, expected):
    assert language.choose(words, environment) == expected


def test_a_language_that_is_none_is_refused():
    done = CliRunner().invoke(cli, ["status", "--lang", "xx"], env={"LC_ALL": "C"})
    assert done.exit_code == 2
    assert "'xx'" in done.stderr


@pytest.mark.parametrize(
    "words", [["--lang", "tr", "drivers", "list", "sdm630"], ["drivers", "list", "sdm630", "--lang", "tr"]]
)
def test_it_may_stand_anywhere(words):
    assert "Ayrıntısı" in CliRunner().invoke(cli, words, env={"LC_ALL": "C"}).stdout


def test_one_run_leaves_no_trace_in_the_next():
    first, second, third = (
        CliRunner().invoke(cli, ["--lang", name, "plan", "--help"]).stdout for name in ("en", "tr", "en")
    )
    assert first == third != second
    assert "Kullanım:" in second
    assert "Usage:" in first
    assert not set(second.split()) & {"Options:", "Show", "message", "exit."}


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["nonsense"], "diye bir komut yok"), (["plan", "a", "b"], "fazla: bu komut tek dosya alır")],
)
def test_what_is_wrong_with_the_words_is_said_in_turkish(words, expected):
    done = CliRunner().invoke(cli, ["--lang", "tr", *words], env={"LC_ALL": "C"})
    assert done.exit_code == 2
    assert expected in done.stderr
    assert "Hata:" in done.stderr


def test_numbers_are_written_as_the_language_does(monkeypatch, tmp_path):
    patch(monkeypatch)
    assert "1.234.567,891" in show(["read"], 200, "tr")
    assert "1,234,567.891" in show(["read"], 200, "en")


def test_english_loads_no_catalogue():
    code = "import sys; from gateway.cli import cli; cli(['--lang', 'en', '--help'], standalone_mode=False)"
    code = f"import sys\ntry:\n {code}\nexcept SystemExit: pass\nprint('gateway.status' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


class Marked:
    """A catalogue that shows what went through it."""

    def gettext(self, message):
        return f"⟦{message}⟧"

    def ngettext(self, one, many, count):
        return f"⟦{one if count == 1 else many}⟧"


# What daemon, tables and configuration say is theirs, and stays as they say it.
GIVEN = re.compile(
    r"meter chiller: address was 3, is 55[^⟧\n]*|bus line1: baudrate[^⟧\n]*|unit 3 did not answer|check "
    r"its address[^⟧\n]*"
    r"|no register is known|there is no GPIO → move it|batch 5 does not fit its checksum|not a batch but "
    r"something[^⟧\n]*|⟦warning: [^\n]*"
)
NAMES = re.compile(r"\S*/\S*|--?[a-z][a-z-]*|\[[^\] ]*\]")
"""Paths, options and their choices."""
WORDS = {
    "the",
    "and",
    "not",
    "with",
    "of",
    "is",
    "are",
    "no",
    "at",
    "by",
    "to",
    "from",
    "it",
    "its",
    "reads",
    "readings",
    "values",
    "batches",
    "load",
    "every",
    "when",
    "stored",
    "missing",
    "holds",
    "uses",
    "problem",
    "problems",
    "driver",
    "drivers",
    "found",
    "good",
    "open",
    "closed",
    "fast",
}


@pytest.mark.parametrize(
    "name",
    [
        "status",
        "read",
        "plan",
        "plan that is refused",
        "check",
        "journal status",
        "journal show",
        "journal salvage",
        "pulses",
        "pulses set",
        "receive --report",
        "drivers list, few",
        "submeter plan --help",
        "submeter journal export --help",
        "submeter demo --help",
        "submeter receive --help",
    ],
)
def test_every_word_of_the_commands_own_goes_through_the_catalogue(name, known, monkeypatch):
    patch(monkeypatch)
    page.catalogue("tr")  # it is kept: no other test may meet the one that marks
    monkeypatch.setattr(page, "translation", lambda _language: Marked())
    text = GIVEN.sub("", show(known[name], 1000, "tr"))
    assert "⟦" in text
    while (less := re.sub(r"⟦[^⟦⟧]*⟧", "", text)) != text:
        text = less
    assert not set(re.findall(r"[a-zçğıöşü]+", NAMES.sub("", text))) & WORDS, text


def test_turkish_leaves_none_of_the_english_sentences(known, monkeypatch):
    patch(monkeypatch)
    for name in ("status", "plan", "journal status", "pulses", "receive --report"):
        told = set(re.findall(r"[a-zçğıöşü]+", NAMES.sub("", GIVEN.sub("", show(known[name], 1000, "tr")))))
        assert not told & (WORDS - {"is", "no", "at"}), (name, told & WORDS)
