"""submeter sign: the platform's signing program. It has its own user and its own database, and no receiver
loads it.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.cli.broker_options import broker_at, broker_options, check_gateway
from gateway.cli.language import N_, _, ngettext
from gateway.cli.options import MAX_GIVEN, given_text
from gateway.cli.prose import say
from gateway.common.files import owner_of
from gateway.errors import EnrolmentError
from gateway.host import notify
from gateway.remote.enrolment import REVOCATIONS, Authority, SigningService

_directory = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/var/lib/submeter-sign"),
    show_default=True,
    help=N_("Where the authority's key and the database are."),
)
_days = click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=365,
    show_default=True,
    help=N_("How long a certificate is good."),
)


@click.group(
    name="sign",
    help=N_(
        "Certify the keys of gateways. Run it as a user of its own, on a machine that nobody else uses: who "
        "has its directory can be any gateway."
    ),
)
def command() -> None:
    """The group of these commands; each has its own help."""


def _authority(directory: Path, days: int = 365) -> Authority:
    _become_owner(directory)
    return Authority(directory, days=days)


def _become_owner(directory: Path) -> None:
    """Root goes on as the user whose directory it is, so that what is written there stays readable for the
    service.
    """
    try:
        owner = owner_of(directory)
    except OSError:
        return  # said when it is opened
    if owner and owner[0]:
        os.setgroups([])
        os.setgid(owner[1])
        os.setuid(owner[0])


@command.command(help=N_("Make a new authority: its key, its certificate and its database."))
@_directory
@click.option("--name", default="Submeter gateways", show_default=True, help=N_("What it is called."))
@click.option("--years", type=click.IntRange(1, 50), default=20, show_default=True, help=N_("How long."))
def init(directory: Path, name: str, years: int) -> None:
    """Make one where there is none."""
    _become_owner(directory)
    Authority.make(directory, name, years).close()
    say(
        _("%(file)s: give it to the broker as the authority of its clients (cafile).")
        % {"file": directory / "authority.pem"}
    )
    text = _("%(file)s: give it to the broker as the list of what was withdrawn (crlfile); it is empty yet.")
    say(text % {"file": directory / REVOCATIONS})


@command.command(help=N_("Print a one-time token for the first certificate of GATEWAY."))
@click.argument("gateway", callback=check_gateway)
@_directory
@click.option(
    "--days",
    type=click.IntRange(1, 365),
    default=14,
    show_default=True,
    help=N_("How long the token is good."),
)
def token(gateway: str, directory: Path, days: int) -> None:
    """Only its digest is kept."""
    authority = _authority(directory)
    print(authority.new_token(gateway, days))
    authority.close()


@command.command(help=N_("Certify the request in FILE (- is stdin), for which you vouch, and print it."))
@click.argument("gateway", callback=check_gateway)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@_directory
@_days
def certify(gateway: str, file: Path, directory: Path, days: int) -> None:
    """For a request that was carried by hand."""
    request = given_text(file) if str(file) != "-" else sys.stdin.read(MAX_GIVEN)
    authority = _authority(directory, days)
    print(authority.certify(gateway, request), end="")
    authority.close()


@command.command(help=N_("Answer the requests of gateways at a broker, until SIGTERM or SIGINT."))
@_directory
@_days
@broker_options
def run(directory: Path, days: int, account: dict[str, Any]) -> None:
    """Answer requests for certificates until SIGTERM or SIGINT."""
    url = account.pop("broker")
    if not url:
        raise click.UsageError(_("--broker is missing: write --broker mqtts://HOST:8883"))
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    authority = _authority(directory, days)
    broker = broker_at(url, "sign", f"sign-{secrets.token_hex(4)}", **account)
    service = SigningService(authority, broker)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    notify("READY=1")
    service.run()
    given = ngettext("%(n)s certificate", "%(n)s certificates", service.given) % {"n": service.given}
    refused = ngettext("%(n)s request", "%(n)s requests", service.refused) % {"n": service.refused}
    say(_("gave %(given)s, refused %(refused)s") % {"given": given, "refused": refused}, err=True)


@command.command(
    name="list", help=N_("List the certificates that were given, and what was refused (--refused).")
)
@_directory
@click.option("--refused", is_flag=True, help=N_("List what was refused, and why."))
def list_(directory: Path, refused: bool) -> None:
    """Print a line for each certificate that was given, or for each request that was refused."""
    authority = _authority(directory)
    if refused:
        for at, gateway, why in authority.refusals():
            print(f"{_moment(at)}  {gateway}: {why}")
    else:
        for one in authority.given():
            state = (
                _("withdrawn %(day)s") % {"day": _moment(one.withdrawn)[:10]}
                if one.withdrawn
                else _("until %(day)s") % {"day": _moment(one.ends)[:10]}
            )
            print(f"{one.gateway}  {state}  {one.serial}")
    authority.close()


@command.command(
    help=N_(
        "Withdraw every certificate and token of GATEWAY, a stolen one's: nothing is renewed with them, and "
        "revoked.pem, the broker's crlfile, lists them."
    )
)
@click.argument("gateway", callback=check_gateway)
@_directory
def withdraw(gateway: str, directory: Path) -> None:
    """For a stolen gateway; the list is written anew in any case."""
    authority = _authority(directory)
    count = authority.withdraw(gateway)
    authority.close()
    if not count:
        text = _("no certificate of %(gateway)s was given here, or all are withdrawn already")
        raise EnrolmentError(text % {"gateway": gateway}, hint="submeter sign list")
    said = ngettext(
        "%(n)s certificate of %(gateway)s is withdrawn.",
        "%(n)s certificates of %(gateway)s are withdrawn.",
        count,
    )
    say(said % {"n": count, "gateway": gateway})
    text = _(
        "Give %(file)s to the broker as the list of what was withdrawn (crlfile), and restart it: a reload "
        "does not end connections that there are."
    )
    say(text % {"file": directory / REVOCATIONS})


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
