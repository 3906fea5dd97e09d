"""The broker of a command that speaks to a platform: its options, and the account that they make."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from gateway.cli.language import N_
from gateway.common.address import BrokerAddress
from gateway.config import a_broker, plain_text
from gateway.errors import GatewayError
from gateway.model import METER_ID
from gateway.mqtt import Broker, check_files

_READABLE = click.Path(exists=True, dir_okay=False)
_OPTIONS = (
    click.option("--broker", help=N_("mqtt://HOST:1883, mqtts://HOST:8883, ws:// or wss://.")),
    click.option("--username", help=N_("User name at the broker.")),
    click.option("--password-file", type=_READABLE, help=N_("File whose first line is the password.")),
    click.option("--ca", type=_READABLE, help=N_("Certificates to trust (PEM). Default: the system's.")),
    click.option("--cert", type=_READABLE, help=N_("Our own certificate (PEM).")),
    click.option("--key", type=_READABLE, help=N_("Its private key (PEM).")),
)


def broker_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a broker, as the argument `account`: a dict of them."""

    @functools.wraps(command)
    def call(**given: Any) -> None:
        names = ("broker", "username", "password_file", "ca", "cert", "key")
        command(account={name: given.pop(name) for name in names}, **given)

    for option in reversed(_OPTIONS):
        call = option(call)
    return call


def broker_at(url: str, name: str, client_id: str, **account: Any) -> Broker:
    """The account of a command at a broker. Raises GatewayError for what cannot be one."""
    check_text("--broker", url, a_broker)
    check_text("--username", account.get("username"), plain_text)
    made = Broker(name, BrokerAddress.of(url), client_id, configured=False, **account)
    check_files(made)
    return made


def check_text(option: str, value: str | None, rule: Callable[[str], str]) -> None:
    """Hold an option against the rule that the configuration has for it. Raises GatewayError."""
    try:
        if value is not None:
            rule(value)
    except ValueError as error:
        what, _colon, mend = str(error).partition(": ")
        raise GatewayError(f"{option} {what}", hint=mend) from None


def check_gateway(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """The argument GATEWAY: an id. Raises GatewayError."""

    def rule(text: str) -> str:
        if not METER_ID.fullmatch(text):
            raise ValueError("is not an id: small letters, digits and hyphens only, at most 32")
        return text

    check_text("GATEWAY", value, rule)
    return value
