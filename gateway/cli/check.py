"""submeter check FILE: every problem of a configuration at once; with --here also what this machine says of it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.check import check, look_here
from gateway.cli.client import socket_path
from gateway.cli.options import config_option, only_config, socket_option


@click.command(
    name="check",
    help="Check a configuration, its meter tables and the files that it names, and print every problem as "
    "file:line: key: what is wrong → what to write. Exit 1 when there is one; a warning alone is none.",
)
@click.argument("words", nargs=-1, metavar="[FILE]")
@config_option
@click.option(
    "--here",
    is_flag=True,
    help="Also look at this machine: ports, rights of the service's user, host names, certificates' dates, free disk, the page's address.",
)
@socket_option
def command(words: tuple[str, ...], file: Path | None, here: bool, socket: Path) -> None:
    """Print the problems, or one line that says what the file describes."""
    path = only_config(words, file)
    found = check(path)
    problems, config = found.problems, found.config
    if here and config is not None:
        problems += look_here(path, config, found.drivers, socket_path(socket))
    warnings = found.warnings if here else [*found.warnings, *found.ports]
    for problem in problems:
        print(problem)
    for warning in warnings:
        print(f"warning: {warning}")
    if here and config is None:
        print("\nThis machine is looked at when the file itself is good.", file=sys.stderr)
    if problems or config is None:
        print(f"\n{path}: {len(problems)} problem{'s' * (len(problems) != 1)}", file=sys.stderr)
        sys.exit(1)
    counts = (
        _count(sum(meter.enabled for meter in config.meters), "meter"),
        _count(len(config.buses), "bus"),
        _count(len(config.pulses), "pulse input"),
        _count(len(config.uplinks), "uplink"),
    )
    print(f"{path}: good{' here' if here else ''}. Gateway {config.gateway.id}: {', '.join(counts)}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
