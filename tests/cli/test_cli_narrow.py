"""Every command in a terminal of 60 columns, in both languages: nothing is cut, no word is parted, nothing
is left out.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from cli_screens import COMMANDS, patch, show

from gateway.cli.prose import aligned, entry, said, wrapped

COLUMNS = 60
NAMES = [
    "check",
    "check of a bad file",
    "plan",
    "plan that is refused",
    "drivers list",
    "drivers list, few",
    "drivers show",
    "drivers show, SunSpec",
    "drivers show, variants",
    "drivers check",
    "drivers check of a bad one",
    "drivers vocabulary",
    "drivers try",
    "drivers try of a wrong one",
    "energy",
    "journal status",
    "journal show",
    "journal salvage",
    "receive --report",
    "status",
    "read",
    "pulses",
    "pulses set",
    "reload",
    "a word too many",
    "no such option",
    *(" ".join(("submeter", *words, "--help")) for words in COMMANDS),
]


def too_long(text: str, columns: int = COLUMNS) -> list[str]:
    """Lines that are wider than the terminal; a single word, like a path, may be: it is not parted."""
    return [
        line for line in text.splitlines() if len(line) > columns and len(line.strip(" !→").split(" ")) > 1
    ]


def test_every_screen_is_looked_at(known):
    assert set(known) == set(NAMES)


@pytest.mark.parametrize("language", ["en", "tr"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_parted_or_left_out(name, language, known, monkeypatch):
    patch(monkeypatch)
    narrow, wide = (show(known[name], columns, language) for columns in (COLUMNS, 200))
    assert not too_long(narrow)
    assert len(narrow) > 20
    # Every word that stands there at 200 columns stands there at 60, whole, in the same order.
    assert narrow.split() == wide.split()


@pytest.mark.parametrize(
    "name", ["plan", "status", "pulses", "drivers show", "receive --report", "submeter read --help"]
)
def test_the_control_these_screens_are_wider_where_there_is_room(name, known, monkeypatch):
    patch(monkeypatch)
    assert too_long(show(known[name], 200, "en"))


@pytest.mark.parametrize("language", ["en", "tr"])
def test_plan_names_each_meter_with_its_numbers(language, known):
    text = show(known["plan"], COLUMNS, language)
    for meter in ("main: ", "cooling-server-room-3: "):
        assert f"\n  {meter}" in text
    assert re.search(r"10 s" if language == "en" else "10 saniyede", text)
    assert "4:0000+" in text


def on_a_terminal(words: list[str], columns: int, locale: str) -> str:
    """What a process prints on a pty of so many columns, and nothing else says how wide it is."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"COLUMNS", "LINES", "LC_ALL", "LC_MESSAGES", "LANGUAGE"}
    }
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", *words],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**environment, "LANG": locale},
    ) as process:
        os.close(follower)
        data = b""
        try:
            while piece := os.read(leader, 65536):
                data += piece
        except OSError:
            pass  # its other end is closed
        finally:
            os.close(leader)
            process.wait(60)
    return data.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("locale", "said_so"), [("C.UTF-8", "a month to each platform"), ("tr_TR.UTF-8", "her platforma ayda")]
)
def test_a_real_terminal_says_its_width_and_the_locale_its_language(locale, said_so, known):
    narrow, wide = (on_a_terminal(known["plan"], columns, locale) for columns in (COLUMNS, 200))
    assert not too_long(narrow)
    assert too_long(wide)
    assert narrow.split() == wide.split()
    assert said_so in " ".join(narrow.split())


def test_an_error_on_a_real_terminal_is_wrapped_and_its_action_stands_below(tmp_path):
    words = ["status", "--socket", str(tmp_path / "none.sock")]
    told = on_a_terminal(words, COLUMNS, "C.UTF-8")
    assert told.startswith("submeter: no daemon listens on")
    assert "\n  → systemctl start submeter-gateway" in told
    assert not too_long(told)


def test_a_pipe_has_a_line_for_a_line(known):
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *known["plan that is refused"]],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert [line.startswith("the intervals of bus line1 need") for line in done.stderr.splitlines()] == [True]


@pytest.mark.parametrize("columns", [20, 40, 60, 61, 80, 200])
def test_the_ways_to_write_keep_to_the_width(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = "the power-factor of L1-N is not believable → read register 0x0010 and compare it with the display"
    for lines in (
        said(text), said(text, "  ", "! "), wrapped(text, "    ", "      "),
        entry("name", text, 12), entry("a-name-of-more-than-that", text, 12),
        aligned([("a", "1", text), ("bcd", "1,234.5", ""), ("e", "2", "short")], right=(1,)),
    ):  # fmt: skip
        assert all(len(line) <= max(columns, 30) for line in lines), lines
        assert "power-factor" in " ".join(" ".join(lines).split())
    assert "\u00a0" not in "".join(wrapped("231.4\u00a0V"))
    if columns == 60:
        assert wrapped(f"{'x' * 53} 231.4 V") == ["x" * 53, "231.4 V"]
        assert said(text, "  ", "! ") == [
            "  ! the power-factor of L1-N is not believable",
            "    → read register 0x0010 and compare it with the display",
        ]
