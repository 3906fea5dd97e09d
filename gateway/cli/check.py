"""submeter check FILE: every problem of a configuration at once."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.catalogue import load_driver
from gateway.cli.options import config_option, only_config
from gateway.config import Config, load_config
from gateway.errors import ConfigError, DriverError
from gateway.uplink.security import open_to_others


@click.command(name="check", help="Check a configuration and print every problem as file:line: key: what is wrong → what to write.")
@click.argument("words", nargs=-1, metavar="[FILE]")
@config_option
def command(words: tuple[str, ...], file: Path | None) -> None:
    """Print the problems, or one line that says what the file describes."""
    path = only_config(words, file)
    try:
        config = load_config(path)
        check_drivers(config)
    except ConfigError as error:
        for problem in error.problems:
            print(problem)
        print(f"\n{path}: {len(error.problems)} problem{'s' * (len(error.problems) != 1)}", file=sys.stderr)
        sys.exit(1)
    for uplink in config.uplinks:
        for line in open_to_others(uplink):
            print(f"warning: {line}")
    enabled = sum(meter.enabled for meter in config.meters)
    counts = (
        _count(enabled, "meter"),
        _count(len(config.buses), "bus"),
        _count(len(config.pulses), "pulse input"),
        _count(len(config.uplinks), "uplink"),
    )
    print(f"{path}: good. Gateway {config.gateway.id}: {', '.join(counts)}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def check_drivers(config: Config) -> None:
    """Load every driver that the configuration names. Raises DriverError with all their problems."""
    problems = []
    for name in sorted({meter.driver for meter in config.meters}):
        try:
            load_driver(name, Path(config.drivers.directory))
        except DriverError as error:
            problems += error.problems
    if problems:
        raise DriverError(problems)
