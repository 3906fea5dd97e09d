"""submeter check FILE: every problem of a configuration at once."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.catalogue import load_driver
from gateway.cli.options import config_option, only_config
from gateway.common.files import read_secret
from gateway.config import Config, load_config
from gateway.config.load import shared_lines
from gateway.config.schema import SerialBus
from gateway.config.yamlfile import MAX_PROBLEMS, dotted, line_of, load_yaml
from gateway.errors import ConfigError, DriverError, Problem
from gateway.field.adapter import forecast
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
        check_secrets(config, path)
        if shared := shared_lines(path):
            raise ConfigError(shared)  # noqa: TRY301 - printed with the others
    except ConfigError as error:
        for problem in error.problems:
            print(problem)
        print(f"\n{path}: {len(error.problems)} problem{'s' * (len(error.problems) != 1)}", file=sys.stderr)
        sys.exit(1)
    for uplink in config.uplinks:
        for line in open_to_others(uplink):
            print(f"warning: {line}")
    for pulse in config.pulses:
        if pulse.max_rate and pulse.max_rate > pulse.fastest:
            print(f"warning: pulse input {pulse.id}: max_rate {pulse.max_rate:g} is never reached, min_width and min_gap let "
                  f"{pulse.fastest:.3g} pulses a second be counted → make them smaller, or leave min_width and min_gap out")  # fmt: skip
    for index, bus in enumerate(config.buses):
        if isinstance(bus, SerialBus) and (doubt := forecast(bus)):
            print(f"warning: buses[{index}].port: {doubt}")
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


def check_secrets(config: Config, file: Path) -> None:
    """Look at every password file that is here and may be read. Raises ConfigError; a file that is elsewhere is no mistake."""
    problems = []
    for index, uplink in enumerate(config.uplinks):
        try:
            if uplink.password_file:
                read_secret(Path(uplink.password_file))
        except OSError:
            continue
        except ValueError as error:
            what, _, mend = str(error).partition(": ")
            key: list[str | int] = ["uplinks", index, "password_file"]
            line = line_of(load_yaml(file)[0], key)
            problems.append(Problem(str(file), line, dotted(key), f"{uplink.password_file} {what}", mend))
    if problems:
        raise ConfigError(problems)


def check_drivers(config: Config) -> None:
    """Load every driver that the configuration names. Raises DriverError with all their problems."""
    problems = []
    for name in sorted({meter.driver for meter in config.meters}):
        try:
            load_driver(name, Path(config.drivers.directory))
        except DriverError as error:
            problems += error.problems
        if len(problems) > MAX_PROBLEMS:
            break
    if problems:
        raise DriverError(problems)
