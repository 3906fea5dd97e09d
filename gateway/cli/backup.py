"""submeter backup: everything that makes this gateway, in one file that only its recipient can open."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from gateway.backup import Left, Sealer, new_key, send_backup, write_backup
from gateway.cli.language import N_, _, in_words
from gateway.cli.options import config_option
from gateway.cli.prose import say
from gateway.common.files import replacing
from gateway.config import Config, load_config
from gateway.errors import BackupError, GatewayError
from gateway.host import CONFIG

LEAST_WORDS = 12
"""Characters of a passphrase."""
PATTERN = "*.submeter-backup"


@click.command(
    name="backup",
    help=N_(
        "Put configuration, passwords, certificates, meter tables, pulse registers, what was learnt and the "
        "page's history into one encrypted file. Readings are not in it: they are at the platform."
    ),
)
@click.argument("target", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@config_option
@click.option("--recipient", help=N_("To whom it is encrypted, else backup.recipient of the configuration."))
@click.option("--passphrase", is_flag=True, help=N_("Ask for a passphrase instead of a recipient."))
@click.option(
    "--nightly",
    is_flag=True,
    help=N_("Into backup.directory and to backup.platform, as far as they are written."),
)
@click.option(
    "--new-key",
    type=click.Path(path_type=Path),
    help=N_("Make a new key in this file, print its recipient, and do nothing else. Not on the gateway."),
)
def command(
    target: Path | None,
    file: Path | None,
    recipient: str | None,
    new_key: Path | None,
    *,
    passphrase: bool,
    nightly: bool,
) -> None:
    """Make a backup, or a key."""
    if new_key is not None:
        _make_key(new_key)
        return
    path = (file or CONFIG).absolute()
    config = load_config(path)
    if nightly:
        _nightly(path, config)
        return
    words = _passphrase() if passphrase else None
    recipient = recipient or config.backup.recipient
    if words is None and recipient is None:
        raise BackupError(
            _("there is no recipient"),
            hint=_("write backup.recipient, or use --passphrase: docs/operation.md"),
        )
    _write(path, config, target or Path(_name(config)), recipient, words)


def _nightly(path: Path, config: Config) -> None:
    """Each where it is asked for; one that fails does not keep the other."""
    recipient, chosen = config.backup.recipient, config.backup
    if recipient is None or (chosen.directory is None and chosen.platform is None):
        say(_("No nightly backup: backup.recipient and backup.directory or backup.platform are not written."))
        return
    failed: GatewayError | None = None
    for wanted, make in ((chosen.directory, _into_directory), (chosen.platform, _to_platform)):
        try:
            if wanted is not None:
                make(path, config, wanted, recipient)
        except GatewayError as error:
            failed = failed or error
            say(in_words(str(error)), mark="! ", err=True)
    if failed is not None:
        raise failed


def _into_directory(path: Path, config: Config, directory: str, recipient: str) -> None:
    folder = Path(directory)
    _write(path, config, folder / _name(config), recipient, None)
    for old in sorted(folder.glob(f"{config.gateway.id}-{PATTERN}"))[: -config.backup.keep]:
        old.unlink(missing_ok=True)


def _to_platform(path: Path, config: Config, name: str, recipient: str) -> None:
    uplink = next(each for each in config.uplinks if each.name == name)
    try:
        sent = send_backup(path, config, uplink, recipient)
    except TimeoutError as error:
        raise BackupError(
            f"{uplink.broker}: no answer in time", hint=_("it is tried again tomorrow night")
        ) from error
    said = _("%(size)s bytes are at the platform %(name)s, for whoever has the key.")
    say(said % {"size": sent.size, "name": uplink.label or uplink.name})
    _tell_left(list(sent.left))


def _make_key(place: Path) -> None:
    secret, recipient = new_key()
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BackupError(
            f"{place}: {error.strerror}", hint=_("name a file that is not there yet")
        ) from error
    with os.fdopen(handle, "w") as key:
        key.write(secret + "\n")
    kept = _("The secret key is in %(file)s. Keep it where the gateway is not: no backup opens without it.")
    say(kept % {"file": place})
    say(_("For the configuration of the gateways:"))
    print(f'backup: {{recipient: "{recipient}"}}')


def _passphrase() -> str:
    words: str = click.prompt(_("Passphrase"), hide_input=True, confirmation_prompt=_("Once more"))
    if len(words) < LEAST_WORDS:
        raise BackupError(
            _("the passphrase is too short"), hint=_("take at least %(n)s characters") % {"n": LEAST_WORDS}
        )
    return words


def _name(config: Config) -> str:
    return f"{config.gateway.id}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}{PATTERN[1:]}"


def _write(path: Path, config: Config, target: Path, recipient: str | None, words: str | None) -> None:
    """Beside, then in its place at once: a backup is there whole or not at all."""
    try:
        with replacing(target, mode=0o600) as body:
            left = write_backup(path, config, _sealer(Sealer, body, recipient, words))
    except OSError as error:
        raise BackupError(
            f"{target}: {error.strerror}", hint=_("name a folder with room that this user may write")
        ) from error
    _tell(target, left)


def _sealer(kind: type[Sealer], body: object, recipient: str | None, words: str | None) -> Sealer:
    if words is not None:
        return kind.to_passphrase(body, words)  # type: ignore[arg-type]
    try:
        return kind.to_recipient(body, recipient or "")  # type: ignore[arg-type]
    except ValueError as error:
        raise BackupError(
            _("%(recipient)s is no recipient") % {"recipient": repr(recipient)},
            hint=_("take what submeter backup --new-key prints"),
        ) from error


def _tell(target: Path, left: list[Left]) -> None:
    size = f"{target.stat().st_size / 1e6:.1f} MB"
    say(_("%(file)s: %(size)s, for whoever has the key.") % {"file": target, "size": size})
    _tell_left(left)


def _tell_left(left: list[Left]) -> None:
    for one in left:
        say(_("Not in it: %(file)s (%(why)s)") % {"file": one.path, "why": one.why}, mark="! ")
