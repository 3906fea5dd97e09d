"""submeter enroll: the gateway's key is made here, and certified by the platform."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any

import click

from gateway.cli.broker_options import broker_at, broker_options
from gateway.cli.language import N_, _, in_words
from gateway.cli.options import config_option, given_text
from gateway.cli.prose import say
from gateway.common.files import is_missing, read_secret
from gateway.config import Config, Uplink, load_config
from gateway.errors import EnrolmentError, EnrolmentRefused, GatewayError
from gateway.host import CONFIG, STATE
from gateway.provisioning import Enrolled, keep_answer
from gateway.remote.enrolment import Certificate, DeviceIdentity, ask
from gateway.wire.enrolment import EnrolmentRequest

WAIT = 60.0
UNANSWERED = 75
"""Exit code (EX_TEMPFAIL): nobody has said no."""

_HELP = N_("""Have this gateway's key certified by the platform.

The key is made here and never leaves this gateway. Without an option its certificate request is printed, for
`submeter sign certify`. The files are those of cert and key of the uplink; the service goes on with the old
ones until the new ones are there.
""")


@click.command(name="enroll", help=_HELP)
@config_option
@click.option("--uplink", help=N_("The uplink whose cert and key are meant, if there are several."))
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help=N_("Send the request with the one-time token in this file; - asks for it."),
)
@click.option(
    "--configured",
    is_flag=True,
    help=N_(
        "For each uplink that has no certificate yet and whose token_file is there: send the request with "
        "that token, as each start of the machine does."
    ),
)
@click.option("--renew", is_flag=True, help=N_("Send the request, signed by the present key."))
@click.option(
    "--install",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=N_("Install the certificate (PEM) in this file."),
)
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=WAIT, show_default=True, help=N_("How long to wait.")
)
@click.option("--state", type=click.Path(path_type=Path), default=STATE, hidden=True)
@broker_options
def command(
    *,
    file: Path | None,
    uplink: str | None,
    token_file: Path | None,
    configured: bool,
    renew: bool,
    install: Path | None,
    seconds: float,
    state: Path,
    account: dict[str, Any],
) -> None:
    """Ask for a certificate, or install one."""
    if sum(map(bool, (token_file, configured, renew, install))) > 1:
        raise click.UsageError(
            _("--token-file, --configured, --renew and --install are four ways: write one of them")
        )
    config = load_config(file or CONFIG)
    if configured:
        sys.exit(_by_tokens(config, state, seconds))
    chosen = _uplink(config.uplinks, uplink)
    identity = _identity(config.gateway.id, chosen)
    identity.finish()
    if install is not None:
        _installed(identity.install(given_text(install)), identity)
        return
    if not renew and token_file is None:
        print(identity.request(), end="")
        say(_("Have it signed at the platform: submeter sign certify, then here:"), err=True)
        say("  submeter enroll --install FILE", err=True)
        return
    asked = identity.ask_by_key() if renew else identity.ask_by_token(_token(token_file))
    url = account.pop("broker") or (chosen.url if renew else chosen.enroll_url or chosen.url)
    own = {name: getattr(chosen, name) for name in account}
    if not renew:
        own["cert"] = own["key"] = None
    given = account if any(account.values()) else own
    given["ca"] = given["ca"] or chosen.ca
    _ask(identity, asked, url, given, seconds)


def _ask(
    identity: DeviceIdentity, asked: EnrolmentRequest, url: str, account: dict[str, Any], seconds: float
) -> Certificate:
    broker = broker_at(url, "enroll", f"{identity.gateway}-enroll-{secrets.token_hex(4)}", **account)
    found = identity.install(ask(broker, asked, seconds))
    _installed(found, identity)
    return found


def _by_tokens(config: Config, state: Path, seconds: float) -> int:
    """The exit code: UNANSWERED when it is to be tried again, 1 when the platform refuses one."""
    codes = {0}
    for uplink in config.uplinks:
        token = Path(uplink.token_file or "")
        if uplink.cert is None or not is_missing(Path(uplink.cert)) or not token.is_file():
            continue
        try:
            identity = _identity(config.gateway.id, uplink)
            identity.finish()
            account = {name: getattr(uplink, name) for name in ("username", "password_file", "ca")}
            asked = identity.ask_by_token(_token(token))
            found = _ask(identity, asked, uplink.enroll_url or uplink.url, account, seconds)
            _keep(state, Enrolled(uplink.name, until=f"{found.ends:%Y-%m-%d}"))
        except GatewayError as error:
            why = {"uplink": uplink.name, "why": in_words(str(error))}
            say(_("Uplink %(uplink)s: %(why)s") % why, err=True)
            if isinstance(error, EnrolmentRefused):
                _keep(state, Enrolled(uplink.name, why=error.why))
                codes.add(1)
            else:
                codes.add(UNANSWERED)
    return max(codes)


def _keep(state: Path, enrolled: Enrolled) -> None:
    try:
        keep_answer(state, enrolled)
    except OSError as error:
        raise EnrolmentError(f"{error.filename or state}: {error.strerror}", hint=_("use sudo")) from error


def _uplink(uplinks: tuple[Uplink, ...], name: str | None) -> Uplink:
    with_files = [each for each in uplinks if each.cert and name in {None, each.name}]
    if len(with_files) == 1:
        return with_files[0]
    if not with_files:
        what = _("no uplink of the configuration names cert and key")
        if name is not None:
            what = _("there is no uplink %(name)s that names cert and key") % {"name": repr(name)}
        raise EnrolmentError(
            what, hint=_("write where they shall be: cert: and key:, both /var/lib/submeter/city.pem")
        )
    names = ", ".join(each.name for each in with_files)
    raise EnrolmentError(
        _("several uplinks have a certificate: %(names)s") % {"names": names}, hint="--uplink NAME"
    )


def _identity(gateway: str, uplink: Uplink) -> DeviceIdentity:
    assert uplink.cert is not None
    assert uplink.key is not None
    return DeviceIdentity(gateway, Path(uplink.cert), Path(uplink.key))


def _token(file: Path | None) -> str:
    if str(file) == "-":
        asked: str = click.prompt(_("Token"), hide_input=sys.stdin.isatty(), err=True)
        return asked
    try:
        return read_secret(file or Path())
    except (OSError, ValueError) as error:
        raise EnrolmentError(f"{file}: {error}", hint=_("write the token alone into the file")) from error


def _installed(found: Certificate, identity: DeviceIdentity) -> None:
    text = _("%(file)s: the certificate of %(name)s, good until %(day)s.")
    say(text % {"file": identity.cert, "name": found.name, "day": f"{found.ends:%Y-%m-%d}"})
