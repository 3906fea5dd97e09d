"""The command `submeter`: one file per command, loaded only when it is called."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from gateway import __version__
from gateway.errors import GatewayError

COMMANDS = {
    "check": "check a configuration and print every problem",
    "demo": "run the whole product against simulated meters",
    "drivers": "list, show, check and try the meter tables",
    "journal": "look into the journal: status, show, export, salvage",
    "plan": "print the reads, their time, and what they cost",
    "pulses": "show pulse inputs and set their registers",
    "read": "poll meters now and print their values",
    "receive": "run the reference receiver: the platform's half",
    "reload": "make the running daemon read its configuration again",
    "run": "run the gateway",
    "status": "say in a few lines how the running daemon is",
}
"""Every command and its one line of help; the module gateway.cli.<name> holds `command`."""


class _Commands(click.Group):
    """Loads a command's module when it is called: `run` must not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"gateway.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="submeter")
def cli() -> None:
    """Submeter Gateway: meters in, every reading at the platform, once."""


def main() -> None:
    """Run the command line; an error of ours is a clear line, not a stack trace."""
    try:
        cli()
    except GatewayError as error:
        print(f"submeter: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
