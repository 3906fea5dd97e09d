"""A configuration that cannot be read, or that is none: each command that takes -c says what is wrong with it
and what to do, and waits for nothing.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from cli_screens import COMMANDS
from click.testing import CliRunner

from gateway.cli import cli, main

NOBODY = 65534
LIMIT = 120
"""s; a command that opens a pipe waits for ever."""
GOOD = """gateway: {id: g}
buses: [{name: b, type: tcp, host: 127.0.0.1, port: 1}]
meters: [{id: main, bus: b, address: 1, driver: eastron-sdm630}]
"""
KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "barred": (lambda file: (file.write_text(GOOD), file.chmod(0)), "Permission denied → use sudo"),
    "missing": (lambda _file: None, "No such file or directory → check the path"),
    "folder": (lambda file: file.mkdir(), "is not a regular file → is this the right file?"),
    "pipe": (os.mkfifo, "is not a regular file → is this the right file?"),
    "empty": (lambda file: file.write_text(""), "→ "),
    "binary": (lambda file: file.write_bytes(bytes(range(256)) * 4), "→ "),
    "UTF-16": (lambda file: file.write_text(GOOD, "utf-16"), "is UTF-16 text, not UTF-8 → save it as UTF-8"),
    "another key": (lambda file: file.write_text(GOOD + "colour: red\n"), "colour: "),
}
"""How a file is made, and what is said of it."""
REST = {
    "correct": "main 2026-10-01T00:00 2026-10-01T01:00 --value 5 --why y",
    "drivers show": "own-table",
    "report": "--to HOUSE/r",
    "drivers try": "--meter main",
    "drivers check": "",
    "journal export": "HOUSE/out",
    "backup": "HOUSE/b.bak --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    "bill": "--from 2026-10-01 --to 2026-10-31 --t1 5",
    "swap": "main --yes",
    "pulses set": "water 5",
    "enroll": "--uplink city",
}
"""What else a command wants to hear."""
ASKS = {"pulses", "pulses set", "pulses show", "reload", "status", "correct", "swap", "report"}
"""They ask the running gateway first: without one, that is what they say."""
MAKES = {"provision", "restore", "apply"}
"""They write the file, and have tests of their own."""


def takes_config() -> list[str]:
    found = []
    for words in COMMANDS:
        command: click.Command = cli
        for word in words:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word)  # type: ignore[assignment]
        if any("--config" in option.opts for option in command.params):
            found.append(" ".join(words))
    return [name for name in found if name not in MAKES]


NAMES = takes_config()
BEGINS = {"missing", "empty", "another key"}
"""What `setup` goes on from."""
CASES = [(name, kind) for name in NAMES for kind in KINDS if name != "setup" or kind not in BEGINS]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """What pytest makes is closed to others."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o777)
        yield folder


def told(words: list[str], folder: Path) -> tuple[int, str]:
    """Exit status and output of a command, run by nobody in a process of its own."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        code = 99
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(LIMIT)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            sys.stdin, sys.stdout, sys.stderr = (
                os.fdopen(n, "w" if n else "r", closefd=False) for n in range(3)
            )
            os.environ.update(SUBMETER_SOCKET=str(folder / "no.sock"), COLUMNS="400", LC_ALL="C.UTF-8")
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            sys.argv = ["submeter", *words]
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as output:
        said = output.read().decode(errors="replace")
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said


def line(name: str, file: Path) -> list[str]:
    return [*name.split(), *REST.get(name, "").replace("HOUSE", str(file.parent)).split(), "-c", str(file)]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_is_wrong_with_the_file_and_what_to_do_is_said(name: str, kind: str, open_folder: Path) -> None:
    file = open_folder / "gateway.yaml"
    make, expected = KINDS[kind]
    make(file)
    code, said = told(line(name, file), open_folder)
    assert code not in {0, 99}, said
    assert "Traceback" not in said
    assert " → " in said or "Error: " in said, said
    if name not in ASKS:
        assert str(file) in said
        assert expected in said
    else:
        assert expected in said or re.search(r"no daemon listens on .* → ", said), said


@pytest.mark.parametrize("name", ["check", "plan"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_editors_of_windows_write_is_good(name: str, mark: bytes, end: str, open_folder: Path) -> None:
    file = open_folder / "gateway.yaml"
    text = GOOD + f"journal: {{directory: {open_folder}}}\n"
    file.write_bytes(mark + text.replace("\n", end).encode())
    code, said = told(line(name, file), open_folder)
    assert code == 0, said


@pytest.mark.parametrize("text", ["gateway: {id: g}\n", "gateway: {id: G}\n"], ids=["good", "bad"])
@pytest.mark.parametrize("odd", ["\x1b[2J", "\u202e", "\x9b31m"])
def test_the_name_of_a_file_cannot_act_on_who_reads_it(tmp_path, text, odd):
    path = tmp_path / f"a{odd}b.yaml"
    path.write_text(text)
    said = CliRunner().invoke(cli, ["check", "-c", str(path)])
    assert "b.yaml" in said.output
    assert not any(character in said.output for character in odd if not character.isprintable())
