"""What several commands take: the configuration's file and the control socket of the running daemon."""

from __future__ import annotations

import errno
from pathlib import Path

import click

from gateway.cli.language import N_, _, in_words
from gateway.common.files import read_given
from gateway.errors import GatewayError
from gateway.host import CONFIG

_PATH = click.Path(path_type=Path, readable=False)
"""Whoever opens it says what is wrong with it, and what to do."""
config_option = click.option(
    "-c",
    "--config",
    "file",
    type=_PATH,
    metavar="FILE",
    help=N_("The configuration, else /etc/submeter/gateway.yaml."),
)
socket_option = click.option(
    "--socket",
    type=_PATH,
    help=N_("The daemon's control socket, else that of SUBMETER_SOCKET, else /run/submeter/control.sock."),
)


MAX_GIVEN = 1024 * 1024
"""Bytes of a file that a person wrote, or of a certificate."""


def unreadable(path: Path, why: str, hint: str = "") -> GatewayError:
    """What is said of a file that cannot be read, `why` as the system says it; unless `hint` says otherwise
    its name or rights may be wrong.
    """
    text = _("%(path)s cannot be read: %(why)s") % {"path": path, "why": in_words(why)}
    return GatewayError(text, hint=hint or _("look at the name and the rights of the file"))


def backwards(first: object, last: object) -> click.UsageError:
    """What is said of a range that ends before it begins."""
    text = _("--to is before --from (%(last)s, %(first)s): exchange the two")
    return click.UsageError(text % {"last": last, "first": first})


def given_bytes(path: Path, most: int = MAX_GIVEN) -> bytes:
    """What stands in a file that a command was given. Raises GatewayError."""
    try:
        return read_given(path, most)
    except OSError as error:
        hint = _("look whether it is the file that is meant") if error.errno == errno.EFBIG else ""
        raise unreadable(path, error.strerror or "", hint) from error


def given_text(path: Path) -> str:
    """The same of a small text in UTF-8. Raises GatewayError."""
    try:
        return given_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        text = _("%(path)s cannot be read: %(why)s") % {"path": path, "why": _("it is not UTF-8 text")}
        raise GatewayError(text, hint=_("save it as UTF-8")) from error


def is_path(word: str) -> bool:
    """Whether a word of the command line names a file: the id of a meter never does."""
    return "/" in word or word.endswith((".yaml", ".yml"))


def split_config(words: tuple[str, ...], config: Path | None) -> tuple[Path | None, tuple[str, ...]]:
    """The configuration's file and the other words: the first word may be the file instead of -c.

    Raises click.UsageError when both name one.
    """
    if not words or not is_path(words[0]):
        return config, words
    if config is not None:
        text = _("the configuration is named twice: %(word)s and -c %(file)s; leave one out")
        raise click.UsageError(text % {"word": words[0], "file": config})
    return Path(words[0]), words[1:]


def only_config(words: tuple[str, ...], config: Path | None) -> Path:
    """The configuration's file of a command that takes no other word. Raises click.UsageError for a word
    too many.
    """
    if len(words) == 1 and config is None:
        return Path(words[0])
    config, rest = split_config(words, config)
    if rest:
        raise click.UsageError(
            _("%(word)s is a word too many: this command takes one file") % {"word": repr(rest[0])}
        )
    return config or CONFIG
