"""The command `submeter`: one file per command, loaded only when it is called."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import click

from gateway import __version__
from gateway.cli.language import LANGUAGES, N_, _, choose, in_words, speaking
from gateway.cli.prose import HelpContext, say
from gateway.common.on_demand import load
from gateway.errors import GatewayError

COMMANDS = {
    "apply": N_("carry out, as root, what a platform has sent signed"),
    "backup": N_("put everything that makes this gateway into one encrypted file"),
    "bill": N_("print the distributor's bill beside the main meter"),
    "care": N_("look after a gateway from afar, by signed commands"),
    "card": N_("say how often the file system writes to the card, or change it"),
    "check": N_("check a configuration and print every problem"),
    "correct": N_("set what a meter took between two times, as a person knows it"),
    "demo": N_("run the whole product against simulated meters"),
    "doctor": N_("measure what is wrong, name the cause and what to do"),
    "drivers": N_("list, show, check and try the meter tables"),
    "enroll": N_("have this gateway's key certified by the platform"),
    "energy": N_("print the energy of each quarter hour, the gateway's own or that of a file of readings"),
    "fleet": N_("simulate the gateways of a city at a broker, and judge the platform"),
    "journal": N_("look into the journal: status, show, export, salvage"),
    "plan": N_("print the reads, their time, and what they cost"),
    "ports": N_("list the serial ports, who uses them and what is wrong"),
    "provision": N_("set a gateway up by submeter.yaml on its boot partition"),
    "pulses": N_("show pulse inputs and set their registers"),
    "read": N_("poll meters now and print their values"),
    "receive": N_("run the reference receiver: the platform's half"),
    "reload": N_("make the running daemon read its configuration again"),
    "report": N_("write the hand-over document of this site, or prove one"),
    "restore": N_("make an empty card the gateway of a backup"),
    "run": N_("run the gateway"),
    "scan": N_("find the meters of a line or a host and say which they are"),
    "setup": N_("set a gateway up, step by step, to the first receipt"),
    "sign": N_("certify the keys of gateways: the platform's half of enroll"),
    "status": N_("say in a few lines how the running daemon is"),
    "swap": N_("exchange a meter: its energy goes on without a jump"),
    "wiring": N_("say which conductor each current transformer measures"),
}
"""Every command and its one line of help; the module gateway.cli.<name> holds `command`."""

_LANG = N_("The language: tr or en.  [default: that of the locale]")
_PLACEHOLDER = re.compile(r"[A-Z]{2,}(?: [A-Z]{2,})*")
_sources: WeakKeyDictionary[object, dict[str, str]] = WeakKeyDictionary()
"""Texts of a command, an option or a type as the source has them, by attribute."""


def prepare(command: click.Command) -> click.Command:
    """A command as it is shown in the language of this run, with --lang; its subcommands too. It may be
    prepared again.
    """
    command.context_class = HelpContext
    command._help_option = None  # noqa: SLF001 - made anew in the language of this run
    if not any(isinstance(option, click.Option) and "--lang" in option.opts for option in command.params):
        command.params.append(
            click.Option(["--lang"], type=click.Choice(LANGUAGES), expose_value=False, help=_LANG)
        )
    command.help = command.short_help = _(_source(command, "help", command.help or ""))
    command.options_metavar = _placeholders(_source(command, "options", command.options_metavar or ""))
    for option in command.params:
        _prepare_option(option, command)
    if isinstance(command, click.Group):
        command.subcommand_metavar = _placeholders(_source(command, "words", command.subcommand_metavar))
        for child in command.commands.values():
            prepare(child)
    return command


def _prepare_option(option: click.Parameter, command: click.Command) -> None:
    option.type.name = _source(option.type, "name", _type_name(option.type))
    shown = _source(option, "metavar", option.make_metavar(click.Context(command)))
    option.type.name, option.metavar = _(option.type.name), _placeholders(shown)
    if isinstance(option, click.Option):
        option.help = _(_source(option, "help", option.help or "")) or None


def _type_name(kind: click.ParamType[Any]) -> str:
    """What click calls it; a path was given its name in the language of the run in which it was made."""
    if not isinstance(kind, click.Path):
        return kind.name
    return "path" if kind.file_okay and kind.dir_okay else "file" if kind.file_okay else "directory"


def _source(owner: object, attribute: str, shown: str) -> str:
    return _sources.setdefault(owner, {}).setdefault(attribute, shown)


def _placeholders(shown: str) -> str:
    """What stands for a word that is to be typed: [FILE], METER=T."""
    return _PLACEHOLDER.sub(lambda word: _(word[0]), shown)


class _Commands(click.Group):
    """Loads a command's module when it is called: `run` must not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = load(f"gateway.cli.{cmd_name}").command
        return prepare(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section(_("Commands")):
            formatter.write_dl([(name, _(text)) for name, text in sorted(COMMANDS.items())])

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Find the language before anything is loaded, and print what is wrong with the words within the
        terminal's columns.
        """
        words = sys.argv[1:] if args is None else list(args)
        with speaking(choose(words, os.environ)):
            prepare(self)
            try:
                code = super().main(words, *rest, **{**options, "standalone_mode": False})
            except click.exceptions.NoArgsIsHelpError as error:
                error.show()
                sys.exit(error.exit_code)
            except click.ClickException as error:
                context = getattr(error, "ctx", None)
                if context is not None:
                    print(context.get_usage(), file=sys.stderr)
                    hint = _("Try '{command} {option}' for help.").format(
                        command=context.command_path, option="--help"
                    )
                    say(hint, err=True)
                say(_("Error: {message}").format(message=error.format_message()), err=True)
                sys.exit(error.exit_code)
            except click.Abort:
                sys.exit(1)
            sys.exit(code if isinstance(code, int) else 0)


@click.group(
    cls=_Commands,
    help=N_("Submeter Gateway: meters in, every reading at the platform, once."),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="submeter")
def cli() -> None:
    """The command itself."""


def main() -> None:
    """Run the command line; an error of ours, or what the user may not open, is a clear line, not a stack
    trace.
    """
    try:
        cli()
    except GatewayError as error:
        with speaking(choose(sys.argv[1:], os.environ)):
            say(f"submeter: {in_words(str(error))}", err=True)
        sys.exit(1)
    except PermissionError as error:
        if not error.filename:
            raise
        barred = GatewayError(f"you may not open {error.filename}", hint="use sudo")
        with speaking(choose(sys.argv[1:], os.environ)):
            say(f"submeter: {in_words(str(barred))}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
