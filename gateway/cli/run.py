"""submeter run CONFIG: the gateway itself."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

import click

from gateway.cli.language import N_, in_words
from gateway.cli.options import config_option, only_config
from gateway.daemon import Daemon, Waiting
from gateway.errors import ConfigError
from gateway.host import PollingLoop, begin_start

TURN = 0.0005
"""s that a thread may compute before another one has its turn; Python's own is ten times as long."""


@click.command(
    name="run", help=N_("Run the gateway: poll the meters, keep every reading, deliver them, serve the page.")
)
@click.argument("words", nargs=-1, metavar="[FILE]")
@config_option
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help=N_("How much to say."),
)
@click.option(
    "--wait",
    is_flag=True,
    help=N_("Without a configuration: wait until there is one, and say so on the page."),
)
def command(words: tuple[str, ...], file: Path | None, log_level: str, *, wait: bool) -> None:
    """Run until SIGTERM; SIGHUP reads the configuration again."""
    begin_start()
    # Engine and page compute in threads of their own: no poll that is due may wait for all their turns.
    sys.setswitchinterval(TURN)
    logging.basicConfig(level=log_level.upper(), stream=sys.stderr, format=_format())
    try:
        with asyncio.Runner(loop_factory=PollingLoop) as runner:
            runner.run(_run(only_config(words, file), wait=wait))
    except ConfigError as error:
        print(in_words(str(error)), file=sys.stderr)
        sys.exit(
            os.EX_CONFIG
        )  # 78: the service manager need not try again before somebody has mended the file


def _format() -> str:
    # The journal of the service manager adds the time; a terminal does not.
    return (
        "%(levelname)s %(message)s" if not sys.stderr.isatty() else "%(asctime)s %(levelname)-7s %(message)s"
    )


async def _run(config: Path, *, wait: bool) -> None:
    if wait and not await Waiting(config).run():
        return
    await Daemon(config).run()
