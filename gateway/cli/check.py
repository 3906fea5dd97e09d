"""submeter check FILE: every problem of a configuration at once; with --here also what this machine says
of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.check import check, check_machine
from gateway.cli.language import N_, _, in_words, ngettext
from gateway.cli.options import config_option, only_config, socket_option
from gateway.cli.prose import say
from gateway.host import socket_path


@click.command(
    name="check",
    help=N_(
        "Check a configuration, its meter tables and the files that it names, and print every problem as "
        "file:line: key: what is wrong → what to write. Exit 1 when there is one; a warning alone is none."
    ),
)
@click.argument("words", nargs=-1, metavar="[FILE]")
@config_option
@click.option(
    "--here",
    is_flag=True,
    help=N_(
        "Also look at this machine: ports, rights of the service's user, host names, certificates' dates, "
        "free disk, the page's address."
    ),
)
@socket_option
def command(words: tuple[str, ...], file: Path | None, here: bool, socket: Path | None) -> None:
    """Print the problems, or one line that says what the file describes."""
    path = only_config(words, file)
    found = check(path)
    problems, config = found.problems, found.config
    if here and config is not None:
        problems += check_machine(path, config, found.drivers, socket_path(socket))
    warnings = found.warnings if here else [*found.warnings, *found.ports]
    for problem in problems:
        say(in_words(str(problem)))
    for warning in warnings:
        say(_("warning: %(text)s") % {"text": in_words(warning)})
    if here and config is None:
        say("\n" + _("This machine is looked at when the file itself is good."), err=True)
    if problems or config is None:
        count = ngettext("%(n)s problem", "%(n)s problems", len(problems)) % {"n": len(problems)}
        say(f"\n{path}: {count}", err=True)
        sys.exit(1)
    meters, buses, pulses, uplinks = (
        sum(meter.enabled for meter in config.meters),
        len(config.buses),
        len(config.pulses),
        len(config.uplinks),
    )
    counts = (
        ngettext("%(n)s meter", "%(n)s meters", meters) % {"n": meters},
        ngettext("%(n)s bus", "%(n)s buses", buses) % {"n": buses},
        ngettext("%(n)s pulse input", "%(n)s pulse inputs", pulses) % {"n": pulses},
        ngettext("%(n)s uplink", "%(n)s uplinks", uplinks) % {"n": uplinks},
    )
    text = (
        _("%(file)s: good here. Gateway %(id)s: %(counts)s.")
        if here
        else _("%(file)s: good. Gateway %(id)s: %(counts)s.")
    )
    say(text % {"file": path, "id": config.gateway.id, "counts": ", ".join(counts)})
