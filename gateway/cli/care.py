"""submeter care: the platform's engineer looks after a gateway from afar, by signed commands."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway.cli.broker_options import broker_at, broker_options, check_gateway
from gateway.cli.language import N_, _
from gateway.cli.options import given_bytes, given_text
from gateway.cli.prose import say
from gateway.errors import SEE_LOG, GatewayError
from gateway.host import signing
from gateway.model import QUANTITIES
from gateway.remote.sending import CareAnswer, CareSender, Order, key_in
from gateway.wire.care import MAX_PACKAGE, ROOT_COMMANDS

WAIT, TRIAL = 60.0, 420.0
"""s that an answer, and the outcome of a trial, is waited for unless told otherwise."""
Send = Callable[[str, str], dict[str, Any]]
"""Sends a command and its payload; its result."""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(
    name="care",
    help=N_("Look after a gateway from afar: sign a command, send it over its broker, print its answer."),
)
def command() -> None:
    """The group of these commands; each has its own help."""


@command.command(
    name="new-key",
    help=N_("Make a key in FILE and print its public half, for a file in the gateways' /etc/submeter/trust."),
)
@click.argument("file", type=click.Path(path_type=Path))
def new_key(file: Path) -> None:
    """A new file, for its owner alone."""
    signing.new_key(file)
    public = signing.SigningKey(file.parent, file.name).public
    print(f"ed25519:{base64.b64encode(public).decode()} {file.stem}")
    say(_("%(file)s is secret: who has it commands every gateway that trusts it.") % {"file": file}, err=True)


def _sending(action: Callable[..., None]) -> Callable[..., None]:
    """A verb that sends a command: GATEWAY, the key, and how to the broker; it is given `send`."""

    @functools.wraps(action)
    def call(
        *, gateway: str, sign_with: Path, seconds: float | None, account: dict[str, Any], **given: Any
    ) -> None:
        def send(verb: str, payload: str) -> dict[str, Any]:
            return _send(gateway, verb, payload, sign_with=sign_with, seconds=seconds, account=account)

        action(send=send, **given)

    call = click.argument("gateway", callback=check_gateway)(call)
    for option in (
        click.option("--sign-with", type=_FILE, required=True, help=N_("The file of the key to sign with.")),
        click.option(
            "--seconds",
            type=click.FloatRange(min=1),
            help=N_("How long to wait.  [default: 60, for a change 420]"),
        ),
    ):
        call = option(call)
    return broker_options(call)


def _told(_answer: CareAnswer) -> None:
    say(_("On trial: it is taken back unless all that was well is well within five minutes …"), err=True)


def _send(
    gateway: str, verb: str, payload: str, *, sign_with: Path, seconds: float | None, account: dict[str, Any]
) -> dict[str, Any]:
    url = account.pop("broker")
    if not url:
        raise click.UsageError(_("--broker is missing: write --broker mqtts://HOST:8883"))
    key = key_in(sign_with)
    with CareSender(broker_at(url, "care", "care", **account), gateway) as sender:
        wait = seconds or (TRIAL if verb in ROOT_COMMANDS else WAIT)
        answer = sender.send(Order(gateway, verb, payload), key, wait, _told)
    if not answer.ok:
        text = _("%(gateway)s: %(error)s")
        if answer.state == "undone":
            text = _("%(gateway)s: it was taken back: %(error)s")
        what, _arrow, mend = answer.error.partition(" → ")
        more = _("submeter care diagnostics fetches the gateway's log, which says more")
        if verb == "diagnostics":
            more = _(SEE_LOG)
        raise GatewayError(text % {"gateway": gateway, "error": what}, hint=mend or more)
    return answer.result or {}


@command.command(help=N_("Poll METERs of GATEWAY now, all when none is named, and print their values."))
@_sending
@click.argument("meters", nargs=-1, metavar="[METER]…")
@click.option("--json", "as_json", is_flag=True, help=N_("Print it as JSON."))
def read(send: Send, meters: tuple[str, ...], *, as_json: bool) -> None:
    """One paragraph for each meter."""
    found = send("read", json.dumps({"meters": meters}))["readings"]
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for meter, reading in found.items():
        print(f"{meter}:")
        for name, value in reading.get("values", {}).items():
            unit = QUANTITIES[name].unit if name in QUANTITIES else ""
            print(f"  {name} {value:g} {unit}".rstrip())
        for name, reason in reading.get("absent", {}).items():
            print(f"  {name} - ({reason})")
        if problem := reading.get("error") or reading.get("missing"):
            print(f"  {problem}")


@command.command(help=N_("Fetch state, log and configuration of GATEWAY, without its secrets."))
@_sending
@click.option("-o", "--output", type=click.Path(path_type=Path), help=N_("Into this file, not to stdout."))
def diagnostics(send: Send, output: Path | None) -> None:
    """Ask for the diagnostic bundle and write it as JSON, to a file or to stdout."""
    text = json.dumps(send("diagnostics", ""), indent=2, ensure_ascii=False)
    if output is None:
        print(text)
        return
    output.write_text(text + "\n", encoding="utf-8")
    say(_("%(file)s: the diagnostics.") % {"file": output})


@command.command(
    name="config",
    help=N_(
        "Send FILE as the configuration of GATEWAY: it is checked there as by submeter check, tried, and "
        "taken back by itself when it does no good."
    ),
)
@_sending
@click.argument("file", type=_FILE)
def config_(send: Send, file: Path) -> None:
    """A change that stays, or is taken back."""
    send("config", given_text(file))
    say(_("It is kept."))


@command.command(help=N_("Send FILE as a meter table of GATEWAY, tried and taken back like a configuration."))
@_sending
@click.argument("file", type=_FILE)
def drivers(send: Send, file: Path) -> None:
    """Its name is that of the file."""
    table = {"name": file.stem, "table": given_text(file)}
    send("drivers", json.dumps(table, ensure_ascii=False))
    say(_("It is kept."))


@command.command(
    help=N_(
        "Let GATEWAY fetch a package from --url and install it, if it is the one in FILE; it goes back by "
        "itself when the new version does not get ready."
    )
)
@_sending
@click.argument("file", type=_FILE)
@click.option("--url", required=True, help=N_("Where the gateway fetches it: https://… or http://…."))
def update(send: Send, file: Path, url: str) -> None:
    """What is signed is the content."""
    package = given_bytes(file, MAX_PACKAGE)
    digest = hashlib.sha256(package).hexdigest()
    send("update", json.dumps({"url": url, "sha256": digest, "size": len(package)}))
    say(_("It is left for its installation: the event upgraded, or upgrade_taken_back, tells how it ends."))
