"""submeter restore: an empty card becomes the gateway of a backup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from gateway.backup import opener_for, restore
from gateway.cli.language import N_, _, ngettext
from gateway.cli.options import config_option
from gateway.cli.prose import say
from gateway.common.files import open_given, read_secret
from gateway.errors import BackupError
from gateway.host import CONFIG

Result = TypeVar("Result")


@click.command(
    name="restore",
    help=N_(
        "Put back what submeter backup has made. Only where no gateway lives yet; the service that waits "
        "there begins by itself. Readings go on under a new epoch: no number is used twice."
    ),
)
@click.argument("backup", type=click.Path(path_type=Path))
@config_option
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help=N_("The file of the secret key; else a passphrase is asked for."),
)
@click.option(
    "--from-platform",
    is_flag=True,
    help=N_("It is the small one that the platform keeps, without history and TLS key."),
)
def command(backup: Path, file: Path | None, key: Path | None, *, from_platform: bool) -> None:
    """Restore a backup."""
    secret = _opened(key, read_secret) if key is not None else None
    opener = opener_for(secret=secret, ask=_ask if key is None else None)
    with _opened(backup, open_given) as source:
        back = restore(source, opener, (file or CONFIG).absolute(), from_platform=from_platform)
    text = ngettext(
        "This is %(gateway)s again, as it was at %(time)s (UTC): %(n)s file.",
        "This is %(gateway)s again, as it was at %(time)s (UTC): %(n)s files.",
        len(back.files),
    )
    say(text % {"gateway": back.gateway, "time": f"{back.made:%Y-%m-%d %H:%M}", "n": len(back.files)})
    for name in back.missing:
        say(_("%(key)s is not in it: submeter enroll makes a new one.") % {"key": name}, mark="! ")
    say(_("The gateway that it was before must not run again beside it."))


def _opened(place: Path, act: Callable[[Path], Result]) -> Result:
    try:
        return act(place)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise BackupError(f"{place}: {what}", hint=_("name a file that can be read")) from error


def _ask() -> str:
    words: str = click.prompt(_("Passphrase"), hide_input=True)
    return words
