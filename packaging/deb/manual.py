"""The manual page and the completion of shells, from what the commands say of themselves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import click

from gateway.cli import cli, prepare
from gateway.cli.language import _, choose, speaking

_MARKS = re.compile(r"([\\.'-])")
COLUMNS = 78
"""As wide as a help text is when a page is made of it; the reader's pager breaks its lines anew."""


def manual(language: str, version: str) -> str:
    """The page submeter(1) in a language, in the words of --help, as troff with the macros of man(7)."""
    os.environ["COLUMNS"] = str(COLUMNS)
    with speaking(choose(["--lang", language], {})):
        prepare(cli)
        lines = [f'.TH SUBMETER 1 "" "submeter-gateway {version}"', ".nh", ".ad l"]
        lines += [".SH NAME", f"submeter \\- {_roff(_plain(cli.help or ''))}"]
        lines += [".SH SYNOPSIS", ".B submeter", ".I COMMAND", "[...]", f".SH {_('Commands').upper()}"]
        context = click.Context(cli, info_name="submeter")
        for name in cli.list_commands(context):
            command = cli.get_command(context, name)
            assert command is not None
            lines += _command(command, f"submeter {name}", context)
        lines += [".SH FILES", ".TP", ".I /etc/submeter/gateway.yaml", ".TP", ".I /var/lib/submeter",
                  ".TP", ".I /opt/submeter/share/doc/submeter\\-gateway"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _command(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent)
    pieces = " ".join(command.collect_usage_pieces(context))
    yield from (f".SS {_roff(name)} {_roff(pieces)}", _roff(_plain(command.help or "")))
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is not None:
            yield from (".TP", f".B {_roff(record[0])}", _roff(_plain(record[1])))
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from _command(found, f"{name} {child}", context)


def _plain(text: str) -> str:
    return " ".join(text.replace("\b", "").split())


def _roff(text: str) -> str:
    return _MARKS.sub(lambda found: {".": r"\&.", "'": r"\(aq", "-": r"\-", "\\": r"\e"}[found[0]], text)


def completion(shell: str) -> str:
    """What completes the words of `submeter` in a shell: bash, zsh or fish."""
    program = "import sys; sys.argv[0] = 'submeter'; from gateway.cli import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "_SUBMETER_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout
